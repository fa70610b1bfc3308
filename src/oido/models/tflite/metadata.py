# SPDX-License-Identifier: Apache-2.0
"""Reading the metadata of a .tflite: rate, channels, heads, and the files packed in it.

The metadata are a flatbuffer ("M001") in the model's buffer named TFLITE_METADATA; associated files
are appended to the model as a ZIP. Field numbers below are those of TensorFlow Lite's
metadata_schema.fbs (tensorflow/tflite-support).
"""

from __future__ import annotations

import io
import math
import zipfile
import zlib
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, TypeVar

import flatbuffers
from flatbuffers import number_types
from flatbuffers.table import Table

from oido.errors import ModelFormatError, OptionError
from oido.heads import Head, ScoreCalibration, ScoreTransformation, parse_thresholds
from oido.models.model import NOTES_FILE, Notes

__all__ = ["ModelMetadata", "TensorMetadata", "read_metadata", "thresholds_file_name"]

_T = TypeVar("_T")

_IDENTIFIER = b"M001"
_AUDIO_PROPERTIES = 4
_UNKNOWN_FILE = 0
_TENSOR_AXIS_LABELS = 2
_TENSOR_AXIS_SCORE_CALIBRATION = 4
_SCORE_CALIBRATION_OPTIONS = 2
_SCORE_THRESHOLDING_OPTIONS = 3


@dataclass(frozen=True)
class TensorMetadata:
    """What the metadata say of one input or output.

    sample_rate_hz, channels: of an audio input, else None. label_file: the associated file with a
    label per line, of an output with labels, else None. calibration_file: the associated file with
    the sigmoids of a score calibration, which goes with transformation and default_score, or None.
    score_threshold: below it the model advises to report nothing, or None. thresholds_file: the
    associated file with thresholds per label, which is oido's own and unknown to others, or None.
    """

    name: str
    description: str
    sample_rate_hz: int | None
    channels: int | None
    label_file: str | None
    calibration_file: str | None = None
    transformation: ScoreTransformation = ScoreTransformation.IDENTITY
    default_score: float = 0.0
    score_threshold: float | None = None
    thresholds_file: str | None = None


@dataclass(frozen=True)
class ModelMetadata:
    """What the metadata say of a model; ``files`` are the associated files, by name."""

    name: str
    description: str
    licence: str
    author: str
    inputs: tuple[TensorMetadata, ...]
    outputs: tuple[TensorMetadata, ...]
    files: dict[str, bytes]

    def notes(self) -> Notes:
        """What oido itself wrote into the file. Raises ModelFormatError if it is damaged."""
        content = self.files.get(NOTES_FILE)
        return Notes() if content is None else Notes.parse(content)

    def labels(self, output: int = 0) -> tuple[str, ...]:
        """The labels of an output, in the order of its columns."""
        name = self.outputs[output].label_file if output < len(self.outputs) else None
        if name is None or name not in self.files:
            raise ModelFormatError("the model's metadata name no label file for its scores")
        # Only line feeds end a label: str.splitlines would also cut at rarer separators.
        lines = [line.removesuffix("\r") for line in self._text(name, "label").split("\n")]
        return tuple(lines[:-1] if lines[-1] == "" else lines)

    def head(self, output: int) -> Head | None:
        """What is known of an output's scores; None if it has no labels (an embedding has none).

        Raises ModelFormatError if a file of it is missing or damaged, and names it.
        """
        tensor = self.outputs[output]
        if tensor.label_file is None:
            return None
        labels = self.labels(output)
        calibration = None
        thresholds: tuple[tuple[str, float], ...] = ()
        file = None
        try:
            if (file := tensor.calibration_file) is not None:
                text = self._text(file, "score calibration")
                options = tensor.transformation, tensor.default_score
                calibration = ScoreCalibration.parse(text, len(labels), *options)
            if (file := tensor.thresholds_file) is not None:
                thresholds = parse_thresholds(self._text(file, "thresholds"))
            threshold = tensor.score_threshold
            aggregation = self.notes().aggregations.get(tensor.name)
            rest = threshold, tensor.description, aggregation
            return Head(tensor.name, labels, calibration, thresholds, *rest)
        except OptionError as error:
            where = f" ({file})" if file else ""
            raise ModelFormatError(f"the model's metadata are damaged{where}: {error}") from error

    def heads(self) -> tuple[Head, ...]:
        """The outputs that have labels, in their order."""
        heads = (self.head(output) for output in range(len(self.outputs)))
        return tuple(head for head in heads if head is not None)

    def _text(self, name: str, kind: str) -> str:
        if name not in self.files:
            raise ModelFormatError(f"the model's {kind} file {name} is not packed in it")
        try:
            return self.files[name].decode("utf-8")
        except UnicodeDecodeError as error:
            raise ModelFormatError(f"the model's {kind} file {name} is not UTF-8 text") from error


def thresholds_file_name(head: str) -> str:
    """The file with a head's thresholds, which is known by its name (its type is UNKNOWN)."""
    return f"{head}_thresholds.csv"


def read_metadata(metadata: bytes, model_file: bytes) -> ModelMetadata:
    """Parse the metadata flatbuffer and unpack the associated files of the whole model file."""
    if metadata[4:8] != _IDENTIFIER:
        raise ModelFormatError("the model's metadata are not in the known format (M001)")
    try:
        root = _Reader.root(metadata)
        graphs = root.tables(3)
        inputs = graphs[0].tables(2) if graphs else []
        outputs = graphs[0].tables(3) if graphs else []
        return ModelMetadata(
            name=root.text(0),
            description=root.text(1),
            licence=root.text(5),
            author=root.text(4),
            inputs=tuple(_tensor(t) for t in inputs),
            outputs=tuple(_tensor(t) for t in outputs),
            files=_associated_files(model_file),
        )
    # A damaged flatbuffer sends offsets anywhere: struct and index errors are all it can raise.
    except (ValueError, TypeError, IndexError, OverflowError, ArithmeticError) as error:
        raise ModelFormatError("the model's metadata are damaged") from error
    except Exception as error:
        if type(error).__module__ in ("struct", "flatbuffers.encode"):
            raise ModelFormatError("the model's metadata are damaged") from error
        raise


def _tensor(table: _Reader) -> TensorMetadata:
    rate = channels = None
    content = table.table(3)
    if content is not None and content.number(0, number_types.Uint8Flags) == _AUDIO_PROPERTIES:
        audio = content.table(1)
        if audio is not None:
            rate = audio.number(0, number_types.Uint32Flags) or None
            channels = audio.number(1, number_types.Uint32Flags) or None
    name = table.text(0)
    # The first of a type counts, as for the Task Library; others are of other languages.
    files: dict[int, str] = {}
    thresholds_file = None
    for file in table.tables(6):
        kind = file.number(2, number_types.Int8Flags)
        files.setdefault(kind, file.text(0))
        if kind == _UNKNOWN_FILE and file.text(0) == thresholds_file_name(name):
            thresholds_file = file.text(0)
    calibration = _process_unit(table, _SCORE_CALIBRATION_OPTIONS)
    thresholding = _process_unit(table, _SCORE_THRESHOLDING_OPTIONS)
    calibration_file = None
    transformation, default_score = ScoreTransformation.IDENTITY, 0.0
    if calibration is not None:
        calibration_file = files.get(_TENSOR_AXIS_SCORE_CALIBRATION)
        if calibration_file is None:
            raise ModelFormatError(f"the metadata name no score calibration file for {name!r}")
        transformation = ScoreTransformation(calibration.number(0, number_types.Int8Flags))
        default_score = calibration.real(1)
    return TensorMetadata(
        name,
        table.text(1),
        rate,
        channels,
        files.get(_TENSOR_AXIS_LABELS),
        calibration_file,
        transformation,
        default_score,
        thresholding.real(0) if thresholding is not None else None,
        thresholds_file,
    )


def _process_unit(tensor: _Reader, kind: int) -> _Reader | None:
    """The options of the tensor's first process unit of this kind."""
    for unit in tensor.tables(4):
        if unit.number(0, number_types.Uint8Flags) == kind:
            return unit.table(1)
    return None


def _associated_files(model_file: bytes) -> dict[str, bytes]:
    buffer = io.BytesIO(model_file)
    if not zipfile.is_zipfile(buffer):
        return {}
    try:
        with zipfile.ZipFile(buffer) as archive:
            return {name: archive.read(name) for name in archive.namelist()}
    except (zipfile.BadZipFile, zlib.error, EOFError, OSError, RuntimeError) as error:
        raise ModelFormatError(f"the files packed in the model are damaged ({error})") from error


class _Reader:
    """A flatbuffer table read by field number, so that no generated code is needed."""

    def __init__(self, table: Any) -> None:
        self._table = table

    @classmethod
    def root(cls, data: bytes) -> _Reader:
        position = flatbuffers.encode.Get(flatbuffers.packer.uoffset, data, 0)
        return cls(Table(data, position))

    def number(self, field: int, flags: Any) -> int:
        return self._field(field, lambda o: int(self._table.Get(flags, o)), 0)

    def real(self, field: int) -> float:
        flags = number_types.Float32Flags
        value = self._field(field, lambda o: float(self._table.Get(flags, o)), 0.0)
        if not math.isfinite(value):
            raise ValueError(value)
        return value

    def text(self, field: int) -> str:
        return self._field(field, lambda o: bytes(self._table.String(o)).decode("utf-8"), "")

    def table(self, field: int) -> _Reader | None:
        def read(offset: int) -> _Reader | None:
            return _Reader(Table(self._table.Bytes, self._table.Indirect(offset)))

        return self._field(field, read, None)

    def tables(self, field: int) -> list[_Reader]:
        table = self._table
        slot = table.Offset(4 + 2 * field)
        if not slot:
            return []
        start, length = table.Vector(slot), table.VectorLen(slot)
        if length > len(table.Bytes):
            raise ValueError("vector longer than its buffer")
        return [_Reader(Table(table.Bytes, table.Indirect(start + 4 * i))) for i in range(length)]

    def _field(self, field: int, read: Callable[[int], _T], default: _T) -> _T:
        slot = self._table.Offset(4 + 2 * field)
        return read(self._table.Pos + slot) if slot else default
