# SPDX-License-Identifier: Apache-2.0
"""Labelled regions of one recording: points, overlaps, and the stretches between."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import replace

from oido.datasets.clip import Clip

__all__ = ["gaps", "relate", "widened"]

_POINT_SECONDS = 1.0
"""How much is cut around a label that marks a point: a window of YAMNet is 0.975 s."""

_MARGIN_SECONDS = 0.25
"""How far background keeps from a label, because labels are not drawn to the hundredth."""

_SHORTEST_GAP_SECONDS = 1.0


def widened(start: float, end: float) -> tuple[float, float]:
    """The region of a label: its own, or a second around one that marks a point."""
    if end > start:
        return start, end
    return max(0.0, start - _POINT_SECONDS / 2), start + _POINT_SECONDS / 2


def relate(clips: Sequence[Clip]) -> list[Clip]:
    """Regions of one recording, each with what the others say of it.

    A region inside another is heard with the other's classes too. One that another class only
    reaches into stays as it is, but is not complete: nobody knows in which part both are heard.
    Clips without both times are left alone.
    """
    timed = sorted(
        (c for c in clips if c.start_time is not None and c.end_time is not None),
        key=lambda clip: (clip.start_time, clip.end_time),
    )
    labels = {clip: set(clip.labels) for clip in timed}
    partly: dict[Clip, bool] = {}
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
                    partly[one] = True
    return [
        replace(
            clip,
            labels=tuple(labels[clip]),
            complete=clip.complete and not partly.get(clip, False),
        )
        if clip in labels
        else clip
        for clip in clips
    ]


def gaps(regions: Iterable[tuple[float, float]], duration: float) -> list[tuple[float, float]]:
    """The stretches of a recording of so many seconds that no region touches, a second or more."""
    free, since = [], 0.0
    for start, end in sorted(regions):
        free.append((since, start - _MARGIN_SECONDS))
        since = max(since, end + _MARGIN_SECONDS)
    free.append((since, duration))
    return [(start, end) for start, end in free if end - start >= _SHORTEST_GAP_SECONDS]


def _start(clip: Clip) -> float:
    return clip.start_time or 0.0


def _end(clip: Clip) -> float:
    assert clip.end_time is not None
    return clip.end_time
