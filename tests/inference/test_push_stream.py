# SPDX-License-Identifier: Apache-2.0
"""Sources that are pushed: equal to a file, bounded, over when over."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
from numpy.typing import NDArray

import oido
from oido.errors import CorruptAudioError, EmptyAudioError, InvalidSamplesError
from oido.inference.block import Block
from oido.inference.scheduler import BatchScheduler
from tests.inference.pushed import Kept, info, noise


@pytest.fixture
def hub(classifier: oido.AudioClassifier) -> Iterator[BatchScheduler]:
    opened = BatchScheduler(classifier.model, 2)
    yield opened
    opened.close()


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
