# SPDX-License-Identifier: Apache-2.0
"""The report as one HTML page: pictures, tables and sounds inside, no script, nothing loaded."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from typing import Any

from oido._version import __version__
from oido.evaluation.bootstrap import Estimate
from oido.evaluation.metrics import ClassMetrics, Metrics
from oido.evaluation.mistakes import HIGH_HZ, LOW_HZ, Mistake, excerpt
from oido.evaluation.plots import (
    Picture,
    baselines_picture,
    confusion_picture,
    learning_picture,
    precision_recall_picture,
    reliability_picture,
    spectrogram_picture,
)
from oido.evaluation.report_data import ReportData
from oido.writers.html import CONTENT_POLICY, STYLE, Html, data_uri, join, sorting_rules, tag

__all__ = ["class_table", "confusion_table", "html_page", "interval", "number"]

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


MOST_BYTES = 5_000_000
"""Of sounds and their pictures; mistakes beyond it are told in words only."""

_TONES = {"good": "Good: ", "fair": "Note: ", "poor": "Caution: "}

_WORDS = (
    ("clip accuracy", "clips whose class is named rightly; with several classes, all of them"),
    ("precision", "of what reaches its threshold, how much is right"),
    ("recall", "of what is there, how much reaches its threshold"),
    ("F1", "their harmonic mean"),
    (
        "AP, mAP",
        "precision averaged over all thresholds by recall, and its mean over classes",
    ),
    ("ROC-AUC", "the chance that a clip with the class scores above one without"),
    ("d′", "the same as the distance of two normal densities, in standard deviations"),
    ("ECE", "how far what is said and what comes true are apart, on average over ten bins"),
    ("intervals", "hold the true figure in 95 of 100 such data; recordings are what is drawn"),
)


def html_page(report: ReportData) -> Html:
    """The whole document. Labels and file names are text in it, whatever they hold."""
    head = tag(
        "head",
        tag("meta", charset="utf-8"),
        tag("meta", http_equiv="Content-Security-Policy", content=CONTENT_POLICY),
        tag("meta", name="viewport", content="width=device-width, initial-scale=1"),
        tag("title", report.title),
        tag("style", Html(STYLE)),
    )
    body = tag(
        "body",
        tag("main", *_sections(report)),
        tag("footer", tag("p", f"Made by oido {__version__}.", class_="soft")),
    )
    return join(Html("<!DOCTYPE html>\n"), tag("html", head, body, lang="en"), "\n")


def _sections(report: ReportData) -> Iterator[Html]:
    yield tag("h1", report.title)
    yield tag("p", report.how, class_="soft")
    for note in report.notes:
        yield tag("p", note, class_="soft")
    yield _section("What it means", _verdict(report), _figures(report))
    yield _section("Classes", class_table(report.metrics))
    if matrix := confusion_picture(report.metrics):
        yield _section("What is taken for what", _figure(matrix), confusion_table(report.metrics))
    yield _section("Can it be trusted?", tag("div", *_trust(report), class_="pictures"))
    compared = list(_compared(report))
    if compared:
        yield _section("Against simpler ways, and with less data", *compared)
    yield _section("Worst mistakes", _mistakes(report))
    yield _section("The data", *_data(report))
    if report.facts:
        yield _section("How it was made", _pairs(report.facts))
    yield _section("The words", _pairs(_WORDS))


def _section(title: str, *content: Html) -> Html:
    return tag("section", tag("h2", title), *content)


def _verdict(report: ReportData) -> Html:
    items = (
        tag("li", tag("b", _TONES[remark.tone]), remark.text, class_=remark.tone)
        for remark in report.verdict
    )
    return tag("ul", *items, class_="verdict")


def _figures(report: ReportData) -> Html:
    m = report.metrics
    shown = (
        ("clip accuracy", m.clip_accuracy),
        ("window accuracy", m.window_accuracy),
        ("right decisions", m.label_accuracy),
        ("mAP", m.macro_ap),
        ("ROC-AUC", m.macro_roc_auc),
        ("d′", Estimate(m.macro_d_prime)),
        ("macro F1", m.macro_f1),
        ("micro F1", m.micro_f1),
        ("ECE", Estimate(m.reliability.ece if report.judged.calibrated else math.nan)),
        ("Brier score", m.reliability.brier),
    )
    cards = [
        tag("div", name, tag("strong", number(each.value)), tag("small", interval(each)))
        for name, each in shown
        if not math.isnan(each.value)
    ]
    return tag("div", *cards, class_="figures")


def _trust(report: ReportData) -> Iterator[Html]:
    m = report.metrics
    if m.reliability.cases:
        what = "Raw scores, read as if they were probabilities; they are not"
        if report.judged.calibrated:
            what = "How often it is right when it says so; numbers count cases"
        yield _figure(reliability_picture(m.reliability, m.reliability_before), what)
    if curves := precision_recall_picture(report.judged, m):
        yield _figure(curves, "Precision against recall, the hardest classes")


def _compared(report: ReportData) -> Iterator[Html]:
    if bars := baselines_picture(report.metrics.clip_accuracy, report.baselines):
        rows = [("this model", report.clip_accuracy, report.mAP), *report.baselines]
        yield tag(
            "div",
            _figure(bars),
            tag(
                "table",
                tag("tr", *(tag("th", head, scope="col") for head in ("", "accuracy", "mAP"))),
                *(
                    tag("tr", tag("td", name), tag("td", number(acc)), tag("td", number(ap)))
                    for name, acc, ap in rows
                ),
            ),
            class_="pictures",
        )
    if curve := learning_picture(report.learning_curve):
        yield _figure(curve, "With fewer clips of each class; bars are one standard deviation")


def _mistakes(report: ReportData) -> Html:
    if not report.mistakes:
        return tag("p", "None.")
    cards, left = [], MOST_BYTES
    for mistake in report.mistakes:
        media, size = _media(mistake, left)
        left -= size
        cards.append(_card(mistake, report.judged.calibrated, media))
    return tag("div", *cards, class_="mistakes")


def _card(mistake: Mistake, calibrated: bool, media: Html | None) -> Html:
    kind = "probability" if calibrated else "score"
    return tag(
        "article",
        tag("p", "said ", tag("b", mistake.said), ", is ", tag("b", mistake.truth)),
        tag("p", f"{kind} of {mistake.label}: {mistake.value:.2f}", class_="soft"),
        media or tag("p", "cannot be played here", class_="soft"),
        tag("p", tag("small", str(mistake.clip), class_="soft")),
        class_="mistake",
    )


def _media(mistake: Mistake, most_bytes: int) -> tuple[Html | None, int]:
    """The picture and the player, and how many bytes they take; None where there is no sound."""
    found = excerpt(mistake.clip, mistake.centre)
    if found is None:
        return None, 0
    picture = spectrogram_picture(found.log_mel, found.start, found.seconds)
    sound = data_uri(found.flac, "audio/flac")
    label = f"{mistake.clip}, {found.seconds:.1f} s from {found.start:.1f} s on"
    media = join(
        _figure(picture, f"{LOW_HZ:g} Hz (below) to {HIGH_HZ:g} Hz, mel scale"),
        tag("audio", controls=True, preload="none", src=sound, aria_label=label),
    )
    return (media, len(media)) if len(media) <= most_bytes else (None, 0)


def _data(report: ReportData) -> Iterator[Html]:
    if report.dataset is not None:
        yield tag("pre", str(report.dataset))
    if report.left_out:
        items = (tag("li", f"{name}: {reason}") for name, reason in report.left_out)
        yield tag("p", f"Left out, because they cannot be used: {len(report.left_out)}")
        yield tag("ul", *items)
    elif report.dataset is None:
        yield tag("p", "Every clip was heard.")


def _pairs(pairs: tuple[tuple[str, object], ...]) -> Html:
    entries = (join(tag("dt", str(name)), tag("dd", str(value))) for name, value in pairs)
    return tag("dl", *entries)


def _figure(picture: Picture, caption: str = "") -> Html:
    image = tag("img", src=data_uri(picture.svg, "image/svg+xml"), alt=picture.words)
    return tag("figure", image, tag("figcaption", caption) if caption else None)
