# SPDX-License-Identifier: Apache-2.0
"""The tables of the HTML report."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

from oido.training.intervals import Estimate
from oido.training.markup import Html, join, tag
from oido.training.metrics import ClassMetrics, Metrics
from oido.training.report_style import sorting_rules

__all__ = ["class_table", "confusion_table", "interval", "number"]

_MOST_CLASSES = 25

_COLUMNS = (
    "class",
    "clips",
    "recordings",
    "precision",
    "recall",
    "F1",
    "AP",
    "ROC-AUC",
    "d′",
    "threshold",
)


def class_table(metrics: Metrics) -> Html:
    """A row for each class, which the reader may sort; worst first, by name the other way round."""
    places = [_places(column) for column in zip(*map(_keys, metrics.classes))]
    buttons = [
        tag(
            "label",
            tag("input", type="radio", name="by", id=f"by{n}", checked=n == 0),
            f" {name}",
        )
        for n, name in enumerate(_COLUMNS)
    ]
    heads = [tag("th", name, scope="col", role="columnheader") for name in _COLUMNS]
    rows = [
        _row(entry, "; ".join(f"--by{n}: {place[row]}" for n, place in enumerate(places)))
        for row, entry in enumerate(metrics.classes)
    ]
    table = tag(
        "table",
        tag("thead", tag("tr", *heads, role="row"), role="rowgroup"),
        tag("tbody", *rows, role="rowgroup"),
        role="table",
    )
    return tag(
        "div",
        tag("style", Html(sorting_rules(len(_COLUMNS)))),
        tag("fieldset", tag("legend", "Sort by"), *buttons, class_="sort"),
        tag("div", table, class_="scroll sorted", tabindex=0, role="region", aria_label="Classes"),
        class_="classes",
    )


def confusion_table(metrics: Metrics) -> Html:
    """The counts in a table, for who cannot see the picture; only the mistakes of many classes."""
    matrix, labels = metrics.confusion, metrics.confusion_labels
    assert matrix is not None, "there is one where each clip has one class"
    if len(labels) > _MOST_CLASSES:
        pairs = sorted(
            (
                (int(matrix[a, b]), labels[a], labels[b])
                for a in range(len(labels))
                for b in range(len(labels))
                if a != b and matrix[a, b]
            ),
            key=lambda pair: -pair[0],
        )
        rows = [
            tag("tr", tag("td", true), tag("td", said), tag("td", str(count)))
            for count, true, said in pairs
        ]
        heads: tuple[str, ...] = ("true", "said", "clips")
        title = "Every mistake"
    else:
        used = [n for n in range(len(labels)) if matrix[n].any() or matrix[:, n].any()]
        rows = [
            tag("tr", tag("td", labels[a]), *(tag("td", str(matrix[a, b])) for b in used))
            for a in used
        ]
        heads = ("true ↓ said →", *(labels[n] for n in used))
        title = "The same as a table"
    head = tag("tr", *(tag("th", name, scope="col") for name in heads))
    return tag(
        "details",
        tag("summary", title),
        tag("div", tag("table", head, *rows), class_="scroll"),
    )


def number(value: float) -> str:
    """Three digits; a dash where nothing is known."""
    if math.isinf(value):
        return "∞" if value > 0 else "−∞"
    return "–" if math.isnan(value) else f"{value:.3f}"


def interval(figure: Estimate) -> str | None:
    """From where to where, or None."""
    return f"{figure.low:.3f}–{figure.high:.3f}" if figure.has_interval else None


def _places(values: Sequence[Any]) -> list[int]:
    """Where each stands when they are sorted."""
    order = sorted(range(len(values)), key=lambda n: values[n])
    places = [0] * len(values)
    for place, row in enumerate(order):
        places[row] = place
    return places


def _row(entry: ClassMetrics, style: str) -> Html:
    figures = (entry.precision, entry.recall, entry.f1, entry.ap, entry.roc_auc)
    cells = [
        tag("th", entry.label, scope="row", role="rowheader"),
        _cell(str(entry.clips)),
        _cell(str(entry.recordings)),
        *(_cell(number(each.value), interval(each)) for each in figures),
        _cell(number(entry.d_prime)),
        _cell(f"{entry.threshold:.2f}"),
    ]
    return tag("tr", *cells, style=style, role="row")


def _cell(text: str, small: str | None = None) -> Html:
    return tag("td", join(text, tag("small", small) if small else None), role="cell")


def _keys(entry: ClassMetrics) -> tuple[str | float, ...]:
    """By which its row is sorted in each column; unknown figures come last."""
    figures = (entry.precision, entry.recall, entry.f1, entry.ap, entry.roc_auc)
    values = [*(each.value for each in figures), entry.d_prime, entry.threshold]
    known = [math.inf if math.isnan(value) else value for value in values]
    return (entry.label.casefold(), -entry.clips, -entry.recordings, *known)
