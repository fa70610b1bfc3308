# SPDX-License-Identifier: Apache-2.0
"""What live sources share: silence, items and errors from another thread, times as text."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from datetime import datetime, timedelta, timezone

import pytest

from oido.live.source import in_background, iterate_in_background, silence, utc_text


def test_silence_comes_in_pieces_of_half_a_second() -> None:
    blocks = list(silence(2_500, 2, 2_000))
    assert [block.shape for block in blocks] == [(1_000, 2), (1_000, 2), (500, 2)]
    assert not any(block.any() for block in blocks)
    assert not list(silence(0, 1, 16_000))
    assert not list(silence(-5, 1, 16_000))


@pytest.mark.parametrize("capacity", [1, 3, 100])
def test_items_of_a_thread_come_in_order(capacity: int) -> None:
    assert list(iterate_in_background(iter(range(50)), capacity)) == list(range(50))


def test_an_error_comes_after_the_items_before_it() -> None:
    def items() -> Iterator[int]:
        yield 1
        yield 2
        raise ValueError("broken")

    numbers, found = iterate_in_background(items(), 8), [0]
    with pytest.raises(ValueError, match="broken"):
        found.extend(numbers)
    assert found == [0, 1, 2]


def test_no_more_is_made_than_may_wait() -> None:
    made: list[int] = []
    is_ahead = threading.Event()

    def items() -> Iterator[int]:
        for number in range(100):
            made.append(number)
            if number == 3:  # one was used, two wait, and this one finds no place
                is_ahead.set()
            yield number

    numbers = iterate_in_background(items(), 2)
    assert next(numbers) == 0
    assert is_ahead.wait(60)
    assert made == [0, 1, 2, 3]
    numbers.close()  # type: ignore[attr-defined]


def test_what_work_returns_or_raises_comes_from_another_thread() -> None:
    assert in_background(threading.get_ident) != threading.get_ident()
    with pytest.raises(ZeroDivisionError):
        in_background(lambda: 1 // 0)


def test_times_are_utc_to_the_millisecond() -> None:
    moment = datetime(2026, 5, 1, 14, 3, 5, 120_999, timezone(timedelta(hours=2)))
    assert utc_text(moment) == "2026-05-01T12:03:05.120Z"
