# SPDX-License-Identifier: Apache-2.0
"""YAMNet as float32 LiteRT graphs, made from its weights.

The network is the one of tensorflow/models, research/audioset/yamnet/yamnet.py, with the batch
normalisation folded into the convolutions. The two graphs are what
`oido.runtime.litert.LiteRtRuntime` runs.
"""

from __future__ import annotations

from typing import Literal

import numpy as np

from oido.arrays import F32
from oido.mel import mel_matrix, periodic_hann
from oido.models.networks.yamnet_weights import YamNetWeights
from oido.models.tflite.editor import CutGraph
from oido.models.tflite.ops import GraphWriter
from oido.params import FrontEndParams

__all__ = [
    "HIGH_HZ",
    "LOG_OFFSET",
    "LOW_HZ",
    "PATCH_BANDS",
    "PATCH_FRAMES",
    "YAMNET_FRONT_END",
    "cut_graph",
    "network",
    "projection",
]

PATCH_FRAMES, PATCH_BANDS = 96, 64

YAMNET_FRONT_END = FrontEndParams(16_000, 400, 160, 512, PATCH_FRAMES)
"""tensorflow/models, research/audioset/yamnet/params.py, as are the bands and the offset below."""

LOW_HZ, HIGH_HZ, LOG_OFFSET = 125.0, 7_500.0, 0.001


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
        classes=weights.classes,
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
