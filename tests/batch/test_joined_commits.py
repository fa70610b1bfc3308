# SPDX-License-Identifier: Apache-2.0
"""Commits in files of many: the same commits, few requests, and whole at every moment."""

from __future__ import annotations

import random
from collections.abc import Callable
from functools import partialmethod
from pathlib import Path
from typing import Any

import pytest

from oido.batch import commit_log, joined_commits
from oido.batch.archive_header import HEADER
from oido.batch.commit_log import CommitLog
from oido.batch.joined_commits import join_commits
from oido.batch.ledger_copies import LedgerFile, ledger_files, restore
from oido.batch.results_folder import commits, read_commit, read_folder
from oido.batch.storage import Storage, storage_of
from oido.batch.units import LoadedModel, Part
from oido.errors import DamagedResultsError, OptionError
from tests.batch.conftest import BUCKET


def run(folder: str, number: int, n_commits: int) -> CommitLog:
    """A run that goes on with a folder and is killed: nothing is joined at its end."""
    log = CommitLog(folder, f"{number:016x}", join_commits)
    log.begin({"embeddings": False}, LoadedModel("m", "0" * 64), calibrated=False)
    list(log.commits())
    log.commit(run={"id": f"{number:016x}"})
    for place in range(n_commits - 1):
        log.commit(add=[Part("events", f"events/{number}-{place}.parquet", 1, 2, "ab" * 32)])
    return log


def names(folder: Path, below: str = "ledger") -> list[str]:
    return sorted(path.name for path in (folder / below).iterdir())


def troubles(folder: str) -> list[LedgerFile]:
    found = ledger_files(storage_of(folder))
    return [f for f in found[1:] if f.trouble or f.copy_trouble]


def facts(commit: dict[str, Any]) -> dict[str, Any]:
    return {k: v for k, v in commit.items() if k not in ("created", "previous", "sha256")}


@pytest.fixture
def short_files(monkeypatch: pytest.MonkeyPatch) -> None:
    """Of 10 commits, after every 4."""
    monkeypatch.setattr(commit_log, "JOIN_EVERY", 4)
    monkeypatch.setattr(joined_commits, "_MOST_COMMITS", 10)
    monkeypatch.setattr("os.fsync", lambda _: None)  # power cuts are made here, and not real


def test_joined_commits_are_those_that_were_written(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, short_files: None
) -> None:
    for number in range(3):
        run(str(tmp_path / "joined"), number, 23)
    monkeypatch.setattr(commit_log, "JOIN_EVERY", 10**9)
    for number in range(3):
        run(str(tmp_path / "loose"), number, 23)
    joined, loose = (list(commits(storage_of(str(tmp_path / n)))) for n in ("joined", "loose"))
    assert [facts(c) for c in joined] == [facts(c) for c in loose]
    assert len(names(tmp_path / "loose")) == 69
    assert names(tmp_path / "joined") == [
        "00000001-00000010.jsonl",
        "00000001.json",  # each run's first commit stays
        "00000011-00000020.jsonl",
        "00000021-00000030.jsonl",
        "00000024.json",
        "00000031-00000040.jsonl",
        "00000041-00000050.jsonl",
        "00000047.json",
        "00000051-00000060.jsonl",
        "00000061-00000068.jsonl",
        "00000069.json",
    ]
    storage = storage_of(str(tmp_path / "joined"))
    assert [read_commit(storage, n)["commit"] for n in (1, 10, 11, 68, 69)] == [1, 10, 11, 68, 69]
    with pytest.raises(DamagedResultsError, match=r"00000070\.json"):
        read_commit(storage, 70)


def test_a_resume_asks_for_one_file_in_a_thousand_commits(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("os.fsync", lambda _: None)
    folder = str(tmp_path / "out")
    log = run(folder, 0, 2_500)
    reads: list[str] = []
    read = Storage.read
    monkeypatch.setattr(Storage, "read", lambda s, p: reads.append(p) or read(s, p))

    def n_reads(use: Callable[[], Any]) -> int:
        reads.clear()
        assert len(list(use())) == 2_500
        return sum(path.startswith("ledger/") for path in reads)

    killed = n_reads(lambda: commits(storage_of(folder)))
    assert killed <= 3 + commit_log.JOIN_EVERY
    log.join()
    log.require_whole(all_of_it=True)
    assert n_reads(lambda: commits(storage_of(folder))) == 2_500 // 1000 + 2
    assert n_reads(CommitLog(folder, "f" * 16).commits) == 2_500 // 1000 + 2
    assert len(names(tmp_path / "out")) == 5
    assert set(names(tmp_path / "out")) - {"00000001.json"} == {
        name for name in names(tmp_path / "out", "ledger-copy") if name != HEADER
    }


class _CutOffError(Exception):
    """The power is gone."""


def _changed(storage: Storage, change: Callable[..., None], name: str, *args: Any) -> None:
    change(name, storage, *args)


def test_a_power_cut_at_any_moment_loses_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, short_files: None
) -> None:
    originals = {name: getattr(Storage, name) for name in ("replace", "write_new", "delete")}
    left = 0

    def change(name: str, storage: Storage, first: Any, *rest: Any) -> None:
        nonlocal left
        for piece in list(first) if name == "delete" else [first]:
            left -= 1
            if left < 0:
                raise _CutOffError
            originals[name](storage, [piece] if name == "delete" else piece, *rest)

    for moment in range(200):
        out, left, done = tmp_path / f"{moment}", moment, list[int]()
        with monkeypatch.context() as patch:
            for name in originals:
                patch.setattr(Storage, name, partialmethod(_changed, change, name))
            try:
                log = CommitLog(str(out), "0" * 16, join_commits)
                log.begin({"embeddings": False}, LoadedModel("m", "0" * 64), calibrated=False)
                log.commit(run={"id": "0" * 16})
                done.append(1)
                while len(done) < 14:
                    log.commit()
                    done.append(len(done) + 1)
            except _CutOffError:
                pass
            else:
                break
        if not (out / HEADER).exists():
            continue
        there = [commit["commit"] for commit in commits(storage_of(str(out)))]
        # The commit may be there of which the run did not come to know.
        assert there in (done, [*done, len(done) + 1])
        run(str(out), 1, 14)
        assert len(list(commits(storage_of(str(out))))) == len(there) + 14
        assert troubles(str(out)) == []
    else:
        raise AssertionError("the run never came to its end")
    assert moment > 40


def test_a_reader_does_not_notice_that_commits_are_joined_under_it(
    tmp_path: Path, short_files: None
) -> None:
    log = run(str(tmp_path), 0, 3)
    for n_read in range(3, 40):
        reader = commits(storage_of(str(tmp_path)))
        found = [next(reader)["commit"] for _ in range(n_read)]
        log.commit()
        log.commit()
        found += [commit["commit"] for commit in reader]
        assert found == [*range(1, len(found) + 1)]
        assert len(found) >= log._last - 2


def test_every_bit_of_every_file_matters_and_comes_back(tmp_path: Path, short_files: None) -> None:
    run(str(tmp_path / "out"), 0, 13)
    run(str(tmp_path / "out"), 1, 5).join()
    before = read_folder(str(tmp_path / "out"))
    chance = random.Random(0)
    files = [
        tmp_path / "out" / below / n
        for below in ("ledger", "ledger-copy")
        for n in names(tmp_path / "out", below)
        if n != HEADER
    ]
    assert len(files) >= 8
    for path in files * 5:
        raw = path.read_bytes()
        place = chance.randrange(len(raw))
        changed = bytearray(raw)
        changed[place] ^= 1 << chance.randrange(8)
        path.write_bytes(changed)
        storage = storage_of(str(tmp_path / "out"))
        (wrong,) = troubles(str(tmp_path / "out"))
        assert path.name in (wrong.path + wrong.copy_path)
        assert restore(storage, with_header=True) == [f"{path.parent.name}/{path.name}"]
        assert path.read_bytes() == raw
    assert read_folder(str(tmp_path / "out")) == before


@pytest.mark.parametrize("way", ["flipped", "cut", "deleted"])
def test_a_joined_file_is_brought_back_by_the_run_that_goes_on(
    tmp_path: Path, short_files: None, way: str
) -> None:
    run(str(tmp_path / "out"), 0, 33)
    raws = [facts(commit) for commit in commits(storage_of(str(tmp_path / "out")))]
    path = tmp_path / "out" / "ledger" / "00000011-00000020.jsonl"
    raw = path.read_bytes()
    if way == "deleted":
        path.unlink()
    else:
        path.write_bytes(raw[:-50] if way == "cut" else raw.replace(b"events/", b"evants/", 1))
    with pytest.raises(DamagedResultsError, match=r"not whole at ledger/000000"):
        read_folder(str(tmp_path / "out"))
    log = CommitLog(str(tmp_path / "out"), "1" * 16)
    assert [facts(commit) for commit in log.commits()] == raws
    assert log.restored == ["ledger/00000011-00000020.jsonl"]
    assert path.read_bytes() == raw
    log.require_whole(all_of_it=True)


def test_what_is_damaged_is_not_joined_over_its_good_copy(
    tmp_path: Path, short_files: None
) -> None:
    log = run(str(tmp_path), 0, 12)
    path = tmp_path / "ledger" / "00000011.json"
    raw = path.read_bytes()
    path.write_bytes(raw.replace(b"events/", b"evants/"))
    for _ in range(9):
        log.commit()
    assert path.read_bytes() != raw
    assert (tmp_path / "ledger-copy" / path.name).read_bytes() == raw
    again = CommitLog(str(tmp_path), "1" * 16, join_commits)
    assert [commit["commit"] for commit in again.commits()] == [*range(1, 22)]
    assert again.restored == ["ledger/00000011.json"]
    again.commit(run={"id": "1" * 16})
    assert "00000011-00000020.jsonl" in names(tmp_path)
    assert troubles(str(tmp_path)) == []


def test_a_copy_that_is_joined_already_brings_back_a_commit_that_is_not(
    tmp_path: Path, short_files: None
) -> None:
    run(str(tmp_path), 0, 4)
    copies = [tmp_path / "ledger-copy" / f"{number:08d}.json" for number in (1, 2, 3)]
    joined = tmp_path / "ledger-copy" / "00000001-00000003.jsonl"
    joined.write_bytes(b"".join(path.read_bytes() for path in copies))
    for path in copies:
        path.unlink()
    path = tmp_path / "ledger" / "00000002.json"
    raw = path.read_bytes()
    path.write_bytes(raw[:-9])
    log = CommitLog(str(tmp_path), "1" * 16, join_commits)
    assert [commit["commit"] for commit in log.commits()] == [1, 2, 3, 4]
    assert log.restored == ["ledger/00000002.json"]
    assert path.read_bytes() == raw


def test_joined_files_that_are_gone_with_their_copies_are_told(
    tmp_path: Path, short_files: None
) -> None:
    run(str(tmp_path / "out"), 0, 33)
    for below in ("ledger", "ledger-copy"):
        (tmp_path / "out" / below / "00000011-00000020.jsonl").unlink()
    with pytest.raises(DamagedResultsError, match=r"ledger/00000021-00000030\.jsonl"):
        read_folder(str(tmp_path / "out"))
    with pytest.raises(DamagedResultsError, match=r"ledger/00000011\.json"):
        list(CommitLog(str(tmp_path / "out"), "1" * 16).commits())
    log = run(str(tmp_path / "other"), 0, 33)
    (tmp_path / "other" / "ledger" / "00000011-00000020.jsonl").unlink()
    with pytest.raises(DamagedResultsError, match="was deleted while the run was writing there"):
        log.require_whole(all_of_it=True)


def test_a_run_that_is_late_meets_the_one_that_came_after_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, short_files: None
) -> None:
    """It stood still between its look at the ledger and its commit, and all was joined since."""
    late = run(str(tmp_path), 0, 7)
    run(str(tmp_path), 1, 25).join()
    with pytest.raises(OptionError, match="another run is writing there"):
        late.commit()
    monkeypatch.setattr(CommitLog, "require_whole", lambda *_, **__: None)
    with pytest.raises(OptionError, match="another run is writing there"):
        late.commit()
    assert len(list(commits(storage_of(str(tmp_path))))) == 32


def test_of_two_runs_in_a_store_that_overwrites_one_is_told_at_its_end(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, short_files: None
) -> None:
    monkeypatch.setattr(Storage, "write_new", Storage.replace)
    late = run(str(tmp_path), 0, 7)
    run(str(tmp_path), 1, 25)
    with monkeypatch.context() as patch:
        patch.setattr(CommitLog, "require_whole", lambda *_, **__: None)
        late.commit()
    with pytest.raises(OptionError, match="another run is writing there"):
        late.require_whole(all_of_it=True)


def test_a_ledger_of_a_version_before_is_joined_by_and_by(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, short_files: None
) -> None:
    with monkeypatch.context() as patch:
        patch.setattr(commit_log, "JOIN_EVERY", 10**9)
        run(str(tmp_path), 0, 37)
    for path in (tmp_path / "ledger-copy").glob("*[0-9].json"):
        path.unlink()
    before = [facts(commit) for commit in commits(storage_of(str(tmp_path)))]
    log = run(str(tmp_path), 1, 3)
    assert names(tmp_path)[:2] == ["00000001-00000010.jsonl", "00000001.json"]
    log.join()
    log.require_whole(all_of_it=True)
    assert len(names(tmp_path)) == 4 + 2 + 1
    assert [facts(commit) for commit in commits(storage_of(str(tmp_path)))][:37] == before
    assert troubles(str(tmp_path)) == []


def test_commits_are_joined_in_a_store(s3: Any, short_files: None) -> None:
    out = f"{BUCKET}/out"
    run(out, 0, 11)
    run(out, 1, 2).join()
    assert [commit["commit"] for commit in commits(storage_of(out))] == [*range(1, 14)]
    found = sorted(name.rsplit("/", 1)[-1] for name in s3.ls(f"{out}/ledger", detail=False))
    assert found == [
        "00000001-00000010.jsonl",
        "00000001.json",
        "00000011-00000012.jsonl",
        "00000012.json",
        "00000013.json",
    ]
    assert troubles(out) == []
