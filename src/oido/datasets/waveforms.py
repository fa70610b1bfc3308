# SPDX-License-Identifier: Apache-2.0
"""The waveforms of clips: whole recordings, or stretches of them, decoded once for all.

A probe only opens a recording, or decodes it to its end, to find whether it can be read and how
long it is.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from typing import NamedTuple

import numpy as np

from oido.arrays import F32
from oido.datasets.clip import Clip
from oido.errors import AudioError, EmptyAudioError
from oido.messages import text_of, tr
from oido.signal.decode import open_audio
from oido.signal.mixing import mono_blocks
from oido.signal.resample import resample

Waveform = tuple[F32, int]


def clip_waveform(clip: Clip, sample_rate_hz: int | None = None) -> Waveform:
    """f32[n] of the mean of all channels, and its rate; None is the recording's own.

    A region begins and ends at the samples nearest to its times, at the recording's own rate, and
    ends with the recording if that is shorter. Nothing behind it is decoded. Raises AudioError,
    also if the region starts behind the end.
    """
    [(_, waveform)] = clip_waveforms([clip], sample_rate_hz)
    if isinstance(waveform, AudioError):
        raise waveform
    return waveform


def clip_waveforms(
    clips: Sequence[Clip], sample_rate_hz: int | None = None
) -> Iterator[tuple[int, Waveform | AudioError]]:
    """The number of each clip, and its waveform, or why it has none.

    Every recording is decoded once, however many clips are cut out of it, and only clips that
    overlap are in memory together; so clips come by recording and by their end, not in order.
    """
    numbers: defaultdict[str, list[int]] = defaultdict(list)
    for number, clip in enumerate(clips):
        numbers[clip.path].append(number)
    for path, of_path in numbers.items():
        yield from _of_recording(path, [(n, clips[n]) for n in of_path], sample_rate_hz)


class _Cut:
    """A stretch of a recording that grows with its blocks; positions are samples."""

    def __init__(self, number: int, clip: Clip, rate_hz: int) -> None:
        self.number, self.clip = number, clip
        self._start = round((clip.start_time or 0.0) * rate_hz)
        self._end = None if clip.end_time is None else round(clip.end_time * rate_hz)
        self._pieces: list[F32] = []

    def push(self, block: F32, first: int) -> None:
        stop = None if self._end is None else max(0, self._end - first)
        piece = block[max(0, self._start - first) : stop]
        if len(piece):
            # Copies, so that a short region does not keep whole blocks alive.
            self._pieces.append(piece.copy())

    def is_whole(self, position: int) -> bool:
        return self._end is not None and position >= self._end

    def waveform(self, from_hz: int, to_hz: int | None) -> Waveform | AudioError:
        if not self._pieces:
            return EmptyAudioError(
                tr("{clip}: there is no sample in it; see its times", clip=self.clip)
            )
        to_hz = from_hz if to_hz is None else to_hz
        return resample(np.concatenate(self._pieces), from_hz, to_hz), to_hz


def _of_recording(
    path: str, clips: Iterable[tuple[int, Clip]], rate_hz: int | None
) -> Iterator[tuple[int, Waveform | AudioError]]:
    waiting: list[_Cut] = []
    position = 0
    try:
        with open_audio(path) as reader:
            from_hz = reader.info.sample_rate_hz
            waiting = [_Cut(number, clip, from_hz) for number, clip in clips]
            for block in mono_blocks(reader):
                for cut in waiting:
                    cut.push(block, position)
                position += len(block)
                for cut in [cut for cut in waiting if cut.is_whole(position)]:
                    waiting.remove(cut)
                    yield cut.number, cut.waveform(from_hz, rate_hz)
                if not waiting:
                    return
            for cut in waiting:
                yield cut.number, cut.waveform(from_hz, rate_hz)
    except AudioError as error:
        # What ended before the damage has been yielded already.
        left = [cut.number for cut in waiting] or [number for number, _ in clips]
        for number in left:
            yield number, error


_SHORT_SECONDS = 0.1


class Probe(NamedTuple):
    """A recording's length in seconds, or the reason why it cannot be decoded."""

    duration: float
    problem: str | None = None


def probe(path: str, *, deep: bool = False) -> Probe:
    """Open a recording as every run does, and read its header.

    It is decoded to its end if ``deep``, and also where the header has no length or next to
    none, or where the length is only a guess. Only that finds NaN, damage behind the first sound,
    and files that end before their header says.
    """
    try:
        with open_audio(path) as reader:
            duration = reader.info.duration_seconds
            is_known = duration is not None and not reader.has_guessed_length
            if deep or not is_known or duration is None or duration < _SHORT_SECONDS:
                n_samples = sum(len(block) for block in mono_blocks(reader))
                duration = n_samples / reader.info.sample_rate_hz
            return Probe(duration)
    except AudioError as error:
        return Probe(0.0, text_of(error).removeprefix(f"{path}: "))
