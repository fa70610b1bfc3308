# SPDX-License-Identifier: Apache-2.0
"""Two models as one."""

from __future__ import annotations

import hashlib
from dataclasses import replace

from oido.heads import Head
from oido.models.labels import label_indices
from oido.models.model import AudioModel, EnsembleNetwork
from oido.models.registry import ENSEMBLE
from oido.params import Windowing

__all__ = ["ensemble"]

_PIECE_SECONDS, _PAUSE_SECONDS = 5, 2
_THRESHOLD = 0.2
"""Both must agree, so scores are lower: at 0.2 windows report about as many labels as YAMNet's at
0.3, and no more of them are wrong (benchmarks/combining.py)."""


def ensemble(first: AudioModel, second: AudioModel) -> AudioModel:
    """Both together: labels, windows and embeddings of the first.

    Raises UnknownLabelError if the second does not know a label of the first.
    """
    rate = second.windows.sample_rate_hz
    pieces = Windowing(
        rate, _PIECE_SECONDS * rate, _PIECE_SECONDS * rate // 2, _PAUSE_SECONDS * rate
    )
    columns = tuple(label_indices(second.labels, first.labels))
    thresholds = tuple((label, _THRESHOLD) for label in first.labels)
    return replace(
        first,
        name=ENSEMBLE,
        sha256=hashlib.sha256(f"{first.sha256} {second.sha256}".encode()).hexdigest(),
        size_bytes=first.size_bytes + second.size_bytes,
        heads=(Head("scores", first.labels, thresholds=thresholds),),
        summary=f"{first.name} and {second.name}, heard together",
        licence=f"{first.licence} and {second.licence}",
        attribution=f"{first.attribution}; {second.attribution}",
        card=None,
        network=EnsembleNetwork(first, second, columns, pieces),
    )
