# SPDX-License-Identifier: Apache-2.0
"""Sources that are pushed: equal to a file, bounded, heard with others, over when over."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

import oido
from oido.errors import CorruptAudioError, EmptyAudioError, InvalidSamplesError
from oido.inference.block import Block
from oido.inference.predictor import BatchPredictor
from oido.inference.scheduler import BatchScheduler
from oido.signal.decode import AudioInfo


class Kept:
    """A sink that keeps what it is told; ``gate`` holds the threads that tell it."""

    def __init__(self) -> None:
        self.heard: list[Block] = []
        self.error: Exception | None = None
        self.over = threading.Event()
        self.entered, self.gate = threading.Event(), threading.Event()
        self.gate.set()

    def blocks(self, blocks: list[Block]) -> None:
        self.entered.set()
        self.gate.wait(20)
        self.heard += blocks

    def ended(self, error: Exception | None) -> None:
        assert not self.over.is_set()
        self.error = error
        self.over.set()

    def scores(self) -> NDArray[np.float32]:
        return np.concatenate([block.scores for block in self.heard])


@pytest.fixture
def hub(classifier: oido.AudioClassifier) -> Iterator[BatchScheduler]:
    opened = BatchScheduler(classifier.model, 2)
    yield opened
    opened.close()


def info(rate_hz: int, channels: int = 1) -> AudioInfo:
    return AudioInfo("<stream>", rate_hz, channels, None, "pcm", "stream")


def noise(
    seconds: float, rate_hz: int = 16_000, channels: int = 1, seed: int = 7
) -> NDArray[np.float32]:
    shape = (int(seconds * rate_hz), channels)
    samples = np.random.default_rng(seed).uniform(-0.4, 0.4, shape).astype(np.float32)
    return samples * np.linspace(0, 1, len(samples), dtype=np.float32)[:, None]


@pytest.mark.parametrize("size", [17, 509, 44_100])
@pytest.mark.parametrize(("rate_hz", "channels"), [(16_000, 1), (44_100, 2)])
def test_a_fed_stream_equals_the_one_shot(
    classifier: oido.AudioClassifier, hub: BatchScheduler, size: int, rate_hz: int, channels: int
) -> None:
    samples = noise(2.5, rate_hz, channels)
    expected = classifier.classify(samples, rate_hz)
    kept = Kept()
    fed = hub.open(
        info(rate_hz, channels),
        classifier.windowing,
        kept,
        measures_loudness=True,
        capacity_seconds=0.1,
    )
    for start in range(0, len(samples), size):
        assert fed.push(samples[start : start + size])
    fed.end()
    assert kept.over.wait(20)

    assert kept.error is None
    assert np.array_equal(kept.scores(), expected.scores)
    assert np.array_equal(np.concatenate([b.weights for b in kept.heard]), expected.weights)
    assert np.array_equal(np.concatenate([b.loudness for b in kept.heard]), expected.loudness)
    assert np.array_equal(np.concatenate([b.times for b in kept.heard]), expected.times)
    assert fed.n_samples == round(expected.duration * 16_000)


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


def test_a_window_does_not_wait_for_more_than_its_last_sample(
    classifier: oido.AudioClassifier, hub: BatchScheduler
) -> None:
    kept = Kept()
    fed = hub.open(info(16_000), classifier.windowing, kept)
    fed.push(noise(1.0)[:15_599])
    time.sleep(0.1)
    assert not kept.heard
    fed.push(np.zeros(1, np.int16))
    assert kept.entered.wait(10)
    assert not fed.is_over


def test_push_finds_no_room_where_nobody_hears(
    classifier: oido.AudioClassifier, hub: BatchScheduler
) -> None:
    told = threading.Semaphore(0)
    fed = hub.open(
        info(16_000), classifier.windowing, Kept(), capacity_seconds=2.0, on_capacity=told.release
    )
    fed.hold()
    second = np.zeros(16_000, np.float32)

    assert fed.push(second, timeout=0)
    assert fed.push(second[:15_000], timeout=0)
    assert fed.push(second, timeout=0)  # there is room for some of it
    assert not fed.push(second, timeout=0)
    assert not fed.push(second, timeout=0.05)
    assert fed.waiting_seconds == 2.9375
    with ThreadPoolExecutor(1) as pool:
        waiting = pool.submit(fed.push, second)
        fed.release()
        assert waiting.result(10)
    assert told.acquire(timeout=10)


@pytest.mark.parametrize("over", ["end", "close"])
def test_a_waiting_push_returns_when_it_is_over(
    classifier: oido.AudioClassifier, hub: BatchScheduler, over: str
) -> None:
    kept = Kept()
    fed = hub.open(info(16_000), classifier.windowing, kept, capacity_seconds=0.5)
    fed.hold()
    assert fed.push(np.zeros(16_000, np.float32))
    with ThreadPoolExecutor(1) as pool:
        waiting = pool.submit(fed.push, np.zeros(10, np.float32))
        getattr(fed, over)()
        assert not waiting.result(10)

    assert fed.is_over
    assert not fed.push(np.zeros(10, np.float32))
    fed.release()
    if over == "end":
        assert kept.over.wait(10)
        assert len(kept.heard) == 2
    assert (fed.waiting_seconds, kept.error) == (0.0, None)


def test_the_error_of_the_end_comes_after_the_samples(
    classifier: oido.AudioClassifier, hub: BatchScheduler
) -> None:
    kept = Kept()
    fed = hub.open(info(16_000), classifier.windowing, kept)
    fed.push(noise(1.0))
    fed.end(CorruptAudioError("the camera has gone"))

    assert kept.over.wait(10)
    assert len(kept.heard) == 2
    assert isinstance(kept.error, CorruptAudioError)


def test_bad_samples_end_it_after_what_was_good(
    classifier: oido.AudioClassifier, hub: BatchScheduler
) -> None:
    samples = noise(2.0)
    samples[20_000] = np.nan
    kept, empty = Kept(), Kept()
    fed = hub.open(info(16_000), classifier.windowing, kept)
    fed.push(samples)
    nothing = hub.open(info(16_000), classifier.windowing, empty)
    nothing.end()

    assert kept.over.wait(10)
    assert empty.over.wait(10)
    assert isinstance(kept.error, InvalidSamplesError)
    assert "1.250 s" in str(kept.error)
    assert len(kept.heard) == 2
    assert not fed.push(samples)
    assert isinstance(empty.error, EmptyAudioError)


def test_a_sink_that_fails_ends_its_own_source_only(
    classifier: oido.AudioClassifier, hub: BatchScheduler
) -> None:
    class Broken(Kept):
        def blocks(self, blocks: list[Block]) -> None:
            raise RuntimeError("a defect")

    broken, sound = Broken(), Kept()
    feds = [hub.open(info(16_000), classifier.windowing, sink) for sink in (broken, sound)]
    for fed in feds:
        fed.push(noise(3.0))
        fed.end()

    assert broken.over.wait(10)
    assert sound.over.wait(10)
    assert isinstance(broken.error, RuntimeError)
    assert (len(sound.heard), sound.error) == (6, None)


@pytest.mark.parametrize(
    "samples",
    [np.zeros((5, 2), np.float32), np.zeros((1, 2, 3), np.float32), np.zeros(5, np.uint8)],
)
def test_what_is_no_sound_is_refused(
    classifier: oido.AudioClassifier, hub: BatchScheduler, samples: NDArray[np.generic]
) -> None:
    fed = hub.open(info(16_000), classifier.windowing, Kept())
    with pytest.raises(InvalidSamplesError, match="samples must be"):
        fed.push(samples)
