# SPDX-License-Identifier: Apache-2.0
"""What a graph and its metadata say together: heads, front ends and scores of parts of a window."""

from __future__ import annotations

import io
import zipfile

import numpy as np
import pytest

from oido.errors import ModelFormatError
from oido.heads import Head
from oido.inference.classifier import AudioClassifier
from oido.models.loading import load_model
from oido.models.tflite.builder import GraphWriter
from oido.models.tflite.metadata_writer import PlainOutput, annotate, with_heads
from tests.models.repacked import changed, labels_zip


def test_a_model_without_its_labels(tmp_path, whole):
    path = tmp_path / "model.tflite"
    path.write_bytes(changed(whole, lambda parsed: None))
    with pytest.raises(ModelFormatError, match="label file"):
        load_model(path)


def test_a_model_with_too_few_labels(tmp_path, whole):
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        archive.writestr("yamnet_label_list.txt", "one\ntwo\n")
    path = tmp_path / "model.tflite"
    path.write_bytes(changed(whole, lambda parsed: None) + buffer.getvalue())
    with pytest.raises(ModelFormatError, match="521 scores but 2 labels"):
        load_model(path)


def test_repacking_alone_does_no_harm(tmp_path, whole, model):
    """So that the tests above fail for what they change, and not for the way it is done."""
    path = tmp_path / "model.tflite"
    path.write_bytes(changed(whole, lambda parsed: None) + labels_zip(whole))
    assert load_model(path).labels == model.labels


def test_a_waveform_model_without_a_spectrum(tmp_path, whole):
    """The metadata promise audio, but the graph has no FFT."""

    def no_fft(parsed):
        graph = parsed.subgraphs[0]
        graph.operators = graph.operators[13:]

    path = tmp_path / "model.tflite"
    path.write_bytes(changed(whole, no_fft) + labels_zip(whole))
    with pytest.raises(ModelFormatError, match=r"model\.tflite"):
        AudioClassifier(path)


@pytest.mark.parametrize(("values", "columns"), [(6, 2), (90, 30), (3, None), (7, None)])
def test_scores_of_parts_in_a_row_are_known_by_their_name(tmp_path, values, columns):
    content = annotate(
        row_of_parts(3, values),
        [Head("scores", ("a", "b", "c")), PlainOutput("framewise_scores")],
        sample_rate_hz=16_000,
    )
    path = tmp_path / "parts.tflite"
    path.write_bytes(content)
    model = load_model(path)
    assert [head.name for head in model.heads] == ["scores"]
    assert model.network.framewise == (None if columns is None else (1, columns))
    again = with_heads(model)
    assert again is not None
    path.write_bytes(again)
    assert load_model(path).network.framewise == model.network.framewise


def row_of_parts(*sizes: int) -> bytes:
    dice = np.random.default_rng(3)
    writer = GraphWriter("parts", batch=False)
    x = writer.input("audio_clip", (1, 400))
    weights = [dice.normal(0, 0.1, (size, 400)).astype(np.float32) for size in sizes]
    return writer.finish([writer.sigmoid(writer.dense(x, w, w[:, 0])) for w in weights])
