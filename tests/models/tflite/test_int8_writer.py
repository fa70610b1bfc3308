# SPDX-License-Identifier: Apache-2.0
"""int8 operators run by LiteRT, by both kinds of kernels, beside the same sums in float64."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from oido.models.tflite.int8_writer import SCORES, Int8Writer, Steps
from oido.models.tflite.packing import constant_values, unpack
from oido.runtime.litert import WholeRuntime

DICE = np.random.default_rng(0)
INPUT = Steps(1 / 64, -128)


def run(content: bytes, x: Any) -> tuple[Any, Any]:
    """Scores by the reference kernels, and by the default ones."""
    plain, default = (
        WholeRuntime(content, reference=reference).run(x[None]).scores[0]
        for reference in (True, False)
    )
    return plain, default


def float_conv(x: Any, weights: Any, bias: Any, stride: int, depthwise: bool) -> Any:
    """TensorFlow's SAME padding, then ReLU; x [height, width, in]."""
    out, size = weights.shape[3 if depthwise else 0], weights.shape[1]
    sides = [-(-side // stride) for side in x.shape[:2]]
    missing = [max(0, (n - 1) * stride + size - side) for n, side in zip(sides, x.shape)]
    padded = np.pad(x, [*((m // 2, m - m // 2) for m in missing), (0, 0)])
    found = np.zeros((*sides, out))
    for row in range(sides[0]):
        for column in range(sides[1]):
            part = padded[row * stride :, column * stride :][:size, :size]
            if depthwise:
                found[row, column] = (part * weights[0]).sum(axis=(0, 1))
            else:
                found[row, column] = (part * weights).sum(axis=(1, 2, 3))
    return np.maximum(found + bias, 0)


@pytest.mark.parametrize("depthwise", [False, True])
@pytest.mark.parametrize("stride", [1, 2])
@pytest.mark.parametrize("sides", [(8, 6), (7, 5)])
def test_a_convolution_is_the_float_one_within_a_step(
    depthwise: bool, stride: int, sides: tuple[int, int]
) -> None:
    shape = (1, 3, 3, 4) if depthwise else (5, 3, 3, 4)
    weights = DICE.normal(0, 0.3, shape).astype(np.float32)
    weights *= np.geomspace(0.05, 2, shape[3 if depthwise else 0]).reshape(
        (1, 1, 1, -1) if depthwise else (-1, 1, 1, 1)
    )  # which one scale for all channels would not stand
    bias = DICE.normal(0, 0.2, 4 if depthwise else 5).astype(np.float32)
    x = DICE.integers(-128, 128, (1, *sides, 4)).astype(np.int8)
    real = (x[0].astype(np.float64) + 128) / 64
    expected = float_conv(real, weights, bias, stride, depthwise)
    writer = Int8Writer("conv")
    entry = writer.int8_input("x", (1, *sides, 4), INPUT)
    steps = Steps.up_to(float(expected.max()))
    image = writer.int8_conv(entry, weights, bias, steps, stride=stride, depthwise=depthwise)
    content = writer.finish([image])
    for found in run(content, x[0]):
        # A weight is off by half a step of its channel at most, an output by half of its own.
        size = np.prod(weights.shape[1:3]) * (1 if depthwise else 4)
        scale = np.abs(weights).max(axis=(0, 1, 2) if depthwise else (1, 2, 3)) / 127
        allowed = size * 4 * scale / 2 + 1.01 * steps.scale
        assert (np.abs(found.reshape(expected.shape) - expected) <= allowed).all()


def test_pool_dense_and_scores() -> None:
    x = DICE.integers(-128, 128, (1, 3, 5, 8)).astype(np.int8)
    weights = DICE.normal(0, 1, (3, 8)).astype(np.float32)
    bias = np.array([0.5, -0.5, 0], np.float32)
    pooled = ((x[0].astype(np.float64) + 128) / 64).mean(axis=(0, 1))
    logits = weights @ pooled + bias
    powers = np.exp(logits - logits.max())
    for kind, expected in (
        ("softmax", powers / powers.sum()),
        ("sigmoid", 1 / (1 + np.exp(-logits))),
    ):
        writer = Int8Writer("head")
        entry = writer.int8_input("x", (1, 3, 5, 8), INPUT)
        steps = Steps.between(float(logits.min()) - 1, float(logits.max()) + 1)
        dense = writer.int8_dense(writer.int8_pool(entry), weights, bias, steps)
        content = writer.finish({"scores": writer.int8_scores(dense, kind)})
        for found in run(content, x[0]):
            np.testing.assert_allclose(found, expected, atol=0.04)
        _, graph = unpack(content)
        output = graph.tensors[graph.outputs[0]].quantization
        assert (float(output.scale[0]), int(output.zeroPoint[0])) == SCORES


def test_weights_are_symmetric_and_biases_of_both_scales() -> None:
    writer = Int8Writer("one")
    entry = writer.int8_input("x", (1, 2, 2, 1), INPUT)
    weights = np.array([[[[2.0]]], [[[-0.5]]]], np.float32)
    image = writer.int8_conv(entry, weights, np.array([1.0, 2.0], np.float32), Steps.up_to(8.0))
    model, graph = unpack(writer.finish([image]))
    [conv] = graph.operators
    constants = [graph.tensors[t] for t in conv.inputs[1:]]
    assert constant_values(model, constants[0]).ravel().tolist() == [127, -127]
    np.testing.assert_allclose(constants[0].quantization.scale, [2 / 127, 0.5 / 127], rtol=1e-6)
    assert constants[0].quantization.zeroPoint.tolist() == [0, 0]
    scales = np.array([2, 0.5]) / 127 / 64
    assert constant_values(model, constants[1]).tolist() == np.round([1, 2] / scales).tolist()


def test_steps_hold_zero_and_both_ends() -> None:
    np.testing.assert_allclose(Steps.up_to(2.55), (0.01, -128))
    steps = Steps.between(-3.0, 7.2)
    ends = [steps.scale * (n - steps.zero) for n in (-128, 127)]
    np.testing.assert_allclose(ends, [-3.0, 7.2], atol=steps.scale)
    assert Steps.between(2.0, 5.1).zero == -128
    assert Steps.up_to(0.0).scale > 0
