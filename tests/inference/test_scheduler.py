# SPDX-License-Identifier: Apache-2.0
"""Threads that predict for all sources: as each alone, in shared batches, to the end."""

from __future__ import annotations

import threading
import time
from typing import Any

import numpy as np
import pytest

import oido
from oido.errors import OptionError
from oido.inference.pipeline import Pipeline
from oido.inference.predictor import BatchPredictor
from oido.inference.scheduler import BatchScheduler
from oido.models.loading import ensemble
from oido.models.model import AudioModel
from tests.inference.pushed import Kept, info, noise


@pytest.mark.parametrize("name", ["yamnet/classification", "efficientat/mn04", "ensemble"])
def test_many_strangers_at_once_are_heard_as_each_alone(
    name: str, request: pytest.FixtureRequest
) -> None:
    if name != "yamnet/classification":
        request.getfixturevalue("mn04_is_here")
    classifier = oido.AudioClassifier(name, jobs=1)
    rate = classifier.windowing.sample_rate_hz
    seconds = 8.0 if name == "ensemble" else 2.2 * classifier.windowing.window_samples / rate
    sounds = [noise(seconds + n / 7, rate, seed=n) for n in range(5)]
    hub = BatchScheduler(classifier.model, 2)
    kept = [Kept() for _ in sounds]
    feds = [hub.open(info(rate), classifier.windowing, sink) for sink in kept]
    for start in range(0, max(map(len, sounds)), 4_001):
        for fed, sound in zip(feds, sounds):
            assert fed.push(sound[start : start + 4_001])
    for fed in feds:
        fed.end()

    for sink, sound in zip(kept, sounds):
        assert sink.over.wait(60)
        assert np.array_equal(sink.scores(), classifier.classify(sound, rate).scores)
    hub.close()


def test_windows_of_different_sources_share_a_batch(
    classifier: oido.AudioClassifier, monkeypatch: pytest.MonkeyPatch
) -> None:
    batches: list[int] = []
    hear = BatchPredictor.predict

    def counted(self: BatchPredictor, segments: Any) -> Any:
        batches.append(len(segments))
        return hear(self, segments)

    monkeypatch.setattr(BatchPredictor, "predict", counted)
    hub = BatchScheduler(classifier.model, 1)
    first, others = Kept(), [Kept() for _ in range(6)]
    first.gate.clear()
    one = hub.open(info(16_000), classifier.windowing, first)
    one.push(noise(1.0))
    assert first.entered.wait(10)  # the only thread is busy: the others gather
    for sink in others:
        hub.open(info(16_000), classifier.windowing, sink).push(noise(1.0))
    first.gate.set()
    for sink in others:
        assert sink.entered.wait(10)
    hub.close()

    assert batches == [1, 6]


def test_a_channel_that_is_not_there_ends_its_own_source_only(
    classifier: oido.AudioClassifier,
) -> None:
    hub = BatchScheduler(classifier.model, 1)
    wrong, right = Kept(), Kept()
    with pytest.raises(OptionError, match="channel"):
        hub.open(info(16_000, 2), classifier.windowing, Kept(), channel="left")  # type: ignore[arg-type]
    for sink, channel in ((wrong, 2), (right, 1)):
        fed = hub.open(info(16_000, 2), classifier.windowing, sink, channel=channel)
        fed.push(noise(1.0, channels=2))
        fed.end()
    assert wrong.over.wait(20)
    assert right.over.wait(20)
    assert isinstance(wrong.error, OptionError)
    assert "no channel 2" in str(wrong.error)
    assert (len(right.heard), right.error) == (2, None)
    hub.close()


@pytest.mark.parametrize("rate_hz", [8_000, 44_100])
def test_a_resampled_window_comes_with_the_samples_that_complete_it(
    classifier: oido.AudioClassifier, rate_hz: int
) -> None:
    """As soon as the pipeline alone would have it, whatever the resampler holds back."""
    samples, size = noise(3.0, rate_hz), rate_hz // 100
    pipeline = Pipeline(classifier.model, info(rate_hz), classifier.windowing)
    hub, kept = BatchScheduler(classifier.model, 1), Kept()
    fed = hub.open(info(rate_hz), classifier.windowing, kept)
    complete = 0
    for start in range(0, len(samples), size):
        piece = samples[start : start + size]
        complete += len(pipeline.push(piece))
        fed.push(piece)
        limit = time.monotonic() + 20
        while len(kept.heard) < complete:
            assert time.monotonic() < limit, f"window {complete} waits for more than its samples"
            time.sleep(0.001)
    assert complete == 5
    hub.close()


def test_closing_ends_the_threads_and_leaves_what_is_open(classifier: oido.AudioClassifier) -> None:
    before = set(threading.enumerate())
    hub = BatchScheduler(classifier.model, 2)
    kept = [Kept() for _ in range(12)]  # more than one batch holds
    feds = [hub.open(info(16_000), classifier.windowing, sink) for sink in kept]
    for number, fed in enumerate(feds):
        fed.push(noise(1.0))
        if number:
            fed.end()
    assert all(sink.over.wait(60) for sink in kept[1:])
    hub.close()
    assert {len(sink.heard) for sink in kept[1:]} == {2}
    assert set(threading.enumerate()) <= before
    assert not kept[0].over.is_set()
    assert feds[0].push(noise(1.0)), "nobody predicts it any more, but it is not over"


def test_the_outputs_of_two_networks_go_back_to_their_own_windows(
    model: AudioModel, classifier: oido.AudioClassifier
) -> None:
    """The ensemble of a network with itself has the scores of that network, wherever it is sure."""
    hub = BatchScheduler(ensemble(model, model), 1)
    sounds = [noise(6.0, seed=seed) for seed in range(3)]
    kept = [Kept() for _ in sounds]
    feds = [hub.open(info(16_000), classifier.windowing, sink) for sink in kept]
    for fed, sound in zip(feds, sounds):
        fed.push(sound)
        fed.end()
    for sink, sound in zip(kept, sounds):
        assert sink.over.wait(60)
        assert sink.error is None
        alone = classifier.classify(sound, 16_000)
        found = np.concatenate([block.embeddings for block in sink.heard])
        assert np.array_equal(found, alone.embeddings)
    hub.close()
