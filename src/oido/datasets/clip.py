# SPDX-License-Identifier: Apache-2.0
"""A labelled stretch of a recording, what its labels mean, and which recording it was cut from.

People write a class, no event at all, an explicit absence, or several classes for a label; a file's
name says which recording it comes from. Clips together are a `ClipSet`, which also records what
could not become one.
"""

from __future__ import annotations

import math
import os
import posixpath
import re
import unicodedata
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

from oido.errors import OptionError
from oido.heads import NON_EVENTS
from oido.messages import text_of, tr
from oido.paths import passed_over_note, repeated_note, respelled_note

BACKGROUND = "background"
"""The name of no event, and the class of clips without one, beside classes that exclude each other.
"""


_SEVERAL = re.compile(r",(?!\s)")


class Meaning(NamedTuple):
    """The classes present, the classes known to be absent, and whether no other is present.

    ``-Dog`` alone leaves every other class unknown: complete is False then.
    """

    labels: tuple[str, ...]
    negatives: tuple[str, ...]
    complete: bool


def check_label(label: str, where: str) -> str:
    """The label in its one spelling (no space around it, Unicode NFC, as macOS does not write).

    Raises OptionError, naming ``where`` it stands, for an empty label and for one with a slash or a
    control character: labels become lines of a file and names of folders.
    """
    clean = unicodedata.normalize("NFC", label).strip(" ")
    bad = next((c for c in clean if c == "/" or unicodedata.category(c) in ("Cc", "Zl", "Zp")), "")
    if bad:
        newline = tr("a newline")
        names = {"/": tr("a slash"), "\n": newline, "\r": newline, "\t": tr("a tab")}
        what = names.get(bad, tr("a control character"))
        raise OptionError(
            tr(
                "{where}: the label {label!r} has {what} in it; write it without",
                where=where,
                label=label,
                what=what,
            )
        )
    if not clean.strip():
        raise OptionError(
            tr(
                "{where}: the label is empty; name a class, or write {background} for no event",
                where=where,
                background=BACKGROUND,
            )
        )
    return clean


def meaning_of(names: Iterable[str], where: str) -> Meaning:
    """What these names mean together, for one clip.

    Each is a class, ``-class`` for its absence, or one of `NON_EVENTS`. Raises OptionError for a
    bad label, and for a class that is both present and absent.
    """
    labels, negatives = set(), set()
    for name in names:
        text = name.strip(" ")
        if text.startswith("-"):
            negatives.add(check_label(text[1:], where))
        elif check_label(text, where).lower() not in NON_EVENTS:
            labels.add(check_label(text, where))
    if both := sorted(labels & negatives):
        raise OptionError(
            tr("{where}: {both!r} is said to be heard and to be absent", where=where, both=both[0])
        )
    return Meaning(tuple(sorted(labels)), tuple(sorted(negatives)), bool(labels) or not negatives)


def folder_meaning(name: str, where: str) -> Meaning:
    """What the name of a folder means: ``A,B`` is two classes, ``Smoke detector, smoke alarm`` one.

    A comma divides only where no space follows it, because labels such as AudioSet's hold commas.
    """
    return meaning_of(_SEVERAL.split(name), where)


_CUT_FROM = (
    # ESC-50: fold, number of the recording at freesound.org, take, class ("1-100032-A-0").
    re.compile(r"^(\d-\d{3,})-[A-Z](?:-\d+)?$"),
    # UrbanSound8K: number at freesound.org, class, occurrence, slice ("100032-3-0-0").
    re.compile(r"^(\d{3,})(?:-\d+){3}$"),
    # Cutters of segments: perhaps score and rank, then the name, start and end in seconds, which
    # show by their points or their "s" ("0.91_4_garden_12.0s_15.0s", "garden_12s_15s").
    re.compile(r"^(?:[01]\.\d+_\d+_)?(.+?)[_-]\d+(?:\.\d+s?|s)[_-]\d+(?:\.\d+s?|s)$"),
)


def source_of(name: str) -> str:
    """The source of a file by its path below the dataset: ``1-100032-A.ogg`` came of 1-100032.

    Names that show a source do so in any folder. Otherwise each file is a source of its own,
    apart from endings: ``dog/one.wav`` and ``dog/one.mp3`` are one source, ``cat/one.wav`` another.
    """
    stem = posixpath.normpath(os.path.splitext(name.replace("\\", "/"))[0])
    last = stem.rsplit("/", 1)[-1]
    for pattern in _CUT_FROM:
        if match := pattern.match(last):
            return match[1]
    return stem


@dataclass(frozen=True)
class Clip:
    """A recording, or a region of one, and its labels.

    labels: the classes present, sorted; empty for a non-event. negatives: classes known as absent.
    complete: no other class is present; False where only some were listened for.
    start_time, end_time: seconds from the start of the file; None is the file's own start or end.
    fold: the part of the data that its owner gave it to. group: the source recording; clips of one
    group are never split apart; taken from the file's name if left empty. unsure: where it is not
    complete, the only classes that may be present beside its own; empty: any may. Raises
    OptionError.
    """

    path: str
    labels: tuple[str, ...] = ()
    negatives: tuple[str, ...] = ()
    start_time: float | None = None
    end_time: float | None = None
    fold: str | None = None
    group: str = ""
    complete: bool = True
    unsure: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        for name in ("labels", "negatives"):
            labels = getattr(self, name)
            if isinstance(labels, str):
                raise OptionError(
                    tr(
                        "{path}: {name} is a tuple of labels, not {labels!r}",
                        path=self.path,
                        name=name,
                        labels=labels,
                    )
                )
            clean = tuple(sorted({check_label(label, self.path) for label in labels}))
            object.__setattr__(self, name, clean)
        if both := sorted(set(self.labels) & set(self.negatives)):
            raise OptionError(
                tr(
                    "{path}: {both!r} is said to be heard and to be absent",
                    path=self.path,
                    both=both[0],
                )
            )
        start, end = self.start_time, self.end_time
        if start is not None and not 0 <= start < math.inf:
            raise OptionError(
                tr("{path}: a region cannot start at {start:g} s", path=self.path, start=start)
            )
        if end is not None and not (start or 0) < end < math.inf:
            raise OptionError(
                tr(
                    "{path}: a region from {start:g} s cannot end at {end:g} s",
                    path=self.path,
                    start=start or 0,
                    end=end,
                )
            )
        if not self.group:
            object.__setattr__(self, "group", source_of(self.path))

    @property
    def is_background(self) -> bool:
        """There is no event of any class."""
        return not self.labels and self.complete

    @property
    def is_region(self) -> bool:
        """It is less than the whole file, by its times."""
        return bool(self.start_time) or self.end_time is not None

    def __str__(self) -> str:
        if not self.is_region:
            return self.path
        end = tr("end") if self.end_time is None else f"{self.end_time:g} s"
        return tr(
            "{path} [{start:g} s to {end}]", path=self.path, start=self.start_time or 0, end=end
        )


class LeftOut(NamedTuple):
    """What was named but cannot be used: a file or clip, and why."""

    name: str
    reason: str

    @classmethod
    def because(cls, name: str, error: object, path: str = "") -> LeftOut:
        """Left out for an error, whose sentence need not name it once more; path: of its file."""
        reason = text_of(error).removeprefix(f"{name}: ")
        return cls(name, reason.removeprefix(f"{path}: ") if path else reason)


def none_usable(left_out: Sequence[LeftOut]) -> OptionError:
    """The error where every clip was left out: how many, and why the first of them."""
    if not left_out:
        return OptionError(tr("there is no clip"))
    return OptionError(
        tr(
            "none of the {n_left_out} clips can be heard; the first, {name}: {reason}",
            n_left_out=len(left_out),
            name=left_out[0].name,
            reason=left_out[0].reason,
        )
    )


@dataclass(frozen=True)
class ClipSet:
    """Clips with their classes, and what was found beside them; `Dataset` says how it is used.

    Whatever only looks at clips takes this, and so need not know how datasets are read.
    """

    clips: tuple[Clip, ...]
    classes: tuple[str, ...]
    multi_label: bool
    left_out: tuple[LeftOut, ...] = ()
    skipped: tuple[str, ...] = ()
    duplicates: tuple[tuple[str, ...], ...] = ()
    notes: tuple[str, ...] = ()

    def require_two_classes(self) -> None:
        """Raise OptionError if there is nothing to tell apart."""
        classes = {label for clip in self.clips for label in clip.labels}
        others = any(not clip.labels for clip in self.clips)
        if not classes:
            raise OptionError(
                tr(
                    "no clip has an event in it; name a class, not only {background}",
                    background=BACKGROUND,
                )
            )
        if len(classes) == 1 and not others:
            raise OptionError(
                tr(
                    "{pop!r} is the only class; add another one, or recordings "
                    "without it, as class {background}",
                    pop=classes.pop(),
                    background=BACKGROUND,
                )
            )


@dataclass
class Found:
    """What a reader of datasets found, in order.

    skipped: files that are not recordings. passed_over, repeated: folders and links, as of a
    `oido.paths.Walk`. respelled: what was found in another Unicode form or letter case, by name.
    guesses: sentences on what names were taken to mean.
    """

    clips: list[Clip] = field(default_factory=list)
    left_out: list[LeftOut] = field(default_factory=list)
    skipped: list[str] = field(default_factory=list)
    passed_over: list[str] = field(default_factory=list)
    repeated: list[str] = field(default_factory=list)
    respelled: dict[str, str] = field(default_factory=dict)
    guesses: list[str] = field(default_factory=list)

    def notes(self) -> tuple[str, ...]:
        """What people should know, a sentence each."""
        return (
            *passed_over_note(self.passed_over),
            *repeated_note(self.repeated),
            *respelled_note(self.respelled),
            *self.guesses,
        )
