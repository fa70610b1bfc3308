# SPDX-License-Identifier: Apache-2.0
"""YAMNet: its weights as float32, whatever file they came from, and the LiteRT graphs made of them.

The network is MobileNet v1 (tensorflow/models, research/audioset/yamnet/yamnet.py): a convolution,
then 13 pairs of a depthwise and a pointwise one, each with its batch normalisation folded in and an
activation behind it; the mean over time and bands is the embedding; a dense layer scores it. The
two graphs are what `oido.runtime.litert.LiteRtRuntime` runs.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, NamedTuple

import numpy as np

from oido.arrays import F32
from oido.errors import ModelFormatError
from oido.mel import mel_matrix, periodic_hann
from oido.messages import tr
from oido.models.tflite.builder import GraphWriter
from oido.models.tflite.editor import CutGraph
from oido.params import FrontEndParams

PATCH_FRAMES, PATCH_BANDS = 96, 64

YAMNET_FRONT_END = FrontEndParams(16_000, 400, 160, 512, PATCH_FRAMES)
"""tensorflow/models, research/audioset/yamnet/params.py, as are the bands and the offset below."""

LOW_HZ, HIGH_HZ, LOG_OFFSET = 125.0, 7_500.0, 0.001


EMBEDDING_DIM = 1024


class Layer(NamedTuple):
    """One convolution as published: name, stride, shape of its weights as LiteRT has them.

    shape: [out, height, width, in], and of a depthwise one [1, height, width, channels].
    """

    name: str
    shape: tuple[int, int, int, int]
    stride: int

    @property
    def depthwise(self) -> bool:
        """Each channel by itself?"""
        return self.name.endswith("/depthwise_conv")

    @property
    def outputs(self) -> int:
        """Channels that come out."""
        return self.shape[3] if self.depthwise else self.shape[0]


def _layers() -> tuple[Layer, ...]:
    strides = (1, 2, 1, 2, 1, 2, 1, 1, 1, 1, 1, 2, 1)
    filters = (64, 128, 128, 256, 256, 512, 512, 512, 512, 512, 512, 1024, 1024)
    layers, channels = [Layer("layer1/conv", (32, 3, 3, 1), 2)], 32
    for number, (stride, wider) in enumerate(zip(strides, filters), start=2):
        layers.append(Layer(f"layer{number}/depthwise_conv", (1, 3, 3, channels), stride))
        layers.append(Layer(f"layer{number}/pointwise_conv", (wider, 1, 1, channels), 1))
        channels = wider
    return tuple(layers)


LAYERS = _layers()
"""The 27 convolutions in the order of the data: 14 layers, 13 of them pairs."""


@dataclass(frozen=True, eq=False)
class Convolution:
    """One convolution, batch normalisation folded in.

    weights: f32[out, height, width, in], and of a depthwise one f32[1, height, width, channels].
    bias: f32[out]. stride: of height and width. depthwise: each channel by itself.
    """

    weights: F32
    bias: F32
    stride: int
    depthwise: bool


@dataclass(frozen=True, eq=False)
class YamNetWeights:
    """Every number of one of the two YAMNets.

    convolutions: as `LAYERS` has them. activation: behind each of them, "relu" in the original and
    "relu6" in the one that was retrained for int8. dense: f32[classes, 1024]; dense_bias:
    f32[classes]. Raises ModelFormatError for any other shape, and for NaN or infinite numbers.
    """

    convolutions: tuple[Convolution, ...]
    dense: F32
    dense_bias: F32
    activation: Literal["relu", "relu6"]

    def __post_init__(self) -> None:
        if len(self.convolutions) != len(LAYERS):
            raise ModelFormatError(
                tr(
                    "YAMNet has {n_layers} convolutions, and this {n_convolutions}",
                    n_layers=len(LAYERS),
                    n_convolutions=len(self.convolutions),
                )
            )
        for layer, conv in zip(LAYERS, self.convolutions):
            _check(f"{layer.name}, weights", conv.weights, layer.shape)
            _check(f"{layer.name}, bias", conv.bias, (layer.outputs,))
            if (conv.stride, conv.depthwise) != (layer.stride, layer.depthwise):
                raise ModelFormatError(
                    tr("{name}: the stride or kind is not YAMNet's", name=layer.name)
                )
        classes = len(self.dense_bias) if self.dense_bias.ndim else 0
        if classes < 1:
            raise ModelFormatError(tr("the dense layer has no classes"))
        _check(tr("dense layer, weights"), self.dense, (classes, EMBEDDING_DIM))
        _check(tr("dense layer, bias"), self.dense_bias, (classes,))

    @property
    def classes(self) -> int:
        """How many scores there are: 521."""
        return len(self.dense_bias)


def _check(what: str, values: F32, shape: tuple[int, ...]) -> None:
    if values.shape != shape or values.dtype != np.float32:
        raise ModelFormatError(
            tr(
                "{what}: {dtype}{shape}, and YAMNet has float32{shape_2}",
                what=what,
                dtype=values.dtype,
                shape=list(values.shape),
                shape_2=list(shape),
            )
        )
    if not np.isfinite(values).all():
        raise ModelFormatError(tr("{what}: there are numbers that are NaN or infinite", what=what))


def cut_graph(weights: YamNetWeights) -> CutGraph:
    """All that is needed to predict with weights that bring no graph, front end included."""
    mel = mel_matrix(YAMNET_FRONT_END, PATCH_BANDS, LOW_HZ, HIGH_HZ).astype(np.float32).T
    used = np.flatnonzero((mel != 0).any(axis=0))
    first, last = int(used[0]), int(used[-1])
    return CutGraph(
        projection=projection(np.ascontiguousarray(mel[:, first : last + 1]), LOG_OFFSET),
        network=network(weights),
        window=periodic_hann(YAMNET_FRONT_END.window_samples),
        mel=mel,
        log_offset=LOG_OFFSET,
        first_bin=first,
        last_bin=last,
        patch_frames=PATCH_FRAMES,
        input_samples=YAMNET_FRONT_END.patch_samples,
    )


def network(weights: YamNetWeights, output: Literal["sigmoid", "softmax"] = "sigmoid") -> bytes:
    """A .tflite: patches f32[N, 96, 64] → (scores f32[N, classes], embedding f32[N, 1024]).

    output: what makes scores of the last layer; "softmax" is for one class out of all.
    """
    graph = GraphWriter(f"YAMNet, float32, {weights.activation}")
    patches = graph.input("patches", (1, PATCH_FRAMES, PATCH_BANDS))
    x = graph.reshape(patches, (1, PATCH_FRAMES, PATCH_BANDS, 1))
    for conv in weights.convolutions:
        x = graph.conv(
            x,
            conv.weights,
            conv.bias,
            stride=conv.stride,
            activation=weights.activation,
            depthwise=conv.depthwise,
        )  # at the end [N, 3, 2, 1024]
    embedding = graph.mean(x)
    logits = graph.dense(embedding, weights.dense, weights.dense_bias)
    scores = graph.softmax(logits) if output == "softmax" else graph.sigmoid(logits)
    return graph.finish([scores, embedding])


def projection(mel: F32, log_offset: float) -> bytes:
    """A .tflite: magnitudes f32[t, bins] → log-mel f32[t, bands] = ln(magnitudes · melᵀ + offset).

    mel: f32[bands, bins], only the bins that have a weight. It is the pair of operators that
    `yamnet/classification` has inside, so that the two agree to the last bit.
    """
    bands, bins = mel.shape
    graph = GraphWriter("log-mel projection")
    magnitudes = graph.input("magnitudes", (1, bins))
    offset = np.full(bands, log_offset, np.float32)
    return graph.finish([graph.log(graph.dense(magnitudes, mel, offset))])
