# SPDX-License-Identifier: Apache-2.0
"""Answers come in from tables and tracks, and go out as such; nobody's file is overwritten."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from oido.datasets.track_text import parse_track
from oido.dialects import verdict_of
from oido.errors import OptionError
from oido.search.label_store import Answer, LabelStore
from oido.search.label_tables import read_answers, write_answers

ANSWERS = [
    Answer("n/a.wav", 3.0, 4.5, "Owl", "yes", "Ana", value=0.25, choice="random"),
    Answer("s/a.wav", 1.0, 2.0, "Owl", "no", "Ana", channel=1),
    Answer("n/a.wav", 1.0, 2.0, "Dog", "unsure", "Ana"),
    Answer("n/a.wav", 0.5, 0.75, "=Dog", "yes", "Bo"),
]
HEADER = "file,label,value,recording,channel,recording_start,recording_end,choice,verdict\n"


def test_verdicts_of_clips(tmp_path: Path) -> None:
    table = tmp_path / "clips.csv"
    table.write_text(
        HEADER + "x.flac,Owl,0.9,n/a.wav,,3.000,4.500,random,Yes\n"
        "y.flac,Owl,0.8,n/a.wav,1,5.000,6.000,random,\n"
        "z.flac,'=Owl,,s/b.wav,1,7.000,8.000,stratified,sí\n"
    )
    first, second = read_answers(table, "Ana")
    assert first == Answer("n/a.wav", 3.0, 4.5, "Owl", "yes", "Ana", value=0.9, choice="random")
    assert (second.label, second.channel, second.value, second.verdict) == ("=Owl", 1, None, "yes")
    for row, message in (
        ("x.flac,Owl,0.9,n/a.wav,,3,4,random,perhaps\n", "line 2: a verdict"),
        ("x.flac,Owl,0.9,n/a.wav,,three,4,random,yes\n", "line 2: its numbers"),
        ("x.flac,,0.9,n/a.wav,,3,4,random,yes\n", "line 2: has no label"),
        ("x.flac,Owl,0.9,,,3,4,random,yes\n", "line 2: names no recording"),
        ("x.flac,Owl,0.9,n/a.wav,,nan,4,random,yes\n", "line 2: its numbers"),
    ):
        table.write_text(HEADER + row)
        with pytest.raises(OptionError, match=message):
            read_answers(table)


def test_a_table_that_a_spreadsheet_kept(tmp_path: Path) -> None:
    table = tmp_path / "clips.csv"
    row = "x.flac;Owl;0,9;n/a.wav;;3,000;4,500;random;VERDADERO\n"
    table.write_text(HEADER.replace(",", ";") + row)
    (found,) = read_answers(table, "Ana")
    assert found == Answer("n/a.wav", 3.0, 4.5, "Owl", "yes", "Ana", value=0.9, choice="random")


def test_tracks_of_audacity_and_raven(tmp_path: Path) -> None:
    track = tmp_path / "night.txt"
    track.write_text("1.5\t2.5\tOwl\n3.0\t4.0\t-Owl\n")
    with pytest.raises(OptionError, match="--recording"):
        read_answers(track)
    found = read_answers(track, "Bo", "night.wav")
    assert [(a.recording, a.start_time, a.label, a.verdict) for a in found] == [
        ("night.wav", 1.5, "Owl", "yes"),
        ("night.wav", 3.0, "Owl", "no"),
    ]
    track.write_text("no track at all")
    with pytest.raises(OptionError, match=r"night\.txt"):
        read_answers(track, "Bo", "night.wav")


def test_what_is_exported_comes_back_with_whose_it_was_when_and_of_which_channel(
    tmp_path: Path,
) -> None:
    path = tmp_path / "labels.csv"
    with LabelStore(tmp_path / "project.db") as store:
        given = store.add(ANSWERS)
    write_answers(given, path, "csv")

    found = read_answers(path, "Zoe")

    sure = sorted((replace(a, id="") for a in given if a.verdict != "unsure"), key=_in_file)
    assert found == sure
    path.write_text(path.read_text().replace(sure[0].created, "27/11/2026 9:30"))
    assert read_answers(path)[0] == replace(sure[0], created="")
    path.write_text(path.read_text().replace(",1,1.000,", ",1,early,"))
    with pytest.raises(OptionError, match="line 4: its numbers"):
        read_answers(path)


def _in_file(answer: Answer) -> tuple[str, float]:
    return answer.recording, answer.start_time


@pytest.mark.parametrize("format_name", ["csv", "raven"])
def test_a_table_that_was_written_is_read_back(tmp_path: Path, format_name: str) -> None:
    path = tmp_path / ("labels.csv" if format_name == "csv" else "labels.txt")
    write_answers(ANSWERS, path, format_name)
    found = {
        (a.recording, a.start_time, a.end_time, a.label, a.verdict) for a in read_answers(path)
    }
    assert found == {
        (a.recording, a.start_time, a.end_time, a.label, a.verdict)
        for a in ANSWERS
        if a.verdict != "unsure"
    }


def test_tracks_of_recordings_that_are_called_alike(tmp_path: Path) -> None:
    names = ("d/a.wav", "d/a.flac", "s3://d/b.wav", "d/b.wav", "d/../../c.wav")
    answers = [Answer(name, 0.0, 1.0, "Owl", "yes", "Ana") for name in names]
    write_answers(answers, tmp_path / "tracks", "audacity")
    tracks = {path.relative_to(tmp_path).as_posix() for path in tmp_path.rglob("*.txt")}
    assert tracks == {f"tracks/{name}.txt" for name in ("a.flac", "a.wav", "b.wav", "b.wav-2", "c")}


def test_a_track_for_each_recording_and_none_of_the_users_overwritten(tmp_path: Path) -> None:
    folder = tmp_path / "tracks"
    folder.mkdir()
    (folder / "mine.doc").write_text("mine")
    write_answers(ANSWERS, folder, "audacity")
    tracks = {path.relative_to(folder).as_posix() for path in folder.rglob("*.txt")}
    assert tracks == {"n/a.txt", "s/a.txt"}  # one for each site, not a.txt and a-2.txt
    assert [mark.text for mark in parse_track(str(folder / "s/a.txt")).marks] == ["-Owl"]
    write_answers(ANSWERS, folder, "audacity")
    (folder / "n/a.txt").write_text("0\t1\tmine")
    with pytest.raises(OptionError, match="would be overwritten"):
        write_answers(ANSWERS, folder, "audacity")
    assert (folder / "mine.doc").read_text() == "mine"


@pytest.mark.parametrize(
    ("word", "verdict"),
    [("Yes", "yes"), (" sí ", "yes"), ("0", "no"), ("?", "unsure"), ("perhaps", None), ("", None)],
)
def test_words(word: str, verdict: str | None) -> None:
    assert verdict_of(word) == verdict
