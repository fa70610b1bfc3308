# SPDX-License-Identifier: Apache-2.0
"""What all commands share towards the terminal: exit codes, messages, Ctrl-C, and silence.

Names of files and labels may hold what moves the cursor, colours, reorders or ends a line. All text
of a command passes through `escaped_output`, and each line of names through `print_line` or
`print_message`. LiteRT and ALSA print on standard error by themselves; a command that owns the
screen hides that.
"""

from __future__ import annotations

import os
import signal
import sys
import threading
from collections.abc import Callable, Iterable, Iterator
from contextlib import ExitStack, contextmanager
from typing import IO, Any

from oido.messages import shown, tr
from oido.paths import escape_controls

EXIT_OK, EXIT_FATAL, EXIT_USAGE, EXIT_FAILED_FILES, EXIT_DAMAGED = 0, 1, 2, 3, 4
EXIT_INTERRUPTED = 130
"""All is well; a fatal error; wrong usage; finished, but some recordings failed; files of a results
folder are missing or changed; interrupted."""


class _EscapedStream:
    """A text stream that escapes what is written, all but line ends and tabs."""

    def __init__(self, stream: Any) -> None:
        self.direct = stream

    def write(self, text: str) -> int:
        self.direct.write(escape_controls(text, kept="\n\t"))
        return len(text)

    def writelines(self, lines: Iterable[str]) -> None:
        for line in lines:
            self.write(line)

    def __getattr__(self, name: str) -> Any:
        return getattr(self.direct, name)


@contextmanager
def escaped_output() -> Iterator[None]:
    """All that is printed while the block runs is escaped: by us, by argparse, by any library."""
    before = sys.stdout, sys.stderr
    escaped: list[Any] = [stream and _EscapedStream(stream) for stream in before]
    sys.stdout, sys.stderr = escaped
    try:
        yield
    finally:
        sys.stdout, sys.stderr = before


def direct(stream: Any) -> IO[Any]:
    """The stream itself, for what draws on a terminal and has escaped its texts."""
    own: IO[Any] = stream.direct if isinstance(stream, _EscapedStream) else stream
    return own


def data_output() -> IO[Any]:
    """Standard output for the next program: as it is in a pipe or file, escaped on a terminal."""
    return sys.stdout if sys.stdout.isatty() else direct(sys.stdout)


def use_utf8(newline: str | None = None) -> None:
    """Make standard output UTF-8, where its encoding can be changed."""
    if hasattr(sys.stdout, "reconfigure"):
        sys.stdout.reconfigure(encoding="utf-8", newline=newline)


def print_message(text: str, kept: str = "") -> None:
    """A line for the user on standard error, whatever standard output is for.

    kept: as for `escape_controls`; line ends, of a message that has several lines.
    """
    print(f"oido: {escape_controls(shown(text), kept)}", file=sys.stderr, flush=True)


def print_line(text: object) -> None:
    """A line for a reader on standard output, names in it escaped."""
    print(escape_controls(shown(text)))


_STYLES = {"bold": "1", "dim": "2", "red": "31", "green": "32", "yellow": "33", "cyan": "36"}


def has_colours(stream: Any) -> bool:
    """Whether text on this stream may have them: NO_COLOR, FORCE_COLOR and CLICOLOR say, else it is
    a terminal that can show them. Pipes and files have none, but where FORCE_COLOR is set."""
    values = os.environ
    forced = values.get("FORCE_COLOR") or values.get("CLICOLOR_FORCE") or ""
    if values.get("NO_COLOR") or forced == "0":
        return False
    if forced:
        return True
    terminal = values.get("TERM", "" if os.name == "posix" else "console")
    return values.get("CLICOLOR") != "0" and terminal not in ("", "dumb") and stream.isatty()


def print_styled(*parts: tuple[str, str]) -> None:
    """A line for a reader on standard output, of (text, style) pairs; style "" is plain.

    Texts are escaped, as by `print_line`; what is written besides is colour alone.
    """
    coloured = has_colours(sys.stdout)
    line = "".join(
        styled(escape_controls(shown(text)), style if coloured else "") for text, style in parts
    )
    print(line, file=direct(sys.stdout))


def styled(clean: str, style: str) -> str:
    """An escaped text in a style; "" is plain."""
    return f"\x1b[{_STYLES[style]}m{clean}\x1b[0m" if style and clean else clean


_MARKED = {"+ ": "green", "~ ": "yellow", "! ": "red"}


def print_report(text: str) -> None:
    """A report's lines; the marks of its remarks in colours."""
    for line in shown(text).split("\n"):
        style = _MARKED.get(line[:2], "")
        print_styled((line[:2], style), (line[2:], "")) if style else print_line(line)


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
    with ExitStack() as stack:
        numbers = {2, _number_of(sys.stderr) or 2}  # another while `silence_libraries` holds
        for number in numbers if really else ():
            stack.enter_context(_leading_nowhere(number))
        yield


@contextmanager
def silence_libraries(really: bool = True) -> Iterator[None]:
    """What libraries of C print on standard error leads nowhere while the block runs, and what
    Python prints goes where it went: PortAudio and ALSA write in threads of their own."""
    with ExitStack() as stack:
        if really and _number_of(sys.stderr) == 2:
            before = sys.stderr
            own = stack.enter_context(
                open(os.dup(2), "w", 1, encoding=before.encoding, errors=before.errors)
            )
            stack.callback(setattr, sys, "stderr", before)
            sys.stderr = _EscapedStream(own)
        if really:
            stack.enter_context(_leading_nowhere(2))
        yield


def _number_of(stream: Any) -> int | None:
    """The descriptor of the file that a stream writes to, if it writes to one."""
    try:
        return int(direct(stream).fileno())
    except (AttributeError, OSError, ValueError):
        return None


@contextmanager
def _leading_nowhere(number: int) -> Iterator[None]:
    """What is written to this file descriptor while the block runs is thrown away."""
    try:
        kept = os.dup(number)
    except OSError:  # there is no standard error
        yield
        return
    sys.stderr.flush()
    nowhere = os.open(os.devnull, os.O_WRONLY)
    os.dup2(nowhere, number)
    os.close(nowhere)
    try:
        yield
    finally:
        sys.stderr.flush()
        os.dup2(kept, number)
        os.close(kept)


def counted(number: int, what: str) -> str:
    """A number and its word: "1 row", "2 rows"."""
    one, many = _THINGS[what]
    return tr("{number:,} {things}", number=number, things=one if number == 1 else many)


_THINGS = {
    "recording": (tr("recording"), tr("recordings")),
    "clip": (tr("clip"), tr("clips")),
    "event": (tr("event"), tr("events")),
    "gap": (tr("gap"), tr("gaps")),
    "label": (tr("label"), tr("labels")),
    "row": (tr("row"), tr("rows")),
}
