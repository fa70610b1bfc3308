# SPDX-License-Identifier: Apache-2.0
"""`oido batch verify` and `clean` on the command line: what they print, and how they end."""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest

from oido.cli.main import run
from tests.batch.archives import hear, record, tables


@pytest.fixture
def out(tmp_path: Path) -> Path:
    (tmp_path / "in").mkdir()
    for number in range(2):
        record(tmp_path / "in" / f"{number}.wav", 2, number)
        hear([str(tmp_path / "in")], str(tmp_path / "out"), resumes=True)
    return tmp_path / "out"


def test_damage_is_named_repaired_and_has_an_exit_code_of_its_own(
    out: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    before = tables(str(out))
    assert run(["batch", "verify", str(out)]) == 0
    assert "every file that counts is as it was written" in capsys.readouterr().out
    part = sorted((out / "windows").iterdir())[0]
    part.write_bytes(part.read_bytes()[:-9])
    commit = out / "ledger" / "00000002.json"
    commit.write_bytes(commit.read_bytes().replace(b"done", b"dome"))
    assert run(["batch", "verify", str(out), "--json"]) == 4
    found = json.loads(capsys.readouterr().out)
    named = {finding["path"] for finding in found["findings"]}
    assert named == {f"windows/{part.name}", "ledger/00000002.json"}
    assert run(["batch", "status", str(out)]) == 4
    assert run(["query", str(out), "score > 0"]) == 4
    assert "oido batch verify" in capsys.readouterr().err
    assert run(["batch", "verify", str(out), "--repair", "-q", "--jobs", "1"]) == 0
    assert "ledger/00000002.json was brought back from its copy" in capsys.readouterr().err
    assert tables(str(out)) == before
    assert run(["batch", "status", str(out)]) == 0
    part = next(p for p in (out / "windows").iterdir() if p != part)
    part.write_bytes(part.read_bytes()[:-9])
    assert run(["batch", "status", str(out)]) == 4
    assert run(["batch", str(out.parent / "in"), "-o", str(out), "--resume", "-q"]) == 4


def test_a_query_tells_of_rows_that_are_missing(
    out: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    part = sorted((out / "events").iterdir())[0]
    part.unlink()
    assert run(["query", str(out), "score > 0"]) == 4
    assert f"or else say `oido batch verify {out}`" in capsys.readouterr().err
    (tmp_path / "in").rename(tmp_path / "away")  # nobody can hear them again
    assert run(["batch", "verify", str(out), "--repair", "-q", "--jobs", "1"]) == 4
    assert "is not there any more" in capsys.readouterr().out
    assert run(["query", str(out), "score > 0"]) == 0
    assert "of 1 recordings are missing, because they were damaged" in capsys.readouterr().err
    assert run(["batch", "status", str(out)]) == 4
    (tmp_path / "away").rename(tmp_path / "in")
    assert run(["batch", "verify", str(out), "--repair", "-q", "--jobs", "1"]) == 0
    capsys.readouterr()
    assert run(["query", str(out), "score > 0"]) == 0
    assert capsys.readouterr().err == ""


def test_cleaning_shows_first_and_deletes_on_request(
    out: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    run_id = next((out / "events").iterdir()).name.split("-")[0]
    orphan = out / "events" / f"{run_id}-{'0' * 16}.parquet"
    orphan.write_bytes(b"x" * 100)
    assert run(["batch", "clean", str(out)]) == 0
    assert "nothing is left over" in capsys.readouterr().err
    os.utime(orphan, (0, 0))
    assert run(["batch", "clean", str(out), "--older-than", "7d"]) == 0
    shown = capsys.readouterr()
    assert f"events/{orphan.name}" in shown.out
    assert "--delete deletes them" in shown.err
    assert orphan.exists()
    assert run(["batch", "clean", str(out), "--older-than", "7d", "--delete"]) == 0
    assert not orphan.exists()
    assert run(["batch", "verify", str(out)]) == 0


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (["clean", "out", "--older-than", "soon"], "--older-than is a number with s, m, h, d or w"),
        (["clean", "out", "--repair"], "--repair is for `oido batch verify FOLDER`"),
        (["status", "out", "--delete"], "--delete is for `oido batch clean FOLDER`"),
        (["verify"], "say: oido batch verify FOLDER"),
        (["a.wav", "--json"], "--json is for `oido batch status FOLDER` and `oido batch verify"),
        (["verify", "nothing"], "no such folder"),
    ],
)
def test_wrong_usage_is_one_sentence(
    words: list[str], says: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(["batch", *words]) == 2
    assert says in capsys.readouterr().err
