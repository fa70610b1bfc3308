# SPDX-License-Identifier: Apache-2.0
"""A source decoded once gives each of its readers everything, damage too."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import pytest
from numpy.typing import NDArray

from oido.errors import CorruptAudioError
from oido.signal.decode import AudioInfo, AudioReader
from oido.signal.decode.sharing import shared


class Counted(AudioReader):
    """Blocks 0, 1, 2, … and then, if wanted, damage."""

    def __init__(self, blocks: int, damaged: bool = False) -> None:
        self.info = AudioInfo("counted", 16_000, 1, None, "none", "array")
        self.damaged_packets = 3
        self._count, self._damaged = blocks, damaged
        self.read = 0
        self.closed = 0

    def blocks(self) -> Iterator[NDArray[np.float32]]:
        for number in range(self._count):
            self.read += 1
            yield np.full((2, 1), number, np.float32)
        if self._damaged:
            raise CorruptAudioError("counted: damaged")

    def close(self) -> None:
        self.closed += 1


def test_each_reader_gets_every_block_and_each_is_decoded_once() -> None:
    source = Counted(10)
    one, other = shared(source, 2)
    assert (one.info, other.damaged_packets) == (source.info, 3)
    first, second = one.blocks(), other.blocks()
    heard = [[], []]  # type: list[list[float]]
    for number in range(10):  # now one is ahead, now the other
        ahead, behind = (0, 1) if number % 3 else (1, 0)
        for reader in (ahead, behind):
            heard[reader].append(float(next((first, second)[reader])[0, 0]))
    assert heard == [list(range(10))] * 2
    assert (next(first, None), next(second, None)) == (None, None)
    assert source.read == 10


def test_damage_is_told_to_both_after_what_came_before() -> None:
    for reader in shared(Counted(3, damaged=True), 2):
        heard: list[NDArray[np.float32]] = []
        with pytest.raises(CorruptAudioError, match="damaged"):
            heard.extend(reader.blocks())
        assert [block[0, 0] for block in heard] == [0, 1, 2]


def test_the_source_is_closed_with_the_last_reader_and_keeps_nothing_for_a_closed_one() -> None:
    source = Counted(1_000)
    one, other = shared(source, 2)
    other.close()
    assert sum(1 for _ in one.blocks()) == 1_000
    assert source.closed == 0
    assert list(other.blocks()) == []
    one.close()
    assert source.closed == 1
