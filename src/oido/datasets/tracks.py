# SPDX-License-Identifier: Apache-2.0
"""Recordings with label tracks beside them: Audacity's, and tables such as Raven's selections.

A table may stand for many recordings, which its rows then name.
"""

from __future__ import annotations

import os
import unicodedata
from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import NamedTuple

from oido.datasets.clip import Clip, Found, LeftOut, check_label, meaning_of, source_of
from oido.datasets.folders import files_below
from oido.datasets.regions import background_clips, region_around, relate, separate_stretches
from oido.datasets.track_text import (
    Mark,
    Track,
    TrackError,
    names_recordings,
    parse_track,
    table_header,
)
from oido.datasets.waveforms import probe
from oido.errors import OptionError
from oido.messages import text_of, tr
from oido.paths import is_recording

_OIDOS_OWN = {"label_index", "score"}


def tracked_clips(
    folder: str, *, background_from_gaps: bool = True, each_is_a_source: bool = False
) -> Found:
    """The labelled regions of the recordings in a folder and below it.

    The tracks of ``a.wav`` are ``a.txt`` and all ``a.….txt`` in its folder, else an ``a.csv`` or
    ``a.tsv`` with times; an empty one makes its whole recording background, if
    ``background_from_gaps``. Rows of a table that names recordings are those recordings'. What has
    no track, tracks that cannot be read, lines that are no labels, and labels without text are left
    out. See `Dataset.from_label_tracks`.
    """
    found = Found()
    pairs = _pair(folder, found)
    labelled = _labelled(pairs, found)
    for recording, labels in labelled.items():
        if labels is None:
            continue
        if not labels.has_track:
            found.left_out.append(LeftOut(recording, tr("has no label track beside it")))
            continue
        group = source_of(os.path.relpath(recording, folder).replace(os.sep, "/"))
        gaps = background_from_gaps and labels.is_sure
        found.clips += _clips_of(recording, group, labels.marks, gaps, found)
    if not found.clips:
        first = (
            tr("; {name}: {reason}", name=found.left_out[0].name, reason=found.left_out[0].reason)
            if found.left_out
            else ""
        )
        raise OptionError(
            tr(
                "{folder}: no labelled region of a recording in it{first}",
                folder=folder,
                first=first,
            )
        )
    if each_is_a_source:
        separate_stretches(found)
    return found


@dataclass
class _Labels:
    """What tracks say of a recording. is_sure: no line was lost, and so no gap can be a label."""

    has_track: bool = False
    is_sure: bool = True
    marks: list[Mark] = field(default_factory=list)


def _labelled(pairs: _Pairs, found: Found) -> dict[str, _Labels | None]:
    """What all tracks say of each recording; None where one of its own cannot be read."""
    labelled: dict[str, _Labels | None] = {recording: _Labels() for recording in pairs.tracks}
    names = _Names(pairs.tracks)
    tables: list[tuple[str | None, list[Track]]] = []
    for recording, paths in pairs.tracks.items():
        try:
            tables.append((recording, [parse_track(path) for path in paths]))
        except (TrackError, OptionError) as error:
            reason = tr("{basename}: {error}", basename=os.path.basename(paths[0]), error=error)
            found.left_out.append(LeftOut(recording, reason))
            labelled[recording] = None
    for path in pairs.lists:
        try:
            tables.append((None, [parse_track(path)]))
        except (TrackError, OptionError) as error:
            found.left_out.append(LeftOut(path, text_of(error)))
    for beside, parsed in tables:
        for track in parsed:
            problems, touched = list(track.problems), [beside] if beside else []
            for mark in track.marks:
                owner = names.owner(mark.file, beside)
                if owner is None:
                    problems.append(
                        (mark.where, tr("is of {file}", file=mark.file or tr("no recording")))
                    )
                elif (labels := labelled[owner]) is not None:
                    labels.marks.append(mark)
                    touched.append(owner)
            for owner in touched:
                if (labels := labelled[owner]) is not None:
                    labels.has_track, labels.is_sure = True, labels.is_sure and not problems
            problems.sort(key=lambda problem: int(problem[0].rpartition(" ")[2]))
            found.left_out += [LeftOut(*problem) for problem in problems]
    return labelled


class _Names:
    """Recordings by what tables call them: a name or a path, of any system and perhaps another
    ending than the file has now."""

    def __init__(self, recordings: Iterable[str]) -> None:
        self._by_name: defaultdict[str, list[str]] = defaultdict(list)
        self._by_stem: defaultdict[str, list[str]] = defaultdict(list)
        for recording in recordings:
            name = _parts(recording)[-1]
            self._by_name[name].append(recording)
            self._by_stem[os.path.splitext(name)[0]].append(recording)

    def owner(self, named: str, own: str | None) -> str | None:
        """The one that is named: ``own`` if nothing is, or its name; None if it cannot be told."""
        if not named:
            return own
        parts = _parts(named)
        stem = os.path.splitext(parts[-1])[0]
        if own is not None and stem == os.path.splitext(_parts(own)[-1])[0]:
            return own
        choices = self._by_name.get(parts[-1]) or self._by_stem.get(stem, [])
        shared = {choice: _shared(parts, _parts(choice)) for choice in choices}
        best = [choice for choice in choices if shared[choice] == max(shared.values())]
        return best[0] if len(best) == 1 else None


def _parts(path: str) -> list[str]:
    text = unicodedata.normalize("NFC", path.replace("\\", "/")).casefold()
    return text.rstrip("/").split("/")


def _shared(one: list[str], other: list[str]) -> int:
    """How many parts two paths have in common at their ends, the names left out."""
    count = 0
    for a, b in zip(one[-2::-1], other[-2::-1]):
        if a != b:
            break
        count += 1
    return count


def has_tracks(folder: str) -> bool:
    """Do more than half of the recordings below a folder have a label track beside them?"""
    found = Found()
    pairs = _pair(folder, found)
    labelled = _labelled(pairs, found)
    own = {r for r, paths in pairs.tracks.items() if paths and not all(map(_is_oidos, paths))}
    named = {r for r, labels in labelled.items() if labels and labels.marks and r not in own}
    readable = [r for r in own if labelled[r] is not None]
    listed = [r for r in named if not pairs.tracks[r]]
    return (len(readable) + len(listed)) * 2 > len(pairs.tracks)


def _is_oidos(path: str) -> bool:
    """Whether it is a table of results that oido wrote, rather than labels of somebody."""
    return path.lower().endswith((".csv", ".tsv")) and set(table_header(path)) >= _OIDOS_OWN


class _Pairs(NamedTuple):
    """The tracks of each recording, and the tables that stand beside none, but name some."""

    tracks: dict[str, list[str]]
    lists: list[str]


def _pair(folder: str, found: Found) -> _Pairs:
    """Find the tracks; the files that are neither recordings nor tracks are skipped."""
    files = files_below(folder, found)
    pairs = _Pairs({path: [] for path in files if is_recording(path)}, [])
    of_stem = {os.path.splitext(path)[0]: path for path in pairs.tracks}
    of_key: defaultdict[str, list[str]] = defaultdict(list)
    for path in pairs.tracks:
        for name in (path, os.path.splitext(path)[0]):
            of_key["/".join(_parts(name))].append(path)
    tables = []
    for path in files:
        if path in pairs.tracks:
            continue
        stem, ending = os.path.splitext(path)
        owner = _owner(stem, pairs.tracks, of_stem)
        if owner is None and len(alike := of_key["/".join(_parts(stem))]) == 1:
            owner = alike[0]
            found.respelled[path] = owner
        if ending.lower() == ".txt" and owner is not None:
            pairs.tracks[owner].append(path)
        elif ending.lower() in (".csv", ".tsv") and owner is not None and table_header(path):
            tables.append((path, owner))
        elif ending.lower() in (".txt", ".csv", ".tsv") and names_recordings(path):
            pairs.lists.append(path)
        else:
            found.skipped.append(path)
            found.respelled.pop(path, None)
    for path, recording in tables:
        if pairs.tracks[recording]:  # what somebody marked goes before a table of something else
            found.skipped.append(path)
        else:
            pairs.tracks[recording].append(path)
    return pairs


def _owner(stem: str, recordings: Iterable[str], of_stem: dict[str, str]) -> str | None:
    """The recording whose name a track's begins with: "a.b.txt" is of "a.b.wav" if there is one,
    else of "a.wav"; "a.wav.txt" is of "a.wav" itself."""
    while stem not in recordings and stem not in of_stem and "." in os.path.basename(stem):
        stem = os.path.splitext(stem)[0]
    return stem if stem in recordings else of_stem.get(stem)


def _clips_of(
    recording: str, group: str, marks: list[Mark], background_from_gaps: bool, found: Found
) -> list[Clip]:
    regions: dict[tuple[float, float], list[Mark]] = {}
    for mark in marks:
        try:
            if mark.text:
                check_label(mark.text.removeprefix("-"), mark.where)
                regions.setdefault(region_around(mark.start, mark.end), []).append(mark)
            else:
                found.left_out.append(LeftOut(mark.where, tr("the label has no text")))
        except OptionError as error:
            reason = text_of(error).removeprefix(mark.where + ": ")
            found.left_out.append(LeftOut(mark.where, reason))
    clips = []
    for (start, end), same in regions.items():
        labels, negatives, complete = meaning_of((mark.text for mark in same), same[0].where)
        clips.append(Clip(recording, labels, negatives, start, end, None, group, complete))
    clips = relate(clips)
    if background_from_gaps:
        duration, problem = probe(recording)
        regions_of_marks = [region_around(mark.start, mark.end) for mark in marks]
        clips += background_clips(Clip(recording, group=group), regions_of_marks, duration)
        if problem and not clips:
            found.left_out.append(LeftOut(recording, problem))
    return clips
