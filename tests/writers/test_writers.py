# SPDX-License-Identifier: Apache-2.0
"""Every format, read back by an independent reader."""

from __future__ import annotations

import csv
import io
import json
import re
from pathlib import Path
from typing import Any

import pytest

from oido.errors import OptionError, OutputError
from oido.types import Row
from oido.writers.atomic import AtomicFile, write_atomically
from oido.writers.base import COLUMNS
from oido.writers.formats import FORMATS, Format, format_named, format_of_path

ROWS = [
    Row("street.wav", None, 0.0, 1.6875, "Siren", 390, 0.95703125),
    Row(
        "nächte/狗, 1.wav", 1, 3661.5, 3662.46, "Bird vocalization, bird call, bird song", 106, 0.5
    ),
    Row("a.wav", 0, 59.9996, 60.0, 'Sound "quoted" <&>', 7, 1 / 3),
]


def written(entry: Format, *batches: list[Row]) -> bytes:
    stream: Any = io.BytesIO() if entry.binary else io.StringIO(newline="")
    writer = entry.writer(stream)
    for batch in batches:
        writer.write(batch)
    writer.close()
    value = stream.getvalue()
    return value if entry.binary else value.encode()


def read_back(entry: Format, content: bytes) -> list[dict[str, Any]]:
    text = "" if entry.binary else content.decode()
    if entry.name == "csv":
        return list(csv.DictReader(io.StringIO(text)))
    if entry.name == "jsonl":
        return [json.loads(line) for line in text.splitlines()]
    if entry.name == "json":
        return list(json.loads(text))
    parquet = pytest.importorskip("pyarrow.parquet")
    return list(parquet.read_table(io.BytesIO(content)).to_pylist())


@pytest.mark.parametrize("name", ["csv", "jsonl", "json", "parquet"])
def test_tables_keep_columns_order_and_values(name: str) -> None:
    entry = format_named(name)
    table = read_back(entry, written(entry, ROWS[:1], ROWS[1:]))
    assert [tuple(row) for row in table] == [COLUMNS] * 3
    for row, expected in zip(table, ROWS):
        assert row["file"] == expected.file
        assert row["label"] == expected.label
        assert int(row["label_index"]) == expected.label_index
        assert float(row["start_time"]) == pytest.approx(expected.start_time, abs=1e-6)
        assert float(row["end_time"]) == pytest.approx(expected.end_time, abs=1e-6)
        assert float(row["score"]) == pytest.approx(expected.score, abs=1e-7)
        none = expected.channel is None
        assert row["channel"] in ((None, "") if none else (expected.channel, str(expected.channel)))


@pytest.mark.parametrize("name", ["csv", "jsonl", "json", "parquet"])
def test_quantised_scores_are_written_exactly(name: str) -> None:
    entry = format_named(name)
    rows = [ROWS[0]._replace(score=n / 256) for n in range(257)]
    assert [float(r["score"]) for r in read_back(entry, written(entry, rows))] == [
        n / 256 for n in range(257)
    ]


@pytest.mark.parametrize("entry", FORMATS, ids=lambda f: f.name)
def test_no_detections_still_make_a_valid_file(entry: Format) -> None:
    content = written(entry)
    if entry.combined:
        assert read_back(entry, content) == []
    expected = {"csv": ",".join(COLUMNS) + "\n", "json": "[]\n", "vtt": "WEBVTT\n\n"}
    if entry.name in expected:
        assert content.decode() == expected[entry.name]
    if entry.name == "raven":
        assert content.decode().startswith("Selection\tView\tChannel\tBegin Time (s)\t")


def test_audacity_is_three_columns_between_tabs() -> None:
    lines = written(format_named("audacity"), ROWS).decode().splitlines()
    assert lines[0] == "0.000000\t1.687500\tSiren"
    assert [line.count("\t") for line in lines] == [2, 2, 2]


def test_raven_counts_selections_and_channels_from_one() -> None:
    table = csv.DictReader(
        io.StringIO(written(format_named("raven"), ROWS[:2], ROWS[2:]).decode()), delimiter="\t"
    )
    rows = list(table)
    assert [r["Selection"] for r in rows] == ["1", "2", "3"]
    assert [r["Channel"] for r in rows] == ["1", "2", "1"]
    assert [float(r["Begin Time (s)"]) for r in rows] == [0.0, 3661.5, 59.9996]
    assert all(float(r["Low Freq (Hz)"]) < float(r["High Freq (Hz)"]) for r in rows)


def test_srt_numbers_its_cues_and_rounds_to_milliseconds() -> None:
    cues = written(format_named("srt"), ROWS).decode().strip().split("\n\n")
    assert cues[0] == "1\n00:00:00,000 --> 00:00:01,688\n[Siren]"
    assert cues[1].splitlines()[:2] == ["2", "01:01:01,500 --> 01:01:02,460"]
    # 59.9996 s is 60.000 s, not 59.1000 s.
    assert "00:01:00,000 --> 00:01:00,000" in cues[2]


def test_vtt_escapes_what_would_be_markup() -> None:
    text = written(format_named("vtt"), ROWS).decode()
    assert text.startswith("WEBVTT\n\n")
    assert '[Sound "quoted" &lt;&amp;&gt;]' in text
    assert len(re.findall(r"\d\d:\d\d:\d\d\.\d{3} --> \d\d:\d\d:\d\d\.\d{3}", text)) == 3


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("a.csv", "csv"),
        ("A.JSONL", "jsonl"),
        ("a.selections.txt", "raven"),
        ("a.txt", "audacity"),
        ("a.b.vtt", "vtt"),
        ("a", None),
        ("a.docx", None),
    ],
)
def test_a_file_name_tells_its_format(name: str, expected: str | None) -> None:
    entry = format_of_path(Path(name))
    assert (entry.name if entry else None) == expected


def test_an_unknown_format_names_the_known_ones() -> None:
    with pytest.raises(OptionError, match=r"xml.*csv.*vtt"):
        format_named("xml")


class TestAtomicFile:
    def test_nothing_is_there_before_commit(self, tmp_path: Path) -> None:
        path = tmp_path / "new" / "out.csv"
        file = AtomicFile(path)
        file.stream.write("x")
        assert not path.exists()
        file.commit()
        assert path.read_text() == "x"
        assert list(path.parent.iterdir()) == [path]

    def test_discard_leaves_nothing_and_keeps_the_old(self, tmp_path: Path) -> None:
        path = tmp_path / "out.csv"
        path.write_text("old")
        file = AtomicFile(path)
        file.stream.write("new")
        file.discard()
        file.discard()
        assert path.read_text() == "old"
        assert list(tmp_path.iterdir()) == [path]

    def test_a_full_disk_is_an_output_error(self, tmp_path: Path) -> None:
        full = Path("/dev/full")
        if not full.exists():
            pytest.skip("this system has no /dev/full")
        path = tmp_path / "out.csv"
        file = AtomicFile(path)
        file.stream.close()
        file.stream = full.open("w")
        with pytest.raises(OutputError, match=r"out\.csv.*No space left"), file.guard():
            file.stream.write("x" * 100_000)
        assert list(tmp_path.iterdir()) == []

    def test_a_folder_that_cannot_be_made_is_an_output_error(self, tmp_path: Path) -> None:
        (tmp_path / "file").write_text("")
        with pytest.raises(OutputError, match=r"out\.csv"):
            AtomicFile(tmp_path / "file" / "out.csv")

    def test_a_block_gives_the_name_and_an_error_in_it_leaves_nothing(self, tmp_path: Path) -> None:
        path = tmp_path / "clip.wav"
        with write_atomically(path, binary=True, new=True) as file:
            file.stream.write(b"one")
            assert not path.exists()
        with pytest.raises(FileExistsError), write_atomically(path, True, new=True) as file:
            file.stream.write(b"two")
        with pytest.raises(KeyboardInterrupt), write_atomically(path, True) as file:
            raise KeyboardInterrupt
        assert path.read_bytes() == b"one"
        assert [p.name for p in tmp_path.iterdir()] == ["clip.wav"]
        with write_atomically(path, True) as file:
            file.stream.write(b"three")
        assert path.read_bytes() == b"three"
