# SPDX-License-Identifier: Apache-2.0
"""Engines: every unit is reported or lost, and a worker that has nothing to do flushes once."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from oido.batch.commit_log import CommitLog
from oido.batch.engine import Assigned, Engine, InlineEngine, LocalEngine, Lost
from oido.batch.plan import Plan
from oido.batch.sources import find_sources
from oido.batch.units import Finished, Flush, Outcome, RunSpec, Source, Unit, WorkerReport

A, B, C = (Unit(Source(name, f"/in/{name}", 1, "")) for name in "abc")


def done(*units: Unit) -> WorkerReport:
    outcomes = tuple(Outcome(unit, "done") for unit in units)
    return WorkerReport(finished=(Finished((), outcomes),))


def test_what_was_assigned_is_handed_over_or_lost() -> None:
    units = iter([A, B, C])
    assigned = Assigned()
    for unit in (A, B, C):
        assert assigned.next(lambda: next(units, None)) == unit
    assigned.settle(B, WorkerReport(1.0))  # news of it hands nothing over
    assert set(assigned) == {A.key, B.key, C.key}
    assigned.settle(B, done(A))
    lost = assigned.lose(C, "signal 11", killed=False)
    assert lost == Lost(C, (B,), "signal 11", killed=False)


def test_a_worker_is_asked_to_write_only_while_it_holds_something() -> None:
    assigned = Assigned()
    assert assigned.next(lambda: None) is None
    assert assigned.next(lambda: A) == A
    assert assigned.next(lambda: None) == Flush()
    assigned.settle(None, done(A))
    assert assigned.next(lambda: None) is None


def test_a_unit_that_came_back_as_ranges_is_nobodys_any_more() -> None:
    assigned = Assigned()
    assigned.next(lambda: A)
    part = Unit(A.source, "range", number=0, of=2)
    assigned.settle(A, WorkerReport(ranges=(part,), ends_task=True))
    assert not assigned
    assert assigned.lose(None, "killed", killed=True) == Lost(None, (), "killed", killed=True)


def make_engines(spec: RunSpec) -> Iterator[Engine]:
    yield InlineEngine(spec)
    yield LocalEngine(spec, 2)


@pytest.mark.parametrize("number", [0, 1], ids=["inline", "processes"])
def test_every_unit_is_reported_once_and_its_rows_are_written(
    archive: Path, tmp_path: Path, number: int
) -> None:
    spec = RunSpec(Plan(), str(tmp_path / "out"))
    CommitLog(spec.folder, spec.run_id)
    sources = find_sources([str(archive)])
    units = iter([Unit(source) for source in sources])
    finished: list[Finished] = []
    with list(make_engines(spec))[number] as engine:
        model = engine.start()
        assert (model.name, len(model.sha256)) == ("yamnet/classification", 64)
        assert model.labels[:2] == ("Speech", "Child speech, kid speaking")
        for _, report in engine.run(lambda: next(units, None)):
            assert isinstance(report, WorkerReport)
            finished += report.finished
    outcomes = [outcome for each in finished for outcome in each.outcomes]
    assert sorted(o.unit.source.name for o in outcomes) == [s.name for s in sources]
    assert [o.state for o in outcomes].count("failed") == 1
    for part in (part for each in finished for part in each.parts):
        assert (tmp_path / "out" / part.path).exists()


def test_an_interrupt_is_raised_where_the_run_is_followed(archive: Path, tmp_path: Path) -> None:
    spec = RunSpec(Plan(), str(tmp_path / "out"))
    units = iter([Unit(source) for source in find_sources([str(archive)])])
    with InlineEngine(spec) as engine:
        messages = engine.run(lambda: next(units, None))
        next(messages)
        engine.interrupt()
        with pytest.raises(KeyboardInterrupt):
            next(messages)
