# SPDX-License-Identifier: Apache-2.0
"""What a user names, to recordings: files, folders, patterns, and lists of them."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import pytest

from oido.batch.sources import find_recordings, find_sources
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


def test_a_folder_that_may_not_be_read_fails_by_itself(
    tree: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It is one that cannot be heard, rather than nothing at all."""
    before = [recording.path for recording in find_recordings([str(tree)])]
    (tree / "secret").mkdir()
    listed = os.scandir

    def scandir(path: Any) -> Any:
        if str(path).endswith("secret"):
            raise PermissionError(13, "Permission denied", str(path))
        return listed(path)

    monkeypatch.setattr(os, "scandir", scandir)
    found = [recording.path for recording in find_recordings([str(tree)])]
    assert sorted(found) == sorted([*before, str(tree / "secret")])
    (only,) = find_recordings([str(tree / "secret")])
    assert only.path == str(tree / "secret")


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


def test_names_are_those_of_the_user_and_lists_may_be_of_any_kind(
    archive: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import pyarrow as pa
    import pyarrow.parquet as pq

    monkeypatch.chdir(tmp_path)
    (tmp_path / "a.csv").write_text("id,file\n1,in/0.wav\n2,in/1.wav\n")
    pq.write_table(pa.table({"path": ["in/1.wav", "in/2.wav"]}), tmp_path / "b.parquet")
    (tmp_path / "c.txt").write_text("# mine\n\nin/4.wav\n")
    found = find_sources(["a.csv", "b.parquet", "c.txt", "in/0.wav"])
    assert [s.name for s in found] == ["in/0.wav", "in/1.wav", "in/2.wav", "in/4.wav"]
    (tmp_path / "d.csv").write_text("name\nx\n")
    with pytest.raises(OptionError, match="no column named file or path"):
        find_sources(["d.csv"])


def test_a_source_is_known_again_by_place_size_and_time(tree: Path) -> None:
    (source,) = find_sources([str(tree / "b.wav")])
    assert (source.name, source.location, source.size) == (str(tree / "b.wav"),) * 2 + (1,)
    assert source.modified.endswith("+00:00")
    (again,) = find_sources([str(tree / "b.wav"), f"file://{tree / 'b.wav'}"])
    assert again == source
    (tree / "b.wav").write_bytes(b"xy")
    (changed,) = find_sources([str(tree / "b.wav")])
    assert changed.key != source.key


def test_an_address_of_a_file_may_stand_in_a_list_and_name_one(tree: Path, tmp_path: Path) -> None:
    listed = tmp_path / "list.txt"
    listed.write_text(f"file://{tree / 'b.wav'}\n{tree / 'a.FLAC'}\n")
    for path in (str(listed), f"file://{listed}"):
        assert [s.location for s in find_sources([path])] == [
            str(tree / "b.wav"),
            str(tree / "a.FLAC"),
        ]


@pytest.mark.parametrize(
    ("name", "content", "told"),
    [
        ("a.txt", b"# nothing\n\n", "this list is empty"),
        ("a.csv", b"file\n", "this list is empty"),
        ("a.csv", b"", "has no column named file or path"),
        ("a.txt", b"caf\xe9.wav\n", "this list cannot be read"),
        ("a.parquet", b"no parquet", "this list cannot be read"),
        ("b.txt", None, "no such list"),
    ],
)
def test_a_list_that_names_nothing_is_one_sentence(
    tmp_path: Path, name: str, content: bytes | None, told: str
) -> None:
    if content is not None:
        (tmp_path / name).write_bytes(content)
    with pytest.raises(OptionError, match=told) as raised:
        find_sources([str(tmp_path / name)])
    assert str(tmp_path / name) in str(raised.value)


def test_an_archive_cannot_be_standard_input() -> None:
    with pytest.raises(OptionError, match="cannot hear standard input"):
        find_sources(["-"])
