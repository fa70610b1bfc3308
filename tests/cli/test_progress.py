# SPDX-License-Identifier: Apache-2.0
"""How far a run is: counted in bytes, told in words, and never where nobody wants it."""

from __future__ import annotations

import io
import re
import time

import pytest

from oido.batch.plan import Failure, FileSummary, Task
from oido.batch.run import Progressed
from oido.batch.units import Outcome, Source, Unit
from oido.batch.worker import Done, Rows
from oido.cli import progress as module
from oido.cli.progress import ArchiveProgress, Progress, clock_text, show_progress

TASKS = [
    Task(n, f"{n}.wav", f"{n}.wav", f"{n}.wav", size_bytes=size) for n, size in ((0, 300), (1, 700))
]
SIZES = [task.size_bytes for task in TASKS]


@pytest.fixture
def at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing waits before it is told."""
    monkeypatch.setattr(module, "_SHOW_AFTER_SECONDS", 0.0)
    monkeypatch.setattr(module, "_LINE_EVERY_SECONDS", 0.0)


def done(task: Task, seconds: float, failure: Failure | None = None) -> Done:
    return Done(FileSummary(task.name, duration=seconds, failure=failure))


@pytest.mark.usefixtures("at_once")
def test_lines_say_what_is_done_and_what_is_left(capsys: pytest.CaptureFixture[str]) -> None:
    with Progress(SIZES, quiet=False) as progress:
        progress.advance(TASKS[0], Rows([], 5.0))
        progress.advance(TASKS[0], done(TASKS[0], 30.0))
        progress._started -= 30.0  # thirty seconds for three tenths of the bytes
        progress.advance(TASKS[1], Rows([], 6.0))
        progress.advance(TASKS[1], done(TASKS[1], 70.0))
    first, second, third, last = capsys.readouterr().err.splitlines()
    assert re.fullmatch(r"oido: 0/2 files, 5\.0 s", first)
    assert re.match(r"oido: 1/2 files, 30\.0 s, ", second)
    assert re.fullmatch(r"oido: 1/2 files, 36\.0 s, about 1:10 left", third)
    assert re.fullmatch(r"oido: 2/2 files, 100\.0 s, 3 × real time", last)


@pytest.mark.usefixtures("at_once")
def test_the_last_line_counts_what_failed(capsys: pytest.CaptureFixture[str]) -> None:
    failure = Failure("UnknownFormatError", "1.wav: is no sound")
    messages = [done(TASKS[0], 400.0), done(TASKS[1], 0.0, failure)]
    for quiet in (True, False):
        with Progress(SIZES, quiet) as progress:
            for task, message in zip(TASKS, messages):
                progress.advance(task, message)
            capsys.readouterr()
            progress.conclude([message.summary for message in messages])
        told = capsys.readouterr().err
        if quiet:
            assert told == ""
        else:
            pattern = (
                r"oido: 1 recording, 0\.11 h of audio in \d+\.\d s \(\d+ × real time\); 1 failed\n"
            )
            assert re.fullmatch(pattern, told)


def test_a_short_run_says_nothing_on_the_way(capsys: pytest.CaptureFixture[str]) -> None:
    with Progress(SIZES, quiet=False) as progress, progress.aside():
        progress.advance(TASKS[0], done(TASKS[0], 1.0))
    assert capsys.readouterr().err == ""


@pytest.mark.usefixtures("at_once")
def test_units_of_an_archive_may_end_in_any_order(capsys: pytest.CaptureFixture[str]) -> None:
    a, b = (Source(name, f"/in/{name}", 100, "") for name in "ab")
    ranges = [Unit(a, "range", number=n, of=2) for n in (0, 1)]
    progress = ArchiveProgress([a, b], quiet=False)
    progress.move(Progressed(ranges[0], 10.0, ()))
    progress.move(Progressed(ranges[1], 20.0, ()))
    progress.move(Progressed(Unit(b), 5.0, ()))
    assert "0/2 files, 35.0 s" in capsys.readouterr().err.splitlines()[-1]
    failed = Outcome(Unit(b), "failed", 5.0, failure=Failure("K", "why"))
    progress.move(Progressed(Unit(b), 5.0, (failed,)))
    assert "1/2 files, 35.0 s" in capsys.readouterr().err.splitlines()[-1]
    progress.move(Progressed(Unit(a, "join"), 0.0, (Outcome(Unit(a, "join"), "done", 40.0),)))
    assert (progress.done, progress.failed) == (2, 1)
    capsys.readouterr()
    progress.conclude()
    assert re.match(r"oido: 2/2 files, 45\.0 s; 1 failed\n", capsys.readouterr().err)


@pytest.mark.parametrize(
    ("seconds", "hours", "text"),
    [
        (0.4, False, "0:00"),
        (59.6, False, "1:00"),
        (779, False, "12:59"),
        (3599.7, False, "1:00:00"),
        (10_867, False, "3:01:07"),
        (67, True, "0:01:07"),
    ],
)
def test_clocks(seconds: float, hours: bool, text: str) -> None:
    assert clock_text(seconds, hours=hours) == text


@pytest.mark.usefixtures("at_once")
def test_other_work_is_told_in_lines_or_not_at_all(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    clock = iter([100.0, 110.0, 130.0, 160.0])  # of the block's begin, and of each call
    monkeypatch.setattr(module.time, "monotonic", lambda: next(clock))
    with show_progress("clips heard") as show:
        show(0, 12)
        show(2, 12)
        show(12, 12)
    assert capsys.readouterr().err.splitlines() == [
        "oido: 0 of 12 clips heard",
        "oido: 2 of 12 clips heard, about 1:40 left",
        "oido: 12 of 12 clips heard",
    ]
    with show_progress("clips heard", quiet=True) as show:
        show(3, 12)
    assert capsys.readouterr().err == ""


class Screen(io.StringIO):
    def isatty(self) -> bool:
        return True


def test_a_bar_tells_the_time_left_and_goes_with_its_last_step(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    screen = Screen()
    monkeypatch.setattr(module.sys, "stderr", screen)
    monkeypatch.setattr(module, "direct", lambda stream: stream)
    with show_progress("clips heard") as first, show_progress("fits done") as second:
        for number, (step, what) in enumerate([(first, "clips heard"), (second, "fits done")]):
            step(0, 12)
            time.sleep(0.7)  # a bar of less than half a second would only flicker
            step(6, 12)
            drawn = screen.getvalue().split("\r")
            assert re.search(rf"{what}: +50%.*6/12 \[\d\d:\d\d<\d\d:\d\d", drawn[-1])
            step(12, 12)
            assert not screen.getvalue().split("\r")[-2].strip()  # it was wiped off
            assert number == 0 or "clips heard" not in drawn[-1]
    assert "\n" not in screen.getvalue()  # they never stood one below the other
