# SPDX-License-Identifier: Apache-2.0
"""EfficientAT's dymn04_as and its wider sisters (MIT licence) as float TensorFlow Lite graphs.

The MobileNetV3 of `oido.models.networks.mn04` with convolutions that depend on the input (Schmid,
Koutini and Widmer, "Dynamic convolutional neural networks as efficient pre-trained audio models",
2023; mAP 0.450 with 0.4 of the channels). Of each block's input, means over frames and over bands
go through one layer, and from that come: a context vector, which mixes four kernels for each
convolution (by a softmax) and gives each channel two straight lines, the larger of which is its
activation; and a gate for each band and for each frame.

Kernels that are mixed are tensors of the graph, so the batch is one window. Nothing of this was
run with the published weights; tests compare it with the same layers written out in NumPy.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from oido.arrays import F32
from oido.errors import OptionError
from oido.messages import tr
from oido.models.networks.mn04 import (
    MEL_BANDS,
    InvertedResidual,
    LayerWriter,
    blocks,
    classes_of,
    divisible,
    width_of,
)
from oido.models.tflite.builder import GraphWriter

_KERNELS = 4
"""That a convolution mixes."""


def _width(state: Mapping[str, NDArray[Any]]) -> float:
    return width_of(state, "in_c.0.weight", "out_c.0.weight")


def name_of(state: Mapping[str, NDArray[Any]]) -> str:
    """As it is published: dymn04, dymn10, …"""
    return f"dymn{round(10 * _width(state)):02}"


def network(state: Mapping[str, NDArray[Any]], frames: int) -> bytes:
    """The .tflite of patches of ``frames`` frames: f32[1, 128, frames, 1] → scores, embedding.

    state: the tensors of dymn04_as.pt, or of another width's file, by their PyTorch names. Outputs:
    scores f32[1, classes] after the sigmoid, and the embedding f32[1, 384], the mean over bands and
    frames before the head. Raises ModelFormatError as `oido.models.networks.mn04.network`.
    """
    if frames < 1:
        raise OptionError(tr("a patch has at least 1 frame, not {frames}", frames=frames))
    width, name = _width(state), f"{name_of(state)}_as"
    writer = GraphWriter(f"EfficientAT {name}, {frames} frames", batch=False)
    net = _DynamicWriter(state, writer, name, width)
    x = writer.input("log_mel", (1, MEL_BANDS, frames, 1))
    x = net.conv(x, "in_c", divisible(16 * width), kernel=3, stride=2, activation="hard-swish")
    for number, block in enumerate(blocks(width)):
        x = net.dynamic_block(x, f"layers.{number}", block)
    x = net.conv(x, "out_c", 6 * divisible(160 * width), activation="hard-swish")
    embedding = writer.mean(x)
    hidden = net.dense(embedding, "classifier.2", divisible(1280 * width))
    logits = net.dense(writer.hard_swish(hidden), "classifier.5", classes_of(state, name))
    return writer.finish([writer.sigmoid(logits), embedding])


class _DynamicWriter(LayerWriter):
    """Adds blocks whose convolutions depend on the context that their input gives."""

    def __init__(
        self, state: Mapping[str, NDArray[Any]], writer: GraphWriter, name: str, width: float
    ) -> None:
        super().__init__(state, writer, name)
        self._smallest, self._largest = divisible(32 * width), divisible(128 * width)

    def dynamic_block(self, x: int, name: str, block: InvertedResidual) -> int:
        """Expand, filter each channel, gate, project; add the input if it fits."""
        writer, before, channels = self.writer, x, self.writer.shape(x)[-1]
        context, bands, frames = self._context(x, f"{name}.context_gen", block)
        if block.expanded != channels:
            x = self._dynamic_conv(x, context, f"{name}.exp", block.expanded)
            x = writer.hard_swish(x) if block.activation == "hard-swish" else writer.relu(x)
        x = self._dynamic_conv(
            x,
            context,
            f"{name}.depth",
            block.expanded,
            kernel=block.kernel,
            stride=block.stride,
            depthwise=True,
        )
        x = self._dynamic_relu(x, context, f"{name}.depth_act.coef_net.0")
        x = writer.multiply(writer.multiply(x, bands), frames)
        x = self._dynamic_conv(x, context, f"{name}.proj", block.out)
        fits = block.stride == 1 and block.out == channels
        return writer.add(x, before) if fits else x

    def _context(self, x: int, name: str, block: InvertedResidual) -> tuple[int, int, int]:
        """The context [1, H], and the gates of bands [1, F, 1, C] and of frames [1, 1, T, C]."""
        writer = self.writer
        size = min(max(divisible(block.expanded // 4), self._smallest), self._largest)
        n_bands, n_frames, channels = writer.shape(x)[1:]
        over_frames = writer.average(x, 2)  # [1, F, 1, channels]
        over_bands = writer.reshape(writer.average(x, 1), (1, n_frames, 1, channels))
        both = writer.one_after_another([over_frames, over_bands], axis=1)
        weights, bias = self.fold_batch_norm(
            self.tensor(f"{name}.joint_conv.weight", (size, channels, 1, 1)), f"{name}.joint_norm"
        )
        both = writer.hard_swish(writer.conv(both, weights.transpose(0, 2, 3, 1), bias))
        context = writer.reshape(writer.average(both, 1), (1, size))
        gates = []
        for part, start, count in (("conv_f", 0, n_bands), ("conv_t", n_bands, n_frames)):
            gate = writer.cut(both, (0, start, 0, 0), (1, count, 1, size))
            if block.stride > 1:  # the mean of three, zeros beside the ends
                padded = writer.pad(gate, (0, 0), (1, 1), (0, 0), (0, 0))
                gate = writer.average_pool(padded, (3, 1), (block.stride, 1))
            gates.append(self._layer(gate, f"{name}.{part}", block.expanded))
        bands, frames = gates
        frames = writer.reshape(frames, (1, 1, writer.shape(frames)[1], block.expanded))
        return context, bands, frames

    def _layer(self, x: int, name: str, out: int) -> int:
        """A convolution of one value with bias, and a sigmoid."""
        shape = (out, self.writer.shape(x)[-1], 1, 1)
        weights = self.tensor(f"{name}.weight", shape).astype(np.float32)
        bias = self.tensor(f"{name}.bias", (out,)).astype(np.float32)
        gate: int = self.writer.sigmoid(self.writer.conv(x, weights.transpose(0, 2, 3, 1), bias))
        return gate

    def _dynamic_conv(
        self,
        x: int,
        context: int,
        name: str,
        out: int,
        *,
        kernel: int = 1,
        stride: int = 1,
        depthwise: bool = False,
    ) -> int:
        """A convolution by the mean of four kernels that the context weighs, and batch-norm."""
        writer = self.writer
        inputs = 1 if depthwise else writer.shape(x)[-1]
        shape = (out, inputs, kernel, kernel)
        bank = self.tensor(f"{name}_conv.weight", (1, 1, _KERNELS, int(np.prod(shape))))
        rows, bias = [], np.zeros(0, np.float32)
        for each in bank.reshape(_KERNELS, *shape):
            folded, bias = self.fold_batch_norm(each, f"{name}_norm")
            order = (1, 2, 3, 0) if depthwise else (0, 2, 3, 1)
            rows.append(folded.transpose(order))
        shares = writer.softmax(self.dense(context, f"{name}_conv.residuals.0", _KERNELS))
        values: F32 = np.stack([row.reshape(-1) for row in rows], axis=1)  # [values, 4]
        mixed = writer.dense(shares, values, np.zeros(len(values), np.float32))
        filters = writer.reshape(mixed, rows[0].shape)
        x, same = self._pad(x, kernel, stride)
        return writer.conv_by(
            x, filters, bias, stride=stride, same_padding=same, depthwise=depthwise
        )

    def _dynamic_relu(self, x: int, context: int, name: str) -> int:
        """max(a x + b, c x + d), whose four numbers of each channel follow from the context."""
        writer, channels = self.writer, self.writer.shape(x)[-1]
        size = writer.shape(context)[-1]
        weights = self.tensor(f"{name}.weight", (4 * channels, size)).astype(np.float32)
        bias = self.tensor(f"{name}.bias", (4 * channels,)).astype(np.float32)
        lines = []
        for which in range(2):
            ends = []
            for part, scale, start in ((which, 1.0, 1.0 - which), (which + 2, 0.5, 0.0)):
                # 2 sigmoid(…) − 1, by its scale and from its start
                raw = writer.sigmoid(writer.dense(context, weights[part::4], bias[part::4]))
                scaled = writer.multiply(raw, writer.constant(np.array([2 * scale], np.float32)))
                ends.append(
                    writer.add(scaled, writer.constant(np.array([start - scale], np.float32)))
                )
            slope, offset = (writer.reshape(e, (1, 1, 1, channels)) for e in ends)
            lines.append(writer.add(writer.multiply(x, slope), offset))
        return writer.larger(*lines)
