# SPDX-License-Identifier: Apache-2.0
"""Stretches of sound, from when to when the level stands out of its background; and silences.

1. Levels are those of 20 ms (`oido.signal.level.LevelMeter`). The *background* is the level that a
   fifth of the last 30 s stay below (at the start: of the first 5 s), found anew every half second,
   and -75 dB at the least: behind digital silence the noise of a recording is not yet a sound.
2. A level 10 dB above its background, or more, is *sound*.
   A level that is so, or is not, whatever is still to come of its half second, is judged at once.
3. Pauses shorter than 0.6 s belong to the stretch. What is shorter than 0.04 s is a click in the
   recording, and none. A stretch of 30 s is cut: the next begins where it ends.
4. *Silence* is where every level is the least there is, for 0.6 s or more: the zeros, or the
   dither, of a muted microphone or behind a gate. No stretch has one inside.
"""

from __future__ import annotations

from collections import deque
from typing import NamedTuple

import numpy as np

from oido.arrays import F32, Bools

RISE_DB = 10.0
"""Less: faint sounds have their edges, and noises that rise and fall become stretches."""

QUIETEST_DB = -75.0
"""Of the background. Higher: quiet recordings lose stretches; lower: noise behind a gate is one."""

SILENT_DB = -90.0
"""What `LevelMeter` gives at the least. Higher: networks that take sound at any level, as BirdNET
does, lose what is in very quiet recordings."""

_EVERY, _STEP = 25, 5
"""The background is found anew after so many levels, in every so-manieth."""

_BACKGROUND, _WARM_UP = 300, 50
"""Of these, how many it is found in; and at the start, at the least."""

_SHARE = 0.2
"""Of those levels, what lies below the background."""

_PAUSE, _SHORTEST, _LONGEST = 30, 2, 1500
"""In levels. A longer pause joins what follows each other; a shorter one tells syllables apart."""


class Stretch(NamedTuple):
    """Levels first to end, the end not included. is_cut: the sound goes on behind it."""

    first: int
    end: int
    is_cut: bool = False


class SilenceFinder:
    """Finds silences in the levels of a stream, in whatever blocks they come."""

    def __init__(self) -> None:
        self._n = 0  # levels so far
        self._runs: list[tuple[int, int]] = []  # of silent levels, however short

    def push(self, levels: F32) -> None:
        """More levels in dB, f32[n]."""
        for first, end in _runs(levels <= np.float32(SILENT_DB), self._n):
            goes_on = bool(self._runs) and self._runs[-1][1] == first
            self._runs.append((self._runs.pop()[0] if goes_on else first, end))
        self._n += len(levels)

    def found(self) -> list[tuple[int, int | None]]:
        """First and end of each in levels, in order; no end: it goes on as far as is known."""
        runs = [run for run in self._runs if run[1] - run[0] >= _PAUSE]
        return [(first, None if end == self._n else end) for first, end in runs]

    def drop_until(self, level: int) -> None:
        """Forget those that are over by then."""
        self._runs = [run for run in self._runs if run[1] > level or run[1] == self._n]


class StretchFinder:
    """Finds stretches in the levels of a stream, in whatever blocks they come."""

    def __init__(self) -> None:
        self._recent = np.zeros(0, np.float32)  # every _STEP-th of the levels that were judged
        self._waiting = np.zeros(0, np.float32)
        self._n_judged = 0  # those of whole half seconds
        self._n_early = 0  # of those that wait, how many are judged
        self._first = self._end = -1  # of the stretch that is open; -1: none is
        self.closed: deque[Stretch] = deque()
        """In order of time; whoever uses one removes it."""

    @property
    def open_from(self) -> int | None:
        """Where the stretch that is not over begins, in levels."""
        return None if self._first < 0 else self._first

    @property
    def n_known(self) -> int:
        """Of so many levels from the start it is known, for good, which stretch they belong to."""
        if self._first < 0:
            return self._n_judged + self._n_early
        return self._end if self._end - self._first >= _SHORTEST else self._first

    def push(self, levels: F32) -> None:
        """More levels in dB, f32[n]."""
        self._waiting = np.concatenate([self._waiting, levels])
        if self._n_judged or len(self._waiting) >= _WARM_UP * _STEP:
            self._judge(len(self._waiting) // _EVERY * _EVERY)
        self._judge_early()

    def flush(self) -> None:
        """The stream is over."""
        self._judge(len(self._waiting))
        self._close()

    def _judge(self, n: int) -> None:
        """Take the next n levels: which of them are sound?"""
        if not n:
            return
        levels, self._waiting = self._waiting[:n], self._waiting[n:]
        background = self._background(levels[::_STEP], n)
        early, self._n_early = self._n_early, 0
        self._add_all(levels[early:] >= background[early:n] + RISE_DB, self._n_judged + early)
        self._n_judged += n

    def _judge_early(self) -> None:
        """Judge the levels that wait, up to the first that what is to come may decide upon."""
        levels = self._waiting[self._n_early :]
        if not len(levels):
            return
        low, high = self._background_limits()
        is_sound = levels >= high + RISE_DB
        is_open = ~is_sound & (levels >= low + RISE_DB)
        n = int(np.argmax(is_open)) if is_open.any() else len(levels)
        self._add_all(is_sound[:n], self._n_judged + self._n_early)
        self._n_early += n

    def _background_limits(self) -> tuple[np.float32, np.float32]:
        """Between what the background of those that wait will be, wherever the stream ends.

        Each sampled level that is still to come moves it down by one place at the most. Those that
        are older than 30 s by then are still among the known ones here: they may move it up.
        """
        known = np.sort(np.concatenate([self._recent, self._waiting[::_STEP]]))
        in_all = len(self._recent) + _EVERY // _STEP
        if not self._n_judged:
            in_all = _WARM_UP
        place = int(_SHARE * (min(in_all, _BACKGROUND) - 1))
        lowest, highest = place - (in_all - len(known)), place + max(0, in_all - _BACKGROUND)
        low = known[lowest] if lowest >= 0 else np.float32(QUIETEST_DB)
        high = known[highest] if highest < len(known) else np.float32(np.inf)
        least = np.float32(QUIETEST_DB)
        return np.maximum(low, least), np.maximum(high, least)

    def _add_all(self, is_sound: Bools, first: int) -> None:
        """Which levels are sound, bool[n], from the first on."""
        for start, end in _runs(is_sound, first):
            self._add(start, end)
        if self._first >= 0 and first + len(is_sound) - self._end >= _PAUSE:
            self._close()

    def _background(self, sampled: F32, n: int) -> F32:
        """Of each of the next n levels, f32[n and more]; sampled: every _STEP-th of them."""
        ends = np.arange(0, len(sampled), _EVERY // _STEP) + _EVERY // _STEP
        ends = np.minimum(ends, len(sampled)) + len(self._recent)
        sampled = np.concatenate([self._recent, sampled])
        if not self._n_judged:
            ends = np.maximum(ends, min(_WARM_UP, len(sampled)))
        # Each row holds what came up to then, behind what is louder than anything.
        padded = np.concatenate([np.full(_BACKGROUND, np.inf, np.float32), sampled])
        rows = np.sort(np.lib.stride_tricks.sliding_window_view(padded, _BACKGROUND)[ends], axis=1)
        known = np.minimum(ends, _BACKGROUND)
        self._recent = sampled[-_BACKGROUND:]
        quiet = rows[np.arange(len(ends)), (_SHARE * (known - 1)).astype(int)]
        return np.repeat(np.maximum(quiet, np.float32(QUIETEST_DB)), _EVERY)

    def _add(self, first: int, end: int) -> None:
        """The levels from first to end are sound."""
        if self._first >= 0 and first - self._end >= _PAUSE:
            self._close()
        if self._first < 0:
            self._first = first
        while end - self._first > _LONGEST:
            self.closed.append(Stretch(self._first, self._first + _LONGEST, is_cut=True))
            self._first += _LONGEST
        self._end = end

    def _close(self) -> None:
        if self._first >= 0 and self._end - self._first >= _SHORTEST:
            self.closed.append(Stretch(self._first, self._end))
        self._first = self._end = -1


def _runs(is_so: Bools, first: int) -> list[list[int]]:
    """First and end of each run in bool[n], which are numbered from the first on."""
    edges = np.flatnonzero(np.diff(np.concatenate([[False], is_so, [False]]))) + first
    runs: list[list[int]] = edges.reshape(-1, 2).tolist()
    return runs
