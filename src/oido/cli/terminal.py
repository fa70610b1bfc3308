# SPDX-License-Identifier: Apache-2.0
"""What all commands share towards the terminal: exit codes, messages, Ctrl-C, and silence.

LiteRT and ALSA print on standard error by themselves; a command that owns the screen hides that.
"""

from __future__ import annotations

import os
import signal
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager

EXIT_OK, EXIT_FATAL, EXIT_USAGE, EXIT_FAILED_FILES, EXIT_INTERRUPTED = 0, 1, 2, 3, 130
"""All is well; a fatal error; wrong usage; finished, but some recordings failed; interrupted."""


def use_utf8(newline: str | None = None) -> None:
    """Make standard output UTF-8, where its encoding can be changed."""
    if hasattr(sys.stdout, "reconfigure"):
        sys.stdout.reconfigure(encoding="utf-8", newline=newline)


def print_message(text: str) -> None:
    """A line for the user on standard error, whatever standard output is for."""
    print(f"oido: {text}", file=sys.stderr, flush=True)


@contextmanager
def signal_handled(number: int, handler: Callable[..., object]) -> Iterator[None]:
    """A signal goes to this handler while the block runs."""
    if threading.current_thread() is not threading.main_thread():
        yield  # signals come to the main thread only
        return
    before = signal.signal(number, handler)
    try:
        yield
    finally:
        signal.signal(number, before)


@contextmanager
def interruptible(interrupt: Callable[[], object]) -> Iterator[None]:
    """The first Ctrl-C calls this, and asks so for a soon end; a second one ends all at once."""
    before = signal.getsignal(signal.SIGINT)

    def on_interrupt(*_: object) -> None:
        signal.signal(signal.SIGINT, before)
        interrupt()

    with signal_handled(signal.SIGINT, on_interrupt):
        yield


@contextmanager
def interrupts_held() -> Iterator[None]:
    """A Ctrl-C within the block raises KeyboardInterrupt at its end, or at once if it is repeated.

    For what is soon over and must not be cut in two: imports, and making what must be closed.
    """
    came: list[bool] = []
    try:
        with interruptible(lambda: came.append(True)):
            yield
    finally:
        if came:
            raise KeyboardInterrupt


@contextmanager
def silence_stderr(really: bool = True) -> Iterator[None]:
    """Standard error leads nowhere while the block runs, for C and Python alike."""
    if not really:
        yield
        return
    try:
        kept = os.dup(2)
    except OSError:  # there is no standard error
        yield
        return
    sys.stderr.flush()
    nowhere = os.open(os.devnull, os.O_WRONLY)
    os.dup2(nowhere, 2)
    os.close(nowhere)
    try:
        yield
    finally:
        sys.stderr.flush()
        os.dup2(kept, 2)
        os.close(kept)
