# SPDX-License-Identifier: Apache-2.0
"""The front ends in PyTorch give oido's own patches, for any count of samples, and gradients."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
import pytest

import oido.torch
from oido.errors import ModelFormatError, OptionError
from oido.inference.predictor import Predictor
from oido.models.loading import load_model
from oido.models.tflite.evidence import with_evidence
from oido.params import MnFrontEndParams
from oido.signal.frontend import MnFrontEnd
from oido.training.head import Dense, EmbeddingHead
from tests.signal.sounds import noise, sine
from tests.signal.test_frontend_mn04 import models_folder

torch = pytest.importorskip("torch", reason="needs PyTorch: pip install 'oido[torch]'")
from oido.torch.base import EvidenceHead  # noqa: E402  # after the skip

MnLogMel = oido.torch.MnLogMel
YamNetLogMel = oido.torch.YamNetLogMel

PATCHES = {0: 1, 1: 1, 15_600: 1, 15_601: 2, 16_000: 2, 23_280: 2, 23_281: 3, 160_000: 20}


@pytest.fixture(scope="module")
def yamnet_ear(model):
    return Predictor.of(load_model(model.path, precision="float32"))


@pytest.fixture(scope="module")
def yamnet(model):
    return YamNetLogMel(model.network.graph.window)


def numpy_patches(ear, waveform, n_patches):
    padded = np.zeros((n_patches - 1) * 7_680 + 15_600, np.float32)
    padded[: len(waveform)] = waveform[: len(padded)]
    return ear.patches(padded, 7_680)


@pytest.mark.parametrize(("n_samples", "n_patches"), PATCHES.items())
def test_yamnet_patches_of_any_count(yamnet, yamnet_ear, n_samples, n_patches):
    waveform = noise(n_samples)
    patches = yamnet(torch.from_numpy(waveform))
    assert patches.shape == (n_patches, 96, 64)
    assert patches.dtype == torch.float32
    expected = numpy_patches(yamnet_ear, waveform, n_patches)
    np.testing.assert_allclose(patches.numpy(), expected, rtol=0, atol=2e-6)


def test_yamnet_equals_oidos_front_end(yamnet, yamnet_ear, sounds):
    for name, waveform in sounds(16_000).items():
        patches = yamnet(torch.from_numpy(waveform))
        expected = numpy_patches(yamnet_ear, waveform, len(patches))
        np.testing.assert_allclose(patches.numpy(), expected, rtol=0, atol=1e-5, err_msg=name)


def test_a_tone_needs_float64(yamnet, yamnet_ear, model):
    """Why the spectrum is computed in float64: else a tone's rounding is heard in all bands."""
    waveform = sine(440.0, 16_000, 15_600, 0.9).astype(np.float32)
    expected = numpy_patches(yamnet_ear, waveform, 1)
    narrow = YamNetLogMel(model.network.graph.window, torch.float32)

    def error(front_end):
        return np.abs(front_end(torch.from_numpy(waveform)).numpy() - expected).max()

    assert error(narrow) > 10 * error(yamnet)


@pytest.mark.parametrize("window", [514, 640, 801, 5_000, 31_999, 32_001])
def test_mn_patches_of_any_count(window):
    waveform = noise(window)
    patch = MnLogMel()(torch.from_numpy(waveform))
    expected = MnFrontEnd(MnFrontEndParams(window_samples=window)).patches(waveform, 320)
    assert patch.shape == expected.shape[1:3]
    assert patch.dtype == torch.float32
    np.testing.assert_allclose(patch.numpy(), expected[0, :, :, 0], rtol=0, atol=1e-6)


def test_mn_equals_oidos_front_end(sounds):
    for name, waveform in sounds(32_000).items():
        front_end = MnFrontEnd(MnFrontEndParams(window_samples=len(waveform)))
        expected = front_end.patches(waveform, 320)[0, :, :, 0]
        patch = MnLogMel()(torch.from_numpy(waveform)).numpy()
        np.testing.assert_allclose(patch, expected, rtol=0, atol=1e-5, err_msg=name)


@pytest.mark.parametrize("n_samples", [0, 1, 513])
def test_mn_puts_zeros_behind_what_is_too_short(n_samples):
    waveform = noise(n_samples)
    padded = np.pad(waveform, (0, 514 - n_samples))
    patch = MnLogMel()(torch.from_numpy(waveform))
    assert patch.shape == (128, 2)
    np.testing.assert_array_equal(patch.numpy(), MnLogMel()(torch.from_numpy(padded)).numpy())


@pytest.mark.parametrize("front_end", [YamNetLogMel(), MnLogMel()], ids=["yamnet", "mn"])
def test_a_batch_is_its_waveforms_one_by_one(front_end):
    batch = torch.from_numpy(noise(3 * 20_000).reshape(3, 20_000))
    together = front_end(batch)
    for waveform, patches in zip(batch, together):
        np.testing.assert_allclose(patches.numpy(), front_end(waveform).numpy(), atol=2e-6)


@pytest.mark.parametrize("front_end", [YamNetLogMel(), MnLogMel()], ids=["yamnet", "mn"])
def test_the_gradient_is_the_slope(front_end):
    """Along a random direction, against a central difference."""
    rng = np.random.default_rng(3)
    waveform = torch.from_numpy(noise(16_000)).requires_grad_()
    toward = torch.from_numpy(noise(16_000, seed=1))
    weights = torch.from_numpy(rng.standard_normal(front_end(waveform).shape).astype(np.float32))

    def total(x):
        return (front_end(x) * weights).double().sum()

    total(waveform).backward()
    slope = float((waveform.grad * toward).sum())
    with torch.no_grad():
        step = 1e-3
        measured = float(total(waveform + step * toward) - total(waveform - step * toward))
    assert abs(slope) > 1.0
    assert slope == pytest.approx(measured / (2 * step), rel=0.01)


@pytest.mark.parametrize("front_end", [YamNetLogMel(), MnLogMel()], ids=["yamnet", "mn"])
def test_silence_has_a_finite_gradient(front_end):
    waveform = torch.zeros(20_000, requires_grad=True)
    front_end(waveform).sum().backward()
    assert torch.isfinite(waveform.grad).all()


def test_a_window_of_another_length_is_refused():
    with pytest.raises(ModelFormatError, match="has 401 samples, and YAMNet's 400"):
        YamNetLogMel(np.zeros(401, np.float32))


def fitted_head(outputs, inputs, hidden=None, square_root=False, seed=0):
    """One of random weights: by `oido.training`, and the same as a module."""
    random = np.random.default_rng(seed)
    sizes = [inputs, *([hidden] if hidden else []), outputs]
    layers = tuple(
        Dense(
            random.normal(0, size**-0.5, (out, size)).astype(np.float32),
            random.normal(0, 1, out).astype(np.float32),
        )
        for size, out in pairwise(sizes)
    )
    names = tuple(f"class {n}" for n in range(outputs))
    head = EmbeddingHead(names, layers, "softmax", square_root)
    return head, EvidenceHead([(d.weights, d.bias) for d in layers], square_root)


@pytest.mark.parametrize("square_root", [False, True])
@pytest.mark.parametrize("hidden", [None, 7])
def test_a_fitted_head_scores_as_it_was_fitted(hidden, square_root):
    head, module = fitted_head(3, 20, hidden, square_root)
    x = np.random.default_rng(1).normal(0, 1, (50, 20)).astype(np.float32)
    x[:5] = 0.0
    rows = torch.from_numpy(x).requires_grad_()
    logits = module(rows.reshape(5, 10, 20)).reshape(50, 3)
    np.testing.assert_allclose(logits.detach().numpy(), head.logits(x), rtol=0, atol=1e-5)
    logits.sum().backward()
    assert torch.isfinite(rows.grad).all(), "the root's slope at 0 is finite"


@pytest.fixture(params=["yamnet", "mn04"])
def base_and_module(request, model):
    if request.param == "yamnet":
        base = load_model(model.path, precision="float32")
        return base, oido.torch.YamNet.from_pretrained(model.path)
    path = models_folder() / "mn04_as_mAP_432.pt"
    return load_model(path, window_seconds=1.0), oido.torch.Mn04.from_pretrained(path)


def test_evidence_is_what_litert_gives_a_head(base_and_module, sounds, tell):
    base, module = base_and_module
    predictor, size = Predictor.of(with_evidence(base)), base.windows.window_samples
    worst = 0.0
    for waveform in sounds(module.sample_rate_hz).values():
        window = np.resize(waveform, size).astype(np.float32)
        expected = predictor.predict(window, base.windows.hop_samples).embeddings
        with torch.inference_mode():
            evidence = module.evidence(torch.from_numpy(window)[None]).numpy()
        assert evidence.shape[-1] == module.evidence_dim
        worst = max(worst, float(np.abs(evidence.reshape(expected.shape) - expected).max()))
    tell(f"{type(module).__name__}: evidence differs from LiteRT's by {worst:.1e}")
    assert worst < 1e-4


def test_a_head_that_is_set_scores_and_learns(base_and_module, sounds):
    _, module = base_and_module
    assert module.classes in {521, 527}
    _, taught = fitted_head(3, module.evidence_dim)
    module.set_head(taught)
    waveform = torch.from_numpy(sounds(module.sample_rate_hz)["tone"])[None]
    with torch.inference_mode():
        heard, evidence = module(waveform), module.evidence(waveform)
        np.testing.assert_array_equal(heard.scores, torch.sigmoid(taught(evidence)))
        np.testing.assert_array_equal(heard.embeddings, module.embed(waveform))
        assert torch.equal(module.head(module.head_input(waveform)), module.logits(waveform))
    assert module.classes == 3
    module.unfreeze_last(1)
    assert all(p.requires_grad for p in taught.parameters())
    assert not any("taught" in name for name in getattr(module.weights(), "keys", tuple)())
    with pytest.raises(OptionError, match="20 numbers"):
        module.set_head(fitted_head(3, 20)[1])


def test_a_spectrum_of_float32_is_nearly_the_same(base_and_module):
    _, module = base_and_module
    waveform = torch.from_numpy(noise(module.sample_rate_hz, level=0.1))
    fast = module.front_end.in_float32()
    np.testing.assert_allclose(fast(waveform), module.front_end(waveform), rtol=0, atol=1e-3)
