# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import io
import unicodedata
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from oido.datasets.dataset import Dataset
from oido.errors import OptionError
from oido.types import Row
from oido.writers.annotations import AudacityWriter, RavenWriter
from tests.datasets.recordings import record, record_all

Region = tuple[float | None, float | None, tuple[str, ...]]


@pytest.fixture
def field(tmp_path: Path) -> Path:
    return record_all(tmp_path, "a.wav", "b.wav", seconds=6.0)


def regions(folder: Path, *, gaps: bool = False) -> list[Region]:
    data = Dataset.from_label_tracks(folder, background_from_gaps=gaps)
    return [(clip.start_time, clip.end_time, clip.labels) for clip in data]


def test_label_tracks_of_audacity(field: Path) -> None:
    (field / "a.txt").write_text(
        "1.000000\t2.000000\towl\r\n\\\t100.0\t4000.0\r\n3.000000\t3.000000\twren\r\n"
        "4,5\t5,5\tSmoke detector, smoke alarm\r\n"
    )
    found = [(1, 2, ("owl",)), (2.5, 3.5, ("wren",)), (4.5, 5.5, ("Smoke detector, smoke alarm",))]
    assert regions(field) == found


def test_stretches_of_a_recording_are_sources_where_somebody_says_so(field: Path) -> None:
    (field / "a.txt").write_text("0\t0.5\towl\n1.4\t2\twren\n4.0\t4.5\towl\n")
    (field / "b.txt").write_text("1\t2\towl\n")
    whole = Dataset.load(field)
    apart = Dataset.load(field, each_is_a_source=True)

    def groups(data: Dataset, label: str | None = None) -> list[str]:
        return [c.group for c in data if c.path.endswith("a.wav") and (label in c.labels)]

    assert {clip.group for clip in whole} == {"a", "b"}
    assert not any("stretches" in note for note in whole.notes)
    assert groups(apart, "owl") == ["a @ 0 s", "a @ 4 s"]
    assert groups(apart, "wren") == ["a @ 0 s"]  # a window reaches from one to the other
    background = [clip for clip in apart if not clip.labels]
    assert len(background) > 2
    assert not {c.group for c in background} & {c.group for c in apart if c.labels}
    assert any("comes out better than it is elsewhere" in note for note in apart.notes)
    assert [(c.path, c.start_time, c.end_time) for c in apart] == [
        (c.path, c.start_time, c.end_time) for c in whole
    ]


RAVEN = (
    "Selection\tView\tChannel\tBegin Time (s)\tEnd Time (s)\tLow Freq (Hz)\tSpecies\tNotes\n"
    "1\tWaveform 1\t1\t1.0\t2.0\t100\t\tx\n1\tSpectrogram 1\t1\t1.0\t2.0\t100\towl\tx\n"
    "2\tWaveform 1\t1\t3.0\t4.5\t100\twren\t\n2\tSpectrogram 1\t1\t3.0\t4.5\t100\twren\t\n"
)


@pytest.mark.parametrize("name", ["a.txt", "a.selections.txt", "a.Table.1.selections.txt"])
def test_selection_tables_of_raven(field: Path, name: str) -> None:
    (field / name).write_text(RAVEN)
    assert regions(field) == [(1, 2, ("owl",)), (3, 4.5, ("wren",))]


def test_what_oido_writes_can_be_read_back(field: Path) -> None:
    rows = [
        Row("a.wav", None, 1.0, 2.0, "Smoke detector, smoke alarm", 393, 0.9),
        Row("a.wav", None, 3.0, 4.0, "Bow-wow", 71, 0.8),
    ]
    expected = [(row.start_time, row.end_time, (row.label,)) for row in rows]
    for writer in (AudacityWriter, RavenWriter):
        stream = io.StringIO()
        out = writer(stream)
        out.write(rows)
        out.close()
        (field / "a.txt").write_text(stream.getvalue(), encoding="utf-8")
        assert regions(field) == expected


def test_stretches_without_a_label_are_background(field: Path) -> None:
    (field / "a.txt").write_text("2.0\t3.0\towl\n3.5\t4.0\twren\n")
    (field / "b.txt").write_text("")
    assert regions(field, gaps=True) == [
        (2, 3, ("owl",)),
        (3.5, 4, ("wren",)),
        (0, 1.75, ()),
        (4.25, 6, ()),
        (0, 6, ()),
    ]


def test_a_label_without_text_is_neither_a_class_nor_background(field: Path) -> None:
    (field / "a.txt").write_text("2.0\t3.0\n4.0\t6.0\towl\n")
    data = Dataset.from_label_tracks(field)
    assert [(c.start_time, c.end_time) for c in data] == [(4, 6), (0, 1.75)]
    assert ("the label has no text") in [reason for _, reason in data.left_out]


def test_recordings_without_a_track_are_told(field: Path) -> None:
    (field / "a.txt").write_text("2.0\t3.0\towl\n")
    (field / "notes.txt").write_text("2.0\t3.0\twren\n")
    data = Dataset.from_label_tracks(field, background_from_gaps=False)
    assert [(Path(n).name, why) for n, why in data.left_out] == [
        ("b.wav", "has no label track beside it")
    ]
    assert [Path(path).name for path in data.skipped] == ["notes.txt"]


def test_a_track_belongs_to_the_recording_with_the_longest_name(tmp_path: Path) -> None:
    record_all(tmp_path, "a.wav", "a.b.wav", "deep/a.wav")
    (tmp_path / "a.b.txt").write_text("0.0\t0.5\towl\n")
    (tmp_path / "a.c.txt").write_text("0.0\t0.5\twren\n")
    (tmp_path / "deep" / "a.txt").write_text("0.0\t0.5\tlark\n")
    data = Dataset.from_label_tracks(tmp_path, background_from_gaps=False)
    found = {Path(c.path).relative_to(tmp_path).as_posix(): c.labels for c in data}
    assert found == {"a.b.wav": ("owl",), "a.wav": ("wren",), "deep/a.wav": ("lark",)}
    assert {clip.group for clip in data} == {"a", "a.b", "deep/a"}


def test_one_bad_track_or_line_does_not_end_it(field: Path) -> None:
    record_all(field, "c.wav", "d.wav", "e.wav", seconds=6.0)
    (field / "a.txt").write_text("1.0\t2.0\towl\n3.0\t2.0\towl\n")
    (field / "b.txt").write_text("seen at dusk\n")
    (field / "c.txt").write_text("Selection\tBegin Time (s)\tEnd Time (s)\tMood\n1\t1\t2\tcalm\n")
    (field / "d.txt").write_text(
        "Selection\tBegin Time (s)\tEnd Time (s)\tBegin File\tLabel\n"
        "1\t1\t2\td.wav\twren\n2\t3\t4\tother.wav\twren\n3\t\t4\td.wav\twren\n"
    )
    (field / "e.wav").write_bytes(b"not audio at all")
    (field / "e.txt").write_text("")
    data = Dataset.from_label_tracks(field)
    assert [(c.start_time, c.labels) for c in data if c.labels] == [(1, ("owl",)), (1, ("wren",))]
    assert not any(clip.is_background for clip in data)  # where a line is lost, a gap may be none
    reasons = {Path(name.split(", ")[0]).name: reason for name, reason in data.left_out}
    assert set(reasons) == {"a.txt", "b.wav", "c.wav", "d.txt", "e.wav"}
    assert reasons["a.txt"] == "ends at 2 s, before it starts, 3 s"
    assert reasons["b.wav"].startswith("b.txt: line 1 is not start, end and label between tabs")
    assert "its columns are 'selection', 'begin time (s)'" in reasons["c.wav"]
    assert [why for _, why in data.left_out if "d.txt" in _] == ["is of other.wav", "has no times"]
    assert "not a format" in reasons["e.wav"]


def test_regions_of_the_same_times_have_several_labels(field: Path) -> None:
    (field / "a.txt").write_text("1.0\t2.0\towl\n1.0\t2.0\twren\n3.0\t4.0\t-owl\n")
    data = Dataset.from_label_tracks(field, background_from_gaps=False)
    assert [(c.labels, c.negatives, c.complete) for c in data] == [
        (("owl", "wren"), (), True),
        ((), ("owl",), False),
    ]


def test_nothing_labelled(field: Path) -> None:
    with pytest.raises(OptionError, match=r"no labelled region .*a\.wav: has no label track"):
        Dataset.from_label_tracks(field)


def test_a_bad_label_costs_its_line_and_is_told(field: Path) -> None:
    (field / "a.txt").write_text("1.0\t2.0\towl\n3.0\t4.0\towl/wren\n")
    data = Dataset.from_label_tracks(field)
    assert [(c.start_time, c.end_time, c.labels) for c in data if c.labels] == [(1, 2, ("owl",))]
    (reason,) = (why for name, why in data.left_out if name == f"{field / 'a.txt'}, line 2")
    assert reason.startswith("the label 'owl/wren' has a slash in it")
    assert [(c.start_time, c.end_time) for c in data if not c.labels] == [(4.25, 6)]
    (field / "a.txt").write_text("1.0\t2.0\towl/wren\n")
    with pytest.raises(OptionError, match=r"a\.txt, line 1: the label 'owl/wren' has a slash"):
        Dataset.from_label_tracks(field, background_from_gaps=False)


PIECES = st.sampled_from(
    [
        *'\t\t\t\n\n\r"\\-.,0123456789 \0ñ',
        "1.0\t2.0\towl\n",
        "Begin Time (s)\tEnd Time (s)\tLabel\n",
    ]
)


@given(
    st.one_of(st.binary(max_size=60), st.lists(PIECES, max_size=30).map("".join).map(str.encode))
)
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_whatever_stands_in_a_track_it_is_read_or_refused(field: Path, content: bytes) -> None:
    (field / "a.txt").write_bytes(content)
    (field / "b.txt").write_text("1.0\t2.0\towl\n")
    try:
        told = {str(c) for c in Dataset.from_label_tracks(field, background_from_gaps=False)}
    except OptionError as error:
        told = {str(error).split(", line")[0]}
    assert told & {f"{field / 'b.wav'} [1 s to 2 s]", str(field / "a.txt")}


def test_load_takes_the_way_that_fits(tmp_path: Path) -> None:
    tracks = record_all(tmp_path / "tracks", "day/a.wav", "day/b.wav", seconds=2.0)
    for name in ("a", "b"):
        (tracks / "day" / f"{name}.txt").write_text("0.5\t1.0\towl\n")
    assert {clip.end_time for clip in Dataset.load(tracks)} == {1.0}

    classes = record_all(tmp_path / "classes", "owl/a.wav", "wren/b.wav", "wren/c.wav")
    (classes / "owl" / "a.txt").write_text("0.5\t1.0\tsomething\n")
    assert Dataset.load(classes).classes == ("owl", "wren")

    (classes / "clips.csv").write_text("file,label\nowl/a.wav,lark\n")
    assert Dataset.load(classes).classes == ("lark",)
    assert Dataset.load(classes / "clips.csv").classes == ("lark",)

    with pytest.raises(OptionError, match="a dataset is a folder, or a table"):
        Dataset.load(record(tmp_path / "a.wav"))
    with pytest.raises(OptionError, match="no such folder"):
        Dataset.load(tmp_path / "none")


SELECTIONS = (
    "Selection\tBegin Time (s)\tEnd Time (s)\tBegin Path\tFile Offset (s)\tBegin File\tSpecies\n"
)


def placed(folder: Path, **options: bool) -> list[tuple[str, float | None, tuple[str, ...]]]:
    data = Dataset.from_label_tracks(folder, background_from_gaps=False, **options)
    return [(Path(c.path).relative_to(folder).as_posix(), c.start_time, c.labels) for c in data]


def test_one_table_for_many_recordings(tmp_path: Path) -> None:
    record_all(tmp_path, "a.wav", "site1/night.wav", "site2/night.wav", "quiet.wav", seconds=6.0)
    (tmp_path / "all.selections.txt").write_text(
        SELECTIONS
        + "1\t1\t2\tD:\\card\\a.WAV\t1\ta.WAV\towl\n"
        + "2\t8\t9\tD:\\card\\site1\\night.wav\t2\tnight.wav\twren\n"
        + "3\t15\t16\tD:\\card\\site2\\night.wav\t3\tnight.wav\tlark\n"
        + "4\t20\t21\tD:\\card\\night.wav\t1\tnight.wav\tlark\n"
        + "5\t25\t26\t\t\tgone.wav\tlark\n"
    )
    assert placed(tmp_path) == [
        ("a.wav", 1, ("owl",)),
        ("site1/night.wav", 2, ("wren",)),
        ("site2/night.wav", 3, ("lark",)),
    ]
    left_out = Dataset.from_label_tracks(tmp_path).left_out
    assert [why for _, why in left_out] == [
        "is of D:\\card\\night.wav",
        "is of gone.wav",
        "has no label track beside it",
    ]
    assert len(Dataset.load(tmp_path).classes) == 3


def test_a_table_of_kaleidoscope_is_for_all_its_recordings(tmp_path: Path) -> None:
    record_all(tmp_path, "a.wav", "b.wav", seconds=6.0)
    (tmp_path / "id.csv").write_text(
        "INDIR,FOLDER,IN FILE,CHANNEL,OFFSET,DURATION,Fmin,MANUAL ID\n"
        "D:\\,,a.wav,0,1.0,2.0,800,owl\nD:\\,,b.wav,0,3.5,1.0,900,wren\n"
    )
    assert placed(tmp_path) == [("a.wav", 1, ("owl",)), ("b.wav", 3.5, ("wren",))]


def test_rows_of_another_recording_are_that_recordings(field: Path) -> None:
    (field / "a.Table.1.selections.txt").write_text(
        "Begin Time (s)\tEnd Time (s)\tBegin File\tSpecies\n1\t2\ta.wav\towl\n3\t4\tb.flac\twren\n"
    )
    assert placed(field) == [("a.wav", 1, ("owl",)), ("b.wav", 3, ("wren",))]


@pytest.mark.parametrize("name", ["a.csv", "A.tsv", "a.wav.csv"])
def test_tables_with_times_are_tracks_where_there_is_no_other(field: Path, name: str) -> None:
    (field / name).write_text("onset,offset,label\n1,3,owl\n")
    (field / "b.csv").write_text("file,mood\nb.wav,calm\n")
    data = Dataset.from_label_tracks(field, background_from_gaps=False)
    assert [(Path(c.path).name, c.start_time) for c in data] == [("a.wav", 1)]
    assert [Path(path).name for path in data.skipped] == ["b.csv"]
    (field / "a.txt").write_text("4.0\t5.0\twren\n")
    assert placed(field) == [("a.wav", 4, ("wren",))]


def test_results_of_oido_beside_recordings_make_no_dataset_of_tracks(tmp_path: Path) -> None:
    record_all(tmp_path, "owl/a.wav", "wren/b.wav")
    for name in ("owl/a", "wren/b"):
        (tmp_path / f"{name}.csv").write_text(
            "file,channel,start_time,end_time,label,label_index,score,also\nx,,0,1,Dog,69,0.9,\n"
        )
    assert Dataset.load(tmp_path).classes == ("owl", "wren")


def test_a_track_by_the_whole_name_and_in_another_form_or_case(tmp_path: Path) -> None:
    there = unicodedata.normalize("NFD", "mañana")
    record_all(tmp_path, "a.wav", "a.flac", f"{there}.wav", "DAWN.WAV", seconds=2.0)
    for name in ("a.wav.txt", "mañana.txt", "dawn.TXT"):
        (tmp_path / name).write_text(f"0.5\t1.0\t{name[0]}\n")
    data = Dataset.from_label_tracks(tmp_path, background_from_gaps=False)
    assert {(Path(c.path).name, c.labels) for c in data} == {
        ("a.wav", ("a",)),
        (f"{there}.wav", ("m",)),
        ("DAWN.WAV", ("d",)),
    }
    assert [note.split(":")[0] for note in data.notes] == [
        "2 names were found in another Unicode form or letter case"
    ]
    assert data.notes[0] in str(data.check())


def test_a_table_or_track_that_cannot_be_read_is_left_out(field: Path) -> None:
    (field / "all.txt").write_text(
        "Begin Time (s)\tEnd Time (s)\tBegin File\tMood\n1\t2\ta.wav\tx\n"
    )
    (field / "a.txt").symlink_to("nowhere.txt")
    (field / "b.txt").write_text("1\t2\towl\n")
    data = Dataset.from_label_tracks(field)
    assert data.classes == ("owl",)
    left_out = {Path(name).name: reason for name, reason in data.left_out}
    assert "a.txt cannot be read: No such file" in left_out["a.wav"]
    assert left_out["all.txt"].startswith("no column is called Annotation, Label or Species")
