# SPDX-License-Identifier: Apache-2.0
"""Cameras and radio stations: RTSP, HTTP, HLS, Icecast…, opened again when they break off."""

from __future__ import annotations

import queue
import random
import threading
import time
from collections.abc import Iterator
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from oido.errors import AudioError, CorruptAudioError
from oido.live.opening import RefusedError, StreamOpener, cause_of
from oido.live.source import OnGap, OnMessage, SourceGap, enqueue, ignore, in_background, silence
from oido.live.tls import Tls
from oido.messages import text_of, tr
from oido.signal.decode import AudioInfo, AudioReader
from oido.signal.decode.pyav_stream import Demuxer

_TICK_SECONDS = 0.1
_WAITING_BLOCKS = 1024
_START_SECONDS = 10.0
_NO_MORE_SECONDS = 0.5
_SHORT_SECONDS = 60.0
_SILENCE = ("ExitError", "TimeoutError")


class BackOff(NamedTuple):
    """Seconds to wait before each attempt: ``first``, then twice as long each time, to ``most``.

    Up to a quarter is taken off at random, so that many clients do not come back at once.
    """

    first: float = 1.0
    most: float = 15.0

    def seconds(self, attempt: int) -> float:
        """Before this attempt, the first of which is 0."""
        full = self.first * 2.0 ** min(attempt, 30)
        return min(full, self.most) * random.uniform(0.75, 1.0)


class NetworkReader(AudioReader):
    """An address, read for as long as it lasts.

    timeout: seconds without data after which the connection counts as lost. A stream without end
    that breaks off is opened again, first after ``back_off.first`` seconds (1 by default);
    meanwhile time goes on: silence comes as the clock runs. ``on_gap`` is called when it is back,
    ``on_message`` gets a sentence at once. A recording, whose header says how long it is, ends with
    its file; a station may give a length, too, and is known by its headers, or by a stream that
    comes only as quickly as it is heard, of what its server does not call a file. Of a playlist
    (M3U, PLS), the first address that can be opened is read. tls: the certificates of https://,
    rtsps:// and rtmps://.

    Raises OptionError for what is no address, AudioError if it cannot be opened at first.
    """

    def __init__(
        self,
        url: str,
        *,
        timeout: float = 10.0,
        back_off: BackOff | None = None,
        tls: Tls | None = None,
        on_gap: OnGap = ignore,
        on_message: OnMessage = ignore,
    ) -> None:
        self._opener = StreamOpener(url, timeout, tls)
        self._name, self._back_off = self._opener.name, back_off or BackOff()
        self._on_gap, self._on_message, self._refusal = on_gap, on_message, ""
        first = self._first = in_background(self._opener.open)
        self._opened: Demuxer | None = first
        self._is_endless = first.seconds is None or first.is_station
        self.info = AudioInfo(self._name, first.rate_hz, first.channels, None, first.format, "pyav")
        self._damaged_before = 0
        self._items: queue.Queue[_Item] = queue.Queue(_WAITING_BLOCKS)
        self._stopping = threading.Event()
        self._thread: threading.Thread | None = None
        self._pace = _Pace(first.rate_hz)

    @property
    def damaged_packets(self) -> int:  # type: ignore[override]
        opened = self._opened
        return self._damaged_before + (opened.damaged_packets if opened else 0)

    @property
    def fullness(self) -> float:
        """How full the queue is, 0..1; of a recording, which can wait, 0."""
        return self._items.qsize() / _WAITING_BLOCKS if self._is_endless else 0.0

    def blocks(self) -> Iterator[NDArray[np.float32]]:
        """Blocks f32[n, channels], each as soon as it came."""
        self._thread = threading.Thread(target=self._receive, name="oido-network", daemon=True)
        self._thread.start()
        rate, pace = self.info.sample_rate_hz, self._pace
        lost_at, reason = None, ""
        while True:
            try:
                item = self._items.get(timeout=_TICK_SECONDS)
            except queue.Empty:
                if lost_at is not None:
                    yield from self._silence(pace.behind(time.monotonic()))
                continue
            if isinstance(item, _Lost):
                lost_at, reason = pace.frames, item.reason
            elif isinstance(item, _End):
                if item.error is not None:
                    raise item.error
                return
            else:
                if lost_at is not None or item.missing:
                    frames = pace.behind(item.came) - len(item.samples)
                    if lost_at is None:  # the stream's own clock jumped: the wall clock must agree
                        missing = round(item.missing * rate)
                        frames = min(frames, missing) if self._is_endless else missing
                        lost_at, reason = pace.frames, tr("the network lost it")
                    yield from self._silence(frames)
                    if pace.frames > lost_at:
                        gap = SourceGap(lost_at / rate, (pace.frames - lost_at) / rate, reason)
                        self._on_gap(gap)
                    lost_at = None
                pace.advance(len(item.samples), item.came)
                yield item.samples

    def close(self) -> None:
        """Stop listening. The connection is closed by the thread that reads it, soon."""
        self._stopping.set()
        if self._thread is None:
            if self._opened is not None:
                self._opened.close()
                self._opened = None
            return
        self._thread.join(_NO_MORE_SECONDS)

    def _silence(self, frames: int) -> Iterator[NDArray[np.float32]]:
        for block in silence(frames, self.info.channels, self.info.sample_rate_hz):
            self._pace.frames += len(block)
            self.gaps_seconds += len(block) / self.info.sample_rate_hz
            yield block

    # What follows runs in the thread that receives.

    def _receive(self) -> None:
        opener = self._opener
        while self._opened is not None and not self._stopping.is_set():
            arrival = _Arrival(opener.connected_at)
            error = self._receive_one(self._opened, arrival)
            self._damaged_before += self._opened.damaged_packets
            opened, self._opened = self._opened, None
            opened.close()
            if self._stopping.is_set():
                return
            if not (self._is_endless or (arrival.was_live() and not opener.has_an_end())):
                self._enqueue(_End(error))
                return
            self._is_endless = True
            if error is not None and cause_of(error) in _SILENCE and arrival.is_short():
                opener.wants_all_tracks = True  # cameras may fall silent where only sound is wanted
            reason = (
                tr("the stream ended")
                if error is None
                else text_of(error).removeprefix(f"{self._name}: ")
            )
            self._enqueue(_Lost(reason))
            self._on_message(
                tr("{name}: {reason}; trying to open it again", name=self._name, reason=reason)
            )
            self._opened = self._open_again()

    def _receive_one(self, demuxer: Demuxer, arrival: _Arrival) -> AudioError | None:
        try:
            for samples, missing in demuxer.blocks():
                arrival.advance(len(samples) / demuxer.rate_hz)
                if not self._enqueue(_Block(samples, missing, time.monotonic())):
                    return None
        except AudioError as error:
            return error
        except Exception as error:  # whatever it is, the reading thread must learn of it
            return CorruptAudioError(
                tr(
                    "{name}: broke off ({kind_name}: {error})",
                    name=self._name,
                    kind_name=type(error).__name__,
                    error=error,
                )
            )
        return None

    def _open_again(self) -> Demuxer | None:
        attempt, quickly = 0, True
        while not self._stopping.wait(self._back_off.seconds(attempt)):
            try:
                opened = self._opener.open(self._first, quickly=quickly)
            except AudioError as error:
                if isinstance(error, RefusedError) and str(error) != self._refusal:
                    self._refusal = text_of(error)
                    self._on_message(self._refusal)
                # If it is there, and not what it was, its container must be probed for longer.
                is_there = isinstance(error.__cause__, ValueError) or error.__cause__ is None
                attempt, quickly = attempt + 1, not is_there
                continue
            self._refusal = ""
            self._on_message(tr("{name}: is back", name=self._name))
            return opened
        return None

    def _enqueue(self, item: _Item) -> bool:
        """Whether it is still wanted. A slow reader slows the network down, and fills no memory."""
        return enqueue(self._items, item, self._stopping)


class _Block(NamedTuple):
    samples: NDArray[np.float32]
    missing: float
    came: float


class _Arrival:
    """How quickly one connection's sound came, since ``began``, a reading of the clock."""

    def __init__(self, began: float) -> None:
        self._began, self._seconds = began, 0.0

    def advance(self, seconds: float) -> None:
        """So much sound came."""
        self._seconds += seconds

    def is_short(self) -> bool:
        """Less than a minute of it."""
        return self._seconds < _SHORT_SECONDS

    def was_live(self) -> bool:
        """Whether it came as it is heard, but for a burst at first; files come more quickly."""
        took = time.monotonic() - self._began
        return took > max(self._seconds - _START_SECONDS * 3, self._seconds / 2, 1.0)


class _Lost(NamedTuple):
    reason: str


class _End(NamedTuple):
    error: AudioError | None


_Item = _Block | _Lost | _End


class _Pace:
    """How far the clock is ahead of the samples.

    Servers send a few seconds at once when they are asked first: the earliest moment at which the
    stream can have begun, by what came in the first ten seconds, is its start.
    """

    def __init__(self, rate_hz: int) -> None:
        self._rate_hz = rate_hz
        self._first_came: float | None = None
        self._start = float("inf")
        self.frames = 0

    def advance(self, frames: int, came: float) -> None:
        """So many frames came now (a reading of the monotonic clock)."""
        self.frames += frames
        if self._first_came is None:
            self._first_came = came
        if came - self._first_came < _START_SECONDS:
            self._start = min(self._start, came - self.frames / self._rate_hz)

    def behind(self, now: float) -> int:
        """Frames that the stream lacks; negative if it is ahead of the clock."""
        if self._first_came is None:
            return 0
        return round((now - self._start) * self._rate_hz) - self.frames
