# SPDX-License-Identifier: Apache-2.0
"""Commits are chained by hashes: no bit of one can change unseen, and each has a copy."""

from __future__ import annotations

import contextlib
import json
import random
import shutil
from pathlib import Path

import pytest

from oido.batch.commit_log import CommitLog, sealed, unsealed
from oido.batch.ledger_copies import ledger_files, restore
from oido.batch.results_folder import read_folder
from oido.batch.storage import storage_of
from oido.batch.units import LoadedModel, Part
from oido.errors import DamagedResultsError

CONTENT = {"commit": 1, "created": "now", "add": [], "remove": [], "units": [{"file": "a\udcff"}]}


def ledger(folder: Path, commits: int = 4) -> Path:
    log = CommitLog(str(folder), "0" * 16)
    log.begin({"embeddings": False}, LoadedModel("m", "0" * 64), calibrated=False)
    for number in range(commits):
        log.commit(add=[Part("events", f"events/{number}.parquet", 1, 2, "ab" * 32)])
    return folder


def test_a_commit_comes_back_as_it_was_written() -> None:
    raw, digest = sealed(CONTENT, "cd" * 32)
    content, again = unsealed(raw, 1, "cd" * 32)
    assert content == {**CONTENT, "previous": "cd" * 32, "sha256": digest}
    assert again == digest


def test_every_single_bit_matters() -> None:
    raw, _ = sealed(CONTENT, "cd" * 32)
    passed = []
    for position in range(len(raw)):
        for bit in range(8):
            changed = bytearray(raw)
            changed[position] ^= 1 << bit
            with contextlib.suppress(ValueError):
                passed.append(unsealed(bytes(changed), 1, "cd" * 32))
    assert passed == []


def test_a_commit_of_another_place_does_not_follow() -> None:
    raw, _ = sealed(CONTENT, "cd" * 32)
    with pytest.raises(ValueError, match="does not follow"):
        unsealed(raw, 1, "ef" * 32)
    with pytest.raises(ValueError, match="another commit"):
        unsealed(raw, 2, "cd" * 32)


def test_commits_without_a_seal_are_held_by_the_first_one_that_has(tmp_path: Path) -> None:
    out = ledger(tmp_path / "out")
    shutil.rmtree(out / "ledger-copy")
    for path in sorted((out / "ledger").iterdir()):  # as versions before wrote them
        content = json.loads(path.read_text())
        del content["previous"], content["sha256"]
        content["add"] = [{k: p[k] for k in ("table", "path", "rows")} for p in content["add"]]
        path.write_text(json.dumps(content) + "\n")
    before = read_folder(str(out)).live
    assert [part.sha256 for part in before] == [""] * 4
    log = CommitLog(str(out), "1" * 16)
    assert len(list(log.commits())) == 4
    log.commit(add=[Part("events", "events/x.parquet", 1, 2, "ab" * 32)])
    assert read_folder(str(out)).live[:4] == before
    path = out / "ledger" / "00000002.json"
    path.write_text(path.read_text().replace("events/1", "events/9"))
    with pytest.raises(DamagedResultsError, match=r"not whole at ledger/00000005\.json"):
        read_folder(str(out))


@pytest.mark.parametrize("folder", ["ledger", "ledger-copy"])
def test_a_damaged_file_is_brought_back_from_the_other(tmp_path: Path, folder: str) -> None:
    out = ledger(tmp_path / "out")
    before = read_folder(str(out))
    chance = random.Random(0)
    for number in range(1, 5):
        path = out / folder / f"{number:08d}.json"
        content = bytearray(path.read_bytes())
        content[chance.randrange(len(content))] ^= 1 << chance.randrange(8)
        path.write_bytes(content)
        storage = storage_of(str(out))
        (wrong,) = [f for f in ledger_files(storage) if f.trouble or f.copy_trouble]
        assert wrong.path == f"ledger/{path.name}"
        assert restore(storage, with_header=True) == [f"{folder}/{path.name}"]
    assert read_folder(str(out)) == before
    assert restore(storage_of(str(out)), with_header=True) == []


def test_a_changed_header_is_seen_and_brought_back(tmp_path: Path) -> None:
    out = ledger(tmp_path / "out")
    header = out / "oido-archive.json"
    before = header.read_text()
    header.write_text(before.replace('"name": "m"', '"name": "n"'))
    with pytest.raises(DamagedResultsError, match=r"ledger/00000001\.json"):
        read_folder(str(out))
    assert restore(storage_of(str(out)), with_header=True) == ["oido-archive.json"]
    assert header.read_text() == before
    assert restore(storage_of(str(out)), with_header=True) == []


def test_the_last_commit_cannot_be_taken_away_unseen(tmp_path: Path) -> None:
    out = ledger(tmp_path / "out")
    (out / "ledger" / "00000004.json").unlink()
    with pytest.raises(DamagedResultsError, match=r"not whole at ledger/00000004\.json"):
        read_folder(str(out))
    log = CommitLog(str(out), "1" * 16)
    assert len(list(log.commits())) == 4
    assert log.restored == ["ledger/00000004.json"]
    assert len(read_folder(str(out)).live) == 4


def test_a_copy_that_a_power_cut_left_out_is_written_later(tmp_path: Path) -> None:
    out = ledger(tmp_path / "out")
    (out / "ledger-copy" / "00000004.json").unlink()
    assert len(read_folder(str(out)).live) == 4
    log = CommitLog(str(out), "1" * 16)
    assert (len(list(log.commits())), log.restored) == (4, [])
    assert restore(storage_of(str(out)), with_header=True) == []
