# SPDX-License-Identifier: Apache-2.0
"""Search by example in archives: what is near, one hit a place, and never the example itself."""

from __future__ import annotations

import shutil
import sys
import zlib
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile

from oido.batch.units import SEARCH_INDEX
from oido.errors import OptionError
from oido.results import Results, find
from oido.results.example_spans import ExampleSpan
from oido.results.find import Finder
from oido.search import label_words
from tests.results.results_folders import FolderMaker, event, recording

HOP, WINDOW = 0.48, 0.975
EXAMPLES = Path(__file__).parents[2] / "examples"


def vector(group: int, seed: int) -> list[float]:
    """A vector of a group, with some noise."""
    values = np.full(16, 2.0)
    values[group] += 4
    return (values + 0.2 * np.random.default_rng(seed).standard_normal(16)).tolist()


def windows(file: str, groups: str, channel: int | None = None) -> list[dict[str, Any]]:
    """A row of embeddings for each letter: a is group 0, b is 1, …"""
    rows = []
    for n, letter in enumerate(groups):
        seed = zlib.crc32(f"{file} {n}".encode())
        place = {"file": file, "channel": channel, "start_time": n * HOP}
        rows.append(
            {**place, "end_time": n * HOP + WINDOW, "embedding": vector(ord(letter) - 97, seed)}
        )
    return rows


@pytest.fixture
def folder(tmp_path: Path) -> FolderMaker:
    maker = FolderMaker(tmp_path / "results")
    rows = windows(FIRST, "ccaaccccaccc") + windows("n/b.wav", "ddddddad")
    recordings = [recording(FIRST, 6.2), recording("n/b.wav", 4.4)]
    label = {**event(FIRST, 2 * HOP, 2 * HOP + WINDOW, "Owl", 0.8), "label_index": 4}
    maker.commit({"recordings": recordings, "embeddings": rows, "windows": [label]})
    maker.commit({"embeddings": windows("c.wav", "eea"), "recordings": [recording("c.wav", 2.0)]})
    return maker


def found(maker: FolderMaker, *like: str, **options: Any) -> list[tuple[str, int]]:
    """File and number of the window of each hit, best first."""
    with Results(str(maker.folder)) as results:
        table = Finder(results).find(like, **options)
    assert table.column_names[:5] == ["file", "channel", "start_time", "end_time", "similarity"]
    values = table["similarity"].to_pylist()
    assert all(type(value) is float for value in values), "no decimals, which JSON does not know"
    assert values == sorted(values, reverse=True)
    starts = [round(start / HOP) for start in table["start_time"].to_pylist()]
    return list(zip(table["file"].to_pylist(), starts))


FIRST = "20231015_063000.wav"


def test_a_span_of_the_archive_finds_its_like_and_not_itself(folder: FolderMaker) -> None:
    hits = found(folder, f"{FIRST}@{8 * HOP}-{8 * HOP + WINDOW}", count=3)
    (other,) = {*hits} - {("n/b.wav", 6), ("c.wav", 2)}
    assert other in ((FIRST, 2), (FIRST, 3)), "its neighbours are no hit, and nor is window 8"


def test_one_example_may_come_as_it_is(folder: FolderMaker) -> None:
    like = f"c.wav@{2 * HOP}-9"
    with Results(str(folder.folder)) as results:
        finder = Finder(results)
        assert finder.find(like, like).equals(finder.find([like], [like]))


def test_neighbours_are_one_hit(folder: FolderMaker) -> None:
    hits = found(folder, f"c.wav@{2 * HOP}-9", count=3)
    assert len({(FIRST, 2), (FIRST, 3)} & {*hits}) == 1
    assert {(FIRST, 8), ("n/b.wav", 6)} < {*hits}


def test_conditions(folder: FolderMaker) -> None:
    like = f"c.wav@{2 * HOP}-9"
    hits = found(folder, like, count=3, where="file like 'n/%'")
    assert {file for file, _ in hits} == {"n/b.wav"}
    assert hits[0] == ("n/b.wav", 6)
    late = "hour(start_at) = 6 and start_time > 3 -- a comment"
    assert found(folder, like, count=1, where=late) == [(FIRST, 8)]
    assert found(folder, like, count=5, where="false") == []
    with pytest.raises(OptionError, match="site"):
        found(folder, like, where="site = 'A'")


def test_what_it_is_not(folder: FolderMaker) -> None:
    both = (f"c.wav@{2 * HOP}-9", f"n/b.wav@0-{WINDOW}")
    groups = "ccaaccccaccc", "ddddddad"
    assert any(groups[1][n] == "d" for file, n in found(folder, *both, count=5) if file != FIRST)
    hits = found(folder, *both, unlike=[f"n/b.wav@{3 * HOP}-{3 * HOP + WINDOW}"], count=3)
    assert ("n/b.wav", 6) in hits
    assert (FIRST, 8) in hits
    assert len({(FIRST, 2), (FIRST, 3)} & {*hits}) == 1


@pytest.mark.parametrize("name", ["Owl", "owl", "Búho, lechuza"])
def test_a_label_stands_for_its_best_windows(folder: FolderMaker, name: str) -> None:
    assert {*found(folder, texts=[name], count=4)} == {
        (FIRST, 2),
        (FIRST, 8),
        ("n/b.wav", 6),
        ("c.wav", 2),
    }
    with pytest.raises(OptionError, match="--like"):
        found(folder, texts=["Dog"])


def test_words_stand_for_labels_that_mean_about_the_same(
    folder: FolderMaker, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[tuple[str, list[str]]] = []

    def labels_for_words(words: str, labels: list[str]) -> tuple[str, ...]:
        asked.append((words, labels))
        return ("Owl",) if words == "bird of the night" else ()

    monkeypatch.setattr(find, "labels_for_words", labels_for_words)
    by_name = found(folder, texts=["Owl"], count=4)
    assert asked == [], "a name needs no meaning"
    assert found(folder, texts=["bird of the night"], count=4) == by_name
    assert asked[0] == ("bird of the night", ["Owl"])
    with pytest.raises(OptionError, match="'invoice'"):
        found(folder, texts=["invoice"])


def test_without_the_extra_words_are_refused_with_a_hint(
    folder: FolderMaker, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "wordllama", None)
    label_words._model.cache_clear()
    with pytest.raises(OptionError, match=r"oido\[words\]"):
        found(folder, texts=["bird of the night"])


def test_vectors_of_another_model_of_texts(folder: FolderMaker) -> None:
    like_a = np.full(16, 2.0)
    like_a[0] += 4
    hits = {*found(folder, vectors=[like_a], count=4)}
    assert {(FIRST, 8), ("n/b.wav", 6), ("c.wav", 2)} < hits
    assert len(hits & {(FIRST, 2), (FIRST, 3)}) == 1, "neighbours are one hit"
    for wrong in (like_a[:8], np.full(16, np.nan)):
        with pytest.raises(OptionError, match="16 finite numbers"):
            found(folder, vectors=[wrong])


def test_the_index_follows_the_archive(folder: FolderMaker) -> None:
    like = f"c.wav@{2 * HOP}-9"
    assert ("new.wav", 1) not in found(folder, like, count=9)
    folder.commit(
        {"embeddings": windows("new.wav", "bab"), "recordings": [recording("new.wav", 2)]}
    )
    assert ("new.wav", 1) in found(folder, like, count=9)
    folder.commit({}, remove=["embeddings/00000003.parquet"])
    assert ("new.wav", 1) not in found(folder, like, count=9)
    shutil.rmtree(folder.folder / SEARCH_INDEX)
    assert ("n/b.wav", 6) in found(folder, like, count=9)


@pytest.mark.parametrize("at", ["3.84", "4.2", "0:04.79"])
def test_an_event_of_the_archive_is_an_example(folder: FolderMaker, at: str) -> None:
    span = (8 * HOP, 8 * HOP + WINDOW)
    events = [
        event("n/b.wav", 0.0, 1.0, "Owl", 0.9),
        event(FIRST, *span, "Owl", 0.8),
        event(FIRST, 0.0, 6.0, "Wind", 0.5),  # less sure, and so not meant
    ]
    folder.commit({"events": events})
    hits = found(folder, events=[f"{FIRST}@{at}"], count=3)
    assert hits == found(folder, f"{FIRST}@{span[0]}-{span[1]}", count=3)
    assert hits != found(folder, events=f"{FIRST}@1", count=3)


def test_an_event_that_is_not_there_is_said(folder: FolderMaker) -> None:
    folder.commit({"events": [event(FIRST, 1.0, 2.0, "Owl", 0.8)]})
    for text, message in (
        (f"{FIRST}@5", "no event at 5 s"),
        ("other.wav@1", "no such recording in the archive"),
        (FIRST, "named by its recording and a time in it"),
        (f"{FIRST}@1-2", "no such recording|named by"),
    ):
        with pytest.raises(OptionError, match=message):
            found(folder, events=[text])


def test_what_cannot_be_searched_is_said(folder: FolderMaker, tmp_path: Path) -> None:
    for words, message in (
        ([], "--like"),
        (["nothing.wav"], "neither here nor in the archive"),
        (["c.wav@3-2"], "ends after it begins"),
        (["c.wav@100-101"], "no window"),
    ):
        with pytest.raises(OptionError, match=message):
            found(folder, *words)
    with pytest.raises(OptionError, match="at least 1"):
        found(folder, "c.wav", count=0)
    bare = FolderMaker(tmp_path / "bare")
    bare.commit({"recordings": [recording("a.wav", 3.0)]})
    with pytest.raises(OptionError, match="--embeddings"):
        found(bare, "a.wav")


@pytest.mark.parametrize(
    ("text", "span"),
    [
        ("a.wav", ExampleSpan("a.wav")),
        ("a@b.wav", ExampleSpan("a@b.wav")),
        ("a.wav@12.5-14", ExampleSpan("a.wav", 12.5, 14.0)),
        ("s3://b/a.wav@1:02:12-1:02:14.5", ExampleSpan("s3://b/a.wav", 3732.0, 3734.5)),
        ("a@1-2.wav@3-4", ExampleSpan("a@1-2.wav", 3.0, 4.0)),
    ],
)
def test_spans(text: str, span: ExampleSpan) -> None:
    assert ExampleSpan.of(text) == span


def test_a_file_whose_name_looks_like_a_span_is_a_file(tmp_path: Path) -> None:
    path = tmp_path / "a.wav@1-2"
    path.write_bytes(b"")
    assert ExampleSpan.of(str(path)) == ExampleSpan(str(path))


def test_real_sounds(heard: Path, tmp_path: Path) -> None:
    """A stretch of the alarm, as a file of its own at another rate, is found in the alarm."""
    wave, rate = soundfile.read(EXAMPLES / "alarm.flac", dtype="float32")
    assert rate in (16_000, 44_100, 48_000)
    clip = tmp_path / "clip.wav"
    soundfile.write(clip, wave[rate : 3 * rate], rate)
    with Results(str(heard)) as results:
        table = Finder(results, tmp_path / "index").find([str(clip)], count=3)
        again = Finder(results, tmp_path / "index").find(
            [str(heard.parent / "recordings" / "north" / "20231015_120000.flac") + "@1-3"], count=50
        )
    first = table.slice(0, 1).to_pylist()[0]
    assert first["file"].endswith("20231015_120000.flac")
    assert first["similarity"] > 0.9
    inside = [
        row
        for row in again.to_pylist()
        if row["file"].endswith("20231015_120000.flac")
        and row["start_time"] < 3
        and row["end_time"] > 1
    ]
    assert not inside, "the example itself is no hit"
