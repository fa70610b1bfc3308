# SPDX-License-Identifier: Apache-2.0
"""What a user names, to recordings: files, folders, patterns, and entries of lists."""

from __future__ import annotations

import os
import unicodedata
from pathlib import Path
from typing import Any

import pytest

from oido.batch.sources import find_recordings, find_sources
from oido.batch.units import Source
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
    named = str(tree / "b.wav")
    found = find_recordings([named, named, str(tree), str(tree / "*.wav")])
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


def test_an_address_is_one_recording_whatever_signs_are_in_it() -> None:
    addresses = [
        "https://x.org/a/dawn.flac?token=[1]*",
        "HTTP://x.org/",
        "https://x.org/a/dawn.flac",
    ]
    found = find_recordings([*addresses, addresses[0]])
    assert [r.path for r in found] == addresses
    assert [r.relative for r in found] == ["dawn.flac", "recording", "dawn.flac"]


def test_a_file_with_pattern_signs_in_its_name_is_a_file(tmp_path: Path) -> None:
    path = tmp_path / "take [1].wav"
    path.write_bytes(b"x")
    assert [r.path for r in find_recordings([str(path)])] == [str(path)]


def test_a_folder_of_trash_alone_says_so(tmp_path: Path) -> None:
    (tmp_path / "card" / ".Trashes").mkdir(parents=True)
    (tmp_path / "card" / ".Trashes" / "a.wav").write_bytes(b"x")
    with pytest.raises(OptionError, match=r"no recordings .*; 1 folder was passed over .*Trashes"):
        find_recordings([str(tmp_path / "card")])


def test_a_folder_that_cannot_be_read_is_a_failure(
    tree: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whoever may read everything, as in a container, meets no such folder: hence the patch."""
    scandir = os.scandir

    def refuse(folder: str) -> object:
        if os.path.basename(folder) == "er":
            raise PermissionError(folder)
        return scandir(folder)

    monkeypatch.setattr(os, "scandir", refuse)
    found = find_recordings([str(tree)])
    assert [r.relative for r in found] == ["a.FLAC", "b.wav", str(Path("deep/er"))]


def test_standard_input_is_kept() -> None:
    assert [r.path for r in find_recordings(["-"])] == ["-"]


def test_a_source_is_known_again_by_place_size_and_time(tree: Path) -> None:
    (source,) = find_sources([str(tree / "b.wav")])
    assert (source.name, source.location, source.size) == (str(tree / "b.wav"),) * 2 + (1,)
    assert source.modified.endswith("+00:00")
    (again,) = find_sources([str(tree / "b.wav"), f"file://{tree / 'b.wav'}"])
    assert again == source
    (tree / "b.wav").write_bytes(b"xy")
    (changed,) = find_sources([str(tree / "b.wav")])
    assert changed.key != source.key


def test_an_archive_cannot_be_standard_input() -> None:
    with pytest.raises(OptionError, match="cannot hear standard input"):
        find_sources(["-"])


BRACKETS = ("20181101_000006_REC [-27.3866 152.8761].flac", "XC753250-2022_06_29[1]magpie.flac")


@pytest.fixture
def cards(tmp_path: Path) -> Path:
    """Names with the signs of patterns, and beside them what they would fit as patterns."""
    for name in (
        *BRACKETS,
        "XC753250-2022_06_291magpie.flac",
        "what.flac",
        "a [1]/b.wav",
        "a 1/c.wav",
    ):
        path = tmp_path / "rec" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(b"x")
    return tmp_path


def names(found: list[Source]) -> list[str]:
    return [Path(source.location).name for source in found]


def listed(folder: Path, *entries: str, name: str = "list.txt") -> list[Source]:
    (folder / name).write_text("\n".join(entries) + "\n", encoding="utf-8")
    return find_sources([str(folder / name)])


@pytest.mark.parametrize(
    "missing",
    [
        "rec/20181101_050000_REC [-27.3866 152.8761].flac",
        "rec/X[1].flac",
        "rec/wh?t.flac",
        "gone.wav",
    ],
)
def test_a_missing_entry_of_a_list_is_one_failed_recording_and_no_other_one(
    cards: Path, missing: str
) -> None:
    found = listed(cards, *(f"rec/{name}" for name in BRACKETS), missing, "rec/what.flac")
    assert names(found) == [*BRACKETS, Path(missing).name, "what.flac"]
    assert [source.size for source in found] == [1, 1, 0, 1]
    (cards / "rec" / BRACKETS[1]).unlink()  # as a pattern it would be the one beside it
    found = listed(cards, f"rec/{BRACKETS[1]}")
    assert [(source.location, source.size) for source in found] == [
        (str(cards / "rec" / BRACKETS[1]), 0)
    ]


def test_an_entry_that_holds_nothing_fails_alone(cards: Path) -> None:
    (cards / "empty").mkdir()
    found = listed(cards, "empty", "rec/*.nothing", "rec/what.flac")
    assert names(found) == ["empty", "*.nothing", "what.flac"]


def test_folders_with_brackets_are_themselves_in_a_pattern(cards: Path) -> None:
    found = find_recordings([str(cards / "rec" / "a [1]" / "*.wav")])
    assert [Path(r.path).name for r in found] == ["b.wav"]
    assert names(listed(cards, "rec/a [1]/*.wav", "rec/a [1]")) == ["b.wav"]


def test_a_missing_recording_with_brackets_does_not_end_a_run(cards: Path) -> None:
    path = str(cards / "REC [-27.3866 152.8761].flac")
    assert [r.path for r in find_recordings([path])] == [path]
    assert len(find_recordings([str(cards / "rec" / "wh[a-z]t.flac")])) == 1


def test_names_in_another_form_or_case_are_found_and_told(tmp_path: Path) -> None:
    there = unicodedata.normalize("NFD", "mañana.wav")
    for name in (there, "DAWN.WAV"):
        (tmp_path / name).write_bytes(b"x")
    (tmp_path / "l.txt").write_text("mañana.wav\ndawn.wav\n", encoding="utf-8")
    told: list[str] = []
    found = find_sources([str(tmp_path / "l.txt")], told.append)
    assert names(found) == [there, "DAWN.WAV"]
    assert [text.split(":")[0] for text in told] == [
        "2 names were found in another Unicode form or letter case"
    ]
    assert [r.path for r in find_recordings([str(tmp_path / "dawn.wav")])] == [
        str(tmp_path / "DAWN.WAV")
    ]


def test_trash_is_passed_over_links_are_followed_once_and_both_are_told(tree: Path) -> None:
    for name in (".Trash-1000/files/t.wav", "$RECYCLE.BIN/t.wav", "__MACOSX/t.wav"):
        (tree / name).parent.mkdir(parents=True)
        (tree / name).write_bytes(b"x")
    (tree / "deep" / "again").symlink_to(tree, target_is_directory=True)
    (tree / "z.wav").symlink_to(tree / "b.wav")
    told: list[str] = []
    found = find_recordings([str(tree), str(tree / "z.wav")], told.append)
    assert [Path(r.path).name for r in found] == ["a.FLAC", "b.wav", "c.mp3"]
    assert told[0].startswith("3 folders were passed over (hidden, trash or another program's): ")
    assert told[1].startswith("3 paths lead to what is there by another, and count once: ")
    assert len(find_sources([str(tree), str(tree / "z.wav")])) == 3
    assert [Path(r.path).name for r in find_recordings([str(tree / "**" / "*.wav")])] == ["b.wav"]


@pytest.mark.parametrize(
    "named", ["rec [1]/*.wav", "rec [1]", "rec [1]/TAKE [2].wav", "rec [1]/take [2].wav"]
)
def test_names_are_names_in_a_store_too(named: str) -> None:
    import fsspec

    store = fsspec.filesystem("memory")
    for name in ("rec [1]/take [2].wav", "rec 1/take 2.wav", "rec [1]/.Trash/x.wav"):
        store.pipe_file(f"/names/{name}", b"x")
    try:
        found = find_sources([f"memory://names/{named}"])
        assert [s.location for s in found] == ["memory://names/rec [1]/take [2].wav"]
        store.pipe_file("/names/l.txt", b"rec [1]/gone [2].wav\nrec [1]/*.none\nrec 1/take 2.wav\n")
        found = find_sources(["memory://names/l.txt"])
        assert [(s.location.rpartition("/")[2], s.size) for s in found] == [
            ("gone [2].wav", 0),
            ("*.none", 0),
            ("take 2.wav", 1),
        ]
    finally:
        store.rm("/names", recursive=True)


@pytest.mark.skipif(not hasattr(os, "link"), reason="hard links")
def test_one_recording_by_two_hard_links_is_heard_once_and_told(tree: Path) -> None:
    os.link(tree / "b.wav", tree / "deep" / "copy.wav")
    os.link(tree / "a.FLAC", tree / "named.flac")
    said: list[str] = []
    found = find_recordings([str(tree)], said.append)
    assert [r.relative for r in found] == ["a.FLAC", "b.wav", str(Path("deep/er/c.mp3"))]
    assert "2 paths lead to what is there by another, and count once" in said[0]
    named = find_recordings([str(tree / "named.flac"), str(tree / "a.FLAC"), str(tree)])
    assert [os.path.basename(r.path) for r in named] == ["named.flac", "b.wav", "c.mp3"]
    (tree / "list.txt").write_text("deep/copy.wav\nb.wav\n", "utf-8")
    listed = find_sources([str(tree / "list.txt")])
    assert [os.path.basename(source.location) for source in listed] == ["copy.wav"]
