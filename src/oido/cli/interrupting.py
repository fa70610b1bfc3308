# SPDX-License-Identifier: Apache-2.0
"""Ctrl-C that ends a run between two messages, never within a line."""

from __future__ import annotations

import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Protocol

__all__ = ["Interruptible", "interruptible"]


class Interruptible(Protocol):
    """What can be asked to end soon, from a signal handler."""

    def interrupt(self) -> None: ...


@contextmanager
def interruptible(run: Interruptible) -> Iterator[None]:
    """Hand the first Ctrl-C to the run; a second one ends everything at once."""

    def on_interrupt(*_: object) -> None:
        signal.signal(signal.SIGINT, before)
        run.interrupt()

    if threading.current_thread() is not threading.main_thread():
        yield  # signals come to the main thread only
        return
    before = signal.signal(signal.SIGINT, on_interrupt)
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, before)
