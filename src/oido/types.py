# SPDX-License-Identifier: Apache-2.0
"""The small records that pass between rooms. No NumPy is loaded here."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, NamedTuple


@dataclass(frozen=True, slots=True, repr=False)
class Category:
    """One class and its score in a window or a clip.

    ``score`` is the model's raw output, 0..1, and not a probability; ``probability`` is the
    calibrated score, or None where no calibration is loaded. ``display_name`` is the label in the
    language that was asked for.
    """

    label: str
    index: int
    score: float
    probability: float | None = None
    display_name: str = field(default="", compare=False)

    def __repr__(self) -> str:
        return f"Category({_scored(self)})"


@dataclass(frozen=True, slots=True, repr=False)
class Event:
    """A stretch of time in which one label is heard.

    ``start_time`` and ``end_time`` are seconds from the start of the recording; ``score`` is the
    pooled raw score inside (not a probability; `oido.events.spans`). ``display_name`` is
    the label in the language that was asked for, and so are the labels in ``also`` that this one
    stands for: more general ones, or weaker ones of the same sound.
    """

    label: str
    label_index: int
    start_time: float
    end_time: float
    score: float
    probability: float | None = None
    display_name: str = field(default="", compare=False)
    also: tuple[str, ...] = ()

    def __repr__(self) -> str:
        return f"Event({_scored(self)}, {self.start_time:.2f}–{self.end_time:.2f} s)"


def _scored(entry: Category | Event) -> str:
    """What it is called, and how sure that is, for people."""
    label = repr(entry.display_name or entry.label)
    if entry.probability is None:
        return f"{label}, {entry.score:.2f}"
    return f"{label}, probability {entry.probability:.2f}"


class Row(NamedTuple):
    """One line of a machine-readable table, whatever its level (event, window or clip).

    The field names are the column names of every table, in this order; ``channel`` is the channel
    number, or None where channels were mixed; times are seconds; ``also`` are the labels that an
    event stands for; ``start_at``, of what is read back from an archive only, is when the row
    began by the clock, in UTC.
    """

    file: str
    channel: int | None
    start_time: float
    end_time: float
    label: str
    label_index: int
    score: float
    probability: float | None = None
    also: tuple[str, ...] = ()
    start_at: datetime | None = None

    def __repr__(self) -> str:
        value = self.score if self.probability is None else self.probability
        times = f"{self.start_time:.2f}–{self.end_time:.2f} s"
        return f"Row({self.file!r}, {times}, {self.label!r}, {value:.2f})"


class EmbeddingRow(NamedTuple):
    """The embedding of a window or a whole recording: f32[D] of NumPy; start_at: as in `Row`."""

    file: str
    channel: int | None
    start_time: float
    end_time: float
    embedding: Any
    start_at: datetime | None = None


class FrameRow(NamedTuple):
    """The raw scores of a frame, all classes: f32[C] of NumPy."""

    file: str
    channel: int | None
    start_time: float
    end_time: float
    scores: Any


AnyRow = Row | EmbeddingRow | FrameRow
"""What a worker may send."""
