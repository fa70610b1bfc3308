# SPDX-License-Identifier: Apache-2.0
"""The raw scores that a model gives to labelled clips: what calibrations are fitted on."""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from oido.classifier import AudioClassifier
from oido.errors import OptionError
from oido.heads import Head
from oido.models.model import AudioModel
from oido.training.clip import Clip, LeftOut
from oido.training.dataset import Dataset
from oido.training.evaluate import Progress, judge
from oido.training.judged import JudgedClips, JudgedWindows
from oido.training.labels import NON_EVENTS

__all__ = ["LabelledScores", "head_of", "score_clips"]


@dataclass(frozen=True, eq=False)
class LabelledScores:
    """K clips, M windows of them, and C classes, which are some of the model's labels.

    columns: of the classes, among the model's labels. scores: f32[K, C], raw. targets: f32[K, C],
    1, 0, or NaN where nobody knows. windows: f32[M, C], raw; clip_index: i64[M]. hours: f64[K], the
    length of each clip, to within half a hop.
    """

    clips: tuple[Clip, ...]
    classes: tuple[str, ...]
    columns: tuple[int, ...]
    scores: NDArray[np.float32]
    targets: NDArray[np.float32]
    windows: NDArray[np.float32]
    clip_index: NDArray[np.int64]
    hours: NDArray[np.float64]
    multi_label: bool = False

    def __len__(self) -> int:
        return len(self.clips)

    @cached_property
    def groups(self) -> NDArray[np.int64]:
        """i64[K]: numbers of the source recordings, from 0."""
        names = [clip.group for clip in self.clips]
        return np.asarray(np.unique(names, return_inverse=True)[1], np.int64)

    def subset(self, chosen: NDArray[np.bool_]) -> LabelledScores:
        """The clips that are chosen, bool[K], and their windows."""
        kept = chosen[self.clip_index]
        numbers = np.cumsum(chosen) - 1
        return replace(
            self,
            clips=tuple(clip for clip, is_chosen in zip(self.clips, chosen) if is_chosen),
            scores=self.scores[chosen],
            targets=self.targets[chosen],
            windows=self.windows[kept],
            clip_index=numbers[self.clip_index[kept]],
            hours=self.hours[chosen],
        )


def head_of(model: AudioModel, name: str | None) -> Head:
    """The head of this name; None is the last one. Raises OptionError."""
    heads = {head.name: head for head in model.heads}
    if name is not None and name not in heads:
        raise OptionError(f"{model.name} has no head {name!r}; it has {', '.join(heads)}")
    return model.head if name is None else heads[name]


def score_clips(
    model: AudioModel,
    dataset: Dataset,
    *,
    head: str | None = None,
    progress: Progress | None = None,
) -> tuple[LabelledScores, tuple[LeftOut, ...]]:
    """Hear every clip with a head of the model, and the clips that could not be heard.

    A calibration that the model has is passed over. Classes are as for `oido.training.evaluate`;
    a label "background" of the model counts as one, which clips without any event have. Raises
    OptionError for a label that the model does not have, and if no clip can be heard.
    """
    chosen = head_of(model, head)
    heads = [replace(h, calibration=None) if h is chosen else h for h in model.heads]
    classifier = AudioClassifier(replace(model, heads=tuple(heads)), head=chosen.name)
    judged, left_out = judge(classifier, dataset, progress=progress)
    windows = judged.windows
    assert windows is not None
    assert windows.times is not None
    labels = classifier.labels
    scores, targets, of_windows = judged.probabilities, judged.targets, windows.probabilities
    classes = judged.classes
    silent = [x for x in labels if x.casefold() in NON_EVENTS and x not in classes]
    if judged.no_event is not None and windows.no_event is not None and len(silent) == 1:
        classes = (*classes, silent[0])
        scores = np.column_stack([scores, judged.no_event])
        targets = np.column_stack([targets, _no_event(judged)])
        of_windows = np.column_stack([of_windows, windows.no_event])
    hop = classifier.windowing.hop_samples / classifier.windowing.sample_rate_hz
    found = LabelledScores(
        clips=judged.clips,
        classes=classes,
        columns=tuple(labels.index(name) for name in classes),
        scores=scores,
        targets=targets,
        windows=of_windows,
        clip_index=windows.clip_index,
        hours=_hours(len(judged), windows, hop),
        multi_label=dataset.multi_label,
    )
    return found, left_out


def _no_event(judged: JudgedClips) -> NDArray[np.float32]:
    """f32[K]: 1 for clips without an event, 0 for others, NaN where nobody knows."""
    values = [0.0 if c.labels else 1.0 if c.complete else np.nan for c in judged.clips]
    return np.array(values, np.float32)


def _hours(count: int, windows: JudgedWindows, hop_seconds: float) -> NDArray[np.float64]:
    """f64[K]: the last window begins a hop behind the one before, and is filled by half of it."""
    assert windows.times is not None
    ends = np.zeros(count)
    np.maximum.at(ends, windows.clip_index, windows.times[:, 1])
    return np.asarray((ends - hop_seconds / 2) / 3600)
