# SPDX-License-Identifier: Apache-2.0
"""oido's own notes in a model come back as they were written, and damage is told."""

from __future__ import annotations

import pytest

from oido.errors import ModelFormatError
from oido.heads import Head
from oido.models.model import AudioModel, Notes, Novelty
from oido.models.tflite.editor import TfliteGraph
from oido.models.tflite.front_end import whole_graph
from oido.models.tflite.metadata import read_metadata
from oido.models.tflite.metadata_writer import PlainOutput, annotate

FULL = Notes({"scores": "confident-mean"}, 7_680, 64_000, Novelty("similarity", 0.4), {"seed": 1})


@pytest.mark.parametrize("notes", [Notes(), FULL])
def test_notes_come_back(notes: Notes) -> None:
    assert Notes.parse(notes.text().encode()) == notes


@pytest.mark.parametrize(
    "text",
    [
        "",
        "[]",
        "null",
        "{}",
        '{"version": 2}',
        FULL.text().replace("64000", "-5"),
        FULL.text().replace("64000", '"many"'),
        FULL.text().replace("0.4", "40"),
        FULL.text().replace('"output"', '"outputs"'),
        FULL.text().replace('"confident-mean"', "3"),
        FULL.text()[:-9],
    ],
)
def test_other_notes_are_refused(text: str) -> None:
    with pytest.raises(ModelFormatError, match=r"oido\.json"):
        Notes.parse(text.encode())


def test_they_stand_in_a_model_and_say_how_its_head_is_aggregated(model: AudioModel) -> None:
    graph = whole_graph(model, model.path.read_bytes())
    content = annotate(
        graph.writer.finish({"scores": graph.scores[0], "embedding": graph.embedding}),
        [Head("scores", model.labels), PlainOutput("embedding")],
        sample_rate_hz=16_000,
        notes=FULL,
    )
    raw = TfliteGraph(content).metadata()
    assert raw is not None
    metadata = read_metadata(raw, content)
    assert metadata.notes() == FULL
    (head,) = metadata.heads()
    assert head.aggregation == "confident-mean"
