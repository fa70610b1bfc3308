# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import sys
import unicodedata
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from oido.datasets.clip import Clip
from oido.datasets.dataset import Dataset
from oido.errors import MissingExtraError, OptionError
from tests.datasets.recordings import record, record_all


@pytest.fixture
def desk(tmp_path: Path) -> Path:
    return record_all(tmp_path, "a.wav", "b.wav", "deep/ñ.wav", seconds=2.0)


def load(folder: Path, text: str | bytes) -> Dataset:
    path = folder / "list.csv"
    path.write_bytes(text.encode() if isinstance(text, str) else text)
    return Dataset.from_table(path)


def said(data: Dataset) -> list[tuple[str, tuple[str, ...]]]:
    return [(Path(clip.path).name, clip.labels) for clip in data]


def test_files_and_labels(desk: Path) -> None:
    data = load(desk, "file,label,mood\na.wav,owl,calm\nb.wav,background,\ndeep/ñ.wav,wren,\n")
    assert said(data) == [("a.wav", ("owl",)), ("b.wav", ()), ("ñ.wav", ("wren",))]
    assert [clip.path for clip in data][:1] == [str(desk / "a.wav")]
    assert [clip.group for clip in data] == ["a", "b", "deep/ñ"]
    assert {clip.fold for clip in data} == {None}


def test_folds_and_groups_are_kept(desk: Path) -> None:
    data = load(desk, "file,label,fold,group\na.wav,owl,1,night\nb.wav,wren,,\na.wav,lark,,\n")
    assert [(clip.fold, clip.group) for clip in data] == [("1", "night"), (None, "b")]


def test_several_rows_of_a_file_are_its_several_labels(desk: Path) -> None:
    data = load(desk, "file,label\na.wav,owl\nb.wav,-owl\n./a.wav,wren\na.wav,owl\n")
    assert data[0] == Clip(str(desk / "a.wav"), ("owl", "wren"), group="a")
    assert data[1] == Clip(str(desk / "b.wav"), (), ("owl",), group="b", complete=False)
    assert data.multi_label


def test_what_somebody_heard_counts_in_the_place_of_the_label(desk: Path) -> None:
    data = load(
        desk,
        "file,label,verdict\na.wav,owl,no\nb.wav,owl,\ndeep/ñ.wav,owl,Sí\n"
        "a.wav,wren,?\nb.wav,wren,perhaps\ndeep/ñ.wav,-wren,no\n",
    )
    assert data[0] == Clip(str(desk / "a.wav"), (), ("owl",), group="a", complete=False)
    assert said(data)[1:] == [("b.wav", ("owl",)), ("ñ.wav", ("owl", "wren"))]
    assert [item.reason for item in data.left_out] == [
        "nobody is sure of its label",
        "a verdict is yes, no or unsure, not perhaps",
    ]


def test_quoted_labels_keep_their_commas(desk: Path) -> None:
    data = load(desk, 'file,label\na.wav,"Smoke detector, smoke alarm"\nb.wav,"Dog,Cat"\n')
    assert data.classes == ("Dog,Cat", "Smoke detector, smoke alarm")


ROWS = "file,label,fold\na.wav,Búho,1\ndeep/ñ.wav,Gorrión,2\n"


@pytest.mark.parametrize(
    "written",
    [
        ROWS.encode(),
        b"\xef\xbb\xbf" + ROWS.encode(),
        ROWS.replace("\n", "\r\n").encode(),
        ROWS.replace("\n", "\r\n").encode("cp1252"),
        ROWS.replace(",", ";").encode("cp1252"),
        b"\xef\xbb\xbfsep=;\r\n" + ROWS.replace(",", ";").encode(),
        ROWS.replace(",", "\t").encode("utf-16"),
        ROWS.replace(",", "\t").encode("utf-16-le").join([b"\xff\xfe", b""]),
        ROWS.replace("file,label,fold", ' File , "Label",FOLD').encode(),
        ("\n" + ROWS + ",,\n\n").encode(),
    ],
    ids=["plain", "bom", "crlf", "cp1252", "semicolons", "sep", "utf-16", "le", "header", "blank"],
)
def test_dialects_of_csv(desk: Path, written: bytes) -> None:
    data = load(desk, written)
    assert said(data) == [("a.wav", ("Búho",)), ("ñ.wav", ("Gorrión",))]
    assert [clip.fold for clip in data] == ["1", "2"]
    assert not data.left_out


def test_backslashes_of_windows(desk: Path) -> None:
    assert said(load(desk, "file,label\ndeep\\ñ.wav,owl\n")) == [("ñ.wav", ("owl",))]


def test_absolute_paths(desk: Path, tmp_path_factory: pytest.TempPathFactory) -> None:
    elsewhere = tmp_path_factory.mktemp("elsewhere")
    assert said(load(elsewhere, f"file,label\n{desk / 'a.wav'},owl\n")) == [("a.wav", ("owl",))]


def test_missing_files_are_left_out_and_told_once(desk: Path) -> None:
    data = load(desk, "file,label\nz.wav,owl\na.wav,owl\nz.wav,wren\ny.wav,wren\n")
    assert said(data) == [("a.wav", ("owl",))]
    assert [(Path(name).name, reason.split(" (")[0]) for name, reason in data.left_out] == [
        ("z.wav", "no such file"),
        ("y.wav", "no such file"),
    ]
    assert data.left_out[0].reason.endswith("list.csv, line 2)")


def test_a_table_in_the_wrong_place(desk: Path) -> None:
    with pytest.raises(OptionError, match=r"none of the 2 files .* there, the first .*y\.wav"):
        load(desk, "file,label\ny.wav,owl\nz.wav,owl\n")
    with pytest.raises(OptionError, match=r"the only file that it names, .*y\.wav, is not there"):
        load(desk, "file,label\ny.wav,owl\ny.wav,wren\n")


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("filename,label\na.wav,owl\n", "no column 'file'; its columns are 'filename', 'label'"),
        ("a.wav,owl\n", "no column 'file' and 'label'; its columns are 'a.wav', 'owl'"),
        ("", "is empty; it needs a header with 'file' and 'label'"),
        ("file,label\n", "lists no clip"),
        ("file,label\nb.wav,\n", r"list\.csv, line 2: the label is empty"),
        ("file,label\na.wav\n", r"line 2: the label is empty"),
        ("file,label\na.wav,owl/wren\n", "line 2: the label 'owl/wren' has a slash in it"),
        ('file,label\na.wav,"owl\nwren"\n', "has a newline in it"),
        ("file,label\na.wav,owl\na.wav,-owl\n", "heard and to be absent"),
        ("file,label,fold\na.wav,owl,1\na.wav,wren,2\n", "a.wav is of fold 2, and of fold 1 in"),
        ("file,label,group\na.wav,owl,x\na.wav,wren,y\n", "is of group y, and of group x in"),
        ("file,label\n,owl\n", "no row can be used; .*line 2: names no file"),
        ('file,label\na.wav,"' + "owl" * 50_000 + '"\n', r"line 2: is not CSV"),
    ],
)
def test_tables_that_make_no_sense_are_refused(desk: Path, text: str, message: str) -> None:
    with pytest.raises(OptionError, match=message):
        load(desk, text)


def test_a_table_that_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(OptionError, match=r"list\.csv cannot be read: No such file"):
        Dataset.from_table(tmp_path / "list.csv")
    with pytest.raises(OptionError, match="cannot be read"):
        Dataset.from_table(tmp_path)


def test_parquet_says_what_csv_says(desk: Path) -> None:
    pyarrow = pytest.importorskip("pyarrow")
    parquet = pytest.importorskip("pyarrow.parquet")
    columns = {
        "File": ["a.wav", "b.wav", "b.wav"],
        "label": ["owl", "wren", None],
        "fold": [1.0, None, 2.0],  # as pandas has it, once a value is missing
        "start_time": [0.25, None, None],
        "end_time": [1.0, None, None],
    }
    path = desk / "list.parquet"
    parquet.write_table(pyarrow.table(columns), path)
    (lost,) = Dataset.from_table(path).left_out
    assert lost.name == f"{path}, row 3"
    assert lost.reason.startswith("the label is empty")
    parquet.write_table(pyarrow.table(columns).slice(0, 2), path)
    text = "file,label,fold,start_time,end_time\na.wav,owl,1,0.25,1.0\nb.wav,wren,,,\n"
    assert Dataset.from_table(path).clips == load(desk, text).clips


def test_parquet_that_is_none(desk: Path) -> None:
    pytest.importorskip("pyarrow")
    path = desk / "list.parquet"
    path.write_text("file,label\n")
    with pytest.raises(OptionError, match="it is not Parquet"):
        Dataset.from_table(path)
    with pytest.raises(OptionError, match="No such file"):
        Dataset.from_table(desk / "none.parquet")


def test_parquet_without_pyarrow_names_the_extra(
    desk: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "pyarrow", None)
    with pytest.raises(MissingExtraError, match=r"oido\[parquet\]"):
        Dataset.from_table(desk / "list.parquet")


def times(data: Dataset) -> list[tuple[float | None, float | None, tuple[str, ...]]]:
    return [(clip.start_time, clip.end_time, clip.labels) for clip in data]


def test_regions(desk: Path) -> None:
    text = "file,start_time,end_time,label\na.wav,0.25,1,owl\na.wav,1,,wren\na.wav,,0.2,wren\n"
    data = load(desk, text)
    assert times(data) == [(0.25, 1, ("owl",)), (1, None, ("wren",)), (0, 0.2, ("wren",))]
    assert {clip.group for clip in data} == {"a"}
    text = "file;start_time;end_time;label\r\na.wav;0,25;1,5;owl\r\n"
    assert times(load(desk, text)) == [(0.25, 1.5, ("owl",))]


def test_a_region_of_no_length_is_a_point(desk: Path) -> None:
    text = "file,start_time,end_time,label\na.wav,1.2,1.2,owl\na.wav,0.1,0.1,owl\n"
    assert times(load(desk, text)) == [(0.7, 1.7, ("owl",)), (0, 0.6, ("owl",))]


def test_impossible_regions_are_left_out(desk: Path) -> None:
    text = (
        "file,start_time,end_time,label\na.wav,0,1,owl\na.wav,1,0.5,owl\na.wav,x,1,owl\n"
        "a.wav,-1,1,owl\na.wav,nan,1,owl\na.wav,0,0,owl\n"
    )
    data = load(desk, text)
    assert times(data) == [(0, 1, ("owl",))]
    reasons = [reason.split(" (")[0] for _, reason in data.left_out]
    assert reasons == [
        "ends at 0.5 s, before it starts, 1 s",
        "'x, 1' are not seconds",
        "'-1, 1' are not seconds",
        "'nan, 1' are not seconds",
        "ends at 0 s, before it starts, 0 s",
    ]


def test_overlapping_regions_know_of_each_other(desk: Path) -> None:
    text = (
        "file,start_time,end_time,label\na.wav,0,2,rain\na.wav,0.5,1,owl\na.wav,0.8,1.5,wren\n"
        "a.wav,0.5,1,lark\na.wav,1.8,1.9,silence\nb.wav,0.5,1,owl\n"
    )
    found = {(clip.group, clip.start_time, clip.labels): clip.complete for clip in load(desk, text)}
    assert found == {
        ("a", 0.0, ("rain",)): False,  # the others are heard in parts of it
        ("a", 0.5, ("lark", "owl", "rain")): False,  # a part of it is also the wren's
        ("a", 0.8, ("rain", "wren")): False,
        ("a", 1.8, ()): True,
        ("b", 0.5, ("owl",)): True,
    }


def test_windows_that_overlap_keep_their_own_labels(desk: Path) -> None:
    rows = [f"a.wav,{n * 0.25},{n * 0.25 + 1},{label}" for n, label in enumerate(["owl", "wren"])]
    data = load(desk, "file,start_time,end_time,label\n" + "\n".join(rows))
    assert [clip.labels for clip in data] == [("owl",), ("wren",)]
    assert not data.multi_label


def test_background_from_gaps_is_wished_for_in_tables(desk: Path) -> None:
    record(desk / "long.wav", 6.0)
    text = "file,start_time,end_time,label,fold\nlong.wav,2,3,owl,1\nb.wav,,,wren,2\n"
    assert len(load(desk, text)) == 2
    data = Dataset.from_table(desk / "list.csv", background_from_gaps=True)
    assert times(data) == [(2, 3, ("owl",)), (0, 1.75, ()), (3.25, 6, ()), (None, None, ("wren",))]
    assert [(clip.fold, clip.group) for clip in data[:3]] == [("1", "long")] * 3


PIECES = st.sampled_from(
    [
        *"fileab,;\t\n\r\"'\\-./0123456789 \0ñ",
        "file",
        "label",
        "a.wav",
        "owl",
        "start_time",
        "end_time",
    ]
)


@given(
    st.one_of(st.binary(max_size=60), st.lists(PIECES, max_size=40).map("".join).map(str.encode)),
    st.booleans(),
)
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_whatever_stands_in_a_table_it_is_read_or_refused(
    desk: Path, content: bytes, with_header: bool
) -> None:
    header = b"file,label,start_time,end_time\na.wav,owl,0,1\n" * with_header
    try:
        told = load(desk, header + content)[0].path
    except OptionError as error:
        told = str(error)
    assert told.startswith(str(desk))


def test_the_rows_of_a_run_can_be_read_as_labels(desk: Path) -> None:
    from oido.types import Row
    from oido.writers.formats import FORMATS

    writer = next(entry for entry in FORMATS if entry.name == "csv").writer
    with (desk / "list.csv").open("w", newline="", encoding="utf-8") as stream:
        out = writer(stream)
        out.write([Row("a.wav", None, 0.0, 0.96, "Bow-wow", 71, 0.8)])
        out.close()
    assert times(Dataset.load(desk / "list.csv")) == [(0, 0.96, ("Bow-wow",))]


def test_names_in_another_form_or_case_are_found_and_told(desk: Path) -> None:
    record_all(desk, unicodedata.normalize("NFD", "mañana.wav"), "DAWN.WAV", "[1].wav", "1.wav")
    text = "file,label\nmañana.wav,owl\ndawn.wav,wren\n[1].wav,lark\nDEEP\\ñ.wav,owl\n"
    data = load(desk, text)
    assert [Path(c.path).name for c in data] == [
        unicodedata.normalize("NFD", "mañana.wav"),
        "DAWN.WAV",
        "[1].wav",
        "ñ.wav",
    ]
    assert not data.left_out
    (note,) = data.notes
    assert note.startswith("3 names were found in another Unicode form or letter case: ")
    assert note in str(data.check())


def test_times_as_clocks_show_them_and_slightly_before_zero(desk: Path) -> None:
    text = "PATH;Label;Start_Time;End_Time\na.wav;owl;-0,05;0:01\na.wav;wren;0:00:01,5;00:02\n"
    assert times(load(desk, text)) == [(0, 1, ("owl",)), (1.5, 2, ("wren",))]


def test_a_bad_label_costs_its_row_and_no_gap_of_its_recording_is_background(desk: Path) -> None:
    record(desk / "long.wav", 6.0)
    text = "file,start_time,end_time,label\nlong.wav,2,3,owl\nlong.wav,4,5,\nb.wav,0,1,a/b\n"
    load(desk, text)
    data = Dataset.from_table(desk / "list.csv", background_from_gaps=True)
    assert times(data) == [(2, 3, ("owl",))]
    assert [why.split(";")[0] for _, why in data.left_out] == [
        "the label is empty",
        "the label 'a/b' has a slash in it",
    ]


def test_the_table_of_a_folder_is_found_in_another_letter_case(desk: Path) -> None:
    (desk / "Clips.CSV").write_text("file,label\na.wav,owl\n")
    data = Dataset.load(desk)
    assert said(data) == [("a.wav", ("owl",))]
    assert data.notes[0].startswith("1 name was found in another Unicode form or letter case")
