# SPDX-License-Identifier: Apache-2.0
"""Parts hold every row once, whole or not at all, and lose those of a recording that changed."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from oido.batch import parquet_parts
from oido.batch.arrow_rows import schemas
from oido.batch.parquet_parts import PartBuffer, rewrite_parts, write_part
from oido.batch.storage import Storage, storage_of
from oido.batch.units import Part
from oido.errors import OutputError

SCHEMAS = schemas(False)


@pytest.fixture
def storage(tmp_path: Path) -> Storage:
    return storage_of(str(tmp_path / "out"), "0" * 16)


def events(file: str, n: int, first: int = 0) -> Any:
    rows = [
        {"file": file, "start_time": float(first + k), "end_time": first + k + 1.0, "label": "Dog"}
        | {"channel": None, "label_index": 69, "score": 0.5}
        for k in range(n)
    ]
    return pa.RecordBatch.from_pylist(rows, SCHEMAS["events"])


def recordings(*files: str) -> Any:
    rows = [{"file": file, "location": f"/in/{file}"} for file in files]
    return pa.RecordBatch.from_pylist(rows, SCHEMAS["recordings"])


def read(storage: Storage, part: Part) -> list[tuple[str, Any]]:
    with storage.open(part.path) as file:
        table = pq.read_table(file)
    assert table.num_rows == part.rows
    column = "start_time" if part.table == "events" else "location"
    return list(zip(table["file"].to_pylist(), table[column].to_pylist()))


def test_a_part_holds_its_batches_in_order(storage: Storage) -> None:
    batches = [events("a", 3), events("b", 2)]
    part = write_part(storage, "events", SCHEMAS["events"], batches)
    assert part.path.startswith(f"events/{'0' * 16}-")
    assert read(storage, part) == [("a", 0), ("a", 1), ("a", 2), ("b", 0), ("b", 1)]
    empty = write_part(storage, "events", SCHEMAS["events"], [])
    assert (empty.rows, read(storage, empty)) == (0, [])


def test_a_small_recording_is_only_held(storage: Storage) -> None:
    buffer = PartBuffer(storage, SCHEMAS)
    buffer("events", events("a", 3))
    buffer("events", events("a", 2, 3))
    assert (buffer.rows, buffer.is_large) == (5, False)
    held = buffer.release()
    assert [batch.num_rows for batch in held["events"]] == [3, 2]
    assert buffer.release() == {}
    assert storage.entries() == []


def test_a_large_recording_is_written_meanwhile_and_no_row_is_lost(
    storage: Storage, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(parquet_parts, "_HELD_BYTES", 1_000)
    buffer = PartBuffer(storage, SCHEMAS)
    buffer("recordings", recordings("a"))
    for first in range(0, 500, 7):
        buffer("events", events("a", min(7, 500 - first), first))
    assert buffer.is_large
    assert storage.names("events")[0].endswith(".part")  # not whole yet
    parts = {part.table: part for part in buffer.write()}
    assert read(storage, parts["events"]) == [("a", float(n)) for n in range(500)]
    assert read(storage, parts["recordings"]) == [("a", "/in/a")]
    assert not buffer.is_large
    assert buffer.write() == []


def test_what_is_discarded_leaves_no_file(
    storage: Storage, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(parquet_parts, "_HELD_BYTES", 0)
    buffer = PartBuffer(storage, SCHEMAS)
    buffer("events", events("a", 100))
    buffer("clips", events("a", 100))
    assert len(storage.names("events")) == len(storage.names("clips")) == 1
    buffer.discard()
    assert storage.names("events") == storage.names("clips") == []
    buffer.discard()  # once more does no harm


def test_embeddings_do_not_count_as_rows(storage: Storage) -> None:
    buffer = PartBuffer(storage, SCHEMAS)
    vector = np.zeros(4, np.float16).tolist()
    row = {"file": "a", "start_time": 0.0, "end_time": 1.0, "embedding": vector}
    buffer("embeddings", pa.RecordBatch.from_pylist([row], SCHEMAS["embeddings"]))
    buffer("events", events("a", 2))
    assert buffer.rows == 2
    assert {part.table: part.rows for part in buffer.write()} == {"embeddings": 1, "events": 2}


def test_rows_of_a_recording_that_changed_go_and_all_others_stay(storage: Storage) -> None:
    shared = write_part(storage, "events", SCHEMAS["events"], [events("a", 2), events("b", 3)])
    own = write_part(storage, "events", SCHEMAS["events"], [events("a", 4)])
    none = write_part(storage, "events", SCHEMAS["events"], [events("b", 1)])
    listed = write_part(storage, "recordings", SCHEMAS["recordings"], [recordings("a", "b")])
    live = {part.path: part for part in (shared, own, none, listed)}
    leaving = {path: {"/in/a"} for path in live}
    replaced = dict(rewrite_parts(storage, live, leaving))
    assert replaced.pop(own.path) is None
    assert none.path not in replaced  # nothing of it leaves: it stands as it is
    again = replaced[shared.path]
    assert again is not None
    assert read(storage, again) == [("b", 0), ("b", 1), ("b", 2)]
    recorded = replaced[listed.path]
    assert recorded is not None
    assert read(storage, recorded) == [("b", "/in/b")]
    assert read(storage, shared)[0] == ("a", 0)  # never changed, only replaced


def test_a_place_that_cannot_be_written_is_told(storage: Storage, tmp_path: Path) -> None:
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "events").write_text("in the way")
    with pytest.raises(OutputError, match=r"events.* cannot be written"):
        write_part(storage, "events", SCHEMAS["events"], [events("a", 1)])
