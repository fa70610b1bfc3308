# SPDX-License-Identifier: Apache-2.0
"""What comparing two sets of recordings needs: short stretches, embedded, scored and measured.

Beside embeddings and scores there are plain facts of the sound: how loud it is, how much of it is
silent, and up to which frequency it reaches.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import NamedTuple

import numpy as np

from oido.arrays import F32, F64, I64
from oido.datasets.clip import LeftOut, source_of
from oido.datasets.splits import group_numbers
from oido.errors import AudioError
from oido.inference.classifier import AudioClassifier
from oido.inference.pipeline import WindowStream
from oido.messages import text_of
from oido.parallel import ordered_map
from oido.params import available_cores

_FRAME_SAMPLES = 2048
_SILENT_DB = -60.0
_FLOOR_DB = -120.0
_AUDIBLE_DB = 60.0


class Acoustics(NamedTuple):
    """sample_rate_hz: of the file. seconds: its length. level_db: RMS of the mean of its channels,
    0 dB being full scale, -120 at least. silent_share: of frames below -60 dB, 0..1.
    bandwidth_hz: the highest frequency at which its mean spectrum is within 60 dB of its peak."""

    sample_rate_hz: float
    seconds: float
    level_db: float
    silent_share: float
    bandwidth_hz: float


class AcousticMeter:
    """Measures the blocks of a recording. Frames are of 2,048 samples, Hann, apart."""

    def __init__(self, sample_rate_hz: int) -> None:
        self._rate_hz = sample_rate_hz
        self._window = np.hanning(_FRAME_SAMPLES)
        self._power = np.zeros(_FRAME_SAMPLES // 2 + 1)
        self._energy, self._samples, self._frames, self._silent = 0.0, 0, 0, 0
        self._partial_frame = np.zeros(0, np.float32)

    def push(self, block: F32) -> None:
        """The next samples, f32[n, channels]."""
        mono = block.mean(axis=1, dtype=np.float32)
        with np.errstate(over="ignore", invalid="ignore"):
            self._energy += float(np.dot(mono, mono))
        self._samples += len(mono)
        joined = np.concatenate([self._partial_frame, mono])
        whole = len(joined) // _FRAME_SAMPLES * _FRAME_SAMPLES
        self._partial_frame = joined[whole:]
        if whole:
            self._measure(joined[:whole].reshape(-1, _FRAME_SAMPLES), self._window)

    def acoustics(self) -> Acoustics:
        """Of what came so far; a partial frame counts only if there is no whole one."""
        if not self._frames:
            padding = _FRAME_SAMPLES - len(self._partial_frame)
            window = np.pad(np.hanning(len(self._partial_frame)), (0, padding))
            self._measure(np.pad(self._partial_frame, (0, padding))[None], window)
        rate = self._rate_hz
        mean = self._energy / max(self._samples, 1)
        power = self._power / max(self._power.max(), 1e-300)
        audible = np.flatnonzero(power >= 10 ** (-_AUDIBLE_DB / 10))
        return Acoustics(
            rate,
            self._samples / rate,
            10 * float(np.log10(max(mean, 10 ** (_FLOOR_DB / 10)))),
            self._silent / self._frames,
            float(audible[-1] if len(audible) else 0) * rate / _FRAME_SAMPLES,
        )

    def _measure(self, frames: F32, window: F64) -> None:
        """f32[n, 2048], and the window f64[2048] for their spectra."""
        with np.errstate(over="ignore", invalid="ignore"):
            loudness = np.square(frames, dtype=np.float64).mean(axis=1)
            self._power += np.square(np.abs(np.fft.rfft(frames * window))).sum(axis=0)
        self._silent += int((loudness < 10 ** (_SILENT_DB / 10)).sum())
        self._frames += len(frames)


STRETCH_SECONDS = 5.0
"""Recordings are compared by stretches of one length, so that their own length does not matter."""

MOST_STRETCHES = 10
"""Kept of one recording, drawn at random; memory stays flat over long ones."""


@dataclass(frozen=True, eq=False)
class FeatureSet:
    """S stretches of K source recordings, in G files.

    embeddings: f32[S, D], the mean of a stretch. values: f32[S, C], its probabilities, or scores of
    a model without a calibration. source: i64[S], 0..K−1. facts: f64[G, 5], as `Acoustics`, of each
    file; file_source: i64[G].
    """

    embeddings: F32
    values: F32
    source: I64
    facts: F64
    file_source: I64
    left_out: tuple[LeftOut, ...]

    @property
    def sources(self) -> int:
        """K"""
        return int(self.file_source.max()) + 1 if len(self.file_source) else 0

    def sampled(self, most: int, seed: int) -> FeatureSet:
        """The stretches of sources drawn at random, so many stretches at most; facts of all."""
        order = np.random.default_rng(seed).permutation(self.sources)
        sizes = np.bincount(self.source, minlength=self.sources)[order]
        chosen = np.zeros(self.sources, bool)
        chosen[order[np.cumsum(sizes) <= most]] = True
        kept = chosen[self.source]
        source = (np.cumsum(chosen) - 1)[self.source[kept]]
        return replace(
            self, embeddings=self.embeddings[kept], values=self.values[kept], source=source
        )


class _Features(NamedTuple):
    embeddings: F32
    values: F32
    facts: Acoustics


def collect_features(
    classifier: AudioClassifier,
    paths: Sequence[str],
    *,
    seed: int = 0,
    jobs: int | None = None,
    progress: Callable[[int], None] = lambda done: None,
) -> FeatureSet:
    """The stretches of recordings; those that cannot be decoded are left out.

    jobs: recordings at once. Which stretches of a long one are kept depends on ``seed`` and
    on its place in ``paths``.
    """

    def measure(number: int) -> _Features | AudioError:
        try:
            return _features(classifier, paths[number], np.random.default_rng([seed, number]))
        except AudioError as error:
            return error

    measured: list[_Features] = []
    sources: list[str] = []
    left_out: list[LeftOut] = []
    workers = jobs or available_cores()
    for number, found in enumerate(ordered_map(measure, range(len(paths)), workers, ahead=64)):
        if isinstance(found, AudioError):
            reason = text_of(found).removeprefix(f"{paths[number]}: ")
            left_out.append(LeftOut(paths[number], reason))
        else:
            measured.append(found)
            sources.append(source_of(paths[number]))
        progress(number + 1)
    of_file = group_numbers(sources)
    counts = [len(each.embeddings) for each in measured]
    return FeatureSet(
        _concatenate([each.embeddings for each in measured]),
        _concatenate([each.values for each in measured]),
        np.repeat(of_file, counts),
        np.reshape([each.facts for each in measured], (-1, len(Acoustics._fields))).astype(float),
        of_file,
        tuple(left_out),
    )


def _features(classifier: AudioClassifier, path: str, dice: np.random.Generator) -> _Features:
    kept: list[tuple[F32, F32]] = []
    stream = classifier.stream(path, jobs=1)
    meter = AcousticMeter(stream.info.sample_rate_hz)
    stream.on_block = meter.push
    for number, stretch in enumerate(_stretches(classifier, stream)):
        # A reservoir: each of the stretches so far is among the kept with the same chance.
        place = number if number < MOST_STRETCHES else int(dice.integers(number + 1))
        if place < MOST_STRETCHES:
            kept[place : place + 1] = [stretch]
    embeddings, values = (np.stack(parts) for parts in zip(*kept))
    return _Features(embeddings, values, meter.acoustics())


def _stretches(classifier: AudioClassifier, stream: WindowStream) -> Iterator[tuple[F32, F32]]:
    """Embedding f32[D] and values f32[C] of each; a last one of less than half is left out."""
    windowing, model_reader = classifier.windowing, classifier.postprocessor
    hop_seconds = windowing.hop_seconds
    size = max(1, round(STRETCH_SECONDS / hop_seconds))
    pending: list[tuple[F32, F32, F64, F64]] = []
    held, any_yielded = 0, False

    def merge(stop: int | None) -> tuple[F32, F32]:
        nonlocal pending, held
        scores, embeddings, weights, loudness = (np.concatenate(p) for p in zip(*pending))
        pending = [] if stop is None else [
            (scores[stop:], embeddings[stop:], weights[stop:], loudness[stop:])
        ]  # fmt: skip
        held = sum(len(each[0]) for each in pending)
        aggregator = model_reader.aggregator()
        aggregator.push(scores[:stop], weights[:stop], loudness[:stop])
        values = model_reader.decision_values(aggregator.flush())
        shares = weights[:stop] if weights[:stop].any() else None
        mean = np.average(embeddings[:stop], axis=0, weights=shares).astype(np.float32)
        return mean, values

    for block in stream:
        pending.append((block.scores, block.embeddings, block.weights, block.loudness))
        held += len(block.scores)
        while held >= size:
            any_yielded = True
            yield merge(size)
    if held and (not any_yielded or held >= size / 2):
        yield merge(None)


def _concatenate(parts: list[F32]) -> F32:
    return np.concatenate(parts) if parts else np.zeros((0, 0), np.float32)
