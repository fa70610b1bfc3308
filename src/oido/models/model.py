# SPDX-License-Identifier: Apache-2.0
"""A model: a verified file, and everything that is known from the file itself."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

from oido.models.graph import CutGraph
from oido.models.registry import ModelCard
from oido.params import FrontEndParams, WindowParams

__all__ = ["AudioModel", "LogMelNetwork", "MnNetwork", "Network", "Precision", "WholeNetwork"]


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

    content: bytes = field(repr=False)


@dataclass(frozen=True)
class WholeNetwork:
    """A classifier that takes the waveform itself, run as it is, window by window."""

    content: bytes = field(repr=False)


Network = LogMelNetwork | MnNetwork | WholeNetwork
"""What computes scores, and how; `oido.ears` knows how to run each kind."""


@dataclass(frozen=True)
class AudioModel:
    """What a classifier needs to know of its network; read from the file, never assumed.

    name: the catalogue's name, or the one in the metadata. path, sha256, size_bytes: of the file.
    windows: what the network hears at once. card: None for a file that is not in the catalogue.
    precision: the numbers that it computes in, which are not always those that the file holds.
    """

    name: str
    path: Path
    sha256: str
    size_bytes: int
    labels: tuple[str, ...]
    windows: WindowParams
    summary: str
    licence: str
    attribution: str
    card: ModelCard | None
    network: Network
    precision: Precision
