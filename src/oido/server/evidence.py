# SPDX-License-Identifier: Apache-2.0
"""What events are made of, beside the rows of windows: a client that asks for it makes its own.

The scores of each window's parts (`oido.inference.detector`), sparse: most of them are nothing. A
stream's client has the samples; whoever sends a recording gets the levels of the sound, too.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple

import numpy as np

from oido.batch.plan import Plan
from oido.batch.recording import RowMaker
from oido.errors import OptionError
from oido.inference.block import Block
from oido.inference.classifier import AudioClassifier
from oido.messages import tr
from oido.types import Row
from oido.writers.base import score_of, seconds_of
from oido.writers.tables import JsonWriter, record_of

_SCORES_PER_ROW = 10
"""So many framewise scores are as much text as a row."""


def framewise_floor(options: Mapping[str, Any]) -> float | None:
    """The lowest framewise score that these options ask for; None: none. Raises OptionError."""
    floor: float | None = options["framewise"]
    if floor is not None and options["level"] != "windows":
        raise OptionError(tr("framewise is for windows: ask for the level windows, too"))
    return floor


def evidence_of(block: Block, position: int, floor: float) -> dict[str, Any]:
    """The members for one window of a block; of a network without parts, the window is its one.

    ``framewise``: for each part, score by label index, as text; ``similarity`` of a taught model.
    """
    framewise = block.scores[:, None] if block.framewise is None else block.framewise
    members: dict[str, Any] = {"framewise": []}
    for part in framewise[position]:
        chosen = np.flatnonzero((part >= floor) & (part > 0))
        scores = map(score_of, part[chosen].tolist())
        members["framewise"].append(dict(zip(map(str, chosen.tolist()), scores)))
    if block.similarities is not None:
        members["similarity"] = score_of(float(block.similarities[position]))
    return members


class EvidenceRow(NamedTuple):
    """A window of a recording: its rows, and its evidence."""

    channel: int | None
    start_time: float
    end_time: float
    rows: list[Row]
    evidence: dict[str, Any]

    @property
    def size(self) -> int:
        """How many rows are as much text."""
        n_scores = sum(map(len, self.evidence["framewise"]))
        return len(self.rows) + 1 + n_scores // _SCORES_PER_ROW


class EvidenceRows(RowMaker):
    """The windows of a recording, and its levels, those of a block with its first window."""

    def __init__(
        self, plan: Plan, classifier: AudioClassifier, file: str, floor: float, channel: int | None
    ) -> None:
        super().__init__(plan, classifier, file, channel)
        self._floor = floor

    def push(self, block: Block) -> list[Any]:
        found = []
        for position, scores in enumerate(block.scores):
            start, end = self._windowing.span(block.first_window + position)
            best = self._postprocessor.selector.categories(scores, self._top)
            rows = [self._row(start, end, category) for category in best]
            evidence = evidence_of(block, position, self._floor)
            if position == 0 and block.levels is not None:
                evidence["levels"] = np.round(block.levels.astype(np.float64), 6).tolist()
            found.append(EvidenceRow(self._channel, start, end, rows, evidence))
        return found


class EvidenceWriter(JsonWriter):
    """One JSON array of windows, each with its rows."""

    def record(self, row: Any) -> dict[str, Any]:
        rows = [record_of(each, *self._shape) for each in row.rows]
        times = {"start_time": seconds_of(row.start_time), "end_time": seconds_of(row.end_time)}
        return {"channel": row.channel, **times, "rows": rows, **row.evidence}
