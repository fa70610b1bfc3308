# SPDX-License-Identifier: Apache-2.0
"""The pictures of a report: SVG by Matplotlib, on white, each described in words too.

Labels stay text, and are never read as formulas, whatever signs are in them.
"""

from __future__ import annotations

import io
import re
import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any, NamedTuple

import numpy as np

from oido.arrays import F32, I64
from oido.errors import needs_extra
from oido.evaluation.bootstrap import Estimate
from oido.evaluation.metrics import Metrics
from oido.evaluation.predictions import ClipPredictions
from oido.evaluation.ranking_and_calibration import Reliability, precision_recall
from oido.evaluation.verdict import Baseline, CurvePoint
from oido.messages import joined, shown, tr

MOST_CLASSES = 25
"""Rows of a confusion matrix that can still be read."""

MOST_CURVES = 8

_STYLE: Any = {  # its keys are a type of their own in newer versions only
    "svg.fonttype": "none",
    "svg.hashsalt": "oido",
    "text.parse_math": False,
    "font.family": "sans-serif",
    "font.size": 10,
    "axes.spines.top": False,
    "axes.spines.right": False,
}
_BLUE, _ORANGE, _GREY = "#0072b2", "#d55e00", "#767676"
_COLOURS = (_BLUE, _ORANGE, "#009e73", "#cc79a7", "#56b4e9", "#e69f00", "#000000", "#999933")
"""Told apart by colour-blind readers too (Okabe and Ito 2008)."""

_DASHES = ("-", "--", "-.", ":")
_LONGEST_LABEL = 24
_NEEDED = tr(
    "the report's pictures need Matplotlib; run: pip install 'oido[train]', or "
    "save the report as .json"
)


class Picture(NamedTuple):
    """An SVG document, and what it shows in words."""

    svg: bytes
    words: str


def confusion_picture(metrics: Metrics) -> Picture | None:
    """Rows are true classes, columns predicted ones; None with several classes per clip."""
    if metrics.confusion is None:
        return None
    matrix, labels = _without_empty(metrics.confusion, metrics.confusion_labels)
    size, rows = len(labels), matrix.sum(axis=1, keepdims=True)
    shares = matrix / np.maximum(rows, 1)
    with _figure(2.2 + 0.42 * size, 1.6 + 0.36 * size) as (axes, svg):
        axes.imshow(shares, cmap="Blues", vmin=0, vmax=1)
        for row, column in np.argwhere(matrix > 0):
            colour = "white" if shares[row, column] > 0.5 else "black"
            text = f"{matrix[row, column]}"
            axes.text(column, row, text, ha="center", va="center", color=colour, fontsize=8)
        ticks = [_short(label) for label in labels]
        axes.set_xticks(range(size), ticks, rotation=45, ha="right", rotation_mode="anchor")
        axes.set_yticks(range(size), ticks)
        axes.set_xlabel(shown(tr("said")))
        axes.set_ylabel(shown(tr("true")))
        axes.spines[:].set_visible(False)
    right = int(np.trace(metrics.confusion))
    words = tr(
        "Confusion matrix of {size} rows: {right} of {sum} clips lie",
        size=size,
        right=right,
        sum=int(metrics.confusion.sum()),
    )
    return Picture(
        bytes(svg),
        tr("{words} on the diagonal. The same numbers stand in the table below.", words=words),
    )


def reliability_picture(found: Reliability, before: Reliability | None = None) -> Picture:
    """How often predictions of each probability come true, and how many of them there are."""
    curves = [(tr("probabilities"), found, _BLUE, "o-")]
    if before is not None:
        curves.append((tr("raw scores"), before, _ORANGE, "s--"))
    with _figure(4.4, 4.0) as (axes, svg):
        axes.plot(
            [0, 1], [0, 1], color=_GREY, linewidth=1, linestyle=":", label=shown(tr("perfect"))
        )
        for name, each, colour, line in curves:
            bins = [entry for entry in each.bins if entry.cases]
            x, y = [b.confidence for b in bins], [b.observed for b in bins]
            axes.plot(x, y, line, color=colour, label=f"{shown(name)}, ECE {each.ece:.3f}")
        for entry in found.bins:
            if entry.cases:
                place = (entry.confidence, entry.observed)
                axes.annotate(str(entry.cases), place, (4, -10), textcoords="offset points")
        axes.set(
            xlim=(0, 1.02),
            ylim=(0, 1.05),
            xlabel=shown(tr("what was said")),
            ylabel=shown(tr("what came true")),
        )
        axes.legend(frameon=False, loc="upper left")
    described = joined(
        "; ",
        (
            tr(
                "of {cases} cases at {confidence:.2f}, {observed:.2f}",
                cases=b.cases,
                confidence=b.confidence,
                observed=b.observed,
            )
            for b in found.bins
            if b.cases
        ),
    )
    return Picture(
        bytes(svg), tr("Reliability diagram. What came true: {described}.", described=described)
    )


def precision_recall_picture(judged: ClipPredictions, metrics: Metrics) -> Picture | None:
    """Curves of the classes with the lowest average precision, or of all if they are few."""
    ranked = [n for n, entry in enumerate(metrics.classes) if entry.ap.is_known]
    ranked = sorted(ranked, key=lambda n: metrics.classes[n].ap.value)[:MOST_CURVES]
    if not ranked:
        return None
    with _figure(6.2, 3.6) as (axes, svg):
        for place, number in enumerate(ranked):
            known, entry = judged.known[:, number], metrics.classes[number]
            present = judged.targets[known, number] > 0
            precision, recall = precision_recall(present, judged.probabilities[known, number])
            axes.plot(
                recall,
                precision,
                color=_COLOURS[place],
                linestyle=_DASHES[place % len(_DASHES)],
                drawstyle="steps-post",
                label=f"{_short(entry.label)} {entry.ap.value:.2f}",
            )
        axes.set(
            xlim=(0, 1.02),
            ylim=(0, 1.05),
            xlabel=shown(tr("recall")),
            ylabel=shown(tr("precision")),
        )
        place_beside = {"loc": "center left", "bbox_to_anchor": (1.0, 0.5)}
        axes.legend(frameon=False, title=shown(tr("average precision")), fontsize=8, **place_beside)
    listed = ", ".join(
        f"{metrics.classes[n].label} {metrics.classes[n].ap.value:.2f}" for n in ranked
    )
    return Picture(
        bytes(svg), tr("Precision against recall. Average precision: {listed}.", listed=listed)
    )


def learning_picture(curve: Sequence[CurvePoint]) -> Picture | None:
    """Accuracy by clips of a class, with a standard deviation up and down."""
    points = sorted(curve)
    if len(points) < 2:
        return None
    with _figure(4.8, 3.4) as (axes, svg):
        x, y, spread = (list(values) for values in zip(*points))
        axes.errorbar(x, y, yerr=spread, fmt="o-", color=_BLUE, capsize=3)
        axes.set_xscale("log")
        axes.set_xticks(x, [f"{round(value, 1):g}" for value in x])
        axes.minorticks_off()
        axes.set(xlabel=shown(tr("clips of each class")), ylabel=shown(tr("accuracy")))
        axes.set_ylim(top=min(1.02, axes.get_ylim()[1]))
    described = joined(
        ", ",
        [
            tr(
                "{accuracy:.3f} with {clips:g}",
                accuracy=p.accuracy,
                clips=round(p.clips_per_class, 1),
            )
            for p in points
        ],
    )
    return Picture(
        bytes(svg),
        tr("Learning curve. Accuracy by clips of each class: {described}.", described=described),
    )


def baselines_picture(accuracy: Estimate, baselines: Sequence[Baseline]) -> Picture | None:
    """The accuracy beside that of simpler ways."""
    if not baselines or not accuracy.is_known:
        return None
    names = [shown(tr("this model")), *(shown(baseline.name) for baseline in baselines)]
    values = [accuracy.value, *(baseline.accuracy for baseline in baselines)]
    with _figure(5.2, 0.9 + 0.36 * len(names)) as (axes, svg):
        colours = [_BLUE] + [_GREY] * len(baselines)
        axes.barh(range(len(names)), values, color=colours)
        if accuracy.has_interval:
            spread = [[accuracy.value - accuracy.low], [accuracy.high - accuracy.value]]
            axes.errorbar([accuracy.value], [0], xerr=spread, color="black", capsize=3)
        ticks = [f"{_short(name)} {value:.3f}" for name, value in zip(names, values)]
        axes.set_yticks(range(len(names)), ticks)
        axes.invert_yaxis()
        axes.set(xlim=(0, 1), xlabel=shown(tr("accuracy")))
    described = ", ".join(f"{name} {value:.3f}" for name, value in zip(names, values))
    return Picture(bytes(svg), tr("Accuracy: {described}.", described=described))


def spectrogram_picture(log_mel: F32, start: float, seconds: float) -> Picture:
    """f32[t, bands] over time, low bands below; ``start`` s from the start of the recording."""
    with _figure(4.2, 1.7) as (axes, svg):
        low, high = np.quantile(log_mel, (0.02, 0.995))
        extent = (start, start + seconds, 0, log_mel.shape[1])
        axes.imshow(
            log_mel.T,
            origin="lower",
            aspect="auto",
            extent=extent,
            cmap="magma",
            interpolation="none",  # the pixels as they are: a smaller file
            vmin=low,
            vmax=max(high, low + 1),
        )
        axes.set_yticks([])
        axes.set_xlabel("s")
    end = start + seconds
    return Picture(
        bytes(svg),
        tr("Spectrogram from {start:.2f} to {end:.2f} s of the recording.", start=start, end=end),
    )


def _without_empty(matrix: I64, labels: tuple[str, ...]) -> tuple[I64, tuple[str, ...]]:
    """Without rows and columns that are empty; of too many classes, those with most mistakes."""
    wrong = matrix.sum(axis=0) + matrix.sum(axis=1) - 2 * np.diag(matrix)
    used = np.flatnonzero(matrix.sum(axis=0) + matrix.sum(axis=1))
    worst = used[np.argsort(-wrong[used], kind="stable")][:MOST_CLASSES]
    kept = np.sort(worst)
    return matrix[np.ix_(kept, kept)], tuple(labels[number] for number in kept)


def _short(label: str) -> str:
    return label if len(label) <= _LONGEST_LABEL else label[: _LONGEST_LABEL - 1] + "…"


@contextmanager
def _figure(width: float, height: float) -> Iterator[tuple[Any, bytearray]]:
    """The axes of a figure of so many inches, and its SVG, which is there when the block is over.

    No window and no state. The SVG is without what changes from run to run, and without the address
    of its type.
    """
    with needs_extra(_NEEDED):
        from matplotlib import rc_context
        from matplotlib.figure import Figure
    with rc_context(_STYLE), warnings.catch_warnings():
        # The reader's own fonts draw the labels, so those that are measured with may lack letters.
        warnings.filterwarnings("ignore", message="Glyph .* missing")
        figure: Any = Figure(figsize=(width, height), layout="constrained", facecolor="white")
        svg, file = bytearray(), io.StringIO()
        yield figure.add_subplot(), svg
        metadata = {"Date": None, "Creator": None, "Format": None, "Type": None}
        figure.savefig(file, format="svg", metadata=metadata)
        text = re.sub(r"<!DOCTYPE.*?>", "", file.getvalue(), count=1, flags=re.DOTALL)
        svg += text.encode()
