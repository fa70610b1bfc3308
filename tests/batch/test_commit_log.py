# SPDX-License-Identifier: Apache-2.0
"""The ledger: what commits name counts, in their order, and nothing else is touched."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import pytest

from oido.batch.commit_log import HEADER, CommitLog, DamagedResultsError, read_folder
from oido.batch.storage import Storage
from oido.batch.units import Outcome, Part, Source, Unit
from oido.errors import OptionError
from tests.batch.archives import hear, tables

PARAMETERS: dict[str, Any] = {"hop": None, "floor": 0.1, "embeddings": False, "plan": {"top": 5}}
MODEL = ("a model", "ab" * 32)


def begun(folder: Path, run_id: str = "0" * 16) -> CommitLog:
    log = CommitLog(str(folder), run_id)
    log.begin(PARAMETERS, MODEL, calibrated=False)
    list(log.commits())
    return log


def entry(name: str, size: int = 1, state: Any = "done", number: int | None = None) -> Any:
    source = Source(name, f"/in/{name}", size, "then")
    kind: Any = "whole" if number is None else "range"
    unit = Unit(source, kind, number=number or 0, of=2)
    return Outcome(unit, state, 1.0, 2, 3, pieces=("pieces/x.npy",)).entry()


def test_parts_count_from_their_commit_to_the_one_that_removes_them(tmp_path: Path) -> None:
    log = begun(tmp_path / "out")
    one, two = Part("events", "events/1.parquet", 10), Part("clips", "clips/1.parquet", 5)
    log.commit(add=[one, two], units=[entry("a")], run={"id": "0" * 16})
    assert read_folder(str(tmp_path / "out")).live == (one, two)
    three = Part("events", "events/2.parquet", 7)
    log.commit(add=[three], remove=[one.path], units=[entry("b")])
    results = read_folder(str(tmp_path / "out"))
    assert results.live == (two, three)
    assert results.parts("events") == [str(tmp_path / "out" / "events" / "2.parquet")]
    assert results.parts("windows") == []
    assert [run["id"] for run in results.runs] == ["0" * 16]
    assert {unit["file"]: unit["run"] for unit in results.units.values()} == {"a": 1, "b": 1}
    assert results.header["tables"] == ["recordings", "events", "windows", "clips"]


def test_a_recording_with_another_content_replaces_its_entry(tmp_path: Path) -> None:
    log = begun(tmp_path / "out")
    log.commit(units=[entry("a", size=1), entry("b")])
    log.commit(units=[entry("a", size=2, state="failed")])
    units = read_folder(str(tmp_path / "out")).units.values()
    assert {(u["file"], u["size"], u["state"]) for u in units} == {
        ("a", 2, "failed"),
        ("b", 1, "done"),
    }


def test_ranges_count_until_their_recording_is_joined(tmp_path: Path) -> None:
    log = begun(tmp_path / "out")
    log.commit(units=[entry("a", state="piece", number=0)])
    log.commit(units=[entry("a", state="piece", number=1)])
    units = read_folder(str(tmp_path / "out")).units
    assert [key.partition(":")[2] for key in units] == ["0", "1"]
    log.commit(units=[entry("a")])
    assert [u["state"] for u in read_folder(str(tmp_path / "out")).units.values()] == ["done"]


def test_what_differs_is_named_with_both_values(tmp_path: Path) -> None:
    begun(tmp_path / "out").commit()
    other = CommitLog(str(tmp_path / "out"), "1" * 16)
    wanted = {**PARAMETERS, "floor": 0.2, "plan": {"top": None}, "more": "x"}
    with pytest.raises(OptionError) as raised:
        other.begin(wanted, ("a model", "cd" * 32), calibrated=False)
    assert str(raised.value) == (
        f"{tmp_path / 'out'} was heard with other parameters: floor was 0.1, now 0.2; "
        'plan.top was 5, now not set; model sha256 was "abababababab", now "cdcdcdcdcdcd"; '
        'more was not set, now "x". '
        "Say --resume with those of before, or choose another folder for the new ones"
    )
    other.begin(PARAMETERS, MODEL, calibrated=False)  # those of before


@pytest.mark.parametrize(
    "content", [b"", b"{", b"[]", b"null", b"3", b"{}", b'{"commit": 7}', b"\xff\xfe"]
)
def test_a_commit_that_cannot_be_read_is_named(tmp_path: Path, content: bytes) -> None:
    log = begun(tmp_path / "out")
    for _ in range(3):
        log.commit()
    (tmp_path / "out" / "ledger" / "00000002.json").write_bytes(content)
    with pytest.raises(OptionError, match=r"its ledger is not whole at ledger/00000002\.json"):
        read_folder(str(tmp_path / "out"))


def test_two_writers_meet_at_the_next_commit(tmp_path: Path) -> None:
    one, other = begun(tmp_path / "out"), begun(tmp_path / "out", "1" * 16)
    one.commit()
    with pytest.raises(OptionError, match="another run is writing there"):
        other.commit()
    assert len(list((tmp_path / "out" / "ledger").iterdir())) == 1


def test_a_store_that_lets_runs_overwrite_each_other_is_guarded(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Two machines, and no conditional writes: one is told, and the rows of the other stay."""
    monkeypatch.setattr(Storage, "write_new", Storage.replace)
    out = tmp_path / "out"
    one = begun(out)
    one.commit(run={"id": "0" * 16})
    other = CommitLog(str(out), "1" * 16)
    other.begin(PARAMETERS, MODEL, calibrated=False)
    list(other.commits())
    one.commit(units=[entry("a")])
    other.commit(run={"id": "1" * 16})  # written over the one's last commit
    with pytest.raises(OptionError, match="another run is writing there"):
        one.commit(units=[entry("b")])
    with pytest.raises(OptionError, match="another run is writing there"):
        one.require_whole(all_of_it=True)
    other.commit(units=[entry("a")])
    other.require_whole(all_of_it=True)
    assert [unit["file"] for unit in read_folder(str(out)).units.values()] == ["a"]


def test_two_runs_that_begin_a_folder_at_once_in_such_a_store(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Storage, "write_new", Storage.replace)
    one, other = CommitLog(str(tmp_path), "0" * 16), CommitLog(str(tmp_path), "1" * 16)
    monkeypatch.setattr("oido.batch.commit_log.utc_now", lambda: "first")
    one.begin(PARAMETERS, MODEL, calibrated=False)
    monkeypatch.setattr("oido.batch.commit_log.utc_now", lambda: "second")
    other.begin(PARAMETERS, MODEL, calibrated=False)
    with pytest.raises(OptionError, match="another run is writing there"):
        one.commit()
    other.commit()
    assert read_folder(str(tmp_path)).last_commit == "second"


def test_sweeping_takes_what_this_run_wrote_and_no_commit_names(tmp_path: Path) -> None:
    """Never what another run has written: its age and its ledger decide (`oido batch clean`)."""
    out = tmp_path / "out"
    log = begun(out)
    log.commit(run={"id": "a" * 16})
    log = begun(out, "b" * 16)
    kept = f"events/{'b' * 16}-{'1' * 16}.parquet"
    orphan = f"windows/{'b' * 16}-{'3' * 16}.parquet"
    others = [f"windows/{run * 16}-{'3' * 16}.parquet" for run in "ac"] + ["windows/mine.parquet"]
    for name in (kept, orphan, *others):
        (out / name).parent.mkdir(exist_ok=True)
        (out / name).write_bytes(b"x")
    assert log.sweep([kept]) == 1
    assert not (out / orphan).exists()
    assert all((out / name).exists() for name in (kept, *others))


@pytest.mark.parametrize("what", ["ledger", "last", "results"])
def test_a_ledger_that_is_deleted_under_a_run_ends_it(tmp_path: Path, what: str) -> None:
    out = tmp_path / "out"
    log = begun(out)
    for _ in range(3):
        log.commit()
    if what == "last":
        (out / "ledger" / "00000003.json").unlink()
    else:
        shutil.rmtree(out / "ledger" if what == "ledger" else out)
    with pytest.raises(DamagedResultsError, match="was deleted while the run was writing there"):
        log.commit()
    with pytest.raises(DamagedResultsError, match="was deleted while the run was writing there"):
        log.require_whole(all_of_it=True)


def test_a_header_or_a_commit_before_that_is_deleted_is_seen_at_the_end(tmp_path: Path) -> None:
    for name in (HEADER, "ledger/00000001.json"):
        out = tmp_path / name.replace("/", "-")
        log = begun(out)
        log.commit()
        log.commit()
        log.require_whole(all_of_it=True)
        (out / name).unlink()
        with pytest.raises(DamagedResultsError, match="was deleted"):
            log.require_whole(all_of_it=True)


def test_a_ledger_that_was_deleted_is_not_an_empty_one(archive: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    hear([str(archive / "0.wav")], str(out))
    before = tables(str(out))
    shutil.rmtree(out / "ledger")
    with pytest.raises(DamagedResultsError, match=r"not whole at ledger/00000001\.json"):
        read_folder(str(out))
    assert hear([str(archive / "0.wav")], str(out), resumes=True) == []  # from the copies
    assert tables(str(out)) == before
    shutil.rmtree(out / "ledger")
    shutil.rmtree(out / "ledger-copy")
    with pytest.raises(DamagedResultsError, match=r"not whole at ledger/00000001\.json"):
        hear([str(archive / "0.wav")], str(out), resumes=True)


def test_names_that_no_text_can_hold_are_written_all_the_same(tmp_path: Path) -> None:
    log = begun(tmp_path / "out")
    log.commit(units=[entry("a\udcff.wav")])
    (unit,) = read_folder(str(tmp_path / "out")).units.values()
    assert unit["file"] == "a\udcff.wav"
    assert json.loads((tmp_path / "out" / HEADER).read_text())["fingerprint"]


def test_every_state_of_the_ledger_can_be_gone_on_from(archive: Path, tmp_path: Path) -> None:
    """As after a power cut: the last commits are gone, and the parts are still there."""
    out = tmp_path / "out"
    hear([str(archive)], str(out), flush_seconds=0)
    before = tables(str(out))
    commits = sorted((out / "ledger").iterdir())
    assert len(commits) == 7
    for kept in (0, 1, 4):
        for commit in sorted((out / "ledger").iterdir())[kept:]:
            commit.unlink()
        hear([str(archive)], str(out), resumes=True, flush_seconds=0)
        assert tables(str(out)) == before


def test_a_ledger_with_a_gap_is_refused(archive: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    hear([str(archive)], str(out), flush_seconds=0)
    (out / "ledger" / "00000003.json").unlink()
    with pytest.raises(OptionError, match=r"not whole at ledger/00000004.json"):
        read_folder(str(out))
