# SPDX-License-Identifier: Apache-2.0
"""Have recordings changed since a model was calibrated? Two sets of them, compared."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence

import numpy as np

from oido.arrays import F64, I64
from oido.datasets.folders import files_below, is_recording
from oido.errors import OptionError
from oido.evaluation.drift_features import Acoustics, FeatureSet, collect_features
from oido.evaluation.drift_report import Drift, MovedClass, MovedFact, SetSize
from oido.evaluation.two_sample_tests import (
    joint_p,
    mmd,
    moved_columns,
    principal,
    separation,
    shuffled,
)
from oido.events.thresholds import on_thresholds
from oido.inference.classifier import AudioClassifier
from oido.inference.embedder import require_embeddings
from oido.models.model import AudioModel
from oido.params import Detection

__all__ = ["LEAST_RECORDINGS", "Drift", "drift"]

LEAST_RECORDINGS = 5
"""Of each set; with fewer, next to nothing would ever be found."""

_ROUNDS = 999
_MOST_STRETCHES = 2_000
_NOTICEABLE = 0.1
"""A class that no stretch of either set scores so high is not looked at."""

Paths = str | os.PathLike[str] | Sequence[str | os.PathLike[str]]


def drift(
    reference: Paths,
    new: Paths,
    model: str | os.PathLike[str] | AudioModel | AudioClassifier = "yamnet/classification",
    *,
    level: float = 0.05,
    seed: int = 0,
    jobs: int | None = None,
    progress: Callable[[int, int], None] = lambda done, total: None,
) -> Drift:
    """Compare what a model hears in new recordings with what it hears in those of reference.

    reference, new: a folder, searched to its bottom, or the paths of recordings; no labels are
    needed. The reference is what the model was calibrated or tested on. level: of a hundred pairs
    of sets without a difference, in how many one may be said to be there, as a share. jobs:
    recordings at once. Of each, at most ten stretches of 5 s are kept (`collect_features`), so that
    memory does not depend on their lengths; files that cannot be decoded are left out.

    Raises OptionError for fewer than `LEAST_RECORDINGS` source recordings on a side.
    """
    if not 0 < level < 1:
        raise OptionError(f"level is a share between 0 and 1, such as 0.05, not {level:g}")
    old_paths, new_paths = _paths(reference), _paths(new)
    classifier = model if isinstance(model, AudioClassifier) else AudioClassifier(model, jobs=1)
    require_embeddings(classifier.model)
    total = len(old_paths) + len(new_paths)
    old_features = collect_features(
        classifier, old_paths, seed=seed, jobs=jobs, progress=lambda done: progress(done, total)
    )
    new_features = collect_features(
        classifier,
        new_paths,
        seed=seed + 1,
        jobs=jobs,
        progress=lambda done: progress(len(old_paths) + done, total),
    )
    for name, features in (("reference", old_features), ("new", new_features)):
        if features.sources < LEAST_RECORDINGS:
            first = features.left_out[0] if features.left_out else None
            raise OptionError(
                f"the {name} set has {features.sources} recordings that can be heard, too few to "
                f"compare by; give {LEAST_RECORDINGS} or more of other sources"
                + (f" ({first.name}: {first.reason})" if first else "")
            )
    return _compare(classifier, old_features, new_features, level, seed)


def _compare(
    classifier: AudioClassifier, old_all: FeatureSet, new_all: FeatureSet, level: float, seed: int
) -> Drift:
    old, new = (features.sampled(_MOST_STRETCHES, seed) for features in (old_all, new_all))
    source, labels = _pooled(old.source, new.source, seed)
    features = principal(np.concatenate([old.embeddings, new.embeddings]))
    areas, area = separation(features, source, labels, seed)
    discrepancies = mmd(features, source, labels)
    values = np.concatenate([old.values, new.values]).astype(np.float64)  # f64[S, C]
    looked_at = np.flatnonzero(values.max(axis=0) >= _NOTICEABLE)
    columns = moved_columns(values[:, looked_at], source, labels)
    p, (area_p, mmd_p, classes_p) = joint_p([areas, discrepancies, columns.largest])
    thresholds = on_thresholds(
        len(classifier.labels),
        Detection(),
        classifier.label_indices,
        classifier.postprocessor.head.thresholds,
    )
    moved = [
        MovedClass(
            classifier.labels[column],
            float(columns.area[n]),
            float(columns.p[n]),
            *_changes(old, new, int(column), float(thresholds[column])),
        )
        for n, column in enumerate(looked_at)
        if p < level and columns.p[n] < level
    ]
    return Drift(
        model=classifier.model.name,
        calibrated=classifier.postprocessor.probabilities(old.values[:1]) is not None,
        level=level,
        reference=SetSize(len(old_all.facts), old_all.sources, len(old_all.source)),
        new=SetSize(len(new_all.facts), new_all.sources, len(new_all.source)),
        shifted=p < level,
        p=p,
        area=area,
        area_p=area_p,
        mmd=float(discrepancies[0]),
        mmd_p=mmd_p,
        classes_looked_at=len(looked_at),
        classes_p=classes_p,
        moved=tuple(sorted(moved, key=lambda each: -each.distance)),
        facts=_facts(old_all, new_all, level, seed),
        left_out=(*old_all.left_out, *new_all.left_out),
    )


def _facts(old: FeatureSet, new: FeatureSet, level: float, seed: int) -> tuple[MovedFact, ...]:
    """All facts, each with the medians of both sets, and whether it differs."""
    source, labels = _pooled(old.file_source, new.file_source, seed)
    found = moved_columns(np.concatenate([old.facts, new.facts]), source, labels)
    return tuple(
        MovedFact(
            name,
            float(np.median(old.facts[:, n])),
            float(np.median(new.facts[:, n])),
            float(found.p[n]),
            bool(found.p[n] < level),
        )
        for n, name in enumerate(Acoustics._fields)
    )


def _pooled(old: I64, new: I64, seed: int) -> tuple[I64, F64]:
    """Sources of both sets, and their labels with permutations."""
    m, n = int(old.max()) + 1, int(new.max()) + 1
    return np.concatenate([old, new + m]), shuffled(np.arange(m + n) >= m, _ROUNDS, seed)


def _weighted(source: I64) -> F64:
    """f64[S], sum 1: each source counts alike."""
    weights = 1 / np.bincount(source)[source]
    return np.asarray(weights / weights.sum())


def _changes(
    old: FeatureSet, new: FeatureSet, column: int, threshold: float
) -> tuple[float, float, float, float, float]:
    """The means, the shares at the threshold, and the distance, as `MovedClass` has them."""
    both = [(_weighted(each.source), each.values[:, column]) for each in (old, new)]
    edges = np.unique(np.concatenate([values for _, values in both]))
    below = [
        np.cumsum(np.bincount(np.searchsorted(edges, values), weights, len(edges)))
        for weights, values in both
    ]
    means = [float(weights @ values) for weights, values in both]
    shares = [float(weights @ (values >= threshold)) for weights, values in both]
    distance = float(np.abs(below[0] - below[1])[:-1] @ np.diff(edges))
    return means[0], means[1], shares[0], shares[1], distance


def _paths(recordings: Paths) -> list[str]:
    """The recordings of a folder, or those named. Raises OptionError if there are none."""
    if not isinstance(recordings, str | os.PathLike):
        return [os.fspath(path) for path in recordings]
    name = os.fspath(recordings)
    if not os.path.isdir(name):
        raise OptionError(f"{name}: no such folder; give a folder of recordings")
    found = [path for path in files_below(name) if is_recording(path)]
    if not found:
        raise OptionError(f"{name}: no recordings in this folder (such as .wav or .mp3)")
    return found
