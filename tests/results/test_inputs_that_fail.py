# SPDX-License-Identifier: Apache-2.0
"""Search, clips, counts and adapting on what goes wrong in the field: one sentence each."""

from __future__ import annotations

import shutil
import sqlite3
import subprocess
import sys
import threading
from pathlib import Path

import pytest

from oido.cli import adapt, clips, count, find
from oido.errors import OidoError, OptionError
from oido.models.model import AudioModel
from oido.results import Results
from oido.results.find import Finder
from oido.search import label_store
from oido.search.label_store import Answer, LabelStore
from tests.results.owl_archives import make_owls, owl_file, review
from tests.results.results_folders import FolderMaker, event, recording, run
from tests.results.test_clip_files import tones


def sentence(error: BaseException) -> str:
    """What is said: one line, and something to do in it or before it."""
    assert isinstance(error, OidoError)
    text = str(error)
    assert "\n" not in text
    return text


@pytest.mark.parametrize("command", ["find", "count", "clips", "adapt"])
def test_an_archive_without_embeddings(command: str, model: AudioModel, tmp_path: Path) -> None:
    maker = FolderMaker(tmp_path / "results")
    maker.commit({"recordings": [recording("a.wav", 3.0)], "events": [event("a.wav", 0, 1, "Owl")]})
    folder, path = str(maker.folder), str(owl_file(tmp_path / "owl.tflite", model))
    with LabelStore(tmp_path / "project.db") as store:
        store.add([Answer("a.wav", 0.0, 1.0, "owl", "yes", choice="random")])
    labels = str(tmp_path / "project.db")
    module, words = {
        "find": (find, (folder, "--like", "a.wav@0-1")),
        "count": (count, (folder, "--label", "owl", "--model", path, "--reviewed", labels)),
        "clips": (clips, (folder, "--label", "owl", "--model", path, "-o", f"{tmp_path}/o")),
        "adapt": (adapt, (folder, path, "--labels", labels, "-o", f"{tmp_path}/o.tflite")),
    }[command]
    with pytest.raises(OptionError) as caught:
        run(module, *words)
    text = sentence(caught.value)
    assert text.startswith(f"{folder} holds no embeddings, and only the recordings can give them")
    assert text.endswith(
        "oido batch RECORDINGS -o OTHER/ --model yamnet/classification --embeddings"
    )


def test_an_example_where_the_model_is_another_than_the_archives(tmp_path: Path) -> None:
    archive = make_owls(tmp_path / "results", 0.5, sites=1, windows=10)
    sound = tones(tmp_path / "rec" / "new.wav", 3.0)["location"]
    with Results(archive.folder) as results, pytest.raises(OptionError) as caught:
        Finder(results).find([str(sound)])
    assert "embeddings are of another yamnet/classification than the one here" in sentence(
        caught.value
    )


def test_recordings_that_were_moved(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    maker = FolderMaker(tmp_path / "results")
    rows = [tones(tmp_path / "rec" / "north" / "a.wav", 4.0)]
    maker.commit({"recordings": rows, "events": [event("north/a.wav", 1.0, 2.0, "Owl")]})
    shutil.move(tmp_path / "rec", tmp_path / "moved")
    words = (str(maker.folder), "--label", "Owl", "-o")
    with pytest.raises(OptionError, match="none of 1 clips could be cut"):
        run(clips, *words, str(tmp_path / "owls"))
    said = capsys.readouterr().err
    assert said.count("\n") == 1
    assert "is not at" in said
    assert "say the command in the folder below which north/a.wav is now" in said
    monkeypatch.chdir(tmp_path / "moved")
    assert run(clips, *words, str(tmp_path / "owls")) == 0
    assert len(list((tmp_path / "owls").glob("*.flac"))) == 1


def test_a_label_store_that_another_program_holds(
    model: AudioModel, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    archive = make_owls(tmp_path / "results", 0.5, sites=1, windows=10)
    labels = review(archive, tmp_path / "project.db", range(4))
    monkeypatch.setattr(label_store, "_WAIT_SECONDS", 0.1)
    path = str(owl_file(tmp_path / "owl.tflite", model))
    holder = sqlite3.connect(labels, isolation_level=None)
    holder.execute("BEGIN EXCLUSIVE")
    try:
        for module, words in (
            (count, ("--label", "owl", "--model", path, "--reviewed", str(labels))),
            (adapt, (path, "--labels", str(labels), "-o", str(tmp_path / "o.tflite"))),
        ):
            with pytest.raises(OptionError) as caught:
                run(module, archive.folder, *words)
            assert sentence(caught.value) == (
                f"{labels}: another program holds it; close that, and try again"
            )
    finally:
        holder.close()
    assert (
        run(count, archive.folder, "--label", "owl", "--model", path, "--reviewed", str(labels))
        == 0
    )


_ADD = """
import sys
from oido.search.label_store import Answer, LabelStore
for n in range(25):
    with LabelStore(sys.argv[1]) as store:
        store.add([Answer("a.wav", float(n), n + 1.0, "owl", "yes", who=sys.argv[2])])
"""


def test_two_writers_of_a_label_store(tmp_path: Path) -> None:
    path = str(tmp_path / "project.db")
    writers = [subprocess.Popen([sys.executable, "-c", _ADD, path, who]) for who in ("Ana", "Bo")]
    assert [writer.wait(120) for writer in writers] == [0, 0]
    with LabelStore(path) as store:
        assert store.agreement() == (25, 25)
        assert len(store.history()) == 50


def test_two_searches_that_make_the_index_at_once(tmp_path: Path) -> None:
    archive = make_owls(tmp_path / "results", 0.5, sites=2, windows=40)
    found: dict[int, object] = {}
    start = threading.Barrier(2)

    def search(number: int) -> None:
        with Results(archive.folder) as results:
            start.wait(60)
            finder = Finder(results)
            found[number] = finder.find(["site0/20231015_210000.wav@0-1"], count=5).to_pylist()

    threads = [threading.Thread(target=search, args=(n,)) for n in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(120)
    assert found[0] == found[1]
    with Results(archive.folder) as results:
        again = Finder(results).find(["site0/20231015_210000.wav@0-1"], count=5).to_pylist()
    assert again == found[0]
    assert len(again) == 5
