# SPDX-License-Identifier: Apache-2.0
"""Loading by name and by path, and what is said of files that are no such model."""

from __future__ import annotations

from pathlib import Path

import pytest

from oido.errors import ModelError, ModelFormatError, ModelNotFoundError
from oido.heads import Head
from oido.models.loading import load_model
from oido.models.registry import CATALOG
from oido.models.tflite.metadata_writer import annotate
from tests.models.repacked import changed, labels_zip


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
    ("written", "file", "name"),
    [
        ("yamnet/classification", "garden.tflite", "garden"),
        ("ensemble", "ensemble.tflite", "ensemble.tflite"),
        ("yamnet", "yamnet", "yamnet.tflite"),
        ("my birds", "yamnet.tflite", "my birds"),
    ],
)
def test_only_a_model_of_the_catalogue_goes_by_its_name(written, file, name, model, tmp_path):
    path = tmp_path / file
    path.write_bytes(
        annotate(
            model.path.read_bytes(), [Head("s", model.labels)], sample_rate_hz=16000, name=written
        )
    )
    assert load_model(path).name == name


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


def test_a_model_of_another_kind(tmp_path, model):
    """oido's own cut network: a sound .tflite that eats no waveform and says nothing of itself."""
    for content in (model.network.graph.network, model.network.graph.projection):
        path = tmp_path / "model.tflite"
        path.write_bytes(content)
        with pytest.raises(ModelFormatError, match="no metadata"):
            load_model(path)
