# SPDX-License-Identifier: Apache-2.0
"""The facts of TensorFlow Lite's metadata schema: its tables, and their fields in order with kinds.

They are those of metadata_schema.fbs (tensorflow/tflite-support, 1.3.0 and later, "M001"), as far
as oido reads or writes them. The position of a field is its slot, so that further fields may follow
those that are listed; a union has two, its type and its table.
"""

from __future__ import annotations

import math
from typing import Any

import flatbuffers
from flatbuffers import number_types
from flatbuffers.table import Table

from oido.messages import tr
from oido.models.tflite.limits import Allowance

IDENTIFIER = b"M001"
MIN_PARSER_VERSION = "1.3.0"
"""The schema's version that brought AudioProperties; all else here is as old as 1.0.0."""

_TABLES = {
    "ModelMetadata": {
        "name": "string",
        "description": "string",
        "version": "string",
        "subgraph_metadata": "[SubGraphMetadata]",
        "author": "string",
        "license": "string",
        "associated_files": "[AssociatedFile]",
        "min_parser_version": "string",
    },
    "SubGraphMetadata": {
        "name": "string",
        "description": "string",
        "input_tensor_metadata": "[TensorMetadata]",
        "output_tensor_metadata": "[TensorMetadata]",
    },
    "TensorMetadata": {
        "name": "string",
        "description": "string",
        "dimension_names": "[string]",
        "content": "Content",
        "process_units": "[ProcessUnit]",
        "stats": "Stats",
        "associated_files": "[AssociatedFile]",
    },
    "Content": {"content_properties_type": "uint8", "content_properties": "union"},
    "AudioProperties": {"sample_rate": "uint32", "channels": "uint32"},
    "FeatureProperties": {},
    "ProcessUnit": {"options_type": "uint8", "options": "union"},
    "ScoreCalibrationOptions": {"score_transformation": "int8", "default_score": "float32"},
    "ScoreThresholdingOptions": {"global_score_threshold": "float32"},
    "AssociatedFile": {"name": "string", "description": "string", "type": "int8"},
}
_NUMBERS = {
    "int8": number_types.Int8Flags,
    "uint8": number_types.Uint8Flags,
    "uint32": number_types.Uint32Flags,
    "float32": number_types.Float32Flags,
}
_UNIONS = {
    "content_properties": {"FeatureProperties": 1, "AudioProperties": 4},
    "options": {"ScoreCalibrationOptions": 2, "ScoreThresholdingOptions": 3},
}
UNKNOWN, TENSOR_AXIS_LABELS, TENSOR_AXIS_SCORE_CALIBRATION = 0, 2, 4
"""Types of an AssociatedFile."""

_RECORD_BYTES, _MOST_ENTRIES = 64, 1_000


class Record:
    """A table of a flatbuffer; ``record["name"]`` is a field's value, or its default.

    kind: the table's name. A text is a str, a table a Record or None, a list of tables a list of
    Records; a union is the Record of its type, None if that is not listed here.
    """

    def __init__(self, kind: str, table: Any, allowance: Allowance) -> None:
        self.kind, self._table, self._fields = kind, table, _TABLES[kind]
        self._allowance = allowance
        allowance.spend(_RECORD_BYTES)

    @classmethod
    def root(cls, kind: str, data: bytes) -> Record:
        """The table that a whole flatbuffer is."""
        start = flatbuffers.encode.Get(flatbuffers.packer.uoffset, data, 0)
        return cls(kind, Table(data, start), Allowance(data))

    def __getitem__(self, name: str) -> Any:
        field, table = self._fields[name], self._table
        slot = table.Offset(4 + 2 * list(self._fields).index(name))
        position = table.Pos + slot
        if field in _NUMBERS:
            value = table.Get(_NUMBERS[field], position) if slot else 0
            if not math.isfinite(value):
                raise ValueError(value)
            return value
        if field == "string":
            text = bytes(table.String(position)) if slot else b""
            self._allowance.spend(len(text))
            return text.decode("utf-8")
        if field.startswith("["):
            start, length = (table.Vector(slot), table.VectorLen(slot)) if slot else (0, 0)
            if length > _MOST_ENTRIES:
                raise ValueError(tr("a list of {length:,}", length=length))
            return [self._at(field[1:-1], start + 4 * i) for i in range(length)]
        if field == "union":
            number = self[f"{name}_type"]
            field = next((kind for kind, n in _UNIONS[name].items() if n == number), "")
        return self._at(field, position) if slot and field else None

    def _at(self, kind: str, position: int) -> Record:
        table = Table(self._table.Bytes, self._table.Indirect(position))
        return Record(kind, table, self._allowance)


def write(builder: flatbuffers.Builder, kind: str, **values: Any) -> int:
    """Add a table with these fields, in this order; its offset.

    A value is a number, a text, the offset of what `write` or `write_list` added before, and of a
    union the name of its table and its offset.
    """
    fields = _TABLES[kind]
    # Texts must be finished before their table is begun.
    built = {n: builder.CreateString(v) if isinstance(v, str) else v for n, v in values.items()}
    builder.StartObject(len(fields))
    for name, value in built.items():
        slot = list(fields).index(name)
        if fields[name] in _NUMBERS:
            builder.PrependSlot(_NUMBERS[fields[name]], slot, value, 0)
        elif fields[name] == "union":
            number = _UNIONS[name][value[0]]
            builder.PrependSlot(number_types.Uint8Flags, slot - 1, number, 0)
            builder.PrependUOffsetTRelativeSlot(slot, value[1], 0)
        else:
            builder.PrependUOffsetTRelativeSlot(slot, value, 0)
    return int(builder.EndObject())


def write_list(builder: flatbuffers.Builder, tables: list[int]) -> int:
    """Add a list of tables; its offset."""
    builder.StartVector(4, len(tables), 4)
    for table in reversed(tables):
        builder.PrependUOffsetTRelative(table)
    return int(builder.EndVector())
