# SPDX-License-Identifier: Apache-2.0
"""A sound that was taught on the page, in MediaPipe and in the Task Library: the same scores."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

import oido
from oido.models.model import AudioModel
from tests.web.browsing import STREET
from tests.web.core.written_head import SOUNDS, head_of, written

pytestmark = pytest.mark.slow


def test_it_stands_beside_the_521(peer: str, run: Any, tmp_path: Path, model: AudioModel) -> None:
    made = written(tmp_path, model.path.read_bytes(), head_of(1_024), isFramewise=False)
    classifier = oido.AudioClassifier(made, jobs=1)
    waveform = classifier.stream(STREET).waveform()[16_000:31_600]
    result = classifier.classify(waveform, 16_000)
    (scores,) = run(peer, made, waveform)
    for label, score in zip(result.labels, result.scores[0]):
        if label in scores or label in SOUNDS:
            assert scores[label] == pytest.approx(float(score), abs=2e-5)
    assert len(scores) > 500
