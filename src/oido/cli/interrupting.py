# SPDX-License-Identifier: Apache-2.0
"""Ctrl-C that ends a run between two messages, never within a line.

By itself Python raises KeyboardInterrupt wherever it is: between a file that was made and the
variable that was to hold it, or in a callback of an import, where it is printed and forgotten.
"""

from __future__ import annotations

import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, Protocol

__all__ = ["Interruptible", "interruptible", "interrupts_held"]


class Interruptible(Protocol):
    """What can be asked to end soon, from a signal handler."""

    def interrupt(self) -> None: ...


@contextmanager
def interruptible(run: Interruptible) -> Iterator[None]:
    """Hand the first Ctrl-C to the run; a second one ends everything at once."""
    with _first_interrupt(run.interrupt):
        yield


@contextmanager
def interrupts_held() -> Iterator[None]:
    """A Ctrl-C within the block raises KeyboardInterrupt at its end, or at once if it is repeated.

    For what is soon over and must not be cut in two: imports, and making what must be closed.
    """
    came: list[bool] = []
    try:
        with _first_interrupt(lambda: came.append(True)):
            yield
    finally:
        if came:
            raise KeyboardInterrupt


@contextmanager
def _first_interrupt(do: Callable[[], None]) -> Iterator[None]:
    def on_interrupt(*_: Any) -> None:
        signal.signal(signal.SIGINT, before)
        do()

    if threading.current_thread() is not threading.main_thread():
        yield  # signals come to the main thread only
        return
    before = signal.signal(signal.SIGINT, on_interrupt)
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, before)
