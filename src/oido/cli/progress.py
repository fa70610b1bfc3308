# SPDX-License-Identifier: Apache-2.0
"""How far a run is: a bar on a terminal, plain lines elsewhere; always on standard error."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager
from typing import Any

from oido.batch.plan import FileSummary, Task
from oido.batch.run import Progressed
from oido.batch.units import Source
from oido.batch.worker import Done, Rows
from oido.cli.terminal import direct, print_message
from oido.messages import shown, tr

_SHOW_AFTER_SECONDS = 0.7
_LINE_EVERY_SECONDS = 10.0
_SPEED_FROM = 60.0
"""Seconds of audio of which a speed means something."""


class Progress(AbstractContextManager["Progress"]):
    """Hours of audio done, times real time, and the time that is left.

    The total is counted in bytes of the recordings, because their lengths are not known before
    they are opened; a recording under way counts when it is done. sizes: of all, in bytes.
    """

    def __init__(self, sizes: Sequence[int], quiet: bool) -> None:
        self._quiet = quiet
        self._tasks = len(sizes)
        self._total_bytes = sum(sizes)
        self._done_bytes = 0
        self.done = 0
        self._done_seconds = 0.0
        self._now_seconds = 0.0
        self._started = self._last_line = time.monotonic()
        self._bar: Any = None

    def advance(self, task: Task, message: Rows | Done) -> None:
        """A message of this task came."""
        if isinstance(message, Done):
            self._done_bytes += task.size_bytes
            self.done += 1
            self._done_seconds += message.summary.duration
            self._now_seconds = 0.0
        else:
            self._now_seconds = message.duration
        self._show()

    def _show(self) -> None:
        if self._quiet or self._elapsed < _SHOW_AFTER_SECONDS:
            return
        if sys.stderr.isatty():
            self._draw()
        elif time.monotonic() - self._last_line >= _LINE_EVERY_SECONDS:
            self._last_line = time.monotonic()
            print_message(self._text())

    @contextmanager
    def aside(self) -> Iterator[None]:
        """Take the bar off the screen while other lines are printed."""
        if self._bar is not None:
            self._bar.clear()
        yield
        if self._bar is not None:
            sys.stdout.flush()

    def conclude(self, summaries: Sequence[FileSummary]) -> None:
        """The last line: what was done."""
        self._close_bar()
        if self._quiet:
            return
        failed = sum(summary.failure is not None for summary in summaries)
        done = self._tasks - failed
        plural = tr("recording") if done == 1 else tr("recordings")
        end = tr("; {failed} failed", failed=failed) if failed else ""
        seconds = self._done_seconds
        speed = self._speed(seconds)
        print_message(
            tr(
                "{done} {plural}, {hours} of audio in {elapsed:.1f} s{more}{end}",
                done=done,
                plural=plural,
                hours=_hours(seconds),
                elapsed=self._elapsed,
                more=tr(" ({speed})", speed=speed) if speed else "",
                end=end,
            )
        )

    @property
    def _elapsed(self) -> float:
        return max(time.monotonic() - self._started, 1e-3)

    def _speed(self, seconds: float) -> str:
        """How quick it was; nothing of so little audio that it would be the time of starting."""
        return (
            tr("{seconds:.0f} × real time", seconds=seconds / self._elapsed)
            if seconds >= _SPEED_FROM
            else ""
        )

    def _text(self) -> str:
        seconds = self._done_seconds + self._now_seconds
        speed = self._speed(seconds)
        text = tr(
            "{done}/{tasks} files, {hours}{more}",
            done=self.done,
            tasks=self._tasks,
            hours=_hours(seconds),
            more=tr(", {speed}", speed=speed) if speed else "",
        )
        if 0 < self._done_bytes < self._total_bytes:
            left = self._elapsed * (self._total_bytes / self._done_bytes - 1)
            text += tr(", about {clock_text} left", clock_text=clock_text(left))
        return text

    def _draw(self) -> None:
        if self._bar is None:
            from tqdm import tqdm

            self._bar = tqdm(
                total=max(1, self._total_bytes),
                bar_format="{percentage:3.0f}% |{bar:24}| {desc}",
                leave=False,
                file=direct(sys.stderr),
                dynamic_ncols=True,
            )
        self._bar.n = min(self._done_bytes, self._bar.total)
        self._bar.set_description_str(shown(self._text()), refresh=True)

    def _close_bar(self) -> None:
        if self._bar is not None:
            self._bar.close()
            self._bar = None

    def __exit__(self, *error: object) -> None:
        self._close_bar()


def _hours(seconds: float) -> str:
    return f"{seconds / 3600:.2f} h" if seconds >= 360 else f"{seconds:.1f} s"


def clock_text(seconds: float, *, hours: bool = False) -> str:
    """A duration as 12:59 or 3:01:07; hours: always with these."""
    minutes, rest = divmod(round(seconds), 60)
    n_hours, minutes = divmod(minutes, 60)
    if hours or n_hours:
        return f"{n_hours}:{minutes:02d}:{rest:02d}"
    return f"{minutes}:{rest:02d}"


class ArchiveProgress(Progress):
    """As `Progress`, for units that end in any order."""

    def __init__(self, sources: Sequence[Source], quiet: bool) -> None:
        super().__init__([source.size for source in sources], quiet)
        self._under_way: dict[str, float] = {}
        self.failed = 0

    def move(self, step: Progressed) -> None:
        """A step of the run is over."""
        if step.unit is not None and step.duration:
            self._under_way[step.unit.key] = step.duration
        for outcome in step.outcomes:
            self._done_bytes += outcome.unit.source.size
            self.done += 1
            self._done_seconds += outcome.duration
            self.failed += outcome.failure is not None
            key = outcome.unit.source.key
            for other in [k for k in self._under_way if k.partition(":")[0] == key]:
                del self._under_way[other]
        self._now_seconds = sum(self._under_way.values())
        self._show()

    def conclude(self, summaries: Sequence[FileSummary] = ()) -> None:
        """The last line: what was done."""
        self._close_bar()
        if not self._quiet:
            print_message(tr("{text}; {failed} failed", text=self._text(), failed=self.failed))


@contextmanager
def show_progress(what: str, quiet: bool = False) -> Iterator[Callable[[int, int], None]]:
    """A function to be called with how many are done, and of how many, while the block runs.

    The bar goes with the last of them, so that the next phase may have one of its own.
    """
    if quiet:
        yield lambda done, total: None
    elif sys.stderr.isatty():
        from tqdm import tqdm

        bar: Any = None

        def draw(done: int, total: int) -> None:
            nonlocal bar
            if bar is None:
                bar = tqdm(
                    desc=shown(what), unit="", leave=False, delay=0.5, file=direct(sys.stderr)
                )
            bar.total = total
            bar.update(done - bar.n)
            if done >= total:
                bar.close()
                bar = None

        try:
            yield draw
        finally:
            if bar is not None:
                bar.close()
    else:
        last = time.monotonic()
        first: tuple[float, int] | None = None

        def print_line(done: int, total: int) -> None:
            nonlocal first, last
            now = time.monotonic()
            first = first or (now, done)
            if now - last >= _LINE_EVERY_SECONDS:
                last = now
                text = tr("{done} of {total} {what}", done=done, total=total, what=what)
                if first[1] < done < total:
                    left = (now - first[0]) / (done - first[1]) * (total - done)
                    text += tr(", about {clock_text} left", clock_text=clock_text(left))
                print_message(text)

        yield print_line
