# SPDX-License-Identifier: Apache-2.0
"""What was heard in a range of a long recording, kept bit by bit until its neighbours are heard.

A file of NumPy arrays one behind the other, five for each block of windows (scores f32, embeddings
f32, weights f64, loudness f64, similarities f32 if the model tells them), and at the end a JSON
text.
"""

from __future__ import annotations

import contextlib
import json
from collections.abc import Iterator
from typing import IO, Any, NamedTuple

import numpy as np

from oido.batch.storage import Storage
from oido.params import Windowing
from oido.signal.decode import AudioInfo
from oido.stream import Block

__all__ = ["End", "read", "writing"]


class End(NamedTuple):
    """What is known at the end of a range: the samples of the recording up to there, what the file
    says of itself, and the seconds that hearing the range took."""

    n_samples: int
    info: AudioInfo
    tags: dict[str, str]
    seconds: float = 0.0


class _Writer:
    def __init__(self, file: IO[Any]) -> None:
        self._file = file

    def write(self, block: Block, first_window: int, keeps_embeddings: bool) -> None:
        """A block of the range, whose first window has this number in the recording."""
        embeddings = block.embeddings if keeps_embeddings else block.embeddings[:, :0]
        self._save(np.array([block.first_window + first_window]))
        for array in (block.scores, embeddings, block.weights, block.loudness):
            self._save(array)
        none = np.zeros(0, np.float32)
        self._save(none if block.similarities is None else block.similarities)

    def end(self, end: End) -> None:
        """The last thing."""
        text = json.dumps(end)
        self._save(np.frombuffer(text.encode(), np.uint8))

    def _save(self, array: Any) -> None:
        np.lib.format.write_array(self._file, np.ascontiguousarray(array), allow_pickle=False)


@contextlib.contextmanager
def writing(storage: Storage, path: str) -> Iterator[_Writer]:
    """Write a piece; it gets its name when the block is left without an error."""
    with storage.writing(path) as file:
        yield _Writer(_Plain(file))  # type: ignore[arg-type]


class _Plain:
    """Only ``write``: NumPy asks real files for their place, and compressed streams have none."""

    def __init__(self, file: IO[Any]) -> None:
        self.write = file.write


def read(storage: Storage, path: str, windowing: Windowing) -> Iterator[Block | End]:
    """The blocks of a piece, then its end."""
    with storage.open(path) as file:
        while True:
            first = _load(file)
            if first.dtype == np.uint8:
                n_samples, info, tags, seconds = json.loads(first.tobytes())
                yield End(n_samples, AudioInfo(*info), tags, seconds)
                return
            scores, embeddings, weights, loudness, similarities = (_load(file) for _ in range(5))
            starts = (np.arange(len(scores)) + first[0]) * windowing.hop_samples
            times = np.stack([starts, starts + windowing.window_samples], axis=1)
            yield Block(
                int(first[0]),
                scores,
                embeddings,
                weights,
                loudness,
                times / windowing.sample_rate_hz,
                similarities=similarities if len(similarities) else None,
            )


def _load(file: IO[Any]) -> Any:
    return np.lib.format.read_array(file, allow_pickle=False)
