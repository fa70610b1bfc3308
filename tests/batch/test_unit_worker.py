# SPDX-License-Identifier: Apache-2.0
"""Units in, parts and reports out: shared parts, large and failed ones, ranges, and defects."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as pq
import pytest
import soundfile

from oido.batch.plan import Failure, Plan
from oido.batch.sources import find_sources
from oido.batch.unit_worker import UnitWorker
from oido.batch.units import Finished, Flush, Outcome, RunSpec, Unit, WorkerReport
from oido.errors import OutputError
from tests.batch.archives import record

Make = Callable[..., UnitWorker]


@pytest.fixture
def make(tmp_path: Path) -> Make:
    def worker(**options: Any) -> UnitWorker:
        return UnitWorker(RunSpec(Plan(), str(tmp_path / "out"), **options))

    return worker


def unit_of(path: str, **fields: Any) -> Unit:
    (source,) = find_sources([path])
    return Unit(source, **fields)


def served(worker: UnitWorker, task: Unit | Flush) -> tuple[list[Finished], WorkerReport]:
    """What may be committed, and the last report."""
    reports = list(worker.serve(task))
    assert [report.ends_task for report in reports] == [False] * (len(reports) - 1) + [True]
    return [each for report in reports for each in report.finished], reports[-1]


def outcomes(finished: list[Finished]) -> list[Outcome]:
    return [outcome for each in finished for outcome in each.outcomes]


def test_finished_recordings_wait_for_each_other_and_share_parts(
    make: Make, archive: Path, tmp_path: Path
) -> None:
    worker = make(flush_seconds=3600)
    for number in (0, 1):
        finished, report = served(worker, unit_of(str(archive / f"{number}.wav")))
        assert finished == []
        assert report.duration == 2.0 + number
    finished, _ = served(worker, Flush())
    assert [o.unit.source.size for o in outcomes(finished)] == [64_044, 96_044]
    assert {o.state for o in outcomes(finished)} == {"done"}
    (part,) = [p for each in finished for p in each.parts if p.table == "recordings"]
    rows = pq.read_table(tmp_path / "out" / part.path).to_pylist()
    assert [row["duration"] for row in rows] == [2.0, 3.0]
    assert served(worker, Flush())[0] == []  # nothing is held any more


def test_so_many_rows_are_written_at_once(make: Make, archive: Path) -> None:
    finished, _ = served(make(flush_seconds=3600, flush_rows=0), unit_of(str(archive / "0.wav")))
    assert [o.state for o in outcomes(finished)] == ["done"]


def test_a_failed_recording_has_parts_of_its_own(make: Make, archive: Path) -> None:
    """They can be removed when it is tried again; the one before still waits."""
    worker = make(flush_seconds=3600)
    served(worker, unit_of(str(archive / "0.wav")))
    finished, _ = served(worker, unit_of(str(archive / "3.wav")))
    (failed,) = outcomes(finished)
    assert failed.state == "failed"
    assert failed.failure is not None
    assert failed.failure.kind == "UnknownFormatError"
    assert [part.table for part in finished[0].parts] == ["recordings"]
    assert len(outcomes(served(worker, Flush())[0])) == 1


def test_a_unit_that_cannot_be_done_is_recorded_with_its_reason(
    make: Make, archive: Path, tmp_path: Path
) -> None:
    failure = Failure("DecoderCrashed", "the decoder crashed; the file is damaged")
    unit = unit_of(str(archive / "1.wav"), kind="failed", failure=failure)
    finished, _ = served(make(), unit)
    (outcome,) = outcomes(finished)
    assert (outcome.state, outcome.failure, outcome.windows) == ("failed", failure, 0)
    (row,) = pq.read_table(tmp_path / "out" / finished[0].parts[0].path).to_pylist()
    assert (row["failure_kind"], row["failure_reason"]) == (failure.kind, failure.reason)


def test_a_long_recording_comes_back_as_ranges_that_join_to_the_same_rows(
    make: Make, tmp_path: Path
) -> None:
    sound = 0.2 * np.random.default_rng(0).standard_normal(16_000 * 100)
    soundfile.write(tmp_path / "long.wav", sound, 16_000)
    unit = unit_of(str(tmp_path / "long.wav"))
    worker = make(split_seconds=30, flush_seconds=0)
    finished, report = served(worker, unit)
    assert finished == []
    assert [(r.kind, r.number, r.of) for r in report.ranges] == [
        ("range", number, len(report.ranges)) for number in range(len(report.ranges))
    ]
    assert len(report.ranges) >= 2
    pieces = []
    for part in report.ranges:
        finished, _ = served(worker, part)
        (piece,) = outcomes(finished)
        assert (piece.state, finished[0].parts, len(piece.pieces)) == ("piece", (), 1)
        pieces.append(piece.pieces)
    finished, _ = served(worker, replace(unit, kind="join", pieces=tuple(pieces)))
    finished += served(worker, Flush())[0]
    (joined,) = outcomes(finished)
    whole, _ = served(worker, replace(unit, may_split=False))
    whole += served(worker, Flush())[0]
    (alone,) = outcomes(whole)
    assert (joined.duration, joined.windows, joined.rows) == (
        alone.duration,
        alone.windows,
        alone.rows,
    )

    def rows(each: list[Finished]) -> dict[str, Any]:
        paths = {p.table: tmp_path / "out" / p.path for f in each for p in f.parts}
        return {name: pq.read_table(path) for name, path in paths.items() if name != "recordings"}

    assert rows(finished) == rows(whole)
    assert set(rows(whole)) >= {"windows", "clips"}


def test_a_range_that_is_not_there_says_that_the_whole_must_be_heard(
    make: Make, archive: Path
) -> None:
    unit = unit_of(str(archive / "0.wav"), kind="range", first_window=640, number=1, of=2)
    finished, _ = served(make(), unit)
    (outcome,) = outcomes(finished)
    assert outcome.state == "unsplit"
    assert outcome.failure is not None


def test_a_defect_of_ours_costs_one_recording(
    make: Make, archive: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    worker = make(flush_seconds=3600)

    def broken(*_: object) -> None:
        raise ZeroDivisionError("oh")

    with monkeypatch.context() as patch:
        patch.setattr(worker, "_ranges", broken)
        finished, _ = served(worker, unit_of(str(archive / "0.wav")))
    (outcome,) = outcomes(finished)
    assert outcome.failure is not None
    assert outcome.failure.reason.endswith("0.wav: internal error, ZeroDivisionError: oh")
    served(worker, unit_of(str(archive / "1.wav")))
    assert [o.state for o in outcomes(served(worker, Flush())[0])] == ["done"]


def test_a_folder_that_cannot_be_written_ends_the_work(
    make: Make, archive: Path, tmp_path: Path
) -> None:
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "recordings").write_text("in the way")
    worker = make(flush_seconds=0)
    with pytest.raises(OutputError, match="recordings"):
        list(worker.serve(unit_of(str(archive / "3.wav"))))


def test_one_of_several_channels_is_a_plan_too(tmp_path: Path) -> None:
    samples = np.zeros((32_000, 2))
    samples[:, 1] = 0.2 * np.random.default_rng(1).standard_normal(32_000)
    soundfile.write(tmp_path / "two.wav", samples, 16_000)
    record(tmp_path / "mono.wav")
    worker = UnitWorker(RunSpec(Plan(channel=1), str(tmp_path / "out"), flush_seconds=0))
    states = []
    for name in ("two.wav", "mono.wav"):
        finished, _ = served(worker, unit_of(str(tmp_path / name)))
        states += [o.state for o in outcomes(finished + served(worker, Flush())[0])]
    assert states == ["done", "failed"]
