# SPDX-License-Identifier: Apache-2.0
"""The records of an archive: identities, parameters, and entries of the ledger."""

from __future__ import annotations

import json
import os
import pickle
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from oido.batch.plan import Failure, Plan
from oido.batch.units import (
    Outcome,
    RunSpec,
    Source,
    Unit,
    escaped_name,
    fingerprint_of,
    raw_name,
    utf8,
)
from oido.params import Detection

SOURCE = Source("a.wav", "/in/a.wav", 100, "2026-01-01T00:00:00+00:00")


@given(text=st.text(st.characters(), max_size=30))
def test_any_name_is_a_key_and_can_be_stored(text: str) -> None:
    """Names of files may be any bytes: Python holds those as lone surrogates."""
    source = SOURCE._replace(location=text)
    assert len(source.key) == 32
    assert int(source.key, 16) >= 0
    utf8(text).encode("utf-8")
    if all(not "\ud800" <= c <= "\udfff" for c in text):
        assert utf8(text) == text


def test_a_key_follows_place_size_and_time_but_not_the_name() -> None:
    assert SOURCE._replace(name="other").key == SOURCE.key
    others = [
        SOURCE._replace(location="/in/b.wav"),
        SOURCE._replace(size=101),
        SOURCE._replace(modified=""),
    ]
    assert len({SOURCE.key, *(other.key for other in others)}) == 4


def test_the_key_of_a_range_is_that_of_its_recording_with_its_number() -> None:
    assert Unit(SOURCE).key == Unit(SOURCE, "join").key == SOURCE.key
    assert Unit(SOURCE, "range", number=3, of=5).key == f"{SOURCE.key}:3"


@pytest.mark.parametrize(
    ("change", "counts"),
    [
        ({"floor": 0.2}, True),
        ({"clip_top": 6}, True),
        ({"embeddings": True}, True),
        ({"plan": Plan(hop=0.96)}, True),
        ({"plan": Plan(detection=Detection(threshold=0.5))}, True),
        ({"split_seconds": 60.0}, False),
        ({"flush_rows": 1}, False),
        ({"folder": "elsewhere"}, False),
        ({"plan": Plan(level="clip")}, False),  # an archive has every level
        ({"plan": Plan(model="/a/copy.tflite")}, False),  # its SHA-256 counts
    ],
)
def test_only_what_can_change_a_row_changes_the_fingerprint(change, counts: bool) -> None:
    spec = RunSpec()
    before = fingerprint_of(spec.parameters(), "ab" * 32)
    assert (fingerprint_of(replace(spec, **change).parameters(), "ab" * 32) != before) == counts
    assert fingerprint_of(spec.parameters(), "cd" * 32) != before
    stored = json.loads(json.dumps(spec.parameters()))
    assert fingerprint_of(stored, "ab" * 32) == before


def test_a_calibration_counts_by_its_content_and_not_by_its_path(tmp_path: Path) -> None:
    found = []
    for name, content in (("a", "1"), ("b", "1"), ("c", "2")):
        (tmp_path / name).write_text(content)
        parameters = RunSpec(Plan(calibration=str(tmp_path / name))).parameters()
        found.append(fingerprint_of(parameters, ""))
    assert found[0] == found[1] != found[2]


def test_run_ids() -> None:
    ids = {RunSpec().run_id for _ in range(20)}
    assert len(ids) == 20
    assert {len(run_id) for run_id in ids} == {16}
    spec = RunSpec()
    assert pickle.loads(pickle.dumps(spec)) == spec


def test_entries_say_what_came_of_a_unit() -> None:
    done = Outcome(Unit(SOURCE), "done", 1.23456789, 2, 3, 0.12345).entry()
    assert (done["duration"], done["seconds"], done["key"]) == (1.234568, 0.123, SOURCE.key)
    assert not {"failure", "range", "pieces"} & set(done)
    failed = Outcome(Unit(SOURCE), "failed", failure=Failure("Kind", "why")).entry()
    assert failed["failure"] == {"kind": "Kind", "reason": "why"}
    unit = Unit(SOURCE, "range", first_window=64, windows=128, number=1, of=3)
    piece = Outcome(unit, "piece", pieces=("pieces/1.npy",)).entry()
    assert (piece["range"], piece["pieces"]) == ([1, 3, 64, 128], ["pieces/1.npy"])
    json.dumps([done, failed, piece])


@given(st.binary(max_size=12).map(lambda b: os.fsdecode(b + b"\\udcff"[: len(b)])))
def test_names_of_any_bytes_come_back(name: str) -> None:
    escaped = escaped_name(name)
    escaped.encode("utf-8")
    assert raw_name(escaped) == name


@pytest.mark.parametrize(
    ("name", "escaped"),
    [
        ("caf\u00e9.wav", "caf\u00e9.wav"),
        ("caf\udce9.wav", "caf\\udce9.wav"),
        ("caf\\udce9.wav", "caf\\udc5cudce9.wav"),  # a name that looks like an escaped one
        ("a\\b\\udx", "a\\b\\udx"),
    ],
)
def test_names_are_escaped_only_where_they_must_be(name: str, escaped: str) -> None:
    assert escaped_name(name) == escaped
    assert raw_name(escaped) == name
