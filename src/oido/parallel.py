# SPDX-License-Identifier: Apache-2.0
"""Work by a few threads whose results come in order."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from typing import TypeVar

_A = TypeVar("_A")
_B = TypeVar("_B")


def ordered_map(
    function: Callable[[_A], _B], items: Iterable[_A], workers: int, *, ahead: int | None = None
) -> Iterator[_B]:
    """map() by so many threads, results in order.

    ahead: items under way or done before the first of them is consumed; workers + 1 if not given,
    which keeps memory flat; more where items take very different times and results are small. An
    error of ``items`` comes after the results of what was before it, as it would without threads.
    What has not begun when the iteration is left is not begun any more.
    """
    if workers == 1:
        yield from map(function, items)
        return
    most = workers + 1 if ahead is None else ahead
    pending: deque[Future[_B]] = deque()
    failure: Exception | None = None
    remaining = iter(items)
    pool = ThreadPoolExecutor(workers, thread_name_prefix="oido")
    try:
        while True:
            try:
                item = next(remaining)
            except StopIteration:
                break
            except Exception as error:
                failure = error
                break
            pending.append(pool.submit(function, item))
            if len(pending) > most:
                yield pending.popleft().result()
        while pending:
            yield pending.popleft().result()
    finally:
        pool.shutdown(cancel_futures=True)
    if failure is not None:
        raise failure
