# SPDX-License-Identifier: Apache-2.0
"""The pool of worker processes, with real workers, real sound and a real segmentation fault."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest
import soundfile

from oido.batch.plan import FileSummary, Plan, Task
from oido.batch.process_pool import WORKER_COMMAND, LocalPool, Ticks, share_threads
from oido.batch.worker import Done
from oido.errors import ModelNotFoundError, UnknownLabelError
from oido.models import fetch
from oido.models.registry import DEFAULT_MODEL, card
from oido.params import Detection, Selection
from oido.types import Row

CRASHING = (sys.executable, str(Path(__file__).with_name("crashing_worker.py")))


@pytest.fixture(scope="module", autouse=True)
def _model_is_here() -> None:
    fetch.fetch(card(DEFAULT_MODEL))


def recording(folder: Path, name: str, seconds: float = 2.0) -> Task:
    path = folder / name
    rng = np.random.default_rng(len(name))
    soundfile.write(path, 0.1 * rng.standard_normal(int(16_000 * seconds)), 16_000)
    return Task(int(name[:2]), str(path), name, name, size_bytes=path.stat().st_size)


def hear(
    tasks: Sequence[Task],
    plan: Plan | None = None,
    workers: int = 2,
    command: Sequence[str] = WORKER_COMMAND,
    stall_seconds: float = 60.0,
) -> tuple[list[FileSummary], list[Row]]:
    summaries, rows = [], []
    plan = plan or Plan(level="clip", top=2)
    with LocalPool(plan, workers, command=command, stall_seconds=stall_seconds) as pool:
        for task, message in pool.run(tasks):
            if isinstance(message, Done):
                assert message.summary.name == task.name
                summaries.append(message.summary)
            else:
                rows += message.rows
    return summaries, rows


def test_messages_come_in_the_order_of_tasks_whatever_ends_first(tmp_path: Path) -> None:
    lengths = [40, 1, 1, 20, 1, 1]
    tasks = [recording(tmp_path, f"{n:02d}.wav", s) for n, s in enumerate(lengths)]
    summaries, rows = hear(tasks)
    assert [s.name for s in summaries] == [t.name for t in tasks]
    assert [s.duration for s in summaries] == lengths
    assert [r.file for r in rows] == [t.name for t in tasks for _ in range(2)]


def test_an_interrupt_when_the_workers_are_through_is_an_interrupt(tmp_path: Path) -> None:
    lengths = [60, 1, 1]  # the first is told when the others wait to be told
    tasks = [recording(tmp_path, f"{n:02d}.wav", s) for n, s in enumerate(lengths)]
    with LocalPool(Plan(level="clip"), 2) as pool:
        messages = pool.run(tasks)
        while not isinstance(next(messages)[1], Done):
            pass
        pool.interrupt()
        with pytest.raises(KeyboardInterrupt):
            next(messages)


def test_one_and_two_workers_give_the_same_rows(tmp_path: Path) -> None:
    tasks = [recording(tmp_path, f"{n:02d}.wav") for n in range(4)]
    assert hear(tasks, workers=1) == hear(tasks, workers=2)


def test_a_native_crash_costs_one_recording(tmp_path: Path) -> None:
    names = ["00.wav", "01-segfault.wav", "02.wav", "03-segfault.wav", "04.wav", "05.wav"]
    tasks = [recording(tmp_path, name) for name in names]
    summaries, rows = hear(tasks, command=CRASHING)
    assert [s.name for s in summaries] == names
    failed = {s.name: s.failure for s in summaries if s.failure}
    assert list(failed) == ["01-segfault.wav", "03-segfault.wav"]
    for name, failure in failed.items():
        assert failure.kind == "CorruptAudioError"
        assert name in failure.reason
        assert "about to read address 0" in failure.reason
    assert len(rows) == 2 * 4


def test_every_recording_may_crash(tmp_path: Path) -> None:
    tasks = [recording(tmp_path, f"{n:02d}-segfault.wav") for n in range(5)]
    summaries, rows = hear(tasks, command=CRASHING)
    assert all(s.failure for s in summaries)
    assert not rows


def test_a_hung_recording_is_stopped(tmp_path: Path) -> None:
    tasks = [recording(tmp_path, name) for name in ("00-hang.wav", "01.wav")]
    summaries, _ = hear(tasks, command=CRASHING, stall_seconds=4.0)
    assert summaries[0].failure is not None
    assert "no progress for 4 s" in summaries[0].failure.reason
    assert summaries[1].failure is None


def test_a_defect_of_ours_costs_one_recording_and_is_named(tmp_path: Path) -> None:
    tasks = [recording(tmp_path, name) for name in ("00-defect.wav", "01.wav")]
    summaries, _ = hear(tasks, command=CRASHING, workers=1)
    assert summaries[0].failure is not None
    assert "ZeroDivisionError: a defect of ours" in summaries[0].failure.reason
    assert summaries[1].failure is None


def test_more_workers_than_recordings(tmp_path: Path) -> None:
    summaries, _ = hear([recording(tmp_path, "00.wav")], workers=3)
    assert [s.failure for s in summaries] == [None]


@pytest.mark.parametrize(
    ("plan", "error"),
    [
        (Plan(model="nowhere.tflite"), ModelNotFoundError),
        (Plan(selection=Selection(category_allowlist=("Dogg",))), UnknownLabelError),
        (Plan(detection=Detection(thresholds=(("Dogg", 0.5),))), UnknownLabelError),
    ],
)
def test_a_plan_that_cannot_be_carried_out_is_told_once(
    tmp_path: Path, plan: Plan, error: type[Exception]
) -> None:
    with pytest.raises(error, match=r"nowhere|'Dog'"):
        hear([recording(tmp_path, "00.wav")], plan)


def test_a_worker_that_cannot_start_says_why(tmp_path: Path) -> None:
    command = (sys.executable, "-c", "import sys; sys.exit('no such thing as oido')")
    with pytest.raises(Exception, match="no such thing as oido"):
        hear([recording(tmp_path, "00.wav")], command=command)


@pytest.mark.parametrize(
    ("sizes", "jobs", "expected"),
    [
        ([100], 4, [4]),
        ([10, 10, 10, 10], 2, [1, 1, 1, 1]),
        ([1000, 1, 1, 1], 2, [2, 1, 1, 1]),
        ([50, 50], 2, [1, 1]),
        ([0, 0], 2, [1, 1]),
        ([], 2, []),
    ],
)
def test_a_recording_that_would_keep_the_others_waiting_gets_all_cores(
    sizes: list[int], jobs: int, expected: list[int]
) -> None:
    assert share_threads(sizes, jobs) == expected


def test_a_pause_of_this_process_is_no_silence_of_a_worker(monkeypatch: pytest.MonkeyPatch) -> None:
    moment = 100.0
    monkeypatch.setattr("oido.batch.process_pool.time.monotonic", lambda: moment)
    ticks = Ticks()
    for seconds in (1.0, 127.0, 1.0, 3600.0, 0.5):
        moment += seconds
        ticks.now()
    assert ticks.now() == 1 + Ticks.LONGEST_SECONDS + 1 + Ticks.LONGEST_SECONDS + 0.5
