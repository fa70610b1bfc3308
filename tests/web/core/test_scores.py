# SPDX-License-Identifier: Apache-2.0
"""What the browser hears is what Python hears."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

import oido
from oido.models.model import AudioModel
from oido.server.page_files import device_model
from tests.web.core.site import floats

InBrowser = Callable[..., dict[str, Any]]

LENGTHS = (0, 1, 4_000, 15_599, 15_600, 15_601, 23_280, 23_281, 100_000)


def assert_same_events(found: list[dict[str, Any]], expected: list[oido.Event]) -> None:
    """Equal but for the order of pushes, and the last digits of probabilities."""
    found = sorted(found, key=lambda e: (e["startTime"], e["labelIndex"]))
    names = ("label", "labelIndex", "startTime", "endTime", "score")
    assert [tuple(e[name] for name in names) for e in found] == [
        (e.label, e.label_index, e.start_time, e.end_time, e.score) for e in expected
    ]
    probabilities = [e.probability for e in expected]
    if None not in probabilities:
        assert [e["probability"] for e in found] == pytest.approx(probabilities, abs=1e-6)


def test_every_score_is_equal(
    in_browser: InBrowser, classifier: oido.AudioClassifier, street: NDArray[np.float32]
) -> None:
    dice = np.random.default_rng(1)
    loud = np.clip(dice.normal(0, 0.5, 40_000), -1, 1).astype(np.float32)
    clips = [street, loud, *(street[16_000 : 16_000 + n] for n in LENGTHS if n)]
    told = in_browser(classifier.model.path, clips)
    for clip, heard in zip(clips, told["heard"]):
        result = classifier.classify(clip, sample_rate=16_000)
        scores = floats(heard["scores"], len(result.labels))
        assert np.array_equal(scores, result.scores)
        assert np.array_equal(heard["times"], result.times)
        assert_same_events(heard["events"], result.events())
    assert sum(len(heard["events"]) for heard in told["heard"]) > 20
    assert told["info"] | {"displayNames": 0, "labels": 0, "licence": 0} == {
        "name": "yamnet/classification",
        "labels": 0,
        "displayNames": 0,
        "licence": 0,
        "sampleRateHz": 16_000,
        "windowSamples": 15_600,
        "hopSamples": 7_680,
        "calibrated": False,
        "thresholds": None,
        "scoreThreshold": None,
        "aggregation": None,
        "noveltyThreshold": None,
        "head": classifier.model.head.name,
        "heads": [head.name for head in classifier.model.heads],
        "build": "litert_wasm_internal",
    }
    assert told["info"]["labels"] == list(classifier.labels)


def test_older_browsers_round_otherwise_now_and_then(
    in_browser: InBrowser, classifier: oido.AudioClassifier, street: NDArray[np.float32]
) -> None:
    """Without relaxed SIMD the front end has no fused multiply-add: a log-mel value now and then
    falls to the other side of one of the network's int8 steps."""
    told = in_browser(classifier.model.path, [street], compat=True)
    assert told["info"]["build"] == "litert_wasm_compat_internal"
    expected = classifier.classify(street, sample_rate=16_000).scores
    differences = np.abs(floats(told["heard"][0]["scores"], 521) - expected).max(axis=1)
    assert np.mean(differences == 0) > 0.9
    assert differences.max() < 0.15


def test_no_sample_at_all_is_a_window_of_silence(
    in_browser: InBrowser, classifier: oido.AudioClassifier
) -> None:
    (heard,) = in_browser(classifier.model.path, [np.zeros(0, np.float32)])["heard"]
    silence = classifier.classify(np.zeros(1, np.float32), sample_rate=16_000)
    assert heard["count"] == 1
    assert np.array_equal(floats(heard["scores"], 521), silence.scores)


def test_a_taught_classifier_is_the_same(
    in_browser: InBrowser, taught: Path, street: NDArray[np.float32]
) -> None:
    classifier = oido.AudioClassifier(taught, jobs=1)
    clips = [street, street[:70_000], -0.5 * street[200_000:]]
    told = in_browser(taught, clips)
    head = classifier.model.head
    assert told["info"]["labels"] == list(head.labels)
    assert told["info"]["heads"] == ["base", head.name]
    assert told["info"]["calibrated"] is True
    on = np.array([dict(head.thresholds)[label] for label in head.labels], np.float32)
    assert np.array_equal(np.array(told["info"]["thresholds"], np.float32), on)
    novelty = classifier.model.novelty
    assert novelty is not None
    assert told["info"]["noveltyThreshold"] == novelty.threshold
    for clip, heard in zip(clips, told["heard"]):
        result = classifier.classify(clip, sample_rate=16_000)
        scores = floats(heard["scores"], len(head.labels))
        assert np.abs(scores - result.scores).max() <= 1e-6  # a float layer on an int8 network
        assert result.probabilities is not None
        probabilities = floats(heard["probabilities"], len(head.labels))
        assert np.abs(probabilities - result.probabilities).max() <= 1e-6
        assert result.similarities is not None
        assert np.abs(np.array(heard["novelty"]) - result.similarities).max() <= 1e-6
        found = [{**e, "score": pytest.approx(e["score"], abs=1e-6)} for e in heard["events"]]
        assert len(found) == len(result.events())
        assert_same_events(found, result.events())


def test_its_other_head_is_the_base_model_to_the_last_bit(
    in_browser: InBrowser,
    taught: Path,
    classifier: oido.AudioClassifier,
    street: NDArray[np.float32],
) -> None:
    told = in_browser(taught, [street], head="base", events={"threshold": 0.4})
    result = classifier.classify(street, sample_rate=16_000)
    (heard,) = told["heard"]
    assert np.array_equal(floats(heard["scores"], 521), result.scores)
    assert_same_events(heard["events"], result.events(threshold=0.4))


def test_a_float_network_differs_by_rounding_only(
    in_browser: InBrowser, street: NDArray[np.float32]
) -> None:
    model = oido.AudioClassifier("yamnet/classification", precision="float32", jobs=1)
    told = in_browser(device_model(model.model).content, [street])
    scores = floats(told["heard"][0]["scores"], 521)
    assert np.abs(scores - model.classify(street, sample_rate=16_000).scores).max() < 1e-4


def test_mn04_hears_at_its_own_rate_and_repeats_what_is_short(
    in_browser: InBrowser, mn04_short: tuple[bytes, AudioModel], street: NDArray[np.float32]
) -> None:
    content, model = mn04_short
    classifier = oido.AudioClassifier(model, jobs=1)
    clips = [street[:160_000], street[16_000:40_000], street[:1_000]]
    told = in_browser(content, clips)
    assert told["info"]["sampleRateHz"] == 32_000
    assert told["info"]["hopSamples"] == model.windows.hop_samples
    for clip, heard in zip(clips, told["heard"]):
        result = classifier.classify(clip, sample_rate=32_000)
        assert np.array_equal(heard["times"], result.times)
        scores = floats(heard["scores"], 527)
        assert np.abs(scores - result.scores).max() < 1e-4
