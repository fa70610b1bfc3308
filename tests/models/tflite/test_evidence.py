# SPDX-License-Identifier: Apache-2.0
"""What a new head learns from: the embedding first, and earlier layers beside it."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from oido.arrays import F32
from oido.inference.predictor import Predictor
from oido.models.loading import load_model
from oido.models.model import AudioModel
from oido.models.networks.mn04 import BLOCKS, EMBEDDING_SIZE, HIDDEN
from oido.models.tflite.evidence import own_size, with_evidence
from tests.signal.sounds import noise, sine


def windows_of(model: AudioModel) -> F32:
    """f32[6, …]: patches of noise of several levels, and of tones."""
    length, hop = model.windows.window_samples, model.windows.hop_samples
    sounds: list[Any] = [noise(length, level=0.3 / (n + 1), seed=n) for n in range(3)]
    rate = model.windows.sample_rate_hz
    sounds += [sine(300.0 * (n + 1), rate, length) * 0.5 for n in range(3)]
    predictor = Predictor.of(model)
    return np.concatenate([predictor.patches(s.astype(np.float32), hop) for s in sounds])


@pytest.mark.parametrize("precision", ["int8", "float32"])
def test_the_embedding_comes_first_and_scores_stay(model: AudioModel, precision: str) -> None:
    base = load_model(model.path, precision=precision)  # type: ignore[arg-type]
    patches = windows_of(base)
    own = Predictor.of(base).run(patches)
    wide = Predictor.of(with_evidence(base)).run(patches)
    assert own_size(base) == 1_024
    assert wide.embeddings.shape == (6, 1_024 + 512)
    np.testing.assert_array_equal(wide.scores, own.scores)
    np.testing.assert_array_equal(wide.embeddings[:, :1_024], own.embeddings)
    assert wide.embeddings.min() >= 0  # heads take the square root
    alone = Predictor.of(with_evidence(base)).run(patches[4:5])
    np.testing.assert_allclose(alone.embeddings[0], wide.embeddings[4], atol=1e-4)


def test_beside_it_stands_the_mean_of_yamnets_eleventh_layer(model: AudioModel) -> None:
    torch = pytest.importorskip("torch", reason="the reference is oido's module in PyTorch")
    from oido.torch import YamNet

    base = load_model(model.path, precision="float32")
    patches = windows_of(base)
    wide = Predictor.of(with_evidence(base)).run(patches).embeddings
    module = YamNet.from_pretrained(model.path)
    with torch.inference_mode():
        image = module.layers[:11](torch.from_numpy(patches)[:, None])  # [6, 512, 6, 4]
    mean = image.mean(dim=(2, 3)).numpy()
    scale = wide[:, 1_024:].sum() / mean.sum()
    assert 0.1 < scale < 0.3
    np.testing.assert_allclose(wide[:, 1_024:], scale * mean, atol=1e-4)


@pytest.mark.usefixtures("mn04_is_here")
def test_mn04_adds_its_hidden_layer_and_its_excitations() -> None:
    base = load_model("efficientat/mn04")
    patches = windows_of(base)
    own = Predictor.of(base).run(patches)
    wide = Predictor.of(with_evidence(base)).run(patches)
    np.testing.assert_array_equal(wide.scores, own.scores)
    np.testing.assert_array_equal(wide.embeddings[:, :EMBEDDING_SIZE], own.embeddings)
    assert own_size(base) == EMBEDDING_SIZE
    inside = sum(block.expanded for block in BLOCKS[-3:])
    assert wide.embeddings.shape == (6, EMBEDDING_SIZE + HIDDEN + inside)
    torch = pytest.importorskip("torch", reason="the reference is oido's module in PyTorch")
    from oido.torch import Mn04

    module = Mn04.from_pretrained(base.path)
    with torch.inference_mode():
        hidden = module.classifier[2:4](torch.from_numpy(own.embeddings)).numpy()
    found = wide.embeddings[:, EMBEDDING_SIZE : EMBEDDING_SIZE + HIDDEN]
    scale = float((found * hidden).sum() / (hidden**2).sum())
    np.testing.assert_allclose(found, scale * hidden, atol=1e-3)
