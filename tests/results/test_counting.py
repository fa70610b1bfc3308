# SPDX-License-Identifier: Apache-2.0
"""True events from the table that `oido clips` wrote, once somebody has filled in the verdicts."""

from __future__ import annotations

import csv
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from oido.errors import OptionError
from oido.models.model import AudioModel
from oido.results import Results
from oido.results.clip_files import chosen_events, write_clips
from oido.results.count_page import count_sentences, count_warnings
from oido.results.counting import EventCount, count_events
from oido.results.window_sample import chosen_windows
from oido.results.window_scores import open_head
from oido.search.label_store import Answer, LabelStore
from oido.search.label_tables import read_answers
from tests.results.owl_archives import OwlArchive, make_owls, owl_file
from tests.results.results_folders import FolderMaker, event, recording
from tests.results.test_clip_files import tones

FILES = ("north/20231015_203000.wav", "south/20231016_013000.wav")


def is_true(row: dict[str, str]) -> bool:
    """Every other event of the north, and none of the south, is an owl."""
    return row["recording"] == FILES[0] and float(row["value"]) > 0.4


@pytest.fixture
def maker(tmp_path: Path) -> FolderMaker:
    made = FolderMaker(tmp_path / "results")
    rows = [tones(tmp_path / "rec" / name, 12.0) for name in FILES]
    events = [event(FILES[n % 2], n / 20, n / 20 + 0.2, "Owl", (n + 1) / 256) for n in range(200)]
    made.commit({"recordings": rows, "events": events})
    return made


def reviewed(maker: FolderMaker, folder: Path, count: int = 60, choice: Any = "stratified") -> Path:
    """The table of clips, with verdicts."""
    with Results(str(maker.folder)) as results:
        write_clips(chosen_events(results, "Owl", count, choice), folder)
    path = folder / "clips.csv"
    with path.open(newline="") as file:
        rows = list(csv.DictReader(file))
    for row in rows:
        row["verdict"] = "yes" if is_true(row) else "No"
    save(path, rows)
    return path


def save(path: Path, rows: list[dict[str, str]]) -> None:
    with path.open("w", newline="") as file:
        writer = csv.DictWriter(file, rows[0])
        writer.writeheader()
        writer.writerows(rows)


def count(
    maker: FolderMaker, path: Path, *by: str, label: str = "owl", **options: Any
) -> EventCount:
    with Results(str(maker.folder)) as results:
        return count_events(results, label, path, by, **options)


def test_true_events_by_site(maker: FolderMaker, tmp_path: Path) -> None:
    found = count(maker, reviewed(maker, tmp_path / "owls"), "site")
    truth = 49  # of the north's scores 1/256, 3/256, …, those above 0.4
    assert found.counted.total.low <= truth <= found.counted.total.high
    assert found.counted.total.high - found.counted.total.low < 60
    assert found.counted.groups["north",].value > 5 * found.counted.groups["south",].value
    assert found.events == {("north",): 100, ("south",): 100}
    rows = list(found.rows())
    assert [row["site"] for row in rows] == ["north", "south", "all"]
    assert rows[0]["recorded_hours"] == pytest.approx(12 / 3600, abs=1e-3)
    assert rows[0]["true_per_hour"] == pytest.approx(
        rows[0]["true_events"] / rows[0]["recorded_hours"], rel=0.1
    )
    assert rows[2]["events"] == 200


def test_a_night_is_one_though_it_has_two_dates(maker: FolderMaker, tmp_path: Path) -> None:
    path = reviewed(maker, tmp_path / "owls")
    assert [str(key[0]) for key in count(maker, path, "night").counted.groups] == ["2023-10-15"]
    assert len(count(maker, path, "day").counted.groups) == 2
    hours = count(maker, path, "hour", zone="Europe/Madrid").counted.groups
    assert {key[0] for key in hours} == {22, 3}


def test_reviews_may_be_unsure_or_missing(maker: FolderMaker, tmp_path: Path) -> None:
    path = reviewed(maker, tmp_path / "owls")
    rows = list(csv.DictReader(path.open(newline="")))
    rows[0]["verdict"], rows[1]["verdict"], rows[2]["verdict"] = "unsure", "", " ? "
    save(path, rows)
    found = count(maker, path, "site")
    assert found.unsure == 2
    assert found.counted.reviewed == 57


def test_what_is_no_sample_or_no_review_is_refused(maker: FolderMaker, tmp_path: Path) -> None:
    best = reviewed(maker, tmp_path / "best", choice="top")
    with pytest.raises(OptionError, match="chosen as 'top' are no sample"):
        count(maker, best)
    path = reviewed(maker, tmp_path / "owls")
    rows = list(csv.DictReader(path.open(newline="")))
    for change, message in (
        ({"verdict": "perhaps"}, "line 2: a verdict is yes, no or unsure"),
        ({"recording_end": "late"}, "line 2: its numbers are none"),
    ):
        save(path, [{**rows[0], **change}, *rows[1:]])
        with pytest.raises(OptionError, match=message):
            count(maker, path)
    save(path, [{**row, "verdict": ""} for row in rows])
    with pytest.raises(OptionError, match="no clip of Owl has a verdict"):
        count(maker, path)
    with pytest.raises(OptionError, match="'moon'"):
        count(maker, path, "moon")
    with pytest.raises(OptionError, match="nothing stands behind its last sign"):
        count(maker, path, where="score >")


def test_reviews_of_places_that_are_gone_are_left_out(maker: FolderMaker, tmp_path: Path) -> None:
    """As after an archive was heard anew with another threshold, or lost a recording."""
    path = reviewed(maker, tmp_path / "owls")
    rows = list(csv.DictReader(path.open(newline="")))
    whole = count(maker, path)
    gone = [{**row, "recording_start": "77.5", "verdict": "no"} for row in rows[:3]]
    save(path, [*gone, *rows[3:]])
    found = count(maker, path)
    assert (found.gone, whole.gone) == (3, 0)
    assert found.counted.reviewed == whole.counted.reviewed - 3
    assert any(
        "3 reviews of places that are not in the archive" in t for t in count_warnings(found)
    )
    assert not any("not in the archive" in text for text in count_warnings(whole))
    save(path, gone)
    with pytest.raises(OptionError, match=r"no event of Owl in .* at 77\.500 s"):
        count(maker, path)


def test_a_store_of_two_peoples_answers_counts_alike(maker: FolderMaker, tmp_path: Path) -> None:
    path = reviewed(maker, tmp_path / "owls")
    with LabelStore(tmp_path / "project.db") as store:
        for who in ("Ana", "Bo"):
            store.add(read_answers(path, who))
        assert store.agreement() == (60, 60)
    by_table, by_store = (count(maker, p, "site") for p in (path, tmp_path / "project.db"))
    assert by_store.counted.total == by_table.counted.total
    assert by_store.left_out == 0


def test_answers_to_other_questions_are_left_out(maker: FolderMaker, tmp_path: Path) -> None:
    path = reviewed(maker, tmp_path / "owls")
    store_path = tmp_path / "project.db"
    with LabelStore(store_path) as store:
        answers = store.add(read_answers(path, "Ana"))
        moved = [replace(answers[n], start_time=500.0 + n, choice="uncertain") for n in range(3)]
        store.add(replace(each, end_time=each.start_time + 1) for each in moved)
    found, alone = count(maker, store_path, "site"), count(maker, path, "site")
    assert found.left_out == 3
    assert found.counted.total == alone.counted.total
    assert any(text.startswith("left out: 3 reviews") for text in count_warnings(found))


def counted_owls(archive: OwlArchive, path: Path, table: Path, *by: str) -> EventCount:
    """Reviewed by the truth, and counted."""
    with Results(archive.folder) as results:
        head = open_head(results, path)[1]
        chosen = chosen_windows(results, "owl", 200, "stratified", head=head)
        truth = {(f, round(s, 3)): t for (f, s), t in zip(archive.places, archive.truth)}
        with LabelStore(table) as store:
            store.add(
                Answer(
                    each.recording,
                    each.start_time,
                    each.end_time,
                    "owl",
                    "yes" if truth[each.recording, round(each.start_time, 3)] else "no",
                    choice=each.choice,
                )
                for each in chosen
            )
        return count_events(results, "owl", table, by, unit="windows", head=head)


def test_windows_count_whatever_their_score(model: AudioModel, tmp_path: Path) -> None:
    archive = make_owls(tmp_path / "results", 0.05, sites=3, windows=200)
    path = owl_file(tmp_path / "owl.tflite", model)
    found = counted_owls(archive, path, tmp_path / "project.db", "site", "night")
    total = found.counted.total
    assert total.low <= archive.truth.sum() <= total.high
    assert total.high - total.low < 80
    # Half of the owls score below a threshold of 0.8: events would have missed them.
    assert (archive.logits[archive.truth] < np.log(4)).mean() > 0.3
    assert found.unit == "windows"
    rows = list(found.rows())
    assert [row["site"] for row in rows] == [f"site{n // 2}" for n in range(6)] + ["all"]
    assert {str(row["night"]) for row in rows} == {"2023-10-15", "2023-10-16", "all"}
    hours = (200 * 0.48 + 0.975) / 3600
    assert rows[0]["recorded_hours"] == pytest.approx(hours, abs=1e-3)
    assert rows[-1]["windows"] == 1200
    assert rows[-1]["share"] == pytest.approx(total.value / 1200, abs=1e-6)
    assert list(rows[0])[-3:] == ["share", "low_share", "high_share"]
    assert 1 <= found.confirmed <= 6


def test_windows_of_an_archives_own_scores(maker: FolderMaker, tmp_path: Path) -> None:
    windows = [event(FILES[n % 2], n / 20, n / 20 + 0.2, "Owl", (n + 1) / 256) for n in range(200)]
    maker.commit({"windows": windows})
    with Results(str(maker.folder)) as results:
        write_clips(chosen_windows(results, "owl", 60, "stratified"), tmp_path / "owls")
    path = tmp_path / "owls" / "clips.csv"
    rows = list(csv.DictReader(path.open(newline="")))
    save(path, [{**row, "verdict": "yes" if is_true(row) else "no"} for row in rows])
    found = count(maker, path, "site", unit="windows")
    assert found.counted.total.low <= 49 <= found.counted.total.high
    save(path, [{**rows[0], "recording_start": "77.5", "verdict": "no"}])
    with pytest.raises(OptionError, match=r"no window for Owl in .* clips of windows"):
        count(maker, path, unit="windows")


def test_a_night_has_the_hours_of_two_dates(maker: FolderMaker, tmp_path: Path) -> None:
    found = count(maker, reviewed(maker, tmp_path / "owls"), "night")
    assert found.recorded_hours[next(iter(found.counted.groups))] == pytest.approx(
        24 / 3600, abs=1e-3
    )


@pytest.fixture
def clicks(tmp_path: Path) -> tuple[FolderMaker, Path]:
    """Recordings of one second, each with a click at its begin, and the reviews of all of them."""
    maker = FolderMaker(tmp_path / "results")
    files = [f"x/{letter}{n}.wav" for letter in "ab" for n in range(4)]
    events = [event(file, 0.0, 0.5, "Click") for file in files]
    maker.commit({"recordings": [recording(file, 1.0) for file in files], "events": events})
    with LabelStore(tmp_path / "project.db") as store:
        store.add(Answer(file, 0.0, 0.5, "Click", "yes", choice="random") for file in files)
    return maker, tmp_path / "project.db"


def test_rates_are_of_the_seconds_that_were_recorded(clicks: tuple[FolderMaker, Path]) -> None:
    """A second is 0.0003 hours, with an error of 8 %."""
    with Results(str(clicks[0].folder)) as results:
        found = count_events(results, "Click", clicks[1], ("file",))
    for row in found.rows():
        assert row["true_per_hour"] == pytest.approx(3600.0)
        assert row["true_events"] / row["recorded_hours"] == pytest.approx(3600.0, rel=0.005)
    assert "all of them were reviewed" in count_sentences(found)


def test_a_condition_has_the_hours_of_its_recordings_or_none(
    clicks: tuple[FolderMaker, Path], tmp_path: Path
) -> None:
    """Those of all recordings are not those of the events that it chose."""
    with LabelStore(tmp_path / "some.db") as store, LabelStore(clicks[1]) as all_of_them:
        some = [a for a in all_of_them.decided("Click").values() if "/a" in a.recording]
        store.add(some[:3])
    with Results(str(clicks[0].folder)) as results:
        named, scored = (
            count_events(results, "Click", tmp_path / "some.db", ("file",), where=where)
            for where in ("file like '%/a%'", "file like '%/a%' and score > 0.1")
        )
    assert named.counted.n == scored.counted.n == 4
    assert named.recorded_hours[()] == pytest.approx(4 / 3600)
    assert len(named.recorded_hours) == 5
    assert [row["true_per_hour"] for row in scored.rows()] == [None] * 5
    assert any(text.startswith("no rates") for text in count_warnings(scored))
    assert not any(text.startswith("no rates") for text in count_warnings(named))


def test_recordings_that_count_twice_are_told(tmp_path: Path) -> None:
    maker = FolderMaker(tmp_path / "results")
    files = ["x/río/a.wav", "x/rio/a.wav", "x/rio/b.wav"]
    events = [event(file, 1.0, 1.5, "Click", 0.5 + ("b" in file) / 4) for file in files]
    maker.commit({"recordings": [recording(file, 9.0) for file in files], "events": events})
    with LabelStore(tmp_path / "project.db") as store:
        store.add(Answer(file, 1.0, 1.5, "Click", "yes", choice="random") for file in files)
    found = count(maker, tmp_path / "project.db", "site", label="Click")
    assert found.copies == 1
    assert any("and count again: 1;" in text for text in count_warnings(found))
    with LabelStore(tmp_path / "rio.db") as store:
        store.add(Answer(file, 1.0, 1.5, "Click", "yes", choice="random") for file in files[1:])
    where = "file not like '%/río/%'"
    assert count(maker, tmp_path / "rio.db", label="Click", where=where).copies == 0
