# SPDX-License-Identifier: Apache-2.0
"""Labelled regions of one recording: points, overlaps, the stretches between.

Together they say which events a recording has, and when.
"""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import replace
from typing import NamedTuple

from oido.datasets.clip import Clip, ClipSet, Found, LeftOut
from oido.messages import tr

_POINT_SECONDS = 1.0
"""How much is cut around a label that marks a point: a window of YAMNet is 0.975 s."""

_MARGIN_SECONDS = 0.25
"""How far background keeps from a label, because labels are not drawn to the hundredth."""

_SHORTEST_GAP_SECONDS = 1.0

_APART_SECONDS = 1.0
"""Nearer regions are of one source: a window may reach from one into the other."""


def region_around(start: float, end: float) -> tuple[float, float]:
    """The region of a label: its own, or a second around one that marks a point."""
    if end > start:
        return start, end
    return max(0.0, start - _POINT_SECONDS / 2), start + _POINT_SECONDS / 2


def relate(clips: Sequence[Clip]) -> list[Clip]:
    """Regions of one recording, each with the labels of the others that overlap it.

    A region inside another has the other's classes too. One that another class only reaches into
    stays as it is, but is not complete: that class is in a part of it, and it is unsure.
    Clips without both times are left alone.
    """
    timed = sorted(
        (c for c in clips if c.start_time is not None and c.end_time is not None),
        key=lambda clip: (clip.start_time, clip.end_time),
    )
    labels = {clip: set(clip.labels) for clip in timed}
    partly: defaultdict[Clip, set[str]] = defaultdict(set)
    for number, first in enumerate(timed):
        for second in timed[number + 1 :]:
            if _start(second) >= _end(first):
                break
            for one, other in ((first, second), (second, first)):
                inside = _start(other) <= _start(one) and _end(one) <= _end(other)
                if not (one.labels and set(other.labels) - set(one.labels)):
                    continue
                if inside:
                    labels[one] |= set(other.labels) - set(one.negatives)
                else:
                    partly[one] |= set(other.labels)
    return [
        _related(clip, labels[clip], partly[clip]) if clip in labels else clip for clip in clips
    ]


def _related(clip: Clip, labels: set[str], partly: set[str]) -> Clip:
    """A region with all its labels; partly: those of regions that reach into it."""
    reaching = tuple(sorted(partly - labels))
    complete = clip.complete and not reaching
    unsure = reaching if clip.complete else ()
    return replace(clip, labels=tuple(labels), complete=complete, unsure=unsure)


def gaps(regions: Iterable[tuple[float, float]], duration: float) -> list[tuple[float, float]]:
    """The stretches of a recording of so many seconds that no region touches, a second or more."""
    free, since = [], 0.0
    for start, end in sorted(regions):
        free.append((since, start - _MARGIN_SECONDS))
        since = max(since, end + _MARGIN_SECONDS)
    free.append((since, duration))
    return [(start, end) for start, end in free if end - start >= _SHORTEST_GAP_SECONDS]


def background_clips(
    like: Clip, regions: Iterable[tuple[float, float]], duration: float
) -> list[Clip]:
    """Clips without an event in the `gaps` of a recording, of the group and the fold of another."""
    empty = replace(like, labels=(), negatives=(), complete=True)
    found = gaps(regions, duration)
    return [replace(empty, start_time=start, end_time=end) for start, end in found]


def separate_stretches(found: Found) -> None:
    """Take each stretch of a recording for a source of its own, and note it."""
    of_path: defaultdict[tuple[str, bool], list[int]] = defaultdict(list)
    for number, clip in enumerate(found.clips):
        if clip.is_region:
            is_gap = clip.complete and not clip.labels and not clip.negatives
            of_path[clip.path, is_gap].append(number)
    sources: defaultdict[str, set[str]] = defaultdict(set)
    for (path, _), numbers in of_path.items():
        since = end = -math.inf
        for number in sorted(numbers, key=lambda number: found.clips[number].start_time or 0.0):
            clip = found.clips[number]
            start = clip.start_time or 0.0
            if start - end >= _APART_SECONDS:
                since = start
            end = max(end, math.inf if clip.end_time is None else clip.end_time)
            found.clips[number] = replace(clip, group=f"{clip.group} @ {since:g} s")
            sources[path].add(found.clips[number].group)
    if any(len(groups) > 1 for groups in sources.values()):
        found.guesses.append(
            tr(
                "stretches of the same recordings are taken for sources of their own: what is "
                "judged is of the same places, days and devices as what is learnt, and comes out "
                "better than it is elsewhere"
            )
        )


class TimedLabel(NamedTuple):
    """A label from when to when, in seconds; an end of None is that of the recording."""

    start: float
    end: float | None
    label: str


class FileTruth(NamedTuple):
    """All events of a recording: none where ``events`` is empty."""

    path: str
    group: str
    events: tuple[TimedLabel, ...]


def file_truths(dataset: ClipSet) -> tuple[list[FileTruth], list[LeftOut]]:
    """The recordings whose events have times, and those that cannot be judged by times.

    A recording with a labelled region has the events of its regions and no other. One without is
    empty if each of its clips is complete and has no label. Left out are recordings that are
    labelled as a whole, and those of which only some absences are known.
    """
    of_path: defaultdict[str, list[Clip]] = defaultdict(list)
    for clip in dataset.clips:
        of_path[clip.path].append(clip)
    truths, left_out = [], []
    for path, clips in of_path.items():
        if any(clip.labels and not clip.is_region for clip in clips):
            left_out.append(LeftOut(path, tr("is labelled as a whole, without times")))
            continue
        events = [
            TimedLabel(clip.start_time or 0.0, clip.end_time, label)
            for clip in clips
            for label in clip.labels
        ]
        if events or all(clip.complete for clip in clips):
            truths.append(FileTruth(path, clips[0].group, tuple(events)))
        else:
            left_out.append(LeftOut(path, tr("nobody knows which events are in it")))
    return truths, left_out


def merge_events(events: Iterable[TimedLabel], duration: float) -> list[TimedLabel]:
    """Events inside a recording of so many seconds; overlapping ones of a label become one.

    Those that start behind its end are dropped. Sorted by label and start.
    """
    inside = sorted(
        (e.label, max(0.0, e.start), duration if e.end is None else min(e.end, duration))
        for e in events
    )
    found: list[TimedLabel] = []
    for label, start, end in inside:
        if start >= end:
            continue
        last = found[-1] if found and found[-1].label == label else None
        if last is not None and last.end is not None and start < last.end:
            found[-1] = last._replace(end=max(end, last.end))
        else:
            found.append(TimedLabel(start, end, label))
    return found


def _start(clip: Clip) -> float:
    return clip.start_time or 0.0


def _end(clip: Clip) -> float:
    assert clip.end_time is not None
    return clip.end_time
