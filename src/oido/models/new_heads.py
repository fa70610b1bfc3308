# SPDX-License-Identifier: Apache-2.0
"""Another calibration or other thresholds in a .tflite, whose graph stays as it is."""

from __future__ import annotations

from pathlib import Path

from oido.errors import ModelFormatError
from oido.models.graph import TfliteGraph
from oido.models.metadata import ModelMetadata, read_metadata
from oido.models.metadata_writer import PlainOutput, annotated
from oido.models.model import AudioModel
from oido.models.notes import NOTES_FILE

__all__ = ["with_heads"]


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
