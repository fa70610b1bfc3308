# SPDX-License-Identifier: Apache-2.0
"""What oido wrote may be replaced; what anybody else wrote, or has changed since, may not."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from oido.errors import OptionError, OutputError
from oido.writers.atomic import AtomicFile, keep_original
from oido.writers.written import WRITTEN_NAME, WrittenFiles


def write(folder: Path, name: str, text: str) -> Path:
    file = AtomicFile(folder / name)
    file.stream.write(text)
    file.commit(record=WrittenFiles(folder))
    return folder / name


def test_a_file_is_ours_as_long_as_it_is_what_was_written(tmp_path: Path) -> None:
    path = write(tmp_path, "a.txt", "one")
    assert WrittenFiles(tmp_path).is_ours(path)
    write(tmp_path, "a.txt", "two")
    assert WrittenFiles(tmp_path).is_ours(path)
    path.write_text("corrected by hand")
    assert not WrittenFiles(tmp_path).is_ours(path)
    assert not WrittenFiles(tmp_path).is_ours(tmp_path / "none")


def test_the_same_content_under_another_name_is_not_ours(tmp_path: Path) -> None:
    write(tmp_path, "a.txt", "one")
    (tmp_path / "b.txt").write_text("one")
    assert not WrittenFiles(tmp_path).is_ours(tmp_path / "b.txt")


def test_names_of_any_kind_are_kept(tmp_path: Path) -> None:
    name = os.fsdecode(b'caf\xe9 \n"x".txt')
    path = write(tmp_path, name, "one")
    assert WrittenFiles(tmp_path).is_ours(path)


def test_a_record_that_was_cut_off_still_counts_up_to_there(tmp_path: Path) -> None:
    first, second = write(tmp_path, "a.txt", "one"), write(tmp_path, "b.txt", "two")
    record = tmp_path / WRITTEN_NAME
    record.write_bytes(record.read_bytes()[:-30] + b"\n[1]\n7\n")
    assert WrittenFiles(tmp_path).is_ours(first)
    assert not WrittenFiles(tmp_path).is_ours(second)


def test_a_refusal_names_what_stands_there(tmp_path: Path) -> None:
    ours = write(tmp_path, "a.txt", "one")
    others = [tmp_path / f"{number}.txt" for number in range(6)]
    for path in others:
        path.write_text("mine")
    record = WrittenFiles(tmp_path)
    record.refuse_others([ours, tmp_path / "new.txt"], "overwritten")
    with pytest.raises(OptionError, match=r"3\.txt and 2 more would be overwritten"):
        record.refuse_others([ours, *others], "overwritten")


def test_a_folder_without_a_record_that_can_be_written_gets_no_file(tmp_path: Path) -> None:
    (tmp_path / WRITTEN_NAME).mkdir()
    with pytest.raises(OutputError, match=r"\.oido-written cannot be written"):
        write(tmp_path, "a.txt", "one")
    assert [path.name for path in tmp_path.iterdir()] == [WRITTEN_NAME]


@pytest.mark.parametrize("links", [True, False])
def test_a_new_name_is_never_taken_from_another(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, links: bool
) -> None:
    if not links:

        def link(*_: object) -> None:
            raise PermissionError(1, "Operation not permitted")

        monkeypatch.setattr(os, "link", link)
    first = AtomicFile(tmp_path / "a.txt")
    first.stream.write("one")
    first.commit_new()
    second = AtomicFile(tmp_path / "a.txt")
    second.stream.write("two")
    with pytest.raises(FileExistsError):
        second.commit_new()
    assert [path.name for path in tmp_path.iterdir()] == ["a.txt"]
    assert (tmp_path / "a.txt").read_text() == "one"


def test_what_was_kept_before_is_kept(tmp_path: Path) -> None:
    path = tmp_path / "m.tflite"
    for content in ("one", "two", "three"):
        path.write_text(content)
        keep_original(path)
    kept = {p.name: p.read_text() for p in tmp_path.iterdir() if p != path}
    assert kept == {"m.tflite.orig": "one", "m.tflite.orig2": "two", "m.tflite.orig3": "three"}
