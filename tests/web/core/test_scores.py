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
from oido.models.loading import load_model
from oido.models.model import AudioModel
from oido.server.device_model import describe_model, device_model
from tests.web.browsing import STREET
from tests.web.core.site import floats

InBrowser = Callable[..., dict[str, Any]]

LENGTHS = (0, 1, 4_000, 15_599, 15_600, 15_601, 23_280, 23_281, 100_000)


def for_the_page(model: AudioModel) -> tuple[bytes, dict[str, Any]]:
    """A model's file as the page gets it, and what the page is told of it."""
    device = device_model(model)
    described = describe_model(model, device)
    return device.content, {name: described[name] for name in ("imageSamples", "kinship")}


def assert_same_events(
    found: list[dict[str, Any]], expected: list[oido.Event], tolerance: float = 1e-6
) -> None:
    """Equal but for the order of pushes, and the last digits of scores and probabilities."""
    found = sorted(found, key=lambda e: (e["startTime"], e["labelIndex"]))
    names = ("label", "labelIndex", "startTime", "endTime", "also")
    assert [tuple(e[name] for name in names) for e in found] == [
        (e.label, e.label_index, e.start_time, e.end_time, list(e.also)) for e in expected
    ]
    scores = [e.score for e in expected]
    assert [e["score"] for e in found] == pytest.approx(scores, abs=tolerance)
    probabilities = [e.probability for e in expected]
    if None not in probabilities:
        assert [e["probability"] for e in found] == pytest.approx(probabilities, abs=tolerance)


def test_every_score_is_equal(
    in_browser: InBrowser, classifier: oido.AudioClassifier, street: NDArray[np.float32]
) -> None:
    dice = np.random.default_rng(1)
    loud = np.clip(dice.normal(0, 0.5, 40_000), -1, 1).astype(np.float32)
    clips = [street, loud, *(street[16_000 : 16_000 + n] for n in LENGTHS if n)]
    content, described = for_the_page(classifier.model)
    told = in_browser(content, clips, **described)
    for clip, heard in zip(clips, told["heard"]):
        result = classifier.classify(clip, sample_rate=16_000)
        scores = floats(heard["scores"], len(result.labels))
        assert np.array_equal(scores, result.scores)
        assert np.array_equal(heard["times"], result.times)
        assert_same_events(heard["events"], result.events())
    assert sum(len(heard["events"]) for heard in told["heard"]) > 15
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
        "leastSimilarity": None,
        "columns": 3,
        "imageSamples": 15_360,
        "head": classifier.model.head.name,
        "heads": [head.name for head in classifier.model.heads],
        "build": "litert_wasm_internal",
    }
    assert told["info"]["labels"] == list(classifier.labels)


def test_the_events_of_a_file_are_those_of_the_command_line(
    in_browser: InBrowser,
    classifier: oido.AudioClassifier,
    files: dict[str, bytes | Path],
    core: Any,
) -> None:
    """From the file's bytes on: decoded, leveled and heard by the page."""
    content, described = for_the_page(classifier.model)
    files |= {"model.tflite": content, "street.flac": STREET}
    code = """async (described) => {
      const { openDevice } = await import("/core/device_engine.js");
      const { decodeFile } = await import("/core/decode.js");
      const { eventsOf } = await import("/tests/hearing.mjs");
      const engine = await openDevice({ modelUrl: "/model.tflite", ...described });
      const file = await (await fetch("/street.flac")).blob();
      const { samples } = await decodeFile(file, engine.info.sampleRateHz);
      const events = eventsOf(engine, await engine.hear(samples), samples);
      engine.close();
      return events;
    }"""
    found = sorted(core.evaluate(code, described), key=lambda e: (e["startTime"], e["labelIndex"]))
    expected = classifier.classify(STREET).events()
    assert len(expected) > 5
    assert [e["label"] for e in found] == [e.label for e in expected]
    times = [time for e in expected for time in (e.start_time, e.end_time)]
    assert [e[name] for e in found for name in ("startTime", "endTime")] == pytest.approx(
        times, abs=0.02
    )


def test_a_file_that_nobody_described_is_heard_by_its_windows(
    in_browser: InBrowser, classifier: oido.AudioClassifier, street: NDArray[np.float32]
) -> None:
    told = in_browser(classifier.model.path, [street])
    assert told["info"]["columns"] == 0
    assert {e["label"] for e in told["heard"][0]["events"]} & {"Siren", "Alarm"}


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
    content, described = for_the_page(classifier.model)
    told = in_browser(content, clips, **described)
    head = classifier.model.head
    assert told["info"]["labels"] == list(head.labels)
    assert told["info"]["heads"] == ["base", head.name]
    assert told["info"]["calibrated"] is True
    on = np.array([dict(head.thresholds)[label] for label in head.labels], np.float32)
    assert np.array_equal(np.array(told["info"]["thresholds"], np.float32), on)
    novelty = classifier.model.novelty
    assert novelty is not None
    assert told["info"]["leastSimilarity"] == novelty.threshold
    for clip, heard in zip(clips, told["heard"]):
        result = classifier.classify(clip, sample_rate=16_000)
        scores = floats(heard["scores"], len(head.labels))
        assert np.abs(scores - result.scores).max() <= 1e-6  # a float layer on an int8 network
        assert result.probabilities is not None
        probabilities = floats(heard["probabilities"], len(head.labels))
        assert np.abs(probabilities - result.probabilities).max() <= 1e-6
        assert result.similarities is not None
        assert np.abs(np.array(heard["novelty"]) - result.similarities).max() <= 1e-6
        assert_same_events(heard["events"], result.events())
    assert sum(len(heard["events"]) for heard in told["heard"]) > 3


def test_its_other_head_is_the_base_model_to_the_last_bit(
    in_browser: InBrowser,
    taught: Path,
    classifier: oido.AudioClassifier,
    street: NDArray[np.float32],
) -> None:
    content, _ = for_the_page(load_model(taught))
    _, described = for_the_page(classifier.model)
    options = {"head": "base", "events": {"threshold": 0.4}}
    told = in_browser(content, [street], **options, **described)
    result = classifier.classify(street, sample_rate=16_000)
    (heard,) = told["heard"]
    assert np.array_equal(floats(heard["scores"], 521), result.scores)
    base = oido.AudioClassifier(taught, head="base", jobs=1).classify(street, sample_rate=16_000)
    assert_same_events(heard["events"], base.events(threshold=0.4))


def test_a_float_network_differs_by_rounding_only(
    in_browser: InBrowser, street: NDArray[np.float32]
) -> None:
    model = oido.AudioClassifier("yamnet/classification", precision="float32", jobs=1)
    content, described = for_the_page(model.model)
    told = in_browser(content, [street], **described)
    scores = floats(told["heard"][0]["scores"], 521)
    result = model.classify(street, sample_rate=16_000)
    assert np.abs(scores - result.scores).max() < 1e-4
    assert_same_events(told["heard"][0]["events"], result.events(), tolerance=1e-3)


def test_mn04_hears_at_its_own_rate_and_repeats_what_is_short(
    in_browser: InBrowser, mn04_short: tuple[bytes, AudioModel], street: NDArray[np.float32]
) -> None:
    content, model = mn04_short
    classifier = oido.AudioClassifier(model, jobs=1)
    clips = [street[:160_000], street[16_000:40_000], street[:1_000]]
    described = {
        "imageSamples": model.image_samples,
        "kinship": describe_model(model, None)["kinship"],
    }
    told = in_browser(content, clips, **described)
    assert told["info"]["columns"] == 0
    assert told["info"]["sampleRateHz"] == 32_000
    assert told["info"]["hopSamples"] == model.windows.hop_samples
    for clip, heard in zip(clips, told["heard"]):
        result = classifier.classify(clip, sample_rate=32_000)
        assert np.array_equal(heard["times"], result.times)
        scores = floats(heard["scores"], 527)
        assert np.abs(scores - result.scores).max() < 1e-4
        assert_same_events(heard["events"], result.events(), tolerance=1e-3)
    assert sum(len(heard["events"]) for heard in told["heard"]) > 0
