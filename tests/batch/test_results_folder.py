# SPDX-License-Identifier: Apache-2.0
"""What counts of a results folder, commit by commit, and what is no whole ledger."""

from __future__ import annotations

from pathlib import Path

import pytest

from oido.batch.results_folder import read_folder
from oido.batch.units import Part
from oido.errors import OptionError
from tests.batch.archives import begun, entry, hear


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


def test_a_ledger_with_a_gap_is_refused(archive: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    hear([str(archive)], str(out), flush_seconds=0)
    (out / "ledger" / "00000003.json").unlink()
    with pytest.raises(OptionError, match=r"not whole at ledger/00000004.json"):
        read_folder(str(out))
