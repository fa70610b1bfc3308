# SPDX-License-Identifier: Apache-2.0
"""Students: small depthwise-separable networks on log-mel patches, written as int8 graphs.

The plan is that of DS-CNN (Zhang et al., Hello Edge: keyword spotting on microcontrollers, 2017):
a convolution, pairs of a depthwise and a pointwise one, the mean over the image, a dense layer.
Padding is TensorFlow's; behind every convolution stands a ReLU, and batch normalisation is folded.
"""

from __future__ import annotations

from typing import NamedTuple

from oido.arrays import F32
from oido.errors import OptionError
from oido.heads import OutputKind
from oido.messages import tr
from oido.models.tflite.int8_writer import Int8Writer, Steps
from oido.params import FixedPointParams

FIRST_CHANNELS = 32
BLOCKS = ((64, 2), (96, 1), (96, 2), (128, 1), (128, 1), (128, 1))
"""Channels and stride of each pair; the first convolution has a stride of 2, too."""
DIM = BLOCKS[-1][0]
"""Numbers that the dense layer makes scores of."""

MOST_WEIGHTS = 100_000
INPUT_STEPS = Steps(1 / 128, -128)
"""An octave above silence is 1/8, so that 16 of them are 2."""


class FoldedConv(NamedTuple):
    """weights: as TensorFlow Lite has them. largest: what its ReLU gives, at most or nearly so."""

    weights: F32
    bias: F32
    stride: int
    depthwise: bool
    largest: float


class StudentWeights(NamedTuple):
    """convs: in order; head: f32[C, DIM], f32[C]. logits: the least and the largest of them."""

    convs: tuple[FoldedConv, ...]
    head_weights: F32
    head_bias: F32
    logits: tuple[float, float]

    @property
    def size(self) -> int:
        """Weights and biases in all."""
        arrays = [array for conv in self.convs for array in (conv.weights, conv.bias)]
        return sum(array.size for array in (*arrays, self.head_weights, self.head_bias))


def require_small(classes: int) -> None:
    """Raise OptionError for more classes than a student has weights for."""
    inputs, body = FIRST_CHANNELS, 9 * FIRST_CHANNELS + FIRST_CHANNELS
    for channels, _ in BLOCKS:
        body += 9 * inputs + inputs + inputs * channels + channels
        inputs = channels
    most = (MOST_WEIGHTS - body) // (DIM + 1)
    if classes > most:
        raise OptionError(
            tr("a student has {most} classes at most, not {classes}", most=most, classes=classes)
        )


def network(weights: StudentWeights, params: FixedPointParams, output: OutputKind) -> bytes:
    """The graph: patch i8[1, frames, bands, 1] in, scores i8[1, C] out; without metadata."""
    writer = Int8Writer("student")
    shape = (1, params.patch_frames, params.bands, 1)
    x = writer.int8_input("features", shape, INPUT_STEPS)
    for conv in weights.convs:
        x = writer.int8_conv(
            x,
            conv.weights,
            conv.bias,
            Steps.up_to(conv.largest),
            stride=conv.stride,
            depthwise=conv.depthwise,
        )
    steps = Steps.between(*weights.logits)
    logits = writer.int8_dense(writer.int8_pool(x), weights.head_weights, weights.head_bias, steps)
    return writer.finish({"scores": writer.int8_scores(logits, output)})
