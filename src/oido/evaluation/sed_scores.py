# SPDX-License-Identifier: Apache-2.0
"""What is taken from sed_scores_eval, the package of ``pip install 'oido[evaluate]'``.

It matches events by collars, counts segments, and integrates the PSD-ROC. It reads frames of scores
(pandas) and thresholds them; detections that are known go in as scores of 1 and 0.

J. Ebbers, R. Serizel, R. Haeb-Umbach, "Threshold-Independent Evaluation of Sound Event Detection
Scores", ICASSP 2022; A. Mesaros, T. Heittola, T. Virtanen, "Metrics for Polyphonic Sound Event
Detection", Applied Sciences 6, 2016; C. Bilen et al., "A Framework for the Robust Evaluation of
Sound Event Detection", ICASSP 2020.
"""

from __future__ import annotations

import importlib
import warnings
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from oido.arrays import F64, I64
from oido.datasets.regions import TimedLabel
from oido.errors import MissingExtraError, needs_extra
from oido.messages import tr

_MISSING = tr("event-based figures need sed_scores_eval; run: pip install 'oido[evaluate]'")
_PANDAS = tr("sed_scores_eval does not work with pandas 3; run: pip install 'pandas<3'")
_DECIMALS = 6
"""Of seconds; both sides are rounded so, so that a deviation of exactly a collar is inside it."""


class PsdsKind(NamedTuple):
    """What a PSDS asks of detections; the two kinds are those of DCASE's task 4 since 2021.

    dtc, gtc: the share of a detection that must be in true events, and of a true event that must be
    in such detections. cttc: what makes a detection a cross trigger, weighed by ``alpha_ct``.
    """

    dtc: float
    gtc: float
    cttc: float | None
    alpha_ct: float
    alpha_st: float = 1.0
    most_alarms_per_hour: float = 100.0


PSDS_1 = PsdsKind(0.7, 0.7, None, 0.0)
"""Asks for exact times."""

PSDS_2 = PsdsKind(0.1, 0.1, 0.3, 0.5)
"""Asks that classes are not confused."""


@dataclass(frozen=True)
class JudgedFile:
    """One recording: what is true, what was detected, and what its frames scored.

    truth, detections: ends known, those of one label apart. scores: f[N, C], of N stretches between
    the N + 1 rising ``edges``, in seconds from 0 to ``duration``.
    """

    truth: Sequence[TimedLabel]
    detections: Sequence[TimedLabel]
    scores: NDArray[np.floating]
    edges: F64
    duration: float


class Counts(NamedTuple):
    """i64[K, C] of each recording and class: rightly detected, false alarms, and true ones."""

    hits: I64
    alarms: I64
    truths: I64


class Tables:
    """Recordings and classes as the library reads them; every class needs a true event.

    Raises MissingExtraError.
    """

    def __init__(self, files: Sequence[JudgedFile], classes: Sequence[str]) -> None:
        self._library = require_library()
        self._files, self._classes = files, list(classes)
        # The library writes class names into keys with a backslash between.
        self._columns = [f"c{number}" for number in range(len(classes))]
        column = dict(zip(classes, self._columns))
        self._names = [str(number) for number in range(len(files))]
        self._truth = {
            name: [
                (round(e.start, _DECIMALS), round(e.end or 0.0, _DECIMALS), column[e.label])
                for e in file.truth
            ]
            for name, file in zip(self._names, files)
        }

    def events(self, onset_collar: float, offset_collar: float, offset_share: float) -> Counts:
        """Events whose ends are within the collars, matched one to one."""
        deltas = self._library.collar_based.intermediate_statistics_deltas(
            self._detections,
            self._truth,
            onset_collar=onset_collar,
            offset_collar=offset_collar,
            offset_collar_rate=offset_share,
            time_decimals=_DECIMALS,
        )
        truths = np.zeros((len(self._files), len(self._classes)), np.int64)
        for row, file in zip(truths, self._files):
            for event in file.truth:
                row[self._classes.index(event.label)] += 1
        return Counts(self._sums(deltas, "tps"), self._sums(deltas, "fps"), truths)

    def segments(self, seconds: float) -> Counts:
        """Stretches of so many seconds in which a class is, or is detected, however briefly."""
        deltas = self._library.segment_based.intermediate_statistics.intermediate_statistics_deltas(
            self._detections,
            self._truth,
            self._durations,
            segment_length=seconds,
            time_decimals=_DECIMALS,
        )
        truths = self._sums(deltas, "tps", above=-np.inf)
        return Counts(self._sums(deltas, "tps"), self._sums(deltas, "fps"), truths)

    def psds(self, kind: PsdsKind) -> tuple[float, dict[str, float]]:
        """The score of all classes, 0..1, and that of each by itself, at every threshold at once.

        With a single class nothing can be confused, and cross triggers do not count.
        """
        crosses = kind.alpha_ct > 0 and len(self._classes) > 1
        value, of_class, *_ = self._library.intersection_based.psds(
            self._scores,
            self._truth,
            self._durations,
            dtc_threshold=kind.dtc,
            gtc_threshold=kind.gtc,
            cttc_threshold=kind.cttc if crosses else None,
            alpha_ct=kind.alpha_ct if crosses else 0.0,
            alpha_st=kind.alpha_st,
            max_efpr=kind.most_alarms_per_hour,
            time_decimals=_DECIMALS,
        )
        return float(value), {
            name: float(of_class[column]) for name, column in zip(self._classes, self._columns)
        }

    @cached_property
    def _durations(self) -> dict[str, float]:
        return {name: file.duration for name, file in zip(self._names, self._files)}

    @cached_property
    def _detections(self) -> dict[str, Any]:
        """Frames of 1 and 0, from one start or end of a detection to the next."""
        frames = {}
        for name, file in zip(self._names, self._files):
            ends = [time for e in file.detections for time in (e.start, e.end or 0.0)]
            edges = np.unique(np.round([0.0, file.duration, *ends], _DECIMALS))
            scores = np.zeros((len(edges) - 1, len(self._classes)))
            for event in file.detections:
                first, last = np.searchsorted(
                    edges, np.round([event.start, event.end or 0.0], _DECIMALS)
                )
                scores[first:last, self._classes.index(event.label)] = 1.0
            frames[name] = self._frame(scores, edges)
        return frames

    @cached_property
    def _scores(self) -> dict[str, Any]:
        return {
            name: self._frame(np.asarray(file.scores, np.float64), np.round(file.edges, _DECIMALS))
            for name, file in zip(self._names, self._files)
        }

    def _frame(self, scores: F64, edges: F64) -> Any:
        make = self._library.base_modules.scores.create_score_dataframe
        return make(scores, edges, self._columns)

    def _sums(self, deltas: Mapping[str, Mapping[str, Any]], key: str, above: float = 0.5) -> I64:
        """i64[K, C]: a count at a threshold is the sum of its changes at the scores above."""
        found = np.zeros((len(self._files), len(self._classes)))
        for row, name in zip(found, self._names):
            for number, column in enumerate(self._columns):
                scores, changes = deltas[name][column]
                row[number] = changes[key][np.asarray(scores) > above].sum()
        return np.rint(found).astype(np.int64)


def require_library() -> Any:
    """The library that counts. Raises MissingExtraError."""
    # The warnings are of packages that it imports and that are not ours.
    with needs_extra(_MISSING), warnings.catch_warnings():
        warnings.simplefilter("ignore")
        library = importlib.import_module("sed_scores_eval")
        pandas = importlib.import_module("pandas")
    if int(pandas.__version__.split(".")[0]) > 2:
        raise MissingExtraError(_PANDAS)
    return library
