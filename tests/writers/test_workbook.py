# SPDX-License-Identifier: Apache-2.0
"""Workbooks, read back by another library."""

from __future__ import annotations

import io
import math
from datetime import date, datetime

import pytest

from oido.errors import OptionError
from oido.writers.workbook import Sheet, write_workbook

pytest.importorskip("xlsxwriter", reason="needs oido[xlsx]")
openpyxl = pytest.importorskip("openpyxl", reason="reads the workbooks back")


def test_values_come_back_and_nothing_is_run() -> None:
    stream = io.BytesIO()
    texts = ("=1+1", "+1", "@x", "http://a.b", "{=x}", "mañana 🦉", "", "\udce9")
    rows = [[text, 1, 0.5, date(2023, 10, 15)] for text in texts] + [[None, math.nan, None, None]]
    sheet = Sheet("by file, hour, site and a long name", ("a", "b", "c", "d"), rows, {1})
    write_workbook(stream, [sheet, Sheet("none", ("only a head",), [])])
    book = openpyxl.load_workbook(io.BytesIO(stream.getvalue()))
    assert book.sheetnames == ["by file, hour, site and a long "[:31], "none"]
    found = [list(row) for row in book.worksheets[0].iter_rows(min_row=2)]
    assert [row[0].value or "" for row in found] == [*texts[:-1], "\\udce9", ""]
    assert {row[0].data_type for row in found if row[0].value} == {"s"}
    assert not any(row[0].hyperlink for row in found)
    assert [cell.value for cell in found[0][1:]] == [1, 0.5, datetime(2023, 10, 15)]
    assert [cell.value for cell in found[-1]] == [None] * 4
    assert [row[0].font.italic for row in found[:3]] == [False, True, False]
    assert [row[0].value for row in book["none"].iter_rows()] == ["only a head"]


def test_more_rows_than_a_sheet_holds_are_refused() -> None:
    rows = [[1]] * 1_048_576
    with pytest.raises(OptionError, match=r"1,048,576 rows are more than a sheet.*\.csv"):
        write_workbook(io.BytesIO(), [Sheet("a", ("b",), rows)])
