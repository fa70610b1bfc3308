# SPDX-License-Identifier: Apache-2.0
"""Waiting that Ctrl-C can end: what may block for long in C runs in a thread that nobody joins."""

from __future__ import annotations

import queue
import threading
from collections.abc import Callable, Iterator
from typing import TypeVar

__all__ = ["in_background", "pulled_in_background"]

_T = TypeVar("_T")

_TICK_SECONDS = 0.1


def in_background(work: Callable[[], _T]) -> _T:
    """What ``work`` returns or raises. An interrupt of the one that waits leaves it behind."""
    results: list[_T] = []
    errors: list[BaseException] = []

    def run() -> None:
        try:
            results.append(work())
        except BaseException as error:
            errors.append(error)

    thread = threading.Thread(target=run, name="oido-background", daemon=True)
    thread.start()
    while thread.is_alive():
        thread.join(_TICK_SECONDS)
    if errors:
        raise errors[0]
    return results[0]


def pulled_in_background(items: Iterator[_T], room: int) -> Iterator[_T]:
    """The same items, pulled by a thread; at most ``room`` of them wait. Errors come in order."""
    waiting: queue.Queue[tuple[_T] | BaseException | None] = queue.Queue(room)
    stopping = threading.Event()

    def put(item: tuple[_T] | BaseException | None) -> None:
        while not stopping.is_set():
            try:
                waiting.put(item, timeout=_TICK_SECONDS)
            except queue.Full:
                continue
            return

    def pull() -> None:
        try:
            for item in items:
                put((item,))
                if stopping.is_set():
                    return
        except BaseException as error:
            put(error)
        else:
            put(None)

    threading.Thread(target=pull, name="oido-background", daemon=True).start()
    try:
        while True:
            try:
                item = waiting.get(timeout=_TICK_SECONDS)
            except queue.Empty:
                continue
            if item is None:
                return
            if isinstance(item, BaseException):
                raise item
            yield item[0]
    finally:
        stopping.set()
