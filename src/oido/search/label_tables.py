# SPDX-License-Identifier: Apache-2.0
"""Answers from the tables and label tracks that people keep, and to them."""

from __future__ import annotations

import csv
import io
import os
import posixpath
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from datetime import datetime
from pathlib import Path

from oido.datasets.clip import check_label
from oido.datasets.track_text import TrackError, parse_track
from oido.dialects import Verdict, number, read_text, seconds, table_lines, verdict_of
from oido.errors import OptionError
from oido.messages import tr
from oido.paths import paths_below_shared
from oido.search.hoplite import is_database, read_annotations, write_annotations
from oido.search.label_store import Answer, instant_text
from oido.types import Row
from oido.writers.annotations import AudacityWriter, RavenWriter
from oido.writers.atomic import write_recorded, write_text
from oido.writers.base import quote_cell
from oido.writers.written import WrittenFiles

_HEAD_BYTES = 1 << 16
_CLIPS = ("recording", "recording_start", "recording_end", "label", "verdict")
_EXPORT = ("file", "channel", "start_time", "end_time", "label", "who", "created")
_ASKED = ("value", "choice")
"""How it was asked; a table may lack them."""


def read_answers(
    path: str | os.PathLike[str], who: str = "", recording: str | None = None
) -> list[Answer]:
    """The answers of a file: ``clips.csv`` with verdicts, labels by Audacity, Raven, CSV, or the
    annotations of perch-hoplite.

    Of ``clips.csv`` rows without a verdict are none. In a label track each label is a yes, and one
    with a minus before it (``-Owl``) a no. who: of answers whose table does not say whose they are.
    recording: of a track that names none. Raises OptionError, naming the line.
    """
    name = os.fspath(path)
    if is_database(name):
        return read_annotations(name, who)
    columns = {*_header(name)}
    if {*_CLIPS} <= columns:
        return list(_of_clips(name, who))
    if {*_EXPORT} <= columns:
        return list(_of_export(name, who))
    try:
        track = parse_track(name)
    except TrackError as error:
        raise OptionError(tr("{name}: {error}", name=name, error=error)) from error
    if track.problems:
        where, reason = track.problems[0]
        raise OptionError(tr("{where}: {reason}", where=where, reason=reason))
    found = []
    for mark in track.marks:
        file = mark.file or recording
        if not file:
            raise OptionError(
                tr("{name}: says nothing of which recording; name it with --recording", name=name)
            )
        verdict: Verdict = "no" if mark.text.startswith("-") else "yes"
        if label := mark.text.removeprefix("-").strip():
            label = check_label(label, mark.where)
            found.append(Answer(file, mark.start, mark.end, label, verdict, who, choice="marked"))
    return found


def write_answers(answers: Sequence[Answer], path: Path, format_name: str) -> None:
    """Write answers as ``csv`` (which `oido train` reads: a no is ``-Owl``), ``raven``, or in a
    folder as ``audacity``, a track for each recording, in folders like theirs; these without what
    somebody is unsure of, which only ``hoplite`` has. Raises OptionError, OutputError."""
    if format_name == "hoplite":
        write_annotations(answers, path)
        return
    sure = [answer for answer in answers if answer.verdict != "unsure"]
    sure.sort(key=lambda answer: (answer.recording, answer.start_time, answer.end_time))
    if format_name == "csv":
        text = io.StringIO()
        writer = csv.writer(text, lineterminator="\n")
        writer.writerow(_EXPORT + _ASKED)
        for answer in sure:
            channel = "" if answer.channel is None else answer.channel
            times = (f"{answer.start_time:.3f}", f"{answer.end_time:.3f}")
            texts = (quote_cell(t) for t in (_signed(answer), answer.who, answer.created))
            value = "" if answer.value is None else f"{answer.value:.4f}"
            asked = (value, quote_cell(answer.choice))
            writer.writerow((quote_cell(answer.recording), channel, *times, *texts, *asked))
        write_text(path, text.getvalue())
        return
    files: dict[str, list[Row]] = {}
    for answer in sure:
        file = answer.recording if format_name == "audacity" else ""
        files.setdefault(file, []).append(_row(answer))
    if format_name == "raven":
        write_text(path, _text(RavenWriter, files.get("", [])))
        return
    names = _track_names(list(files))
    record = WrittenFiles(path)
    record.refuse_others((path / name for name in names.values()), tr("overwritten"))
    for file, rows in files.items():
        write_recorded(path / names[file], _text(AudacityWriter, rows).encode(), record)


def _header(path: str) -> list[str]:
    """The names of a table's columns, in lower case."""
    try:
        first = next(table_lines(read_text(path, _HEAD_BYTES)), None)
    except csv.Error:
        return []
    return [] if first is None else [cell.strip().lower() for cell in first.cells]


def _rows_of(path: str) -> Iterator[tuple[int, dict[str, str]]]:
    """The rows of a table by the names of its columns, each with its line."""
    columns: list[str] | None = None
    for line, cells in table_lines(read_text(path)):
        if columns is None:
            columns = [cell.strip().lower() for cell in cells]
        else:
            yield line, dict(zip(columns, cells))


def _of_clips(path: str, who: str) -> Iterator[Answer]:
    for line, row in _rows_of(path):
        if not row.get("verdict", "").strip():
            continue
        verdict = verdict_of(row["verdict"])
        if verdict is None:
            raise OptionError(
                tr(
                    "{path}, line {line}: a verdict is yes, no or unsure, not {verdict}",
                    path=path,
                    line=line,
                    verdict=row["verdict"],
                )
            )
        span = (row.get("recording_start", ""), row.get("recording_end", ""))
        yield _answer(path, line, row, (row.get("recording", ""), *span), verdict, who=who)


def _of_export(path: str, who: str) -> Iterator[Answer]:
    """What `write_answers` wrote as csv: whose answer it is stands in it."""
    for line, row in _rows_of(path):
        label = row.get("label", "")
        row["label"] = label.removeprefix("-")
        verdict: Verdict = "no" if label.startswith("-") else "yes"
        about = (row.get("file", ""), row.get("start_time", ""), row.get("end_time", ""))
        answer = _answer(path, line, row, about, verdict, who=row.get("who") or who)
        yield replace(answer, created=_instant(row.get("created", "")))


def _answer(
    path: str,
    line: int,
    row: Mapping[str, str],
    about: tuple[str, str, str],
    verdict: Verdict,
    *,
    who: str,
) -> Answer:
    """The answer in a row. about: recording, start and end, as they are written in it."""
    recording, start, end = about
    try:
        times = seconds(start), seconds(end)
        channel = int(row["channel"]) if row.get("channel") else None
        value = number(row["value"]) if row.get("value") else None
    except ValueError:
        raise OptionError(
            tr("{path}, line {line}: its numbers are none", path=path, line=line)
        ) from None
    label = row.get("label", "")
    if not label:
        raise OptionError(
            tr("{path}, line {line}: has no label that a verdict could be on", path=path, line=line)
        )
    if not recording:
        raise OptionError(tr("{path}, line {line}: names no recording", path=path, line=line))
    choice = row.get("choice", "")
    return Answer(recording, *times, label, verdict, who, channel, value, choice)


def _instant(text: str) -> str:
    """When an answer was given, as a store keeps it; "" where a spreadsheet has changed it."""
    try:
        instant = datetime.fromisoformat(text)
    except ValueError:
        return ""
    return "" if instant.tzinfo is None else instant_text(instant)


def _signed(answer: Answer) -> str:
    return f"-{answer.label}" if answer.verdict == "no" else answer.label


def _row(answer: Answer) -> Row:
    times = (answer.start_time, answer.end_time)
    return Row(answer.recording, answer.channel, *times, _signed(answer), 0, answer.value or 0.0)


def _text(writer: type[AudacityWriter] | type[RavenWriter], rows: Sequence[Row]) -> str:
    stream = io.StringIO()
    made = writer(stream)
    made.write(rows)
    made.close()
    return stream.getvalue()


def _track_names(files: Sequence[str]) -> dict[str, str]:
    """A path for the track of each recording, in folders like those of the recordings.

    Of two that differ in their ending alone, each keeps it; of two that are the same below their
    folders (of a store and of a disk), the second gets -2.
    """
    paths = paths_below_shared(files)
    stems = [posixpath.splitext(path)[0] for path in paths]
    counts = Counter(stems)
    used: set[str] = set()
    found: dict[str, str] = {}
    for file, path, stem in zip(files, paths, stems):
        name = own = stem if counts[stem] == 1 else path
        number = 1
        while name in used:
            number += 1
            name = f"{own}-{number}"
        used.add(name)
        found[file] = f"{name}.txt"
    return found
