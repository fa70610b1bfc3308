# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import json
from datetime import datetime, timedelta, timezone
from pathlib import Path

import numpy as np
import pytest

from oido import AudioClassifier
from oido.errors import OidoError, OptionError, UnknownLabelError
from oido.results import Clock, Results
from oido.results.summary import summarize
from tests.results.results_folders import FolderMaker, event, recording

UTC = timezone.utc


@pytest.fixture
def folder(tmp_path: Path) -> FolderMaker:
    """Three recordings in three commits; the parts lie in another order than the names."""
    maker = FolderMaker(tmp_path / "results")
    for name in ("b/20231015_063000.WAV", "a/20231014_235900.WAV", "c/none.wav"):
        rows = [event(name, 5.5, 6.0, "Dog", 0.75), event(name, 1.0, 2.0, "Cat", 0.25)]
        maker.commit({"recordings": [recording(name, 60.0)], "events": rows})
    return maker


def place(folder: FolderMaker) -> str:
    return str(folder.folder)


def test_rows_of_a_real_run_are_what_the_classifier_says(
    heard: Path, classifier: AudioClassifier
) -> None:
    with Results(str(heard)) as results:
        table = results.events("file like '%063000%'").to_pylist()
        windows = results.windows("file like '%063000%' and start_time = 0.48")["label"].to_pylist()
        sizes = {t: results.sql(f"select count(*) n from {t}").to_pylist()[0]["n"] for t in TABLES}
    result = classifier.classify(heard.parent / "recordings/north/20231015_063000.flac")
    expected = [(e.start_time, e.end_time, e.label, e.score) for e in result.events()]
    assert [(r["start_time"], r["end_time"], r["label"], r["score"]) for r in table] == expected
    start = datetime(2023, 10, 15, 6, 30, tzinfo=UTC)
    assert all(
        abs(r["start_at"] - start - timedelta(seconds=r["start_time"])) < timedelta(microseconds=2)
        for r in table
    )
    order = np.argsort(-result.scores[1], kind="stable")
    best = [classifier.labels[i] for i in order if result.scores[1][i] >= np.float32(0.1)]
    assert windows == best
    assert sizes["recordings"] == 4
    assert sizes["embeddings"] > 60


TABLES = ("events", "windows", "clips", "embeddings", "recordings")


def test_when_recordings_began_and_who_says_so(heard: Path) -> None:
    with Results(str(heard)) as results:
        rows = results.recordings(columns=["file", "recorded_at", "time_from"]).to_pylist()
    told = {Path(row["file"]).name: (row["recorded_at"], row["time_from"]) for row in rows}
    assert told == {
        "20231015_063000.flac": (datetime(2023, 10, 15, 6, 30, tzinfo=UTC), "name"),
        "20231015_120000.flac": (datetime(2023, 10, 15, 12, 0, tzinfo=UTC), "name"),
        "moth.wav": (datetime(2018, 12, 10, 17, 17, 30, tzinfo=UTC), "tags"),
        "broken.wav": (None, None),
    }


def test_rows_come_by_file_channel_and_time(folder: FolderMaker) -> None:
    name = "a/20231014_235900.WAV"
    rows = [{**event(name, 0.0, 1.0, "Owl"), "channel": n} for n in (1, 0)]
    folder.commit({"events": rows})
    with Results(place(folder)) as results:
        table = results.events().to_pylist()
        assert results.events(limit=2).to_pylist() == table[:2]
        assert results.events("score > 0.5", columns=["label", "file"]).column_names == [
            "label",
            "file",
        ]
    keys = [
        (r["file"], -1 if r["channel"] is None else r["channel"], r["start_time"]) for r in table
    ]
    assert keys == sorted(keys)
    assert len(keys) == 8


def test_times_are_the_clocks(folder: FolderMaker) -> None:
    with Results(place(folder), Clock(zone="Europe/Madrid")) as results:
        starts = results.events("label = 'Dog'")["start_at"].to_pylist()
        hours = results.sql("select hour(start_at) h from events order by all")["h"].to_pylist()
    assert starts[0] == datetime(2023, 10, 14, 21, 59, 5, 500000, tzinfo=UTC)
    assert starts[2] is None
    assert hours == [4, 4, 21, 21, None, None]
    with Results(place(folder), None) as results:
        assert "start_at" not in results.columns("events")


def test_only_what_is_committed_counts(folder: FolderMaker) -> None:
    stray = [event("b/20231015_063000.WAV", 9.0, 10.0, "Stray")]
    folder.write_part("events/stray.parquet", "events", stray)
    (retried,) = folder.commit({"events": [event("d.wav", 0.0, 1.0, "Old")]})
    folder.commit({"events": [event("d.wav", 0.0, 1.0, "New")]}, remove=[retried])
    (folder.folder / retried).unlink()
    with Results(place(folder)) as results:
        labels = set(results.events()["label"].to_pylist())
    assert labels == {"Dog", "Cat", "New"}


def test_an_archive_just_begun_has_every_table_and_no_row(tmp_path: Path) -> None:
    FolderMaker(tmp_path / "results", calibrated=True)
    with Results(str(tmp_path / "results")) as results:
        for table in TABLES:
            assert results.batches(table).read_all().num_rows == 0
        assert results.calibrated
        assert results.columns("events")[-3:] == ("probability", "also", "start_at")


@pytest.mark.parametrize("calibrated", [False, True])
@pytest.mark.parametrize("is_mixed", [False, True])
def test_labels_stand_for_none_where_a_version_before_did_not_write_them(
    tmp_path: Path, calibrated: bool, is_mixed: bool
) -> None:
    maker = FolderMaker(tmp_path / "results", calibrated, has_also=False)
    rows = {name: [event("a.wav", 1.0, 2.0, "Dog")] for name in ("events", "windows", "clips")}
    maker.commit({"recordings": [recording("a.wav", 4.0)], **rows})
    if is_mixed:
        maker.has_also = True
        maker.commit({"events": [{**event("b.wav", 1.0, 2.0, "Bark"), "also": "Dog|Animal"}]})
    with Results(str(tmp_path / "results"), None) as results:
        for table in rows:
            expected = ["probability", "also"] if calibrated else ["score", "also"]
            assert list(results.columns(table)[-2:]) == expected
        found = results.events("also = ''", columns=["label", "also"]).to_pylist()
        assert found == [{"label": "Dog", "also": ""}]
        found = results.sql("select label, also from events order by file").to_pylist()
        assert found[0] == {"label": "Dog", "also": ""}
        assert found[1:] == ([{"label": "Bark", "also": "Dog|Animal"}] if is_mixed else [])
    with Results(str(tmp_path / "results")) as results:
        summary = summarize(results).to_dict()
    assert sum(entry["events"] for entry in summary["labels"]) == len(found)


def test_conditions_and_columns_that_are_none(folder: FolderMaker) -> None:
    with Results(place(folder)) as results:
        with pytest.raises(
            OptionError, match=r'no column "scor"; did you mean score\? events has the columns'
        ):
            results.events("scor > 1")
        with pytest.raises(OptionError, match="events has no column 'x'; there are file, channel"):
            results.events(columns=["x"])
        with pytest.raises(OptionError, match="choose from events, windows, clips"):
            results.batches("things")
        with pytest.raises(OptionError, match="a limit is 0 rows or more"):
            results.events(limit=-1)
        assert results.events("label = 'Dog' -- and no more", limit=1).num_rows == 1
        assert results.events("label = 'Dog') or (label = 'Cat'").num_rows == 6


def test_labels_that_cannot_be_are_told(folder: FolderMaker) -> None:
    with Results(place(folder)) as results:
        with pytest.raises(UnknownLabelError, match="'Dgo'; the nearest are: 'Dog'"):
            results.events("score > 0.1 and label = 'Dgo'")
        with pytest.raises(UnknownLabelError, match="'Dgo'; the nearest are: 'Dog'"):
            results.sql("select count(*) from events where label = 'Dgo'")
        assert results.events("label = 'Owl'").num_rows == 0, "AudioSet has it; nobody heard it"
        assert results.events("label in ('Dog', 'Dgo')").num_rows == 3
        assert results.events("label <> 'Dgo' and score > 2").num_rows == 0


CONDITIONS = (
    "label = {}",
    "label == {}",
    "label in ('Owl', {})",
    "{} = events.label",
    "\"label\" is not distinct from {} -- label = 'Owl'",
    "not (label != {})",
    "label not in ('cat', 'it''s') and 'label = ''Owl' <> label and {} = label",
)


@pytest.mark.parametrize("condition", CONDITIONS)
@pytest.mark.parametrize("name", ["Dog", "dog", "Perro", "PERRO"])
def test_labels_in_any_language_find_the_rows_of_the_archives(
    folder: FolderMaker, condition: str, name: str
) -> None:
    where = condition.format(f"'{name}'")
    with Results(place(folder)) as results:
        for found in (results.events(where), results.sql(f"from events where {where}\n")):
            assert found["label"].to_pylist() == ["Dog"] * 3


@pytest.mark.parametrize("name", ["Dog", "perro", "Perro"])
def test_an_archive_in_spanish_is_asked_in_both_languages(tmp_path: Path, name: str) -> None:
    maker = FolderMaker(tmp_path / "results", locale="es")
    rows = [event("a.wav", 1.0, 2.0, label) for label in ("Perro", "Gato")]
    maker.commit({"recordings": [recording("a.wav", 9.0)], "events": rows})
    with Results(place(maker)) as results:
        assert results.events(f"label = '{name}'")["label"].to_pylist() == ["Perro"]
        assert results.events(f"label <> '{name}'")["label"].to_pylist() == ["Gato"]
        assert summarize(results, label=name).label == "Perro"
        assert results.events("label = 'Owl'").num_rows == 0


def test_labels_of_ones_own_model_go_before_audiosets(tmp_path: Path) -> None:
    maker = FolderMaker(tmp_path / "results", model="birds.tflite")
    labels = ("dog", "Búho", "Perro", "my_Sound")
    maker.commit({"events": [event("a.wav", 1.0, 2.0, label) for label in labels]})
    with Results(place(maker)) as results:
        for name, label in (
            ("Dog", "dog"),
            ("dog", "dog"),
            ("Perro", "Perro"),
            ("perro", "Perro"),
            ("buho", "Búho"),
            ("MY_SOUND", "my_Sound"),
        ):
            assert results.events(f"label = '{name}'")["label"].to_pylist() == [label]
        count = results.sql("select count(*) as n from events where label = 'rare'")
        assert count["n"].to_pylist() == [0], "a class that was never heard is not an error"
        with pytest.raises(UnknownLabelError, match=r"has the label 'howls'$"):
            results.events("label = 'howls'")  # which AudioSet's Howl is like
        with pytest.raises(UnknownLabelError, match=r"'dogg'; the nearest are: 'dog'$"):
            results.events("label = 'dogg'")


def test_damaged_labels_are_told_in_a_sentence(tmp_path: Path) -> None:
    maker = FolderMaker(tmp_path / "results", model="birds.tflite")
    rows = [event("a.wav", float(n), n + 1.0, f"bird {n}") for n in range(5_000)]
    (path,) = maker.commit({"events": rows})
    content = bytearray((maker.folder / path).read_bytes())
    content[8 : len(content) // 2] = b"x" * (len(content) // 2 - 8)
    (maker.folder / path).write_bytes(content)
    for ask in ("label = 'bird 1'", "label = bird 1", "lable = 'bird 1'"):
        with Results(place(maker)) as results, pytest.raises(OidoError) as caught:
            results.events(ask)
        assert "results cannot be read" in str(caught.value) or "no column" in str(caught.value)


def test_what_is_no_results_folder(tmp_path: Path) -> None:
    (tmp_path / "results.csv").touch()
    for path, message in (
        (tmp_path, "is not a results folder"),
        (tmp_path / "results.csv", "is not a results folder"),
        (tmp_path / "nowhere", "no such folder"),
    ):
        with pytest.raises(OptionError, match=message):
            Results(str(path))


def test_doubtful_times_are_counted(tmp_path: Path) -> None:
    maker = FolderMaker(tmp_path / "results")
    names = ("20231029_023000.WAV", "20230326_023000.WAV", "19700101_000000.WAV", "x.wav")
    maker.commit({"recordings": [recording(name, 60.0) for name in names]})
    with Results(str(maker.folder), Clock(zone="Europe/Madrid")) as results:
        assert results.doubts == {"ambiguous": 1, "impossible": 1, "not set": 1}


@pytest.mark.parametrize(
    ("others", "unset"),
    [
        (["20261024_200000.WAV", "20261025_200000.WAV"], 2),
        (["20050102_000000.WAV", "no-time.wav"], 2),
        (["20261024_200000.WAV", "20000605_000000.WAV"], 0),  # an archive that goes back so far
        (["20261024_200000.WAV", "19990605_000000.WAV"], 0),
        (["20000402_000000.WAV"], 0),
        ([], 0),
    ],
)
@pytest.mark.parametrize("zone", ["UTC", "Pacific/Auckland", "America/Los_Angeles"])
def test_a_clock_that_began_anew_in_2000(
    others: list[str], unset: int, zone: str, tmp_path: Path
) -> None:
    maker = FolderMaker(tmp_path / "results")
    names = ("20000101_000012.WAV", "20000214_120000.WAV", *others)
    maker.commit({"recordings": [recording(name, 60.0) for name in names]})
    with Results(str(maker.folder), Clock(zone=zone)) as results:
        assert results.doubts.get("not set", 0) == unset
        early = "recorded_at < '2000-03-01'"
        assert results.recordings(early).num_rows == 2 * (not unset) + ("1999" in str(others))
        unknown = results.recordings("recorded_at is null")
        assert unknown.num_rows == unset + ("no-time.wav" in others)
        assert set(unknown["time_from"].to_pylist()) <= {None}


def test_the_header_is_there(folder: FolderMaker) -> None:
    written = json.loads((folder.folder / "oido-archive.json").read_text("utf-8"))
    with Results(place(folder)) as results:
        assert results.header == written
