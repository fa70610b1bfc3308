# SPDX-License-Identifier: Apache-2.0
"""No damage of a results folder goes unseen, and a repair hears only what was damaged."""

from __future__ import annotations

import json
import random
import shutil
from pathlib import Path
from typing import Any

import pytest

from oido.batch.engine import InlineEngine
from oido.batch.plan import Plan
from oido.batch.progress import status_of
from oido.batch.results_folder import read_folder
from oido.batch.run import ArchiveRun
from oido.batch.units import Outcome
from oido.batch.verify import Finding, Verification, mend_ledger, spec_of, verify
from oido.errors import DamagedResultsError, OptionError
from oido.inference.classifier import AudioClassifier
from oido.models.tflite.metadata_writer import annotate
from oido.params import Detection, Selection
from tests.batch.archives import hear, record, tables


@pytest.fixture(scope="module")
def heard(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """``out``: two commits with two recordings each, and one of a changed recording."""
    folder = tmp_path_factory.mktemp("heard")
    (folder / "in").mkdir()
    for number in range(4):
        record(folder / "in" / f"{number}.wav", 2 + number, number)
    paths = [str(folder / "in" / f"{number}.wav") for number in range(4)]
    for some in (paths[:2], paths):
        hear(some, str(folder / "out"), resumes=True, flush_seconds=60, embeddings=True)
    record(folder / "in" / "0.wav", 5, 9)
    hear(paths, str(folder / "out"), resumes=True, embeddings=True)
    return folder


@pytest.fixture
def out(heard: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(heard / "out", tmp_path / "out"))


def flip(path: Path, chance: random.Random) -> None:
    content = bytearray(path.read_bytes())
    content[chance.randrange(len(content))] ^= 1 << chance.randrange(8)
    path.write_bytes(content)


def repaired(out: Path) -> list[Outcome]:
    """As `oido batch verify --repair` does it; what was heard again."""
    found = verify(str(out))
    if mend_ledger(str(out)):
        found = verify(str(out))
    spec = spec_of(str(out), None, None)
    run = ArchiveRun(spec, found.sources, resumes=True, retries_failed=True, damage=found.damage)
    with InlineEngine(spec) as engine:
        run.prepare(engine.start())
        return [outcome for step in run.steps(engine) for outcome in step.outcomes]


def kinds(found: Verification) -> set[str]:
    return {finding.kind for finding in found.findings}


def test_a_folder_as_it_was_written_is_whole(out: Path) -> None:
    found = verify(str(out))
    assert found.is_whole
    assert (found.findings, found.without_hash) == ([], 0)
    assert found.parts == len(read_folder(str(out)).live) == 15
    assert found.size == sum(part.size for part in read_folder(str(out)).live)
    json.dumps(found.plain())


def test_a_bit_that_flips_anywhere_is_seen(out: Path) -> None:
    chance = random.Random(1)
    files = sorted(path for path in out.rglob("*") if path.is_file() and path.name != "lock")
    for path in [chance.choice(files) for _ in range(60)] + files:
        before = path.read_bytes()
        flip(path, chance)
        found = verify(str(out))
        name = path.relative_to(out).as_posix()
        assert [f.path for f in found.findings if f.kind == "damaged"] == [name]
        path.write_bytes(before)
    assert verify(str(out)).is_whole


@pytest.mark.parametrize("table", ["recordings", "events", "windows", "clips", "embeddings"])
@pytest.mark.parametrize("way", ["flipped", "cut", "missing"])
def test_only_what_was_damaged_is_heard_again(out: Path, table: str, way: str) -> None:
    before = tables(str(out))
    part = next(p for p in read_folder(str(out)).live if p.table == table)  # of 2.wav and 3.wav
    path = out / part.path
    if way == "flipped":
        flip(path, random.Random(2))
    elif way == "cut":
        path.write_bytes(path.read_bytes()[:-100])
    else:
        path.unlink()
    assert kinds(verify(str(out))) == {"missing" if way == "missing" else "damaged"}
    if way != "flipped":
        assert len(status_of(str(out))["damaged_parts"]) == 1
        with pytest.raises(DamagedResultsError, match=r"verify .* --repair"):
            hear([], str(out), resumes=True, embeddings=True)
    again = repaired(out)
    heard_now = {entry.unit.source.name for entry in again}
    assert {Path(name).name for name in heard_now} in ({"2.wav", "3.wav"}, {"1.wav"})
    assert tables(str(out)) == before
    found = verify(str(out))
    assert found.is_whole
    assert kinds(found) == (set() if way == "missing" else {"left over"})
    assert status_of(str(out))["damaged"] == 0


def test_an_interrupted_repair_goes_on(heard: Path, out: Path) -> None:
    before = tables(str(out))
    part = next(p for p in read_folder(str(out)).live if p.table == "windows")
    (out / part.path).unlink()
    found = verify(str(out))
    spec = spec_of(str(out), None, None)
    run = ArchiveRun(spec, found.sources, resumes=True, damage=found.damage)
    with InlineEngine(spec) as engine:
        run.prepare(engine.start())
    del run
    assert status_of(str(out))["damaged"] == len(found.sources) > 0
    assert not verify(str(out)).is_whole
    again = hear([str(heard / "in")], str(out), resumes=True, embeddings=True)
    assert len(again) == len(found.sources)
    assert tables(str(out)) == before
    assert verify(str(out)).is_whole


def test_rows_of_recordings_that_are_gone_are_kept(out: Path, tmp_path: Path) -> None:
    """Most rows of a part with a flipped bit are good, and nobody could make them again."""
    part = next(p for p in read_folder(str(out)).live if p.table == "events")
    flip(out / part.path, random.Random(0))
    location = Path(next(iter(read_folder(str(out)).units.values()))["location"])
    away = location.parent.rename(tmp_path / "away")
    try:
        found = verify(str(out))
        assert found.lost
        assert not found.damage.parts
        assert not found.is_whole
        repaired(out)
        assert not verify(str(out)).is_whole
        assert part in read_folder(str(out)).live
    finally:
        away.rename(location.parent)
    repaired(out)
    assert verify(str(out)).is_whole


def test_damaged_rows_are_not_copied_to_a_part_that_seems_whole(
    heard: Path, tmp_path: Path
) -> None:
    """A recording changes, and its rows leave a part in which a bit has flipped."""
    (tmp_path / "in").mkdir()
    for number in range(2):
        record(tmp_path / "in" / f"{number}.wav", 2, number)
    out = tmp_path / "out"
    hear([str(tmp_path / "in")], str(out), flush_seconds=60)
    flip(
        out / next(p.path for p in read_folder(str(out)).live if p.table == "windows"),
        random.Random(0),
    )
    record(tmp_path / "in" / "0.wav", 3, 5)
    with pytest.raises(DamagedResultsError, match=r"is not as it was written; say `oido batch"):
        hear([str(tmp_path / "in")], str(out), resumes=True)
    repaired(out)
    hear([str(tmp_path / "in")], str(out), resumes=True)
    hear([str(tmp_path / "in")], str(tmp_path / "fresh"))
    assert tables(str(out)) == tables(str(tmp_path / "fresh"))


def test_folders_of_versions_before_are_read_gone_on_with_and_verified(
    heard: Path, out: Path
) -> None:
    shutil.rmtree(out / "ledger-copy")
    for path in sorted((out / "ledger").iterdir()):
        content = json.loads(path.read_text())
        content["add"] = [{k: p[k] for k in ("table", "path", "rows")} for p in content["add"]]
        content = {k: v for k, v in content.items() if k not in ("previous", "sha256")}
        path.write_text(json.dumps(content) + "\n")
    before = tables(str(out))
    found = verify(str(out))
    assert found.is_whole
    assert found.without_hash == found.parts + found.commits
    assert hear([str(heard / "in")], str(out), resumes=True, embeddings=True) == []
    assert tables(str(out)) == before
    part = read_folder(str(out)).live[0]
    (out / part.path).write_bytes((out / part.path).read_bytes()[:-100])
    assert kinds(verify(str(out))) == {"damaged"}
    repaired(out)
    assert tables(str(out)) == before


def test_what_is_foreign_is_named_and_is_no_damage(out: Path) -> None:
    for name in ("diary.txt", "events/mine.parquet", "ledger/notes.txt"):
        (out / name).write_text("mine")
    found = verify(str(out))
    assert found.is_whole
    assert {f.path for f in found.findings if f.kind == "foreign"} == {
        "diary.txt",
        "events/mine.parquet",
        "ledger/notes.txt",
    }


def test_a_ledger_that_nothing_can_bring_back_is_told(out: Path) -> None:
    for folder in ("ledger", "ledger-copy"):
        (out / folder / "00000002.json").unlink()
    found = verify(str(out))
    assert not found.is_whole
    assert found.findings[0][:2] == ("missing", "ledger/00000002.json")
    with pytest.raises(DamagedResultsError, match=r"ledger/00000002\.json"):
        mend_ledger(str(out))


def test_a_folder_without_results_is_refused(tmp_path: Path) -> None:
    with pytest.raises(OptionError, match="is not a results folder"):
        verify(str(tmp_path))


def test_the_header_gives_the_whole_order_back(tmp_path: Path) -> None:
    record(tmp_path / "a.wav")
    plan = Plan(
        hop=0.96,
        channel="each",
        detection=Detection(threshold=0.3, thresholds=(("Dog", 0.4),)),
        selection=Selection(None, None, (), ("Speech",)),
    )
    hear([str(tmp_path / "a.wav")], str(tmp_path / "out"), plan, floor=0.25, clip_top=3)
    spec = spec_of(str(tmp_path / "out"), None, None)
    assert spec.plan == plan
    assert (spec.floor, spec.clip_top, spec.embeddings) == (0.25, 3, False)
    assert not spec.embedding_model
    header = tmp_path / "out" / "oido-archive.json"
    shutil.rmtree(tmp_path / "out" / "ledger")
    shutil.rmtree(tmp_path / "out" / "ledger-copy")
    for table in ("recordings", "events", "windows", "clips"):
        shutil.rmtree(tmp_path / "out" / table, ignore_errors=True)
    header.write_text(header.read_text().replace("yamnet/classification", "my model"))
    with pytest.raises(OptionError, match="say --model and its file"):
        spec_of(str(tmp_path / "out"), None, None)


def test_the_embeddings_of_another_network_are_heard_again(
    tmp_path: Path, classifier: AudioClassifier
) -> None:
    other, out = tmp_path / "other.tflite", tmp_path / "out"
    shutil.copy(classifier.model.path, other)
    paths = [record(tmp_path / "a.wav", 4), record(tmp_path / "b.wav", 3, 1)]
    order: dict[str, Any] = {"embeddings": True, "embeddings_of": str(other)}
    hear(paths, str(out), Plan(hop=0.96), **order)
    before = tables(str(out))
    assert len(before["embeddings"]) == 8 + 6
    (out / "search-index").mkdir()  # of `oido find`
    (part,) = (out / "embeddings").iterdir()
    part.unlink()

    assert verify(str(out)).findings == [
        Finding("missing", f"embeddings/{part.name}", "is missing")
    ]
    repaired(out)

    assert verify(str(out)).findings == []
    assert tables(str(out)) == before


def test_a_network_of_no_catalogue_is_asked_for(
    tmp_path: Path, classifier: AudioClassifier
) -> None:
    other, out = tmp_path / "other.tflite", tmp_path / "out"
    content = annotate(
        classifier.model.path.read_bytes(),
        classifier.model.heads,
        sample_rate_hz=16_000,
        name="my own",
    )
    other.write_bytes(content)
    order: dict[str, Any] = {"embeddings": True, "embeddings_of": str(other)}
    hear([record(tmp_path / "a.wav")], str(out), **order)
    with pytest.raises(OptionError, match="the model my own: say --embeddings-of and its file"):
        spec_of(str(out), None, None)
    assert spec_of(str(out), None, None, str(other)).embedding_model == str(other)
