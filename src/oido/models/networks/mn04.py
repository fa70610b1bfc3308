# SPDX-License-Identifier: Apache-2.0
"""EfficientAT's mn04_as (MIT licence) as a float TensorFlow Lite graph.

MobileNetV3-large (Howard et al. 2019, table 1) with 0.4 of the channels, over a log-mel image of
128 bands; trained on AudioSet by Schmid, Koutini and Widmer ("Efficient large-scale audio tagging
via transformer-to-CNN knowledge distillation", 2023), mAP 0.432. The 527 classes are in the order
of AudioSet's class_labels_indices.csv. Batch-norm is folded into the convolutions in float64.
"""

from __future__ import annotations

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


BLOCKS = (
    InvertedResidual(3, 8, 8, 0, "relu", 1),
    InvertedResidual(3, 24, 16, 0, "relu", 2),
    InvertedResidual(3, 32, 16, 0, "relu", 1),
    InvertedResidual(5, 32, 16, 8, "relu", 2),
    InvertedResidual(5, 48, 16, 16, "relu", 1),
    InvertedResidual(5, 48, 16, 16, "relu", 1),
    InvertedResidual(3, 96, 32, 0, "hard-swish", 2),
    InvertedResidual(3, 80, 32, 0, "hard-swish", 1),
    InvertedResidual(3, 72, 32, 0, "hard-swish", 1),
    InvertedResidual(3, 72, 32, 0, "hard-swish", 1),
    InvertedResidual(3, 192, 48, 48, "hard-swish", 1),
    InvertedResidual(3, 272, 48, 72, "hard-swish", 1),
    InvertedResidual(5, 272, 64, 72, "hard-swish", 2),
    InvertedResidual(5, 384, 64, 96, "hard-swish", 1),
    InvertedResidual(5, 384, 64, 96, "hard-swish", 1),
)


def network(
    state: dict[str, NDArray[Any]], frames: int, output: Literal["sigmoid", "softmax"] = "sigmoid"
) -> bytes:
    """The .tflite for patches of ``frames`` frames: f32[N, 128, frames, 1] → scores, embedding.

    state: the tensors of mn04_as_mAP_432.pt by their PyTorch names (`read_state_dict`).
    Outputs: scores f32[N, classes] after the sigmoid (or the softmax, as ``output`` says, for one
    class out of all), and the embedding f32[N, 384], the mean over bands and frames before the
    head. N is free; ``frames`` is fixed in the file.

    Raises ModelFormatError for tensors that are missing, of another shape, or not finite.
    """
    if frames < 1:
        raise OptionError(tr("a patch has at least 1 frame, not {frames}", frames=frames))
    net = _Network(state, GraphWriter(f"EfficientAT mn04_as, {frames} frames"))
    writer = net.writer
    x = writer.input("log_mel", (1, MEL_BANDS, frames, 1))
    x = net.conv(x, "features.0", STEM, kernel=3, stride=2, activation="hard-swish")
    for number, block in enumerate(BLOCKS, start=1):
        x = net.block(x, f"features.{number}.block", block)
    x = net.conv(x, f"features.{len(BLOCKS) + 1}", EMBEDDING_SIZE, activation="hard-swish")
    embedding = writer.mean(x)
    hidden = writer.hard_swish(net.dense(embedding, "classifier.2", HIDDEN))
    logits = net.dense(hidden, "classifier.5", _classes(state))
    scores = writer.softmax(logits) if output == "softmax" else writer.sigmoid(logits)
    return writer.finish([scores, embedding])


def _classes(state: dict[str, NDArray[Any]]) -> int:
    """527 as published; a head that was trained anew may have any number."""
    bias = state.get("classifier.5.bias")
    if bias is None or bias.ndim != 1 or not len(bias):
        raise ModelFormatError(
            tr("these are not the weights of mn04_as: classifier.5.bias is missing")
        )
    return len(bias)


class _Network:
    """A writer that finds each layer's tensors by PyTorch's names, and pads as PyTorch does."""

    def __init__(self, state: dict[str, NDArray[Any]], writer: GraphWriter) -> None:
        self._state = state
        self.writer = writer

    def block(self, x: int, name: str, block: InvertedResidual) -> int:
        """Expand, filter each channel, squeeze and excite, project; add the input if it fits."""
        before, channels = x, self.writer.shape(x)[-1]
        names = (f"{name}.{part}" for part in range(4))
        if block.expanded != channels:
            x = self.conv(x, next(names), block.expanded, activation=block.activation)
        x = self.conv(
            x,
            next(names),
            block.expanded,
            kernel=block.kernel,
            stride=block.stride,
            activation=block.activation,
            depthwise=True,
        )
        if block.squeeze:
            x = self.excite(x, f"{next(names)}.conc_se_layers.0", block.squeeze)
        x = self.conv(x, next(names), block.out)
        fits = block.stride == 1 and block.out == channels
        return self.writer.add(x, before) if fits else x

    def conv(
        self,
        x: int,
        name: str,
        out: int,
        *,
        kernel: int = 1,
        stride: int = 1,
        activation: Activation = "none",
        depthwise: bool = False,
    ) -> int:
        """Convolution without bias (or of each channel by itself), batch-norm, activation."""
        inputs = 1 if depthwise else self.writer.shape(x)[-1]
        weights, bias = self._fold_batch_norm(name, (out, inputs, kernel, kernel))
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
            weights = self._tensor(f"{name}.{layer}.weight", sides).astype(np.float32)
            bias = self._tensor(f"{name}.{layer}.bias", sides[:1]).astype(np.float32)
            activation: Literal["relu", "none"] = "relu" if layer == "fc1" else "none"
            gate = writer.conv(gate, weights[:, None, None, :], bias, activation=activation)
        return writer.multiply(x, writer.sigmoid(gate))

    def dense(self, x: int, name: str, out: int) -> int:
        """A linear layer with bias."""
        weights = self._tensor(f"{name}.weight", (out, self.writer.shape(x)[-1]))
        bias = self._tensor(f"{name}.bias", (out,))
        return self.writer.dense(x, weights.astype(np.float32), bias.astype(np.float32))

    def _pad(self, x: int, kernel: int, stride: int) -> tuple[int, bool]:
        """The input, and whether SAME pads as PyTorch does: with a stride it favours the end."""
        if stride == 1:
            return x, True
        edge = ((kernel - 1) // 2, (kernel - 1) // 2)
        return self.writer.pad(x, (0, 0), edge, edge, (0, 0)), False

    def _fold_batch_norm(self, name: str, shape: tuple[int, ...]) -> tuple[F32, F32]:
        """Weights of ``shape`` with the batch-norm behind them folded in, and the bias [out]."""
        weights = self._tensor(f"{name}.0.weight", shape)
        norm = {
            part: self._tensor(f"{name}.1.{part}", shape[:1])
            for part in ("weight", "bias", "running_mean", "running_var")
        }
        if (norm["running_var"] < 0.0).any():
            raise ModelFormatError(tr("the variance {name}.1.running_var is negative", name=name))
        scale = norm["weight"] / np.sqrt(norm["running_var"] + BATCH_NORM_EPSILON)
        folded = weights * scale[:, None, None, None]
        bias = norm["bias"] - norm["running_mean"] * scale
        return folded.astype(np.float32), bias.astype(np.float32)

    def _tensor(self, name: str, shape: tuple[int, ...]) -> F64:
        """One tensor as float64, after checking that it is there, of this shape, and finite."""
        values = self._state.get(name)
        if values is None:
            raise ModelFormatError(
                tr("these are not the weights of mn04_as: {name} is missing", name=name)
            )
        if values.shape != shape or values.dtype.kind != "f":
            raise ModelFormatError(
                tr(
                    "these are not the weights of mn04_as: {name} is {dtype}{shape}, "
                    "not float32{shape_2}",
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
