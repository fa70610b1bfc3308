# SPDX-License-Identifier: Apache-2.0
"""What is heard in a recording and when, put together from the labelled regions of a dataset."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable
from typing import NamedTuple

from oido.datasets.clip import Clip, LeftOut
from oido.datasets.dataset import Dataset

__all__ = ["FileTruth", "TimedLabel", "file_truths", "settled"]


class TimedLabel(NamedTuple):
    """A label from when to when, in seconds; an end of None is that of the recording."""

    start: float
    end: float | None
    label: str


class FileTruth(NamedTuple):
    """All that is heard in a recording: nothing where ``events`` is empty."""

    path: str
    group: str
    events: tuple[TimedLabel, ...]


def file_truths(dataset: Dataset) -> tuple[list[FileTruth], list[LeftOut]]:
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
            left_out.append(LeftOut(path, "is labelled as a whole, without times"))
            continue
        events = [
            TimedLabel(clip.start_time or 0.0, clip.end_time, label)
            for clip in clips
            for label in clip.labels
        ]
        if events or all(clip.complete for clip in clips):
            truths.append(FileTruth(path, clips[0].group, tuple(events)))
        else:
            left_out.append(LeftOut(path, "nobody knows which events are in it"))
    return truths, left_out


def settled(events: Iterable[TimedLabel], duration: float) -> list[TimedLabel]:
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
