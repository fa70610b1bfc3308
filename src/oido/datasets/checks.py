# SPDX-License-Identifier: Apache-2.0
"""What a dataset holds, and what is the matter with it: also files that are one under two names."""

from __future__ import annotations

import hashlib
import os
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace
from typing import Any, Generic, NamedTuple, TypeVar

from oido.datasets.clip import Clip, ClipSet, LeftOut, folder_meaning, none_usable
from oido.datasets.splits import leaking_groups
from oido.datasets.waveforms import Probe, probe
from oido.errors import OptionError
from oido.messages import shown, tr
from oido.paths import escape_controls
from oido.writers.written import sha256_of_file

_HEAD_BYTES = 1 << 16


def same_content(paths: Iterable[str]) -> list[tuple[str, ...]]:
    """Sets of paths whose files hold the same bytes, each in the order of ``paths``.

    Only files that agree in size and in their first 64 KB are read to the end, for their SHA-256.
    Files that cannot be read, or are empty, are the same as none.
    """
    sets: list[list[str]] = [list(dict.fromkeys(paths))]
    for key in (os.path.getsize, _head, sha256_of_file):
        sets = [part for candidates in sets for part in _divide(candidates, key)]
    return [tuple(part) for part in sets]


def join_duplicates(clips: Iterable[Clip], duplicates: Iterable[tuple[str, ...]]) -> dict[str, str]:
    """The group for each group's name, when recordings of the same content are one.

    Of groups that become one, the first name in the order of the alphabet stays.
    """
    of_path: defaultdict[str, list[str]] = defaultdict(list)
    parent: dict[str, str] = {}
    for clip in clips:
        of_path[clip.path].append(clip.group)
        parent[clip.group] = clip.group

    def root(group: str) -> str:
        while parent[group] != group:
            parent[group] = group = parent[parent[group]]
        return group

    for paths in duplicates:
        groups = sorted({root(group) for path in paths for group in of_path[path]})
        for group in groups[1:]:
            parent[group] = groups[0]
    return {group: root(group) for group in parent}


def _divide(paths: list[str], key: Callable[[str], object]) -> list[list[str]]:
    """The paths that agree in something with another, by what they agree in."""
    parts: defaultdict[object, list[str]] = defaultdict(list)
    for path in paths:
        try:
            value = key(path)
        except (OSError, ValueError):
            continue
        if value:
            parts[value].append(path)
    return [part for part in parts.values() if len(part) > 1]


def _head(path: str) -> bytes:
    with open(path, "rb") as file:
        return hashlib.sha256(file.read(_HEAD_BYTES)).digest()


ENOUGH_RECORDINGS = 5
"""Below this many source recordings of a class, one mistake moves its recall by over a fifth."""

_TOLERANCE_SECONDS = 0.1
_SHOWN = 5

Clips = TypeVar("Clips", bound=ClipSet)


class ClassSummary(NamedTuple):
    """One class, or background (label None): clips, source recordings, seconds.

    negatives: clips in which it is known to be absent.
    """

    label: str | None
    clips: int
    recordings: int
    seconds: float
    negatives: int = 0


@dataclass(frozen=True, repr=False)
class DatasetSummary(Generic[Clips]):
    """What was found. ``str`` is a table for people, `to_dict` plain values for JSON.

    classes: in order, background last. seconds: of all recordings. left_out: whatever cannot be
    used, with the reason. cut: regions that end behind their recording, which end with it now.
    duplicates: files of the same content; conflicts: those among them whose labels differ. leaks:
    groups whose clips are in several folds. notes: sentences on the labels and files. deep:
    everything was decoded.
    """

    classes: tuple[ClassSummary, ...]
    seconds: float
    recordings: int
    left_out: tuple[LeftOut, ...]
    cut: tuple[str, ...]
    skipped: tuple[str, ...]
    duplicates: tuple[tuple[str, ...], ...]
    conflicts: tuple[tuple[str, ...], ...]
    leaks: tuple[str, ...]
    notes: tuple[str, ...]
    deep: bool
    dataset: Clips

    def __repr__(self) -> str:
        counts = f"{self.recordings} recordings, {len(self.left_out)} left out"
        return f"<DatasetSummary: {len(self.classes)} classes, {counts}; print it>"

    @property
    def too_small(self) -> tuple[ClassSummary, ...]:
        """Classes with fewer source recordings than `ENOUGH_RECORDINGS`."""
        events = (entry for entry in self.classes if entry.label is not None)
        return tuple(entry for entry in events if entry.recordings < ENOUGH_RECORDINGS)

    def usable(self) -> Clips:
        """The dataset without the clips that cannot be decoded, and with cut regions cut.

        Raises OptionError if no clip is left.
        """
        if not self.dataset.clips:
            raise none_usable(self.left_out)
        return self.dataset

    def to_dict(self) -> dict[str, Any]:
        """Everything but the clips as plain values."""
        return {
            "classes": [entry._asdict() for entry in self.classes],
            "clips": len(self.dataset.clips),
            "recordings": self.recordings,
            "seconds": self.seconds,
            "multi_label": self.dataset.multi_label,
            "too_small": [str(entry.label) for entry in self.too_small],
            "left_out": [entry._asdict() for entry in self.left_out],
            "cut": list(self.cut),
            "skipped": list(self.skipped),
            "duplicates": [list(names) for names in self.duplicates],
            "conflicts": [list(names) for names in self.conflicts],
            "leaks": list(self.leaks),
            "notes": list(self.notes),
            "deep": self.deep,
        }

    def __str__(self) -> str:
        remarks = self.remarks()
        lines = [*self._table(), *([""] if remarks else []), *remarks]
        return "\n".join(escape_controls(shown(line)) for line in lines)

    def _table(self) -> list[str]:
        names = [entry.label or shown(tr("(no event)")) for entry in self.classes]
        heads = (tr("class"), tr("clips"), tr("recordings"), tr("minutes"), tr("absent"), tr("all"))
        of_class, clips, recordings, length, of_absent, of_all = map(shown, heads)
        width = max(map(len, [*names, of_all]))
        absent = any(entry.negatives for entry in self.classes)
        head = f"{of_class:<{width}}  {clips:>6}  {recordings:>10}  {length:>7}"
        lines = [head + f"  {of_absent}" * absent]
        for name, entry in zip(names, self.classes):
            line = f"{name:<{width}}  {entry.clips:>6}  {entry.recordings:>10}"
            line += f"  {entry.seconds / 60:>7.2f}"
            lines.append(line + f"  {entry.negatives:>6}" * absent)
        all_clips, minutes = len(self.dataset.clips), self.seconds / 60
        return [
            *lines,
            f"{of_all:<{width}}  {all_clips:>6}  {self.recordings:>10}  {minutes:>7.2f}",
        ]

    def remarks(self, *, left_out: bool = True) -> list[str]:
        """What is the matter with the data, in lines; left_out: with what cannot be used."""
        small = [f"{e.label} ({e.recordings})" for e in self.too_small]
        useless = [
            tr("{name}: {reason}", name=name, reason=reason)
            for name, reason in self.left_out
            if left_out
        ]
        same = [" = ".join(names) for names in self.duplicates if names not in self.conflicts]
        conflicts = [" = ".join(names) for names in self.conflicts]
        found = (
            (
                tr(
                    "too small to be judged, with fewer than {enough_recordings} recordings",
                    enough_recordings=ENOUGH_RECORDINGS,
                ),
                small,
            ),
            (tr("left out"), useless),
            (tr("cut at the end of their recording"), list(self.cut)),
            (tr("same content, kept together in splits"), same),
            (tr("same content with different labels"), conflicts),
            (tr("recordings that the given folds divide"), list(self.leaks)),
            (tr("no recordings, passed over"), list(self.skipped)),
        )
        lines = list(self.notes)
        for title, entries in found:
            if entries:
                lines.append(tr("{title}: {count}", title=title, count=len(entries)))
                lines += ["  " + entry for entry in entries[:_SHOWN]]
                if len(entries) > _SHOWN:
                    lines.append(tr("  … and {count} more", count=len(entries) - _SHOWN))
        return lines


def summarize(data: Clips, *, deep: bool) -> DatasetSummary[Clips]:
    """Open, or decode if ``deep``, every recording of a dataset once, and add up."""
    probes = {path: probe(path, deep=deep) for path in dict.fromkeys(c.path for c in data.clips)}
    clips: list[Clip] = []
    left_out, cut = list(data.left_out), []
    for path, probed in probes.items():
        if probed.problem:
            left_out.append(LeftOut.because(path, probed.problem))
    for clip in data.clips:
        duration = probes[clip.path].duration
        if probes[clip.path].problem:
            continue
        if (clip.start_time or 0.0) >= duration:
            reason = tr(
                "the region starts behind the end of the recording, {duration:.2f} s",
                duration=duration,
            )
            left_out.append(LeftOut(str(clip), reason))
        elif clip.end_time is not None and clip.end_time > duration:
            if clip.end_time > duration + _TOLERANCE_SECONDS:
                cut.append(
                    tr(
                        "{clip}: the recording ends at {duration:.2f} s",
                        clip=clip,
                        duration=duration,
                    )
                )
            clips.append(replace(clip, end_time=duration))
        else:
            clips.append(clip)
    usable = replace(data, clips=tuple(clips), left_out=tuple(left_out))
    named = {clip.path for clip in data.clips}
    duplicates = [tuple(p for p in names if p in named) for names in data.duplicates]
    duplicates = [names for names in duplicates if len(names) > 1]
    return DatasetSummary(
        classes=_classes(usable, probes),
        seconds=sum(probes[path].duration for path in {clip.path for clip in clips}),
        recordings=len({clip.group for clip in clips}),
        left_out=tuple(left_out),
        cut=tuple(cut),
        skipped=data.skipped,
        duplicates=tuple(duplicates),
        conflicts=_conflicts(duplicates, data.clips),
        leaks=tuple(leaking_groups(data.clips)),
        notes=_notes(data),
        deep=deep,
        dataset=usable,
    )


def _classes(data: ClipSet, probes: dict[str, Probe]) -> tuple[ClassSummary, ...]:
    def entry(label: str | None, clips: list[Clip], negatives: int = 0) -> ClassSummary:
        seconds = sum(_seconds(clip, probes[clip.path].duration) for clip in clips)
        return ClassSummary(label, len(clips), len({c.group for c in clips}), seconds, negatives)

    of_label: defaultdict[str, list[Clip]] = defaultdict(list)
    absent = Counter(label for clip in data.clips for label in clip.negatives)
    for clip in data.clips:
        for label in clip.labels:
            of_label[label].append(clip)
    labels = sorted({*data.classes, *absent})
    entries = [entry(label, of_label[label], absent[label]) for label in labels]
    if background := [clip for clip in data.clips if clip.is_background]:
        entries.append(entry(None, background))
    return tuple(entries)


def _seconds(clip: Clip, duration: float) -> float:
    return (duration if clip.end_time is None else clip.end_time) - (clip.start_time or 0.0)


def _conflicts(
    duplicates: Iterable[tuple[str, ...]], clips: Iterable[Clip]
) -> tuple[tuple[str, ...], ...]:
    """Files of the same content that are labelled differently."""
    meanings: dict[str, set[object]] = {}
    for clip in clips:
        meaning = (clip.start_time, clip.end_time, clip.labels, clip.negatives)
        meanings.setdefault(clip.path, set()).add(meaning)
    return tuple(
        names for names in duplicates if any(meanings[n] != meanings[names[0]] for n in names)
    )


def _notes(data: ClipSet) -> tuple[str, ...]:
    notes = []
    try:
        data.require_two_classes()
    except OptionError as error:
        notes.append(tr("{error}.", error=error))
    of_spelling: dict[str, str] = {}
    for label in data.classes:
        other = of_spelling.setdefault(label.casefold(), label)
        if other != label:
            notes.append(
                tr(
                    "{other!r} and {label!r} are two classes; are they meant to be one?",
                    other=other,
                    label=label,
                )
            )
        parts = folder_meaning(label.replace(", ", ","), label).labels
        if len(parts) > 1 and set(parts) <= set(data.classes):
            notes.append(
                tr(
                    "{label!r} is one class; if it means several, write {parts!r}, "
                    "without spaces, for a folder, or a row for each in a table",
                    label=label,
                    parts=",".join(parts),
                )
            )
    return (*notes, *(note + "." for note in data.notes))
