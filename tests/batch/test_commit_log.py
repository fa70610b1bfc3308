# SPDX-License-Identifier: Apache-2.0
"""The ledger: what commits name counts, in their order, and nothing else is touched."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest

from oido.batch.archive_header import HEADER
from oido.batch.commit_log import CommitLog
from oido.batch.results_folder import read_folder
from oido.batch.storage import Storage
from oido.errors import DamagedResultsError, OptionError
from tests.batch.archives import MODEL, PARAMETERS, begun, entry, hear, tables


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
