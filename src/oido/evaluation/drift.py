# SPDX-License-Identifier: Apache-2.0
"""Have recordings changed since a model was calibrated? Two sets of them, compared.

What the comparison means is said in sentences that follow by stated rules.
"""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np

from oido.arrays import F64, I64
from oido.datasets.clip import LeftOut
from oido.errors import OptionError
from oido.evaluation.bootstrap import Estimate, plain
from oido.evaluation.drift_features import Acoustics, FeatureSet, collect_features
from oido.evaluation.evaluate import label_thresholds
from oido.evaluation.two_sample_tests import (
    joint_p,
    mmd,
    moved_columns,
    principal,
    separation,
    shuffled,
    source_weights,
)
from oido.evaluation.verdict import Remark
from oido.inference.classifier import AudioClassifier
from oido.messages import listed, shown, tr
from oido.models.labels import label_text
from oido.models.model import AudioModel
from oido.paths import escape_controls, is_recording, walk

LEAST_RECORDINGS = 5
"""Of each set; with fewer, next to nothing would ever be found."""

FEW_RECORDINGS = 30
SLIGHT, CLEAR = 0.65, 0.8
"""Areas under ROC: below the first a shift is called slight, from the second on clear."""

_LISTED = 10
_ROUNDS = 999
_MOST_STRETCHES = 2_000
_NOTICEABLE = 0.1
"""A class that no stretch of either set scores so high is not looked at."""

Paths = str | os.PathLike[str] | Sequence[str | os.PathLike[str]]


class SetSize(NamedTuple):
    """Files that were heard, the source recordings they are of, and the stretches of them kept."""

    files: int
    recordings: int
    stretches: int


class MovedClass(NamedTuple):
    """A class whose scores (probabilities, where the model is calibrated) moved.

    area: how often a new stretch scores higher than one of reference, 0..1. p: of so large a move
    of any class. …_mean: the mean score; …_share: the share of stretches at or above the threshold.
    distance: Wasserstein's, how far a score moved on average.
    """

    label: str
    area: float
    p: float
    reference_mean: float
    new_mean: float
    reference_share: float
    new_share: float
    distance: float


class MovedFact(NamedTuple):
    """A fact of how recordings sound (`Acoustics`), the medians of both sets, and if it differs."""

    name: str
    reference: float
    new: float
    p: float
    differs: bool


@dataclass(frozen=True)
class Drift:
    """Whether new recordings are heard as those of reference are.

    shifted: they are not; a false alarm in at most ``level`` of pairs without a difference. p: of
    all three tests together. area: how well a linear classifier of embeddings tells new stretches
    from those of reference, 0.5 is not at all. mmd: squared maximum mean discrepancy, 0 is none,
    and chance may make it negative. moved: the classes whose scores moved, most first.
    ``str`` is for reading, `to_dict` for JSON.
    """

    model: str
    calibrated: bool
    level: float
    reference: SetSize
    new: SetSize
    shifted: bool
    p: float
    area: Estimate
    area_p: float
    mmd: float
    mmd_p: float
    classes_looked_at: int
    classes_p: float
    moved: tuple[MovedClass, ...]
    facts: tuple[MovedFact, ...]
    left_out: tuple[LeftOut, ...] = ()

    @property
    def verdict(self) -> tuple[Remark, ...]:
        """The sentences, most important first; each function states its rule."""
        what = tr("calibration and thresholds") if self.calibrated else tr("thresholds")
        return (*_trust(self, what), *_classes(self.moved), *_sound(self.facts, self.shifted))

    def to_dict(self) -> dict[str, Any]:
        """For JSON."""
        content: dict[str, Any] = {**plain(self), "verdict": plain(self.verdict)}
        for entry in content["moved"]:
            entry["reference_heard"] = entry.pop("reference_share")
            entry["new_heard"] = entry.pop("new_share")
        return content

    def to_json(self) -> str:
        """`to_dict` as text."""
        return json.dumps(self.to_dict(), indent=2, ensure_ascii=False)

    def __str__(self) -> str:
        lines: list[str] = [str(remark) for remark in self.verdict]
        lines += [
            "",
            tr(
                "reference  {recordings} recordings, {stretches} stretches of 5 s or less",
                recordings=self.reference.recordings,
                stretches=self.reference.stretches,
            ),
            tr(
                "new        {recordings} recordings, {stretches} stretches",
                recordings=self.new.recordings,
                stretches=self.new.stretches,
            ),
            tr(
                "new told from reference: AUC {area:.2f} [{low:.2f}, {high:.2f}], p "
                "{area_p:.3f}; MMD² {mmd:.4f}, p {mmd_p:.3f}; classes, p "
                "{classes_p:.3f}; together, p {p:.3f}",
                area=self.area.value,
                low=self.area.low,
                high=self.area.high,
                area_p=self.area_p,
                mmd=self.mmd,
                mmd_p=self.mmd_p,
                classes_p=self.classes_p,
                p=self.p,
            ),
        ]
        if self.moved:
            labels = [shown(label_text(entry.label)) for entry in self.moved[:_LISTED]]
            width = max(map(len, labels))
            head = tr("heard in: reference    new  mean: reference    new")
            lines += ["", f"{shown(tr('class')):{width}}  {shown(head)}"]
            lines += [
                f"{label:{width}}  {e.reference_share:19.0%}  {e.new_share:5.0%}  "
                f"{e.reference_mean:15.3f}  {e.new_mean:5.3f}"
                for label, e in zip(labels, self.moved)
            ]
            if len(self.moved) > _LISTED:
                lines.append(tr("and {count} more", count=len(self.moved) - _LISTED))
        lines += [
            tr("left out: {name}: {reason}", name=name, reason=reason)
            for name, reason in self.left_out
        ]
        return "\n".join(escape_controls(shown(line)) for line in lines)


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
    needed. The reference is what the model was calibrated or tested on. level: the share of false
    alarms, that is of pairs of sets without a difference for which one is reported. jobs:
    recordings at once. Of each, at most ten stretches of 5 s are kept (`collect_features`), so that
    memory does not depend on their lengths; files that cannot be decoded are left out.

    Raises OptionError for fewer than `LEAST_RECORDINGS` source recordings on a side.
    """
    if not 0 < level < 1:
        raise OptionError(
            tr("level is a share between 0 and 1, such as 0.05, not {level:g}", level=level)
        )
    old_paths, new_paths = _paths(reference), _paths(new)
    classifier = model if isinstance(model, AudioClassifier) else AudioClassifier(model, jobs=1)
    classifier.model.require_embeddings()
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
                tr(
                    "the {name} set has {sources} recordings that can be heard, too "
                    "few to compare by; give {least_recordings} or more of other "
                    "sources",
                    name=name,
                    sources=features.sources,
                    least_recordings=LEAST_RECORDINGS,
                )
                + (tr(" ({name}: {reason})", name=first.name, reason=first.reason) if first else "")
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
    thresholds = label_thresholds(classifier)
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


def _changes(
    old: FeatureSet, new: FeatureSet, column: int, threshold: float
) -> tuple[float, float, float, float, float]:
    """The means, the shares at the threshold, and the distance, as `MovedClass` has them."""
    shares = [source_weights(each.source) for each in (old, new)]  # each source counts alike
    both = [(w / w.sum(), each.values[:, column]) for w, each in zip(shares, (old, new))]
    edges = np.unique(np.concatenate([values for _, values in both]))
    below = [
        np.cumsum(np.bincount(np.searchsorted(edges, values), weights, len(edges)))
        for weights, values in both
    ]
    means = [float(weights @ values) for weights, values in both]
    reached = [float(weights @ (values >= threshold)) for weights, values in both]
    distance = float(np.abs(below[0] - below[1])[:-1] @ np.diff(edges))
    return means[0], means[1], reached[0], reached[1], distance


def _paths(recordings: Paths) -> list[str]:
    """The recordings of a folder, or those named. Raises OptionError if there are none."""
    if not isinstance(recordings, str | os.PathLike):
        return [os.fspath(path) for path in recordings]
    name = os.fspath(recordings)
    if not os.path.isdir(name):
        raise OptionError(tr("{name}: no such folder; give a folder of recordings", name=name))
    found = [path for path, _ in walk(name, is_recording).files]
    if not found:
        raise OptionError(
            tr("{name}: no recordings in this folder (such as .wav or .mp3)", name=name)
        )
    return found


def _trust(found: Drift, what: str) -> Iterator[Remark]:
    """No shift: trusted, from `FEW_RECORDINGS` on. Else by the area."""
    fewest = min(found.reference.recordings, found.new.recordings)
    if not found.shifted and fewest < FEW_RECORDINGS:
        text = tr(
            "no shift found, but with only {fewest} recordings on a side, none but a large shift "
            "would show: whether {what} can still be trusted is not known",
            fewest=fewest,
            what=what,
        )
        yield Remark("fair", text)
        return
    if not found.shifted:
        yield Remark(
            "good",
            tr("no shift found: {what} made on the reference can still be trusted", what=what),
        )
        return
    area = found.area.value
    facts = tr("new recordings differ from the reference (AUC {area:.2f})", area=area)
    if area >= SLIGHT:
        size = tr("a clear shift") if area >= CLEAR else tr("a shift")
        yield Remark(
            "poor",
            tr(
                "{size}: {facts}; do not trust {what} made on the reference: label "
                "some new recordings, and calibrate with them",
                size=size,
                facts=facts,
                what=what,
            ),
        )
    elif found.moved:
        yield Remark(
            "fair",
            tr(
                "a slight shift: {facts}; {what} may be off for the classes that "
                "moved: check these on labelled new recordings",
                facts=facts,
                what=what,
            ),
        )
    else:
        yield Remark(
            "fair",
            tr(
                "a slight shift: {facts}, but no class scores differently; {what} "
                "are likely to hold: check them on a few labelled new recordings",
                facts=facts,
                what=what,
            ),
        )


def _classes(moved: Sequence[MovedClass]) -> Iterator[Remark]:
    for tone, rising in ((tr("higher"), True), (tr("lower"), False)):
        found = [e for e in moved if (e.area > 0.5) == rising]
        if found:
            quoted = [tr("{label!r}", label=label_text(entry.label)) for entry in found]
            names = listed(quoted, _LISTED // 2)
            verb = tr("scores") if len(found) == 1 else tr("score")
            yield Remark(
                "fair",
                tr("in new recordings {names} {verb} {tone}", names=names, verb=verb, tone=tone),
            )


_PHRASES = {
    "sample_rate_hz": (
        tr("have a higher sample rate"),
        tr("have a lower sample rate"),
        "{:.0f} Hz",
    ),
    "seconds": (tr("are longer"), tr("are shorter"), "{:.1f} s"),
    "level_db": (tr("are louder"), tr("are quieter"), "{:.0f} dB"),
    "silent_share": (tr("are silent for more of their time"), tr("are silent for less"), "{:.0%}"),
    "bandwidth_hz": (
        tr("reach higher frequencies"),
        tr("are duller, without highs"),
        tr("up to {:.0f} Hz"),
    ),
}
"""Of a fact that is more, of one that is less, and how its values are written."""


def _sound(facts: Sequence[MovedFact], shifted: bool) -> Iterator[Remark]:
    """What differs in how recordings sound; it explains a shift, and is no matter without one."""
    for fact in facts:
        if not fact.differs or fact.new == fact.reference:
            continue
        more, less, form = _PHRASES[fact.name]
        new, old = (form.format(value) for value in (fact.new, fact.reference))
        text = tr(
            "new recordings {more}, {new} against {old}",
            more=more if fact.new > fact.reference else less,
            new=new,
            old=old,
        )
        if shifted:
            yield Remark("fair", text)
        else:
            yield Remark("good", tr("{text}, which the model does not mind", text=text))
