# SPDX-License-Identifier: Apache-2.0
"""EfficientAT's mn04_as and its wider sisters (MIT licence) as float TensorFlow Lite graphs.

MobileNetV3-large (Howard et al. 2019, table 1) with 0.4 of the channels, or with another share of
them (mn10: all), over a log-mel image of 128 bands; trained on AudioSet by Schmid, Koutini and
Widmer ("Efficient large-scale audio tagging via transformer-to-CNN knowledge distillation", 2023),
mAP 0.432 (mn10: 0.471). The 527 classes are in the order of AudioSet's class_labels_indices.csv.
Batch-norm is folded into the convolutions in float64.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Literal, NamedTuple

import numpy as np
from numpy.typing import NDArray

from oido.arrays import F32, F64
from oido.errors import ModelFormatError, OptionError
from oido.messages import tr
from oido.models.tflite.builder import GraphWriter

LABEL_COUNT = 527
"""Classes, in the order of AudioSet's class_labels_indices.csv."""
EMBEDDING_SIZE = 384
MEL_BANDS = 128

HIDDEN = 512
STEM = 8
BATCH_NORM_EPSILON = 0.001

Activation = Literal["none", "relu", "hard-swish"]


class InvertedResidual(NamedTuple):
    """One inverted residual: channels inside (expanded), channels out; squeeze 0 is none."""

    kernel: int
    expanded: int
    out: int
    squeeze: int
    activation: Activation
    stride: int


_TABLE: tuple[tuple[int, int, int, bool, Activation, int], ...] = (
    (3, 16, 16, False, "relu", 1),
    (3, 64, 24, False, "relu", 2),
    (3, 72, 24, False, "relu", 1),
    (5, 72, 40, True, "relu", 2),
    (5, 120, 40, True, "relu", 1),
    (5, 120, 40, True, "relu", 1),
    (3, 240, 80, False, "hard-swish", 2),
    (3, 200, 80, False, "hard-swish", 1),
    (3, 184, 80, False, "hard-swish", 1),
    (3, 184, 80, False, "hard-swish", 1),
    (3, 480, 112, True, "hard-swish", 1),
    (3, 672, 112, True, "hard-swish", 1),
    (5, 672, 160, True, "hard-swish", 2),
    (5, 960, 160, True, "hard-swish", 1),
    (5, 960, 160, True, "hard-swish", 1),
)
"""Of all channels: kernel, channels inside, channels out, whether they are squeezed, …, stride."""

WIDTHS = (0.4, 0.1, 0.2, 0.5, 0.6, 1.0, 2.0, 3.0, 4.0)
"""Shares of the channels with which such networks are published; the first is mn04's."""


def divisible(channels: float) -> int:
    """The nearest multiple of 8, but never more than a tenth below (MobileNet's rule)."""
    nearest = max(8, int(channels + 4) // 8 * 8)
    return nearest + 8 if nearest < 0.9 * channels else nearest


def blocks(width: float) -> tuple[InvertedResidual, ...]:
    """The inverted residuals at a share of the channels."""
    made = []
    for kernel, expanded, out, is_squeezed, activation, stride in _TABLE:
        inside = divisible(expanded * width)
        squeeze = divisible(inside // 4) if is_squeezed else 0
        each = InvertedResidual(kernel, inside, divisible(out * width), squeeze, activation, stride)
        made.append(each)
    return tuple(made)


BLOCKS = blocks(WIDTHS[0])


def width_of(state: Mapping[str, NDArray[Any]], first: str, last: str) -> float:
    """The share of the channels, by the first convolution and the last; mn04's if none fits."""
    found = [state[name].shape[:1] if name in state else () for name in (first, last)]
    for width in WIDTHS:
        if found == [(divisible(16 * width),), (6 * divisible(160 * width),)]:
            return width
    return WIDTHS[0]


def _width(state: Mapping[str, NDArray[Any]]) -> float:
    return width_of(state, "features.0.0.weight", f"features.{len(_TABLE) + 1}.0.weight")


def name_of(state: Mapping[str, NDArray[Any]]) -> str:
    """As it is published: mn04, mn10, …"""
    return f"mn{round(10 * _width(state)):02}"


def network(
    state: Mapping[str, NDArray[Any]],
    frames: int,
    output: Literal["sigmoid", "softmax"] = "sigmoid",
) -> bytes:
    """The .tflite for patches of ``frames`` frames: f32[N, 128, frames, 1] → scores, embedding.

    state: the tensors of mn04_as_mAP_432.pt, or of another width's file, by their PyTorch names
    (`read_state_dict`). Outputs: scores f32[N, classes] after the sigmoid (or the softmax, as
    ``output`` says, for one class out of all), and the embedding f32[N, 384 (mn10: 960)], the mean
    over bands and frames before the head. N is free; ``frames`` is fixed in the file.

    Raises ModelFormatError for tensors that are missing, of another shape, or not finite.
    """
    if frames < 1:
        raise OptionError(tr("a patch has at least 1 frame, not {frames}", frames=frames))
    width, name = _width(state), f"{name_of(state)}_as"
    net = LayerWriter(state, GraphWriter(f"EfficientAT {name}, {frames} frames"), name)
    writer = net.writer
    x = writer.input("log_mel", (1, MEL_BANDS, frames, 1))
    x = net.conv(
        x, "features.0", divisible(16 * width), kernel=3, stride=2, activation="hard-swish"
    )
    for number, block in enumerate(blocks(width), start=1):
        x = net.block(x, f"features.{number}.block", block)
    embedded = 6 * divisible(160 * width)
    x = net.conv(x, f"features.{len(_TABLE) + 1}", embedded, activation="hard-swish")
    embedding = writer.mean(x)
    hidden = net.dense(embedding, "classifier.2", divisible(1280 * width))
    logits = net.dense(writer.hard_swish(hidden), "classifier.5", classes_of(state, name))
    scores = writer.softmax(logits) if output == "softmax" else writer.sigmoid(logits)
    return writer.finish([scores, embedding])


def classes_of(
    state: Mapping[str, NDArray[Any]], name: str, bias_name: str = "classifier.5.bias"
) -> int:
    """527 as published; a head that was trained anew may have any number."""
    bias = state.get(bias_name)
    if bias is None or bias.ndim != 1 or not len(bias):
        raise ModelFormatError(
            tr(
                "these are not the weights of {name}: {bias_name} is missing",
                name=name,
                bias_name=bias_name,
            )
        )
    return len(bias)


class LayerWriter:
    """A writer that finds each layer's tensors by PyTorch's names, and pads as PyTorch does.

    name: of the network, for messages.
    """

    def __init__(self, state: Mapping[str, NDArray[Any]], writer: GraphWriter, name: str) -> None:
        self._state, self._name = state, name
        self.writer = writer

    def block(
        self, x: int, name: str, block: InvertedResidual, stride: tuple[int, int] | None = None
    ) -> int:
        """Expand, filter each channel, squeeze and excite, project; add the input if it fits.

        stride: over bands and frames, in place of the block's own.
        """
        strides = (block.stride, block.stride) if stride is None else stride
        before, channels = x, self.writer.shape(x)[-1]
        names = (f"{name}.{part}" for part in range(4))
        if block.expanded != channels:
            x = self.conv(x, next(names), block.expanded, activation=block.activation)
        x = self.conv(
            x,
            next(names),
            block.expanded,
            kernel=block.kernel,
            stride=strides,
            activation=block.activation,
            depthwise=True,
        )
        if block.squeeze:
            x = self.excite(x, f"{next(names)}.conc_se_layers.0", block.squeeze)
        x = self.conv(x, next(names), block.out)
        fits = strides == (1, 1) and block.out == channels
        return self.writer.add(x, before) if fits else x

    def conv(
        self,
        x: int,
        name: str,
        out: int,
        *,
        kernel: int = 1,
        stride: int | tuple[int, int] = 1,
        activation: Activation = "none",
        depthwise: bool = False,
    ) -> int:
        """Convolution without bias (or of each channel by itself), batch-norm, activation."""
        inputs = 1 if depthwise else self.writer.shape(x)[-1]
        weights, bias = self.fold_batch_norm(
            self.tensor(f"{name}.0.weight", (out, inputs, kernel, kernel)), f"{name}.1"
        )
        x, same = self._pad(x, kernel, stride)
        x = self.writer.conv(
            x,
            # [out, height, width, in], or [1, height, width, channels]
            weights.transpose((1, 2, 3, 0) if depthwise else (0, 2, 3, 1)),
            bias,
            stride=stride,
            activation="relu" if activation == "relu" else "none",
            same_padding=same,
            depthwise=depthwise,
        )
        return self.writer.hard_swish(x) if activation == "hard-swish" else x

    def excite(self, x: int, name: str, squeeze: int) -> int:
        """Squeeze and excitation: each channel times a gate made from the means of all channels."""
        writer, channels = self.writer, self.writer.shape(x)[-1]
        gate = writer.mean(x, keep_dims=True)  # [N, 1, 1, channels]
        for layer, sides in (("fc1", (squeeze, channels)), ("fc2", (channels, squeeze))):
            weights = self.tensor(f"{name}.{layer}.weight", sides).astype(np.float32)
            bias = self.tensor(f"{name}.{layer}.bias", sides[:1]).astype(np.float32)
            activation: Literal["relu", "none"] = "relu" if layer == "fc1" else "none"
            gate = writer.conv(gate, weights[:, None, None, :], bias, activation=activation)
        return writer.multiply(x, writer.sigmoid(gate))

    def dense(self, x: int, name: str, out: int) -> int:
        """A linear layer with bias."""
        weights = self.tensor(f"{name}.weight", (out, self.writer.shape(x)[-1]))
        bias = self.tensor(f"{name}.bias", (out,))
        return self.writer.dense(x, weights.astype(np.float32), bias.astype(np.float32))

    def _pad(self, x: int, kernel: int, stride: int | tuple[int, int]) -> tuple[int, bool]:
        """The input, and whether SAME pads as PyTorch does: with a stride it favours the end."""
        if stride in (1, (1, 1)):
            return x, True
        edge = ((kernel - 1) // 2, (kernel - 1) // 2)
        return self.writer.pad(x, (0, 0), edge, edge, (0, 0)), False

    def fold_batch_norm(self, weights: F64, name: str) -> tuple[F32, F32]:
        """Weights f64[out, …] with the batch-norm behind them folded in, and the bias [out]."""
        norm = {
            part: self.tensor(f"{name}.{part}", weights.shape[:1])
            for part in ("weight", "bias", "running_mean", "running_var")
        }
        if (norm["running_var"] < 0.0).any():
            raise ModelFormatError(tr("the variance {name}.running_var is negative", name=name))
        scale = norm["weight"] / np.sqrt(norm["running_var"] + BATCH_NORM_EPSILON)
        folded = weights * scale.reshape(-1, *(1,) * (weights.ndim - 1))
        bias = norm["bias"] - norm["running_mean"] * scale
        return folded.astype(np.float32), bias.astype(np.float32)

    def tensor(self, name: str, shape: tuple[int, ...]) -> F64:
        """One tensor as float64, after checking that it is there, of this shape, and finite."""
        values = self._state.get(name)
        ours = tr("these are not the weights of {name}", name=self._name)
        if values is None:
            raise ModelFormatError(tr("{ours}: {name} is missing", ours=ours, name=name))
        if values.shape != shape or values.dtype.kind != "f":
            raise ModelFormatError(
                tr(
                    "{ours}: {name} is {dtype}{shape}, not float32{shape_2}",
                    ours=ours,
                    name=name,
                    dtype=values.dtype,
                    shape=list(values.shape),
                    shape_2=list(shape),
                )
            )
        if not np.isfinite(values).all():
            raise ModelFormatError(
                tr("the weights {name} have values that are not finite", name=name)
            )
        return values.astype(np.float64)
