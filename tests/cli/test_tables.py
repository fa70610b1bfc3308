# SPDX-License-Identifier: Apache-2.0
"""Rows on the screen: a table to read, whatever the terminal can print, or a machine's format."""

from __future__ import annotations

import io
import json
import sys

import pyarrow as pa
import pytest

from oido.batch.plan import Failure, FileSummary, Task
from oido.cli.tables import StandardOutput, Table, bar_text, show_table
from oido.types import Row
from oido.writers.formats import format_named

TASK = Task(0, "/in/a.wav", "a.wav", "a.wav")
ROW = Row("a.wav", None, 3.21, 10_867.5, "Dog", 69, 0.5)


def lines(capsys: pytest.CaptureFixture[str]) -> list[str]:
    return capsys.readouterr().out.splitlines()


def test_times_are_as_short_as_they_can_be(capsys: pytest.CaptureFixture[str]) -> None:
    table = Table(False, "events")
    table.write(TASK, [ROW, ROW._replace(start_time=59.996, end_time=779.0)])
    head, first, second = lines(capsys)
    assert head.split() == ["start", "–", "end", "score,", "not", "a", "probability", "event"]
    assert first == "0:03.21 – 3:01:07.50  ██████████·········· 0.50  Dog"
    assert second == "1:00.00 – 12:59.00   ██████████·········· 0.50  Dog"


def test_several_recordings_and_channels_have_their_names(
    capsys: pytest.CaptureFixture[str],
) -> None:
    table = Table(True, "clip", calibrated=True)
    for channel in (0, 1):
        table.write(TASK, [ROW._replace(channel=channel, probability=0.25)] * 2)
    text = lines(capsys)
    assert [line for line in text if "channel" in line] == ["a.wav, channel 0", "a.wav, channel 1"]
    assert sum("0.25  Dog" in line for line in text) == 4  # the probability, and not the score
    assert sum("probability" in line for line in text) == 2
    assert "recording" in text[1]


def test_nothing_and_a_failure_and_something_strange_are_told(
    capsys: pytest.CaptureFixture[str],
) -> None:
    table = Table(True, "events")
    table.end(TASK, FileSummary("a.wav"))
    assert "(nothing above the threshold; try a lower --threshold, or --clip)" in lines(capsys)
    table.end(TASK, FileSummary("a.wav", failure=Failure("K", "why")))
    assert lines(capsys) == []
    table.write(TASK, [ROW])
    table.end(TASK, FileSummary("a.wav", unknown=True))
    assert lines(capsys)[-1].startswith("(unlike everything that this model was taught")


@pytest.mark.parametrize(
    ("share", "bar"), [(-1, "····"), (0.1, "····"), (0.5, "██··"), (1, "████"), (7, "████")]
)
def test_a_bar_is_a_share_of_its_cells(share: float, bar: str) -> None:
    assert bar_text(share, 4) == bar


def test_a_terminal_of_ascii_gets_signs_that_it_has(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "stdout", io.TextIOWrapper(io.BytesIO(), encoding="ascii"))
    assert bar_text(0.5, 4) == "##.."


@pytest.mark.parametrize("name", ["csv", "jsonl"])
def test_rows_for_the_next_program_come_recording_by_recording(
    name: str, capsys: pytest.CaptureFixture[str]
) -> None:
    sink = StandardOutput(format_named(name))
    sink.write(TASK, [ROW])
    sink.end(TASK, FileSummary("a.wav"))
    text = capsys.readouterr().out
    assert text.count("Dog") == 1
    sink.write(TASK, [ROW, ROW])
    sink.commit()
    text += capsys.readouterr().out
    assert text.count("Dog") == 3
    if name == "jsonl":
        assert [json.loads(line)["label"] for line in text.splitlines()] == ["Dog"] * 3


def test_columns_in_which_nothing_stands_are_left_out(capsys: pytest.CaptureFixture[str]) -> None:
    path = "/a/very/long/path/" + "x" * 60 + "/end.wav"
    table = pa.table(
        {
            "file": [path, "b\n.wav"],
            "channel": pa.array([None, None], pa.int32()),
            "label_index": [69, 70],
            "start_time": [1.5, 100.0],
            "score": [0.123456, 1.0],
            "text": ["y" * 80, None],
            "start_at": ["2026-05-01T12:00:01.500000Z", None],
        }
    )
    show_table(table, every_column=False)
    head, first, second = lines(capsys)
    assert head.split() == ["file", "start_time", "score", "text", "start_at"]
    assert first.startswith("…")
    assert "/end.wav  " in first
    assert "2026-05-01 12:00:01" in first
    assert "y" * 59 + "…" in first
    assert second.split() == [r"b\n.wav", "100.00", "1"]
    assert len(second) == first.index("0.1235") + 6, "numbers stand to the right"
    show_table(table, every_column=True)
    assert {"channel", "label_index"} < set(lines(capsys)[0].split())
    show_table(table.slice(0, 0), every_column=False)
    assert lines(capsys)[-1] == "(no row)"


@pytest.mark.parametrize(
    ("count", "words"), [(1, "(1 sound is unlike"), (3, "(3 sounds are unlike")]
)
def test_unknown_stretches_are_counted_unless_they_are_listed(
    capsys: pytest.CaptureFixture[str], count: int, words: str
) -> None:
    screen = Table(False, "events")
    summary = FileSummary("a.wav", unknown_stretches=count)
    screen.write(TASK, [Row("a.wav", None, 0.0, 1.0, "Dog", 0, 0.9)])
    screen.end(TASK, summary)
    assert lines(capsys)[-1].startswith(words)
    screen.write(TASK, [Row("a.wav", None, 0.0, 1.0, "unknown", -1, 0.9)])
    screen.end(TASK, summary)
    assert lines(capsys)[-1].endswith("unknown")
