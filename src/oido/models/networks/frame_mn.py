# SPDX-License-Identifier: Apache-2.0
"""EfficientSED's frame-wise MobileNets (fmn04, fmn10, …) as float TensorFlow Lite graphs.

The MobileNetV3 of `oido.models.networks.mn04` with other strides: of the 128 bands one is left at
the end, of the frames every fourth, so that each column of the last image is 40 ms long, and one
linear layer gives the scores of each (Morocutti, Schmid et al., "Exploring performance-complexity
trade-offs in sound event detection", 2025). Trained on AudioSet's strong labels: 447 classes, at
16 kHz, in windows of 10 s.

A window's scores are the highest of its columns: a bark that fills a hundredth of it is a bark.
Nothing of this was run with the published weights; tests compare it with the same layers written
out in NumPy.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from numpy.typing import NDArray

from oido.errors import ModelFormatError
from oido.messages import tr
from oido.models.networks.mn04 import (
    MEL_BANDS,
    LayerWriter,
    blocks,
    classes_of,
    divisible,
    width_of,
)
from oido.models.tflite.builder import GraphWriter

CLASSES = 447
"""Of AudioSet's strong labels, those of the training set, in alphabetical order."""
FRAMES = 1_000
COLUMNS = 250

_BAND_STRIDES = (1, 2, 2, 1, 1, 2, 1, 2, 1, 1, 2, 1, 1, 1, 2)
_FRAME_STRIDES = (1, 2, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1)

_WRAPPED = re.compile(r"(?:net\.|model\.)*(?:fmn\.|model\.)?")
"""What the modules around the network put before its names; it differs between the files."""


def is_frame_wise(state: Mapping[str, NDArray[Any]]) -> bool:
    """Whether these are weights of such a network, with whatever before their names."""
    return any(name.endswith("strong_head.weight") for name in state)


def _unwrapped(state: Mapping[str, NDArray[Any]]) -> Mapping[str, NDArray[Any]]:
    return {_WRAPPED.sub("", name, count=1): values for name, values in state.items()}


def _width(state: Mapping[str, NDArray[Any]]) -> float:
    return width_of(state, "features.0.0.weight", "features.16.0.weight")


def name_of(state: Mapping[str, NDArray[Any]]) -> str:
    """As it is published: fmn04, fmn10, …"""
    return f"fmn{round(10 * _width(_unwrapped(state))):02}"


def network(state: Mapping[str, NDArray[Any]]) -> bytes:
    """The .tflite of windows of 1,000 frames: f32[N, 128, 1000, 1] → scores f32[N, 447], embedding
    f32[N, D], and the scores of columns, f32[N · 250, 447].

    state: the tensors of fmn10_strong.pt, or of another width's file, by their PyTorch names.
    Raises ModelFormatError for tensors that are missing, of another shape, or not finite, and for
    files with a sequence model behind the network.
    """
    if any("seq_model." in name for name in state):
        raise ModelFormatError(
            tr(
                "it has a sequence model behind the network, which is not read; take "
                "one without, such as fmn10_strong.pt"
            )
        )
    state = _unwrapped(state)
    width, name = _width(state), f"{name_of(state)}_strong"
    classes = classes_of(state, name, "strong_head.bias")
    if classes != CLASSES:
        raise ModelFormatError(
            tr(
                "it has {classes} scores of frames, and {name} {classes_2}",
                classes=classes,
                name=name,
                classes_2=CLASSES,
            )
        )
    net = LayerWriter(state, GraphWriter(f"EfficientSED {name}"), name)
    writer = net.writer
    x = writer.input("log_mel", (1, MEL_BANDS, FRAMES, 1))
    x = net.conv(
        x, "features.0", divisible(16 * width), kernel=3, stride=2, activation="hard-swish"
    )
    strides = zip(_BAND_STRIDES, _FRAME_STRIDES)
    for number, (block, stride) in enumerate(zip(blocks(width), strides), start=1):
        x = net.block(x, f"features.{number}.block", block, stride)
    size = 6 * divisible(160 * width)
    x = net.conv(x, "features.16", size, activation="hard-swish")  # [N, 1, 250, size]
    embedding = writer.mean(x)
    columns = writer.reshape(x, (COLUMNS, size))
    framewise = writer.sigmoid(net.dense(columns, "strong_head", CLASSES))
    each = writer.reshape(framewise, (1, COLUMNS, CLASSES))
    scores = writer.highest_over(each, 1)
    return writer.finish([scores, embedding, framewise])
