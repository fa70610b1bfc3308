# SPDX-License-Identifier: Apache-2.0
"""Reading the metadata of a .tflite: rate, channels, heads, and the files packed in it.

The metadata are a flatbuffer ("M001") in the model's buffer named TFLITE_METADATA; associated files
are appended to the model as a ZIP.
"""

from __future__ import annotations

from dataclasses import dataclass

from oido.errors import ModelFormatError, OptionError
from oido.heads import Head, ScoreCalibration, ScoreTransformation, parse_thresholds
from oido.messages import tr
from oido.models.damage import refuse_damage
from oido.models.model import FRAMEWISE_OUTPUT, FRAMEWISE_PREFIX, NOTES_FILE, Notes
from oido.models.tflite import metadata_schema as schema
from oido.models.tflite.limits import packed_files

MOST_LABELS = 100_000
"""Of all heads of a model."""

NUMBERS_SUFFIX = "_numbers.txt"
"""Of a label file that only numbers the values of an output, which so has none for oido."""


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
    """What the metadata say of a model; files: those packed in it that oido knows, by name."""

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
            raise ModelFormatError(tr("the model's metadata name no label file for its scores"))
        text = self._text(name, "label")
        if text.count("\n") > MOST_LABELS:
            raise ModelFormatError(
                tr(
                    "the model's label file {name} has more than {most_labels:,} lines",
                    name=name,
                    most_labels=MOST_LABELS,
                )
            )
        # Only line feeds end a label: str.splitlines would also cut at rarer separators.
        lines = [line.removesuffix("\r") for line in text.split("\n")]
        return tuple(lines[:-1] if lines[-1] == "" else lines)

    def is_framewise(self, output: int) -> bool:
        """Whether an output repeats a head before it, for parts of a window; known by its name."""
        name = self.outputs[output].name
        heads = [t.name for t in self.outputs[:output] if t.label_file is not None]
        if name == FRAMEWISE_OUTPUT:
            return bool(heads)
        return name.startswith(FRAMEWISE_PREFIX) and name[len(FRAMEWISE_PREFIX) :] in heads

    def head(self, output: int) -> Head | None:
        """What is known of an output's scores of whole windows; None for any other output.

        An embedding has no labels. Raises ModelFormatError if a file of it is missing or damaged,
        and names it.
        """
        tensor = self.outputs[output]
        if tensor.label_file is None or self.is_framewise(output):
            return None
        labels = self.labels(output)
        calibration = None
        thresholds: tuple[tuple[str, float], ...] = ()
        file = None
        try:
            if (file := tensor.calibration_file) is not None:
                text = self._text(file, tr("score calibration"))
                options = tensor.transformation, tensor.default_score
                calibration = ScoreCalibration.parse(text, len(labels), *options)
            if (file := tensor.thresholds_file) is not None:
                thresholds = parse_thresholds(self._text(file, "thresholds"))
            threshold = tensor.score_threshold
            aggregation = self.notes().aggregations.get(tensor.name)
            rest = threshold, tensor.description, aggregation
            return Head(tensor.name, labels, calibration, thresholds, *rest)
        except OptionError as error:
            where = tr(" ({file})", file=file) if file else ""
            raise ModelFormatError(
                tr("the model's metadata are damaged{where}: {error}", where=where, error=error)
            ) from error

    def heads(self) -> tuple[Head, ...]:
        """The outputs that have labels, in their order."""
        heads = (self.head(output) for output in range(len(self.outputs)))
        return tuple(head for head in heads if head is not None)

    def _text(self, name: str, kind: str) -> str:
        if name not in self.files:
            raise ModelFormatError(
                tr("the model's {kind} file {name} is not packed in it", kind=kind, name=name)
            )
        try:
            return self.files[name].decode("utf-8")
        except UnicodeDecodeError as error:
            raise ModelFormatError(
                tr("the model's {kind} file {name} is not UTF-8 text", kind=kind, name=name)
            ) from error


def thresholds_file_name(head: str) -> str:
    """The file with a head's thresholds, which is known by its name (its type is UNKNOWN)."""
    return f"{head}_thresholds.csv"


def read_metadata(metadata: bytes, model_file: bytes) -> ModelMetadata:
    """Parse the metadata flatbuffer and unpack the associated files of the whole model file."""
    if metadata[4:8] != schema.IDENTIFIER:
        raise ModelFormatError(tr("the model's metadata are not in the known format (M001)"))
    with refuse_damage(tr("the model's metadata are damaged")):
        root = schema.Record.root("ModelMetadata", metadata)
        graphs = root["subgraph_metadata"]
        inputs = tuple(map(_tensor, graphs[0]["input_tensor_metadata"] if graphs else ()))
        outputs = tuple(map(_tensor, graphs[0]["output_tensor_metadata"] if graphs else ()))
        files = [(t.label_file, t.calibration_file, t.thresholds_file) for t in outputs]
        wanted = [name for names in files for name in names if name is not None]
        return ModelMetadata(
            name=root["name"],
            description=root["description"],
            licence=root["license"],
            author=root["author"],
            inputs=inputs,
            outputs=outputs,
            files=packed_files(model_file, [*wanted, NOTES_FILE]),
        )


def _tensor(tensor: schema.Record) -> TensorMetadata:
    name, content = tensor["name"], tensor["content"]
    audio = None if content is None else content["content_properties"]
    if audio is not None and audio.kind != "AudioProperties":
        audio = None
    # The first of a type counts, as for the Task Library; others are of other languages.
    files: dict[int, str] = {}
    thresholds_file = None
    for file in tensor["associated_files"]:
        files.setdefault(file["type"], file["name"])
        if file["type"] == schema.UNKNOWN and file["name"] == thresholds_file_name(name):
            thresholds_file = file["name"]
    label_file = files.get(schema.TENSOR_AXIS_LABELS)
    if label_file is not None and label_file.endswith(NUMBERS_SUFFIX):
        label_file = None
    units = [unit["options"] for unit in tensor["process_units"]]
    options = {unit.kind: unit for unit in reversed(units) if unit is not None}
    calibration = options.get("ScoreCalibrationOptions")
    thresholding = options.get("ScoreThresholdingOptions")
    if calibration is not None and schema.TENSOR_AXIS_SCORE_CALIBRATION not in files:
        raise ModelFormatError(
            tr("the metadata name no score calibration file for {name!r}", name=name)
        )
    return TensorMetadata(
        name,
        tensor["description"],
        (audio["sample_rate"] or None) if audio else None,
        (audio["channels"] or None) if audio else None,
        label_file,
        files[schema.TENSOR_AXIS_SCORE_CALIBRATION] if calibration else None,
        ScoreTransformation(calibration["score_transformation"] if calibration else 0),
        calibration["default_score"] if calibration else 0.0,
        thresholding["global_score_threshold"] if thresholding else None,
        thresholds_file,
    )
