# SPDX-License-Identifier: Apache-2.0
"""Workbooks of spreadsheets (.xlsx): the one place where XlsxWriter is used (`oido[xlsx]`)."""

from __future__ import annotations

import math
from collections.abc import Collection, Sequence
from datetime import date
from typing import IO, Any, NamedTuple

from oido.errors import OptionError, needs_extra
from oido.messages import tr

_MOST_ROWS = 1_048_575
_MOST_LETTERS = 32_767
_WIDEST = 60


class Sheet(NamedTuple):
    """A sheet: its name, the heads of its columns, its rows; pale: those that are drawn faintly."""

    name: str
    heads: Sequence[str]
    rows: Sequence[Sequence[Any]]
    pale: Collection[int] = ()


def require_workbooks() -> None:
    """Raise MissingExtraError without XlsxWriter, before the work."""
    with needs_extra(
        tr(
            "an .xlsx file needs XlsxWriter; run: pip install 'oido[xlsx]', or end "
            "the name with .csv"
        )
    ):
        import xlsxwriter  # noqa: F401


def write_workbook(stream: IO[bytes], sheets: Sequence[Sheet]) -> None:
    """Texts stay texts, whatever they begin with; no cell is a formula or a link.

    Raises OptionError for more rows than a sheet holds, and MissingExtraError.
    """
    require_workbooks()
    import xlsxwriter

    book = xlsxwriter.Workbook(stream, {"in_memory": True})
    bold = book.add_format({"bold": True, "bottom": 1})
    formats = {
        (is_pale, is_day): book.add_format(
            {
                **({"font_color": "#9a9a9a", "italic": True} if is_pale else {}),
                **({"num_format": "yyyy-mm-dd"} if is_day else {}),
            }
        )
        for is_pale in (False, True)
        for is_day in (False, True)
    }
    for each in sheets:
        if len(each.rows) > _MOST_ROWS:
            raise OptionError(
                tr(
                    "{n_rows:,} rows are more than a sheet of a workbook holds; end "
                    "the name with .csv, or count by fewer things",
                    n_rows=len(each.rows),
                )
            )
        sheet = book.add_worksheet(each.name[:31])
        widths = [len(head) for head in each.heads]
        for column, head in enumerate(each.heads):
            sheet.write_string(0, column, head, bold)
        for number, row in enumerate(each.rows):
            for column, value in enumerate(row):
                style = formats[number in each.pale, isinstance(value, date)]
                _write_cell(sheet, number + 1, column, value, style)
                widths[column] = max(widths[column], len(str(value)))
        for column, width in enumerate(widths):
            sheet.set_column(column, column, min(width, _WIDEST) + 2)
        sheet.freeze_panes(1, 0)
        if each.rows:
            sheet.autofilter(0, 0, len(each.rows), len(each.heads) - 1)
    book.close()


def _write_cell(sheet: Any, row: int, column: int, value: Any, style: Any) -> None:
    if value is None or (isinstance(value, float) and not math.isfinite(value)):
        sheet.write_blank(row, column, None, style)
    elif isinstance(value, date):
        sheet.write_datetime(row, column, value, style)
    elif isinstance(value, (int, float)):
        sheet.write_number(row, column, value, style)
    else:
        text = str(value).encode("utf-8", "backslashreplace").decode()[:_MOST_LETTERS]
        sheet.write_string(row, column, text, style)
