# SPDX-License-Identifier: Apache-2.0
"""A result for the tools around it: plain values, pandas, files, and HTML for notebooks.

Files are written by the writers of the command line, and by its rules of what may be replaced.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Sequence
from functools import partial
from html import escape
from pathlib import Path
from typing import Any

from oido.arrays import F32, F64
from oido.errors import OptionError, needs_extra
from oido.messages import tr
from oido.types import AnyRow, Event, Row
from oido.urls import local_name
from oido.writers.base import ALSO, CALIBRATED, COLUMNS
from oido.writers.formats import (
    CALIBRATED_FORMATS,
    FORMATS,
    FRAME_FORMAT,
    TableFile,
    for_spreadsheets,
    format_of_path,
)
from oido.writers.tables import also_text, record_of
from oido.writers.written import WrittenFiles

_MOST_SHOWN = 20
"""Events in a notebook's cell."""

_PLACE = ("file", "channel")


def dicts_of(rows: Iterable[Row], calibrated: bool) -> list[dict[str, Any]]:
    """Rows of one recording as JSON has them, without what all of them share."""
    records = (record_of(row, calibrated) for row in rows)
    return [{name: v for name, v in each.items() if name not in _PLACE} for each in records]


def frame_of_rows(rows: Sequence[Row], calibrated: bool) -> Any:
    """A DataFrame with the columns of every table, also without a row."""
    pandas = _pandas()
    records = [record_of(row, calibrated) | {ALSO: also_text(row)} for row in rows]
    columns = [*COLUMNS, *([CALIBRATED] if calibrated else []), ALSO]
    kinds = {"channel": "Int64", "label_index": "int64"}
    kinds |= dict.fromkeys(("start_time", "end_time", "score", CALIBRATED), "float64")
    frame = pandas.DataFrame(records, columns=columns)
    return frame.astype({name: kind for name, kind in kinds.items() if name in columns})


def frame_of_scores(scores: F32, starts: F64, labels: Sequence[str]) -> Any:
    """A DataFrame of f32[N, C]; the index are f64[N], seconds."""
    pandas = _pandas()
    index = pandas.Index(starts, name="start_time")
    return pandas.DataFrame(scores, index=index, columns=list(labels))


def _pandas() -> Any:
    with needs_extra(tr("to_dataframe needs pandas; install it with: pip install 'oido[pandas]'")):
        import pandas
    return pandas


MakeRows = Callable[[bool], Sequence[AnyRow]]
"""Whether all scores of all frames are wanted → the rows."""


def save_rows(
    path: str,
    level: str | None,
    rows: MakeRows,
    *,
    recording: str,
    labels: Sequence[str],
    calibrated: bool,
) -> Path:
    """Write rows in the format that a name ends in; into a folder, as CSV. Returns the file's path.

    level: what a row is; None: events, or frames where the format has all their scores. recording:
    what is never replaced. Raises OptionError, OutputError.
    """
    if not path:
        raise OptionError(tr("say which file, such as events.csv"))
    path = local_name(path)
    arrays = FRAME_FORMAT._replace(writer=partial(FRAME_FORMAT.writer, labels=labels))
    known = (*for_spreadsheets(CALIBRATED_FORMATS if calibrated else FORMATS), arrays)
    target, record = Path(path), None
    if path.endswith(("/", os.sep)) or target.is_dir():
        entry, record = known[0], WrittenFiles(target)
        table = {"clip": "clips", None: "events"}.get(level, level)
        target = target / f"{table}{entry.suffix}"
        record.refuse_others([target], tr("overwritten"))
    else:
        found = format_of_path(target, known)
        if found is None:
            endings = ", ".join(entry.suffix for entry in known)
            raise OptionError(
                tr(
                    "{path}: the name does not tell the format; let it end in one of "
                    "{endings}, or in / for a folder",
                    path=path,
                    endings=endings,
                )
            )
        entry = found
    if entry is arrays and level not in (None, "frames"):
        raise OptionError(tr("npz has the scores of all frames, and none of {level}", level=level))
    if os.path.realpath(target) == os.path.realpath(recording):
        raise OptionError(
            tr("{target} is the recording itself; choose another output", target=target)
        )
    content = rows(entry is arrays)
    file = TableFile(target, entry, record)
    try:
        file.write(content)
        return file.commit()
    except BaseException:
        file.discard()
        raise


_CELL = "padding:2px 12px 2px 0;text-align:left;border:0"
_BAR = "display:inline-block;height:.7em;background:currentColor;opacity:.45"


def result_html(title: str, events: Sequence[Event], *, calibrated: bool) -> str:
    """A recording's events as a table for notebooks, in light and dark."""
    what = "probability" if calibrated else tr("score, not a probability")
    lines = [
        f"<tr><td style='{_CELL}'>{event.start_time:.2f} – {event.end_time:.2f} s</td>"
        f"<td style='{_CELL}'><span style='{_BAR};width:{value * 8:.2f}em'></span> {value:.2f}</td>"
        f"<td style='{_CELL}'>{escape(event.display_name or event.label)}</td></tr>"
        for event in events[:_MOST_SHOWN]
        for value in [event.score if event.probability is None else event.probability]
    ]
    more = len(events) - _MOST_SHOWN
    if more > 0:
        lines.append(_note(tr("and {more} more: result.events()", more=more)))
    if not events:
        lines = [_note(tr("no event reaches the threshold"))]
    heads = "".join(f"<th style='{_CELL}'>{head}</th>" for head in ("start – end", what, "event"))
    return f"<div>{escape(title)}</div><table><tr>{heads}</tr>{''.join(lines)}</table>"


def _note(text: str) -> str:
    return f"<tr><td style='{_CELL}' colspan=3>{text}</td></tr>"
