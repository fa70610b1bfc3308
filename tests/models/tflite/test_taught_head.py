# SPDX-License-Identifier: Apache-2.0
"""Heads of taught files: read back to the bit, and changed where nothing else is."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

import oido
from oido.errors import OptionError
from oido.models.loading import load_model
from oido.models.model import AudioModel
from oido.models.tflite.taught_head import HeadLayer, read_taught_head, write_last_layer
from tests.training.test_head_export import CLASSES, STREET, file_of, made_head, novelty_of


@pytest.mark.parametrize(
    ("output", "square_root", "layers", "quiet"),
    [
        ("softmax", True, 1, False),
        ("softmax", True, 2, True),
        ("sigmoid", False, 1, False),
        ("sigmoid", True, 2, False),
    ],
)
def test_a_head_is_what_was_written(
    model: AudioModel, tmp_path: Path, output: str, square_root: bool, layers: int, quiet: bool
) -> None:
    made = made_head(output, square_root, layers, quiet=quiet)
    path = tmp_path / "taught.tflite"
    path.write_bytes(
        file_of(model, made, training={"base_sha256": "ab", "priors": [0.1, 0.2, 0.3]})
    )
    head = read_taught_head(load_model(path))
    assert head.labels == CLASSES
    assert (head.output, head.square_root, head.inputs) == (output, square_root, 1024)
    assert head.training["priors"] == [0.1, 0.2, 0.3]
    for read, written in zip(head.layers, made.layers_and_quiet, strict=True):
        np.testing.assert_array_equal(read.weights, written.weights)
        np.testing.assert_array_equal(read.bias, written.bias)
    embeddings = np.abs(np.random.default_rng(0).normal(0, 1, (5, 1024))).astype(np.float32)
    np.testing.assert_allclose(head.scores(embeddings), made.scores(embeddings), atol=1e-6)


def test_the_last_layer_changes_and_all_else_stays(model: AudioModel, tmp_path: Path) -> None:
    made = made_head("sigmoid", True, 2)
    path, changed = tmp_path / "taught.tflite", tmp_path / "changed.tflite"
    path.write_bytes(file_of(model, made, novelty=novelty_of(0.3)))
    taught = load_model(path)
    last = read_taught_head(taught).layers[-1]
    other = HeadLayer(last.weights * 2, last.bias - 1)
    changed.write_bytes(write_last_layer(taught, other))
    again = load_model(changed)
    assert again.heads == taught.heads
    assert again.novelty == taught.novelty
    head = read_taught_head(again)
    np.testing.assert_array_equal(head.layers[-1].weights, other.weights)
    np.testing.assert_array_equal(head.layers[0].weights, made.layers[0].weights)
    result = oido.AudioClassifier(changed, jobs=1).classify(STREET)
    before = oido.AudioClassifier(path, jobs=1).classify(STREET)
    np.testing.assert_allclose(result.scores, head.scores(result.embeddings), atol=1e-5)
    np.testing.assert_array_equal(result.similarities, before.similarities)
    assert path.read_bytes() == file_of(model, made, novelty=novelty_of(0.3))


def test_what_was_not_taught_has_no_such_head(model: AudioModel) -> None:
    with pytest.raises(OptionError, match="is no model that `oido train` wrote"):
        read_taught_head(model)
