# SPDX-License-Identifier: Apache-2.0
"""Equal patches are computed once: digital silence, test tones, a loop that repeats."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from oido.arrays import F32
from oido.runtime.base import Outputs, Runtime


class DistinctRuntime:
    """A runtime that gives each patch of a batch that equals another the outputs of that one.

    To look costs a thousandth of what a patch costs.
    """

    def __init__(self, runtime: Runtime) -> None:
        self._runtime = runtime

    def run(self, patches: F32) -> Outputs:
        """Patches f32[N, …], N ≥ 1 → outputs for each, in order."""
        sources = _first_equal(patches)
        if sources is None:
            return self._runtime.run(patches)
        distinct, rows = np.unique(sources, return_inverse=True)
        return self._runtime.run(patches[distinct]).rows(rows)


def _first_equal(patches: F32) -> NDArray[np.intp] | None:
    """For each patch, the number of the first that is equal, intp[N]; None: all differ."""
    sums = patches.sum(axis=tuple(range(1, patches.ndim))).tolist()
    if len(set(sums)) == len(sums):
        return None
    candidates: dict[float, list[int]] = {}
    sources = []
    for number, total in enumerate(sums):
        known = candidates.setdefault(total, [])
        source = next((k for k in known if np.array_equal(patches[k], patches[number])), number)
        if source == number:
            known.append(number)
        sources.append(source)
    return np.array(sources, np.intp)
