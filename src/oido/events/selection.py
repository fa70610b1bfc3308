# SPDX-License-Identifier: Apache-2.0
"""Which categories of a row of scores are reported (the Task Library's options)."""

from __future__ import annotations

from collections.abc import Callable, Iterable

import numpy as np

from oido.arrays import F32
from oido.errors import OptionError
from oido.events.calibration import Calibrator
from oido.params import Selection
from oido.types import Category

LabelIndices = Callable[[Iterable[str]], list[int]]
"""Labels to their columns; raises UnknownLabelError (see `oido.models.labels`)."""


class Selector:
    """Applies a ``Selection`` to rows of scores.

    ``allowed`` is bool[C]: the classes that the allow or deny list leaves. ``display_names`` are
    the labels in the language that was asked for.
    """

    def __init__(
        self,
        labels: tuple[str, ...],
        selection: Selection,
        indices: LabelIndices,
        display_names: tuple[str, ...] | None = None,
        calibrator: Calibrator | None = None,
    ) -> None:
        self._labels = labels
        self._calibrator = calibrator
        self.display_names = display_names or labels
        self.selection = selection
        if selection.category_allowlist:
            self.allowed = np.zeros(len(labels), bool)
            self.allowed[indices(selection.category_allowlist)] = True
        else:
            self.allowed = np.ones(len(labels), bool)
            self.allowed[indices(selection.category_denylist)] = False

    def categories(self, scores: F32, max_results: int | None = None) -> list[Category]:
        """The categories of one row of scores, f32[C], best first, ties in label order.

        With a calibration, the best and the threshold are those of the probabilities.

        ``max_results`` narrows the selection's own limit.
        """
        if max_results is not None and max_results < 1:
            raise OptionError(f"there is no best {max_results}; ask for 1 or more, or None for all")
        limits = [m for m in (max_results, self.selection.max_results) if m is not None]
        probabilities = None if self._calibrator is None else self._calibrator.apply(scores)
        values = scores if probabilities is None else probabilities
        order = np.argsort(-values, kind="stable")
        kept = order[self.allowed[order]]
        if self.selection.score_threshold is not None:
            kept = kept[values[kept] >= np.float32(self.selection.score_threshold)]
        best = kept[: min(limits)] if limits else kept
        return [
            Category(
                self._labels[i],
                i,
                float(scores[i]),
                None if probabilities is None else float(probabilities[i]),
                self.display_names[i],
            )
            for i in best.tolist()
        ]
