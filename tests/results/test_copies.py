# SPDX-License-Identifier: Apache-2.0
"""Recordings that an archive holds under two names are found by what was heard, and told."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import soundfile

from oido.cli import batch, report
from oido.results import Results
from oido.results.copies import MOST_COPIES, Copies, copies_in
from oido.results.report_page import html_page
from oido.results.summary import about, summarize
from tests.results.results_folders import FolderMaker, event, recording, run


def copies_of(folder: Path) -> Copies:
    with Results(str(folder)) as results:
        return copies_in(results)


def clip(file: str, label: str, score: float) -> dict[str, Any]:
    return {**event(file, 0.0, 20.0, label, score)}


@pytest.mark.parametrize(
    ("change", "is_copy"),
    [
        ({}, True),
        ({"location": "/elsewhere", "modified": "2025", "key": "k", "heard_at": "later"}, True),
        ({"size": 1001}, False),
        ({"tags": '{"comment": "another"}'}, False),
        ({"rows": 4}, False),
        ({"clip": 0.25}, False),
        ({"event": 0.25}, False),
        ({"start": 1.5}, False),
        ({"more": True}, False),
    ],
)
def test_copies_are_alike_in_everything(
    change: dict[str, Any], is_copy: bool, tmp_path: Path
) -> None:
    maker = FolderMaker(tmp_path)
    other = {name: change.pop(name, None) for name in ("clip", "event", "start", "more")}
    recordings = [recording("a/1.wav", 20.0), recording("b/1.wav", 20.0, **change)]
    events = [event("a/1.wav", 1.0, 2.0, "Owl"), event("a/1.wav", 3.0, 5.0, "Dog", 0.75)]
    events += [event("b/1.wav", 3.0, 5.0, "Dog", 0.75)]
    events += [event("b/1.wav", other["start"] or 1.0, 2.0, "Owl", other["event"] or 0.5)]
    events += [event("b/1.wav", 7.0, 8.0, "Owl")] * bool(other["more"])
    clips = [clip("a/1.wav", "Owl", 0.5), clip("b/1.wav", "Owl", other["clip"] or 0.5)]
    maker.commit({"recordings": recordings, "events": events, "clips": clips})
    expected = Copies(1, 2, (("b/1.wav", "a/1.wav"),)) if is_copy else Copies()
    assert copies_of(tmp_path) == expected


def test_recordings_of_which_nothing_is_known_are_no_copies(tmp_path: Path) -> None:
    FolderMaker(tmp_path).commit({"recordings": [recording(f"{n}.wav", 9.0) for n in range(3)]})
    assert copies_of(tmp_path) == Copies()


def test_of_many_all_are_counted_and_some_named(tmp_path: Path) -> None:
    names = [f"{n:04d}.wav" for n in range(MOST_COPIES + 10)]
    maker = FolderMaker(tmp_path)
    events = [event(name, 0.0, 1.0, "Owl") for name in names]
    maker.commit({"recordings": [recording(name, 9.0) for name in names], "events": events})
    found = copies_of(tmp_path)
    assert (found.recordings, found.events) == (len(names) - 1, len(names) - 1)
    assert found.files == tuple((name, names[0]) for name in names[1 : MOST_COPIES + 1])


def test_a_card_that_was_copied_twice_is_told(
    tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    """Heard, not made: the same sound in two folders, and once more in other bytes."""
    examples, archive = Path(__file__).parents[2] / "examples", tmp_path / "archive"
    for place in ("card", "card (copy)"):
        (archive / place).mkdir(parents=True)
        (archive / place / "1.flac").write_bytes((examples / "street.flac").read_bytes())
    samples, rate = soundfile.read(examples / "street.flac", dtype="int16")
    soundfile.write(archive / "1.wav", samples, rate)
    out = tmp_path / "out"
    assert run(batch, str(archive), "-o", str(out), "-q", "--jobs", "1") == 0
    with Results(str(out)) as results:
        summary = summarize(results)
    assert summary.copies.recordings == 1
    assert summary.events == 3 * summary.copies.events
    assert ("recordings that repeat another", 1) in about(summary)
    capfd.readouterr()
    assert run(report, str(out)) == 0
    said = capfd.readouterr().out
    assert "copies of others: 1 recording, with" in said
    assert f"such as {archive}/card/1.flac of {archive}/card (copy)/1.flac" in said
    assert "copies of other recordings, whose events count again: 1" in html_page(summary)
    assert "copias de otras grabaciones" in html_page(summary, "es")
