# SPDX-License-Identifier: Apache-2.0
"""``oido export``: what it writes, says and refuses."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from oido.cli.main import run
from oido.heads import Head
from oido.models.tflite.builder import GraphWriter
from oido.models.tflite.metadata_writer import annotate


def test_shapes_of_all_outputs_are_printed(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "y.tflite"
    command = ["export", "yamnet/classification", "-o", str(path), "--embedding"]
    assert run(command) == 0
    assert "  gives scores [1, 521], embedding [1, 1024]\n" in capsys.readouterr().out
    assert run([*command, "--framewise"]) == 0
    printed = capsys.readouterr().out
    assert "embedding [1, 1024], framewise_scores [1, 3, 521]\n" in printed
    assert run(["classify", "examples/street.flac", "--model", str(path), "--clip"]) == 0
    assert "Siren" in capsys.readouterr().out


def test_a_model_without_framewise_scores_is_refused(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    writer = GraphWriter("one sound")
    waveform = writer.input("waveform", (1, 16_000))
    weights, bias = np.zeros((1, 16_000), np.float32), np.zeros(1, np.float32)
    content = writer.finish([writer.sigmoid(writer.dense(waveform, weights, bias))])
    model, out = tmp_path / "one.tflite", tmp_path / "out.tflite"
    model.write_bytes(annotate(content, [Head("scores", ("loud",))], sample_rate_hz=16_000))
    assert run(["export", str(model), "-o", str(out), "--framewise"]) == 2
    error = capsys.readouterr().err
    assert "one gives scores of whole windows only, and no framewise ones" in error
    assert not out.exists()
