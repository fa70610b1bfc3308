# SPDX-License-Identifier: Apache-2.0
"""Many recordings as what comparing them needs: short stretches, embedded and scored."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from oido.classifier import AudioClassifier
from oido.errors import AudioError
from oido.events.aggregation import Aggregator
from oido.params import available_cores
from oido.signal.decode import open_audio
from oido.threads import ordered_map
from oido.training.acoustics import Acoustics, MeasuringReader
from oido.training.clip import LeftOut
from oido.training.sources import source_of

__all__ = ["MOST_STRETCHES", "STRETCH_SECONDS", "HeardSet", "hear_stretches"]

STRETCH_SECONDS = 5.0
"""Recordings are compared by stretches of one length, so that their own length does not matter."""

MOST_STRETCHES = 10
"""Kept of one recording, drawn at random; memory stays flat over long ones."""

Floats = NDArray[np.float32]


@dataclass(frozen=True, eq=False)
class HeardSet:
    """S stretches of K source recordings, in G files.

    embeddings: f32[S, D], the mean of a stretch. values: f32[S, C], its probabilities, or scores of
    a model without a calibration. source: i64[S], 0..K−1. facts: f64[G, 5], as `Acoustics`, of each
    file; file_source: i64[G].
    """

    embeddings: Floats
    values: Floats
    source: NDArray[np.int64]
    facts: NDArray[np.float64]
    file_source: NDArray[np.int64]
    left_out: tuple[LeftOut, ...]

    @property
    def sources(self) -> int:
        """K"""
        return int(self.file_source.max()) + 1 if len(self.file_source) else 0

    def sampled(self, most: int, seed: int) -> HeardSet:
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


class _Heard(NamedTuple):
    embeddings: Floats
    values: Floats
    facts: Acoustics


def hear_stretches(
    classifier: AudioClassifier,
    paths: Sequence[str],
    *,
    seed: int = 0,
    jobs: int | None = None,
    progress: Callable[[int], None] = lambda done: None,
) -> HeardSet:
    """Hear recordings; those that cannot be heard are left out.

    jobs: recordings heard at once. Which stretches of a long one are kept depends on ``seed`` and
    on its place in ``paths``.
    """

    def hear(number: int) -> _Heard | AudioError:
        try:
            return _hear(classifier, paths[number], np.random.default_rng([seed, number]))
        except AudioError as error:
            return error

    heard: list[_Heard] = []
    sources: list[str] = []
    left_out: list[LeftOut] = []
    workers = jobs or available_cores()
    for number, found in enumerate(ordered_map(hear, range(len(paths)), workers, ahead=64)):
        if isinstance(found, AudioError):
            reason = str(found).removeprefix(f"{paths[number]}: ")
            left_out.append(LeftOut(paths[number], reason))
        else:
            heard.append(found)
            sources.append(source_of(paths[number]))
        progress(number + 1)
    of_file = np.unique(sources, return_inverse=True)[1].astype(np.int64)
    counts = [len(each.embeddings) for each in heard]
    return HeardSet(
        _stacked([each.embeddings for each in heard]),
        _stacked([each.values for each in heard]),
        np.repeat(of_file, counts),
        np.asarray([each.facts for each in heard], np.float64).reshape(-1, len(Acoustics._fields)),
        of_file,
        tuple(left_out),
    )


def _hear(classifier: AudioClassifier, path: str, dice: np.random.Generator) -> _Heard:
    kept: list[tuple[Floats, Floats]] = []
    with open_audio(path) as opened:
        reader = MeasuringReader(opened)
        for number, stretch in enumerate(_stretches(classifier, reader)):
            # A reservoir: each of the stretches so far is among the kept with the same chance.
            place = number if number < MOST_STRETCHES else int(dice.integers(number + 1))
            if place < MOST_STRETCHES:
                kept[place : place + 1] = [stretch]
        facts = reader.acoustics()
    embeddings, values = (np.stack(parts) for parts in zip(*kept))
    return _Heard(embeddings, values, facts)


def _stretches(
    classifier: AudioClassifier, reader: MeasuringReader
) -> Iterator[tuple[Floats, Floats]]:
    """Embedding f32[D] and values f32[C] of each; a last one of less than half is left out."""
    windowing, model_reader = classifier.windowing, classifier.reader
    hop_seconds = windowing.hop_samples / windowing.sample_rate_hz
    size = max(1, round(STRETCH_SECONDS / hop_seconds))
    waiting: list[tuple[Floats, Floats, NDArray[np.float64], NDArray[np.float64]]] = []
    held, any_given = 0, False

    def joined(stop: int | None) -> tuple[Floats, Floats]:
        nonlocal waiting, held
        scores, embeddings, weights, loudness = (np.concatenate(p) for p in zip(*waiting))
        waiting = [] if stop is None else [
            (scores[stop:], embeddings[stop:], weights[stop:], loudness[stop:])
        ]  # fmt: skip
        held = sum(len(each[0]) for each in waiting)
        aggregator = Aggregator(model_reader.aggregation)
        aggregator.push(scores[:stop], weights[:stop], loudness[:stop])
        values = aggregator.flush()
        probabilities = model_reader.probabilities(values)
        shares = weights[:stop] if weights[:stop].any() else None
        mean = np.average(embeddings[:stop], axis=0, weights=shares).astype(np.float32)
        return mean, values if probabilities is None else probabilities

    for block in classifier.stream(reader, jobs=1):
        waiting.append((block.scores, block.embeddings, block.weights, block.loudness))
        held += len(block.scores)
        while held >= size:
            any_given = True
            yield joined(size)
    if held and (not any_given or held >= size / 2):
        yield joined(None)


def _stacked(parts: list[Floats]) -> Floats:
    return np.concatenate(parts) if parts else np.zeros((0, 0), np.float32)
