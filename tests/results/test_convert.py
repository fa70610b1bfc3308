# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import csv
import json
import os
import shutil
from datetime import datetime, timezone
from pathlib import Path

import numpy as np
import pyarrow.parquet
import pytest

from oido.cli import classify
from oido.datasets.dataset import Dataset
from oido.errors import OptionError, UnknownLabelError
from oido.results import Clock, Results
from oido.results.convert import Converted, convert
from oido.types import Row
from oido.writers.formats import FORMATS
from oido.writers.tables import also_text
from tests.datasets.recordings import record_all
from tests.results.results_folders import FolderMaker, event, recording, run

LABELS_AND_CAPTIONS = ("audacity", "raven", "srt", "vtt")
TABLES = ("csv", "jsonl", "json", "parquet")


def converted(
    results: Path | str, output: Path | str, *formats: str, **options: object
) -> Converted:
    with Results(str(results)) as opened:
        return convert(opened, str(output), formats, **options)  # type: ignore[arg-type]


def lines_of(path: Path) -> list[dict[str, str]]:
    with path.open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file, delimiter="\t"))


@pytest.fixture(scope="module")
def classified(heard: Path) -> Path:
    """What `oido classify` writes for the recordings of the archive."""
    output = heard.parent / "classified"
    names = ",".join((*LABELS_AND_CAPTIONS, *TABLES))
    words = ("-o", f"{output}/", "--format", names, "-q", "--jobs", "1")
    assert run(classify, str(heard.parent / "recordings"), *words) == 3
    return output


def test_files_of_recordings_are_those_of_classify(
    heard: Path, classified: Path, tmp_path: Path
) -> None:
    done = converted(heard, f"{tmp_path}/new/", *LABELS_AND_CAPTIONS)
    written = {p.relative_to(tmp_path / "new") for p in done.files}
    assert len(written) == 12, "three recordings are heard, one is not"
    for name in written:
        content = (tmp_path / "new" / name).read_bytes()
        if name.name.endswith(".selections.txt"):  # the last column is new
            content = b"".join(line.rpartition(b"\t")[0] + b"\n" for line in content.splitlines())
        assert content == (classified / name).read_bytes(), name
    expected = {p.relative_to(classified) for p in classified.rglob("*") if p.is_file()}
    tables = {Path(f"events.{name}") for name in TABLES}
    assert written == expected - tables - {Path("oido-manifest.json"), Path(".oido-written")}


def test_tables_are_those_of_classify_by_name(
    heard: Path, classified: Path, tmp_path: Path
) -> None:
    done = converted(heard, f"{tmp_path}/", *TABLES)
    assert done.replaced == 0
    expected = len((classified / "events.csv").read_text("utf-8").splitlines()) - 1
    assert (done.rows, done.recordings, len(done.files)) == (expected, 3, 4)

    def rows(folder: Path) -> list[list[dict[str, object]]]:
        return [
            list(csv.DictReader((folder / "events.csv").read_text("utf-8").splitlines())),
            [
                json.loads(line)
                for line in (folder / "events.jsonl").read_text("utf-8").splitlines()
            ],
            json.loads((folder / "events.json").read_text("utf-8")),
            pyarrow.parquet.read_table(folder / "events.parquet").to_pylist(),
        ]

    for new, old in zip(rows(tmp_path), rows(classified)):
        assert [list(row)[-1] for row in new] == ["start_at"] * expected
        timed = {str(row["file"]): bool(row.pop("start_at")) for row in new}
        assert {Path(file).name for file, is_known in timed.items() if not is_known} == set()
        assert sorted(map(str, new)) == sorted(map(str, old))
    old, new = (pyarrow.parquet.read_schema(f / "events.parquet") for f in (classified, tmp_path))
    assert new.remove(len(new) - 1).equals(old)
    files = [line.split(",")[0] for line in (tmp_path / "events.csv").read_text().splitlines()[1:]]
    assert files == sorted(files)


def test_a_table_for_each_recording(heard: Path, tmp_path: Path) -> None:
    done = converted(heard, f"{tmp_path}/", "csv", combined=False)
    names = sorted(str(p.relative_to(tmp_path)) for p in done.files)
    assert names == ["moth.csv", "north/20231015_063000.csv", "north/20231015_120000.csv"]
    content = [p.read_text("utf-8").splitlines() for p in done.files]
    assert len({lines[0] for lines in content}) == 1
    assert sum(len(lines) - 1 for lines in content) == done.rows > 10


def test_raven_combined_runs_on_from_file_to_file(tmp_path: Path) -> None:
    maker = FolderMaker(tmp_path / "results")
    durations = {"b.wav": 10.0, "a.wav": 2.5, "c.wav": 7.25, "bad.wav": 0.0}
    for name, duration in durations.items():
        broken = {"failure_kind": "EmptyAudioError"} if name == "bad.wav" else {}
        maker.commit({"recordings": [recording(name, duration, **broken)]})
    maker.commit(
        {
            "events": [
                {**event("c.wav", 1.0, 2.0, "Owl"), "channel": 1},
                event("b.wav", 0.5, 1.0, "Dog"),
                event("a.wav", 2.0, 2.5, "Cat", 0.25),
            ]
        }
    )
    target = tmp_path / "all.selections.txt"
    assert converted(maker.folder, target, "raven", combined=True).rows == 3
    rows = lines_of(target)
    keys = ("Begin Time (s)", "End Time (s)", "File Offset (s)", "Begin File", "Label", "Channel")
    assert [tuple(row[key] for key in keys) for row in rows] == [
        ("2.000000", "2.500000", "2.000000", "a.wav", "Cat", "1"),
        ("3.000000", "3.500000", "0.500000", "b.wav", "Dog", "1"),
        ("13.500000", "14.500000", "1.000000", "c.wav", "Owl", "2"),
    ]
    assert [row["Begin Path"] for row in rows] == [f"/archive/{n}.wav" for n in "abc"]
    assert [row["Selection"] for row in rows] == ["1", "2", "3"]


def test_a_condition_leaves_recordings_with_empty_files(heard: Path, tmp_path: Path) -> None:
    done = converted(heard, f"{tmp_path}/", "audacity", "csv", where="label = 'Police car (siren)'")
    sizes = {p.name: len(p.read_text("utf-8").splitlines()) for p in done.files}
    expected = {"moth.txt": 0, "20231015_063000.txt": 1, "20231015_120000.txt": 0, "events.csv": 2}
    assert sizes == expected
    with pytest.raises(UnknownLabelError, match="'Siren'"):
        converted(heard, f"{tmp_path}/", "csv", where="label = 'Sirren'")


def test_an_archive_without_events_gives_valid_files(tmp_path: Path) -> None:
    maker = FolderMaker(tmp_path / "results", calibrated=True)
    converted(maker.folder, tmp_path / "none.csv")
    assert (tmp_path / "none.csv").read_text().split(",")[-3:] == [
        *("probability", "also"),
        "start_at\n",
    ]
    maker.commit({"recordings": [recording("a.wav", 4.0)]})
    converted(maker.folder, f"{tmp_path}/out/", "vtt", "json", "raven")
    assert (tmp_path / "out/a.vtt").read_text() == "WEBVTT\n\n"
    assert json.loads((tmp_path / "out/events.json").read_text()) == []


@pytest.mark.parametrize("has_also", [False, True])
def test_what_an_event_stands_for_and_archives_that_do_not_say_it(
    tmp_path: Path, has_also: bool
) -> None:
    maker = FolderMaker(tmp_path / "results", has_also=has_also)
    rows = [{**event("a.wav", 1.0, 2.0, "Bark"), "also": "Dog|Animal"}]
    rows.append(event("a.wav", 2.5, 3.0, "Owl"))
    maker.commit({"recordings": [recording("a.wav", 4.0)], "events": rows})
    assert converted(maker.folder, f"{tmp_path}/out/", "csv", "json", "parquet", "raven").rows == 2
    joined = ["Dog|Animal" if has_also else "", ""]
    listed = [["Dog", "Animal"] if has_also else [], []]
    with (tmp_path / "out/events.csv").open(newline="") as file:
        assert [row["also"] for row in csv.DictReader(file)] == joined
    assert [row["also"] for row in json.loads((tmp_path / "out/events.json").read_text())] == listed
    table = pyarrow.parquet.read_table(tmp_path / "out/events.parquet")
    assert table["also"].to_pylist() == joined
    selections = lines_of(tmp_path / "out/a.selections.txt")
    assert [row["Also"] for row in selections] == joined


def test_labels_with_bars_come_out_as_they_were_written(tmp_path: Path) -> None:
    labels = ("Cars|Trucks", "back\\slash", "Dog", "\\|")
    place = ("a.wav", None, 1.0, 2.0)
    text = also_text(Row(*place, "Bark", 4, 0.5, None, labels))
    maker = FolderMaker(tmp_path / "results")
    rows = [{**event("a.wav", 1.0, 2.0, "Bark"), "also": text}]
    maker.commit({"recordings": [recording("a.wav", 4.0)], "events": rows})

    converted(maker.folder, f"{tmp_path}/out/", "csv", "json", "parquet", "raven")

    [listed] = json.loads((tmp_path / "out/events.json").read_text())
    assert listed["also"] == list(labels)
    with (tmp_path / "out/events.csv").open(newline="") as file:
        assert [row["also"] for row in csv.DictReader(file)] == [text]
    table = pyarrow.parquet.read_table(tmp_path / "out/events.parquet")
    assert table["also"].to_pylist() == [text]
    assert [row["Also"] for row in lines_of(tmp_path / "out/a.selections.txt")] == [text]


def test_embeddings_and_windows(heard: Path, tmp_path: Path) -> None:
    done = converted(heard, f"{tmp_path}/", "npz", "parquet", table="embeddings")
    arrays = np.load(tmp_path / "embeddings.npz")
    table = pyarrow.parquet.read_table(tmp_path / "embeddings.parquet")
    assert arrays["embeddings"].shape == (done.rows, 1024) == (table.num_rows, 1024)
    assert np.array_equal(np.stack(table["embedding"].to_numpy()), arrays["embeddings"])
    assert converted(heard, tmp_path / "windows.csv", table="windows").rows > 100
    with pytest.raises(OptionError, match="there is no format 'csv'; choose from parquet, npz"):
        converted(heard, f"{tmp_path}/", "csv", table="embeddings")


def test_what_was_there_is_replaced_and_counted(heard: Path, tmp_path: Path) -> None:
    assert converted(heard, f"{tmp_path}/", "csv", "srt").replaced == 0
    assert converted(heard, f"{tmp_path}/", "csv", "srt").replaced == 4
    assert converted(heard, tmp_path / "events.csv").replaced == 1
    assert not list(tmp_path.rglob("*.part"))


def test_names_that_would_lead_out_of_the_folder(tmp_path: Path) -> None:
    maker = FolderMaker(tmp_path / "results")
    names = ("../../evil.wav", "/etc/evil.wav", "s3://bucket/x/evil.wav", "x/../../evil.wav")
    maker.commit({"recordings": [recording(name, 1.0) for name in names]})
    before = {p for p in tmp_path.rglob("*") if p.is_file()}
    done = converted(maker.folder, f"{tmp_path}/deep/er/out/", "srt")
    assert len(done.files) == 4
    new = {p for p in tmp_path.rglob("*") if p.is_file()} - before
    assert all((tmp_path / "deep/er/out") in path.parents for path in new)
    assert len(new) == 6  # with the manifest, and the record of what was written


@pytest.mark.parametrize("name", ["", "/", "/events/new.csv", "/new/"])
def test_nothing_is_written_into_the_results(heard: Path, name: str) -> None:
    before = sorted(heard.rglob("*"))
    with pytest.raises(OptionError, match="lies in the results folder"):
        converted(heard, f"{heard}{name}", "csv")
    assert sorted(heard.rglob("*")) == before


def test_what_cannot_be(heard: Path, tmp_path: Path) -> None:
    with pytest.raises(OptionError, match="srt is one file per recording; --combined is for"):
        converted(heard, f"{tmp_path}/", "srt", combined=True)
    with pytest.raises(OptionError, match="audacity is one file per recording: give a folder"):
        converted(heard, tmp_path / "x.txt", "audacity")
    with pytest.raises(OptionError, match="recordings cannot be converted"):
        converted(heard, f"{tmp_path}/", "csv", table="recordings")
    assert not list(tmp_path.iterdir())


def test_the_manifest_says_where_it_comes_from(heard: Path, tmp_path: Path) -> None:
    converted(heard, tmp_path / "e.csv", where="score > 0.5")
    manifest = json.loads((tmp_path / "e.csv.manifest.json").read_text("utf-8"))
    header = json.loads((heard / "oido-archive.json").read_text("utf-8"))
    assert manifest["where"] == "score > 0.5"
    assert (manifest["model"], manifest["parameters"]) == (header["model"], header["parameters"])
    assert manifest["counts"]["recordings"] == 3


def test_names_that_are_too_long_or_no_utf8(tmp_path: Path) -> None:
    maker = FolderMaker(tmp_path / "r")
    names = ["a.wav", f"{'n' * 253}.w", "caf\\udce9.wav"]
    rows = {"recordings": [recording(name, 9.0) for name in names]}
    maker.commit({**rows, "events": [event(name, 1.0, 2.0, "Dog") for name in names]})
    with Results(str(tmp_path / "r")) as results:
        done = convert(results, f"{tmp_path}/out/", ["srt"])
    assert sorted(p.name for p in done.files) == ["a.srt", os.fsdecode(b"caf\xe9.srt")]
    (failure,) = done.failures
    assert "File name too long" in failure
    assert json.loads((tmp_path / "out" / "oido-manifest.json").read_text())["outputs"] == [
        "a.srt",
        "caf\\udce9.srt",
    ]


def test_every_table_ends_in_when_its_rows_began(tmp_path: Path) -> None:
    maker = FolderMaker(tmp_path / "results", calibrated=True)
    names = ("20231015_063000.wav", "x.wav")
    place = {"channel": None, "start_time": 1.25, "end_time": 2.225}
    rows = {
        "recordings": [recording(name, 9.0) for name in names],
        "events": [{**event(name, 1.25, 2.0, "Dog"), "probability": 0.5} for name in names],
        "embeddings": [{"file": name, **place, "embedding": [0.5, 1.0]} for name in names],
    }
    maker.commit(rows)
    options = {"combined": None, "table": "events"}
    with Results(str(maker.folder), Clock(zone="Europe/Madrid")) as results:
        convert(results, f"{tmp_path}/", [*TABLES, "raven"], **options)  # type: ignore[arg-type]
        convert(results, f"{tmp_path}/e/", ["parquet", "npz"], table="embeddings")
        convert(results, f"{tmp_path}/one.selections.txt", ["raven"], combined=True)
    at, text = (
        datetime(2023, 10, 15, 4, 30, 1, 250_000, timezone.utc),
        "2023-10-15T04:30:01.250000Z",
    )
    table = list(csv.DictReader((tmp_path / "events.csv").open(encoding="utf-8")))
    assert list(table[0])[-3:] == ["probability", "also", "start_at"]
    assert [row["start_at"] for row in table] == [text, ""]
    for found in (
        json.loads((tmp_path / "events.json").read_text("utf-8")),
        [json.loads(line) for line in (tmp_path / "events.jsonl").read_text().splitlines()],
    ):
        assert [list(row.items())[-1] for row in found] == [("start_at", text), ("start_at", None)]
    for path in ("events.parquet", "e/embeddings.parquet"):
        found = pyarrow.parquet.read_table(tmp_path / path)
        assert found.column_names[-1] == "start_at"
        assert found["start_at"].to_pylist() == [at, None]
    assert [
        lines_of(tmp_path / f"{Path(name).stem}.selections.txt")[0]["start_at"] for name in names
    ] == [text, ""]
    combined = lines_of(tmp_path / "one.selections.txt")
    assert [list(row.items())[-1] for row in combined] == [("start_at", text), ("start_at", "")]
    moments = np.load(tmp_path / "e" / "embeddings.npz")["start_at"]
    assert moments[0] == np.datetime64(at.replace(tzinfo=None))
    assert np.isnat(moments[1])
    with Results(str(maker.folder), None) as results:
        convert(results, str(tmp_path / "untimed.csv"), [])
    header = (tmp_path / "untimed.csv").read_text().splitlines()[0]
    assert header.endswith(",score,probability,also")


HARD = "mañana 1/a [2],'x'.wav"
NAMES = ("site/20231015_063000.wav", "other/night.wav", HARD, "quiet.wav", "=1+1.wav")
READ_BACK = (
    (NAMES[0], 0.25, 1.0, "Smoke detector, smoke alarm"),
    (NAMES[0], 1.5, 2.0, "Bow-wow"),
    (NAMES[0], 1.5, 2.0, "Dog"),
    (NAMES[1], 0.0, 0.975, 'She said "hoo"'),
    (NAMES[1], 2.123457, 3.0, "🦉 búho"),
    (HARD, 1.0, 1.487537, "=1+1"),
    (HARD, 2.0, 2.5, "'tis"),
    (NAMES[4], 1.0, 2.0, "a;b"),
)


@pytest.fixture(scope="module")
def field(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Recordings, and beside them what was heard in them."""
    root = tmp_path_factory.mktemp("field")
    record_all(root / "rec", *NAMES, seconds=3.0)
    maker = FolderMaker(root / "results")
    maker.commit(
        {
            "recordings": [recording(f"rec/{name}", 3.0) for name in NAMES],
            "events": [event(f"rec/{name}", *rest) for name, *rest in READ_BACK],
        }
    )
    return root


def test_the_formats_that_datasets_read_are_known() -> None:
    """A new format belongs into one of these, and into the test below if it is read."""
    read, not_read = {"csv", "parquet", "audacity", "raven"}, {"json", "jsonl", "srt", "vtt"}
    assert {entry.name for entry in FORMATS} == read | not_read


@pytest.mark.parametrize(
    ("output", "options"),
    [
        ("events.csv", {}),
        ("events.parquet", {}),
        ("rec/", {"formats": ("audacity",)}),
        ("rec/", {"formats": ("raven",)}),
        ("rec/", {"formats": ("csv",), "combined": False}),
        ("rec/all.selections.txt", {"formats": ("raven",), "combined": True}),
    ],
)
def test_what_is_written_is_read_back_the_same(
    field: Path, tmp_path: Path, output: str, options: dict[str, object]
) -> None:
    root = tmp_path / "copy"
    shutil.copytree(field, root)
    formats = options.pop("formats", ())
    assert isinstance(formats, tuple)
    converted(root / "results", f"{root}/{output}", *formats, **options)
    if output.startswith("rec/"):
        data = Dataset.from_label_tracks(root / "rec", background_from_gaps=False)
    else:
        data = Dataset.from_table(root / output)
    found = [
        (Path(c.path).relative_to(root / "rec").as_posix(), c.start_time, c.end_time, label)
        for c in data
        for label in c.labels
    ]
    assert sorted(found) == sorted(READ_BACK)
    assert {why for _, why in data.left_out} <= {"has no label track beside it"}
    assert not data.notes
