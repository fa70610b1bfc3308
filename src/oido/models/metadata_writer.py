# SPDX-License-Identifier: Apache-2.0
"""Writing metadata into a .tflite, so that it says by itself what it hears and how.

The counterpart of `oido.models.metadata`, with the same field numbers (metadata_schema.fbs of
tensorflow/tflite-support): name, audio rate and channels of the input, and the labels of each
output as an associated file, appended to the model as a ZIP.
"""

from __future__ import annotations

import io
import zipfile
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import flatbuffers
from flatbuffers import number_types

from oido.errors import ModelFormatError, OptionError
from oido.models.graph import TfliteGraph

__all__ = ["HeadLabels", "annotated"]

_AUDIO_PROPERTIES = 4
_FEATURE_PROPERTIES = 1
_TENSOR_AXIS_LABELS = 2

_Field = tuple[int, Callable[[flatbuffers.Builder, int], None]]


@dataclass(frozen=True)
class HeadLabels:
    """The labels of one output, and the name that the output gets."""

    labels: tuple[str, ...]
    name: str = "scores"

    @property
    def file_name(self) -> str:
        """The associated file's name inside the model."""
        return f"{self.name}_labels.txt"


def annotated(
    model: bytes,
    heads: Sequence[HeadLabels],
    *,
    sample_rate_hz: int,
    name: str = "",
    description: str = "",
    licence: str = "",
    author: str = "",
) -> bytes:
    """The same model with these metadata, in place of any that it had.

    Raises OptionError if labels and outputs do not fit, ModelFormatError if it is no .tflite.
    """
    graph = TfliteGraph(model)
    try:
        outputs = graph.output_sizes()
    except (LookupError, TypeError, AttributeError) as error:
        raise ModelFormatError("the graph makes no sense; the file is damaged") from error
    if len(heads) != len(outputs):
        raise OptionError(f"the model has {len(outputs)} output(s), but {len(heads)} got labels")
    for head, size in zip(heads, outputs):
        _check_labels(head, size)
    if not 1 <= sample_rate_hz < 1 << 31:
        raise OptionError(f"a sample rate of {sample_rate_hz} Hz is impossible")
    metadata = _flatbuffer(heads, sample_rate_hz, (name, description, licence, author))
    archive = io.BytesIO()
    with zipfile.ZipFile(archive, "w", zipfile.ZIP_STORED) as files:
        for head in heads:
            # A fixed date: the same labels give the same bytes.
            entry = zipfile.ZipInfo(head.file_name, date_time=(1980, 1, 1, 0, 0, 0))
            files.writestr(entry, "\n".join(head.labels))
    return graph.with_metadata(metadata) + archive.getvalue()


def _check_labels(head: HeadLabels, size: int) -> None:
    if len(head.labels) != size:
        raise OptionError(f"output {head.name!r} has {size} scores, but {len(head.labels)} labels")
    for label in head.labels:
        if not label.strip() or "\n" in label or "\r" in label:
            raise OptionError(f"a label must be one line of text, not {label!r}")
    if len(set(head.labels)) != size:
        raise OptionError("a label stands twice in the list")


def _flatbuffer(
    heads: Sequence[HeadLabels], sample_rate_hz: int, texts: tuple[str, str, str, str]
) -> bytes:
    builder = flatbuffers.Builder(1024)
    audio = _table(builder, [_uint32(0, sample_rate_hz), _uint32(1, 1)])
    content = _table(builder, [_uint8(0, _AUDIO_PROPERTIES), _offset(1, audio)])
    waveform = _table(builder, [_text(builder, 0, "audio_clip"), _offset(3, content)])
    outputs = []
    for head in heads:
        labels = _table(
            builder,
            [_text(builder, 0, head.file_name), _uint8(2, _TENSOR_AXIS_LABELS)],
        )
        files = _vector(builder, [labels])
        features = _table(builder, [])
        kind = _table(builder, [_uint8(0, _FEATURE_PROPERTIES), _offset(1, features)])
        outputs.append(
            _table(builder, [_text(builder, 0, head.name), _offset(3, kind), _offset(6, files)])
        )
    inputs_vector, outputs_vector = _vector(builder, [waveform]), _vector(builder, outputs)
    graph = _table(builder, [_offset(2, inputs_vector), _offset(3, outputs_vector)])
    graphs = _vector(builder, [graph])
    name, description, licence, author = texts
    root = _table(
        builder,
        [
            _text(builder, 0, name),
            _text(builder, 1, description),
            _offset(3, graphs),
            _text(builder, 4, author),
            _text(builder, 5, licence),
            _text(builder, 7, "1.3.0"),
        ],
    )
    builder.Finish(root, b"M001")
    return bytes(builder.Output())


def _table(builder: flatbuffers.Builder, fields: list[_Field]) -> int:
    builder.StartObject(8)
    for slot, write in fields:
        write(builder, slot)
    return int(builder.EndObject())


def _vector(builder: flatbuffers.Builder, tables: list[int]) -> int:
    builder.StartVector(4, len(tables), 4)
    for table in reversed(tables):
        builder.PrependUOffsetTRelative(table)
    return int(builder.EndVector())


def _text(builder: flatbuffers.Builder, slot: int, text: str) -> _Field:
    # Strings must be finished before their table is begun.
    return _offset(slot, builder.CreateString(text))


def _offset(slot: int, offset: int) -> _Field:
    return slot, lambda b, s: b.PrependUOffsetTRelativeSlot(s, offset, 0)


def _uint8(slot: int, value: int) -> _Field:
    return slot, lambda b, s: b.PrependSlot(number_types.Uint8Flags, s, value, 0)


def _uint32(slot: int, value: int) -> _Field:
    return slot, lambda b, s: b.PrependSlot(number_types.Uint32Flags, s, value, 0)
