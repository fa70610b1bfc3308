# SPDX-License-Identifier: Apache-2.0
"""Results in order, whatever the threads do."""

from __future__ import annotations

import threading
from collections.abc import Iterator

import pytest
from hypothesis import given
from hypothesis import strategies as st

from oido.parallel import ordered_map


@given(st.lists(st.integers(), max_size=30), st.integers(1, 4), st.none() | st.integers(0, 40))
def test_it_is_map(items: list[int], workers: int, ahead: int | None) -> None:
    assert list(ordered_map(lambda x: 2 * x, items, workers, ahead=ahead)) == [2 * x for x in items]


@pytest.mark.parametrize("workers", [1, 3])
def test_an_error_of_the_items_comes_after_what_was_before_it(workers: int) -> None:
    def items() -> Iterator[int]:
        yield from (1, 2, 3)
        raise ValueError("torn")

    results = ordered_map(lambda x: x, items(), workers)
    assert [next(results) for _ in range(3)] == [1, 2, 3]
    with pytest.raises(ValueError, match="torn"):
        next(results)


def test_what_has_not_begun_when_one_leaves_is_not_begun() -> None:
    begun: list[int] = []
    go_on = threading.Event()

    def work(number: int) -> int:
        begun.append(number)
        assert number == 0 or go_on.wait(10)
        return number

    results = ordered_map(work, range(100), 2, ahead=50)
    assert next(iter(results)) == 0
    threading.Timer(0.2, go_on.set).start()
    results.close()  # type: ignore[attr-defined]  # waits for the two that work
    assert len(begun) <= 3


def test_no_more_is_under_way_than_it_is_ahead() -> None:
    taken: list[int] = []

    def items() -> Iterator[int]:
        for number in range(100):
            taken.append(number)
            yield number

    results = ordered_map(lambda x: x, items(), 2)
    assert next(results) == 0
    assert len(taken) == 4  # three ahead, and the one that was asked for
