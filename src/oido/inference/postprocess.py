# SPDX-License-Identifier: Apache-2.0
"""What the raw scores of one head mean: its labels, its calibration, and what of them is wanted."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import replace
from functools import partial
from types import MappingProxyType

import numpy as np

from oido.arrays import F32
from oido.events.aggregation import Aggregator
from oido.events.calibration import Calibrator
from oido.events.segmentation import Segmenter
from oido.events.selection import Selector
from oido.events.spans import UNKNOWN, Choice, Kinship, Span
from oido.events.thresholds import on_thresholds
from oido.heads import Head
from oido.inference.block import Block, SelectedScores
from oido.inference.detector import EventDetector
from oido.models.labels import label_indices, labels_from, shown_labels
from oido.models.model import SimilarityColumn
from oido.models.taxonomy import ancestors, columns_above, expand, is_group, parents, rollup
from oido.options import AGGREGATIONS
from oido.params import Detection, Selection, Windowing
from oido.signal.level import is_silent
from oido.types import Category, Event, Row

UNKNOWN_LABEL = "unknown"


class HeadPostprocessor:
    """Reads one head's columns of a network's raw scores.

    columns: where they are, among those of all heads. similarity: the column that tells how near a
    window is to what this head was taught; None of a head that does not tell. locale: language of
    display names; labels_file: of a file of the user's (`labels_from`). With a calibration,
    categories are ordered, limited and made events by their probability. The model's own score
    threshold counts where the selection has none.
    """

    def __init__(
        self,
        head: Head,
        columns: slice,
        selection: Selection,
        *,
        locale: str,
        rolls_up: bool,
        similarity: SimilarityColumn | None = None,
        labels_file: str | None = None,
    ) -> None:
        self.head, self.labels = head, head.labels
        self._columns, self._rolls_up = columns, rolls_up
        self._similarity = similarity
        self._common_threshold = selection.score_threshold
        if selection.score_threshold is None and head.score_threshold is not None:
            selection = replace(selection, score_threshold=head.score_threshold)
        self._calibrator = None if head.calibration is None else Calibrator(head.calibration)
        self._other_labels = () if labels_file is None else labels_from(labels_file, head.labels)
        names = shown_labels(head.labels, locale, self._other_labels)
        self._ancestors = columns_above(head.labels, ancestors)
        self.selector = Selector(
            head.labels, selection, self._expanded, names, self._calibrator, self._ancestors
        )

    @property
    def least_similarity(self) -> float | None:
        """To what this head was taught; below it is unknown. None of a head that does not tell."""
        return None if self._similarity is None else self._similarity.least

    @property
    def aggregation(self) -> str:
        """How windows become a clip, unless somebody says otherwise."""
        return self.head.aggregation or AGGREGATIONS[0]

    def aggregator(self, aggregation: str | None = None) -> Aggregator:
        """Of this head's scores; None: as `aggregation`."""
        return Aggregator(aggregation or self.aggregation, self.selector.absences)

    def scores(self, raw: F32) -> F32:
        """This head's scores f32[N, C] of the raw ones of all heads, f32[N, all]."""
        own = raw[:, self._columns]
        return rollup(own, self.labels) if self._rolls_up else own

    def select(self, raw: F32) -> SelectedScores:
        """This head's scores, and the similarities to what it was taught, if it tells."""
        return SelectedScores(self.scores(raw), self.similarities(raw))

    def similarities(self, raw: F32) -> F32 | None:
        """f32[N], how near windows are to what this head was taught; None if it does not tell."""
        return None if self._similarity is None else raw[:, self._similarity.column]

    def probabilities(self, scores: F32) -> F32 | None:
        """The probabilities f32[…, C] of scores f32[…, C]; None without a calibration."""
        return None if self._calibrator is None else self._calibrator.apply(scores)

    def decision_values(self, scores: F32) -> F32:
        """What categories are ordered, limited and made events by: probabilities, else scores."""
        probabilities = self.probabilities(scores)
        return scores if probabilities is None else probabilities

    def recognised_values(self, block: Block) -> F32:
        """The decision values f32[N, C], 0 where a window is silent or unlike all that was taught.

        As for events: there a taught head's scores, which share one sum, are evidence for nothing,
        but for what silence itself is evidence of.
        """
        silent = is_silent(block.loudness)[:, None] & ~self.selector.absences
        values = np.where(silent, np.float32(0), self.decision_values(block.scores))
        if self.least_similarity is None or block.similarities is None:
            return values
        is_known = block.similarities >= self.least_similarity
        return np.where(is_known[:, None], values, np.float32(0))

    def detector(
        self, windowing: Windowing, image_samples: int, detection: Detection
    ) -> EventDetector:
        """What makes events of blocks of this head's scores. Raises UnknownLabelError.

        A threshold given for a label comes first, then a common one that was given (to the
        detector, or else to the selection), then the model's own, then 0.2.
        """
        if detection.threshold is None:
            detection = replace(detection, threshold=self._common_threshold)
        own = () if detection.threshold is not None else self.head.thresholds
        on = on_thresholds(len(self.labels), detection, self.label_indices, own)
        off = (on * np.float32(detection.off_ratio)).astype(np.float32)
        labels = self.labels
        kinship = Kinship(self._ancestors, columns_above(labels, parents))
        choice = Choice(kinship, keeps_all=self.selector.selection.labels == "all")
        segmenter = partial(
            Segmenter,
            sample_rate_hz=windowing.sample_rate_hz,
            values=self.decision_values,
            on=on,
            off=off,
            allowed=self.selector.allowed_events,
            absences=self.selector.absences,
            choice=choice,
            least_similarity=self.least_similarity,
        )
        return EventDetector(
            windowing,
            image_samples,
            detection,
            segmenter,
            self._event,
            knows_unknown=self.least_similarity is not None,
        )

    def _event(self, span: Span, start: float, end: float) -> Event:
        column = next(iter(span.also)) if span.index == UNKNOWN else span.index
        scores = np.zeros((1, len(self.labels)), np.float32)
        scores[0, column] = score = np.float32(span.score)
        probabilities = self.probabilities(scores)
        is_unknown = span.index == UNKNOWN
        return Event(
            UNKNOWN_LABEL if is_unknown else self.labels[span.index],
            span.index,
            start,
            end,
            float(score),
            None if probabilities is None else float(probabilities[0, column]),
            UNKNOWN_LABEL if is_unknown else self.selector.display_names[span.index],
            tuple(self.selector.display_names[index] for index in span.also),
        )

    def label_indices(self, names: Iterable[str]) -> list[int]:
        """The columns of these labels. Raises UnknownLabelError naming the nearest ones."""
        return label_indices(self.labels, names, self._other_labels)

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
    similarity_columns: Mapping[str, SimilarityColumn] = MappingProxyType({}),
    labels_file: str | None = None,
) -> dict[str, HeadPostprocessor]:
    """A reader for each head, by name; labels are selected of the chosen one only, and a file of
    labels is of that one. similarity_columns: as `AudioModel` has them."""
    readers, start = {}, 0
    others = Selection(selection.max_results, selection.score_threshold)
    for head in heads:
        columns = slice(start, start + len(head.labels))
        wanted = selection if head is chosen else others
        readers[head.name] = HeadPostprocessor(
            head,
            columns,
            wanted,
            locale=locale,
            rolls_up=rolls_up,
            similarity=similarity_columns.get(head.name),
            labels_file=labels_file if head is chosen else None,
        )
        start += len(head.labels)
    return readers


def event_row(file: str, channel: int | None, event: Event) -> Row:
    """The row of an event."""
    e = event
    times = e.start_time, e.end_time
    label = e.display_name or e.label
    return Row(file, channel, *times, label, e.label_index, e.score, e.probability, e.also)


def category_row(file: str, channel: int | None, start: float, end: float, c: Category) -> Row:
    """The row of a category of a window, a frame or a clip."""
    label = c.display_name or c.label
    return Row(file, channel, start, end, label, c.index, c.score, c.probability)


def strength(entry: Category | Event) -> float:
    """By what the strongest are chosen: the probability where there is one, else the score."""
    return entry.score if entry.probability is None else entry.probability
