# SPDX-License-Identifier: Apache-2.0
"""`oido review`: words that go together, what opens, and that Ctrl-C ends it well."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
from pathlib import Path

import httpx
import pytest

from oido.cli import review
from oido.errors import OptionError, OutputError, UnknownLabelError
from oido.search import index
from oido.search.label_store import LabelStore
from tests.results.results_folders import run as run_command
from tests.review.archives import tone_archive
from tests.review.made_archives import made_archive

pytest.importorskip("duckdb", reason="needs oido[archive]")
pytest.importorskip("starlette", reason="needs oido[server]")


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    return tone_archive(tmp_path).folder


def run(*words: str | Path) -> int:
    return run_command(review, *map(str, words), "--no-browser", "--port", "0")


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["--from", "hits.csv", "--where", "true"], "--from says which"),
        (["--from", "hits.csv", "--choose", "top"], "--from says which"),
        (["--learn", "owl", "--label", "Owl"], "leave out --label"),
        (["--learn", "owl", "--choose", "top"], "leave out --choose"),
        (["--learn", "owl", "-o", "owl.csv"], "-o needs a name"),
        (["-o", "owl.tflite"], "--learn LABEL"),
        (["--like", "owl.wav"], "add that"),
        (["--threshold", "0.5"], "--choose uncertain"),
        (["--choose", "uncertain", "--threshold", "7"], "from 0 to 1"),
        (["--project", "."], "is a folder"),
        (["--count", "0"], "1 place or more"),
        (["--opinions", "0"], "1 person or more"),
        (["--host", "0.0.0.0"], "give --token"),
        (["--host", "0.0.0.0", "--token", "short"], "8 characters"),
        (["--from", "hits.csv"], "hits.csv"),
        ([word for n in range(10) for word in ("--other", f"sound {n}")], "9 keys"),
    ],
)
def test_words_that_do_not_go_together(folder: Path, words: list[str], said: str) -> None:
    with pytest.raises((OptionError, OutputError), match=said):
        run(folder, *words)


def test_what_is_not_there(folder: Path, tmp_path: Path) -> None:
    with pytest.raises(UnknownLabelError, match="Gargle"):
        run(folder, "--label", "Gargle")
    with pytest.raises(OptionError, match="--embeddings"):
        run(folder, "--choose", "novel")
    (tmp_path / "notes.db").write_text("no database at all, but text")
    with pytest.raises(OptionError, match="label store"):
        run(folder, "--project", tmp_path / "notes.db")
    with pytest.raises(OptionError):
        run(tmp_path)
    assert not (tmp_path / "project.db").exists(), "what asks nothing leaves nothing"
    LabelStore(tmp_path / "project.db").close()
    with pytest.raises(UnknownLabelError):
        run(folder, "--label", "Gargle")
    assert (tmp_path / "project.db").exists()


def test_ctrl_c_ends_it_while_it_indexes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    folder, _ = made_archive(tmp_path / "results")
    begun: list[str] = []

    def write_shard(folder: Path, name: str, blocks: object, rows: int) -> dict[str, object]:
        assert threading.current_thread() is threading.main_thread(), "a signal comes there"
        begun.append(name)
        raise KeyboardInterrupt

    monkeypatch.setattr(index, "write_shard", write_shard)
    for words in (("--learn", "owl"), ("--choose", "novel")):
        with pytest.raises(KeyboardInterrupt):
            run(folder, *words)
    assert len(begun) == 2
    assert not (tmp_path / "project.db").exists()


def test_what_could_not_be_written_is_said_before_anybody_answers(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The archive's model is another one than is here: its hash is made up."""
    monkeypatch.chdir(tmp_path)
    folder, _ = made_archive(tmp_path / "results")
    words = ("--learn", "Owl", "--no-browser", "--port", "0")
    with pytest.raises(OptionError, match="another yamnet/classification than the one here"):
        run(folder, *words)


def test_it_serves_asks_and_ends(folder: Path, tmp_path: Path) -> None:
    words = ("review", folder, "--label", "owl", "--by", "Ana", "--port", "0", "--no-browser")
    process = subprocess.Popen(
        [sys.executable, "-m", "oido", *map(str, words)],
        stderr=subprocess.PIPE,
        text=True,
        cwd=tmp_path,
        env={**os.environ, "OMP_NUM_THREADS": "1"},
    )
    assert process.stderr is not None
    line = process.stderr.readline()
    assert line.endswith("; answers are stored in project.db\n"), line
    address = line.split()[3].removesuffix(";")
    about = httpx.get(f"{address}/review.json").json()
    assert (about["by"], about["label"], about["others"]) == ("Ana", "Owl", ["Dog"])
    asked = httpx.post(f"{address}/v1/review/next", json={"who": "Ana", "count": 2}).json()
    body = {"who": "Ana", "id": asked["items"][0]["id"], "verdict": "yes"}
    assert httpx.post(f"{address}/v1/review/answer", json=body).status_code == 200
    process.send_signal(signal.SIGINT)
    assert process.wait(60) == 0
    assert process.stderr.read() == ""
    process.stderr.close()
    with LabelStore(tmp_path / "project.db", is_new_allowed=False) as store:
        (answer,) = store.answers("Owl")
    assert (answer.who, answer.verdict, answer.choice) == ("Ana", "yes", "stratified")
    assert answer.query == "oido review --label 'Owl' --choose stratified"


def test_names_of_files_for_what_is_learnt() -> None:
    assert review._file_name("tawny owl/male") == "tawny-owl-male"
    assert review._file_name("búho") == "búho"
