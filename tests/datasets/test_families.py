# SPDX-License-Identifier: Apache-2.0
"""Sources guessed from families of names: what is joined, what is not, and what is said of it."""

from __future__ import annotations

from pathlib import Path

import pytest

from oido.cli.main import run
from oido.datasets.dataset import Dataset
from oido.datasets.families import family_of


@pytest.mark.parametrize(
    ("names", "family"),
    [
        ("rex-1 rex-2 rex_003 rex_a rex-B REX-4 rex1 rex02 rex.5 rex", "rex"),
        ("rex (1)|rex (12)|rex - Copy|rex - Copy (2)|rex copy|rex_copia", "rex"),
        ("rex take 3|rex_take3|rex-part-02|rex_chunk_001|rex-clip-4", "rex"),
        ("rex-hard rex-softest rex_left rex-Right", "rex"),
        ("dog/rex-1 dog/rex (2)", "dog/rex"),
        ("0a7c2a8d_nohash_0 0a7c2a8d_nohash_1", "0a7c2a8d_nohash"),
        ("clip-1 clip-40", "clip"),
        ("dawn_20260401_1", "dawn_20260401"),
    ],
)
def test_a_family_of_names(names: str, family: str) -> None:
    found = names.split("|") if "|" in names else names.replace("rex (2)", "rex_(2)").split()
    assert {family_of(name.replace("_(", " (")) for name in found} == {family}


@pytest.mark.parametrize(
    "name",
    [
        "20260401_053000",
        "rec_2026-04-01_05-30-12",
        "2026-04-01 05.30.12",
        "garden_20260401",
        "xc123456",
        "dog_12345",
        "12",
        "(3)",
        "garden wren",
        "hand_clap",
    ],
)
def test_names_that_are_their_own(name: str) -> None:
    assert family_of(name) == name


def _folder(root: Path, names: dict[str, str]) -> Path:
    for label, files in names.items():
        for number, name in enumerate(files.split("|")):
            path = root / label / f"{name}.wav"
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(f"{label} {name} {number}".encode())  # nobody decodes it here
    return root


def _sources(data: Dataset) -> dict[str, int]:
    labels = {", ".join(clip.labels) for clip in data}
    return {name: len({c.group for c in data if ", ".join(c.labels) == name}) for name in labels}


TAKES = "rex-1|rex-2|rex_a|rex (1)|rex|ben1|ben2|ben - Copy|max|XC123456|XC123457"
NUMBERED = "|".join(f"clip-{n}" for n in range(1, 41))


def test_takes_of_one_recording_are_one_source_and_are_noted(tmp_path: Path) -> None:
    data = Dataset.load(_folder(tmp_path, {"dog": TAKES, "cat": "a tom|b tom|c tom"}))
    assert _sources(data) == {"dog": 5, "cat": 3}
    (note,) = data.notes
    assert "8 recordings are taken for parts of 2 sources" in note
    assert "--each-is-a-source" in note
    for split in data.folds(3):
        assert not {c.group for c in split.train} & {c.group for c in split.test}


def test_each_file_is_a_source_if_so_wanted(tmp_path: Path) -> None:
    data = Dataset.load(_folder(tmp_path, {"dog": TAKES, "cat": "tom-1"}), each_is_a_source=True)
    assert _sources(data) == {"dog": 11, "cat": 1}
    assert not data.notes


def test_a_numbering_is_no_source(tmp_path: Path) -> None:
    """One source of a class could not be split; two hardly."""
    data = Dataset.load(_folder(tmp_path, {"dog": NUMBERED, "cat": f"{NUMBERED}|tom"}))
    assert _sources(data) == {"dog": 40, "cat": 41}
    (note,) = data.notes
    assert "'cat', 'dog' are numbered (clip-1 …)" in note
    assert len(data.folds(5)) == 5


def test_each_class_is_asked_by_itself(tmp_path: Path) -> None:
    data = Dataset.load(_folder(tmp_path, {"dog": NUMBERED, "cat": "tom-1|tom-2|kit-1|kit-2|lou"}))
    assert _sources(data) == {"dog": 40, "cat": 3}
    assert len(data.notes) == 2


def test_names_that_show_their_source_keep_it(tmp_path: Path) -> None:
    names = "|".join(f"{f}-10{n}-{take}" for f in "12" for n in range(3) for take in "AB")
    data = Dataset.load(_folder(tmp_path, {"dog": names, "cat": names.replace("-10", "-20")}))
    assert _sources(data) == {"dog": 6, "cat": 6}
    assert {clip.group for clip in data} >= {"1-100", "2-202"}
    assert not data.notes


def test_parts_of_the_owner_are_not_reached_across(tmp_path: Path) -> None:
    files = "rex-1|rex-2|ben-1|max-1"
    _folder(tmp_path / "train", {"dog": files, "cat": files})
    _folder(tmp_path / "test", {"dog": "rex-3|rex-4|lou|kim", "cat": "x|y|z"})
    data = Dataset.load(tmp_path)
    of_rex = {clip.fold: clip.group for clip in data if "dog/rex" in clip.path}
    assert len(set(of_rex.values())) == 2
    assert not {c.group for c in data if c.fold == "train"} & {
        c.group for c in data if c.fold == "test"
    }


def test_background_has_families_too(tmp_path: Path) -> None:
    data = Dataset.load(_folder(tmp_path / "data", {"dog": "a dog|b dog", "cat": "a cat|b cat"}))
    _folder(tmp_path / "else", {"street": "bus-1|bus-2|car|tram"})
    joined = data.with_background(tmp_path / "else")
    assert _sources(joined)[""] == 3
    assert "2 recordings are taken for parts of one source" in joined.notes[-1]
    alone = data.with_background(tmp_path / "else", each_is_a_source=True)
    assert _sources(alone)[""] == 4


@pytest.mark.parametrize(
    ("header", "cells", "count"),
    [
        ("file,label", "", 3),
        ("file,label,group", ",", 3),  # a column that says nothing
        ("file,label,group", ",own", 1),
        ("file,label,start_time,end_time", ",0,1", 4),  # regions of whole recordings
    ],
)
def test_tables_without_groups(tmp_path: Path, header: str, cells: str, count: int) -> None:
    _folder(tmp_path, {"sounds": "rex-1|rex-2|ben|max"})
    rows = [f"sounds/{name}.wav,dog{cells}" for name in ("rex-1", "rex-2", "ben", "max")]
    table = tmp_path / "clips.csv"
    table.write_text("\n".join([header, *rows]), "utf-8")
    assert _sources(Dataset.load(table)) == {"dog": count}
    if "group" not in header and "start" not in header:
        assert _sources(Dataset.load(table, each_is_a_source=True)) == {"dog": 4}


def test_the_check_says_it_in_a_line(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    folder = _folder(tmp_path, {"dog": TAKES, "cat": "a|b|c"})
    assert run(["train", str(folder), "--check"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert [line for line in lines if "by their names, 8 recordings" in line]
    assert run(["train", str(folder), "--check", "--each-is-a-source"]) == 0
    assert "by their names" not in capsys.readouterr().out
