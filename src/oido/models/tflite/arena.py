# SPDX-License-Identifier: Apache-2.0
"""How much working memory a graph's tensors need, if each lives only from its maker to its last
reader.

That is what TensorFlow Lite for Microcontrollers plans, and likewise: greedily, the largest tensors
first, each at the lowest place that no tensor of the same time holds. Its own records and what
kernels ask for besides come on top, some KB.
"""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np

from oido.models.tflite.packing import DTYPES, unpack

_ALIGNMENT = 16


class _Life(NamedTuple):
    """A tensor of so many bytes, from one operator to another, both included."""

    size: int
    first: int
    last: int

    def meets(self, other: _Life) -> bool:
        return self.first <= other.last and other.first <= self.last


def arena_bytes(content: bytes) -> int:
    """Of a .tflite of fixed shapes: the least that the greedy plan needs."""
    planned: list[tuple[int, _Life]] = []
    for life in sorted(_lives(content), key=lambda life: (-life.size, life.first)):
        place = 0
        for start, other in sorted(p for p in planned if p[1].meets(life)):
            if start - place >= life.size:
                break
            place = max(place, start + other.size)
        planned.append((place, life))
    return max((start + life.size for start, life in planned), default=0)


def _lives(content: bytes) -> list[_Life]:
    _, graph = unpack(content)
    made = {int(tensor): 0 for tensor in graph.inputs}
    read: dict[int, int] = {}
    for number, op in enumerate(graph.operators):
        made |= {int(tensor): number for tensor in op.outputs}
        read |= {int(tensor): number for tensor in op.inputs if tensor >= 0}
    last = len(graph.operators)
    read |= {int(tensor): last for tensor in graph.outputs}
    lives = []
    for tensor, first in made.items():
        entry = graph.tensors[tensor]
        size = math.prod(int(n) for n in entry.shape) * np.dtype(DTYPES[entry.type]).itemsize
        whole = -(-size // _ALIGNMENT) * _ALIGNMENT
        lives.append(_Life(whole, first, read.get(tensor, first)))
    return lives
