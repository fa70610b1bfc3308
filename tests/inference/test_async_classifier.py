# SPDX-License-Identifier: Apache-2.0
"""AsyncAudioClassifier: the scores of the other one, many sources at once, slow takers, ends."""

from __future__ import annotations

import asyncio
import itertools
import threading
from collections.abc import AsyncIterator, Coroutine
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
import pytest
import soundfile
from numpy.typing import NDArray

import oido
from oido.live.pipe import PcmReader
from tests.asynchronous import run_async

_T = TypeVar("_T")


@pytest.fixture(scope="module")
def street(pytestconfig: pytest.Config) -> Path:
    return pytestconfig.rootpath / "examples" / "street.flac"


def run(work: Coroutine[Any, Any, _T]) -> _T:
    return run_async(asyncio.wait_for(work, 60))


async def coming(
    samples: NDArray[Any], size: int, pause: float = 0.0
) -> AsyncIterator[NDArray[Any]]:
    for start in range(0, len(samples), size):
        yield samples[start : start + size]
        await asyncio.sleep(pause)


def test_recordings_at_once_have_the_results_of_each_alone(
    classifier: oido.AudioClassifier, street: Path
) -> None:
    samples, rate = soundfile.read(street, dtype="int16")
    sources: list[tuple[Any, ...]] = [
        (street,),
        (street.read_bytes(),),
        (samples[: rate * 3], rate),
        (np.zeros(17, np.float32), 44_100),
    ] * 3

    async def work() -> list[oido.ClassificationResult]:
        async with oido.AsyncAudioClassifier(classifier, jobs=2) as many:
            return await asyncio.gather(*(many.classify(*source) for source in sources))

    for result, source in zip(run(work()), sources):
        alone = classifier.classify(*source)
        assert np.array_equal(result.scores, alone.scores)
        assert np.array_equal(result.embeddings, alone.embeddings)
        assert np.array_equal(result.clip_scores, alone.clip_scores)
        assert result.events() == alone.events()
        assert (result.duration, result.info.name) == (alone.duration, alone.info.name)


def test_errors_go_to_their_own_callers(street: Path, classifier: oido.AudioClassifier) -> None:
    async def work() -> list[Any]:
        async with oido.AsyncAudioClassifier(classifier) as many:
            return await asyncio.gather(
                many.classify("nowhere.wav"),
                many.classify(b"no sound at all, whatever anybody says"),
                many.classify(np.full(16_000, np.nan), 16_000),
                many.classify(street, channel=7),
                many.classify(street),
                return_exceptions=True,
            )

    *errors, result = run(work())
    assert [type(error).__name__ for error in errors] == [
        "AudioNotFoundError",
        "UnknownFormatError",
        "InvalidSamplesError",
        "OptionError",
    ]
    assert len(result.scores) == 62


def test_streams_have_the_windows_of_the_file_and_their_times(
    classifier: oido.AudioClassifier, street: Path
) -> None:
    samples, rate = soundfile.read(street, dtype="int16", frames=16_000 * 6)
    fine = oido.AudioClassifier(classifier.model, hop=0.24, jobs=1).classify(samples, rate)

    async def work() -> list[list[Any]]:
        async with oido.AsyncAudioClassifier(classifier) as many:

            async def all_of(source: Any, **more: Any) -> list[Any]:
                return [window async for window in many.stream(source, rate, hop=0.24, **more)]

            pipe = PcmReader(_Bytes(samples.tobytes()), rate)
            return await asyncio.gather(
                all_of(coming(samples, 1_000), live=False),
                all_of(samples),
                all_of(pipe, live=False),
            )

    for windows in run(work()):
        assert np.array_equal(np.stack([w.scores for w in windows]), fine.scores)
        assert np.array_equal(np.stack([w.embedding for w in windows]), fine.embeddings)
        assert [[w.start_time, w.end_time] for w in windows] == fine.times.tolist()
        assert {(w.hop, w.skipped) for w in windows} == {(0.24, 0)}
        assert windows[4].top(3) == fine.windows(3)[4].categories


class _Bytes:
    """A pipe that brings a little at a time."""

    def __init__(self, content: bytes) -> None:
        self._content, self._at = content, 0

    def read(self, _: int) -> bytes:
        self._at += 3_000
        return self._content[self._at - 3_000 : self._at]


def test_a_slow_taker_of_a_live_source_gets_a_coarser_hop_and_is_told(
    classifier: oido.AudioClassifier,
) -> None:
    samples = np.zeros(16_000 * 60, np.int16)

    async def work() -> list[Any]:
        windows = []
        async with oido.AsyncAudioClassifier(classifier) as many:
            async for window in many.stream(coming(samples, 4_000), 16_000):
                windows.append(window)
                await asyncio.sleep(0.03)
        return windows

    windows = run(work())
    numbers = [round(w.start_time / 0.48) for w in windows]
    assert max(w.hop for w in windows) >= 0.96
    assert len(windows) < 125
    assert numbers == sorted(set(numbers))
    # Each says what it left out before it, to the window.
    assert [w.skipped for w in windows] == [
        b - a - 1 for a, b in itertools.pairwise([-1, *numbers])
    ]


def test_what_is_not_live_waits_for_a_slow_taker(
    classifier: oido.AudioClassifier, street: Path
) -> None:
    async def work() -> list[Any]:
        windows = []
        async with oido.AsyncAudioClassifier(classifier) as many:
            async for window in many.stream(street):
                windows.append(window.skipped)
                await asyncio.sleep(0.005)
        return windows

    assert run(work()) == [0] * 62


def test_a_left_stream_ends_its_source(classifier: oido.AudioClassifier) -> None:
    closed = threading.Event()

    class Endless(PcmReader):
        def close(self) -> None:
            closed.set()

    class Noise:
        def read(self, size: int) -> bytes:
            return bytes(size)

    async def work() -> None:
        async with oido.AsyncAudioClassifier(classifier) as many:
            windows = many.stream(Endless(Noise(), 16_000))  # type: ignore[arg-type]
            assert (await anext(windows)).start_time == 0.0
            await windows.aclose()  # type: ignore[attr-defined]
            assert await asyncio.to_thread(closed.wait, 10)

    run(work())


def test_an_error_of_the_source_comes_after_its_windows(classifier: oido.AudioClassifier) -> None:
    async def breaking() -> AsyncIterator[NDArray[Any]]:
        yield np.zeros(32_000, np.int16)
        raise ConnectionResetError("the radio is gone")

    async def work() -> list[float]:
        async with oido.AsyncAudioClassifier(classifier) as many:
            windows = many.stream(breaking(), 16_000)
            heard = [(await anext(windows)).start_time for _ in range(4)]
            with pytest.raises(ConnectionResetError):
                await anext(windows)
        return heard

    assert run(work()) == [0.0, 0.48, 0.96, 1.44]


def test_closing_ends_what_is_open_and_nothing_begins_outside(
    classifier: oido.AudioClassifier,
) -> None:
    async def work() -> None:
        many = oido.AsyncAudioClassifier(classifier)
        with pytest.raises(oido.OptionError, match="async with"):
            await many.classify(np.zeros(16_000), 16_000)
        async with many:
            windows = many.stream(coming(np.zeros(16_000 * 60, np.int16), 16_000, 0.2), 16_000)
            await anext(windows)
            waiting = asyncio.create_task(_rest(windows))
            await asyncio.sleep(0)
        with pytest.raises(oido.OptionError, match="closed"):
            await waiting

    run(work())
    with pytest.raises(oido.OptionError, match="jobs"):
        oido.AsyncAudioClassifier(classifier, jobs=0)


async def _rest(windows: AsyncIterator[Any]) -> list[Any]:
    return [window async for window in windows]
