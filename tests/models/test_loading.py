# SPDX-License-Identifier: Apache-2.0
"""Loading by name and by path, and what is said of files that are no such model."""

from __future__ import annotations

import io
import zipfile
from pathlib import Path

import numpy as np
import pytest
from ai_edge_litert import schema_py_generated as schema
from flatbuffers import Builder

from oido.errors import ModelError, ModelFormatError, ModelNotFoundError
from oido.heads import Head
from oido.inference.classifier import AudioClassifier
from oido.models.loading import load_model
from oido.models.registry import CATALOG
from oido.models.tflite.builder import GraphWriter
from oido.models.tflite.metadata_writer import PlainOutput, annotate, with_heads


@pytest.fixture(scope="module")
def whole(model) -> bytes:
    return model.path.read_bytes()


def changed(whole: bytes, change) -> bytes:
    """The model with its parsed form changed, packed again (without the ZIP behind it)."""
    parsed = schema.ModelT.InitFromPackedBuf(whole, 0)
    change(parsed)
    builder = Builder(1 << 20)
    builder.Finish(parsed.Pack(builder), b"TFL3")
    return bytes(builder.Output())


def labels_zip(whole: bytes) -> bytes:
    return whole[whole.index(b"PK\x03\x04") :]


def test_by_name_and_by_path_are_the_same_model(model, tmp_path, whole):
    copy = tmp_path / "anything at all.bin"
    copy.write_bytes(whole)
    for path in (copy, str(copy)):
        loaded = load_model(path)
        assert loaded.labels == model.labels
        assert loaded.sha256 == model.sha256
        assert loaded.network.front_end == model.network.front_end
        assert loaded.path == copy
        assert loaded.card is None
        assert loaded.name == "yamnet/classification"
    assert load_model("yamnet/classification").card == CATALOG[0]


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("yamnet/clasification", "did you mean 'yamnet/classification'"),
        ("nothing/like-it", "the known ones are: yamnet/classification"),
        ("absent.tflite", "absent.tflite: no such model file"),
        ("", "no such model"),
        ("\0", "known ones are"),
        ("x" * 5000, "known ones are"),
    ],
)
def test_what_is_not_there(name, said, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(ModelNotFoundError, match=said):
        load_model(name)


def test_a_folder_is_no_model(tmp_path):
    with pytest.raises(ModelNotFoundError, match="no such model file"):
        load_model(tmp_path)


@pytest.mark.skipif(not Path("/proc/self/mem").exists(), reason="a file that no one can read")
def test_a_file_that_cannot_be_read(tmp_path):
    link = tmp_path / "model.tflite"
    link.symlink_to("/proc/self/mem")
    with pytest.raises(ModelError):
        load_model(link)


@pytest.mark.parametrize(
    "content",
    [b"", b"TFL3", b"\0" * 7, b"\0\0\0\0TFL3", b"RIFF....WAVEfmt ", b"<html>" * 100, b"\0" * 5000],
)
def test_what_is_not_a_tflite(tmp_path, content):
    path = tmp_path / "model.tflite"
    path.write_bytes(content)
    with pytest.raises(ModelFormatError) as raised:
        load_model(path)
    assert str(path) in str(raised.value)


@pytest.mark.parametrize(
    "length",
    [
        8,
        9,
        12,
        20,
        40,
        100,
        1000,
        1556,
        10000,
        500000,
        2000000,
        3626000,
        3833000,
        4000000,
        4100000,
        4120440,
        4120441,
        4126000,
        4126800,
        4126809,
    ],
)
def test_a_model_cut_short(tmp_path, whole, length):
    path = tmp_path / "model.tflite"
    path.write_bytes(whole[:length])
    with pytest.raises(ModelFormatError) as raised:
        load_model(path)
    assert str(path) in str(raised.value)
    assert "\n" not in str(raised.value)


def test_a_model_without_metadata(tmp_path, whole):
    def drop(parsed):
        parsed.metadata = []

    path = tmp_path / "model.tflite"
    path.write_bytes(changed(whole, drop) + labels_zip(whole))
    with pytest.raises(ModelFormatError, match="no metadata"):
        load_model(path)


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


def test_a_model_of_another_kind(tmp_path, model):
    """oido's own cut network: a sound .tflite that eats no waveform and says nothing of itself."""
    for content in (model.network.graph.network, model.network.graph.projection):
        path = tmp_path / "model.tflite"
        path.write_bytes(content)
        with pytest.raises(ModelFormatError, match="no metadata"):
            load_model(path)


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
