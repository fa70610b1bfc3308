# SPDX-License-Identifier: Apache-2.0
"""How far an archive is, from its commits alone."""

from __future__ import annotations

import json
import random
import tracemalloc
from collections import Counter
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from oido.batch.commit_log import CommitLog
from oido.batch.plan import Failure
from oido.batch.progress import History, status_of
from oido.batch.results_folder import read_folder
from oido.batch.storage import storage_of
from oido.batch.units import LoadedModel, Outcome, Part, Source, Unit
from oido.batch.worker_process import STALLED
from oido.errors import OptionError
from tests.batch.archives import hear

A, B = (Source(name, f"/in/{name}", 100, "then") for name in "ab")
SEAL = ("previous", "sha256")  # without it, a commit is as versions before wrote it
PIECES = ("pieces/1.npy",)


def commit(number: int, *outcomes: Outcome, add: tuple[str, ...] = (), **more: Any) -> Any:
    parts = [Part("events", path, 1)._asdict() for path in add]
    units = [outcome.entry() for outcome in outcomes]
    return {"commit": number, "add": parts, "remove": [], "units": units, **more}


def test_a_recording_is_known_by_its_place_and_its_content(tmp_path: Path) -> None:
    history = History(storage_of(str(tmp_path)))
    history.add(commit(1, Outcome(Unit(A), "done"), Outcome(Unit(B), "failed")))
    assert (history.state(A), history.state(B)) == ("done", "failed")
    assert history.state(A._replace(size=101)) is None
    assert history.state(A._replace(modified="now")) is None
    assert history.state(Source("c", "/in/c", 1, "")) is None


def test_two_recordings_of_one_name_do_not_share_it(tmp_path: Path) -> None:
    history = History(storage_of(str(tmp_path)))
    history.add(commit(1, Outcome(Unit(A), "done")))
    assert history.unique_source(A) == A
    other = Source("a", "/elsewhere/a", 5, "then")
    assert history.unique_source(other).name == "/elsewhere/a"
    assert history.unique_source(B) == B


def test_ranges_wait_for_their_recording(tmp_path: Path) -> None:
    history = History(storage_of(str(tmp_path)))
    for number in (0, 1):
        unit = Unit(A, "range", number=number, of=2)
        history.add(commit(number + 1, Outcome(unit, "piece", pieces=(f"pieces/{number}.npy",))))
    assert list(history.pieces(A)) == [0, 1]
    assert history.state(A) is None
    assert history.piece_paths() == ["pieces/0.npy", "pieces/1.npy"]
    history.forget_pieces(lambda key: key == B.key)
    assert len(history.piece_paths()) == 2
    history.add(commit(3, Outcome(Unit(A), "done")))
    assert (history.pieces(A), history.piece_paths()) == ({}, [])


def test_a_part_of_one_recording_goes_whole(tmp_path: Path) -> None:
    history = History(storage_of(str(tmp_path)))
    history.add(commit(1, Outcome(Unit(A), "done"), add=("events/1.parquet",)))
    history.add(commit(2, Outcome(Unit(B), "done"), add=("events/2.parquet",)))
    changed = A._replace(size=7)
    assert history.plan_replacement([changed]) == ([], ["events/1.parquet"], {})
    assert history.plan_replacement([Source("c", "/in/c", 1, "")]) == ([], [], {})


def test_the_status_of_a_run_that_is_half_done(tmp_path: Path) -> None:
    """Ten of forty seconds' bytes in ten seconds: thirty are left."""
    out = tmp_path / "out"
    log = CommitLog(str(out), "0" * 16)
    log.begin({"embeddings": False}, LoadedModel("m", "0" * 64), calibrated=False)
    log.commit(run={"recordings": 4, "todo": 4, "todo_bytes": 400})
    log.commit(units=[Outcome(Unit(A), "done", 20.0, 5, 1).entry()])
    piece = Outcome(Unit(B, "range", number=1, of=3), "piece", pieces=PIECES)
    log.commit(units=[piece.entry()])
    first, *_, last = sorted((out / "ledger").iterdir())
    began = json.loads(first.read_text())
    ended = datetime.fromisoformat(began["created"]) + timedelta(seconds=10)
    changed = {**json.loads(last.read_text()), "created": ended.isoformat()}
    last.write_text(json.dumps({k: v for k, v in changed.items() if k not in SEAL}))
    status = status_of(str(out))
    assert (status["recordings"], status["done"], status["failed"], status["left"]) == (4, 1, 0, 3)
    assert (status["times_real_time"], status["files_per_hour"]) == (2.0, 360.0)
    assert status["eta_seconds"] == 30.0
    assert status["under_way"] == [{"file": "b", "heard": 1, "of": 3}]


def test_a_folder_in_which_nothing_has_been_done_has_no_speed(tmp_path: Path) -> None:
    log = CommitLog(str(tmp_path), "0" * 16)
    log.begin({"embeddings": False}, LoadedModel("m", "0" * 64), calibrated=False)
    status = status_of(str(tmp_path))
    assert (status["runs"], status["recordings"], status["left"]) == (0, 0, 0)
    assert (status["eta_seconds"], status["times_real_time"]) == (None, None)


def test_the_status_of_a_run(archive: Path, tmp_path: Path) -> None:
    out = str(tmp_path / "out")
    hear([str(archive / "0.wav"), str(archive / "3.wav")], out)
    status = status_of(out)
    assert (status["done"], status["failed"], status["left"]) == (1, 1, 0)
    assert status["audio_seconds"] == 2.0
    assert status["rows"]["recordings"] == 2
    assert status["failures"][0]["kind"] == "UnknownFormatError"
    with pytest.raises(OptionError, match="is not a results folder"):
        status_of(str(archive))


def test_the_status_is_that_of_the_latest_entries(tmp_path: Path) -> None:
    """Sums that are kept while commits pass by are those of all entries together."""
    chance = random.Random(1)
    log = CommitLog(str(tmp_path), "0" * 16)
    log.begin({"embeddings": False}, LoadedModel("m", "0" * 64), calibrated=False)
    for _ in range(3):
        log.commit(run={"recordings": 30, "todo": 30, "todo_bytes": 10_000})
        for _ in range(60):
            number, size = chance.randrange(30), chance.randrange(1, 3) * 100
            source = Source(f"{number}", f"/in/{number}", size, "then")
            failure = Failure("X", f"{number}: damaged")
            done = Outcome(Unit(source), "done", chance.random(), chance.randrange(9), 1)
            failed = Outcome(Unit(source), "failed", failure=failure)
            piece = Outcome(Unit(source, "range", number=size // 100, of=3), "piece", pieces=PIECES)
            outcomes = chance.choice([[done], [failed], [piece] if number > 20 else [done]])
            damaged = chance.choice([[], [], [f"/in/{chance.randrange(30)}"]])
            damaged = [place for place in damaged if place != source.location]
            more = {"damaged": damaged} if damaged else {}
            log.commit(units=[outcome.entry() for outcome in outcomes], **more)
    status, folder = status_of(str(tmp_path)), read_folder(str(tmp_path))
    entries = [e for e in folder.units.values() if e["state"] != "piece"]
    states = Counter(e["state"] for e in entries)
    assert min(states.values()) > 1
    assert {name: status[name] for name in ("done", "failed", "damaged")} == states
    assert status["audio_seconds"] == pytest.approx(sum(e["duration"] for e in entries), abs=1e-3)
    assert status["windows"] == sum(e["windows"] for e in entries)
    assert status["left"] == 30 - sum(e["run"] == 3 for e in entries)
    assert sorted(f["file"] for f in status["failures"]) == sorted(
        e["file"] for e in entries if e["state"] == "failed"
    )
    pieces = Counter(e["file"] for e in folder.units.values() if e["state"] == "piece")
    assert {r["file"]: r["heard"] for r in status["under_way"]} == pieces
    assert read_folder(str(tmp_path), with_units=False).damaged == states["damaged"]


def test_the_status_of_many_recordings_takes_little_memory(tmp_path: Path) -> None:
    log = CommitLog(str(tmp_path), "0" * 16)
    log.begin({"embeddings": False}, LoadedModel("m", "0" * 64), calibrated=False)
    for commit_number in range(40):
        sources = [
            Source(f"{commit_number}-{n}", f"/in/{commit_number}-{n}", 9, "") for n in range(500)
        ]
        log.commit(units=[Outcome(Unit(source), "done", 1.0).entry() for source in sources])
    n_bytes = {}
    for with_units in (True, False):
        tracemalloc.start()
        if with_units:
            assert len(read_folder(str(tmp_path)).units) == 20_000
        else:
            assert status_of(str(tmp_path))["done"] == 20_000
        n_bytes[with_units] = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
    # What is left is one file of the ledger, whatever its length, and forty bytes for each.
    assert n_bytes[False] < n_bytes[True] / 2


def test_a_silence_is_tried_again_without_being_asked(tmp_path: Path) -> None:
    history = History(storage_of(str(tmp_path)))
    stall = Failure("CorruptAudioError", f"a: {STALLED.format(120)}")
    history.add(commit(1, Outcome(Unit(A), "failed", failure=stall)))
    history.add(commit(2, Outcome(Unit(B), "failed", failure=Failure("X", "b: damaged"))))
    assert (history.state(A), history.state(B)) == ("stalled", "failed")
