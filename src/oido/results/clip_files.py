# SPDX-License-Identifier: Apache-2.0
"""Clips out of an archive: events or hits cut from their recordings, as files with a table."""

from __future__ import annotations

import contextlib
import csv
import io
import os
import re
import tempfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import groupby
from pathlib import Path
from typing import Any, Literal, NamedTuple

from oido.batch.storage import is_remote
from oido.batch.units import raw_name
from oido.datasets.clip import check_label
from oido.dialects import number, read_text, seconds, table_lines
from oido.errors import AudioError, OidoError, OptionError
from oido.messages import text_of, tr
from oido.models.labels import label_text
from oido.results.excerpts import read_excerpt
from oido.results.query_text import quoted
from oido.results.results import Results
from oido.results.tallies import site_of
from oido.signal.decode.remote import fetch
from oido.signal.encode import flac_bytes, wav_bytes
from oido.signal.mixing import Channel
from oido.writers.atomic import write_recorded
from oido.writers.base import quote_cell
from oido.writers.written import WrittenFiles

Choice = Literal["top", "random", "stratified"]
CHOICES: tuple[Choice, ...] = ("top", "random", "stratified")
STRATA = 10
TABLE_NAME = "clips.csv"
_COLUMNS = (
    "file",
    "label",
    "group",
    "value",
    "recording",
    "channel",
    "recording_start",
    "recording_end",
    "start_at",
    "site",
    "choice",
    "stratum",
    "weight",
    "verdict",
)
"""``group`` is what `oido train` takes for the source; ``weight`` how many events a clip speaks
for; ``verdict`` is for who listens: yes, no or unsure, for `oido count`."""

_MARGIN_SECONDS = 0.25
_UNSAFE = re.compile(r"[^\w.-]+")


class ClipSource(NamedTuple):
    """What is to be cut: a span of a recording, and what stands in the table beside it."""

    recording: str
    channel: int | None
    start_time: float
    end_time: float
    label: str
    value: float
    location: str
    duration: float
    start_at: Any
    site: str
    choice: str
    stratum: int | None
    weight: float


@dataclass
class Cut:
    """What became of it: the files that were written, and recordings that were not reached."""

    written: list[Path] = field(default_factory=list)
    unreached: dict[str, str] = field(default_factory=dict)


def chosen_events(
    results: Results,
    label: str | None,
    count: int,
    choice: Choice = "top",
    *,
    where: str | None = None,
    site: str | None = None,
    seed: int = 0,
) -> list[ClipSource]:
    """Events of a label: the ``count`` best, any, or as many from each of ten ranges of scores.

    label: None is any. A stratum holds a tenth of the events, by their score (or probability);
    ``weight`` is how many events each chosen one stands for. The same seed chooses the same of the
    same events. Raises OptionError, and UnknownLabelError for a label that nothing has.
    """
    if count < 1:
        raise OptionError(tr("--count is 1 clip or more, not {count}", count=count))
    name = None if label is None else results.label_here(label)
    of_label = "true" if name is None else f"label = {quoted(name)}"
    value = results.value_column
    chance = f"md5(concat_ws('|', file, channel, start_time, label, {seed}))"
    order = {"top": f"{value} DESC, file, start_time"}.get(choice, chance)
    # The line end keeps a comment at the condition's end from swallowing the bracket.
    condition = f"AND ({where}\n)" if where else ""
    strata = STRATA if choice == "stratified" else 1
    each = f"""SELECT *, {value} AS value, {site_of(results, site)} AS site,
        ntile({strata}) OVER (ORDER BY {value}, file, start_time) AS stratum FROM events
        WHERE {of_label} {condition}"""
    # From the strata in turn, so that a few more fall to some where the count is no multiple.
    ranked = f"""SELECT *, row_number() OVER (PARTITION BY stratum ORDER BY {order}) AS nth,
        count(*) OVER (PARTITION BY stratum) AS among FROM ({each})"""
    limited = f"SELECT * FROM ({ranked}) ORDER BY nth, stratum LIMIT {count}"
    rows = results.sql(
        _with_recordings(
            f"SELECT *, among / count(*) OVER (PARTITION BY stratum) AS weight FROM ({limited})",
            results,
        ),
        written=where,
    ).to_pylist()
    if not rows:
        if label is None or name is None:
            raise OptionError(tr("no event is to be had there"))
        results.require_label(label, [r["label"] for r in results.sql(_LABELS).to_pylist()])
        raise OptionError(tr("no event of {name} is to be had there", name=label_text(name)))
    is_stratified = choice == "stratified"
    return [
        _place(row, row["value"], choice, row["stratum"] if is_stratified else None, row["weight"])
        for row in rows
    ]


_LABELS = "SELECT DISTINCT label FROM events"


def listed_places(
    results: Results, table: str | os.PathLike[str], label: str | None, *, site: str | None = None
) -> list[ClipSource]:
    """The rows of a table that `oido find` or `oido query` wrote (CSV): file, start_time, end_time.

    label: what they are called; None takes the table's column, and "" where there is none. Raises
    OptionError.
    """
    if label is not None:
        label = check_label(label, "--label")
    rows = list(_csv_rows(os.fspath(table)))
    if not rows:
        raise OptionError(tr("{table}: has no row", table=table))
    names = ", ".join(sorted({quoted(row["file"]) for row in rows}))
    found = results.sql(
        f"""SELECT file, any_value(location) AS location, any_value(duration) AS duration,
        {_RECORDED_AT if "recorded_at" in results.columns("recordings") else "NULL"} AS recorded_at,
        any_value({site_of(results, site)}) AS site FROM recordings WHERE file IN ({names})
        GROUP BY file"""
    ).to_pylist()
    recordings = {row["file"]: row for row in found}
    places = []
    for row in rows:
        if row["file"] not in recordings:
            raise OptionError(
                tr(
                    "{table}: {file} is no recording of {url}",
                    table=table,
                    file=row["file"],
                    url=results.url,
                )
            )
        facts = recordings[row["file"]]
        joined = {**facts, **row, "label": row["label"] if label is None else label}
        joined |= {"start_at": _later(facts["recorded_at"], row["start_time"])}
        places.append(_place(joined, row["value"], "listed", None, 1.0))
    return places


_RECORDED_AT = "any_value(recorded_at)"


def write_clips(
    places: Sequence[ClipSource],
    folder: str | os.PathLike[str],
    *,
    seconds: float | None = None,
    format_name: Literal["flac", "wav"] = "flac",
    on_progress: Callable[[int, int], None] = lambda done, of: None,
) -> Cut:
    """Write a file for each place, and ``clips.csv``, which `oido train` reads.

    seconds: of each clip, around the middle of its event; None: the event and a quarter of a second
    on both sides. Clips keep to their recording; mono or the event's channel, 16 bits, at the
    recording's rate. Remote recordings are fetched, one at a time. In the folder nothing is
    overwritten that oido did not write. Raises OptionError and OutputError; a recording that cannot
    be reached is told in what is returned. A KeyboardInterrupt says what is there: whole clips, and
    a table of these.
    """
    if seconds is not None and not seconds > 0:
        raise OptionError(tr("--seconds is more than 0, not {seconds:g}", seconds=seconds))
    target, cut = Path(folder), Cut()
    names = _names(places, format_name)
    record = WrittenFiles(target)
    record.refuse_others(
        [target / TABLE_NAME, *(target / name for name in names)], tr("overwritten")
    )
    order = sorted(range(len(places)), key=lambda n: (places[n].recording, places[n].start_time))
    rows: dict[int, list[Any]] = {}
    try:
        for recording, group in groupby(order, key=lambda n: places[n].recording):
            numbers = list(group)
            try:
                with reached(recording, places[numbers[0]].location) as path:
                    for number in numbers:
                        place = places[number]
                        start, end = _span(place, seconds)
                        channel: Channel = "mix" if place.channel is None else place.channel
                        found = read_excerpt(path, start, end, channel=channel)
                        encode = flac_bytes if format_name == "flac" else wav_bytes
                        content = encode(found.waveform, found.rate_hz)
                        rows[number] = _row(names[number], place)
                        write_recorded(target / names[number], content, record)
                        cut.written.append(target / names[number])
                        on_progress(len(rows), len(places))
            except (AudioError, OSError) as error:
                cut.unreached[recording] = text_of(error)
        _write_table(target, rows, record)
    except KeyboardInterrupt:
        rows = {n: row for n, row in rows.items() if (target / names[n]).exists()}
        _write_table(target, rows, record)
        if not rows:
            raise
        raise KeyboardInterrupt(
            tr(
                "{done} of {count} clips are in {folder}, with their {table}; give the command "
                "again for all",
                done=len(rows),
                count=len(places),
                folder=target,
                table=TABLE_NAME,
            )
        ) from None
    return cut


def _write_table(folder: Path, rows: Mapping[int, list[Any]], record: WrittenFiles) -> None:
    """What clips there are, if there are any."""
    if rows:
        text = io.StringIO()
        writer = csv.writer(text, lineterminator="\n")
        writer.writerow(_COLUMNS)
        writer.writerows(rows[number] for number in sorted(rows))
        write_recorded(folder / TABLE_NAME, text.getvalue().encode(), record)


def _with_recordings(chosen: str, results: Results) -> str:
    at = "" if "start_at" in results.columns("events") else ", NULL AS start_at"
    return f"""SELECT chosen.*{at}, location, coalesce(duration, 0) AS duration
        FROM ({chosen}) AS chosen LEFT JOIN (SELECT file, any_value(location) AS location,
            any_value(duration) AS duration FROM recordings GROUP BY file) AS places
        ON chosen.file = places.file ORDER BY chosen.value DESC, chosen.file, chosen.start_time"""


def _place(
    row: dict[str, Any], value: float, choice: str, stratum: int | None, weight: float
) -> ClipSource:
    return ClipSource(
        row["file"],
        row["channel"],
        row["start_time"],
        row["end_time"],
        row["label"],
        value,
        row["location"] or row["file"],
        row["duration"] or 0.0,
        row["start_at"],
        row["site"] or "",
        choice,
        stratum,
        weight,
    )


def _later(recorded_at: Any, seconds: float) -> Any:
    from datetime import timedelta

    return None if recorded_at is None else recorded_at + timedelta(seconds=seconds)


def _csv_rows(path: str) -> Iterator[dict[str, Any]]:
    """file, channel, start_time, end_time, label and value of each row."""
    columns: list[str] | None = None
    value_name = ""
    try:
        for line, cells in table_lines(read_text(path)):
            if columns is None:
                columns = [cell.strip().lower() for cell in cells]
                for needed in ("file", "start_time", "end_time"):
                    if needed not in columns:
                        raise OptionError(
                            tr("{path}: has no column {needed!r}", path=path, needed=needed)
                        )
                value_name = next((name for name in _VALUES if name in columns), "")
                continue
            row = dict(zip(columns, cells))
            try:
                start, end = seconds(row["start_time"]), seconds(row["end_time"])
                channel = int(row["channel"]) if row.get("channel") else None
                value = number(row[value_name]) if row.get(value_name) else 0.0
            except (KeyError, ValueError):
                raise OptionError(
                    tr("{path}, line {line}: its numbers are none", path=path, line=line)
                ) from None
            if end < start:
                raise OptionError(
                    tr("{path}, line {line}: it ends before it begins", path=path, line=line)
                )
            found = {"file": row["file"], "channel": channel, "label": row.get("label", "")}
            yield {**found, "start_time": start, "end_time": end, "value": value}
    except csv.Error as error:
        raise OptionError(tr("{path}, {error}", path=path, error=error)) from error


_VALUES = ("similarity", "probability", "score")
"""Columns that may say how good a row is; the first that is there does."""


@contextlib.contextmanager
def reached(recording: str, location: str) -> Iterator[str]:
    """A recording of an archive as a file on this machine. Raises an AudioError or OSError."""
    paths = [raw_name(path) for path in dict.fromkeys((location, recording))]
    for path in paths:
        if not is_remote(path) and os.path.exists(path):
            yield path
            return
    if not is_remote(paths[0]):
        raise AudioError(
            tr(
                "{recording}: is not at {paths} any more; put it back, or say the command in the "
                "folder below which {recording} is now",
                recording=recording,
                paths=paths[0],
            )
        )
    with tempfile.TemporaryDirectory(prefix="oido-") as folder:
        path = os.path.join(folder, os.path.basename(paths[0]) or "recording")
        try:
            fetch(paths[0], path, recording)
        except AudioError:
            raise
        except OidoError as error:
            raise AudioError(text_of(error)) from error
        yield path


def _span(place: ClipSource, seconds: float | None) -> tuple[float, float]:
    """Where a clip begins and ends in its recording."""
    if seconds is None:
        start, end = place.start_time - _MARGIN_SECONDS, place.end_time + _MARGIN_SECONDS
    else:
        middle = (place.start_time + place.end_time) / 2
        start, end = middle - seconds / 2, middle + seconds / 2
        if place.duration and end > place.duration:
            start, end = start - (end - place.duration), place.duration
        if start < 0:
            start, end = 0.0, end - start
    return max(0.0, start), min(end, place.duration) if place.duration else end


def _names(places: Sequence[ClipSource], suffix: str) -> list[str]:
    """Site, time and score of each, as names of files; each name once."""
    names: dict[str, int] = {}
    found = []
    for place in places:
        stem = Path(raw_name(place.recording).replace("\\", "/")).stem
        time = f"{stem}_{place.start_time:09.2f}s"
        if place.start_at is not None:
            time = f"{place.start_at:%Y%m%dT%H%M%S}Z"
        parts = [place.site if place.site != "." else "", time, f"{place.value:.3f}"]
        name = _UNSAFE.sub("-", "_".join(part for part in parts if part)).strip("-.") or "clip"
        names[name] = number = names.get(name, 0) + 1
        found.append(f"{name}{'' if number == 1 else f'-{number}'}.{suffix}")
    return found


def _row(name: str, place: ClipSource) -> list[Any]:
    at = "" if place.start_at is None else f"{place.start_at:%Y-%m-%dT%H:%M:%S.%f}"[:-3] + "Z"
    recording = quote_cell(place.recording)
    return [
        name,
        quote_cell(place.label),
        recording,
        f"{place.value:.4f}",
        recording,
        "" if place.channel is None else place.channel,
        f"{place.start_time:.3f}",
        f"{place.end_time:.3f}",
        at,
        quote_cell(place.site),
        place.choice,
        "" if place.stratum is None else place.stratum,
        f"{place.weight:.4f}",
        "",
    ]
