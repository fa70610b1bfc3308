# SPDX-License-Identifier: Apache-2.0
"""Tables of the metadata schema: read back as written, by default where absent, never trusted."""

from __future__ import annotations

import contextlib
import struct
from typing import Any

import flatbuffers
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from oido.models.model import AudioModel
from oido.models.tflite.editor import TfliteGraph
from oido.models.tflite.metadata_schema import (
    IDENTIFIER,
    TENSOR_AXIS_LABELS,
    Record,
    write,
    write_list,
)


def finished(builder: flatbuffers.Builder, table: int) -> bytes:
    builder.Finish(table, IDENTIFIER)
    return bytes(builder.Output())


texts = st.text(st.characters(codec="utf-8", exclude_characters="\0"), max_size=20)


@given(names=st.lists(texts, max_size=5), rate=st.integers(0, 2**32 - 1), kind=st.integers(0, 127))
def test_what_is_written_is_read_back(names: list[str], rate: int, kind: int) -> None:
    builder = flatbuffers.Builder(64)
    files = [write(builder, "AssociatedFile", name=name, type=kind) for name in names]
    audio = write(builder, "AudioProperties", sample_rate=rate, channels=1)
    content = write(builder, "Content", content_properties=("AudioProperties", audio))
    packed = write_list(builder, files)
    tensor = write(builder, "TensorMetadata", content=content, associated_files=packed)
    record = Record.root("TensorMetadata", finished(builder, tensor))
    assert [file["name"] for file in record["associated_files"]] == names
    assert {file["type"] for file in record["associated_files"]} <= {kind}
    properties = record["content"]["content_properties"]
    assert (properties.kind, properties["sample_rate"], properties["channels"]) == (
        "AudioProperties",
        rate,
        1,
    )


def test_what_is_absent_has_its_default() -> None:
    builder = flatbuffers.Builder(64)
    record = Record.root("TensorMetadata", finished(builder, write(builder, "TensorMetadata")))
    assert (record["name"], record["associated_files"], record["content"]) == ("", [], None)
    builder = flatbuffers.Builder(64)
    options = write(builder, "ScoreCalibrationOptions")
    unit = Record.root("ScoreCalibrationOptions", finished(builder, options))
    assert (unit["score_transformation"], unit["default_score"]) == (0, 0)


def test_a_union_of_a_kind_that_is_not_listed_is_none() -> None:
    builder = flatbuffers.Builder(64)
    features = write(builder, "FeatureProperties")
    content = write(builder, "Content", content_properties=("FeatureProperties", features))
    data = bytearray(finished(builder, content))
    assert Record.root("Content", bytes(data))["content_properties"].kind == "FeatureProperties"
    table = Record.root("Content", bytes(data))._table
    data[table.Pos + table.Offset(4)] = 9  # its type
    assert Record.root("Content", bytes(data))["content_properties"] is None


def test_a_number_that_is_none_is_refused() -> None:
    builder = flatbuffers.Builder(64)
    options = write(builder, "ScoreThresholdingOptions", global_score_threshold=0.25)
    data = bytearray(finished(builder, options))
    assert Record.root("ScoreThresholdingOptions", bytes(data))["global_score_threshold"] == 0.25
    place = bytes(data).index(struct.pack("<f", 0.25))
    data[place : place + 4] = struct.pack("<f", float("nan"))
    with pytest.raises(ValueError, match="nan"):
        Record.root("ScoreThresholdingOptions", bytes(data))["global_score_threshold"]


def test_the_published_models_tables_are_those_of_the_schema(model: AudioModel) -> None:
    """A file that others wrote: the positions of the fields here are those that they used."""
    raw = TfliteGraph(model.path.read_bytes()).metadata()
    assert raw is not None
    assert raw[4:8] == IDENTIFIER
    root = Record.root("ModelMetadata", raw)
    assert root["min_parser_version"] == "1.3.0"
    (graph,) = root["subgraph_metadata"]
    (waveform,) = graph["input_tensor_metadata"]
    audio = waveform["content"]["content_properties"]
    assert (audio["sample_rate"], audio["channels"]) == (16_000, 1)
    files = graph["output_tensor_metadata"][0]["associated_files"]
    assert TENSOR_AXIS_LABELS in {file["type"] for file in files}


def walk(record: Record) -> None:
    for name in record._fields:
        value: Any = record[name]
        for item in value if isinstance(value, list) else [value]:
            if isinstance(item, Record):
                walk(item)


@settings(max_examples=60)
@given(places=st.lists(st.tuples(st.integers(0, 10**6), st.integers(0, 255)), max_size=6))
def test_damaged_tables_are_read_or_refused_soon(
    model: AudioModel, places: list[tuple[int, int]]
) -> None:
    raw = TfliteGraph(model.path.read_bytes()).metadata()
    assert raw is not None
    data = bytearray(raw)
    for place, value in places:
        data[place % len(data)] = value
    # What `refuse_damage` makes a ModelFormatError of.
    with contextlib.suppress(ValueError, LookupError, TypeError, struct.error, AttributeError):
        walk(Record.root("ModelMetadata", bytes(data)))
