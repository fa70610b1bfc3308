# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import soundfile

import oido
from oido.inference.embedding_stream import EmbeddingNetwork
from oido.models.loading import load_model
from oido.models.model import WholeNetwork
from oido.signal.decode import open_audio
from oido.signal.mixing import Channel

EXAMPLES = Path(__file__).parents[2] / "examples"


def _embedded(network: EmbeddingNetwork, path: Path, channel: Channel = "mix") -> np.ndarray:
    with open_audio(path) as reader:
        stream = network.stream(reader.info, channel)
        blocks = [block for samples in reader.blocks() for block in stream.push(samples)]
        blocks += stream.flush()
    assert [b.first_window for b in blocks] == list(
        np.cumsum([0, *(len(b.embeddings) for b in blocks[:-1])])
    )
    return np.concatenate([block.embeddings for block in blocks])


@pytest.mark.parametrize("channel", ["mix", 0, 1])
def test_they_are_those_of_a_recording_read_by_itself(
    classifier: oido.AudioClassifier, tmp_path: Path, channel: Channel
) -> None:
    samples, rate_hz = soundfile.read(EXAMPLES / "street.flac")
    soundfile.write(tmp_path / "two.wav", np.stack([samples, samples[::-1]], 1), rate_hz)
    expected = classifier.classify(tmp_path / "two.wav", channel=channel).embeddings

    found = _embedded(EmbeddingNetwork(classifier.model), tmp_path / "two.wav", channel)

    assert np.array_equal(found, expected)


def test_behind_damage_there_is_nothing(classifier: oido.AudioClassifier, tmp_path: Path) -> None:
    samples = np.random.default_rng(0).normal(0, 0.1, 16_000 * 40).astype(np.float32)
    soundfile.write(tmp_path / "good.wav", samples, 16_000, subtype="FLOAT")
    whole = classifier.classify(tmp_path / "good.wav").embeddings
    with open_audio(tmp_path / "good.wav") as reader:
        stream = EmbeddingNetwork(classifier.model).stream(reader.info, "mix")
    bad = samples[16_000 * 20 :, None].copy()
    bad[5] = np.nan

    blocks = stream.push(samples[: 16_000 * 20, None])
    blocks += [*stream.push(bad), *stream.push(bad), *stream.flush(damaged=True)]

    found = np.concatenate([block.embeddings for block in blocks])
    assert len(found) == 41  # of which the last one is padded
    assert np.array_equal(found[:-1], whole[:40])


def test_a_model_that_has_none_is_refused(classifier: oido.AudioClassifier) -> None:
    network = WholeNetwork(b"", embedding=None)
    with pytest.raises(oido.OptionError, match="gives scores only, and no embeddings"):
        EmbeddingNetwork(replace(classifier.model, network=network))


def test_mn04_has_windows_of_its_own(mn04_is_here: None) -> None:
    model = load_model("efficientat/mn04")
    path = EXAMPLES / "street.flac"
    expected = oido.AudioClassifier(model, jobs=1).classify(path).embeddings
    assert np.array_equal(_embedded(EmbeddingNetwork(model), path), expected)
