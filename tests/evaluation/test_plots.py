# SPDX-License-Identifier: Apache-2.0
"""Pictures are whole SVG documents with the labels as text, and the same is said in words."""

from __future__ import annotations

import warnings
from xml.etree import ElementTree as ET

import numpy as np
import pytest

from oido.evaluation import plots
from oido.evaluation.bootstrap import Estimate
from oido.evaluation.metrics import measure
from oido.evaluation.plots import Picture
from oido.evaluation.verdict import Baseline, CurvePoint
from tests.evaluation.made_predictions import judged, random_judged

pytest.importorskip("sklearn")
pytest.importorskip("matplotlib")

HOSTILE = ("$x^2$ <script>", "猫 & hund", "\\frac{1}{0}$")


def texts(picture: Picture | None) -> list[str]:
    assert picture is not None
    assert picture.words.endswith(".")
    assert b"<!DOCTYPE" not in picture.svg
    root = ET.fromstring(picture.svg)
    return ["".join(node.itertext()) for node in root.iter("{http://www.w3.org/2000/svg}text")]


def test_the_confusion_matrix_has_every_count() -> None:
    labels = [0, 0, 0, 1, 1, 2]
    clips = judged(np.eye(3)[labels], np.eye(3)[[0, 0, 1, 1, 1, 0]])
    found = texts(plots.confusion_picture(measure(clips)))
    assert sorted(text for text in found if text.isdigit()) == ["1", "1", "2", "2"]
    assert {"owl", "wren", "robin", "true", "said"} <= set(found)
    assert plots.confusion_picture(measure(random_judged(multi_label=True))) is None


def test_of_many_classes_the_worst_are_shown() -> None:
    labels = np.repeat(np.arange(40), 2)
    named = labels.copy()
    named[60] = 33
    classes = [f"class {n}" for n in range(40)]
    clips = judged(np.eye(40)[labels], np.eye(40)[named], classes=classes)
    found = texts(plots.confusion_picture(measure(clips)))
    assert {"class 30", "class 33"} <= set(found)
    assert len({text for text in found if text.startswith("class")}) == plots.MOST_CLASSES


def test_labels_are_text_and_no_formulas() -> None:
    clips = random_judged(classes=3)
    named = judged(clips.targets, clips.probabilities, classes=HOSTILE)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        metrics = measure(named)
        assert set(HOSTILE) <= set(texts(plots.confusion_picture(metrics)))
        curves = " ".join(texts(plots.precision_recall_picture(named, metrics)))
    assert all(label in curves for label in HOSTILE)


def test_reliability_tells_of_both_when_there_are_raw_scores() -> None:
    clips = random_judged(scores=random_judged(seed=3).probabilities)
    metrics = measure(clips)
    found = texts(plots.reliability_picture(metrics.reliability, metrics.reliability_before))
    assert f"probabilities, ECE {metrics.reliability.ece:.3f}" in found
    assert any(text.startswith("raw scores") for text in found)
    counts = [str(each.cases) for each in metrics.reliability.bins if each.cases]
    assert set(counts) <= set(found)


def test_the_learning_curve_and_the_baselines() -> None:
    found = texts(plots.learning_picture([CurvePoint(5, 0.7, 0.1), CurvePoint(2, 0.5, 0.1)]))
    assert {"2", "5", "accuracy"} <= set(found)
    assert plots.learning_picture([CurvePoint(5, 0.7)]) is None
    bars = plots.baselines_picture(Estimate(0.9, 0.8, 0.95), [Baseline("majority", 0.4)])
    assert {"this model 0.900", "majority 0.400"} <= set(texts(bars))
    assert plots.baselines_picture(Estimate(0.9), []) is None


def test_a_spectrogram_is_a_picture_over_time() -> None:
    log_mel = np.random.default_rng(0).normal(size=(120, 64)).astype(np.float32)
    picture = plots.spectrogram_picture(log_mel, 3.0, 1.2)
    assert "from 3.00 to 4.20 s" in picture.words
    assert "s" in texts(picture)
    silence = plots.spectrogram_picture(np.full((98, 64), -6.9, np.float32), 0.0, 1.0)
    assert b"nan" not in silence.svg.lower().split(b"base64")[0]


def test_the_same_figures_give_the_same_bytes() -> None:
    metrics = measure(random_judged())
    assert plots.confusion_picture(metrics) == plots.confusion_picture(metrics)
