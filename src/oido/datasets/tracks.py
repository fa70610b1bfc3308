# SPDX-License-Identifier: Apache-2.0
"""Recordings with label tracks beside them: Audacity's, and the selection tables of Raven."""

from __future__ import annotations

import csv
import io
import os
from typing import NamedTuple

from oido.datasets.clip import Clip, Found, LeftOut, check_label, meaning_of, source_of
from oido.datasets.folders import files_below, is_recording
from oido.datasets.regions import background_clips, region_around, relate
from oido.datasets.tables import read_text, seconds
from oido.datasets.waveforms import probe
from oido.errors import OptionError

_BEGIN, _END = "begin time (s)", "end time (s)"

_RAVEN_LABELS = (
    "annotation",
    "label",
    "species",
    "common name",
    "species code",
    "class",
    "call type",
    "type",
    "tags",
    "code",
)
"""Raven leaves the naming to its users; these names are looked for in this order."""


class TrackError(ValueError):
    """The text is no label track; the message is the reason."""


class Mark(NamedTuple):
    """One label of a track: seconds, its text (empty if it has none), where it stands."""

    start: float
    end: float
    text: str
    where: str


class Track(NamedTuple):
    """The marks of a track in its order, and of the lines that make no sense, where and why."""

    marks: list[Mark]
    problems: list[tuple[str, str]]


def parse_track(path: str, recording: str) -> Track:
    """Read the label track of a recording; its first line shows which program wrote it.

    A line that ends before it starts, or belongs to another recording, is a problem of its own.
    Raises TrackError for a text that is no track, OptionError if it cannot be read.
    """
    text = read_text(path)
    header = text.lstrip().partition("\n")[0].lower()
    if _BEGIN in header and _END in header:
        return _read_raven(text, path, recording)
    return _read_audacity(text, path)


def _read_audacity(text: str, path: str) -> Track:
    """``start<TAB>end<TAB>label``; a line from a backslash on holds frequencies, no label.

    Format: https://manual.audacityteam.org/man/importing_and_exporting_labels.html
    """
    track = Track([], [])
    for number, line in enumerate(text.splitlines(), start=1):
        if not line.strip() or line.startswith("\\"):
            continue
        cells = line.split("\t")
        try:
            start, end = seconds(cells[0]), seconds(cells[1])
        except (ValueError, IndexError):
            raise TrackError(
                f"line {number} is not start, end and label between tabs: {line[:60]!r}"
            ) from None
        _add(track, start, end, cells[2] if len(cells) > 2 else "", f"{path}, line {number}")
    return track


def _read_raven(text: str, path: str, recording: str) -> Track:
    """A table between tabs, with a header."""
    reader = csv.reader(io.StringIO(text, newline=""), delimiter="\t", quoting=csv.QUOTE_NONE)
    lines = ([c.strip() for c in cells] for cells in reader if any(c.strip() for c in cells))
    columns = [name.lower() for name in next(lines)]
    column = next((name for name in _RAVEN_LABELS if name in columns), None)
    if column is None:
        raise TrackError(
            f"no column is called Annotation, Label or Species; its columns are "
            f"{', '.join(repr(name) for name in columns)}"
        )
    # A selection stands there once for each view of it, and perhaps with its label in one only.
    rows: dict[tuple[str, str], tuple[str, dict[str, str]]] = {}
    for cells in lines:
        row = dict(zip(columns, cells))
        where = f"{path}, line {reader.line_num}"
        key = (row.get("selection") or where, row.get("begin file", ""))
        if key not in rows or not rows[key][1].get(column):
            rows[key] = (where, row)
    track = Track([], [])
    for where, row in rows.values():
        if _is_of_another(row.get("begin file", ""), recording):
            track.problems.append((where, f"is of {row['begin file']}"))
            continue
        try:
            start, end = seconds(row[_BEGIN]), seconds(row[_END])
        except (ValueError, KeyError):
            track.problems.append((where, "has no times"))
            continue
        _add(track, start, end, row.get(column, ""), where)
    return track


def _add(track: Track, start: float, end: float, text: str, where: str) -> None:
    if end < start:
        track.problems.append((where, f"ends at {end:g} s, before it starts, {start:g} s"))
    else:
        track.marks.append(Mark(start, end, text.strip(), where))


def _is_of_another(begin_file: str, recording: str) -> bool:
    """Raven names the file in which a selection begins, since it can show several in a row."""
    named, own = (
        os.path.splitext(p.replace("\\", "/").rsplit("/", 1)[-1])[0].lower()
        for p in (begin_file, recording)
    )
    return bool(named) and named != own


def tracked_clips(folder: str, *, background_from_gaps: bool = True) -> Found:
    """The labelled regions of the recordings in a folder and below it.

    The tracks of ``a.wav`` are ``a.txt`` and all ``a.….txt`` in its folder; an empty one makes its
    whole recording background, if ``background_from_gaps``. Recordings without a track, tracks that
    cannot be read, and labels without text are left out. See `Dataset.from_label_tracks`.
    """
    found = Found()
    tracks, found.skipped = _pair(folder)
    for recording, paths in tracks.items():
        if not paths:
            found.left_out.append(LeftOut(recording, "has no label track beside it"))
            continue
        try:
            parsed = [parse_track(path, recording) for path in paths]
        except TrackError as error:
            found.left_out.append(LeftOut(recording, f"{os.path.basename(paths[0])}: {error}"))
            continue
        found.left_out += [LeftOut(*problem) for track in parsed for problem in track.problems]
        group = source_of(os.path.relpath(recording, folder).replace(os.sep, "/"))
        found.clips += _clips_of(recording, group, parsed, background_from_gaps, found)
    if not found.clips:
        first = f"; {found.left_out[0].name}: {found.left_out[0].reason}" if found.left_out else ""
        raise OptionError(f"{folder}: no labelled region of a recording in it{first}")
    return found


def has_tracks(folder: str) -> bool:
    """Do more than half of the recordings below a folder have a label track beside them?"""
    tracks, _ = _pair(folder)
    readable = sum(any(_is_track(path, r) for path in paths) for r, paths in tracks.items())
    return readable * 2 > len(tracks)


def _is_track(path: str, recording: str) -> bool:
    try:
        parse_track(path, recording)
    except (TrackError, OptionError):
        return False
    return True


def _pair(folder: str) -> tuple[dict[str, list[str]], list[str]]:
    """The tracks of each recording, and the files that are neither."""
    files = list(files_below(folder))
    tracks: dict[str, list[str]] = {path: [] for path in files if is_recording(path)}
    of_stem = {os.path.splitext(path)[0]: path for path in tracks}
    skipped = []
    for path in files:
        if path in tracks:
            continue
        stem, ending = os.path.splitext(path)
        # "a.b.txt" is of "a.b.wav" if there is one, else of "a.wav".
        while ending.lower() == ".txt" and stem not in of_stem and "." in os.path.basename(stem):
            stem = os.path.splitext(stem)[0]
        if ending.lower() == ".txt" and stem in of_stem:
            tracks[of_stem[stem]].append(path)
        else:
            skipped.append(path)
    return tracks, skipped


def _clips_of(
    recording: str, group: str, parsed: list[Track], background_from_gaps: bool, found: Found
) -> list[Clip]:
    regions: dict[tuple[float, float], list[Mark]] = {}
    marks = [mark for track in parsed for mark in track.marks]
    for mark in marks:
        if mark.text:
            check_label(mark.text.removeprefix("-"), mark.where)
            regions.setdefault(region_around(mark.start, mark.end), []).append(mark)
        else:
            found.left_out.append(LeftOut(mark.where, "the label has no text"))
    clips = []
    for (start, end), same in regions.items():
        labels, negatives, complete = meaning_of((mark.text for mark in same), same[0].where)
        clips.append(Clip(recording, labels, negatives, start, end, None, group, complete))
    clips = relate(clips)
    if background_from_gaps and not any(track.problems for track in parsed):
        duration, problem = probe(recording)
        regions_of_marks = [region_around(mark.start, mark.end) for mark in marks]
        clips += background_clips(Clip(recording, group=group), regions_of_marks, duration)
        if problem and not clips:
            found.left_out.append(LeftOut(recording, problem))
    return clips
