# SPDX-License-Identifier: Apache-2.0
"""Heads that we write, as MediaPipe and the Task Library read them: the same probabilities.

Each peer gets the model twice, without and with what is tested, so that both numbers come from its
own runtime. They compute f(x) in float32, step by step, which differs from float64 by less than
TOLERANCE for the parameters used here (their exponents stay below 200, and 200 · 2^-24 = 1.2e-5).
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

import oido
from oido.events.calibration import Calibrator
from oido.heads import Head, ScoreCalibration, ScoreTransformation, Sigmoid
from oido.models.model import AudioModel
from oido.models.tflite.builder import GraphWriter
from oido.models.tflite.metadata_writer import PlainOutput, annotate
from tests.models.tflite.test_metadata_heads import with_file
from tests.peers.conftest import Run, RunAll
from tests.peers.peers import PeerRefusedError

pytestmark = pytest.mark.slow

STREET = Path(__file__).parents[2] / "examples" / "street.flac"
RATE, WINDOW, CLASSES = 16_000, 15_600, 300
TOLERANCE = 1.2e-5
TRANSFORMATIONS = tuple(ScoreTransformation)
FIVE = ("one", "two", "three, four", "four", "Ñandú")


def random_calibration(
    scores: np.ndarray, transformation: ScoreTransformation, default_score: float = 0.125
) -> ScoreCalibration:
    """A sigmoid per class; every 5th has none, every 3rd a min_score: below, at, or above x."""
    rng = np.random.default_rng(11)
    steepest = 4 if transformation is not ScoreTransformation.IDENTITY else 20
    sigmoids = []
    for i, x in enumerate(scores):
        scale, slope, offset = rng.uniform([0, -1, -5], [1, steepest, 5])
        min_score = float(x) + (0, 1e-3, -1e-3)[i // 3 % 3] if i % 3 == 0 else None
        sigmoids.append(None if i % 5 == 0 else Sigmoid(scale, slope, offset, min_score))
    return ScoreCalibration(tuple(sigmoids), transformation, default_score)


def in_order(head: dict[str, float], labels: tuple[str, ...]) -> np.ndarray:
    return np.array([head[label] for label in labels], np.float32)


def saved(path: Path, model: bytes, *outputs: Head | PlainOutput) -> Path:
    path.write_bytes(annotate(model, outputs, sample_rate_hz=RATE))
    return path


def float_graph(*sizes: int) -> bytes:
    """A waveform classifier whose float32 scores lie all over 0..1, near both ends too."""
    rng = np.random.default_rng(5)
    writer = GraphWriter("a random layer for each output")
    x = writer.input("waveform", (1, WINDOW))
    outputs = []
    for size in sizes:
        weights = rng.normal(0, 0.3, (size, WINDOW)).astype(np.float32)
        bias = np.linspace(-40, 20, size, dtype=np.float32)
        outputs.append(writer.sigmoid(writer.dense(x, weights, bias)))
    return writer.finish(outputs)


def calibrations_agree(
    peer: str, run_all: RunAll, content: bytes, raw: np.ndarray, labels: tuple[str, ...], to: Path
) -> None:
    """Each transformation: the peer's probabilities are those that we make of its raw scores."""
    calibrations = [random_calibration(raw, transformation) for transformation in TRANSFORMATIONS]
    paths = [
        saved(to / f"{c.transformation.name}.tflite", content, Head("scores", labels, c))
        for c in calibrations
    ]
    for calibration, answer in zip(calibrations, run_all(peer, paths, STREET), strict=True):
        expected = Calibrator(calibration).apply(raw)
        np.testing.assert_allclose(in_order(answer[0], labels), expected, rtol=0, atol=TOLERANCE)
        assert len(np.unique(expected)) > len(raw) // 3


def test_yamnets_probabilities_are_the_peers(
    peer: str, run: Run, run_all: RunAll, model: AudioModel, tmp_path: Path
) -> None:
    raw = in_order(run(peer, model.path, STREET)[0], model.labels)
    ours = oido.AudioClassifier(model, jobs=1).classify(STREET).scores[0]
    np.testing.assert_allclose(raw, ours, atol=1 / 256)  # one step of its int8 output
    assert (raw > 0).sum() > 20
    calibrations_agree(peer, run_all, model.path.read_bytes(), raw, model.labels, tmp_path)


def test_probabilities_of_float_scores_are_the_peers(
    peer: str, run: Run, run_all: RunAll, tmp_path: Path
) -> None:
    labels, content = tuple(f"class {n}" for n in range(CLASSES)), float_graph(CLASSES)
    plain = saved(tmp_path / "plain.tflite", content, Head("scores", labels))
    raw = in_order(run(peer, plain, STREET)[0], labels)
    assert raw.min() < 1e-12
    assert raw.max() > 0.999
    calibrations_agree(peer, run_all, content, raw, labels, tmp_path)


def test_a_second_head_and_an_embedding_are_read_by_the_peers(
    peer: str, run: Run, tmp_path: Path
) -> None:
    content = float_graph(5, 2, 7)
    places, embedding = Head("place", ("in", "out")), PlainOutput("embedding", "seven numbers")
    plain = saved(tmp_path / "plain.tflite", content, Head("scores", FIVE), places, embedding)
    raw = run(peer, plain, STREET)
    assert [sorted(head) for head in raw] == [
        sorted(FIVE),
        ["in", "out"],
        [f"embedding {n}" for n in range(7)],
    ]
    calibration = random_calibration(in_order(raw[0], FIVE), ScoreTransformation.LOG)
    scores = Head("scores", FIVE, calibration, (("four", 0.5),))
    full = run(peer, saved(tmp_path / "full.tflite", content, scores, places, embedding), STREET)
    expected = Calibrator(calibration).apply(in_order(raw[0], FIVE))
    np.testing.assert_allclose(in_order(full[0], FIVE), expected, rtol=0, atol=TOLERANCE)
    assert full[1:] == raw[1:]


def five_scores(path: Path, **parts: Any) -> Path:
    return saved(path, float_graph(5), Head("scores", FIVE, **parts))


def test_where_the_peers_differ(peer: str, run_all: RunAll, tmp_path: Path) -> None:
    """The Task Library's Python asks for scores of 0 and more, whatever the model advises."""
    sigmoids = (None, *(Sigmoid(1, 0, offset) for offset in (-3, -1, 1, 3)))
    calibration = ScoreCalibration(sigmoids, default_score=-0.5)
    advice = 1 / (1 + np.exp(-1)) - 1e-4
    paths = [
        five_scores(tmp_path / "below.tflite", calibration=calibration),
        five_scores(tmp_path / "advised.tflite", calibration=calibration, score_threshold=advice),
    ]
    (below_zero,), (advised,) = run_all(peer, paths, STREET)
    if peer == "mediapipe":
        assert set(below_zero) == set(FIVE)
        assert below_zero[FIVE[0]] == -0.5
        assert set(advised) == set(FIVE[3:])
    else:
        assert set(below_zero) == set(FIVE[1:])
        assert set(advised) == set(FIVE[1:])


@pytest.mark.parametrize("text", [b"1,2,3\n\n\n\n\n", b"1,2\n\n\n\n"])
def test_calibrations_that_we_refuse_are_refused_by_the_peers(
    peer: str, run: Run, tmp_path: Path, text: bytes
) -> None:
    """A line feed behind the last line, and a line of two numbers."""
    with pytest.raises(oido.OptionError):
        ScoreCalibration.parse(text.decode(), 5)
    calibration = ScoreCalibration((Sigmoid(1, 2, 3),) + (None,) * 4)
    path = five_scores(tmp_path / "five.tflite", calibration=calibration)
    path.write_bytes(with_file(path.read_bytes(), "scores_calibration.csv", text))
    with pytest.raises(PeerRefusedError, match=r"alibration|sigmoids"):
        run(peer, path, STREET)
