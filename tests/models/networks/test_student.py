# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import numpy as np
import pytest

from oido.errors import OptionError
from oido.models.networks.student import (
    BLOCKS,
    DIM,
    FIRST_CHANNELS,
    MOST_WEIGHTS,
    FoldedConv,
    StudentWeights,
    network,
    require_small,
)
from oido.models.tflite.arena import arena_bytes
from oido.params import FixedPointParams
from oido.runtime.litert import WholeRuntime


def weights_of(classes: int) -> StudentWeights:
    dice = np.random.default_rng(0)

    def conv(shape: tuple[int, ...], stride: int = 1, depthwise: bool = False) -> FoldedConv:
        weights = dice.normal(0, 0.3, shape).astype(np.float32)
        bias = np.zeros(shape[3 if depthwise else 0], np.float32)
        return FoldedConv(weights, bias, stride, depthwise, 4.0)

    convs, inputs = [conv((FIRST_CHANNELS, 3, 3, 1), 2)], FIRST_CHANNELS
    for channels, stride in BLOCKS:
        convs += [conv((1, 3, 3, inputs), stride, True), conv((channels, 1, 1, inputs))]
        inputs = channels
    head = dice.normal(0, 0.1, (classes, DIM)).astype(np.float32)
    return StudentWeights(tuple(convs), head, np.zeros(classes, np.float32), (-4.0, 4.0))


def test_the_most_classes_are_those_that_the_weights_allow() -> None:
    most = next(n for n in range(1, 1_000) if weights_of(n + 1).size > MOST_WEIGHTS)
    require_small(most)
    with pytest.raises(OptionError, match=f"a student has {most} classes at most, not {most + 1}"):
        require_small(most + 1)


def test_a_graph_takes_patches_and_needs_its_two_largest_images() -> None:
    content = network(weights_of(5), FixedPointParams(), "sigmoid")
    patches = np.random.default_rng(1).integers(-128, 128, (3, 48, 40, 1)).astype(np.int8)
    scores = WholeRuntime(content).run(patches).scores
    assert scores.shape == (3, 5)
    assert ((scores >= 0) & (scores < 1)).all()
    first = 24 * 20 * FIRST_CHANNELS
    assert first + 48 * 40 <= arena_bytes(content) <= 2 * first
