# SPDX-License-Identifier: Apache-2.0
"""What the model's own metadata say, and metadata that are damaged."""

from __future__ import annotations

import io
import json
import zipfile

import pytest

from oido.errors import ModelFormatError
from oido.models.tflite.editor import TfliteGraph
from oido.models.tflite.metadata import read_metadata

# Of the published class map (tensorflow/models, research/audioset/yamnet/yamnet_class_map.csv).
KNOWN_LABELS = {
    0: "Speech",
    1: "Child speech, kid speaking",
    67: "Animal",
    68: "Domestic animals, pets",
    69: "Dog",
    76: "Cat",
    132: "Music",
    494: "Silence",
    500: "Inside, small room",
    520: "Field recording",
}


@pytest.fixture(scope="module")
def whole(model) -> bytes:
    return model.path.read_bytes()


@pytest.fixture(scope="module")
def raw(whole) -> bytes:
    return TfliteGraph(whole).metadata()


def test_labels_are_the_published_class_map(model):
    assert len(model.labels) == 521
    assert len(set(model.labels)) == 521
    assert {index: model.labels[index] for index in KNOWN_LABELS} == KNOWN_LABELS
    assert all(label == label.strip() != "" for label in model.labels)


@pytest.fixture(scope="module")
def metadata(raw, whole):
    return read_metadata(raw, whole)


def test_labels_are_those_of_the_zip_entry(model, metadata, whole):
    with zipfile.ZipFile(io.BytesIO(whole)) as archive:
        assert archive.namelist() == ["yamnet_label_list.txt"]
        text = archive.read("yamnet_label_list.txt").decode()
    assert list(model.labels) == text.strip("\n").split("\n")
    assert metadata.outputs[0].label_file == "yamnet_label_list.txt"


def test_rate_channels_name_and_licence(metadata):
    audio = metadata.inputs[0]
    assert (audio.sample_rate_hz, audio.channels) == (16_000, 1)
    assert metadata.name == "yamnet/classification"
    assert "Apache" in metadata.licence


def test_the_model_knows_its_file(model, whole):
    assert model.size_bytes == len(whole) == 4_126_810
    assert model.sha256 == "10c95ea3eb9a7bb4cb8bddf6feb023250381008177ac162ce169694d05c317de"
    assert model.name == "yamnet/classification"
    assert "ReLU6" in model.summary


def test_front_end_parameters_are_yamnets(model):
    p = model.network.front_end
    assert (p.sample_rate_hz, p.window_samples, p.hop_samples) == (16_000, 400, 160)
    assert (p.fft_samples, p.fft_bins, p.patch_frames, p.patch_samples) == (512, 257, 96, 15_600)


def test_metadata_of_another_format_are_refused(raw, whole):
    with pytest.raises(ModelFormatError, match="M001"):
        read_metadata(raw[:4] + b"X999" + raw[8:], whole)


@pytest.mark.parametrize("length", [0, 3, 4, 8, 9, 12, 16, 50, 100])
def test_metadata_cut_short_are_refused(raw, whole, length):
    with pytest.raises(ModelFormatError):
        read_metadata(raw[:length], whole)


def test_every_byte_of_the_metadata_may_be_wrong(raw, whole):
    """Each byte in turn inverted: read, or refused by name; nothing else."""
    without_zip = whole[:1000]
    refused = 0
    for position in range(len(raw)):
        damaged = bytearray(raw)
        damaged[position] ^= 0xFF
        try:
            read_metadata(bytes(damaged), without_zip)
        except ModelFormatError:
            refused += 1
    assert refused > 10


def zipped(text: bytes, name="labels.txt", method=zipfile.ZIP_DEFLATED) -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", method) as archive:
        archive.writestr(name, text)
    return buffer.getvalue()


def test_packed_files_may_be_compressed(raw):
    metadata = read_metadata(raw, b"model" * 10 + zipped(b"a\nb\n", "yamnet_label_list.txt"))
    assert metadata.labels() == ("a", "b")


@pytest.mark.parametrize("line_end", ["\n", "\r\n"])
def test_labels_are_lines_and_nothing_else_ends_them(raw, line_end):
    """Only a line feed ends a line; other breaks of Unicode are part of a label."""
    text = line_end.join(["one", "two\u2028still two", "thr\u00e9e", "four\x0bfour"]) + line_end
    metadata = read_metadata(raw, zipped(text.encode(), "yamnet_label_list.txt"))
    assert metadata.labels() == ("one", "two\u2028still two", "thr\u00e9e", "four\x0bfour")


def test_labels_that_are_not_text_are_refused(raw):
    metadata = read_metadata(raw, zipped(b"\xff\xfe\xff", "yamnet_label_list.txt"))
    with pytest.raises(ModelFormatError, match="UTF-8"):
        metadata.labels()


def test_a_missing_label_file_is_told(raw):
    for file in (b"no zip at all", zipped(b"a\nb\n", "other.txt")):
        with pytest.raises(ModelFormatError, match="label file"):
            read_metadata(raw, file).labels()


def test_every_byte_of_a_packed_file_may_be_wrong(raw):
    """The compressed labels with each byte in turn inverted: read, or refused by name."""
    text = json.dumps(KNOWN_LABELS).encode() * 3
    whole_zip = zipped(text, "yamnet_label_list.txt")
    refused = 0
    for position in range(len(whole_zip)):
        damaged = bytearray(whole_zip)
        damaged[position] ^= 0xFF
        try:
            read_metadata(raw, bytes(damaged))
        except ModelFormatError:
            refused += 1
    assert refused > 50
