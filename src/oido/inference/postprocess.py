# SPDX-License-Identifier: Apache-2.0
"""What the raw scores of one head mean: its labels, its calibration, and what of them is wanted."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from typing import NamedTuple

from oido.arrays import F32
from oido.events.calibration import Calibrator
from oido.events.segmentation import Segmenter
from oido.events.selection import Selector
from oido.events.thresholds import on_thresholds
from oido.heads import Head
from oido.models.labels import display_names, label_indices
from oido.models.taxonomy import expand, is_group, rollup
from oido.options import AGGREGATIONS
from oido.params import Detection, Selection, Windowing


class SelectedScores(NamedTuple):
    """What is wanted of N windows.

    scores: f32[N, C] of one head. similarities: f32[N], -1..1, how near each window is to what the
    model was taught; None of a model that does not tell.
    """

    scores: F32
    similarities: F32 | None


class HeadPostprocessor:
    """Reads one head's columns of a network's raw scores.

    columns: where they are, among those of all heads. novelty: the column behind those of all heads
    tells how near a window is to what was taught. locale: language of display names. With a
    calibration, categories are ordered, limited and made events by their probability. The model's
    own score threshold counts where the selection has none.
    """

    def __init__(
        self,
        head: Head,
        columns: slice,
        selection: Selection,
        *,
        locale: str,
        rolls_up: bool,
        novelty: bool = False,
    ) -> None:
        self.head = head
        self._columns, self._rolls_up, self._novelty = columns, rolls_up, novelty
        self._common_threshold = selection.score_threshold
        if selection.score_threshold is None and head.score_threshold is not None:
            selection = replace(selection, score_threshold=head.score_threshold)
        self._calibrator = None if head.calibration is None else Calibrator(head.calibration)
        names = display_names(head.labels, locale)
        self.selector = Selector(head.labels, selection, self._expanded, names, self._calibrator)

    @property
    def labels(self) -> tuple[str, ...]:
        """The classes, in the order of the score columns."""
        return self.head.labels

    @property
    def aggregation(self) -> str:
        """How windows become a clip, unless somebody says otherwise."""
        return self.head.aggregation or AGGREGATIONS[0]

    def scores(self, raw: F32) -> F32:
        """This head's scores f32[N, C] of the raw ones of all heads, f32[N, all]."""
        own = raw[:, self._columns]
        return rollup(own, self.labels) if self._rolls_up else own

    def select(self, raw: F32) -> SelectedScores:
        """This head's scores, and the last column of the raw ones if that tells what is unknown."""
        return SelectedScores(self.scores(raw), raw[:, -1] if self._novelty else None)

    def probabilities(self, scores: F32) -> F32 | None:
        """The probabilities f32[…, C] of scores f32[…, C]; None without a calibration."""
        return None if self._calibrator is None else self._calibrator.apply(scores)

    def decision_values(self, scores: F32) -> F32:
        """What categories are ordered, limited and made events by: probabilities, else scores."""
        probabilities = self.probabilities(scores)
        return scores if probabilities is None else probabilities

    def segmenter(self, windowing: Windowing, detection: Detection) -> Segmenter:
        """What makes events of this head's scores. Raises UnknownLabelError.

        A threshold given for a label comes first, then a common one that was given (to the
        segmenter, or else to the selection), then the model's own, then 0.3.
        """
        if detection.threshold is None:
            detection = replace(detection, threshold=self._common_threshold)
        own = () if detection.threshold is not None else self.head.thresholds
        return Segmenter(
            self.labels,
            windowing,
            detection,
            on_thresholds(len(self.labels), detection, self.label_indices, own),
            self.selector.allowed,
            self.selector.display_names,
            self._calibrator,
        )

    def label_indices(self, names: Iterable[str]) -> list[int]:
        """The columns of these labels. Raises UnknownLabelError naming the nearest ones."""
        return label_indices(self.labels, names)

    def _expanded(self, names: Iterable[str]) -> list[int]:
        """The columns of labels and, in the way that the options tell, of groups."""
        columns: list[int] = []
        folded = {label.casefold() for label in self.labels}
        for name in names:
            if name.endswith("/") or (is_group(name) and name.casefold() not in folded):
                columns += expand([name.removesuffix("/")], self.labels)
            else:
                columns += self.label_indices([name])
        return columns


def make_postprocessors(
    heads: tuple[Head, ...],
    chosen: Head,
    selection: Selection,
    *,
    locale: str,
    rolls_up: bool,
    novelty: bool = False,
) -> dict[str, HeadPostprocessor]:
    """A reader for each head, by name; labels are selected of the chosen one only."""
    readers, start = {}, 0
    others = Selection(selection.max_results, selection.score_threshold)
    for head in heads:
        columns = slice(start, start + len(head.labels))
        wanted = selection if head is chosen else others
        readers[head.name] = HeadPostprocessor(
            head, columns, wanted, locale=locale, rolls_up=rolls_up, novelty=novelty
        )
        start += len(head.labels)
    return readers
