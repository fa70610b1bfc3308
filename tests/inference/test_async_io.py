# SPDX-License-Identifier: Apache-2.0
"""The two ends of a stream in an event loop: what is a source, and who waits for whom."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Coroutine, Iterator
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
import pytest
from numpy.typing import NDArray

import oido
from oido.errors import AudioNotFoundError, InvalidSamplesError
from oido.inference.async_io import AnySource, WindowQueue, open_source
from oido.inference.scheduler import BatchScheduler
from oido.live.pipe import PcmReader
from oido.signal.decode import open_audio
from tests.asynchronous import run_async
from tests.inference.pushed import noise

_T = TypeVar("_T")
STREET = Path(__file__).parents[2] / "examples" / "street.flac"


def run(work: Coroutine[Any, Any, _T]) -> _T:
    return run_async(asyncio.wait_for(work, 120))


@pytest.fixture(scope="module")
def hub(classifier: oido.AudioClassifier) -> Iterator[BatchScheduler]:
    opened = BatchScheduler(classifier.model, 1)
    yield opened
    opened.close()


async def arrays(*pieces: NDArray[Any]) -> AsyncIterator[NDArray[Any]]:
    for piece in pieces:
        yield piece


class Silence:
    """A pipe without an end."""

    def read(self, size: int) -> bytes:
        return bytes(size)


def test_what_cannot_wait_is_live_and_what_is_a_file_is_not() -> None:
    async def work() -> list[tuple[Any, ...]]:
        found = []
        sources: list[tuple[AnySource, int | None]] = [
            (STREET, None),
            (open_audio(STREET), None),
            (PcmReader(Silence(), 8_000), None),  # type: ignore[arg-type]
            (arrays(np.zeros((10, 2), np.int16)), 44_100),
            (arrays(), 44_100),
        ]
        for source, rate in sources:
            opened = await open_source(source, rate)
            info = opened.info
            found.append((opened.is_live, info.sample_rate_hz, info.channels, info.frames))
            assert opened.damaged_packets == 0
            opened.stop()
        return found

    assert run(work()) == [
        (False, 16_000, 1, 480_000),
        (False, 16_000, 1, 480_000),
        (True, 8_000, 1, None),
        (True, 44_100, 2, None),
        (True, 44_100, 1, None),
    ]


def test_a_source_that_cannot_be_opened_is_one_sentence() -> None:
    with pytest.raises(InvalidSamplesError, match="say sample_rate, in Hz"):
        run(open_source(arrays(np.zeros(4)), None))
    with pytest.raises(InvalidSamplesError, match="sample rate"):
        run(open_source(arrays(np.zeros(4)), 0))
    with pytest.raises(AudioNotFoundError, match="nowhere"):
        run(open_source("nowhere.wav", None))


def test_a_reader_that_was_never_started_is_closed() -> None:
    closed = []

    class Closing(PcmReader):
        def close(self) -> None:
            closed.append(self.info.name)

    async def work() -> None:
        reader = Closing(Silence(), 8_000)  # type: ignore[arg-type]
        (await open_source(reader, None)).stop()

    run(work())
    assert len(closed) == 1


def test_a_queue_that_may_wait_holds_its_source_until_it_is_empty(
    classifier: oido.AudioClassifier, hub: BatchScheduler
) -> None:
    """Forty seconds are 83 windows, and a queue has 32 places: none is left out."""

    async def work() -> list[Any]:
        opened = await open_source(noise(40.0), 16_000)
        queue = WindowQueue(classifier.postprocessor, classifier.windowing, is_live=False)
        capacity = asyncio.Event()
        loop = asyncio.get_running_loop()
        queue.stream = hub.open(
            opened.info,
            classifier.windowing,
            queue,
            transform=classifier.postprocessor.select,
            on_capacity=lambda: loop.call_soon_threadsafe(capacity.set),
        )
        opened.start(queue.stream, capacity)
        windows = []
        while (window := await queue.next()) is not None:
            windows.append(window)
        assert await queue.next() is None
        opened.stop()
        return windows

    windows = run(work())
    expected = classifier.classify(noise(40.0), 16_000)
    assert len(windows) == 83
    assert np.array_equal(np.stack([w.scores for w in windows]), expected.scores)
    assert [[w.start_time, w.end_time] for w in windows] == expected.times.tolist()
    assert {(w.skipped, w.hop, w.probabilities is None) for w in windows} == {(0, 0.48, True)}
    assert windows[5].top(3) == expected.windows(3)[5].categories


def test_a_live_queue_leaves_windows_out_and_counts_each_once(
    classifier: oido.AudioClassifier, hub: BatchScheduler
) -> None:
    """Nobody takes a window before all have come; what was left out is counted."""

    async def work() -> list[Any]:
        opened = await open_source(arrays(noise(40.0)), 16_000)
        queue = WindowQueue(classifier.postprocessor, classifier.windowing, is_live=True)
        ended = asyncio.Event()
        loop = asyncio.get_running_loop()

        class Telling:
            """The queue, and when it has everything."""

            blocks = queue.blocks

            def ended(self, error: Exception | None) -> None:
                queue.ended(error)
                loop.call_soon_threadsafe(ended.set)

        queue.stream = hub.open(opened.info, classifier.windowing, Telling(), capacity_seconds=60)
        opened.start(queue.stream, asyncio.Event())
        await ended.wait()
        windows = []
        while (window := await queue.next()) is not None:
            windows.append(window)
        return windows

    windows = run(work())
    numbers = [round(w.start_time / 0.48) for w in windows]
    assert 1 < len(windows) <= 32
    assert numbers[0] == 0
    assert [w.skipped for w in windows] == [
        after - before - 1 for before, after in zip([-1, *numbers], numbers)
    ]
    assert {w.hop for w in windows} == {0.48 * (numbers[1] - numbers[0])}


def test_the_error_of_a_source_comes_after_its_windows(
    classifier: oido.AudioClassifier, hub: BatchScheduler
) -> None:
    async def failing() -> AsyncIterator[NDArray[Any]]:
        yield noise(1.0)
        raise ConnectionResetError("unplugged")

    async def work() -> list[float]:
        opened = await open_source(failing(), 16_000)
        queue = WindowQueue(classifier.postprocessor, classifier.windowing, is_live=True)
        queue.stream = hub.open(opened.info, classifier.windowing, queue)
        opened.start(queue.stream, asyncio.Event())
        times = [window.start_time for _ in range(2) if (window := await queue.next())]
        with pytest.raises(ConnectionResetError, match="unplugged"):
            await queue.next()
        return times

    assert run(work()) == [0.0, 0.48]


@pytest.mark.parametrize(
    ("chunk", "sentence"),
    [
        (b"12", "not bytes; of 16-bit PCM"),
        (np.zeros(4, np.int64), "not int64"),
        ("a.wav", "not a name"),
        (np.zeros((1, 2, 3)), "samples must be"),
    ],
)
def test_a_chunk_that_is_no_sound_is_one_sentence(chunk: Any, sentence: str) -> None:
    async def coming() -> AsyncIterator[Any]:
        yield chunk

    with pytest.raises(InvalidSamplesError, match=sentence):
        run(open_source(coming(), 16_000))


def test_chunks_of_an_ordinary_iterator_are_a_source() -> None:
    async def work() -> tuple[bool, str, int]:
        opened = await open_source(iter([np.zeros((4, 2)), np.zeros((3, 2))]), 16_000)
        opened.stop()
        return opened.is_live, opened.info.name, opened.info.channels

    assert run(work()) == (False, "<chunks>", 2)
