# SPDX-License-Identifier: Apache-2.0
"""From labelled recordings to what a head learns from: the embeddings of their windows, cached.

The cache is keyed by what a recording holds, not by its name, by the stretch of it, by the model,
and by the augmentation if there is one; it is a folder of .npz files that may be deleted at any
time.
"""

from __future__ import annotations

import contextlib
import io
import threading
import zipfile
from collections import defaultdict
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import NamedTuple

import numpy as np

from oido.arrays import F32, F64, I64, Bools
from oido.datasets.clip import Clip, LeftOut, none_usable
from oido.datasets.dataset import Dataset, clip_targets
from oido.datasets.splits import group_numbers
from oido.datasets.waveforms import clip_waveforms
from oido.errors import AudioError
from oido.inference.classifier import AudioClassifier
from oido.models.cache import (
    cache_folder,
    limit_bytes,
    mark_used,
    sha256_of,
    trim_cache,
    write_whole,
)
from oido.models.model import AudioModel
from oido.models.tflite.evidence import EVIDENCE, own_size, with_evidence
from oido.parallel import ordered_map
from oido.params import Windowing, available_cores
from oido.training.augment import Augmentation, quiet_waveforms
from oido.training.embeddings import EmbeddedClips, FurtherWindows
from oido.training.weak_labels import WEAK_FROM_SECONDS
from oido.writers.written import sha256_of_file


class ClipWindows(NamedTuple):
    """One clip's windows, and those of its changed copies; M and N of them.

    embeddings: f32[M, D]; weights: f64[M], the share of each that is not padding. The copies',
    f32[N, D] and f64[N]; behind: i64[N], the number of the background mixed in, −1 for none.
    """

    embeddings: F32
    weights: F64
    copies: F32
    copy_weights: F64
    behind: I64


def content_keys(path: str, clips: list[Clip]) -> list[str | None]:
    """A key for each stretch of the recording, by what it holds; None if it cannot be read."""
    try:
        content = sha256_of_file(path)
    except OSError:
        return [None] * len(clips)
    return [f"{content[:40]}-{clip.start_time}-{clip.end_time}" for clip in clips]


_ONE_READER = threading.Lock()
"""NumPy reads an array's header with `ast`, which in CPython 3.11 is not safe in many threads: a
SystemError of recursion depths (python/cpython#106905, mended in 3.11.8)."""


class WindowCache:
    """kind: what the windows depend on beside the clip: model, windowing, augmentation."""

    def __init__(self, kind: str) -> None:
        self.has_grown = False
        self._folder = cache_folder() / "embeddings" / sha256_of(kind.encode())[:24]

    def read(self, key: str) -> ClipWindows | None:
        """What `write` kept; None if it is missing or damaged."""
        try:
            with _ONE_READER, np.load(self._path(key), allow_pickle=False) as file:
                size = file["embeddings"].shape[1]
                none = np.zeros((0, size), np.float32), np.zeros(0), np.zeros(0, np.int64)
                copies = [
                    file[name] if name in file.files else empty
                    for name, empty in zip(ClipWindows._fields[2:], none)
                ]
                mark_used(self._path(key))
                return ClipWindows(file["embeddings"], file["weights"], *copies)
        except (OSError, ValueError, KeyError, IndexError, EOFError, zipfile.BadZipFile):
            return None

    def write(self, key: str, windows: ClipWindows) -> None:
        """Keep it; a cache that cannot be written is ignored."""
        arrays = windows._asdict()
        if not len(windows.copies):
            arrays = {name: arrays[name] for name in ("embeddings", "weights")}
        file = io.BytesIO()
        np.savez(file, **arrays)
        with contextlib.suppress(OSError):
            # Thousands of files: the disk need not have each, because a damaged one is made anew.
            write_whole(self._path(key), file.getvalue(), sync=False)
            self.has_grown = True

    def _path(self, key: str) -> Path:
        return self._folder / f"{key}.npz"


Progress = Callable[[int, int], None]
"""Called with how many recordings are done, and how many there are."""

MOST_BACKGROUNDS = 32
"""Clips of background that copies are mixed with, evenly drawn: all of them are in memory."""
BACKGROUND_SECONDS = 20.0
"""How much of each is used, from its start."""

_AHEAD = 64
"""Recordings embedded while a long one keeps their results waiting."""


class Embedded(NamedTuple):
    """clips: what heads learn from. kept: the dataset's clips in the same order. left_out: those
    that could not be decoded."""

    clips: EmbeddedClips
    kept: tuple[Clip, ...]
    left_out: tuple[LeftOut, ...]


_NO_COPIES = Augmentation(copies=0)


def embed(
    data: Dataset,
    model: AudioModel,
    *,
    augment: Augmentation | None = None,
    cache: bool = True,
    weak_from: float = WEAK_FROM_SECONDS,
    jobs: int | None = None,
    progress: Progress = lambda done, total: None,
) -> Embedded:
    """The windows of every clip of a dataset. Raises OptionError if no clip can be decoded.

    weak_from: recordings of so many seconds and more hold what their labels name somewhere in them;
    regions do throughout, however long.

    augment: embed changed copies of each clip too, for `EmbeddedClips.extra`; each takes as long as
    the clip. Background behind them is that of the dataset's own clips without an event.
    """
    model.require_embeddings()
    if cache:
        limit_bytes()  # raises, before the work
    classifier = AudioClassifier(with_evidence(model), jobs=1)
    of_path: defaultdict[str, list[int]] = defaultdict(list)
    for number, clip in enumerate(data):
        of_path[clip.path].append(number)
    embedder = _ClipEmbedder(classifier, data, augment or _NO_COPIES, cache)

    def embed_recording(path: str) -> list[tuple[int, ClipWindows | AudioError]]:
        numbers = of_path[path]
        return [(numbers[k], w) for k, w in embedder.embed(path, [data[n] for n in numbers])]

    results: dict[int, ClipWindows | AudioError] = {}
    workers = jobs or available_cores()
    recordings = ordered_map(embed_recording, of_path, workers, ahead=_AHEAD)
    for done, of_recording in enumerate(recordings, start=1):
        results.update(of_recording)
        progress(done, len(of_path))
    embedder.trim_cache()
    kept, windows, left_out = [], [], list(data.left_out)
    for number, clip in enumerate(data):
        result = results[number]
        if isinstance(result, AudioError):
            left_out.append(LeftOut.because(str(clip), result, clip.path))
        else:
            kept.append(number)
            windows.append(result)
    if not kept:
        raise none_usable(left_out)
    part = data.subset(kept)
    weak = _weak(part, windows, classifier.windowing, weak_from)
    if weak.any():  # between a sound and nothing, and so each class by itself
        part = replace(part, multi_label=True)
    clips = _join_windows(part, windows, embedder.background_groups, _quiet(classifier))
    if weak.any():
        clips = replace(clips, weak=weak)
    clips = replace(clips, own_size=own_size(model))
    return Embedded(clips, part.clips, tuple(left_out))


class _ClipEmbedder:
    """Embeds the clips of recordings and their changed copies, in many threads at once.

    background_groups: the source recordings of the backgrounds that copies are mixed with.
    """

    def __init__(
        self, classifier: AudioClassifier, data: Dataset, augment: Augmentation, cache: bool
    ) -> None:
        self._classifier, self._augment = classifier, augment
        self._rate_hz = classifier.model.windows.sample_rate_hz
        self._backgrounds: list[F32] = []
        self.background_groups: list[str] = []
        model = classifier.model
        kind = f"{model.sha256} {model.precision} {classifier.windowing} {EVIDENCE}"
        if augment.copies:
            kind = " ".join([kind, repr(augment), *self._decode_backgrounds(data)])
        self._cache = WindowCache(kind) if cache else None

    def trim_cache(self) -> None:
        """To its limit, if anything was added."""
        if self._cache is not None and self._cache.has_grown:
            trim_cache()

    def _decode_backgrounds(self, data: Dataset) -> list[str]:
        """Decode what copies are mixed with, where that can be done, and give its keys."""
        clips = [clip for clip in data if clip.is_background and self._augment.background]
        count = min(len(clips), MOST_BACKGROUNDS)
        keys = []
        for clip in [clips[n * len(clips) // count] for n in range(count)]:
            last = (clip.start_time or 0.0) + BACKGROUND_SECONDS
            part = replace(clip, end_time=min(last, clip.end_time or last))
            [key] = content_keys(clip.path, [part])
            [(_, waveform)] = clip_waveforms([part], self._rate_hz)
            if key is not None and not isinstance(waveform, AudioError):
                keys.append(key)
                self._backgrounds.append(waveform[0])
                self.background_groups.append(clip.group)
        return keys

    def embed(self, path: str, clips: list[Clip]) -> list[tuple[int, ClipWindows | AudioError]]:
        """The numbers of one recording's clips, and their windows or why there are none."""
        wanted = self._cache is not None or self._augment.copies
        keys = content_keys(path, clips) if wanted else [None] * len(clips)
        found: list[tuple[int, ClipWindows | AudioError]] = []
        missing = []
        for number, key in enumerate(keys):
            windows = self._cache.read(key) if self._cache and key else None
            if windows is None:
                missing.append(number)
            else:
                found.append((number, windows))
        for k, waveform in clip_waveforms([clips[n] for n in missing], self._rate_hz):
            number, key = missing[k], keys[missing[k]]
            if isinstance(waveform, AudioError):
                found.append((number, waveform))
                continue
            try:
                windows = self._windows(waveform[0], key or "")
            except AudioError as error:
                found.append((number, error))
                continue
            found.append((number, windows))
            if self._cache and key:
                self._cache.write(key, windows)
        return found

    def _windows(self, waveform: F32, content: str) -> ClipWindows:
        result = self._classifier.classify(waveform, self._rate_hz)
        copies = [(result.embeddings[:0], result.weights[:0], np.zeros(0, np.int64))]
        made = self._augment.copies and self._augment.copies_of(
            waveform, content, self._backgrounds
        )
        for copy, number in made or ():
            changed = self._classifier.classify(copy, self._rate_hz)
            copies.append(
                (changed.embeddings, changed.weights, np.full(len(changed.weights), number))
            )
        return ClipWindows(
            result.embeddings, result.weights, *(np.concatenate(part) for part in zip(*copies))
        )


def _weak(
    data: Dataset, windows: Sequence[ClipWindows], windowing: Windowing, weak_from: float
) -> Bools:
    """bool[K]: the clips with labels that are somewhere in them."""
    weak = np.zeros(len(data), np.bool_)
    half_a_hop = windowing.hop_samples / windowing.sample_rate_hz / 2
    for number, (clip, found) in enumerate(zip(data, windows)):
        last = len(found.weights) - 1
        sound = float(found.weights[-1]) * windowing.window_samples
        seconds = (last * windowing.hop_samples + sound) / windowing.sample_rate_hz
        is_long = seconds >= weak_from - half_a_hop
        is_whole = clip.start_time is None and clip.end_time is None
        weak[number] = is_whole and is_long and last > 0 and bool(clip.labels)
    return weak


def _join_windows(
    data: Dataset, windows: Sequence[ClipWindows], background_groups: Sequence[str], quiet: F32
) -> EmbeddedClips:
    targets, classes, several = clip_targets(data)
    names, groups = np.unique([clip.group for clip in data], return_inverse=True)
    predefined = [clip.fold for clip in data]
    folds = np.full(len(data), -1)
    if None not in predefined:
        folds = group_numbers([str(fold) for fold in predefined])
    numbers = np.arange(len(windows))
    joined = ClipWindows(*(np.concatenate(part) for part in zip(*windows)))
    extra = None
    if len(joined.copies):
        number_of = {str(name): number for number, name in enumerate(names)}
        beside = [*(number_of.get(group, -1) for group in background_groups), -1]  # −1 is the last
        extra = FurtherWindows(
            joined.copies,
            np.repeat(numbers, [len(w.copies) for w in windows]),
            joined.copy_weights,
            np.array(beside, np.int64)[joined.behind],
        )
    return EmbeddedClips(
        joined.embeddings,
        np.repeat(numbers, [len(w.embeddings) for w in windows]),
        joined.weights,
        targets,
        classes,
        groups.astype(np.int64),
        folds.astype(np.int64),
        several,
        quiet,
        extra,
    )


def _quiet(classifier: AudioClassifier) -> F32:
    """f32[Q, D]: what the model makes of a window in which nothing is heard."""
    windows = classifier.model.windows
    rate = windows.sample_rate_hz
    rows = quiet_waveforms(windows.window_samples, rate)
    return np.stack([np.asarray(classifier.classify(row, rate).embeddings)[0] for row in rows])
