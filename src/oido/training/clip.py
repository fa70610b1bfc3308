# SPDX-License-Identifier: Apache-2.0
"""A labelled stretch of a recording, and the record of what could not become one."""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import NamedTuple

from oido.errors import OptionError
from oido.training.labels import check_label
from oido.training.sources import source_of

__all__ = ["Clip", "Found", "LeftOut"]


@dataclass(frozen=True)
class Clip:
    """A recording, or a region of one, and what is heard in it.

    labels: the classes heard, sorted; empty for a non-event. negatives: classes known to be absent.
    complete: no other class is heard either; False where only some were listened for.
    start_time, end_time: seconds from the start of the file; None is the file's own start or end.
    fold: the part of the data that its owner gave it to. group: the source recording; clips of one
    group are never split apart; taken from the file's name if left empty. Raises OptionError.
    """

    path: str
    labels: tuple[str, ...] = ()
    negatives: tuple[str, ...] = ()
    start_time: float | None = None
    end_time: float | None = None
    fold: str | None = None
    group: str = ""
    complete: bool = True

    def __post_init__(self) -> None:
        for name in ("labels", "negatives"):
            given = getattr(self, name)
            if isinstance(given, str):
                raise OptionError(f"{self.path}: {name} is a tuple of labels, not {given!r}")
            clean = tuple(sorted({check_label(label, self.path) for label in given}))
            object.__setattr__(self, name, clean)
        if both := sorted(set(self.labels) & set(self.negatives)):
            raise OptionError(f"{self.path}: {both[0]!r} is said to be heard and to be absent")
        start, end = self.start_time, self.end_time
        if start is not None and not 0 <= start < math.inf:
            raise OptionError(f"{self.path}: a region cannot start at {start:g} s")
        if end is not None and not (start or 0) < end < math.inf:
            raise OptionError(
                f"{self.path}: a region from {start or 0:g} s cannot end at {end:g} s"
            )
        if not self.group:
            object.__setattr__(self, "group", source_of(self.path))

    @property
    def is_background(self) -> bool:
        """No event of any class is heard."""
        return not self.labels and self.complete

    @property
    def is_region(self) -> bool:
        """It is less than the whole file, as far as its times tell."""
        return bool(self.start_time) or self.end_time is not None

    def __str__(self) -> str:
        if not self.is_region:
            return self.path
        end = "end" if self.end_time is None else f"{self.end_time:g} s"
        return f"{self.path} [{self.start_time or 0:g} s to {end}]"


class LeftOut(NamedTuple):
    """What was named but cannot be used: a file or clip, and why."""

    name: str
    reason: str


@dataclass
class Found:
    """What a reader of datasets found, in order. skipped: files that are not recordings."""

    clips: list[Clip] = field(default_factory=list)
    left_out: list[LeftOut] = field(default_factory=list)
    skipped: list[str] = field(default_factory=list)
