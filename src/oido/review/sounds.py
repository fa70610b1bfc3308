# SPDX-License-Identifier: Apache-2.0
"""The sound of places, cut from their recordings as pages ask for it."""

from __future__ import annotations

import threading
from collections import OrderedDict
from contextlib import ExitStack
from typing import NamedTuple

from oido.batch.storage import is_remote
from oido.errors import OptionError
from oido.messages import tr
from oido.results.clip_files import reached
from oido.results.excerpts import read_excerpt
from oido.signal.encode import wav_bytes
from oido.signal.mixing import Channel
from oido.signal.resample import resample

LONGEST_SECONDS = 120.0
_HIGHEST_RATE_HZ = 48_000
_MOST_CLIPS = 64
_MOST_FETCHED = 4
"""Remote recordings that are kept on this machine at one time."""


class SoundSpan(NamedTuple):
    """What is asked for. location: where the recording was when it was classified."""

    recording: str
    location: str
    channel: int | None
    start_time: float
    end_time: float


class Sounds:
    """Cuts spans out of recordings; called from any thread. The last ones are kept."""

    def __init__(self) -> None:
        self._clips: OrderedDict[SoundSpan, bytes] = OrderedDict()
        self._fetched: OrderedDict[str, tuple[ExitStack, str]] = OrderedDict()
        self._lock, self._fetching = threading.Lock(), threading.Lock()

    def wav(self, span: SoundSpan) -> bytes:
        """The span as WAV: mono, 16 bits, at the recording's rate but at most 48 kHz.

        Raises OptionError for a span that is none, an AudioError or OSError for a recording that
        is not there any more, or cannot be read.
        """
        length = span.end_time - span.start_time
        if not 0 < length <= LONGEST_SECONDS or span.start_time < 0:
            raise OptionError(
                tr("a span is longer than 0 s and not longer than {most:g} s", most=LONGEST_SECONDS)
            )
        with self._lock:
            if span in self._clips:
                self._clips.move_to_end(span)
                return self._clips[span]
        content = self._cut(span)
        with self._lock:
            self._clips[span] = content
            while len(self._clips) > _MOST_CLIPS:
                self._clips.popitem(last=False)
        return content

    def close(self) -> None:
        """Delete what was fetched."""
        with self._fetching:
            while self._fetched:
                self._fetched.popitem()[1][0].close()

    def _cut(self, span: SoundSpan) -> bytes:
        channel: Channel = "mix" if span.channel is None else span.channel
        if is_remote(span.location):
            # One at a time, so that none is deleted while it is read.
            with self._fetching:
                return _encoded(self._fetch(span), span, channel)
        with reached(span.recording, span.location) as path:
            return _encoded(path, span, channel)

    def _fetch(self, span: SoundSpan) -> str:
        if span.location not in self._fetched:
            with ExitStack() as stack:
                path = stack.enter_context(reached(span.recording, span.location))
                self._fetched[span.location] = stack.pop_all(), path
            while len(self._fetched) > _MOST_FETCHED:
                self._fetched.popitem(last=False)[1][0].close()
        self._fetched.move_to_end(span.location)
        return self._fetched[span.location][1]


def _encoded(path: str, span: SoundSpan, channel: Channel) -> bytes:
    found = read_excerpt(path, span.start_time, span.end_time, channel=channel)
    rate_hz = min(found.rate_hz, _HIGHEST_RATE_HZ)
    return wav_bytes(resample(found.waveform, found.rate_hz, rate_hz), rate_hz)
