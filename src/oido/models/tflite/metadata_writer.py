# SPDX-License-Identifier: Apache-2.0
"""Writing metadata into a .tflite, so that it says by itself what it classifies and how.

The counterpart of `oido.models.tflite.metadata`: name, audio rate and channels of the input, and
of each output with scores the labels, score calibration and thresholds as associated files,
appended to the model as a ZIP. All of it can be replaced while the graph stays as it is.
"""

from __future__ import annotations

import contextlib
import io
import zipfile
from collections.abc import Mapping, Sequence
from dataclasses import replace
from itertools import chain
from pathlib import Path
from typing import Any, NamedTuple

import flatbuffers

from oido.errors import ModelFormatError, OptionError
from oido.heads import Head, ScoreKind, thresholds_text
from oido.messages import tr
from oido.models.damage import refuse_damage
from oido.models.model import EMBEDDING_OUTPUT, NOTES_FILE, AudioModel, Notes
from oido.models.tflite import metadata_schema as schema
from oido.models.tflite.editor import TfliteGraph
from oido.models.tflite.metadata import (
    NUMBERS_SUFFIX,
    ModelMetadata,
    read_metadata,
    thresholds_file_name,
)
from oido.models.tflite.metadata_schema import write, write_list


class PlainOutput(NamedTuple):
    """An output that is not scores, as an embedding; its labels only number its values.

    Without any, MediaPipe and the Task Library refuse the model as soon as an app allows or denies
    labels. size: how many values; `annotate` knows it.
    """

    name: str
    description: str = ""
    size: int = 0


class _File(NamedTuple):
    name: str
    kind: int
    text: str


def annotate(
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

    outputs: all, in the graph's order. notes: oido's own, a further packed file. The same arguments
    give the same bytes. Raises OptionError if they do not fit the graph, ModelFormatError if it is
    no .tflite.
    """
    graph = TfliteGraph(model)
    with refuse_damage(tr("the graph makes no sense; the file is damaged")):
        sizes = graph.output_sizes()
    if len(outputs) != len(sizes):
        raise OptionError(
            tr(
                "the model has {n_sizes} output(s), but {n_outputs} got labels",
                n_sizes=len(sizes),
                n_outputs=len(outputs),
            )
        )
    _check_names(outputs)
    for output, size in zip(outputs, sizes):
        if isinstance(output, Head):
            _check_labels(output, size)
    outputs = [
        output if isinstance(output, Head) else output._replace(size=size)
        for output, size in zip(outputs, sizes)
    ]
    if not 1 <= sample_rate_hz < 1 << 31:
        raise OptionError(
            tr("a sample rate of {sample_rate_hz} Hz is impossible", sample_rate_hz=sample_rate_hz)
        )
    loose = [] if notes is None else [_File(NOTES_FILE, schema.UNKNOWN, notes.text())]
    texts = (name, description, licence, author)
    metadata = _flatbuffer(outputs, loose, sample_rate_hz, texts)
    archive = io.BytesIO()
    # Not compressed: the Task Library reads such files in place, and refuses others.
    with zipfile.ZipFile(archive, "w", zipfile.ZIP_STORED) as files:
        for file in chain(*map(_files, outputs), loose):
            # A fixed date: the same labels give the same bytes.
            entry = zipfile.ZipInfo(file.name, date_time=(1980, 1, 1, 0, 0, 0))
            files.writestr(entry, file.text)
    return graph.with_metadata(metadata) + archive.getvalue()


def with_plain_outputs(model: bytes, heads: Sequence[Head]) -> list[Head | PlainOutput]:
    """The heads at the outputs that have as many scores, in their order, and what else there is.

    As many heads as outputs, or some that fit none, stay as they are: `annotate` says why.
    """
    graph = TfliteGraph(model)
    with refuse_damage(tr("the graph makes no sense; the file is damaged")):
        sizes, names = graph.output_sizes(), graph.output_names()
    outputs: list[Head | PlainOutput] = []
    left = list(heads)
    for number, (size, name) in enumerate(zip(sizes, names)):
        if left and len(left[0].labels) == size:
            outputs.append(left.pop(0))
        else:
            is_embedding = "embedding" in name.lower()
            outputs.append(PlainOutput(EMBEDDING_OUTPUT if is_embedding else f"output_{number}"))
    unique = len({output.name for output in outputs}) == len(outputs)
    return outputs if not left and unique and len(heads) < len(sizes) else [*heads]


def labelled(
    model: bytes,
    labels: Sequence[tuple[str, ...]],
    *,
    sample_rate_hz: int,
    kind: ScoreKind | None = None,
    inputs: Mapping[str, list[float]] | None = None,
    window_samples: int | None = None,
    facts: Mapping[str, str] | None = None,
    default_name: str = "",
) -> bytes:
    """A model with these labels, a list for each of its heads or of some: the next of that length.

    What its metadata say beside that stays: thresholds and calibrations of columns, whatever these
    are called now, names, a licence, notes. kind, inputs, window_samples: as of `Notes`; facts: of
    `annotate`, name, description, licence and author; None and what is missing stays, too.
    """
    known = _metadata_of(model)
    relabelled = None if known is None else _relabelled(known.heads(), labels)
    names = ["scores"] if len(labels) == 1 else [f"head_{n}" for n in range(len(labels))]
    heads = relabelled or [Head(*each) for each in zip(names, labels)]
    stated: dict[str, Any] = {"inputs": dict(inputs or {}), "window_samples": window_samples}
    stated["kinds"] = dict.fromkeys((head.name for head in heads), kind) if kind else {}
    before = Notes() if known is None or relabelled is None else known.notes()
    notes = replace(before, **{name: value for name, value in stated.items() if value})
    stored = None if notes == Notes() else notes
    if known is not None and relabelled is not None:
        changed: dict[str, Any] = {"name": known.name or default_name, **(facts or {})}
        metadata = replace(known, **changed)
        return rewritten(metadata, model, relabelled, (), sample_rate_hz, stored)
    texts: dict[str, str] = {"name": default_name, **(facts or {})}
    outputs = with_plain_outputs(model, heads)
    return annotate(model, outputs, sample_rate_hz=sample_rate_hz, notes=stored, **texts)


def _metadata_of(model: bytes) -> ModelMetadata | None:
    """None where there are none, or none that can be read."""
    with contextlib.suppress(ModelFormatError):
        if (raw := TfliteGraph(model).metadata()) is not None:
            metadata = read_metadata(raw, model)
            metadata.heads()
            metadata.notes()
            return metadata
    return None


def _relabelled(heads: Sequence[Head], labels: Sequence[tuple[str, ...]]) -> list[Head] | None:
    """The heads with other labels for the same columns; None if a list fits none."""
    left, found = list(labels), []
    for head in heads:
        if not left or len(left[0]) != len(head.labels):
            found.append(head)
            continue
        called = dict(zip(head.labels, left[0]))
        thresholds = tuple((called[label], value) for label, value in head.thresholds)
        found.append(replace(head, labels=left.pop(0), thresholds=thresholds))
    return None if left or not found else found


def _check_names(outputs: Sequence[Head | PlainOutput]) -> None:
    """Names of outputs are names of files too."""
    names = [output.name for output in outputs]
    for name in names:
        if not name.strip() or set(name) & set("/\\\n\r\0"):
            raise OptionError(
                tr("an output's name must be one word for file names, not {name!r}", name=name)
            )
    if len(set(names)) != len(names):
        raise OptionError(
            tr("two outputs have one name, among {names}", names=", ".join(map(repr, names)))
        )


def _check_labels(head: Head, size: int) -> None:
    if len(head.labels) != size:
        raise OptionError(
            tr(
                "output {name!r} has {size} scores, but {n_labels} labels",
                name=head.name,
                size=size,
                n_labels=len(head.labels),
            )
        )
    for label in head.labels:
        if not label.strip() or "\n" in label or "\r" in label:
            raise OptionError(tr("a label must be one line of text, not {label!r}", label=label))
    if len(set(head.labels)) != size:
        raise OptionError(tr("a label stands twice in the list"))


def _files(output: Head | PlainOutput) -> list[_File]:
    """The associated files of an output."""
    if not isinstance(output, Head):
        names = [f"{output.name} {number}" for number in range(output.size)]
        text = "\n".join(names if output.size > 1 else [output.name])
        return [_File(output.name + NUMBERS_SUFFIX, schema.TENSOR_AXIS_LABELS, text)]
    labels = "\n".join(output.labels)
    files = [_File(f"{output.name}_labels.txt", schema.TENSOR_AXIS_LABELS, labels)]
    if output.calibration is not None:
        name, kind = f"{output.name}_calibration.csv", schema.TENSOR_AXIS_SCORE_CALIBRATION
        files.append(_File(name, kind, output.calibration.text()))
    if output.thresholds:
        name = thresholds_file_name(output.name)
        files.append(_File(name, schema.UNKNOWN, thresholds_text(output.thresholds)))
    return files


def _flatbuffer(
    outputs: Sequence[Head | PlainOutput],
    loose: Sequence[_File],
    sample_rate_hz: int,
    texts: tuple[str, str, str, str],
) -> bytes:
    builder = flatbuffers.Builder(1024)
    audio = write(builder, "AudioProperties", sample_rate=sample_rate_hz, channels=1)
    content = write(builder, "Content", content_properties=("AudioProperties", audio))
    waveform = write(builder, "TensorMetadata", name="audio_clip", content=content)
    tensors = [_tensor(builder, output) for output in outputs]
    graph = write(
        builder,
        "SubGraphMetadata",
        input_tensor_metadata=write_list(builder, [waveform]),
        output_tensor_metadata=write_list(builder, tensors),
    )
    graphs = write_list(builder, [graph])
    name, description, licence, author = texts
    root = write(
        builder,
        "ModelMetadata",
        name=name,
        description=description,
        subgraph_metadata=graphs,
        author=author,
        license=licence,
        **_associated(builder, loose),
        min_parser_version=schema.MIN_PARSER_VERSION,
    )
    builder.Finish(root, schema.IDENTIFIER)
    return bytes(builder.Output())


def _associated(builder: flatbuffers.Builder, files: Sequence[_File]) -> dict[str, int]:
    """The field of these files, none if there are none."""
    packed = [write(builder, "AssociatedFile", name=file.name, type=file.kind) for file in files]
    return {"associated_files": write_list(builder, packed)} if packed else {}


def _tensor(builder: flatbuffers.Builder, output: Head | PlainOutput) -> int:
    """The TensorMetadata of an output."""
    more = _associated(builder, _files(output))
    features = write(builder, "FeatureProperties")
    content = write(builder, "Content", content_properties=("FeatureProperties", features))
    if isinstance(output, Head) and (units := _process_units(builder, output)):
        more["process_units"] = write_list(builder, units)
    if output.description:
        more["description"] = builder.CreateString(output.description)
    return write(builder, "TensorMetadata", name=output.name, content=content, **more)


def _process_units(builder: flatbuffers.Builder, head: Head) -> list[int]:
    units: dict[str, dict[str, float]] = {}
    if (calibration := head.calibration) is not None:
        units["ScoreCalibrationOptions"] = {
            "score_transformation": calibration.transformation.value,
            "default_score": calibration.default_score,
        }
    if head.score_threshold is not None:
        units["ScoreThresholdingOptions"] = {"global_score_threshold": head.score_threshold}
    return [
        write(builder, "ProcessUnit", options=(kind, write(builder, kind, **options)))
        for kind, options in units.items()
    ]


def with_heads(model: AudioModel) -> bytes | None:
    """The model's file with its heads as they are now; None if it has no metadata to replace.

    Outputs, names and notes stay; packed files of display names in other languages do not. It is
    read again before it is returned: ModelFormatError if it does not say what it should.
    """
    if Path(model.path).suffix.lower() != ".tflite":
        return None
    content = model.whole_file()
    return with_more_outputs(model, content, content, ())


def with_more_outputs(
    model: AudioModel, content: bytes, extended: bytes, more: Sequence[PlainOutput]
) -> bytes | None:
    """A graph with the outputs of ``content`` and ``more``, and the metadata as `with_heads`."""
    raw = TfliteGraph(content).metadata()
    if raw is None:
        return None
    metadata = read_metadata(raw, content)
    notes = metadata.notes() if NOTES_FILE in metadata.files else None
    rate = model.windows.sample_rate_hz
    written = rewritten(metadata, extended, model.heads, more, rate, notes)
    again = TfliteGraph(written).metadata()
    if again is None or _facts(read_metadata(again, written).heads()) != _facts(model.heads):
        raise ModelFormatError(
            tr("{name} cannot be written with this calibration", name=model.name)
        )
    return written


def rewritten(
    metadata: ModelMetadata,
    extended: bytes,
    heads: Sequence[Head],
    more: Sequence[PlainOutput],
    sample_rate_hz: int,
    notes: Notes | None,
) -> bytes:
    """A graph with the outputs that these metadata describe, and ``more`` behind them, annotated.

    heads: as they are now, in place of those that the metadata have.
    """
    left = iter(heads)
    outputs: list[Head | PlainOutput] = []
    for number in range(len(TfliteGraph(extended).output_sizes()) - len(more)):
        known = metadata.outputs[number] if number < len(metadata.outputs) else None
        if known is None or known.label_file is None:
            name, text = (known.name, known.description) if known else ("", "")
            outputs.append(PlainOutput(name or f"output_{number}", text))
        elif metadata.is_framewise(number):
            outputs.append(Head(known.name, metadata.labels(number), description=known.description))
        else:
            outputs.append(next(left))
    return annotate(
        extended,
        [*outputs, *more],
        sample_rate_hz=sample_rate_hz,
        name=metadata.name,
        description=metadata.description,
        licence=metadata.licence,
        author=metadata.author,
        notes=notes,
    )


def _facts(heads: Sequence[Head]) -> list[object]:
    return [(h.name, h.labels, h.calibration, h.thresholds) for h in heads]
