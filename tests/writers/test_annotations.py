# SPDX-License-Identifier: Apache-2.0
"""Label tracks and captions, as the programs that read them want them."""

from __future__ import annotations

import csv
import io
import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from oido.writers.annotations import Place, RavenListWriter
from oido.writers.formats import format_named
from tests.writers.written_rows import ROWS, written


def test_audacity_is_three_columns_between_tabs() -> None:
    lines = written(format_named("audacity"), ROWS).decode().splitlines()
    assert lines[0] == "0.000000\t1.687500\tSiren"
    assert [line.count("\t") for line in lines] == [2, 2, 2]


def test_raven_counts_selections_and_channels_from_one() -> None:
    table = csv.DictReader(
        io.StringIO(written(format_named("raven"), ROWS[:2], ROWS[2:]).decode()), delimiter="\t"
    )
    rows = list(table)
    assert [r["Selection"] for r in rows] == ["1", "2", "3"]
    assert [r["Channel"] for r in rows] == ["1", "2", "1"]
    assert [r["Also"] for r in rows] == ["", "Bird|Animal", ""]
    assert [float(r["Begin Time (s)"]) for r in rows] == [0.0, 3661.5, 59.9996]
    assert all(float(r["Low Freq (Hz)"]) < float(r["High Freq (Hz)"]) for r in rows)


def test_srt_numbers_its_cues_and_rounds_to_milliseconds() -> None:
    cues = written(format_named("srt"), ROWS).decode().strip().split("\n\n")
    assert cues[0] == "1\n00:00:00,000 --> 00:00:01,688\n[Siren]"
    assert cues[1].splitlines()[:2] == ["2", "01:01:01,500 --> 01:01:02,460"]
    # 59.9996 s is 60.000 s, not 59.1000 s.
    assert "00:01:00,000 --> 00:01:00,000" in cues[2]


def test_vtt_escapes_what_would_be_markup() -> None:
    text = written(format_named("vtt"), ROWS).decode()
    assert text.startswith("WEBVTT\n\n")
    assert '[Sound "quoted" &lt;&amp;&gt;]' in text
    assert len(re.findall(r"\d\d:\d\d:\d\d\.\d{3} --> \d\d:\d\d:\d\d\.\d{3}", text)) == 3


def test_a_list_for_raven_runs_on_from_file_to_file() -> None:
    stream = io.StringIO()
    places = {"a.wav": Place("/in/a.wav", 0.0), "b\tc.wav": Place("C:\\in\\b\tc.wav", 60.5)}
    writer = RavenListWriter(stream, places)
    writer.write(
        [ROWS[0]._replace(file="a.wav"), ROWS[0]._replace(file="b\tc.wav", start_time=1.0)]
    )
    writer.close()
    rows = list(csv.DictReader(io.StringIO(stream.getvalue()), delimiter="\t"))
    assert [row["Begin Path"] for row in rows] == ["/in/a.wav", "C:\\in\\b c.wav"]
    assert [row["Begin File"] for row in rows] == ["a.wav", "b c.wav"]
    assert [float(row["Begin Time (s)"]) for row in rows] == [0.0, 61.5]
    assert [float(row["End Time (s)"]) for row in rows] == [1.6875, 62.1875]
    assert [float(row["File Offset (s)"]) for row in rows] == [0.0, 1.0]


@pytest.mark.parametrize("name", ["audacity", "raven"])
def test_a_label_with_a_tab_stays_in_its_column(name: str) -> None:
    rows = [ROWS[0]._replace(label="one\ttwo", file="a\tb.wav")]
    lines = written(format_named(name), rows).decode().splitlines()
    columns = 3 if name == "audacity" else lines[0].count("\t") + 1
    assert len(lines[-1].split("\t")) == columns
    assert "one two" in lines[-1]


@given(st.floats(0, 1e6))
def test_a_time_of_a_caption_is_the_nearest_millisecond(seconds: float) -> None:
    text = written(format_named("srt"), [ROWS[0]._replace(start_time=seconds, end_time=seconds)])
    clock = text.decode().splitlines()[1].split(" --> ")[0]
    hours, minutes, rest = clock.split(":")
    whole, milliseconds = rest.split(",")
    assert (len(minutes), len(whole), len(milliseconds)) == (2, 2, 3)
    assert max(int(minutes), int(whole)) < 60
    found = int(hours) * 3600 + int(minutes) * 60 + int(whole) + int(milliseconds) / 1000
    assert abs(found - seconds) <= 0.000501


@pytest.mark.parametrize("name", ["audacity", "raven", "srt", "vtt"])
def test_no_name_and_no_label_ends_a_line(name: str) -> None:
    entry = format_named(name)
    plain = ROWS[0]._replace(file="a b.wav", label="a  b c")
    odd = plain._replace(file="a\nb.wav", label="a\r\nb\u2028c")
    assert written(entry, [odd, odd]) == written(entry, [plain, plain])
