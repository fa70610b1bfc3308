# SPDX-License-Identifier: Apache-2.0
"""The CED graph, front end and transformer, against the same written out in NumPy."""

from __future__ import annotations

import math

import numpy as np
import pytest
from ai_edge_litert.interpreter import Interpreter

from oido.errors import ModelFormatError, OptionError
from oido.models.networks.ced import name_of, network

BLOCKS, CLASSES, LONGEST = 12, 527, 63
SAMPLES = 16_000


def transformer_state(seed=0, size=192):
    """Weights of audiotransformer_tiny_mAP_4814.pt's names and shapes."""
    rng, state = np.random.default_rng(seed), {}

    def linear(name, out, into):
        state[f"{name}.weight"] = rng.standard_normal((out, into)) / np.sqrt(into)
        state[f"{name}.bias"] = rng.standard_normal(out) * 0.1

    def norm(name, n=size):
        state[f"{name}.weight"] = rng.uniform(0.5, 1.5, n)
        state[f"{name}.bias"] = rng.standard_normal(n) * 0.2

    norm("init_bn.1", 64)
    state["init_bn.1.running_mean"] = rng.normal(-30, 5, 64)
    state["init_bn.1.running_var"] = rng.uniform(100, 300, 64)
    state["patch_embed.proj.weight"] = rng.standard_normal((size, 1, 16, 16)) / 16
    state["patch_embed.proj.bias"] = rng.standard_normal(size) * 0.1
    state["time_pos_embed"] = rng.standard_normal((1, size, 1, LONGEST)) * 0.2
    state["freq_pos_embed"] = rng.standard_normal((1, size, 4, 1)) * 0.2
    for number in range(BLOCKS):
        name = f"blocks.{number}"
        norm(f"{name}.norm1")
        linear(f"{name}.attn.qkv", 3 * size, size)
        linear(f"{name}.attn.proj", size, size)
        norm(f"{name}.norm2")
        linear(f"{name}.mlp.fc1", 4 * size, size)
        linear(f"{name}.mlp.fc2", size, 4 * size)
    norm("norm")
    norm("outputlayer.0")
    linear("outputlayer.1", CLASSES, size)
    state["init_bn.1.num_batches_tracked"] = np.array(7)
    return {n: v.astype(np.float32) if v.ndim else v for n, v in state.items()}


def log_mel(waveform):
    """torchaudio's MelSpectrogram and AmplitudeToDB(top_db=120), f64[64, T]."""
    padded = np.pad(waveform.astype(np.float64), 256, mode="reflect")
    frames = np.lib.stride_tricks.sliding_window_view(padded, 512)[::160]
    hann = 0.5 - 0.5 * np.cos(2 * np.pi * np.arange(512) / 512)
    power = np.abs(np.fft.rfft(frames * hann, axis=1)) ** 2  # [T, 257]
    hz = np.linspace(0, 8_000, 257)
    highest = 2_595 * math.log10(1 + 8_000 / 700)
    points = 700 * (10 ** (np.linspace(0, highest, 66) / 2_595) - 1)
    weights = np.zeros((257, 64))
    for band in range(64):
        low, middle, high = points[band : band + 3]
        sides = (hz - low) / (middle - low), (high - hz) / (high - middle)
        weights[:, band] = np.maximum(0, np.minimum(*sides))
    decibels = 10 * np.log10(np.maximum(power @ weights, 1e-10)).T
    return np.maximum(decibels, decibels.max() - 120)


def reference(state, waveform, size=192):
    """Scores f64[527] and the embedding."""
    state = {name: values.astype(np.float64) for name, values in state.items()}
    erf = np.vectorize(math.erf)

    def linear(x, name):
        return x @ state[f"{name}.weight"].T + state[f"{name}.bias"]

    def norm(x, name, epsilon):
        y = x - x.mean(axis=-1, keepdims=True)
        y /= np.sqrt((y**2).mean(axis=-1, keepdims=True) + epsilon)
        return y * state[f"{name}.weight"] + state[f"{name}.bias"]

    image = log_mel(waveform)
    part = {
        p: state[f"init_bn.1.{p}"][:, None]
        for p in ("weight", "bias", "running_mean", "running_var")
    }
    image = (image - part["running_mean"]) / np.sqrt(part["running_var"] + 1e-5)
    image = image * part["weight"] + part["bias"]
    columns = image.shape[1] // 16
    pieces = image[:, : columns * 16].reshape(4, 16, columns, 16)  # bands first
    kernel = state["patch_embed.proj.weight"][:, 0]
    x = np.einsum("fitj,dij->dft", pieces, kernel) + state["patch_embed.proj.bias"][:, None, None]
    x += state["time_pos_embed"][0, :, :, :columns] + state["freq_pos_embed"][0]
    x = x.reshape(size, -1).T  # [patches, D]
    for number in range(BLOCKS):
        name, heads = f"blocks.{number}", size // 64
        qkv = linear(norm(x, f"{name}.norm1", 1e-6), f"{name}.attn.qkv")
        q, k, v = qkv.reshape(len(x), 3, heads, 64).transpose(1, 2, 0, 3)
        logits = q @ k.transpose(0, 2, 1) / 8
        shares = np.exp(logits - logits.max(axis=-1, keepdims=True))
        shares /= shares.sum(axis=-1, keepdims=True)
        mixed = (shares @ v).transpose(1, 0, 2).reshape(len(x), size)
        x = x + linear(mixed, f"{name}.attn.proj")
        inside = linear(norm(x, f"{name}.norm2", 1e-6), f"{name}.mlp.fc1")
        inside = inside * (1 + erf(inside / math.sqrt(2))) / 2
        x = x + linear(inside, f"{name}.mlp.fc2")
    embedding = norm(x, "norm", 1e-6).mean(axis=0)
    logits = linear(norm(embedding, "outputlayer.0", 1e-5), "outputlayer.1")
    return 1 / (1 + np.exp(-logits)), embedding


def run(content, waveform):
    interpreter = Interpreter(model_content=content, num_threads=1)
    interpreter.allocate_tensors()
    interpreter.set_tensor(interpreter.get_input_details()[0]["index"], waveform[None])
    interpreter.invoke()
    return [interpreter.get_tensor(d["index"])[0] for d in interpreter.get_output_details()]


@pytest.mark.parametrize(("name", "size"), [("tiny", 192), ("mini", 256)])
def test_equals_the_layers_in_numpy(name, size):
    state = transformer_state(size, size)
    content = network(state, SAMPLES)
    assert name_of(state) == name
    rng = np.random.default_rng(2)
    loud = rng.normal(0, 0.2, SAMPLES)
    quiet = np.where(np.arange(SAMPLES) < 4_000, loud, 0)  # what lies 120 dB below is cut off
    for sound in (loud, quiet):
        waveform = sound.astype(np.float32)
        scores, embedding = run(content, waveform)
        expected_scores, expected_embedding = reference(state, waveform, size)
        np.testing.assert_allclose(scores, expected_scores, atol=2e-4, rtol=0)
        np.testing.assert_allclose(embedding, expected_embedding, atol=2e-3, rtol=0)


def test_windows_that_are_not_possible_are_refused():
    state = transformer_state()
    with pytest.raises(OptionError, match="multiple of 160 samples, at least 2560"):
        network(state, 1_600)
    with pytest.raises(OptionError, match=r"is 10\.08 s at the most"):
        network(state, 11 * 16_000)


@pytest.mark.parametrize("name", ["time_pos_embed", "blocks.3.attn.qkv.weight", "norm.bias"])
def test_wrong_tensors_are_refused(name):
    state = transformer_state()
    with pytest.raises(ModelFormatError, match=f"not the weights of CED-tiny: {name} is"):
        network({n: v for n, v in state.items() if n != name}, SAMPLES)
    with pytest.raises(ModelFormatError, match=f"not the weights of CED-tiny: {name} is"):
        network({**state, name: state[name][..., None]}, SAMPLES)


def test_other_sizes_are_refused():
    state = transformer_state(size=128)
    with pytest.raises(ModelFormatError, match=r"CED-tiny \(192\) and CED-mini \(256\)"):
        network(state, SAMPLES)
