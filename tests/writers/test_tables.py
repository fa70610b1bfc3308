# SPDX-License-Identifier: Apache-2.0
"""Tables of rows, read back by an independent reader."""

from __future__ import annotations

import csv
import gc
import io
import sys

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from oido.writers.base import ALSO, COLUMNS, quote_cell, unquote_cell
from oido.writers.formats import FORMATS, for_spreadsheets, format_named
from oido.writers.tables import also_labels, also_text, parquet_of_embeddings
from tests.writers.written_rows import ROWS, read_back, written


@pytest.mark.parametrize("name", ["csv", "jsonl", "json", "parquet"])
def test_tables_keep_columns_order_and_values(name: str) -> None:
    entry = format_named(name)
    table = read_back(entry, written(entry, ROWS[:1], ROWS[1:]))
    assert [tuple(row) for row in table] == [(*COLUMNS, ALSO)] * 3
    for row, expected in zip(table, ROWS):
        assert row["file"] == expected.file
        assert row["label"] == expected.label
        assert int(row["label_index"]) == expected.label_index
        assert float(row["start_time"]) == pytest.approx(expected.start_time, abs=1e-6)
        assert float(row["end_time"]) == pytest.approx(expected.end_time, abs=1e-6)
        assert float(row["score"]) == pytest.approx(expected.score, abs=1e-7)
        also = list(expected.also) if name.startswith("json") else "|".join(expected.also)
        assert row["also"] == also
        none = expected.channel is None
        assert row["channel"] in ((None, "") if none else (expected.channel, str(expected.channel)))


@pytest.mark.parametrize("name", ["csv", "jsonl", "json", "parquet"])
def test_quantised_scores_are_written_exactly(name: str) -> None:
    entry = format_named(name)
    rows = [ROWS[0]._replace(score=n / 256) for n in range(257)]
    assert [float(r["score"]) for r in read_back(entry, written(entry, rows))] == [
        n / 256 for n in range(257)
    ]


BARS = ("Cars|Trucks", "|", "\\", "a\\", "\\|b", "plain", "Dog\\Cat")


@given(st.lists(st.text(st.sampled_from("ab\\|, \n\t\"'") | st.characters(), min_size=1)))
@example(list(BARS))
def test_labels_that_hold_bars_are_read_back_the_same(labels: list[str]) -> None:
    text = also_text(ROWS[0]._replace(also=tuple(labels)))
    assert also_labels(text) == tuple(labels)


@pytest.mark.parametrize("name", ["csv", "parquet"])
def test_tables_keep_bars_apart(name: str) -> None:
    entry = format_named(name)
    row = ROWS[0]._replace(also=BARS)
    [found] = read_back(entry, written(entry, [row]))
    assert found["also"].startswith("Cars\\|Trucks|\\||\\\\|")
    assert also_labels(found["also"]) == BARS


def test_labels_without_bars_are_as_they_were() -> None:
    row = ROWS[0]._replace(also=("Dog", "Police car (siren)"))
    assert also_text(row) == "Dog|Police car (siren)"
    # Of tables of before, whose labels nothing marked.
    assert also_labels("a\\b|c") == ("a\\b", "c")
    assert also_labels("") == ()


RUN_BY_SPREADSHEETS = [f"{sign}1+1" for sign in "=+-@\t\r\n＝＋－＠"]
"""OWASP's list of what makes a cell a formula."""

TEXTS = [
    *RUN_BY_SPREADSHEETS,
    "'=1",
    "''=1",
    "'",
    "''",
    "'Dog",
    "Dog",
    "",
    "a=1",
    "\x1b=1",
    "-",
    "@",
]


@pytest.mark.parametrize("text", TEXTS)
def test_a_quoted_cell_is_no_formula_and_comes_back(text: str) -> None:
    assert unquote_cell(quote_cell(text)) == text
    assert quote_cell(text)[:1] not in tuple("=+-@\t\r\n＝＋－＠")


def test_numbers_are_never_quoted() -> None:
    assert [quote_cell(value) for value in (-1, -0.5, None)] == [-1, -0.5, None]


@pytest.mark.parametrize("name", ["csv", "jsonl"])
def test_only_csv_for_spreadsheets_is_quoted(name: str) -> None:
    rows = [ROWS[0]._replace(file=text, label=text, also=()) for text in TEXTS]
    rows.append(ROWS[0]._replace(also=("=1", "Dog")))
    exact, quoted = (format_named(name, known) for known in (FORMATS, for_spreadsheets(FORMATS)))
    plain = written(exact, rows)
    assert (written(quoted, rows) == plain) == (name == "jsonl")
    if name == "csv":
        text = written(quoted, rows).decode()
        cells = list(csv.DictReader(io.StringIO(text, newline="")))
        assert [unquote_cell(row["label"]) for row in cells[:-1]] == TEXTS
        assert [unquote_cell(row["file"]) for row in cells[:-1]] == TEXTS
        assert cells[-1]["also"] == "'=1|Dog"
        assert "'=1+1" not in plain.decode()


def test_a_parquet_file_that_is_given_up_says_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    """What ends a command closes the file first."""
    said: list[object] = []
    monkeypatch.setattr(sys, "unraisablehook", said.append)
    stream = io.BytesIO()
    writer = parquet_of_embeddings(stream)
    stream.close()
    del writer
    gc.collect()
    assert said == []
