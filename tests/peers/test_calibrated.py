# SPDX-License-Identifier: Apache-2.0
"""A YAMNet that oido calibrated, in MediaPipe and in the Task Library: the same probabilities."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

import oido
from oido.calibration.fit import calibrate
from oido.events.calibration import Calibrator
from oido.models.loading import load_model
from tests.calibration.labelled_sounds import labelled_sounds

pytestmark = pytest.mark.slow


def test_the_same_probabilities_everywhere(peer: str, run_all: Any, tmp_path: Path) -> None:
    """Each peer's own raw scores, calibrated by oido, are what it says of the calibrated file."""
    path = tmp_path / "calibrated.tflite"
    table = labelled_sounds(tmp_path)
    calibrate("yamnet/classification", oido.Dataset.load(table)).save(path)
    model, plain = load_model(path), load_model("yamnet/classification")
    assert model.head.calibration is not None
    for kind in ("beep", "click", "hiss"):
        stream = oido.AudioClassifier(plain, jobs=1).stream(
            tmp_path / "sounds" / kind / f"{kind}-2.wav"
        )
        window = stream.waveform()[:15_600]
        (raw,), (said,) = run_all(peer, [plain.path, path], window)
        scores = np.array([raw[label] for label in model.labels], np.float32)
        expected = Calibrator(model.head.calibration).apply(scores)
        got = np.array([said[label] for label in model.labels])
        np.testing.assert_allclose(got, expected, rtol=0, atol=1.2e-5)
        own = oido.AudioClassifier(path, jobs=1).classify(window, 16_000).probabilities
        assert own is not None
        np.testing.assert_allclose(got, own[0], atol=0.03)  # a step of int8 in the raw score
        assert model.labels[int(got.argmax())] == model.labels[int(own[0].argmax())]
