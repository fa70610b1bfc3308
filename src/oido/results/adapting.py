# SPDX-License-Identifier: Apache-2.0
"""A taught model adapted to the place of an archive, adopted only where its reviews speak for it.

The archive gives what nobody has labelled: windows drawn by chance, from which priors are estimated
and which stand for the background of the place. Its reviews only judge (`calibration.adaptation`).
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from oido.arrays import F32
from oido.calibration.adaptation import (
    LEAST_SOURCES,
    Adaptation,
    ReviewedWindows,
    adapt,
    candidates_of,
    speaks_for,
)
from oido.datasets.splits import group_numbers
from oido.errors import OptionError
from oido.heads import Sigmoid
from oido.messages import tr
from oido.models.labels import label_key
from oido.models.model import AudioModel
from oido.models.tflite.taught_head import TaughtHead, write_last_layer
from oido.results.counting import of_sample
from oido.results.query_text import quoted
from oido.results.results import Results
from oido.results.tallies import site_of
from oido.results.window_scores import drawn_windows, embedding_batches, open_head
from oido.search.label_store import Answer, LabelStore
from oido.writers.atomic import write_atomically

_DRAWN_WINDOWS = 20_000
"""Of the archive, for priors and background."""

_AT_ONCE = 500
"""Reviews that are looked for in one query."""

_WITHIN = 0.75
"""Of a window, or of a span that is shorter: neighbours that half overlap are not the same one."""

_UNCHANGED = Sigmoid(1.0, 1.0, 0.0)
"""What the calibration of a taught file is: its scores are probabilities already."""


@dataclass(frozen=True, eq=False)
class AdaptedModel:
    """What `adapt_model` finds. by: "site" or "recording", what was left out to judge; elsewhere:
    reviews of which the archive has no window; left_out: reviews of places that were not chosen by
    chance; content: the file, b"" where it was kept."""

    model: AudioModel
    adaptation: Adaptation
    by: str
    drawn: int
    elsewhere: int
    left_out: int
    content: bytes

    def write(self, path: Path) -> None:
        """The adapted model. Raises OutputError."""
        with write_atomically(path, binary=True) as file:
            file.stream.write(self.content)


def adapt_model(
    results: Results,
    model: str | os.PathLike[str],
    labels: str | os.PathLike[str],
    *,
    site: str | None = None,
    seed: int = 0,
    on_progress: Callable[[int, int], None] = lambda done, of: None,
) -> AdaptedModel:
    """Adapt a taught model to an archive's place, if reviews show that it is better for it.

    labels: a label store with reviews of the model's labels in this archive, of which those of
    places that were chosen by chance judge. site: as for
    `oido report`; where reviews are of fewer than five sites, recordings are left out instead.
    Raises OptionError.
    """
    network, head = open_head(results, model)
    calibration = network.head.calibration
    if calibration is not None and any(s != _UNCHANGED for s in calibration.sigmoids):
        raise OptionError(
            tr(
                "{name} was calibrated after it was taught: adapt the file of `oido train`, and "
                "calibrate what comes of it",
                name=network.name,
            )
        )
    with LabelStore(labels, is_new_allowed=False) as store:
        sure = _sure_answers(store, head)
        # Those of a review that learnt may have taught the model, and are no sample of the place.
        answers = of_sample(sure, os.fspath(labels))
    found = list(_windows_of(results, answers, head, site, on_progress))
    if not found:
        raise OptionError(
            tr(
                "{labels}: none of its reviews is of a recording of {url}",
                labels=os.fspath(labels),
                url=results.url,
            )
        )
    features = _drawn(results, head, found, seed)
    by, sources = _sources(found)
    reviews = _reviews(found, head, features, sources)
    adaptation = adapt(reviews, candidates_of(head, features), seed)
    content = b""
    if adaptation.head is not None:
        content = write_last_layer(network, adaptation.head.layers[-1])
    elsewhere, left_out = len(answers) - len(found), len(sure) - len(answers)
    return AdaptedModel(network, adaptation, by, len(features), elsewhere, left_out, content)


class _Found(NamedTuple):
    """A review, and its windows: places, and f32[n, h] what the last layer takes."""

    answer: Answer
    column: int
    site: Any
    places: list[tuple[Any, ...]]
    features: F32


def _sure_answers(store: LabelStore, head: TaughtHead) -> list[Answer]:
    """What was decided of the model's labels. Raises OptionError if there is nothing."""
    names = {label_key(name): name for name in head.labels}
    answers = [
        replace(answer, label=names[label_key(answer.label)])
        for answer in store.decided().values()
        if answer.verdict != "unsure" and label_key(answer.label) in names
    ]
    if not answers:
        raise OptionError(
            tr(
                "{path}: holds no yes or no of {labels}, which {name} knows",
                path=store.path,
                labels=", ".join(head.labels[:4]),
                name=head.name,
            )
        )
    return answers


def _windows_of(
    results: Results,
    answers: Sequence[Answer],
    head: TaughtHead,
    site: str | None,
    on_progress: Callable[[int, int], None],
) -> Iterable[_Found]:
    """The windows that lie in a review's span, but for a quarter, or that it lies in."""
    where = site_of(results, site)
    for first in range(0, len(answers), _AT_ONCE):
        group = answers[first : first + _AT_ONCE]
        values = ", ".join(
            f"({n}, {quoted(a.recording)}, {'NULL' if a.channel is None else a.channel}, "
            f"{a.start_time!r}, {a.end_time!r})"
            for n, a in enumerate(group)
        )
        common = "least(end_time, of_end) - greatest(start_time, of_start)"
        condition = (
            f"JOIN (VALUES {values}) AS review(nth, of_file, of_channel, of_start, of_end) "
            "ON file = of_file AND (of_channel IS NULL OR channel IS NOT DISTINCT FROM of_channel) "
            f"AND {common} >= {_WITHIN} * least(end_time - start_time, of_end - of_start) - 0.001"
        )
        columns = ["nth", f"{where} AS site", "file", "channel", "start_time"]
        parts: dict[int, list[tuple[Any, tuple[Any, ...], F32]]] = {}
        for plain, vectors in embedding_batches(results, columns, condition):
            made = head.features(vectors)
            places = zip(*(plain[name] for name in ("file", "channel", "start_time")))
            for row, (nth, place) in enumerate(zip(plain["nth"], places)):
                parts.setdefault(nth, []).append((plain["site"][row], place, made[row]))
        for nth, windows in sorted(parts.items()):
            windows.sort(key=lambda each: (each[1][2], each[1][1] or 0))
            sites, found, rows = zip(*windows)
            column = head.labels.index(group[nth].label)
            yield _Found(group[nth], column, sites[0], list(found), np.stack(rows))
        on_progress(min(first + _AT_ONCE, len(answers)), len(answers))


def _drawn(results: Results, head: TaughtHead, reviewed: Sequence[_Found], seed: int) -> F32:
    """f32[N, h] of windows drawn by chance, none of which was reviewed."""
    (row,) = results.sql("SELECT count(*) AS n FROM embeddings").to_pylist()
    known = {place for found in reviewed for place in found.places}
    parts = []
    condition = f"WHERE {drawn_windows(_DRAWN_WINDOWS, row['n'], seed)}"
    for plain, vectors in embedding_batches(results, ["file", "channel", "start_time"], condition):
        places = list(zip(plain["file"], plain["channel"], plain["start_time"]))
        new = np.array([place not in known for place in places], bool)
        parts.append((places, head.features(vectors)[new], new))
    rows = [
        (place, values)
        for places, features, new in parts
        for place, values in zip([p for p, n in zip(places, new) if n], features)
    ]
    if not rows:
        raise OptionError(
            tr("{url}: every window was reviewed: there is nothing to adapt to", url=results.url)
        )
    # In an order of their own, so that sums do not depend on the parts of the archive.
    rows.sort(key=lambda each: (each[0][0], each[0][2], each[0][1] or 0))
    return np.stack([values for _, values in rows])


def _sources(found: Sequence[_Found]) -> tuple[str, list[str]]:
    """What is left out to judge, and of each review which it is."""
    sites = [str(each.site) for each in found]
    if len({*sites}) >= LEAST_SOURCES:
        return "site", sites
    return "recording", [each.answer.recording for each in found]


def _reviews(
    found: Sequence[_Found], head: TaughtHead, drawn: F32, sources: Sequence[str]
) -> ReviewedWindows:
    sizes = [len(each.features) for each in found]
    reviews = ReviewedWindows(
        np.concatenate([each.features for each in found]),
        np.concatenate([[0], np.cumsum(sizes)[:-1]]).astype(np.int64),
        np.array([each.column for each in found], np.int64),
        np.array([each.answer.verdict == "yes" for each in found], bool),
        group_numbers(list(sources)),
        np.ones(len(found)),
    )
    own, everywhere = reviews.probabilities(head), head.scores_of_features(drawn)
    weights = np.ones(len(found))
    for column in np.unique(reviews.columns):
        of_it = reviews.columns == column
        weights[of_it] = speaks_for(own[of_it], everywhere[:, column].astype(np.float64))
    return replace(reviews, weights=weights)
