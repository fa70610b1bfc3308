# SPDX-License-Identifier: Apache-2.0
"""The frame-wise mn graph against the layers written out in NumPy; files as they are published."""

from __future__ import annotations

import numpy as np
import pytest

from oido.errors import ModelFormatError
from oido.models.networks.frame_mn import CLASSES, COLUMNS, FRAMES, name_of, network
from oido.runtime.litert import LiteRtRuntime
from tests.models.networks.test_mn04 import channels, last_image, random_state, sigmoid

BANDS = (1, 2, 2, 1, 1, 2, 1, 2, 1, 1, 2, 1, 1, 1, 2)
TIMES = (1, 2, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1)


def frame_wise_state(seed=0, width=0.4):
    """Weights of fmn04_strong.pt's names and shapes, without what modules put before them."""
    state = {n: v for n, v in random_state(seed, width).items() if n.startswith("features.")}
    rng, size = np.random.default_rng(seed + 1), 6 * channels(160, width)
    for head in ("strong_head", "weak_head"):
        state[f"{head}.weight"] = rng.standard_normal((CLASSES, size)) / np.sqrt(size)
        state[f"{head}.bias"] = rng.standard_normal(CLASSES) * 0.1
    return {name: values.astype(np.float32) for name, values in state.items()}


def wrapped(state, features, head):
    """The names as the published files have them: something before each."""
    return {
        f"{features if name.startswith('features.') else head}{name}": values
        for name, values in state.items()
    }


@pytest.fixture(scope="module")
def state():
    return frame_wise_state()


def test_equals_the_layers_in_numpy(state):
    rng = np.random.default_rng(3)
    patches = rng.standard_normal((2, 128, FRAMES, 1)).astype(np.float32)
    found = LiteRtRuntime(None, network(state), COLUMNS).run(patches)
    assert found.framewise.shape == (2, COLUMNS, CLASSES)
    for k, patch in enumerate(patches):
        image = last_image(state, patch[:, :, 0], strides=list(zip(BANDS, TIMES)))
        assert image.shape == (384, 1, COLUMNS)
        logits = state["strong_head.weight"].astype(np.float64) @ image[:, 0]
        expected = sigmoid(logits.T + state["strong_head.bias"])  # f64[250, 447]
        np.testing.assert_allclose(found.framewise[k], expected, atol=1e-5, rtol=0)
        np.testing.assert_allclose(found.scores[k], expected.max(axis=0), atol=1e-5, rtol=0)
        np.testing.assert_allclose(found.embeddings[k], image.mean((1, 2)), atol=1e-4, rtol=1e-4)


@pytest.mark.parametrize(
    ("features", "head"),
    [("net.model.", "net."), ("model.fmn.", ""), ("model.model.", "model."), ("fmn.", "")],
)
def test_what_modules_put_before_the_names_does_not_matter(state, features, head):
    assert network(wrapped(state, features, head)) == network(state)


def test_the_width_shows_by_the_tensors(state):
    assert name_of(state) == "fmn04"
    assert name_of(wrapped(frame_wise_state(width=1.0), "net.model.", "net.")) == "fmn10"


def test_other_files_are_refused(state):
    with pytest.raises(ModelFormatError, match="sequence model behind the network"):
        network({**state, "seq_model.0.weight": state["strong_head.weight"]})
    few = {n: v[:527] if "head" in n else v for n, v in state.items()}
    few |= {n: v[:10] for n, v in state.items() if n.startswith("strong_head")}
    with pytest.raises(ModelFormatError, match="has 10 scores of frames, and fmn04_strong 447"):
        network(few)
    missing = {n: v for n, v in state.items() if n != "features.3.block.1.0.weight"}
    with pytest.raises(ModelFormatError, match=r"features\.3\.block\.1\.0\.weight is"):
        network(missing)
