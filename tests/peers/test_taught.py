# SPDX-License-Identifier: Apache-2.0
"""A taught classifier in MediaPipe and in the Task Library: the same probabilities."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

import oido
from oido.training.train import train
from tests.training.taught_sounds import KINDS, make_sounds

pytestmark = pytest.mark.slow


def test_a_head_on_both_networks_is_a_model_like_others(
    peer: str, run: Any, tmp_path: Path, mn04_is_here: None
) -> None:
    """One waveform of 9.6 s at 32 kHz, scores first; further outputs are rows of numbers."""
    sounds = make_sounds(tmp_path / "sounds", each=4)
    path = tmp_path / "both.tflite"
    train(oido.Dataset.load(sounds), model="ensemble", cache=False).export(path)
    classifier = oido.AudioClassifier(path, jobs=1)
    for kind in KINDS:
        waveform = classifier.stream(sounds / kind / f"{kind}-2.wav").waveform()
        window = np.resize(waveform, 307_200)
        own = classifier.classify(window, 32_000)
        scores = run(peer, path, window)[0]
        assert max(scores, key=scores.__getitem__) == own.top(1)[0].label == kind
        assert own.probabilities is not None
        for label, probability in zip(KINDS, own.probabilities[0]):
            assert scores[label] == pytest.approx(float(probability), abs=1e-4)


@pytest.mark.parametrize("keep_base", [False, True])
def test_the_same_top_one_everywhere(
    keep_base: bool, peer: str, run: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    sounds = make_sounds(tmp_path / "sounds", each=4)
    path = tmp_path / "sounds.tflite"
    train(oido.Dataset.load(sounds), cache=False).export(path, keep_base=keep_base)
    classifier = oido.AudioClassifier(path, jobs=1)
    for kind in KINDS:
        waveform = classifier.stream(sounds / kind / f"{kind}-2.wav").waveform()[:15_600]
        own = classifier.classify(waveform, 16_000)
        heads = run(peer, path, waveform)
        taught = heads[1] if keep_base else heads[0]
        assert max(taught, key=taught.__getitem__) == own.top(1)[0].label == kind
        assert own.probabilities is not None
        for label, probability in zip(KINDS, own.probabilities[0]):
            assert taught[label] == pytest.approx(float(probability), abs=1e-4)
        if keep_base:
            base = own.of_head("base").scores[0]
            labels = own.of_head("base").labels
            best = int(np.argmax(base))
            assert heads[0][labels[best]] == pytest.approx(float(base[best]), abs=1e-6)
