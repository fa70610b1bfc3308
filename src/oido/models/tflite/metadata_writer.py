# SPDX-License-Identifier: Apache-2.0
"""Writing metadata into a .tflite, so that it says by itself what it classifies and how.

The counterpart of `oido.models.tflite.metadata`, with the same field numbers (metadata_schema.fbs
of tensorflow/tflite-support): name, audio rate and channels of the input, and of each output with
scores the labels, score calibration and thresholds as associated files, appended to the model as a
ZIP. Other calibrations and thresholds can be written into a file whose graph stays as it is.
"""

from __future__ import annotations

import io
import zipfile
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import flatbuffers
from flatbuffers import number_types

from oido.errors import ModelFormatError, OptionError
from oido.heads import Head, thresholds_text
from oido.models.model import NOTES_FILE, AudioModel, Notes
from oido.models.tflite.editor import TfliteGraph
from oido.models.tflite.metadata import ModelMetadata, read_metadata, thresholds_file_name

__all__ = ["PlainOutput", "annotated", "with_heads"]

_AUDIO_PROPERTIES = 4
_FEATURE_PROPERTIES = 1
_UNKNOWN_FILE = 0
_TENSOR_AXIS_LABELS = 2
_TENSOR_AXIS_SCORE_CALIBRATION = 4
_SCORE_CALIBRATION_OPTIONS = 2
_SCORE_THRESHOLDING_OPTIONS = 3
_MIN_PARSER_VERSION = "1.3.0"
"""The schema's version that brought AudioProperties; everything else here is as old as 1.0.0."""

_Field = tuple[int, Callable[[flatbuffers.Builder, int], None]]


@dataclass(frozen=True)
class PlainOutput:
    """An output that is not scores and so has no labels: an embedding."""

    name: str
    description: str = ""


@dataclass(frozen=True)
class _File:
    name: str
    kind: int
    text: str


def annotated(
    model: bytes,
    outputs: Sequence[Head | PlainOutput],
    *,
    sample_rate_hz: int,
    name: str = "",
    description: str = "",
    licence: str = "",
    author: str = "",
    notes: Notes | None = None,
) -> bytes:
    """The same model with these metadata, in place of any that it had.

    ``outputs`` are described in the graph's order, one and all. notes: oido's own, a further packed
    file. The same arguments give the same
    bytes. Raises OptionError if they do not fit the graph, ModelFormatError if it is no .tflite.
    """
    graph = TfliteGraph(model)
    try:
        sizes = graph.output_sizes()
    except (LookupError, TypeError, AttributeError) as error:
        raise ModelFormatError("the graph makes no sense; the file is damaged") from error
    if len(outputs) != len(sizes):
        raise OptionError(f"the model has {len(sizes)} output(s), but {len(outputs)} got labels")
    _check_names(outputs)
    for output, size in zip(outputs, sizes):
        if isinstance(output, Head):
            _check_labels(output, size)
    if not 1 <= sample_rate_hz < 1 << 31:
        raise OptionError(f"a sample rate of {sample_rate_hz} Hz is impossible")
    packed = [_files(output) for output in outputs]
    loose = [] if notes is None else [_File(NOTES_FILE, _UNKNOWN_FILE, notes.text())]
    texts = (name, description, licence, author)
    metadata = _flatbuffer(outputs, packed, loose, sample_rate_hz, texts)
    archive = io.BytesIO()
    # Not compressed: the Task Library reads such files in place, and refuses others.
    with zipfile.ZipFile(archive, "w", zipfile.ZIP_STORED) as files:
        for file in (file for group in (*packed, loose) for file in group):
            # A fixed date: the same labels give the same bytes.
            entry = zipfile.ZipInfo(file.name, date_time=(1980, 1, 1, 0, 0, 0))
            files.writestr(entry, file.text)
    return graph.with_metadata(metadata) + archive.getvalue()


def _check_names(outputs: Sequence[Head | PlainOutput]) -> None:
    """Names of outputs are names of files too."""
    names = [output.name for output in outputs]
    for name in names:
        if not name.strip() or set(name) & set("/\\\n\r\0"):
            raise OptionError(f"an output's name must be one word for file names, not {name!r}")
    if len(set(names)) != len(names):
        raise OptionError(f"two outputs have one name, among {', '.join(map(repr, names))}")


def _check_labels(head: Head, size: int) -> None:
    if len(head.labels) != size:
        raise OptionError(f"output {head.name!r} has {size} scores, but {len(head.labels)} labels")
    for label in head.labels:
        if not label.strip() or "\n" in label or "\r" in label:
            raise OptionError(f"a label must be one line of text, not {label!r}")
    if len(set(head.labels)) != size:
        raise OptionError("a label stands twice in the list")


def _files(output: Head | PlainOutput) -> list[_File]:
    """The associated files of an output."""
    if not isinstance(output, Head):
        return []
    files = [_File(f"{output.name}_labels.txt", _TENSOR_AXIS_LABELS, "\n".join(output.labels))]
    if output.calibration is not None:
        name, text = f"{output.name}_calibration.csv", output.calibration.text()
        files.append(_File(name, _TENSOR_AXIS_SCORE_CALIBRATION, text))
    if output.thresholds:
        name, text = thresholds_file_name(output.name), thresholds_text(output.thresholds)
        files.append(_File(name, _UNKNOWN_FILE, text))
    return files


def _flatbuffer(
    outputs: Sequence[Head | PlainOutput],
    packed: Sequence[Sequence[_File]],
    loose: Sequence[_File],
    sample_rate_hz: int,
    texts: tuple[str, str, str, str],
) -> bytes:
    builder = flatbuffers.Builder(1024)
    audio = _table(builder, [_uint32(0, sample_rate_hz), _uint32(1, 1)])
    content = _table(builder, [_uint8(0, _AUDIO_PROPERTIES), _offset(1, audio)])
    waveform = _table(builder, [_text(builder, 0, "audio_clip"), _offset(3, content)])
    tensors = [_tensor(builder, output, files) for output, files in zip(outputs, packed)]
    inputs_vector, outputs_vector = _vector(builder, [waveform]), _vector(builder, tensors)
    graph = _table(builder, [_offset(2, inputs_vector), _offset(3, outputs_vector)])
    graphs = _vector(builder, [graph])
    files = [_file(builder, file) for file in loose]
    more = [_offset(6, _vector(builder, files))] if files else []
    name, description, licence, author = texts
    root = _table(
        builder,
        [
            _text(builder, 0, name),
            _text(builder, 1, description),
            _offset(3, graphs),
            _text(builder, 4, author),
            _text(builder, 5, licence),
            *more,
            _text(builder, 7, _MIN_PARSER_VERSION),
        ],
    )
    builder.Finish(root, b"M001")
    return bytes(builder.Output())


def _file(builder: flatbuffers.Builder, file: _File) -> int:
    return _table(builder, [_text(builder, 0, file.name), _uint8(2, file.kind)])


def _tensor(
    builder: flatbuffers.Builder, output: Head | PlainOutput, files: Sequence[_File]
) -> int:
    """The TensorMetadata of an output."""
    packed = [_file(builder, file) for file in files]
    lists = [_offset(6, _vector(builder, packed))] if packed else []
    features = _table(builder, [])
    kind = _table(builder, [_uint8(0, _FEATURE_PROPERTIES), _offset(1, features)])
    units = _process_units(builder, output) if isinstance(output, Head) else []
    if units:
        lists.append(_offset(4, _vector(builder, units)))
    if output.description:
        lists.append(_text(builder, 1, output.description))
    return _table(builder, [_text(builder, 0, output.name), _offset(3, kind), *lists])


def _process_units(builder: flatbuffers.Builder, head: Head) -> list[int]:
    units = []
    if head.calibration is not None:
        transformation = head.calibration.transformation.value
        fields = [_uint8(0, transformation), _float32(1, head.calibration.default_score)]
        units.append(_unit(builder, _SCORE_CALIBRATION_OPTIONS, fields))
    if head.score_threshold is not None:
        fields = [_float32(0, head.score_threshold)]
        units.append(_unit(builder, _SCORE_THRESHOLDING_OPTIONS, fields))
    return units


def _unit(builder: flatbuffers.Builder, kind: int, fields: list[_Field]) -> int:
    options = _table(builder, fields)
    return _table(builder, [_uint8(0, kind), _offset(1, options)])


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


def _float32(slot: int, value: float) -> _Field:
    return slot, lambda b, s: b.PrependSlot(number_types.Float32Flags, s, value, 0.0)


def with_heads(model: AudioModel) -> bytes | None:
    """The model's file with its heads as they are now; None if it has no metadata to replace.

    Outputs, names and notes stay; packed files of display names in other languages do not. It is
    read again before it is given: ModelFormatError if it does not say what it should.
    """
    content = Path(model.path).read_bytes()
    if Path(model.path).suffix != ".tflite":
        return None
    graph = TfliteGraph(content)
    raw = graph.metadata()
    if raw is None:
        return None
    metadata = read_metadata(raw, content)
    heads = iter(model.heads)
    outputs = [
        PlainOutput(name, description) if is_plain else next(heads)
        for name, description, is_plain in _outputs(metadata, len(graph.output_sizes()))
    ]
    written = annotated(
        content,
        outputs,
        sample_rate_hz=model.windows.sample_rate_hz,
        name=metadata.name,
        description=metadata.description,
        licence=metadata.licence,
        author=metadata.author,
        notes=metadata.notes() if NOTES_FILE in metadata.files else None,
    )
    again = TfliteGraph(written).metadata()
    if again is None or _bare(read_metadata(again, written)) != _named(model):
        raise ModelFormatError(f"{model.name} cannot be written with this calibration")
    return written


def _outputs(metadata: ModelMetadata, count: int) -> list[tuple[str, str, bool]]:
    """Name, description, and whether it is no head, of each output."""
    known = list(metadata.outputs)[:count]
    rows = [(t.name or f"output_{n}", t.description, t.label_file is None)
            for n, t in enumerate(known)]  # fmt: skip
    return rows + [(f"output_{n}", "", True) for n in range(len(known), count)]


def _bare(metadata: ModelMetadata) -> list[object]:
    return [(h.name, h.labels, h.calibration, h.thresholds) for h in metadata.heads()]


def _named(model: AudioModel) -> list[object]:
    return [(h.name, h.labels, h.calibration, h.thresholds) for h in model.heads]
