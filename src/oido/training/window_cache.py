# SPDX-License-Identifier: Apache-2.0
"""What a network made of clips, kept for the next time in .npz files."""

from __future__ import annotations

import contextlib
import io
import zipfile
from pathlib import Path
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from oido.models.fetch import cache_folder, sha256_of, write_whole
from oido.training.clip import Clip
from oido.training.content import content_sha256

__all__ = ["ClipWindows", "WindowCache", "content_keys"]


class ClipWindows(NamedTuple):
    """One clip's windows, and those of its changed copies; M and N of them.

    embeddings: f32[M, D]; weights: f64[M], the share of each that is not padding. The copies',
    f32[N, D] and f64[N]; behind: i64[N], the number of the background mixed in, −1 for none.
    """

    embeddings: NDArray[np.float32]
    weights: NDArray[np.float64]
    copies: NDArray[np.float32]
    copy_weights: NDArray[np.float64]
    behind: NDArray[np.int64]


def content_keys(path: str, clips: list[Clip]) -> list[str | None]:
    """A key for each stretch of the recording, by what it holds; None if it cannot be read."""
    try:
        content = content_sha256(path).hex()
    except OSError:
        return [None] * len(clips)
    return [f"{content[:40]}-{clip.start_time}-{clip.end_time}" for clip in clips]


class WindowCache:
    """kind: what decides over windows beside the clip: model, windowing, augmentation."""

    def __init__(self, kind: str) -> None:
        self._folder = cache_folder() / "embeddings" / sha256_of(kind.encode())[:24]

    def read(self, key: str) -> ClipWindows | None:
        """What `write` kept; None if it is not there, or damaged."""
        try:
            with np.load(self._path(key), allow_pickle=False) as file:
                size = file["embeddings"].shape[1]
                none = np.zeros((0, size), np.float32), np.zeros(0), np.zeros(0, np.int64)
                copies = [
                    file[name] if name in file.files else empty
                    for name, empty in zip(ClipWindows._fields[2:], none)
                ]
                return ClipWindows(file["embeddings"], file["weights"], *copies)
        except (OSError, ValueError, KeyError, IndexError, EOFError, zipfile.BadZipFile):
            return None

    def write(self, key: str, windows: ClipWindows) -> None:
        """Keep it; a cache that cannot be written is passed over."""
        arrays = windows._asdict()
        if not len(windows.copies):
            arrays = {name: arrays[name] for name in ("embeddings", "weights")}
        file = io.BytesIO()
        np.savez(file, **arrays)
        with contextlib.suppress(OSError):
            write_whole(self._path(key), file.getvalue())

    def _path(self, key: str) -> Path:
        return self._folder / f"{key}.npz"
