# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import csv
import json
import shutil
from pathlib import Path

import numpy as np
import pytest

from oido.datasets.clip import Clip
from oido.datasets.dataset import Dataset
from oido.datasets.waveforms import probe
from oido.errors import OptionError
from tests.datasets.recordings import RATE_HZ, record, record_all
from tests.signal.decode.wav_bytes import wav
from tests.signal.sounds import noise


@pytest.fixture
def birds(tmp_path: Path) -> Path:
    """Five owls, of which two are one; two wrens, of which one is an owl; and what else happens."""
    record_all(tmp_path, *(f"owl/{n}.wav" for n in range(4)), seconds=3.0)
    record_all(tmp_path, "wren/a.wav", "noise/n.wav", "-owl/x.wav", seconds=6.0)
    shutil.copy(tmp_path / "owl" / "0.wav", tmp_path / "owl" / "again.wav")
    shutil.copy(tmp_path / "owl" / "1.wav", tmp_path / "wren" / "b.wav")
    (tmp_path / "owl" / "broken.wav").write_bytes(b"not audio at all")
    (tmp_path / "owl" / "empty.wav").write_bytes(b"")
    (tmp_path / "owl" / "notes.txt").write_text("seen at dusk")
    return tmp_path


def test_everything_is_counted(birds: Path) -> None:
    summary = Dataset.load(birds).check()
    table = [tuple(entry) for entry in summary.classes]
    assert table == [("owl", 5, 4, 15.0, 1), ("wren", 2, 2, 9.0, 0), (None, 1, 1, 6.0, 0)]
    assert summary.recordings == 7  # the wren that is an owl is not another recording
    assert summary.seconds == 36.0
    assert [entry.label for entry in summary.too_small] == ["owl", "wren"]
    assert [Path(p).name for p in summary.skipped] == ["notes.txt"]
    same = [[Path(p).name for p in paths] for paths in summary.duplicates]
    assert same == [["0.wav", "again.wav"], ["1.wav", "b.wav"]]
    assert [[Path(p).name for p in ps] for ps in summary.conflicts] == [["1.wav", "b.wav"]]
    assert [(Path(n).name, why.split(" (")[0]) for n, why in summary.left_out] == [
        ("broken.wav", "not a format that oido can decode"),
        ("empty.wav", "is empty"),
    ]
    assert not summary.deep


def test_the_summary_is_a_table_to_read(birds: Path) -> None:
    lines = str(Dataset.load(birds).check()).splitlines()
    assert [line.split() for line in lines[:5]] == [
        ["class", "clips", "recordings", "minutes", "absent"],
        ["owl", "5", "4", "0.25", "1"],
        ["wren", "2", "2", "0.15", "0"],
        ["(no", "event)", "1", "1", "0.10", "0"],
        ["all", "9", "7", "0.60"],
    ]
    text = "\n".join(lines)
    assert "too small to be judged, with fewer than 5 recordings: 2\n  owl (4)\n  wren (2)" in text
    assert "left out: 2\n" in text
    assert "same content, kept together in splits: 1\n" in text
    assert "same content with different labels: 1\n" in text
    assert "no recordings, passed over: 1\n" in text


def test_long_lists_are_cut_on_the_screen_only(tmp_path: Path) -> None:
    record_all(tmp_path, "owl/a.wav", "wren/b.wav")
    for n in range(8):
        (tmp_path / "owl" / f"{n}.wav").write_bytes(b"")
    summary = Dataset.load(tmp_path).check()
    assert "left out: 8\n" in str(summary)
    assert "  … and 3 more" in str(summary)
    assert len(summary.to_dict()["left_out"]) == 8


def test_the_summary_as_json(birds: Path) -> None:
    found = json.loads(json.dumps(Dataset.load(birds).check().to_dict()))
    assert found["clips"] == 9
    assert found["classes"][0] == {
        "label": "owl",
        "clips": 5,
        "recordings": 4,
        "seconds": 15.0,
        "negatives": 1,
    }
    assert found["too_small"] == ["owl", "wren"]
    assert [Path(entry["name"]).name for entry in found["left_out"]] == ["broken.wav", "empty.wav"]


def test_the_usable_dataset_is_without_what_cannot_be_heard(birds: Path) -> None:
    data = Dataset.load(birds)
    usable = data.check().usable()
    gone = {Path(clip.path).name for clip in set(data) - set(usable)}
    assert gone == {"broken.wav", "empty.wav"}
    assert {Path(name).name for name, _ in usable.left_out} == gone
    assert usable.check().left_out == usable.left_out


def test_nothing_can_be_heard(tmp_path: Path) -> None:
    for name in ("owl/a.wav", "wren/b.wav"):
        (tmp_path / name).parent.mkdir()
        (tmp_path / name).write_bytes(b"")
    summary = Dataset.load(tmp_path).check()
    assert "left out: 2" in str(summary)
    with pytest.raises(OptionError, match=r"none of the 2 clips can be heard; .*a\.wav: is empty"):
        summary.usable()


def test_regions_are_held_against_their_recordings(tmp_path: Path) -> None:
    record(tmp_path / "a.wav", 4.0)
    (tmp_path / "clips.csv").write_text(
        "file,start_time,end_time,label\na.wav,0,1,owl\na.wav,3,4.05,owl\na.wav,3,6,wren\n"
        "a.wav,4,5,wren\na.wav,3.5,,wren\n"
    )
    data = Dataset.load(tmp_path)
    summary = data.check()
    path = str(tmp_path / "a.wav")
    assert summary.cut == (f"{path} [3 s to 6 s]: the recording ends at 4.00 s",)
    assert summary.left_out == (
        (f"{path} [4 s to 5 s]", "the region starts behind the end of the recording, 4.00 s"),
    )
    assert [(c.start_time, c.end_time) for c in summary.usable()] == [
        (0, 1),
        (3, 4),
        (3, 4),
        (3.5, None),
    ]
    assert [(e.label, e.clips, e.seconds) for e in summary.classes] == [
        ("owl", 2, 2.0),
        ("wren", 3, 2.5),  # the second owl lies inside of the first wren
    ]
    assert summary.seconds == 4.0


def test_only_decoding_finds_nan_and_what_is_missing_at_the_end(tmp_path: Path) -> None:
    samples = noise(RATE_HZ).astype(np.float64)
    holed = samples.copy()
    holed[5000] = np.nan
    for label, content in (
        ("owl", wav(samples, RATE_HZ)),
        ("wren", wav(holed, RATE_HZ, "f32")),
        ("lark", wav(np.full(5, 0.5), RATE_HZ)),
    ):
        (tmp_path / label).mkdir()
        (tmp_path / label / "a.wav").write_bytes(content)
    shallow = Dataset.load(tmp_path).check()
    assert [(e.label, e.clips) for e in shallow.classes] == [("lark", 0), ("owl", 1), ("wren", 1)]
    assert "holds only 5 samples" in shallow.left_out[0].reason  # next to nothing is decoded
    deep = Dataset.load(tmp_path).check(deep=True)
    assert deep.deep
    assert [(e.label, e.clips) for e in deep.classes] == [("lark", 0), ("owl", 1), ("wren", 0)]
    assert "has NaN or infinite samples, the first at 0.625 s" in deep.left_out[1].reason


def test_labels_that_look_like_a_slip_are_pointed_at(tmp_path: Path) -> None:
    record_all(tmp_path, "Dog/a.wav", "dog/b.wav", "Cat/c.wav", "Dog, Cat/d.wav", "owl/e.wav")
    notes = Dataset.load(tmp_path).check().notes
    assert notes[1] == "'Dog' and 'dog' are two classes; are they meant to be one?"
    assert "'Dog, Cat' is one class; if it means several, write 'Cat,Dog'" in notes[0]
    assert len(notes) == 2


def test_one_class_alone_is_noted(tmp_path: Path) -> None:
    record_all(tmp_path, "owl/a.wav", "owl/b.wav")
    assert Dataset.load(tmp_path).check().notes[0].startswith("'owl' is the only class; add")
    record(tmp_path / "background" / "c.wav")
    assert Dataset.load(tmp_path).check().notes == ()


def test_folds_that_divide_a_recording_are_told() -> None:
    clips = [Clip(f"{n}.wav", ("A",), fold=str(n), group="g" + "aab"[n]) for n in range(3)]
    summary = Dataset.from_clips(clips).check()
    assert summary.leaks == ("ga",)
    assert "recordings that the given folds divide: 1\n  ga" in str(summary)


def test_a_part_tells_of_its_own_duplicates_only(birds: Path) -> None:
    data = Dataset.load(birds)
    part = data.subset([n for n, clip in enumerate(data) if "again" not in clip.path])
    assert len(part.check().duplicates) == 1


def test_odd_recordings_are_judged_as_ffmpeg_judges_them(shared_audio: Path) -> None:
    with (shared_audio / "decode" / "clips.csv").open(encoding="utf-8") as stream:
        rows = list(csv.DictReader(stream))
    wrong = [
        row["file"]
        for row in rows
        if (probe(str(shared_audio / "decode" / row["file"])).problem is None)
        != (row["decodable"] == "1")
    ]
    assert len(rows) > 100
    assert wrong == []


def test_real_sets_are_sound(shared_audio: Path) -> None:
    summary = Dataset.load(shared_audio / "three-events").check(deep=True)
    assert not summary.left_out
    assert not summary.conflicts
    assert [(entry.label, entry.clips, entry.recordings) for entry in summary.classes] == [
        ("applause_clapping", 13, 8),
        ("finger_snapping", 7, 3),
        ("typing", 14, 3),
    ]
    everyday = Dataset.load(shared_audio / "everyday")
    assert len(everyday) == 269
    with pytest.raises(OptionError, match="no class has two source recordings"):
        everyday.split()


def test_a_line_end_in_a_name_ends_no_line(tmp_path: Path) -> None:
    record_all(tmp_path, "a/1.wav", "b/2.wav")
    (tmp_path / "b" / "bad\x1b[31m\n.wav").write_bytes(b"RIFF")
    text = str(Dataset.from_folder(tmp_path).check())
    assert r"bad\x1b[31m\n.wav: " in text
    assert all(line.isprintable() for line in text.split("\n"))
