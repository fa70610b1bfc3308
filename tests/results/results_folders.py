# SPDX-License-Identifier: Apache-2.0
"""Results folders for tests: one that was really heard, and such as are made row by row."""

from __future__ import annotations

import argparse
import csv
import json
import shutil
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow
import pyarrow.parquet
import soundfile

from oido.cli import batch
from oido.cli.terminal import EXIT_FAILED_FILES

__all__ = ["FolderMaker", "answer_yes", "event", "heard_archive", "recording", "run"]

PLACE = [("file", "string"), ("channel", "int32"), ("start_time", "double"), ("end_time", "double")]
LABELS = [*PLACE, ("label", "string"), ("label_index", "int32"), ("score", "float")]
RECORDINGS = [
    ("file", "string"),
    ("location", "string"),
    ("size", "int64"),
    ("modified", "string"),
    ("key", "string"),
    ("duration", "double"),
    ("channels", "int32"),
    ("sample_rate", "int32"),
    ("windows", "int64"),
    ("rows", "int64"),
    ("padded_share", "double"),
    ("damaged_packets", "int64"),
    ("failure_kind", "string"),
    ("failure_reason", "string"),
    ("tags", "string"),
    ("heard_at", "string"),
    ("hearing_seconds", "double"),
    ("unknown", "bool"),
]


def schema(columns: Sequence[tuple[str, str]]) -> Any:
    return pyarrow.schema([(name, pyarrow.type_for_alias(kind)) for name, kind in columns])


SCHEMAS = {
    **dict.fromkeys(("events", "windows", "clips"), schema(LABELS)),
    "embeddings": schema(PLACE).append(
        pyarrow.field("embedding", pyarrow.list_(pyarrow.float16()))
    ),
    "recordings": schema(RECORDINGS),
}


class FolderMaker:
    """Writes a results folder, a commit at a time. has_also: False as version 0.1.0 wrote it."""

    def __init__(
        self,
        folder: Path,
        calibrated: bool = False,
        *,
        has_also: bool = True,
        locale: str = "en",
        model: str = "yamnet/classification",
    ) -> None:
        self.folder, self.commits, self.calibrated = folder, 0, calibrated
        self.has_also = has_also
        (folder / "ledger").mkdir(parents=True)
        header = {
            "archive_version": 1,
            "oido_version": "0.1.0",
            "created": "2026-01-02T03:04:05+00:00",
            "fingerprint": "ab" * 32,
            "model": {"name": model, "sha256": "10" * 32},
            "parameters": {"level": "events", "hop": None, "locale": locale},
            "calibrated": calibrated,
            "tables": list(SCHEMAS),
        }
        (folder / "oido-archive.json").write_text(json.dumps(header))

    def commit(
        self, rows: Mapping[str, Sequence[Mapping[str, Any]]], remove: Sequence[str] = ()
    ) -> list[str]:
        """Rows by table, each table a part of its own; gives the parts' paths."""
        self.commits += 1
        added = []
        for table, content in rows.items():
            path = f"{table}/{self.commits:08d}.parquet"
            self.write_part(path, table, content)
            added.append({"table": table, "path": path, "rows": len(content)})
        entry = {"commit": self.commits, "created": "", "add": added, "remove": list(remove)}
        name = self.folder / "ledger" / f"{self.commits:08d}.json"
        name.write_text(json.dumps({**entry, "units": []}))
        return [part["path"] for part in added]

    def write_part(self, path: str, table: str, content: Sequence[Mapping[str, Any]]) -> None:
        wanted = SCHEMAS[table]
        if self.calibrated and "score" in wanted.names:
            wanted = wanted.append(pyarrow.field("probability", pyarrow.float32()))
        if self.has_also and "score" in wanted.names:
            wanted = wanted.append(pyarrow.field("also", pyarrow.string()))
        target = self.folder / path
        target.parent.mkdir(exist_ok=True)
        filled = [{name: row.get(name) for name in wanted.names} for row in content]
        for row in filled:  # pyarrow 17 makes no float16 of a Python number
            if row.get("embedding") is not None:
                row["embedding"] = list(np.asarray(row["embedding"], np.float16))
        rows = pyarrow.Table.from_pylist(filled, schema=wanted)
        pyarrow.parquet.write_table(rows, target, compression="zstd")


def recording(file: str, duration: float, **values: Any) -> dict[str, Any]:
    """A row of the recordings table."""
    return {
        "file": file,
        "location": f"/archive/{file}",
        "size": 1000,
        "modified": "2024-05-05T12:00:00+00:00",
        "key": file,
        "duration": duration,
        "channels": 1,
        "sample_rate": 16000,
        "windows": round(duration / 0.48),
        "rows": 0,
        "padded_share": 0.0,
        "damaged_packets": 0,
        "tags": "{}",
        "heard_at": "2026-01-02T03:04:05+00:00",
        "hearing_seconds": 0.1,
        **values,
    }


def event(file: str, start: float, end: float, label: str, score: float = 0.5) -> dict[str, Any]:
    """A row of the events table."""
    place = {"file": file, "channel": None, "start_time": start, "end_time": end}
    return {**place, "label": label, "label_index": len(label), "score": score, "also": ""}


def run(module: Any, *words: str) -> int:
    """One command by itself, with its exit code."""
    parser = argparse.ArgumentParser(prog="oido")
    module.add_parser(parser.add_subparsers(required=True))
    args = parser.parse_args([module.__name__.rpartition(".")[2], *words])
    code: int = args.run(args)
    return code


def heard_archive(folder: Path) -> Path:
    """``results``, what `oido batch` says of real recordings in ``recordings`` beside it.

    Two have their time in the name, one in a comment as AudioMoth writes it; one cannot be heard.
    """
    examples = Path(__file__).parents[2] / "examples"
    recordings = folder / "recordings"
    (recordings / "north").mkdir(parents=True)
    shutil.copy(examples / "street.flac", recordings / "north" / "20231015_063000.flac")
    shutil.copy(examples / "alarm.flac", recordings / "north" / "20231015_120000.flac")
    (recordings / "broken.wav").write_bytes(b"")
    with soundfile.SoundFile(recordings / "moth.wav", "w", 16_000, 1) as file:
        file.comment = "Recorded at 19:17:30 10/12/2018 (UTC+2) by AudioMoth 0FE081F80FE081F0"
        file.write(np.zeros(32_000, np.float32))
    words = ("-o", str(folder / "results"), "-q", "--jobs", "1", "--embeddings")
    assert run(batch, str(recordings), *words) == EXIT_FAILED_FILES
    return folder / "results"


def answer_yes(table: Path) -> None:
    """A verdict for each clip of a table: yes."""
    with table.open(newline="") as file:
        rows = list(csv.DictReader(file))
    with table.open("w", newline="") as file:
        writer = csv.DictWriter(file, rows[0])
        writer.writeheader()
        writer.writerows({**row, "verdict": "yes"} for row in rows)
