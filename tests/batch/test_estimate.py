# SPDX-License-Identifier: Apache-2.0
"""How much work an archive is, by a few of its recordings, and told only where it matters."""

from __future__ import annotations

from pathlib import Path

import pytest

from oido.batch.engine import InlineEngine, LocalEngine
from oido.batch.estimate import WorkEstimate, drawn, estimate_text, estimated
from oido.batch.plan import Plan
from oido.batch.run import ArchiveRun
from oido.batch.sources import find_sources
from oido.batch.units import RunSpec, Sample, Source
from tests.batch.archives import hear, record, tables

HOUR = 3600.0


def sources(*sizes: int) -> list[Source]:
    return [Source(f"{n}", f"/in/{n}.wav", size, "") for n, size in enumerate(sizes)]


def test_recordings_are_drawn_by_their_bytes() -> None:
    assert drawn([]) == drawn(sources(0, 0)) == []
    assert [s.name for s in drawn(sources(0, 5, 0))] == ["1"] * 8
    assert [s.name for s in drawn(sources(100, 300))] == ["0"] * 2 + ["1"] * 6
    assert len({s.name for s in drawn(sources(*[7] * 1000))}) == 8


def test_a_large_remote_recording_is_not_fetched_to_be_measured() -> None:
    large = Source("s3://b/a.wav", "s3://b/a.wav", 1 << 30, "")
    assert drawn([large]) == []
    assert {s.name for s in drawn([large, *sources(9)])} == {"0"}


def test_what_samples_say_holds_for_all_bytes() -> None:
    """Half of the bytes are ten times as many seconds, and each second is twice the work."""
    loose, dense = sources(*[1000] * 8), sources(*[1000] * 8)
    dense = [s._replace(location=f"/in/dense/{s.name}") for s in dense]
    archive = loose + dense
    samples = {s.key: Sample(100 * HOUR, 0.001, 0.0006) for s in loose}
    samples |= {s.key: Sample(1000 * HOUR, 0.002, 0.0011) for s in dense}
    samples = {s.key: samples[s.key] for s in drawn(archive)}
    found = estimated(archive, samples, 2)
    assert found is not None
    assert found.sound_hours == pytest.approx(8 * 1100)
    assert found.hours == pytest.approx(8 * (0.1 + 2.0) / 2)
    assert found.other_hours == pytest.approx(8 * (0.06 + 1.1) / 2)
    assert found.samples == 8


def test_little_work_and_too_few_samples_are_not_told() -> None:
    archive = sources(*[1000] * 8)
    short = {s.key: Sample(HOUR, 0.01, 0.01) for s in archive}
    assert estimated(archive, short, 1) is None
    long = {s.key: Sample(10 * HOUR, 0.01, 0.0) for s in archive}
    assert estimated(archive, long, 1) == WorkEstimate(80, pytest.approx(0.8), None, 8)
    unknown = {s.key: Sample() for s in archive[3:]}
    assert estimated(archive, long | unknown, 1) is None


@pytest.mark.parametrize(
    ("estimate", "workers", "is_fast", "text"),
    [
        (
            WorkEstimate(1043.7, 2.44, 1.37, 8),
            2,
            False,
            "about 1,000 h of sound, about 2.4 h of work for 2 workers, with --fast about 1.4 h "
            "(from a minute of each of 8 recordings)",
        ),
        (
            WorkEstimate(87.2, 10.6, 19.1, 5),
            1,
            True,
            "about 87 h of sound, about 11 h of work for 1 worker, without --fast about 19 h "
            "(from a minute of each of 5 recordings)",
        ),
        (
            WorkEstimate(9.94, 0.7, None, 4),
            1,
            False,
            "about 9.9 h of sound, about 0.7 h of work for 1 worker "
            "(from a minute of each of 4 recordings)",
        ),
    ],
)
def test_two_digits_at_most_mean_something(
    estimate: WorkEstimate, workers: int, is_fast: bool, text: str
) -> None:
    assert estimate_text(estimate, workers, is_fast=is_fast) == text


@pytest.mark.parametrize("workers", [0, 2])
def test_a_large_archive_is_measured_first_and_its_rows_are_the_same(
    archive: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, workers: int
) -> None:
    """One recording that is none is a failure as ever, and is left out of the samples."""
    monkeypatch.setattr("oido.batch.run._LEAST_TO_PLAN_BYTES", 0)
    monkeypatch.setattr("oido.batch.estimate._LEAST_HOURS", 0.0)
    record(archive / "long.wav", 70.0)
    spec = RunSpec(Plan(), str(tmp_path / "out"))
    run = ArchiveRun(spec, find_sources([str(archive)]))
    with LocalEngine(spec, workers) if workers else InlineEngine(spec) as engine:
        run.prepare(engine.start())
        steps = list(run.steps(engine, estimates=True))
    (found,) = [step.estimate for step in steps if step.estimate is not None]
    assert found.sound_hours * HOUR == pytest.approx(70 + 2 + 3 + 4 + 6 + 7, rel=0.02)
    assert found.hours > 0
    assert found.other_hours is not None
    hear([str(archive)], str(tmp_path / "plain"))
    assert tables(str(tmp_path / "out")) == tables(str(tmp_path / "plain"))


def test_a_small_archive_is_not_measured(archive: Path, tmp_path: Path) -> None:
    spec = RunSpec(Plan(), str(tmp_path / "out"))
    run = ArchiveRun(spec, find_sources([str(archive)]))
    with InlineEngine(spec) as engine:
        run.prepare(engine.start())
        assert all(step.estimate is None for step in run.steps(engine, estimates=True))
