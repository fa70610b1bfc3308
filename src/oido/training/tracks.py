# SPDX-License-Identifier: Apache-2.0
"""Recordings with label tracks beside them, as Audacity and Raven write them."""

from __future__ import annotations

import os

from oido.errors import OptionError
from oido.training.clip import Clip, Found, LeftOut
from oido.training.folders import files_below, is_recording
from oido.training.labels import check_label, meaning_of
from oido.training.probing import probe
from oido.training.regions import gaps, relate, widened
from oido.training.sources import source_of
from oido.training.track_formats import Mark, Track, TrackError, parse_track

__all__ = ["has_tracks", "tracked_clips"]


def tracked_clips(folder: str, *, background_from_gaps: bool = True) -> Found:
    """The labelled regions of the recordings in a folder and below it.

    The tracks of ``a.wav`` are ``a.txt`` and all ``a.….txt`` in its folder. Stretches that no
    label touches become background if ``background_from_gaps``; an empty track makes its whole
    recording so. Recordings without a track, tracks that cannot be read, and labels without text
    are left out. Raises OptionError for a bad label, and if no clip is left.
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
            regions.setdefault(widened(mark.start, mark.end), []).append(mark)
        else:
            found.left_out.append(LeftOut(mark.where, "the label has no text"))
    clips = []
    for (start, end), same in regions.items():
        meaning = meaning_of((mark.text for mark in same), same[0].where)
        labels, negatives, complete = meaning
        clips.append(Clip(recording, labels, negatives, start, end, None, group, complete))
    clips = relate(clips)
    if background_from_gaps and not any(track.problems for track in parsed):
        heard = probe(recording)
        taken = [widened(mark.start, mark.end) for mark in marks]
        clips += [
            Clip(recording, (), (), start, end, None, group)
            for start, end in gaps(taken, heard.duration)
        ]
        if heard.problem and not clips:
            found.left_out.append(LeftOut(recording, heard.problem))
    return clips
