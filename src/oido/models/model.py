# SPDX-License-Identifier: Apache-2.0
"""A model: a verified file, and everything that is known from the file itself."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

from oido.heads import Head
from oido.models.graph import CutGraph
from oido.models.notes import Novelty
from oido.models.registry import ModelCard
from oido.params import FrontEndParams, MnFrontEndParams, Windowing, WindowParams

__all__ = [
    "EMBEDDING_OUTPUT",
    "AudioModel",
    "EnsembleNetwork",
    "LogMelNetwork",
    "MnNetwork",
    "Network",
    "Precision",
    "WholeNetwork",
]


EMBEDDING_OUTPUT = "embedding"
"""The name of an output that gives no scores, but what they are made from."""

Precision = Literal["int8", "float32"]
"""In which numbers a network computes."""


@dataclass(frozen=True)
class LogMelNetwork:
    """A network behind a log-mel front end of YAMNet's kind: quick, and gives embeddings.

    is_cut: the graph was cut out of the file, so that the whole file must give the same scores; or
    else it was written from weights.
    """

    front_end: FrontEndParams
    graph: CutGraph = field(repr=False)
    is_cut: bool = True


@dataclass(frozen=True)
class MnNetwork:
    """A network of EfficientAT's kind, with their front end; it hears windows of its own length."""

    front_end: MnFrontEndParams
    content: bytes = field(repr=False)


@dataclass(frozen=True)
class WholeNetwork:
    """A classifier that takes the waveform itself, run as it is, window by window.

    heads: the outputs that give scores; embedding: the output that is one, or None.
    """

    content: bytes = field(repr=False)
    heads: tuple[int, ...] = (0,)
    embedding: int | None = None


@dataclass(frozen=True)
class EnsembleNetwork:
    """Two models that hear together (`oido.ensemble`).

    columns: for each label of the first, its column in the second's scores. pieces: what the second
    hears at once, repeated until its own window is full.
    """

    first: AudioModel
    second: AudioModel
    columns: tuple[int, ...]
    pieces: Windowing


Network = LogMelNetwork | MnNetwork | WholeNetwork | EnsembleNetwork
"""What computes scores, and how; `oido.ears` knows how to run each kind."""


@dataclass(frozen=True)
class AudioModel:
    """What a classifier needs to know of its network; read from the file, never assumed.

    name: the catalogue's name, or the one in the metadata. path, sha256, size_bytes: of the file.
    heads: what its outputs of scores say. windows: what the network hears at once. card: None for a
    file that is not in the catalogue.
    precision: the numbers that it computes in, which are not always those that the file holds.
    novelty: of a model that tells sounds that it was not taught; that output's column stands behind
    those of the heads.
    """

    name: str
    path: Path
    sha256: str
    size_bytes: int
    heads: tuple[Head, ...]
    windows: WindowParams
    summary: str
    licence: str
    attribution: str
    card: ModelCard | None
    network: Network
    precision: Precision
    novelty: Novelty | None = None

    @property
    def head(self) -> Head:
        """The head that is heard if nobody says otherwise: the last one.

        Where a classifier was trained on a base model and keeps the base model's head, that one
        comes first (as TensorFlow Lite Model Maker wrote them), and what was taught comes last.
        """
        return self.heads[-1]

    @property
    def labels(self) -> tuple[str, ...]:
        """The classes of that head, in the order of its score columns."""
        return self.head.labels
