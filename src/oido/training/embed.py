# SPDX-License-Identifier: Apache-2.0
"""From labelled recordings to what a head learns from: the embeddings of their windows, cached.

The cache is keyed by what a recording holds, not by its name, by the stretch of it, and by the
model; it is a folder of .npz files that may be deleted at any time.
"""

from __future__ import annotations

import contextlib
import io
import zipfile
from collections import defaultdict
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from oido.classifier import AudioClassifier
from oido.embedder import require_embeddings
from oido.errors import AudioError, OptionError
from oido.models.fetch import cache_folder, sha256_of, write_whole
from oido.models.model import AudioModel
from oido.params import available_cores
from oido.training.clip import Clip, LeftOut
from oido.training.content import content_sha256
from oido.training.dataset import Dataset
from oido.training.embeddings import EmbeddedClips
from oido.training.heard import clip_waveforms

__all__ = ["BACKGROUND", "Embedded", "Progress", "embed"]

BACKGROUND = "background"
"""The class of clips in which nothing is heard, beside classes that exclude each other."""

Progress = Callable[[int, int], None]
"""Called with how many recordings are heard, and how many there are."""

_Windows = tuple[NDArray[np.float32], NDArray[np.float64]]


class Embedded(NamedTuple):
    """clips: what heads learn from. kept: the dataset's clips in the same order. left_out: those
    that could not be heard."""

    clips: EmbeddedClips
    kept: tuple[Clip, ...]
    left_out: tuple[LeftOut, ...]


def embed(
    data: Dataset,
    model: AudioModel,
    *,
    cache: bool = True,
    jobs: int | None = None,
    progress: Progress = lambda done, total: None,
) -> Embedded:
    """Hear every clip of a dataset. Raises OptionError if none can be heard."""
    require_embeddings(model)
    classifier = AudioClassifier(model, jobs=1)
    of_path: defaultdict[str, list[int]] = defaultdict(list)
    for number, clip in enumerate(data):
        of_path[clip.path].append(number)
    keeper = _Cache(classifier) if cache else None

    def hear(path: str) -> list[tuple[int, _Windows | AudioError]]:
        numbers = of_path[path]
        found = _hear(classifier, keeper, path, [data[n] for n in numbers])
        return [(numbers[k], heard) for k, heard in found]

    heard: dict[int, _Windows | AudioError] = {}
    with ThreadPoolExecutor(jobs or available_cores(), thread_name_prefix="oido") as pool:
        for done, found in enumerate(pool.map(hear, of_path), start=1):
            heard.update(found)
            progress(done, len(of_path))
    kept, windows, left_out = [], [], list(data.left_out)
    for number, clip in enumerate(data):
        result = heard[number]
        if isinstance(result, AudioError):
            left_out.append(LeftOut(str(clip), str(result)))
        else:
            kept.append(number)
            windows.append(result)
    if not kept:
        raise OptionError(
            f"none of the {len(data)} clips can be heard; the first: {left_out[-1].reason}"
        )
    part = data.subset(kept)
    return Embedded(_embedded(part, windows, _silence(classifier)), part.clips, tuple(left_out))


def _hear(
    classifier: AudioClassifier, cache: _Cache | None, path: str, clips: Sequence[Clip]
) -> list[tuple[int, _Windows | AudioError]]:
    keys = cache.keys(path, clips) if cache else [None] * len(clips)
    found: list[tuple[int, _Windows | AudioError]] = []
    missing = []
    for number, key in enumerate(keys):
        windows = cache.read(key) if cache and key else None
        if windows is None:
            missing.append(number)
        else:
            found.append((number, windows))
    rate = classifier.model.windows.sample_rate_hz
    for k, waveform in clip_waveforms([clips[n] for n in missing], rate):
        number = missing[k]
        if isinstance(waveform, AudioError):
            found.append((number, waveform))
            continue
        try:
            result = classifier.classify(*waveform)
        except AudioError as error:
            found.append((number, error))
            continue
        windows = result.embeddings, result.weights
        found.append((number, windows))
        key = keys[number]
        if cache and key:
            cache.write(key, windows)
    return found


def _embedded(
    data: Dataset, windows: Sequence[_Windows], silence: NDArray[np.float32]
) -> EmbeddedClips:
    targets, classes, several = _targets(data)
    groups = np.unique([clip.group for clip in data], return_inverse=True)[1]
    given = [clip.fold for clip in data]
    folds = np.full(len(data), -1)
    if all(fold is not None for fold in given):
        folds = np.unique([str(fold) for fold in given], return_inverse=True)[1]
    counts = [len(embeddings) for embeddings, _ in windows]
    return EmbeddedClips(
        np.concatenate([embeddings for embeddings, _ in windows]),
        np.repeat(np.arange(len(windows)), counts),
        np.concatenate([weights for _, weights in windows]),
        targets,
        classes,
        groups.astype(np.int64),
        folds.astype(np.int64),
        several,
        silence,
    )


def _targets(data: Dataset) -> tuple[NDArray[np.float32], tuple[str, ...], bool]:
    """Targets f32[K, C], the classes, and whether a clip may have several of them, or none."""
    targets = data.targets()
    if data.multi_label or np.isnan(targets).any():
        return targets, data.classes, True
    empty = targets.sum(axis=1) == 0
    if not empty.any():
        return targets, data.classes, False
    if BACKGROUND in data.classes:
        raise OptionError(f"{BACKGROUND!r} is a class and the name of clips without one")
    with_background = np.column_stack([targets, empty]).astype(np.float32)
    return with_background, (*data.classes, BACKGROUND), False


def _silence(classifier: AudioClassifier) -> NDArray[np.float32]:
    """f32[D]: what the model makes of a window of digital silence."""
    windows = classifier.model.windows
    zeros = np.zeros(windows.window_samples, np.float32)
    return np.asarray(classifier.classify(zeros, windows.sample_rate_hz).embeddings[0])


class _Cache:
    def __init__(self, classifier: AudioClassifier) -> None:
        model, windowing = classifier.model, classifier.windowing
        kind = f"{model.sha256} {model.precision} {windowing}"
        self._folder = cache_folder() / "embeddings" / sha256_of(kind.encode())[:24]

    def keys(self, path: str, clips: Sequence[Clip]) -> list[str | None]:
        """A key for each stretch of the recording; None if it cannot be read."""
        try:
            content = content_sha256(path).hex()
        except OSError:
            return [None] * len(clips)
        return [f"{content[:40]}-{clip.start_time}-{clip.end_time}" for clip in clips]

    def read(self, key: str) -> _Windows | None:
        try:
            with np.load(self._path(key), allow_pickle=False) as file:
                return file["embeddings"], file["weights"]
        except (OSError, ValueError, KeyError, EOFError, zipfile.BadZipFile):
            return None  # not there, or damaged: heard again

    def write(self, key: str, windows: _Windows) -> None:
        file = io.BytesIO()
        np.savez(file, embeddings=windows[0], weights=windows[1])
        with contextlib.suppress(OSError):  # a cache that cannot be written is passed over
            write_whole(self._path(key), file.getvalue())

    def _path(self, key: str) -> Path:
        return self._folder / f"{key}.npz"
