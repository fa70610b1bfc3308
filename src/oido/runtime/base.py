# SPDX-License-Identifier: Apache-2.0
"""The seam between the signal and whatever computes the network."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple, Protocol

import numpy as np
from numpy.typing import NDArray

from oido.arrays import F32


class Outputs(NamedTuple):
    """What a network says of N patches.

    scores: f32[N, classes], 0..1, raw (not probabilities), of several heads side by side;
    embeddings: f32[N, dim]. framewise: f32[N, columns, classes], the scores of so many equal parts
    of each patch (`oido.models.tflite.framewise`); None of a network that does not give them.
    """

    scores: F32
    embeddings: F32
    framewise: F32 | None = None

    def part(self, start: int, end: int) -> Outputs:
        """Those of some of the patches."""
        framewise = None if self.framewise is None else self.framewise[start:end]
        return Outputs(self.scores[start:end], self.embeddings[start:end], framewise)

    def rows(self, numbers: NDArray[np.intp]) -> Outputs:
        """Those of the patches of these numbers."""
        framewise = None if self.framewise is None else self.framewise[numbers]
        return Outputs(self.scores[numbers], self.embeddings[numbers], framewise)


def joined_outputs(parts: Sequence[Outputs]) -> Outputs:
    """Outputs of some patches after those of others; of one network."""
    if len(parts) == 1:
        return parts[0]
    scores, embeddings, framewise = zip(*parts)
    known = None if framewise[0] is None else np.concatenate(framewise)
    return Outputs(np.concatenate(scores), np.concatenate(embeddings), known)


class Runtime(Protocol):
    """One worker's copy of a network; not shared between threads."""

    def run(self, patches: F32) -> Outputs:
        """Patches f32[N, frames, bands], N ≥ 1 → outputs for each, in order."""
        ...
