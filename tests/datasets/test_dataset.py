# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import pickle
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from oido.datasets.clip import Clip
from oido.datasets.dataset import Dataset, as_dataset
from oido.errors import OptionError


@pytest.fixture
def data() -> Dataset:
    return Dataset.from_clips(
        [
            Clip("a.wav", ("Owl",)),
            Clip("b.wav", ("Owl", "Wren")),
            Clip("c.wav"),
            Clip("d.wav", (), ("Wren",), complete=False),
            Clip("e.wav", ("Lark",), complete=False),
        ]
    )


def test_a_dataset_is_a_sequence_of_clips(data: Dataset) -> None:
    assert len(data) == 5
    assert [clip.path[0] for clip in data] == list("abcde")
    assert data[1].labels == ("Owl", "Wren")
    assert data[-1] in data
    assert [clip.path[0] for clip in data[1:3]] == ["b", "c"]
    assert [clip.path[0] for clip in data.subset([3, 0])] == ["d", "a"]
    assert data.subset([0]).classes == data.classes == ("Lark", "Owl", "Wren")
    assert data.multi_label
    assert data.subset([0]).multi_label


def test_targets_are_one_zero_or_unknown(data: Dataset) -> None:
    unknown = np.nan
    expected = [[0, 1, 0], [0, 1, 1], [0, 0, 0], [unknown, unknown, 0], [1, unknown, unknown]]
    assert data.targets().dtype == np.float32
    np.testing.assert_array_equal(data.targets(), expected)


def test_several_labels_can_be_declared() -> None:
    assert not Dataset.from_clips([Clip("a.wav", ("A",))]).multi_label
    assert Dataset.from_clips([Clip("a.wav", ("A",))], multi_label=True).multi_label


def test_datasets_travel_between_processes(data: Dataset) -> None:
    assert pickle.loads(pickle.dumps(data)) == data
    assert hash(data) == hash(Dataset.from_clips(data.clips))


def test_esc10_as_it_is_published(shared_audio: Path) -> None:
    data = Dataset.load(shared_audio / "esc10")
    assert len(data) == 400
    assert len(data.classes) == 10
    folds = data.folds()
    assert [{clip.fold for clip in fold.test} for fold in folds] == [{n} for n in "12345"]
    for fold in folds:
        assert len(fold.test) == 80
        assert {label for clip in fold.test for label in clip.labels} == set(data.classes)
        assert not {clip.group for clip in fold.train} & {clip.group for clip in fold.test}
    test = data.split().test
    assert len(test) == 80
    assert len({clip.fold for clip in test}) == 1


def test_esc10_split_anew(shared_audio: Path) -> None:
    data = Dataset.load(shared_audio / "esc10")
    for fold in data.folds(4, seed=1, keep_predefined=False):
        per_class = {name: sum(name in clip.labels for clip in fold.test) for name in data.classes}
        assert all(8 <= count <= 12 for count in per_class.values()), per_class
        assert not {clip.group for clip in fold.train} & {clip.group for clip in fold.test}


def test_names_of_esc10_tell_the_sources_that_its_table_gives(
    shared_audio: Path, tmp_path: Path
) -> None:
    data = Dataset.load(shared_audio / "esc10")
    for clip in data:
        folder = tmp_path / clip.labels[0]
        folder.mkdir(exist_ok=True)
        (folder / Path(clip.path).name).symlink_to(clip.path)
    by_name = {Path(clip.path).name: clip.group for clip in Dataset.load(tmp_path)}
    assert by_name == {Path(clip.path).name: clip.group for clip in data}


def test_three_events_with_its_few_sources(shared_audio: Path) -> None:
    data = Dataset.load(shared_audio / "three-events")
    assert data.classes == ("applause_clapping", "finger_snapping", "typing")
    train, test = data.split(seed=3)
    for part in (train, test):
        assert {label for clip in part for label in clip.labels} == set(data.classes)
    assert not {clip.group for clip in train} & {clip.group for clip in test}
    assert len(Dataset.from_folder(shared_audio / "three-events")) == len(data)


def test_reading_a_dataset_loads_no_model() -> None:
    code = "import sys, oido.datasets.dataset; print(*sorted(sys.modules))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    loaded = set(done.stdout.split())
    assert not loaded & {"ai_edge_litert", "pyarrow", "sklearn", "torch", "pandas"}


def test_background_is_every_recording_below_a_folder_without_an_event(tmp_path: Path) -> None:
    for name in ("owl/a.wav", "wren/b.wav", "else/rain.wav", "else/deep/a.wav", "else/notes.txt"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_bytes(name.encode())
    folder = tmp_path / "kinds"
    folder.mkdir()
    for name in ("owl", "wren"):
        (tmp_path / name).rename(folder / name)
    data = Dataset.from_folder(folder).with_background(tmp_path / "else")
    assert data.classes == ("owl", "wren")
    background = [clip for clip in data if clip.is_background]
    assert [Path(clip.path).name for clip in background] == ["rain.wav", "a.wav"]
    assert len({clip.group for clip in data}) == 4
    assert [Path(path).name for path in data.skipped] == ["notes.txt"]


def test_a_folder_without_recordings_is_no_background(data: Dataset, tmp_path: Path) -> None:
    with pytest.raises(OptionError, match="no recording in it"):
        data.with_background(tmp_path)


def test_labels_are_renamed_and_may_become_one() -> None:
    clips = [
        Clip("1.wav", ("meow", "purr")),
        Clip("2.wav", ("hiss",)),
        Clip("3.wav", (), ("purr",), complete=False),
        Clip("4.wav", ("bark",)),
    ]
    data = Dataset.from_clips(clips).relabel(
        {"meow": "Cat", "purr": "Cat", "hiss": "background", "none of these": "x"}
    )
    assert data.classes == ("Cat", "bark")
    assert not data.multi_label
    assert [clip.labels for clip in data] == [("Cat",), (), (), ("bark",)]
    assert data[1].is_background
    assert data[2].negatives == ("Cat",)
    assert [clip.group for clip in data] == [str(n) for n in (1, 2, 3, 4)]
    with pytest.raises(OptionError, match="is said to be heard and to be absent"):
        Dataset.from_clips([Clip("5.wav", ("a",), ("b",))]).relabel({"a": "c", "b": "c"})
    with pytest.raises(OptionError, match="none of the labels"):
        data.relabel({"meow": "Cat"})


def test_where_a_dataset_is_wanted_its_path_will_do(data: Dataset, tmp_path: Path) -> None:
    assert as_dataset(data) is data
    table = tmp_path / "clips.csv"
    table.write_text("file,label\na.wav,Owl\n")
    (tmp_path / "a.wav").touch()
    for path in (table, str(table), tmp_path):
        assert as_dataset(path).classes == ("Owl",)
    with pytest.raises(OptionError, match="not list; of clips of your own"):
        as_dataset([Clip("a.wav", ("Owl",))])  # type: ignore[arg-type]
    with pytest.raises(OptionError, match="no such folder"):
        as_dataset(tmp_path / "nothing")
