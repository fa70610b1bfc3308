# SPDX-License-Identifier: Apache-2.0
"""LiteRT behind the seam: errors that are its own, and dequantised embeddings."""

from __future__ import annotations

import subprocess
import sys

import numpy as np
import pytest

from oido.errors import ModelFormatError
from oido.models.tflite.builder import GraphWriter
from oido.runtime.litert import LiteRtRuntime, WholeRuntime


@pytest.mark.parametrize("content", [b"", b"no model", b"\x1c\0\0\0TFL3" + b"\0" * 64])
def test_what_is_no_model_is_a_model_format_error(model, content):
    for pair in ((content, model.network.graph.network), (model.network.graph.projection, content)):
        with pytest.raises(ModelFormatError, match="LiteRT"):
            LiteRtRuntime(*pair)


def test_embeddings_are_dequantised(model):
    """The pool's tensor is int8: at most 256 values, a scale apart, none below 0 after ReLU6."""
    runtime = LiteRtRuntime(model.network.graph.projection, model.network.graph.network)
    patches = np.random.default_rng(0).normal(-3, 2, (8, 96, 64)).astype(np.float32)
    values = np.unique(runtime.run(patches).embeddings)
    assert values.min() == 0.0
    assert values.max() <= 6.0
    steps = np.diff(values) / 0.0223283507
    np.testing.assert_allclose(steps, np.round(steps), atol=1e-3)


def test_the_projection_is_the_mel_matrix_and_its_logarithm(model):
    """ln(mel · magnitudes + 0.001), in float64 here."""
    runtime = LiteRtRuntime(model.network.graph.projection, model.network.graph.network)
    magnitudes = np.random.default_rng(1).uniform(0, 30, (7, 235)).astype(np.float32)
    mel = model.network.graph.mel[
        :, model.network.graph.first_bin : model.network.graph.last_bin + 1
    ].astype(np.float64)
    expected = np.log(magnitudes.astype(np.float64) @ mel.T + 0.001)
    np.testing.assert_allclose(runtime.project(magnitudes), expected, rtol=0, atol=2e-6)


def whole(*sizes):
    """A graph of a window of 200 samples, with outputs of these sizes."""
    dice = np.random.default_rng(3)
    writer = GraphWriter("parts", batch=False)
    x = writer.input("audio_clip", (1, 200))
    weights = [dice.normal(0, 0.1, (size, 200)).astype(np.float32) for size in sizes]
    return writer.finish([writer.sigmoid(writer.dense(x, w, w[:, 0])) for w in weights])


def test_scores_of_parts_in_a_row_are_cut_and_what_they_lack_is_the_windows():
    content = whole(3, 6, 1)
    windows = np.random.default_rng(4).normal(0, 1, (2, 200)).astype(np.float32)
    found = WholeRuntime(content, (0, 2), framewise=(1, 2)).run(windows)
    parts = WholeRuntime(content, (1,)).run(windows).scores.reshape(2, 2, 3)
    assert found.framewise.shape == (2, 2, 4)
    np.testing.assert_array_equal(found.framewise[:, :, :3], parts)
    for part in range(2):
        np.testing.assert_array_equal(found.framewise[:, part, 3], found.scores[:, 3])
    assert WholeRuntime(content, (0, 2)).run(windows).framewise is None
    with pytest.raises(ModelFormatError, match="equal parts"):
        WholeRuntime(content, (0,), framewise=(1, 4)).run(windows)


def test_nothing_greets_on_standard_error_and_what_is_written_there_stays():
    code = """
import os, sys, oido
from oido.errors import ModelFormatError
from oido.models.tflite.builder import GraphWriter
from oido.runtime.litert import LiteRtRuntime, WholeRuntime
try:
    LiteRtRuntime(None, b"no model")
except ModelFormatError:
    pass
classifier = oido.AudioClassifier()
os.write(2, b"mine")
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stderr == "mine"
