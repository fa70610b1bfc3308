# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

from pathlib import Path

import pytest

from oido.batch.sources import find_recordings
from oido.errors import OptionError


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    for name in ("b.wav", "a.FLAC", "notes.txt", "deep/er/c.mp3", ".hidden.wav", "._b.wav"):
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(b"x")
    return tmp_path


def test_a_folder_is_searched_to_the_bottom_in_order_of_names(tree: Path) -> None:
    found = find_recordings([str(tree)])
    assert [r.relative for r in found] == ["a.FLAC", "b.wav", str(Path("deep/er/c.mp3"))]
    assert [r.path for r in found] == [str(tree / r.relative) for r in found]


def test_a_file_named_outright_is_always_tried(tree: Path) -> None:
    assert [r.relative for r in find_recordings([str(tree / "notes.txt")])] == ["notes.txt"]


def test_each_recording_counts_once(tree: Path) -> None:
    found = find_recordings([str(tree / "b.wav"), str(tree), str(tree / "*.wav")])
    assert [Path(r.path).name for r in found] == ["b.wav", "a.FLAC", "c.mp3"]


def test_patterns_reach_into_folders(tree: Path) -> None:
    found = find_recordings([str(tree / "**" / "*.mp3")])
    assert [Path(r.path).name for r in found] == ["c.mp3"]


def test_a_missing_file_is_kept_to_fail_by_itself(tree: Path) -> None:
    assert [r.path for r in find_recordings(["nowhere.wav"])] == ["nowhere.wav"]


@pytest.mark.parametrize("name", ["deep/er/c.mp3", "empty", "*.nothing"])
def test_a_folder_or_pattern_without_recordings_is_told(tree: Path, name: str) -> None:
    (tree / "empty").mkdir()
    if name == "deep/er/c.mp3":
        (tree / name).unlink()
        name = "deep"
    with pytest.raises(OptionError, match=name.replace("*", r"\*")):
        find_recordings([str(tree / name)])


def test_a_file_with_pattern_signs_in_its_name_is_a_file(tmp_path: Path) -> None:
    path = tmp_path / "take [1].wav"
    path.write_bytes(b"x")
    assert [r.path for r in find_recordings([str(path)])] == [str(path)]


def test_standard_input_is_kept() -> None:
    assert [r.path for r in find_recordings(["-"])] == ["-"]
