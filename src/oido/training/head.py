# SPDX-License-Identifier: Apache-2.0
"""A taught head: from the embedding of a window to its scores in a few plain operators."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from oido.arrays import F32
from oido.errors import OptionError
from oido.heads import OutputKind
from oido.messages import tr


@dataclass(frozen=True, eq=False)
class Dense:
    """A fully connected layer: f32[out, in] weights, f32[out] bias."""

    weights: F32
    bias: F32


@dataclass(frozen=True, eq=False, repr=False)
class EmbeddingHead:
    """[square root] → dense → [relu → dense] → softmax or sigmoid, window by window.

    quiet: of a softmax, the logit of hearing nothing, beside those of the last layer; what it takes
    of the 1 is not given to any class. None: one of the classes always has it.
    square_root: take √max(x, 0) of the embedding first, which evens out loud and faint features;
    for embeddings that are never negative. Centring, scaling and the calibration's temperature are
    folded into the layers.
    """

    classes: tuple[str, ...]
    layers: tuple[Dense, ...]
    output: OutputKind
    square_root: bool
    quiet: Dense | None = None

    def __repr__(self) -> str:
        return f"<EmbeddingHead: {len(self.classes)} classes, {len(self.layers)} dense layers>"

    @property
    def inputs(self) -> int:
        """How many numbers of a window it is made from."""
        return int(self.layers[0].weights.shape[1])

    @property
    def layers_and_quiet(self) -> tuple[Dense, ...]:
        """The layers, the quiet as the last row of the last one."""
        *first, last = self.layers
        if self.quiet is None:
            return self.layers
        weights = np.concatenate([last.weights, self.quiet.weights])
        return (*first, Dense(weights, np.concatenate([last.bias, self.quiet.bias])))

    def logits(self, embeddings: F32) -> F32:
        """f32[N, D] → f32[N, C], before the softmax or sigmoid; behind them that of the quiet."""
        x = np.asarray(embeddings, np.float32)
        if x.ndim != 2 or x.shape[1] != self.inputs:
            raise OptionError(
                tr(
                    "this head hears embeddings of {inputs} numbers, not an array of {shape}",
                    inputs=self.inputs,
                    shape=x.shape,
                )
            )
        x = np.sqrt(np.maximum(x, 0)) if self.square_root else x
        for number, layer in enumerate(self.layers_and_quiet):
            x = np.maximum(x, 0) if number else x
            x = x @ layer.weights.T + layer.bias
        return x

    def scores(self, embeddings: F32) -> F32:
        """f32[N, D] → f32[N, C], 0..1; the rows of a softmax sum to 1, less what is quiet."""
        return activate(self.logits(embeddings), self.output)[:, : len(self.classes)]

    def scaled(self, slope: float) -> EmbeddingHead:
        """The head whose logits are slope · logits."""
        quiet = None if self.quiet is None else _scaled(self.quiet, slope)
        last = _scaled(self.layers[-1], slope)
        return replace(self, layers=(*self.layers[:-1], last), quiet=quiet)


def _scaled(layer: Dense, slope: float) -> Dense:
    return Dense(
        (layer.weights * np.float32(slope)).astype(np.float32),
        (layer.bias * np.float32(slope)).astype(np.float32),
    )


def activate(logits: F32, output: OutputKind) -> F32:
    """Softmax or sigmoid of f32[N, C], never overflowing."""
    if output == "sigmoid":
        return np.asarray(0.5 * (1 + np.tanh(0.5 * logits)), np.float32)
    powers = np.exp(logits - logits.max(axis=1, keepdims=True))
    return np.asarray(powers / powers.sum(axis=1, keepdims=True), np.float32)
