# SPDX-License-Identifier: Apache-2.0
"""The embedder: what a network knows of a sound before it names it."""

from __future__ import annotations

import os

import numpy as np
from numpy.typing import ArrayLike

from oido.arrays import F32, F64
from oido.errors import OptionError
from oido.inference.classifier import AudioClassifier
from oido.messages import tr
from oido.models.model import AudioModel
from oido.params import Hop
from oido.signal.decode import AudioSource
from oido.signal.mixing import Channel


class EmbeddingResult:
    """The embeddings of one recording.

    embeddings: f32[N, D], of each window; times: f64[N, 2], seconds; weights: f64[N], the share of
    each window that is not padding.
    """

    def __init__(self, embeddings: F32, times: F64, weights: F64, *, l2_normalize: bool) -> None:
        self._raw = embeddings
        self._l2_normalize = l2_normalize
        self.embeddings = l2_normalized(embeddings) if l2_normalize else embeddings
        self.times = times
        self.weights = weights

    def __repr__(self) -> str:
        windows, numbers = self.embeddings.shape
        return f"<EmbeddingResult: {windows} windows, {numbers} numbers each>"

    @property
    def clip_embedding(self) -> F32:
        """f32[D]: the whole recording, the mean of its windows, each by its share of sound."""
        weights = self.weights if self.weights.any() else np.ones_like(self.weights)
        mean = np.average(self._raw, axis=0, weights=weights).astype(np.float32)
        return l2_normalized(mean) if self._l2_normalize else mean


class AudioEmbedder:
    """Turns recordings into vectors in which similar sounds are near each other.

        embedder = oido.AudioEmbedder(l2_normalize=True)
        a, b = (embedder.embed(path).clip_embedding for path in ("dog.wav", "wolf.wav"))
        oido.cosine_similarity(a, b)

    model, hop, jobs: as for ``AudioClassifier``. l2_normalize: give every vector length 1.
    Embeddings of YAMNet are f32[1024], 0 and above. Raises ModelError or OptionError.
    """

    def __init__(
        self,
        model: str | os.PathLike[str] | AudioModel = "yamnet/classification",
        *,
        hop: Hop = None,
        l2_normalize: bool = False,
        jobs: int | None = None,
    ) -> None:
        self._classifier = AudioClassifier(model, hop=hop, jobs=jobs)
        self.model.require_embeddings()
        self._l2_normalize = l2_normalize

    def __repr__(self) -> str:
        lengths = ", vectors of length 1" if self._l2_normalize else ""
        return f"<AudioEmbedder {self.model.name}{lengths}>"

    @property
    def model(self) -> AudioModel:
        """The model whose embeddings these are; vectors of different models cannot be compared."""
        return self._classifier.model

    def embed(
        self, source: AudioSource, sample_rate: int | None = None, *, channel: Channel = "mix"
    ) -> EmbeddingResult:
        """Hear one recording to its end; the arguments are those of `AudioClassifier.classify`."""
        result = self._classifier.classify(source, sample_rate, channel=channel)
        return EmbeddingResult(
            result.embeddings, result.times, result.weights, l2_normalize=self._l2_normalize
        )


def l2_normalized(vectors: F32) -> F32:
    """f32[…, D] with vectors of length 1; a vector of zeros stays one."""
    lengths = np.linalg.norm(vectors, axis=-1, keepdims=True)
    return (vectors / np.where(lengths > 0, lengths, 1)).astype(np.float32)


def cosine_similarity(a: ArrayLike, b: ArrayLike) -> F64:
    """Cosines of the angles between vectors, -1..1; 0 where one is all zeros.

    a: [D] or [N, D], b: [D] or [M, D]; gives f64[N, M], without the axis of what is one vector.
    Raises OptionError if the vectors have different lengths, if there are more axes, or if a number
    is not finite.
    """
    left, right = np.asarray(a, np.float64), np.asarray(b, np.float64)
    are_vectors = left.ndim in (1, 2) and right.ndim in (1, 2)
    if not are_vectors or left.shape[-1] != right.shape[-1]:
        raise OptionError(
            tr(
                "only embeddings of one model can be compared, not {shape} and {right_shape}",
                shape=left.shape,
                right_shape=right.shape,
            )
        )
    if not (np.isfinite(left).all() and np.isfinite(right).all()):
        raise OptionError(tr("a number of these embeddings is not finite; leave it out"))
    products = np.tensordot(left, right, axes=(-1, -1))
    lengths = np.multiply.outer(np.linalg.norm(left, axis=-1), np.linalg.norm(right, axis=-1))
    return np.asarray(np.divide(products, lengths, out=np.zeros_like(lengths), where=lengths > 0))
