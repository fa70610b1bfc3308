# SPDX-License-Identifier: Apache-2.0
"""What a student learns of clips: the teacher's scores, and labels where they surely hold."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, NamedTuple

import numpy as np

from oido.arrays import F32, F64, Bools
from oido.datasets.clip import Clip
from oido.datasets.dataset import Dataset, class_weights, label_targets
from oido.datasets.waveforms import clip_waveforms
from oido.errors import AudioError
from oido.heads import OutputKind, no_event_columns
from oido.inference.classifier import AudioClassifier
from oido.models.labels import yamnet_labels
from oido.params import FixedPointParams
from oido.signal.fixed_point import FixedPointFrontEnd, to_int16
from oido.signal.resample import resample

HARD_SHARE = 0.5
"""Of a target, what the label says of a window that is not quiet; the rest is the teacher's."""
_QUIET_OCTAVES = 5.0
"""Below a clip's loudest window (30 dB): there the teacher alone says what it is."""


class DistillationTargets(NamedTuple):
    """What a teacher says, in the columns of the student. columns: of the teacher's scores;
    of_labels: of the data's labels, by the student's columns; no_event: the column for it."""

    classifier: AudioClassifier
    params: FixedPointParams
    labels: tuple[str, ...]
    columns: list[int]
    of_labels: dict[str, int]
    no_event: int | None
    output: OutputKind
    front_end: FixedPointFrontEnd
    weak_from: float

    @classmethod
    def of(
        cls, classifier: AudioClassifier, data: Dataset, weak_from: float
    ) -> DistillationTargets:
        named = dict(zip(data.classes, classifier.label_indices(data.classes)))
        columns = list(range(len(classifier.labels)))
        output: OutputKind = "softmax" if classifier.model.head.kind == "softmax" else "sigmoid"
        if set(yamnet_labels()) <= set(classifier.labels):  # far more than the data have
            columns = sorted(set(named.values()))
        labels = tuple(classifier.labels[column] for column in columns)
        silent = no_event_columns(labels)
        params = FixedPointParams()
        return cls(
            classifier,
            params,
            labels,
            columns,
            {label: columns.index(column) for label, column in named.items()},
            silent[0] if silent else None,
            output,
            FixedPointFrontEnd(params),
            weak_from,
        )

    def of_clips(
        self, data: Dataset
    ) -> Iterator[tuple[Clip, tuple[Any, F32, float, bool] | AudioError]]:
        """Each clip, and what `TaughtFrames` is made of, or why there is nothing."""
        hard = label_targets(data.clips, self.of_labels, len(self.labels))
        if self.no_event is not None:
            empty = np.array([clip.is_background for clip in data])
            hard[empty, self.no_event] = 1.0
        several = self.output == "sigmoid"
        weights = class_weights(hard, several, True).mean(axis=1)
        for number, waveform in clip_waveforms(data.clips):
            clip = data[number]
            if isinstance(waveform, AudioError):
                yield clip, waveform
                continue
            try:
                yield clip, self._of_clip(clip, *waveform, hard[number], float(weights[number]))
            except AudioError as error:
                yield clip, error

    def _of_clip(
        self, clip: Clip, samples: F32, rate_hz: int, hard: F32, weight: float
    ) -> tuple[Any, F32, float, bool]:
        params = self.params
        result = self.classifier.classify(samples, rate_hz)
        at_rate = resample(samples, rate_hz, params.sample_rate_hz)
        missing = max(0, params.patch_samples - len(at_rate))
        frames = self.front_end.frames(to_int16(np.pad(at_rate, (0, missing))))
        count = len(frames) - params.patch_frames + 1
        starts = np.arange(count) * params.hop_samples / params.sample_rate_hz
        middles = starts + params.patch_samples / 2 / params.sample_rate_hz
        soft = self._at(middles, result.times.mean(axis=1), result.decision_values)
        is_weak = not clip.is_region and result.duration >= self.weak_from
        trusts_label = ~_quiet(frames, params.patch_frames) & (not is_weak)
        wanted = np.where(np.isnan(hard), soft, hard)
        if self.output == "softmax" and not hard.sum() > 0:
            wanted = soft  # of no class, and there is none for that
        share = np.where(trusts_label, HARD_SHARE, 0.0)[:, None]
        targets = np.asarray(share * wanted + (1 - share) * soft, np.float32)
        return frames, targets, max(weight, 1e-3), clip.is_background

    def _at(self, times: F64, known_at: F64, values: F32) -> F64:
        """What the teacher says at these times, f64[N, C]: straight between its windows."""
        soft = values[:, self.columns].astype(np.float64)
        found = np.stack([np.interp(times, known_at, column) for column in soft.T], axis=1)
        if self.output == "softmax":
            # What a teacher gives to the quiet is no more of one class than of another.
            missing = np.maximum(1 - found.sum(axis=1, keepdims=True), 0)
            found += missing / found.shape[1]
            found /= found.sum(axis=1, keepdims=True)
        return found


def _quiet(frames: Any, patch_frames: int) -> Bools:
    """bool[T − patch + 1]: patches far below the loudest of their clip."""
    octaves = (frames.astype(np.float64) + 128) / 16
    levels = np.log2(np.exp2(octaves).sum(axis=1))
    loudest = np.lib.stride_tricks.sliding_window_view(levels, patch_frames).max(axis=1)
    return np.asarray(loudest < levels.max() - _QUIET_OCTAVES)
