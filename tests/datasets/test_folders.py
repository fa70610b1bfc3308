# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from oido.datasets.dataset import Dataset
from oido.errors import OptionError
from tests.datasets.recordings import record, record_all


def names(data: Dataset, root: Path) -> list[str]:
    return [Path(clip.path).relative_to(root).as_posix() for clip in data]


def test_each_folder_is_a_class(tmp_path: Path) -> None:
    record_all(tmp_path, "owl/b.wav", "owl/a.WAV", "wren/c.wav", "Noise/d.wav", "-owl/e.wav")
    data = Dataset.from_folder(tmp_path)
    found = names(data, tmp_path)
    assert found == ["-owl/e.wav", "Noise/d.wav", "owl/a.WAV", "owl/b.wav", "wren/c.wav"]
    assert [clip.labels for clip in data] == [(), (), ("owl",), ("owl",), ("wren",)]
    assert [clip.negatives for clip in data] == [("owl",), (), (), (), ()]
    assert data.classes == ("owl", "wren")
    assert not data.multi_label


def test_a_comma_makes_two_classes_and_a_comma_with_a_space_does_not(tmp_path: Path) -> None:
    record_all(tmp_path, "owl,wren/a.wav", "Smoke detector, smoke alarm/b.wav")
    data = Dataset.from_folder(tmp_path)
    assert data.classes == ("Smoke detector, smoke alarm", "owl", "wren")
    assert data.multi_label


def test_deeper_folders_belong_to_the_class(tmp_path: Path) -> None:
    record_all(tmp_path, "owl/2024/may/a.wav", "wren/b.wav")
    assert [clip.labels for clip in Dataset.from_folder(tmp_path)] == [("owl",), ("wren",)]


def test_folders_of_train_and_test_are_folds(tmp_path: Path) -> None:
    record_all(tmp_path, "Train/owl/a.wav", "Train/wren/b.wav", "test/owl/c.wav")
    data = Dataset.from_folder(tmp_path)
    assert [(c.fold, c.labels) for c in data] == [
        ("train", ("owl",)),
        ("train", ("wren",)),
        ("test", ("owl",)),
    ]


def test_what_is_no_recording_is_told_and_what_is_hidden_is_not(tmp_path: Path) -> None:
    record_all(tmp_path, "owl/a.wav", "owl/._a.wav", ".git/b.wav", "loose.wav", ".loose.wav")
    (tmp_path / "owl" / "notes.txt").write_text("seen at dusk")
    (tmp_path / "LICENSE").write_text("free")
    (tmp_path / "wren").mkdir()
    data = Dataset.from_folder(tmp_path)
    assert names(data, tmp_path) == ["owl/a.wav"]
    assert [Path(path).name for path in data.skipped] == ["notes.txt", "LICENSE"]
    assert [(Path(name).name, reason) for name, reason in data.left_out] == [
        ("wren", "no recording in it"),
        ("loose.wav", "stands in no folder of a class"),
    ]


def test_a_folder_of_a_class_may_be_a_link(tmp_path: Path) -> None:
    record(tmp_path / "elsewhere" / "a.wav")
    (tmp_path / "birds").mkdir()
    (tmp_path / "birds" / "owl").symlink_to(tmp_path / "elsewhere", target_is_directory=True)
    assert Dataset.from_folder(tmp_path / "birds").classes == ("owl",)


def test_copies_are_one_group(tmp_path: Path) -> None:
    record_all(tmp_path, "owl/a.wav", "owl/b.wav", "wren/c.wav")
    shutil.copy(tmp_path / "owl" / "a.wav", tmp_path / "wren" / "z.wav")
    data = Dataset.from_folder(tmp_path)
    groups = {Path(clip.path).name: clip.group for clip in data}
    assert groups["a.wav"] == groups["z.wav"]
    assert len(set(groups.values())) == 3
    assert [[Path(p).name for p in paths] for paths in data.duplicates] == [["a.wav", "z.wav"]]


@pytest.mark.parametrize(
    ("files", "message"),
    [
        ([], "no folder in it holds a recording: make a folder for each class"),
        (["owl/notes.txt"], "no folder in it holds a recording"),
        (["a.wav", "b.wav"], "its 2 recordings stand in no folder of a class"),
    ],
)
def test_folders_without_classes_are_refused(
    tmp_path: Path, files: list[str], message: str
) -> None:
    record_all(tmp_path, *files)
    with pytest.raises(OptionError, match=message):
        Dataset.from_folder(tmp_path)


def test_a_bad_label_is_told_with_its_folder(tmp_path: Path) -> None:
    record(tmp_path / "owl\nwren" / "a.wav")
    with pytest.raises(OptionError, match=r"'owl\\nwren' has a newline in it"):
        Dataset.from_folder(tmp_path)


def test_a_folder_that_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(OptionError, match="birds: no such folder"):
        Dataset.from_folder(tmp_path / "birds")
    file = record(tmp_path / "a.wav")
    with pytest.raises(OptionError, match=r"a\.wav: is a file, not a folder"):
        Dataset.from_folder(file)


LEFT_BEHIND = ("__MACOSX", ".Trash-1000", "$RECYCLE.BIN", ".git", "@eaDir", "lost+found")


@pytest.mark.parametrize("left_behind", LEFT_BEHIND)
def test_what_other_programs_left_changes_no_meaning(tmp_path: Path, left_behind: str) -> None:
    record_all(tmp_path / "parts", "train/owl/a.wav", "test/owl/b.wav", "train/wren/c.wav")
    record_all(tmp_path / "classes", "owl/a.wav", "wren/b.wav")
    record_all(tmp_path / "tracks", "a.wav", "b.wav")
    for name in "ab":
        (tmp_path / "tracks" / f"{name}.txt").write_text("0.1\t0.2\towl\n")
    before = {}
    for kind in ("parts", "classes", "tracks"):
        data = Dataset.load(tmp_path / kind)
        before[kind] = data.clips, data.classes
        assert not data.notes
        for below in ("owl", "train/owl", ""):
            record(tmp_path / kind / left_behind / below / "._x.wav")
            record(tmp_path / kind / left_behind / below / "y.wav")
        data = Dataset.load(tmp_path / kind)
        assert (data.clips, data.classes) == before[kind]
        (note,) = data.notes
        assert note.startswith("1 folder was passed over")
        assert str(tmp_path / kind / left_behind) in note
        assert note in str(data.check())
        assert note in data.with_background(tmp_path / "classes" / "wren").notes


def test_links_are_followed_once_and_loops_end(tmp_path: Path) -> None:
    record_all(tmp_path, "in/owl/a.wav", "in/wren/b.wav", "elsewhere/c.wav")
    links = {"in/again": "in", "in/copy": "in/owl", "in/lark": "elsewhere"}
    links |= {"in/owl/up": "in", "in/owl/more": "elsewhere"}
    for link, target in links.items():
        (tmp_path / link).symlink_to(tmp_path / target, target_is_directory=True)
    (tmp_path / "in" / "owl" / "same.wav").symlink_to("a.wav")
    data = Dataset.from_folder(tmp_path / "in")
    assert data.classes == ("lark", "owl", "wren")
    assert names(data, tmp_path / "in") == [
        "lark/c.wav",
        "owl/a.wav",
        "owl/more/c.wav",
        "wren/b.wav",
    ]
    assert [note.split(":")[0] for note in data.notes] == [
        "4 paths lead to what is there by another, and count once"
    ]


def test_folders_in_the_folder_of_a_class_are_no_classes_and_this_is_noted(tmp_path: Path) -> None:
    record_all(tmp_path, "pets/cat/1.wav", "pets/dog/1.wav", "cars/a/1.wav", "cars/2.wav")
    data = Dataset.from_folder(tmp_path)
    assert data.classes == ("cars", "pets")
    (note,) = data.notes
    assert note.startswith("pets is one class, whatever its folders (cat, dog)")
    assert Dataset.from_folder(tmp_path / "pets").classes == ("cat", "dog")
