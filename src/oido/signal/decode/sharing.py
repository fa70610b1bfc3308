# SPDX-License-Identifier: Apache-2.0
"""One source decoded once, and read by several."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

from oido.errors import AudioError
from oido.signal.decode.readers import AudioReader

__all__ = ["shared"]


def shared(reader: AudioReader, readers: int) -> list[AudioReader]:
    """Readers that all give what this one gives, its errors too.

    What the fastest has read waits for the slowest: read them side by side, and memory stays flat.
    The source is closed with the last of them.
    """
    source = _Source(reader, readers)
    return [_SharedReader(source, number) for number in range(readers)]


class _Source:
    def __init__(self, reader: AudioReader, readers: int) -> None:
        self.reader = reader
        self.waiting: list[deque[NDArray[np.float32]]] = [deque() for _ in range(readers)]
        self.open = set(range(readers))
        self._blocks = reader.blocks()
        self._ended = False
        self._error: AudioError | None = None

    def next_block(self, number: int) -> NDArray[np.float32] | None:
        """The next block of this reader; None at the end."""
        waiting = self.waiting[number]
        if not waiting and not self._ended:
            self._read()
        if waiting:
            return waiting.popleft()
        if self._error is not None:
            raise self._error
        return None

    def _read(self) -> None:
        try:
            block = next(self._blocks, None)
        except AudioError as error:
            self._error, block = error, None
        if block is None:
            self._ended = True
            return
        for number in self.open:
            self.waiting[number].append(block)

    def close(self, number: int) -> None:
        self.open.discard(number)
        self.waiting[number].clear()
        if not self.open:
            self.reader.close()


class _SharedReader(AudioReader):
    def __init__(self, source: _Source, number: int) -> None:
        self._source, self._number = source, number
        self.info = source.reader.info

    @property
    def damaged_packets(self) -> int:  # type: ignore[override]
        return self._source.reader.damaged_packets

    @property
    def fullness(self) -> float:
        return self._source.reader.fullness

    def blocks(self) -> Iterator[NDArray[np.float32]]:
        while (block := self._source.next_block(self._number)) is not None:
            yield block

    def close(self) -> None:
        self._source.close(self._number)
