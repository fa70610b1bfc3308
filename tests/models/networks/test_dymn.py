# SPDX-License-Identifier: Apache-2.0
"""The dymn graph against the layers written out in NumPy (Schmid et al. 2023, equations 1 to 6)."""

from __future__ import annotations

import numpy as np
import pytest

from oido.errors import ModelFormatError, OptionError
from oido.models.networks.dymn import name_of, network
from oido.models.networks.mn04 import LABEL_COUNT
from tests.models.networks.test_mn04 import channels, hard_swish, relu, rows, run, sigmoid


def dynamic_state(seed=0, width=0.4):
    """Weights of dymn04_as.pt's names and shapes."""
    rng, state = np.random.default_rng(seed), {}

    def norm(name, size):
        state[f"{name}.weight"] = rng.uniform(0.5, 1.5, size)
        state[f"{name}.bias"] = rng.standard_normal(size) * 0.3
        state[f"{name}.running_mean"] = rng.standard_normal(size) * 0.3
        state[f"{name}.running_var"] = rng.uniform(1.0, 3.0, size)

    def linear(name, out, into):
        state[f"{name}.weight"] = rng.standard_normal((out, into)) / np.sqrt(into)
        state[f"{name}.bias"] = rng.standard_normal(out) * 0.5

    def kernels(name, context, *shape):
        scale = np.sqrt(2.0 / np.prod(shape[1:]))
        state[f"{name}.weight"] = rng.standard_normal((1, 1, 4, int(np.prod(shape)))) * scale
        linear(f"{name}.residuals.0", 4, context)

    def conv(name, *shape):
        state[f"{name}.0.weight"] = rng.standard_normal(shape) * np.sqrt(2 / np.prod(shape[1:]))
        norm(f"{name}.1", shape[0])

    conv("in_c", channels(16, width), 1, 3, 3)
    for number, (before, (kernel, inside, out, _, _, _)) in enumerate(rows(width)):
        name, size = f"layers.{number}", context_size(inside, width)
        if inside != before:
            kernels(f"{name}.exp_conv", size, inside, before, 1, 1)
            norm(f"{name}.exp_norm", inside)
        kernels(f"{name}.depth_conv", size, inside, 1, kernel, kernel)
        norm(f"{name}.depth_norm", inside)
        linear(f"{name}.depth_act.coef_net.0", 4 * inside, size)
        kernels(f"{name}.proj_conv", size, out, inside, 1, 1)
        norm(f"{name}.proj_norm", out)
        joint = rng.standard_normal((size, before, 1, 1)) / np.sqrt(before)
        state[f"{name}.context_gen.joint_conv.weight"] = joint
        norm(f"{name}.context_gen.joint_norm", size)
        for part in ("conv_f", "conv_t"):
            linear(f"{name}.context_gen.{part}", inside, size)
            state[f"{name}.context_gen.{part}.weight"].shape = (inside, size, 1, 1)
    embedded = 6 * channels(160, width)
    conv("out_c", embedded, channels(160, width), 1, 1)
    linear("classifier.2", channels(1280, width), embedded)
    linear("classifier.5", LABEL_COUNT, channels(1280, width))
    return {name: values.astype(np.float32) for name, values in state.items()}


def context_size(inside, width):
    least, most = channels(32, width), channels(128, width)
    return min(max(channels(inside // 4, 1.0), least), most)


def reference(state, patch, width=0.4):
    """Scores f64[527] and the embedding of one image f[128, frames]."""
    state = {name: values.astype(np.float64) for name, values in state.items()}

    def norm(x, name):
        part = {
            p: state[f"{name}.{p}"].reshape(-1, *(1,) * (x.ndim - 1))
            for p in ("weight", "bias", "running_mean", "running_var")
        }
        y = (x - part["running_mean"]) / np.sqrt(part["running_var"] + 0.001)
        return y * part["weight"] + part["bias"]

    def linear(x, name):
        return state[f"{name}.weight"].reshape(-1, len(x)) @ x + state[f"{name}.bias"]

    def conv(x, weights, stride=1):
        side = (weights.shape[2] - 1) // 2
        padded = np.pad(x, ((0, 0), (side, side), (side, side)))
        size = weights.shape[2:]
        views = np.lib.stride_tricks.sliding_window_view(padded, size, axis=(1, 2))
        views = views[:, ::stride, ::stride]
        each = weights.shape[1] == 1 and len(x) > 1
        sums = "chwij,cij->chw" if each else "chwij,ocij->ohw"
        return np.einsum(sums, views, weights[:, 0] if each else weights, optimize=True)

    def dynamic(x, context, name, shape, stride=1):
        logits = linear(context, f"{name}_conv.residuals.0")
        shares = np.exp(logits - logits.max())
        shares /= shares.sum()
        kernel = np.tensordot(shares, state[f"{name}_conv.weight"][0, 0], 1).reshape(shape)
        return norm(conv(x, kernel, stride), f"{name}_norm")

    def gate(sequence, name, stride):
        """f64[H, n] → f64[C, n / stride] of 0..1."""
        if stride > 1:
            padded = np.pad(sequence, ((0, 0), (1, 1)))
            means = (padded[:, :-2] + padded[:, 1:-1] + padded[:, 2:]) / 3
            sequence = means[:, ::stride]
        weights = state[f"{name}.weight"][:, :, 0, 0]
        return sigmoid(weights @ sequence + state[f"{name}.bias"][:, None])

    x = hard_swish(norm(conv(patch[None].astype(np.float64), state["in_c.0.weight"], 2), "in_c.1"))
    for number, (before, (kernel, inside, out, _, hard, stride)) in enumerate(rows(width)):
        name, n_bands = f"layers.{number}", x.shape[1]
        both = np.concatenate([x.mean(axis=2), x.mean(axis=1)], axis=1)  # [C, F + T]
        joint = state[f"{name}.context_gen.joint_conv.weight"][:, :, 0, 0] @ both
        both = hard_swish(norm(joint, f"{name}.context_gen.joint_norm"))
        context, y = both.mean(axis=1), x
        bands = gate(both[:, :n_bands], f"{name}.context_gen.conv_f", stride)
        frames = gate(both[:, n_bands:], f"{name}.context_gen.conv_t", stride)
        if inside != before:
            y = dynamic(y, context, f"{name}.exp", (inside, before, 1, 1))
            y = hard_swish(y) if hard else relu(y)
        y = dynamic(y, context, f"{name}.depth", (inside, 1, kernel, kernel), stride)
        theta = 2 * sigmoid(linear(context, f"{name}.depth_act.coef_net.0")) - 1
        a, c, b, d = theta.reshape(inside, 4).T[..., None, None] * 1.0
        y = np.maximum(y * (1 + a) + b / 2, y * c + d / 2)
        y = y * bands[:, :, None] * frames[:, None, :]
        y = dynamic(y, context, f"{name}.proj", (out, inside, 1, 1))
        x = x + y if stride == 1 and out == before else y
    x = hard_swish(norm(conv(x, state["out_c.0.weight"]), "out_c.1"))
    embedding = x.mean((1, 2))
    hidden = hard_swish(linear(embedding, "classifier.2"))
    return sigmoid(linear(hidden, "classifier.5")), embedding


@pytest.mark.parametrize(("width", "frames"), [(0.4, 33), (0.4, 64), (1.0, 21)])
def test_equals_the_layers_in_numpy(width, frames):
    """Of two windows by one interpreter: kernels that are mixed anew for each."""
    state = dynamic_state(1, width)
    content = network(state, frames)
    assert name_of(state) == f"dymn{round(10 * width):02}"
    rng = np.random.default_rng(frames)
    for _ in range(2):
        patch = rng.standard_normal((1, 128, frames, 1)).astype(np.float32)
        scores, embeddings = run(content, patch)
        expected_scores, expected_embedding = reference(state, patch[0, :, :, 0], width)
        np.testing.assert_allclose(scores[0], expected_scores, atol=2e-5, rtol=0)
        np.testing.assert_allclose(embeddings[0], expected_embedding, atol=1e-4, rtol=1e-3)


def test_the_kernels_depend_on_the_input():
    """Twice the input is not twice what comes of it, as it would be without any context."""
    state = dynamic_state()
    patch = np.random.default_rng(5).standard_normal((1, 128, 33, 1)).astype(np.float32)
    fixed = {n: np.zeros_like(v) if "residuals" in n else v for n, v in state.items()}
    own, same = run(network(state, 33), patch)[0], run(network(fixed, 33), patch)[0]
    assert np.abs(own - same).max() > 1e-3


@pytest.mark.parametrize(
    "name",
    ["layers.0.depth_conv.weight", "layers.4.context_gen.joint_norm.bias", "classifier.5.bias"],
)
def test_wrong_tensors_are_refused(name):
    state = dynamic_state()
    with pytest.raises(ModelFormatError, match=f"not the weights of dymn04_as: {name} is missing"):
        network({n: v for n, v in state.items() if n != name}, 33)
    infinite = state[name].copy()
    infinite.flat[0] = np.inf
    with pytest.raises(ModelFormatError, match="not finite"):
        network({**state, name: infinite}, 33)
    with pytest.raises(OptionError, match="at least 1 frame"):
        network(state, 0)
