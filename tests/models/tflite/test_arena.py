# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import numpy as np

from oido.models.tflite.arena import arena_bytes
from oido.models.tflite.builder import GraphWriter


def test_a_chain_needs_its_two_largest_neighbours() -> None:
    writer = GraphWriter("chain", batch=False)
    x = writer.input("x", (1, 100))  # 400 bytes
    wide = writer.dense(x, np.ones((1_000, 100), np.float32), np.zeros(1_000, np.float32))
    narrow = writer.dense(wide, np.ones((10, 1_000), np.float32), np.zeros(10, np.float32))
    small = writer.relu(narrow)
    content = writer.finish([small])
    assert arena_bytes(content) == 4_000 + 400  # the wide one with its input; then 40 beside it
    weights = 4 * (1_000 * 100 + 10 * 1_000)
    assert weights > 50 * arena_bytes(content)  # which stay in the file


def test_what_is_read_again_later_stays() -> None:
    writer = GraphWriter("skip", batch=False)
    x = writer.input("x", (1, 1_024))
    once = writer.relu(x)
    twice = writer.relu(once)
    content = writer.finish([writer.add(twice, x)])
    assert arena_bytes(content) == 3 * 4_096


def test_sizes_are_whole_sixteens() -> None:
    writer = GraphWriter("odd", batch=False)
    x = writer.input("x", (1, 5))
    assert arena_bytes(writer.finish([writer.relu(x)])) == 32 + 32
