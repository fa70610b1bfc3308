# SPDX-License-Identifier: Apache-2.0
"""Heads in a model's metadata: written, read back, and damaged."""

from __future__ import annotations

import io
import zipfile

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from oido.errors import ModelFormatError, OptionError
from oido.heads import Head, ScoreCalibration, ScoreTransformation, Sigmoid
from oido.models.tflite.builder import GraphWriter
from oido.models.tflite.editor import TfliteGraph
from oido.models.tflite.metadata import ModelMetadata, read_metadata
from oido.models.tflite.metadata_writer import PlainOutput, annotate
from tests.test_heads import calibrations, labels

RATE = 8_000
ANIMALS, PLACES = ("Dog", "Cat, small", 'The "other"'), ("indoors", "outdoors")
SIGMOIDS = (Sigmoid(1, 8, -3, 0.1), None, Sigmoid(0.9, 6, -2))
SCORES = Head(
    "scores",
    ANIMALS,
    ScoreCalibration(SIGMOIDS, ScoreTransformation.LOG, 0.05),
    (("Cat, small", 0.25), ('The "other"', 0.1)),
    score_threshold=0.01,
    description="animals heard",
)
PLACE = Head("place", PLACES, thresholds=(("indoors", 0.75),))
EMBEDDING = PlainOutput("embedding", "the vector before the heads")


def graph_of(*sizes: int) -> bytes:
    """A graph with outputs of these sizes."""
    rng = np.random.default_rng(7)
    writer = GraphWriter("outputs of several sizes")
    x = writer.input("waveform", (1, 400))
    zeros = [np.zeros(size, np.float32) for size in sizes]
    weights = [rng.normal(0, 0.1, (size, 400)).astype(np.float32) for size in sizes]
    return writer.finish([writer.sigmoid(writer.dense(x, w, b)) for w, b in zip(weights, zeros)])


def read(content: bytes) -> ModelMetadata:
    metadata = TfliteGraph(content).metadata()
    assert metadata is not None
    return read_metadata(metadata, content)


@pytest.fixture(scope="module")
def three() -> bytes:
    """A model of scores, a second head, and an embedding."""
    return annotate(graph_of(3, 2, 5), [SCORES, PLACE, EMBEDDING], sample_rate_hz=RATE)


def test_heads_are_read_back_as_they_were_written(three: bytes) -> None:
    metadata = read(three)
    assert metadata.heads() == (SCORES, PLACE)
    assert [metadata.head(n) for n in range(3)] == [SCORES, PLACE, None]
    assert (metadata.labels(), metadata.labels(1)) == (ANIMALS, PLACES)
    assert metadata.outputs[2].name == "embedding"
    assert metadata.outputs[2].description == EMBEDDING.description
    assert sorted(metadata.files) == [
        "place_labels.txt",
        "place_thresholds.csv",
        "scores_calibration.csv",
        "scores_labels.txt",
        "scores_thresholds.csv",
    ]


def test_framewise_outputs_are_no_heads() -> None:
    again = [Head(f"framewise_{head.name}", head.labels) for head in (SCORES, PLACE)]
    content = annotate(graph_of(3, 2, 3, 2), [SCORES, PLACE, *again], sample_rate_hz=RATE)
    metadata = read(content)
    assert metadata.heads() == (SCORES, PLACE)
    assert [metadata.is_framewise(n) for n in range(4)] == [False, False, True, True]
    assert metadata.labels(3) == PLACES


def test_a_head_of_such_a_name_without_another_before_it_is_one() -> None:
    for name in ("framewise_scores", "framewise_other", "framewise_"):
        head = Head(name, ANIMALS)
        assert read(annotate(graph_of(3), [head], sample_rate_hz=RATE)).heads() == (head,)
        if name != "framewise_scores":
            both = annotate(graph_of(2, 3), [PLACE, head], sample_rate_hz=RATE)
            assert read(both).heads() == (PLACE, head)


def test_heads_need_not_come_first() -> None:
    content = annotate(graph_of(5, 3), [EMBEDDING, SCORES], sample_rate_hz=RATE)
    assert read(content).heads() == (SCORES,)
    assert read(content).head(0) is None


@settings(max_examples=40)
@given(calibrations, st.data())
def test_any_head_is_read_back(calibration: ScoreCalibration, data: st.DataObject) -> None:
    n = len(calibration.sigmoids)
    names = tuple(data.draw(st.lists(labels, min_size=n, max_size=n, unique=True)))
    chosen = data.draw(st.lists(st.sampled_from(names), unique=True))
    thresholds = tuple((label, data.draw(st.floats(0, 1))) for label in chosen)
    score_threshold = data.draw(st.none() | st.floats(0, 1, width=32))
    description = data.draw(st.text(st.characters(codec="utf-8"), max_size=9))
    head = Head("scores", names, calibration, thresholds, score_threshold, description)
    assert read(annotate(graph_of(n), [head], sample_rate_hz=RATE)).heads() == (head,)


def test_the_same_heads_give_the_same_bytes(three: bytes) -> None:
    outputs = [SCORES, PLACE, EMBEDDING]
    assert annotate(graph_of(3, 2, 5), outputs, sample_rate_hz=RATE) == three
    assert annotate(three, outputs, sample_rate_hz=RATE)[-500:] == three[-500:]


def test_the_published_model_has_one_head_and_no_calibration(model) -> None:
    (head,) = read(model.path.read_bytes()).heads()
    assert head.labels == model.labels
    assert (head.calibration, head.thresholds) == (None, ())


@pytest.mark.parametrize(
    ("outputs", "message"),
    [
        ([SCORES, PLACE], r"3 output\(s\), but 2"),
        ([PLACE, SCORES, EMBEDDING], "'place' has 3 scores, but 2 labels"),
        ([SCORES, PLACE, PlainOutput("scores")], "two outputs have one name"),
        ([SCORES, PLACE, PlainOutput("../x")], "name"),
        ([SCORES, PLACE, PlainOutput("")], "name"),
    ],
)
def test_outputs_that_do_not_fit_are_refused(three: bytes, outputs, message) -> None:
    with pytest.raises(OptionError, match=message):
        annotate(three, outputs, sample_rate_hz=RATE)


def with_file(content: bytes, name: str, text: bytes | None) -> bytes:
    """The model with one packed file replaced, or left out."""
    repacked = io.BytesIO()
    with zipfile.ZipFile(io.BytesIO(content)) as packed, zipfile.ZipFile(repacked, "w") as files:
        assert name in packed.namelist()
        for entry in packed.namelist():
            if entry != name:
                files.writestr(entry, packed.read(entry))
            elif text is not None:
                files.writestr(name, text)
    return content[: content.index(b"PK\x03\x04")] + repacked.getvalue()


@pytest.mark.parametrize(
    ("name", "text", "message"),
    [
        ("scores_calibration.csv", b"1,2,3\n\nx", r"scores_calibration\.csv.*line 3.*numbers"),
        ("scores_calibration.csv", b"1,2,3\n\n1,2", r"scores_calibration\.csv.*line 3"),
        ("scores_calibration.csv", b"1,2,3\n", r"2 line\(s\) for 3 label"),
        ("scores_calibration.csv", b"\n-1,2,3\n", "0 or more"),
        ("scores_calibration.csv", b"\xff\n\n", "not UTF-8"),
        ("scores_calibration.csv", None, "not packed"),
        ("scores_thresholds.csv", b"Dog", r"scores_thresholds\.csv.*line 1"),
        ("scores_thresholds.csv", b"Horse,0.5", "Horse"),
        ("scores_thresholds.csv", b"\xff,0.5", "not UTF-8"),
        ("scores_thresholds.csv", None, "not packed"),
        ("place_labels.txt", None, "label file"),
        ("scores_labels.txt", b"Dog\nCat", "3 line|calibration"),
    ],
)
def test_a_damaged_file_in_the_model_is_told(three: bytes, name, text, message) -> None:
    damaged = read(with_file(three, name, text))
    with pytest.raises(ModelFormatError, match=message):
        damaged.heads()


def test_every_byte_of_the_metadata_may_be_wrong(three: bytes) -> None:
    """Each byte in turn inverted: read, or refused by name; nothing else."""
    raw = TfliteGraph(three).metadata()
    assert raw is not None
    packed = three[three.index(b"PK\x03\x04") :]
    refused = 0
    for position in range(len(raw)):
        damaged = bytearray(raw)
        damaged[position] ^= 0xFF
        try:
            read_metadata(bytes(damaged), packed).heads()
        except ModelFormatError:
            refused += 1
    assert refused > 30
