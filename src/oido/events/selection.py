# SPDX-License-Identifier: Apache-2.0
"""Which categories of a row of scores are reported (the Task Library's options)."""

from __future__ import annotations

import numbers
from collections.abc import Callable, Iterable, Sequence

import numpy as np
from numpy.typing import NDArray

from oido.arrays import F32, Bools
from oido.errors import OptionError
from oido.events.calibration import Calibrator
from oido.heads import NON_EVENTS
from oido.messages import tr
from oido.params import Selection
from oido.types import Category

LabelIndices = Callable[[Iterable[str]], list[int]]
"""Labels to their columns; raises UnknownLabelError (see `oido.models.labels`)."""


STANDS_FOR = 0.5
"""The share of a more general class's score that a specific one needs to stand for it."""


def _absences(labels: tuple[str, ...]) -> Bools:
    """bool[C]: the classes that tell of no event: Silence, and what was taught as background."""
    folded = [label.casefold() for label in labels]
    # AudioSet's Noise is something that is heard.
    names = {"silence"} if "speech" in folded and "silence" in folded else NON_EVENTS
    return np.array([label in names for label in folded], bool)


class Selector:
    """Applies a ``Selection`` to rows of scores.

    ``allowed`` is bool[C]: the classes that the allow or deny list leaves; ``absences`` are those
    that are no events, unless they are asked for by name. ``display_names`` are
    the labels in the language that was asked for. ancestors: of each class, those above it.
    """

    def __init__(
        self,
        labels: tuple[str, ...],
        selection: Selection,
        indices: LabelIndices,
        display_names: tuple[str, ...] | None = None,
        calibrator: Calibrator | None = None,
        ancestors: Sequence[frozenset[int]] = (),
    ) -> None:
        self._labels, self._below = labels, _below(ancestors)
        self._calibrator = calibrator
        self.display_names = display_names or labels
        self.selection = selection
        if selection.category_allowlist:
            self.allowed = np.zeros(len(labels), bool)
            self.allowed[indices(selection.category_allowlist)] = True
        else:
            self.allowed = np.ones(len(labels), bool)
            self.allowed[indices(selection.category_denylist)] = False
        self._allowed_columns = np.flatnonzero(self.allowed)
        self.absences = _absences(labels)
        self.allowed_events = self.allowed & ~self.absences
        if selection.category_allowlist:  # by name
            self.allowed_events = self.allowed

    def categories(
        self, scores: F32, max_results: int | None = None, *, of_clip: bool = False
    ) -> list[Category]:
        """The categories of one row of scores, f32[C], best first, ties in label order.

        of_clip: without those that a more specific one stands for, one of at least half the score,
        unless the selection is for all labels.

        With a calibration, the best and the threshold are those of the probabilities.

        ``max_results`` narrows the selection's own limit.
        """
        best, probabilities = self.best(scores, max_results, of_clip=of_clip)
        return [
            Category(
                self._labels[i],
                i,
                float(scores[i]),
                None if probabilities is None else float(probabilities[i]),
                self.display_names[i],
            )
            for i in best
        ]

    def best(
        self, scores: F32, max_results: int | None = None, *, of_clip: bool = False
    ) -> tuple[list[int], F32 | None]:
        """The columns of `categories`, and the probabilities of all, f32[C]; None: there are none.

        For those who make so many rows that a record of each would cost more than all else.
        """
        is_whole = isinstance(max_results, numbers.Integral)
        if max_results is not None and (not is_whole or max_results < 1):
            raise OptionError(
                tr(
                    "there is no best {max_results}; ask for 1 or more, or None for all",
                    max_results=max_results,
                )
            )
        limits = [m for m in (max_results, self.selection.max_results) if m is not None]
        probabilities = None if self._calibrator is None else self._calibrator.apply(scores)
        values = scores if probabilities is None else probabilities
        most = min(limits, default=len(values))
        if of_clip and self.selection.labels == "specific":
            kept = self._ordered(values, len(values)).tolist()
            kept = [column for column in kept if not self._has_specific(column, values)]
        else:
            kept = self._ordered(values, most).tolist()
        return kept[:most], probabilities

    def _ordered(self, values: F32, most: int) -> NDArray[np.intp]:
        """The columns that the selection leaves, best first, those of equal values in order.

        most: no more are wanted. To find a few and order these costs a third of ordering all.
        """
        columns = self._allowed_columns
        threshold = self.selection.score_threshold
        if threshold is not None:
            columns = columns[values[columns] >= np.float32(threshold)]
        downwards = -values[columns]
        if len(columns) > 4 * most:
            last = np.partition(downwards, most - 1)[most - 1]
            near = np.flatnonzero(~(downwards > last))
            columns, downwards = columns[near], downwards[near]
        return columns[np.argsort(downwards, kind="stable")]

    def _has_specific(self, column: int, values: F32) -> bool:
        """Whether a more specific class tells what this one would."""
        below = [c for c in self._below.get(column, ()) if self.allowed[c]]
        return bool(below) and bool(values[below].max() >= STANDS_FOR * values[column])


def _below(ancestors: Sequence[frozenset[int]]) -> dict[int, list[int]]:
    below: dict[int, list[int]] = {}
    for column, above in enumerate(ancestors):
        for ancestor in above:
            below.setdefault(ancestor, []).append(column)
    return below
