# SPDX-License-Identifier: Apache-2.0
"""Runs over archives on this machine: what is done stays done, and nothing is doubled."""

from __future__ import annotations

import errno
import json
import os
import shutil
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile

from oido.batch.archive_header import embedding_model
from oido.batch.commit_log import CommitLog
from oido.batch.engine import Engine, InlineEngine, LocalEngine, Lost
from oido.batch.plan import Plan, Task
from oido.batch.progress import status_of
from oido.batch.recording import RecordingRun, make_classifier
from oido.batch.results_folder import read_folder
from oido.batch.run import ArchiveRun
from oido.batch.sources import find_sources
from oido.batch.units import LoadedModel, RunSpec, Unit, escaped_name, fingerprint_of, raw_name
from oido.batch.verify import delete_leftovers, leftovers, verify
from oido.errors import OptionError, OutputError
from oido.inference.classifier import AudioClassifier
from oido.params import Selection
from tests.batch.archives import hear, record, tables


def test_rows_are_those_of_classify(archive: Path, tmp_path: Path) -> None:
    hear([str(archive)], str(tmp_path / "out"), floor=0.05, clip_top=4)
    found = tables(str(tmp_path / "out"))
    for table, plan in {
        "events": Plan(),
        "windows": Plan(level="windows", selection=Selection(score_threshold=0.05)),
        "clips": Plan(level="clip", top=4),
    }.items():
        classifier = make_classifier(plan)
        expected: list[dict[str, Any]] = []
        for path in sorted(archive.iterdir()):
            hearing = RecordingRun(classifier, plan, Task(0, str(path), str(path), path.name))
            expected += [row._asdict() for rows in hearing.rows() for row in rows]
        for row in expected:
            assert row.pop("probability") is None
            assert row.pop("start_at") is None
            row["also"] = "|".join(row["also"])
        assert expected
        assert found[table] == [{**r, "score": float(np.float32(r["score"]))} for r in expected]


def test_one_process_and_several_give_the_same_rows(archive: Path, tmp_path: Path) -> None:
    hear([str(archive)], str(tmp_path / "one"), embeddings=True)
    hear([str(archive)], str(tmp_path / "two"), embeddings=True, workers=2)
    assert tables(str(tmp_path / "one")) == tables(str(tmp_path / "two"))


def test_the_recordings_table_tells_of_each(archive: Path, tmp_path: Path) -> None:
    hear([str(archive)], str(tmp_path / "out"))
    rows = tables(str(tmp_path / "out"))["recordings"]
    assert [r["file"] for r in rows] == sorted(str(p) for p in archive.iterdir())
    good = rows[1]
    assert (good["duration"], good["channels"], good["sample_rate"]) == (3.0, 1, 16_000)
    assert good["size"] == os.path.getsize(archive / "1.wav")
    assert good["failure_kind"] is None
    assert good["tags"] == "{}"
    bad = rows[3]
    assert bad["failure_kind"] == "UnknownFormatError"
    assert str(archive / "3.wav") in bad["failure_reason"]


def test_embeddings_are_kept_as_float16(archive: Path, tmp_path: Path) -> None:
    path = str(archive / "1.wav")
    hear([path], str(tmp_path / "out"), embeddings=True)
    rows = tables(str(tmp_path / "out"))["embeddings"]
    expected = make_classifier(Plan()).classify(path).embeddings.astype(np.float16)
    assert np.array_equal(np.array([r["embedding"] for r in rows], np.float16), expected)
    assert [r["start_time"] for r in rows] == [0.48 * n for n in range(len(rows))]


def test_embeddings_of_another_network_are_in_its_own_windows(
    archive: Path, tmp_path: Path, classifier: AudioClassifier
) -> None:
    shutil.copy(classifier.model.path, tmp_path / "other.tflite")
    other = str(tmp_path / "other.tflite")
    plan = Plan(hop="window", channel="each")
    hear([str(archive)], str(tmp_path / "own"), Plan(channel="each"), embeddings=True)
    hear([str(archive)], str(tmp_path / "plain"), plan)

    hear([str(archive)], str(tmp_path / "two"), plan, embeddings=True, embeddings_of=other)

    own, plain, two = (tables(str(tmp_path / name)) for name in ("own", "plain", "two"))
    assert two.pop("embeddings") == own["embeddings"]
    assert two == plain
    header = read_folder(str(tmp_path / "two")).header
    assert embedding_model(header)["sha256"] == classifier.model.sha256
    with pytest.raises(OptionError, match=r"embedding_model\.name was"):
        hear([str(archive)], str(tmp_path / "two"), plan, embeddings=True, resumes=True)
    again = {"embeddings": True, "embeddings_of": other, "resumes": True}
    assert hear([str(archive)], str(tmp_path / "two"), plan, **again) == []


def test_what_a_damaged_recording_has_of_another_network_is_kept(
    tmp_path: Path, classifier: AudioClassifier
) -> None:
    shutil.copy(classifier.model.path, tmp_path / "other.tflite")
    samples = np.random.default_rng(1).normal(0, 0.1, 16_000 * 60).astype(np.float32)
    samples[16_000 * 50] = np.nan
    soundfile.write(tmp_path / "bad.wav", samples, 16_000, subtype="FLOAT")
    path, other = str(tmp_path / "bad.wav"), str(tmp_path / "other.tflite")

    hear([path], str(tmp_path / "own"), embeddings=True)
    hear([path], str(tmp_path / "two"), embeddings=True, embeddings_of=other)

    own, two = tables(str(tmp_path / "own")), tables(str(tmp_path / "two"))
    assert own["recordings"][0]["failure_kind"] == "InvalidSamplesError"
    assert len(own["embeddings"]) > 30
    assert two == own


def test_tags_of_the_container_are_kept(tmp_path: Path) -> None:
    with soundfile.SoundFile(tmp_path / "a.wav", "w", 16_000, 1) as file:
        file.comment = "Recorded at 10:00:00 01/01/2020"
        file.write(np.zeros(16_000))
    hear([str(tmp_path / "a.wav")], str(tmp_path / "out"))
    (row,) = tables(str(tmp_path / "out"))["recordings"]
    assert json.loads(row["tags"])["comment"] == "Recorded at 10:00:00 01/01/2020"


def test_nothing_is_mixed_or_wiped(archive: Path, tmp_path: Path) -> None:
    out = str(tmp_path / "out")
    hear([str(archive)], out)
    before = tables(out)
    with pytest.raises(OptionError, match="--resume, or choose another folder"):
        hear([str(archive)], out)
    with pytest.raises(OptionError, match=r"hop was not set, now 0.96; floor was 0.1, now 0.2"):
        hear([str(archive)], out, Plan(hop=0.96), floor=0.2, resumes=True)
    assert hear([str(archive)], out, resumes=True) == []
    assert tables(out) == before


def test_an_archive_of_a_version_with_other_rules_is_not_gone_on_with(
    archive: Path, tmp_path: Path
) -> None:
    out = tmp_path / "out"
    hear([str(archive / "0.wav")], str(out))
    file = out / "oido-archive.json"
    header = json.loads(file.read_text())
    del header["parameters"]["selection"]["labels"], header["parameters"]["detection"]["unknown"]
    header["fingerprint"] = fingerprint_of(header["parameters"], header["model"]["sha256"])
    header["oido_version"] = "0.0.9"
    file.write_text(json.dumps(header))
    before = {path: path.read_bytes() for path in out.rglob("*") if path.is_file()}
    with pytest.raises(OptionError, match=r"by oido 0\.0\.9, whose events followed other rules"):
        hear([str(archive)], str(out), resumes=True)
    assert {path: path.read_bytes() for path in out.rglob("*") if path.is_file()} == before


def test_other_labels_are_another_archive(archive: Path, tmp_path: Path) -> None:
    paths, out = [str(archive / "0.wav")], str(tmp_path / "out")
    hear(paths, out)
    every = Plan(selection=Selection(labels="all"))
    with pytest.raises(OptionError, match=r'selection.labels was "specific", now "all"'):
        hear(paths, out, every, resumes=True)


def test_formatting_is_no_parameter(archive: Path, tmp_path: Path) -> None:
    out = str(tmp_path / "out")
    hear([str(archive / "0.wav")], out, flush_seconds=0)
    again = hear([str(archive)], out, resumes=True, flush_rows=7, split_seconds=60)
    assert len(again) == 5


@pytest.mark.parametrize("shared", [True, False])
def test_a_changed_recording_is_heard_anew(archive: Path, tmp_path: Path, shared: bool) -> None:
    out, fresh = str(tmp_path / "out"), str(tmp_path / "fresh")
    hear([str(archive)], out, flush_seconds=60 if shared else 0)
    for number in (1, 4, 3):  # the last one failed the first time
        record(archive / f"{number}.wav", 9, 7 + number)
    again = hear([str(archive)], out, resumes=True)
    assert sorted(Path(o.unit.source.name).name for o in again) == ["1.wav", "3.wav", "4.wav"]
    record(archive / "1.wav", 5, 20)  # once more, from a part that was rewritten
    record(archive / "2.wav", 5, 21)
    assert len(hear([str(archive)], out, resumes=True)) == 2
    hear([str(archive)], fresh)
    assert tables(out) == tables(fresh)
    assert status_of(out)["done"] == 6


def test_failed_recordings_are_heard_again_on_request(archive: Path, tmp_path: Path) -> None:
    out = str(tmp_path / "out")
    hear([str(archive)], out)
    assert hear([str(archive)], out, resumes=True) == []
    again = hear([str(archive)], out, resumes=True, retries_failed=True)
    assert [o.state for o in again] == ["failed"]
    assert len(tables(out)["recordings"]) == 6
    assert status_of(out)["failures"][0]["file"] == str(archive / "3.wav")


def test_what_no_commit_names_is_not_read_and_goes_by_its_age(
    archive: Path, tmp_path: Path
) -> None:
    out = tmp_path / "out"
    hear([str(archive)], str(out))
    before = tables(str(out))
    part = next((out / "events").iterdir())
    run_id = part.name.split("-")[0]
    orphans = [
        out / "events" / f"{run_id}-{'0' * 16}.parquet",
        out / "pieces" / f".x.npy.{run_id}-00000000.part",
        out / "ledger" / f".00000009.json.{run_id}-00000000.part",
    ]
    young = out / "windows" / f"{run_id}-{'0' * 16}.parquet"
    others = [
        out / "events" / "mine.parquet",
        out / "events" / f"copy of {part.name}",
        out / "events" / f"{'1' * 16}-{'0' * 16}.parquet",  # of no run of this folder
        out / "pieces" / ".x.npy.123.part",
        out / "ledger" / ".notes",
        out / "embeddings" / "work.npy",
        out / "recordings" / "download.part",
        out / "diary.txt",
    ]
    for path in (*orphans, young, *others):
        path.parent.mkdir(exist_ok=True)
        path.write_bytes(part.read_bytes())
    for path in (*orphans, *others):
        os.utime(path, (0, 0))
    future = time.time() + 86_400  # the clock was set back since
    os.utime(part, (0, 0))
    assert tables(str(out)) == before
    hear([str(archive)], str(out), resumes=True)
    assert all(path.exists() for path in (*orphans, young, *others))
    named = [path.relative_to(out).as_posix() for path in orphans]
    assert sorted(leftovers(str(out), 86_400)) == sorted(named)
    assert all(path.exists() for path in orphans)
    assert sorted(delete_leftovers(str(out), 86_400)) == sorted(named)
    assert not any(path.exists() for path in orphans)
    assert all(path.read_bytes() == part.read_bytes() for path in (young, *others))
    os.utime(young, (future, future))
    assert leftovers(str(out), 0) == {}
    assert tables(str(out)) == before


def test_cleaning_waits_for_the_run_that_is_writing(archive: Path, tmp_path: Path) -> None:
    out = str(tmp_path / "out")
    hear([str(archive / "0.wav")], out)
    first = CommitLog(out, "0" * 16)
    first.storage.lock()
    with pytest.raises(OptionError, match="another run is writing there"):
        delete_leftovers(out, 0)
    first.storage.unlock()
    assert delete_leftovers(out, 0) == {}


def test_a_folder_that_was_moved_or_copied_in_mid_run_loses_nothing(
    archive: Path, tmp_path: Path
) -> None:
    """The copy of a folder is another run's at once, and its leftovers are young or the same."""
    out, copy, moved = tmp_path / "out", tmp_path / "copy", tmp_path / "moved"
    order = RunSpec(Plan(), str(out), flush_seconds=0)
    run = ArchiveRun(order, find_sources([str(archive)]))
    with InlineEngine(order) as engine:
        run.prepare(engine.start())
        for done, _ in enumerate(run.steps(engine)):
            if done == 3:
                shutil.copytree(out, copy)
    del run  # and its lock
    fresh = tables(str(out))
    assert len(fresh["recordings"]) == 6
    assert delete_leftovers(str(out), 0) == {}
    os.rename(out, moved)
    hear([str(archive)], str(copy), resumes=True)
    delete_leftovers(str(copy), 0)
    delete_leftovers(str(moved), 0)
    assert tables(str(copy)) == tables(str(moved)) == fresh


@pytest.mark.parametrize("resumes", [False, True])
@pytest.mark.parametrize(
    "mine",
    [
        ["embeddings/work.npy", "events/mine.parquet", "windows/w.parquet"],
        ["recordings/download.part"],
        ["ledger/00000001.json"],
        [".profile"],
        ["a", "b", "c", "d", "e", "f"],
    ],
)
def test_a_folder_of_somebody_else_is_refused(
    archive: Path, tmp_path: Path, mine: list[str], resumes: bool
) -> None:
    for name in mine:
        path = tmp_path / "out" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text("mine")
    named = ", ".join(sorted({name.split("/")[0] for name in mine})[:4])
    named += " and 2 more" if len(mine) == 6 else ""
    with pytest.raises(OptionError, match=rf"holds other things .*\({named}\): give a new"):
        hear([str(archive)], str(tmp_path / "out"), resumes=resumes)
    left = [p for p in (tmp_path / "out").rglob("*") if p.is_file()]
    assert len(left) == len(mine)
    assert all(path.read_text() == "mine" for path in left)


@pytest.mark.parametrize("header", ["", "[]", "{}", '{"archive_version": 99}', None])
def test_a_header_that_is_not_ours_is_refused(
    archive: Path, tmp_path: Path, header: str | None
) -> None:
    out = tmp_path / "out"
    (out / "events").mkdir(parents=True)
    (out / "events" / "mine.parquet").write_text("mine")
    if header is None:
        (out / "oido-archive.json").mkdir()
    else:
        (out / "oido-archive.json").write_text(header)
    with pytest.raises(OptionError, match=r"oido-archive\.json"):
        hear([str(archive)], str(out), resumes=True)
    assert (out / "events" / "mine.parquet").read_text() == "mine"
    assert sorted(os.listdir(out)) == ["events", "oido-archive.json"]


def test_a_file_is_no_folder_of_results(archive: Path, tmp_path: Path) -> None:
    (tmp_path / "out").write_text("mine")
    with pytest.raises(OptionError, match="cannot be a folder of results: Not a directory"):
        hear([str(archive)], str(tmp_path / "out"))
    assert (tmp_path / "out").read_text() == "mine"


def test_an_empty_folder_may_have_what_systems_put_there(archive: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    out.mkdir()
    unfinished = f".oido-archive.json.{'0' * 16}-00000000.part"
    for name in ("lock", ".DS_Store", "Thumbs.db", unfinished):
        (out / name).write_bytes(b"")
    hear([str(archive / "0.wav")], str(out))
    assert (out / ".DS_Store").exists()
    assert len(tables(str(out))["recordings"]) == 1


def test_two_runs_do_not_share_a_folder(archive: Path, tmp_path: Path) -> None:
    out = str(tmp_path / "out")
    first = CommitLog(out, "0" * 16)
    first.storage.lock()
    with pytest.raises(OptionError, match="another run is writing there"):
        hear([str(archive)], out)


def test_a_folder_that_cannot_be_written_is_told(archive: Path, tmp_path: Path) -> None:
    """A part's folder is a file: the worker cannot write, and says so in one sentence."""
    out = tmp_path / "out"
    order = RunSpec(Plan(), str(out))
    with InlineEngine(order) as engine:
        ArchiveRun(order, find_sources([str(archive)])).prepare(engine.start())
    (out / "clips").write_text("in the way")
    with pytest.raises(OutputError, match=r"clips.* cannot be written"):
        hear([str(archive)], str(out), workers=1, resumes=True)
    (out / "clips").unlink()
    hear([str(archive)], str(out), resumes=True)
    assert len(tables(str(out))["recordings"]) == 6


def test_a_killed_worker_costs_nothing(archive: Path, tmp_path: Path) -> None:
    out, calm = str(tmp_path / "out"), str(tmp_path / "calm")
    hear([str(archive)], calm)
    order = RunSpec(Plan(), out, flush_seconds=60)
    run = ArchiveRun(order, find_sources([str(archive)]))
    with LocalEngine(order, 2) as engine:
        run.prepare(engine.start())
        killed = 0
        outcomes = []
        for step in run.steps(engine):
            outcomes += step.outcomes
            workers = [w for w in engine._workers if w.is_ready and not w.has_ended]
            if killed < 3 and workers:
                workers[0].kill()
                killed += 1
    assert killed == 3
    assert len(outcomes) == 6
    assert tables(out) == tables(calm)


@pytest.mark.skipif(os.name != "posix", reason="elsewhere a worker cannot be asked to end")
def test_workers_that_are_ended_while_they_write_discard_it(tmp_path: Path) -> None:
    for number in range(2):
        sound = np.random.default_rng(number).uniform(-0.2, 0.2, 16_000 * 1200)
        soundfile.write(tmp_path / f"{number}.wav", sound, 16_000)
    out = tmp_path / "out"
    order = RunSpec(Plan(), str(out), split_seconds=600)
    run = ArchiveRun(order, find_sources([str(tmp_path / "0.wav"), str(tmp_path / "1.wav")]))
    with LocalEngine(order, 2) as engine:
        run.prepare(engine.start())
        for _ in run.steps(engine):
            if writing := list(out.rglob("*.part")):
                break
    assert writing
    assert not list(out.rglob("*.part"))


def test_what_killed_workers_were_writing_is_tidied_away_and_no_more(
    archive: Path, tmp_path: Path
) -> None:
    out = tmp_path / "out"
    order = RunSpec(Plan(), str(out))
    run = ArchiveRun(order, find_sources([str(archive)]))
    with InlineEngine(order) as engine:
        run.prepare(engine.start())
        for _ in run.steps(engine):
            pass
    names = [f"{order.run_id}-{letter * 16}.parquet" for letter in "ab"]
    unfinished = [out / "windows" / f".{n}.{order.run_id}-00000000.part" for n in names]
    others = [out / "windows" / "mine.part", out / "windows" / names[0], out / ".a.b.part"]
    others.append(out / "windows" / f".x.parquet.{'0' * 16}-00000000.part")  # another run's
    for path in (*unfinished, *others):
        path.write_bytes(b"x")
    run.tidy()
    assert not any(path.exists() for path in unfinished)
    assert all(path.exists() for path in others)
    assert len(tables(str(out))["recordings"]) == 6


latin1 = pytest.mark.skipif(
    sys.platform in ("darwin", "win32"), reason="file systems whose names are always Unicode"
)


@latin1
def test_one_name_that_is_no_utf8_in_two_folders(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    name = os.fsdecode(b"caf\xe9.wav")
    for card in "ab":
        (tmp_path / card / "rec").mkdir(parents=True)
        record(tmp_path / "x.wav", 2 + (card == "b"), 1)
        os.rename(tmp_path / "x.wav", tmp_path / card / "rec" / name)
        monkeypatch.chdir(tmp_path / card)
        (outcome,) = hear(["rec"], "../out", workers=1, resumes=True)
        assert outcome.state == "done"
    rows = tables(str(tmp_path / "out"))["recordings"]
    paths = [str(tmp_path / card / "rec" / name) for card in "ab"]
    assert {raw_name(row["location"]) for row in rows} == set(paths)
    assert {row["file"] for row in rows} == {"rec/caf\\udce9.wav", escaped_name(paths[1])}
    (tmp_path / "list.txt").write_text("\n".join(row["location"] for row in rows))
    assert hear([str(tmp_path / "list.txt")], str(tmp_path / "out"), resumes=True) == []
    os.utime(paths[0], (0, 0))
    assert len(hear([str(tmp_path / "list.txt")], str(tmp_path / "out"), resumes=True)) == 1
    assert len(tables(str(tmp_path / "out"))["recordings"]) == 2


class DyingEngine(Engine):
    """Its workers die over every unit, or over what they have only to write."""

    def __init__(self, dies_writing: bool, killed: bool) -> None:
        self.units: list[Unit] = []
        self._dies_writing, self._killed = dies_writing, killed

    def run(self, next_unit: Any) -> Any:
        while (unit := next_unit()) is not None:
            self.units.append(unit)
            assert len(self.units) < 50, "there is no end"
            if self._dies_writing and not unit.alone:
                yield None, Lost(None, (unit,), "it died", killed=self._killed)
            else:
                yield unit, Lost(unit, (), "it died", killed=self._killed)


@pytest.mark.parametrize("killed", [False, True])
@pytest.mark.parametrize("dies_writing", [False, True])
def test_a_recording_that_kills_even_with_its_failure_has_an_end(
    archive: Path, tmp_path: Path, dies_writing: bool, killed: bool
) -> None:
    order = RunSpec(Plan(), str(tmp_path / "out"))
    run = ArchiveRun(order, find_sources([str(archive / "0.wav"), str(archive / "1.wav")]))
    run.prepare(LoadedModel("yamnet/classification", "0" * 64))
    engine = DyingEngine(dies_writing, killed)
    assert list(run.steps(engine)) == []
    kinds = [unit.kind for unit in engine.units if unit.alone or not dies_writing]
    times = 2 * (10 if killed else 2)
    assert sorted(kinds) == ["failed"] * times + ["whole"] * times
    status = status_of(order.folder)
    assert (status["done"], status["failed"]) == (0, 2)
    assert "it died" in status["failures"][0]["reason"]


@pytest.mark.parametrize("commits", [1, 2, 4])
def test_an_output_that_becomes_read_only_ends_the_run_in_a_sentence(
    archive: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, commits: int
) -> None:
    out = tmp_path / "out"
    opened, unlinked, linked = Path.open, os.unlink, os.link

    def is_read_only(path: Any) -> bool:
        is_there = str(path).startswith(str(out))
        return is_there and len(list((out / "ledger").glob("0*.json"))) >= commits

    def refusing(function: Any) -> Any:
        def refuse(path: Any, *args: Any, **options: Any) -> Any:
            if is_read_only(path) and args[:1] != ("r",):
                raise OSError(errno.EROFS, "Read-only file system", str(path))
            return function(path, *args, **options)

        return refuse

    with monkeypatch.context() as patch:
        patch.setattr(Path, "open", refusing(opened))
        patch.setattr(os, "unlink", refusing(unlinked))
        patch.setattr(os, "link", refusing(linked))
        with pytest.raises(OutputError, match="cannot be written: Read-only file system"):
            hear([str(archive)], str(out), flush_seconds=0)
    hear([str(archive)], str(out), resumes=True, flush_seconds=0)
    hear([str(archive)], str(tmp_path / "calm"))
    assert tables(str(out)) == tables(str(tmp_path / "calm"))
    assert verify(str(out)).is_whole


def test_a_clock_that_is_set_back_between_runs(
    archive: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    out = str(tmp_path / "out")
    hear([str(archive / "0.wav")], out)
    monkeypatch.setattr("oido.batch.commit_log.utc_now", lambda: "2001-01-01T00:00:00.000+00:00")
    assert len(hear([str(archive)], out, resumes=True)) == 5
    assert hear([str(archive)], out, resumes=True) == []
    status = status_of(out)
    assert (status["done"], status["left"], status["eta_seconds"]) == (5, 0, None)
    assert verify(out).is_whole
