# SPDX-License-Identifier: Apache-2.0
"""Equal patches are run once, and nobody can tell from the outputs."""

from __future__ import annotations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

import oido
from oido.arrays import F32
from oido.inference.predictor import DistinctRuntime, Predictor
from oido.models.model import AudioModel
from oido.runtime.base import Outputs


class Counted:
    """Gives a patch's own values back, and notes how many came."""

    def __init__(self) -> None:
        self.patches = 0

    def run(self, patches: F32) -> Outputs:
        self.patches += len(patches)
        flat = patches.reshape(len(patches), -1)
        return Outputs(flat, flat[:, :1], flat[:, None, :])


@given(st.lists(st.tuples(st.integers(-2, 2), st.integers(-2, 2)), min_size=1, max_size=12))
def test_outputs_are_those_of_every_patch_by_itself(rows: list[tuple[int, int]]) -> None:
    patches = np.array(rows, np.float32)[:, :, None]
    counted, plain = Counted(), Counted()
    for got, expected in zip(DistinctRuntime(counted).run(patches), plain.run(patches)):
        np.testing.assert_array_equal(got, expected)
    # (1, -1) and (-1, 1) have the same sum, and are not the same.
    assert counted.patches == len({tuple(row) for row in rows})


def test_patches_of_nan_are_nobodys_equal() -> None:
    counted = Counted()
    outputs = DistinctRuntime(counted).run(np.full((3, 2, 2), np.nan, np.float32))
    assert counted.patches == 3
    assert np.isnan(outputs.scores).all()


def test_a_recordings_silence_has_the_scores_of_silence(model: AudioModel) -> None:
    rate, rng = 16_000, np.random.default_rng(3)
    noise = rng.uniform(-0.2, 0.2, 4 * rate).astype(np.float32)
    quiet = np.concatenate([noise, np.zeros(12 * rate, np.float32), noise])
    classifier = oido.AudioClassifier(model)
    predictor, hop = Predictor.of(model), classifier.windowing.hop_samples
    patches = predictor.patches(classifier.stream(quiet, sample_rate=rate).waveform(), hop)
    alone = [predictor.run(patches[number : number + 1]) for number in range(len(patches))]
    together = predictor.run(patches)
    np.testing.assert_array_equal(together.scores, np.concatenate([one.scores for one in alone]))
    np.testing.assert_array_equal(
        together.embeddings, np.concatenate([one.embeddings for one in alone])
    )
