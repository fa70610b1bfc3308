# SPDX-License-Identifier: Apache-2.0
"""Text of other programs: encodings, lines, tables, numbers and times."""

from __future__ import annotations

import codecs
import csv
import io
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from oido.dialects import (
    decode_text,
    number,
    read_text,
    seconds,
    separator_of,
    split_lines,
    table_lines,
    unquoted,
)
from oido.errors import OptionError

TEXT = "file;label\r\nmañana.wav;Búho €\r\n"

MARKED = ("utf-8", "utf-16-le", "utf-16-be", "utf-32-le", "utf-32-be")
MARKS = (
    codecs.BOM_UTF8,
    codecs.BOM_UTF16_LE,
    codecs.BOM_UTF16_BE,
    codecs.BOM_UTF32_LE,
    codecs.BOM_UTF32_BE,
)


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16", "utf-32", "cp1252"])
def test_text_of_any_encoding(tmp_path: Path, encoding: str) -> None:
    path = tmp_path / "a.txt"
    path.write_bytes(TEXT.encode(encoding))
    assert read_text(path) == TEXT


@given(st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0\ufeff")))
def test_a_mark_decides(text: str) -> None:
    for encoding, mark in zip(MARKED, MARKS):
        assert decode_text(mark + text.encode(encoding)) == text
    assert decode_text(text.encode()) == text


LATIN = st.text(st.characters(codec="cp1252", exclude_categories=["Cc"]), min_size=1)


@given(st.lists(LATIN, min_size=1))
def test_lines_that_are_no_utf_8_are_windows_1252(lines: list[str]) -> None:
    data = b"\r\n".join(line.encode("cp1252") for line in lines)
    joined = decode_text(data)
    assert len(split_lines(joined + "\n")) == len(lines)
    for line, read in zip(lines, split_lines(joined + "\n")):
        try:
            expected = line.encode("cp1252").decode()  # by chance it is UTF-8, too
        except UnicodeDecodeError:
            expected = line
        assert read == expected


def test_joined_files_have_both() -> None:
    data = "año.wav\n".encode() + "niño.wav\n".encode("cp1252")
    assert decode_text(data) == "año.wav\nniño.wav\n"


@given(st.text("abcñé,;\t\n 0123456789", min_size=4))
def test_utf_16_shows_without_its_mark(text: str) -> None:
    for encoding in ("utf-16-le", "utf-16-be"):
        assert decode_text(text.encode(encoding)) == text


@given(st.binary())
def test_any_bytes_are_some_text(data: bytes) -> None:
    assert isinstance(decode_text(data), str)


def test_a_cut_utf_16_keeps_what_is_whole() -> None:
    assert decode_text("owl\n".encode("utf-16")[:-1]).startswith("owl")


def test_a_file_that_cannot_be_read(tmp_path: Path) -> None:
    with pytest.raises(OptionError, match=r"none\.txt cannot be read: No such file"):
        read_text(tmp_path / "none.txt")
    with pytest.raises(OptionError, match="not a file name"):
        read_text("a\0b")


LINES = st.lists(st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\r\n")))


@given(LINES, st.sampled_from(["\n", "\r\n", "\r"]))
def test_lines_end_as_any_system_ends_them_and_nowhere_else(lines: list[str], end: str) -> None:
    assert split_lines("".join(line + end for line in lines)) == lines


CELLS = st.text("abñ,;\t\" '.-=3", max_size=6).map(str.strip)


@given(
    st.lists(st.lists(CELLS, min_size=2, max_size=2), min_size=1),
    st.sampled_from(",;\t"),
    st.sampled_from(["\n", "\r\n"]),
    st.booleans(),
)
def test_what_a_spreadsheet_writes_is_read_back(
    rows: list[list[str]], separator: str, end: str, names_it: bool
) -> None:
    stream = io.StringIO(newline="")
    if names_it:
        stream.write(f"sep={separator}{end}")
    writer = csv.writer(stream, delimiter=separator, lineterminator=end)
    for row in (["file", "label"], *rows):
        writer.writerow(f"'{cell}" if cell.lstrip("'")[:1] in ("=", "-") else cell for cell in row)
    expected = [row for row in rows if any(row)]
    read = [line.cells for line in table_lines(stream.getvalue())]
    assert read == [["file", "label"], *expected]


def test_lines_are_counted_as_editors_do() -> None:
    text = 'sep=;\r\n\r\na;b\r\n"x\ny";2\r\n;\r\nz;3\r\n'
    assert [(line.number, line.cells) for line in table_lines(text)] == [
        (3, ["a", "b"]),
        (5, ["x\ny", "2"]),
        (7, ["z", "3"]),
    ]
    with pytest.raises(csv.Error, match="line 2: is not CSV"):
        list(table_lines('a,b\n"' + "x" * 200_000))


@pytest.mark.parametrize("tail", ["", "\n", "\nb.wav,owl\nc.wav,owl\n"])
def test_a_quote_that_is_never_closed_is_named_where_it_opens(tail: str) -> None:
    rows = table_lines('sep=;\nfile;label\na.wav;wren\n"b.wav;wren' + tail.replace(",", ";"))
    assert next(rows).cells == ["file", "label"]
    assert next(rows).cells == ["a.wav", "wren"]
    with pytest.raises(csv.Error, match=r"line 4: is not CSV .a quote is opened there"):
        next(rows)


def test_quotes_may_hold_lines_to_the_end() -> None:
    rows = list(table_lines('file,label\na.wav,"wr\nen" \nb.wav,"ow\nl"'))
    assert [line.cells[1] for line in rows] == ["label", "wr\nen", "ow\nl"]


@pytest.mark.parametrize("named", ["sep=;", '"sep=;"', "SEP= ;", "sep=; ", '"sep=;" '])
@pytest.mark.parametrize("end", ["\n", "\r\n", "\r"])
def test_a_separator_that_is_named(named: str, end: str) -> None:
    rows = [line.cells for line in table_lines(f"{named}{end}file;label{end}a,b.wav;owl{end}")]
    assert rows == [["file", "label"], ["a,b.wav", "owl"]]


def test_the_separator_is_what_stands_outside_of_quotes() -> None:
    assert separator_of('"a, b, c";d') == ";"
    assert separator_of("a\tb") == "\t"
    assert separator_of("label") == ","


@pytest.mark.parametrize(
    ("cell", "text"),
    [
        ('"Strix aluco, Tawny Owl"', "Strix aluco, Tawny Owl"),
        ('"She said ""hoo"""', 'She said "hoo"'),
        ('"owl"', '"owl"'),
        ('She said "hoo"', 'She said "hoo"'),
        ('"', '"'),
        ("", ""),
    ],
)
def test_quotes_of_spreadsheets_and_of_people(cell: str, text: str) -> None:
    assert unquoted(cell) == text


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("1.5", 1.5),
        (" 1,5 ", 1.5),
        ("-0,052", -0.052),
        ("\u22121.5", -1.5),
        ("1.234,5", 1234.5),
        ("1,234.5", 1234.5),
        ("1\u00a0234,5", 1234.5),
        ("1,234,567", 1234567.0),
        ("1.234.567", 1234567.0),
        ("1e-1", 0.1),
    ],
)
def test_numbers(text: str, value: float) -> None:
    assert number(text) == value


@pytest.mark.parametrize("text", ["", "x", "1_0", "1,", "1.0,", "5 3", "1,2,3", "1.2.3", "1,2.3,4"])
def test_what_is_no_number(text: str) -> None:
    with pytest.raises(ValueError, match=r"number|convert"):
        number(text)


@given(st.integers(0, 10**9), st.sampled_from([".", ","]))
def test_times_are_seconds_or_clock_times(milliseconds: int, point: str) -> None:
    value = milliseconds / 1000
    assert seconds(f"{value:.3f}".replace(".", point)) == pytest.approx(value)
    minutes, rest = divmod(milliseconds, 60_000)
    tail = f"{rest // 1000:02d}{point}{rest % 1000:03d}"
    assert seconds(f"{minutes}:{tail}") == pytest.approx(value)
    assert seconds(f"{minutes // 60}:{minutes % 60:02d}:{tail}") == pytest.approx(value)


@pytest.mark.parametrize("text", ["-0.052", "-0,999", "-0:00:00.5"])
def test_slightly_before_zero_is_zero(text: str) -> None:
    assert seconds(text) == 0


@pytest.mark.parametrize("text", ["-1", "-1:00", "nan", "inf", "", "x", "1:2:3:4", "owl"])
def test_what_is_no_time(text: str) -> None:
    with pytest.raises(ValueError, match=r"time|number|convert"):
        seconds(text)
