# SPDX-License-Identifier: Apache-2.0
"""Remote recordings fetched by threads while workers are busy with those before them.

Only so many, and only so many bytes, are ahead. The copies lie in one temporary folder, which goes
when the run ends, however it ends. What cannot be fetched here is left to its worker, which tries
again and knows what to say.
"""

from __future__ import annotations

import contextlib
import os
import queue
import shutil
import tempfile
import threading
import time
from collections import deque
from collections.abc import Callable
from dataclasses import replace
from typing import Any

from oido.batch.storage import is_remote
from oido.batch.units import Later, Unit
from oido.urls import filesystem_of

_THREADS = 8
_MOST_RECORDINGS = 32
_MOST_BYTES = 256 << 20
"""Ahead of the workers; one recording more than that may be under way."""

_FREE_SHARE = 8
"""No more than one part in so many of what is free on the disk."""

_LONG_BYTES_PER_SECOND = 32_000
"""What is as large as a recording of 16 kHz that will be split is rather read in ranges."""

_STALL_SECONDS, _LEAST_BYTES = 120.0, 100_000
"""A recording of which fewer bytes come in so long is left to its worker, whose clock ends it."""

_END_SECONDS = 2.0


class _Fetch:
    """A unit whose recording is on its way; path: its copy, "" until it is whole or has failed."""

    def __init__(self, unit: Unit, files: Any, target: str) -> None:
        self.unit, self.files, self.target = unit, files, target
        self.is_over = self.is_abandoned = False
        self.path = ""
        self.n_bytes = self._counted = 0
        self._counted_at: float | None = None

    def begin(self) -> None:
        self._counted_at = time.monotonic()

    def has_stalled(self) -> bool:
        """Whether hardly anything has come for long; to be asked for every second or so."""
        now = time.monotonic()
        if self._counted_at is None or now - self._counted_at < _STALL_SECONDS:
            return False
        is_slow = self.n_bytes - self._counted < _LEAST_BYTES
        self._counted, self._counted_at = self.n_bytes, now
        return is_slow


class Prefetch:
    """Hands out units, those of remote recordings when their copies are there.

    on_arrival: called by a thread when there may be more to hand out. split_seconds: as of the
    `RunSpec`.
    """

    def __init__(self, on_arrival: Callable[[], object], split_seconds: float) -> None:
        self._on_arrival, self._split_seconds = on_arrival, split_seconds
        self._ahead: deque[_Fetch] = deque()
        self._requests: queue.SimpleQueue[_Fetch | None] = queue.SimpleQueue()
        self._threads: list[threading.Thread] = []
        self._files: dict[str, Any] = {}
        self._folder: tempfile.TemporaryDirectory[str] | None = None
        self._most_bytes, self._number = 0, 0
        self._closed = threading.Event()

    def next(self, next_unit: Callable[[], Unit | None]) -> Unit | Later | None:
        """What is to be done now; the units of a folder on this machine as they come."""
        while self._has_place():
            unit = next_unit()
            if unit is None:
                break
            if not self._is_fetched(unit):
                return replace(unit, fetched="") if unit.fetched else unit
            self._begin(unit)
        for fetch in self._ahead:
            if not fetch.is_over and not fetch.is_abandoned and fetch.has_stalled():
                fetch.is_abandoned = True
                self._start_thread()  # its own may be held for ever
        arrived = next((f for f in self._ahead if f.is_over or f.is_abandoned), None)
        if arrived is None:
            return Later() if self._ahead else None
        self._ahead.remove(arrived)
        return replace(arrived.unit, fetched=arrived.path)

    def release(self, unit: Unit) -> None:
        """The unit is over: its copy goes."""
        if unit.fetched:
            with contextlib.suppress(OSError):
                os.unlink(unit.fetched)

    def cancel(self) -> None:
        """Begin nothing more, and stop what is under way at its next piece."""
        self._closed.set()

    def close(self) -> None:
        """The same, and remove all copies."""
        self.cancel()
        for _ in self._threads:
            self._requests.put(None)
        deadline = time.monotonic() + _END_SECONDS
        for thread in self._threads:
            thread.join(max(0.0, deadline - time.monotonic()))
        if self._folder is not None:
            with contextlib.suppress(OSError):  # a thread that a dead server holds is left behind
                self._folder.cleanup()
            shutil.rmtree(self._folder.name, ignore_errors=True)

    def _has_place(self) -> bool:
        n_bytes = sum(fetch.unit.source.size for fetch in self._ahead)
        return len(self._ahead) < _MOST_RECORDINGS and n_bytes <= self._most_bytes

    def _is_fetched(self, unit: Unit) -> bool:
        if unit.kind not in ("whole", "sample") or not is_remote(unit.source.location):
            return False
        if self._folder is None:
            self._folder = tempfile.TemporaryDirectory(prefix="oido-")
            free = shutil.disk_usage(self._folder.name).free
            self._most_bytes = min(_MOST_BYTES, free // _FREE_SHARE)
        most = float(self._most_bytes)
        if unit.may_split and unit.kind == "whole":
            most = min(most, self._split_seconds * _LONG_BYTES_PER_SECOND)
        return 0 < unit.source.size <= most

    def _begin(self, unit: Unit) -> None:
        assert self._folder is not None
        location = unit.source.location
        protocol = location.split("://", 1)[0]
        if protocol not in self._files:  # one for all: a client takes longer than many a recording
            self._files[protocol] = filesystem_of(location)
        self._number += 1
        # With its own ending, because messages may show it.
        name = f"{self._number}{os.path.splitext(location)[1][:16]}"
        fetch = _Fetch(unit, self._files[protocol], os.path.join(self._folder.name, name))
        self._ahead.append(fetch)
        if len(self._threads) < _THREADS:
            self._start_thread()
        self._requests.put(fetch)

    def _start_thread(self) -> None:
        # A daemon: a server that does not answer must not keep the process.
        self._threads.append(threading.Thread(target=self._work, daemon=True))
        self._threads[-1].start()

    def _work(self) -> None:
        while (fetch := self._requests.get()) is not None:
            with contextlib.suppress(Exception):  # each store has errors of its own
                self._fetch(fetch)
            if not fetch.path:
                with contextlib.suppress(OSError):
                    os.unlink(fetch.target)
            fetch.is_over = True
            self._on_arrival()

    def _fetch(self, fetch: _Fetch) -> None:
        from fsspec.callbacks import Callback

        def count(_: object, n_bytes: int, **__: object) -> None:
            fetch.n_bytes = n_bytes
            if self._closed.is_set() or fetch.is_abandoned:
                raise InterruptedError

        source = fetch.unit.source
        fetch.begin()
        count(None, 0)
        fetch.files.get_file(source.location, fetch.target, callback=Callback(hooks={"n": count}))
        if os.path.getsize(fetch.target) == source.size and not fetch.is_abandoned:
            fetch.path = fetch.target
