# SPDX-License-Identifier: Apache-2.0
"""Two networks together, against each of them alone."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

import oido
from oido.inference.block import Block
from oido.inference.ensemble import WINDOW_WEIGHT, logit_mean
from oido.inference.predictor import Predictor
from oido.models.model import EnsembleNetwork
from oido.models.registry import ENSEMBLE
from oido.signal.decode import AudioInfo, AudioReader, open_audio
from oido.signal.resample import Resampler

ROOT = Path(__file__).parents[2]
STREET = ROOT / "examples" / "street.flac"
MODELS = Path(os.environ.get("OIDO_TEST_MODELS", ROOT.parent / "shared" / "models"))


@pytest.fixture(scope="module")
def both() -> oido.AudioClassifier:
    if not (MODELS / "mn04_as_mAP_432.pt").exists():
        pytest.skip("mn04_as_mAP_432.pt is not here; OIDO_TEST_MODELS names its folder")
    before = os.environ.get("OIDO_MODEL_PATH")
    os.environ["OIDO_MODEL_PATH"] = os.pathsep.join(filter(None, [str(MODELS), before]))
    try:
        return oido.AudioClassifier(ENSEMBLE, jobs=1)
    finally:
        os.environ.pop("OIDO_MODEL_PATH")
        if before is not None:
            os.environ["OIDO_MODEL_PATH"] = before


def around(classifier: oido.AudioClassifier, waveform: np.ndarray, n_windows: int) -> np.ndarray:
    """What mn04 says around each window of YAMNet, from the definition: f64[N, 521]."""
    network = classifier.model.network
    assert isinstance(network, EnsembleNetwork)
    ear = Predictor.of(network.second)
    rows = []
    for start in range(0, max(1, len(waveform) - 160_000 + 80_000), 80_000):
        piece = np.concatenate([waveform[start : start + 160_000], np.zeros(64_000, np.float32)])
        rows.append(ear.predict(np.resize(piece, 320_000), 320_000).scores[0])
    columns = [network.second.labels.index(label) for label in network.first.labels]
    scores = np.stack(rows)[:, columns].astype(np.float64)
    begins = np.arange(len(rows)) * 2.5
    centres = [min(k * 0.48 + 0.4875, (len(waveform) - 2) / 32_000) for k in range(n_windows)]
    return np.stack([scores[(begins <= c) & (c < begins + 5)].mean(axis=0) for c in centres])


@pytest.mark.parametrize("seconds", [0.4, 3.0, 7.3, 29.0])
def test_a_score_is_the_mean_of_both_logits(
    both: oido.AudioClassifier, classifier: oido.AudioClassifier, seconds: float
) -> None:
    with open_audio(STREET) as reader:
        mono = np.concatenate(list(reader.blocks()))[:, 0]
    mono = mono[: int(seconds * 16_000)]
    resampler = Resampler(16_000, 32_000)
    waveform = np.concatenate([resampler.push(mono), resampler.flush()])
    alone = classifier.classify(mono, 16_000)
    together = both.classify(mono, 16_000)
    beside = around(both, waveform, len(alone.scores))
    a, b = (np.clip(s.astype(np.float64), 1 / 512, 511 / 512) for s in (alone.scores, beside))
    odds = (a / (1 - a)) ** (1 - WINDOW_WEIGHT) * (b / (1 - b)) ** WINDOW_WEIGHT
    np.testing.assert_allclose(together.scores, odds / (1 + odds), atol=1e-4)
    assert (together.embeddings == alone.embeddings).all()
    assert (together.times == alone.times).all()
    assert together.labels == alone.labels


def test_a_stream_in_small_blocks_and_by_threads_is_the_same(both: oido.AudioClassifier) -> None:
    expected = both.classify(STREET).scores
    several = oido.AudioClassifier(both.model, jobs=3).classify(STREET).scores
    streamed = np.concatenate([block.scores for block in both.stream(STREET)])
    assert (streamed == expected).all()
    assert (several == expected).all()


class Damaged(AudioReader):
    """A second of noise, so many times, and then damage."""

    def __init__(self, seconds: int) -> None:
        self.info = AudioInfo("damaged", 16_000, 1, None, "none", "array")
        self.damaged_packets = 0
        self._seconds = seconds

    def blocks(self) -> Iterator[np.ndarray]:
        dice = np.random.default_rng(4)
        for _ in range(self._seconds):
            yield dice.uniform(-0.2, 0.2, (16_000, 1)).astype(np.float32)
        raise oido.CorruptAudioError("damaged: here it ends")

    def close(self) -> None: ...


@pytest.mark.parametrize("seconds", [1, 3, 12])
def test_damage_comes_after_what_was_heard(
    both: oido.AudioClassifier, classifier: oido.AudioClassifier, seconds: int
) -> None:
    heard: list[list[Block]] = [[], []]
    for blocks, ear in zip(heard, (both, classifier)):
        stream = ear.stream(Damaged(seconds), jobs=1)
        with pytest.raises(oido.CorruptAudioError, match="here it ends"):
            blocks.extend(stream)
    together, alone = (np.concatenate([b.scores for b in blocks]) for blocks in heard)
    assert together.shape == alone.shape
    assert (together != alone).any() == (seconds >= 5)  # mn04 needs a whole piece before damage


def test_what_it_cannot_do_is_told(both: oido.AudioClassifier, tmp_path: Path) -> None:
    with pytest.raises(oido.OptionError, match="choose one of them"):
        both.log_mel(STREET)
    with pytest.raises(oido.OptionError, match="two networks"):
        oido.export(both.model, tmp_path / "both.tflite")
    with pytest.raises(oido.OptionError, match="cannot be chosen"):
        oido.load_model(ENSEMBLE, window_seconds=2.0)
    assert list(tmp_path.iterdir()) == []


def test_its_events_begin_at_a_score_of_its_own(both: oido.AudioClassifier) -> None:
    """Also if the common one should change."""
    assert set(both.model.head.thresholds) == {(label, 0.12) for label in both.labels}
    result = both.classify(STREET)
    assert result.events() == result.events(threshold=0.12)
    assert result.events() != result.events(threshold=0.3)
    assert "Police car (siren)" in {event.label for event in result.events()}


def test_the_command_hears_with_both(both: oido.AudioClassifier) -> None:
    environment = {**os.environ, "OIDO_MODEL_PATH": str(MODELS)}
    done = subprocess.run(
        [sys.executable, "-m", "oido", "classify", STREET, "--model", ENSEMBLE, "--format", "csv"],
        capture_output=True,
        text=True,
        check=True,
        env=environment,
    )
    assert ",Police car (siren)," in done.stdout


def test_scores_of_nothing_and_of_certainty_count_as_half_a_step() -> None:
    a = np.array([0.0, 0.0, 0.5, 1.0, 0.8], np.float32)
    b = np.array([0.0, 1.0, 0.5, 1.0, 0.2], np.float32)
    got = logit_mean(a, b, 0.5)
    assert got.dtype == np.float32
    np.testing.assert_allclose(got, [1 / 512, 0.5, 0.5, 511 / 512, 0.5], atol=1e-6)
    assert logit_mean(a, b, 0.7)[4] < 0.5 < logit_mean(a, b, 0.3)[4]
