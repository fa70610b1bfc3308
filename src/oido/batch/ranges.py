# SPDX-License-Identifier: Apache-2.0
"""Long recordings in exact ranges: a range gives the windows that the whole recording would give.

A range begins at a window whose number is a multiple of a batch, so that even the batches of the
network are the same, and where a level begins (`LevelMeter`). Where the rate must change, the
resampler begins earlier, at a sample where its own blocks begin (`exact_period`), and what it needs
to settle is thrown away. The last windows of a range reach into the next; the levels there are the
next one's.

The blocks of a range are kept bit by bit in a file until those of its neighbours are there: NumPy
arrays one behind the other, some for each block of windows (`_ARRAYS`, those that the model does
not give without elements), at the end a JSON text, and then the SHA-256 of all of it.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Sequence
from math import gcd
from types import SimpleNamespace
from typing import IO, Any, NamedTuple

import numpy as np

from oido.arrays import F32
from oido.batch.storage import Storage
from oido.batch.units import Source, Unit
from oido.errors import CorruptAudioError
from oido.inference.block import BATCH_WINDOWS, Block
from oido.inference.classifier import AudioClassifier
from oido.messages import tr
from oido.models.model import EnsembleNetwork
from oido.params import LEVELS_PER_SECOND, Windowing
from oido.signal.decode import AudioInfo, AudioReader
from oido.signal.level import SoundSums
from oido.signal.mixing import Channel, Mono, mono_blocks
from oido.signal.resample import Resampler, exact_period

_ARRAYS = ("scores", "embeddings", "weights", "loudness", "similarities", "framewise", "levels")

_SEAL = b"\nsha256:"
_SEAL_BYTES = len(_SEAL) + hashlib.sha256().digest_size


def ranges_of(
    source: Source, reader: AudioReader, classifier: AudioClassifier, split_seconds: float
) -> tuple[Unit, ...]:
    """The ranges of a long recording; none if it is short, or cannot be split exactly.

    The reader is spent afterwards.
    """
    info, w = reader.info, classifier.windowing
    seconds = info.duration_seconds
    if seconds is None or info.frames is None or seconds <= split_seconds:
        return ()
    n_windows = w.count(info.frames * w.sample_rate_hz // info.sample_rate_hz)
    batches = max(1, round(split_seconds * w.sample_rate_hz / w.hop_samples / BATCH_WINDOWS))
    level = w.sample_rate_hz // LEVELS_PER_SECOND
    aligned = level // gcd(level, BATCH_WINDOWS * w.hop_samples)
    each = max(1, round(batches / aligned)) * aligned * BATCH_WINDOWS
    of = max(1, round(n_windows / each))
    period = exact_period(info.sample_rate_hz, w.sample_rate_hz)
    runs_ranges = isinstance(classifier.model.network, EnsembleNetwork)
    # The patches of an ensemble's second network overlap any cut.
    if of == 1 or period is None or runs_ranges or not reader.seek(info.frames // 2):
        return ()
    return tuple(
        Unit(
            source,
            "range",
            first_window=number * each,
            windows=each if number < of - 1 else None,
            number=number,
            of=of,
        )
        for number in range(of)
    )


class RangeReader(AudioReader):
    """One channel of a range at the model's rate, as a source of its own.

    Raises CorruptAudioError, when opened or midway, where the range is not what the header
    promised: then the recording cannot be split. ``n_samples``: of the whole recording, known at
    the end of the last range.
    """

    def __init__(
        self, reader: AudioReader, unit: Unit, windowing: Windowing, channel: Channel
    ) -> None:
        self._reader, self._channel = reader, channel
        rate, self._to_hz = reader.info.sample_rate_hz, windowing.sample_rate_hz
        self._first = unit.first_window * windowing.hop_samples
        self._samples: int | None = None
        if unit.windows is not None:
            self._samples = (unit.windows - 1) * windowing.hop_samples + windowing.window_samples
        period = exact_period(rate, self._to_hz)
        frames = reader.info.frames
        if period is None or frames is None:
            raise CorruptAudioError(tr("{name}: cannot be split", name=reader.info.name))
        settling = 0 if rate == self._to_hz else rate
        wanted = self._first * rate // self._to_hz
        start = max(0, wanted - settling) // period * period
        if not reader.seek(start):
            raise CorruptAudioError(
                tr("{name}: cannot be read from the middle", name=reader.info.name)
            )
        self._skip = self._first - start * self._to_hz // rate
        self._left = frames - start
        self.info = AudioInfo(
            reader.info.name, self._to_hz, 1, None, reader.info.format, reader.info.decoder
        )
        self.n_samples = 0
        self._mono = Mono(reader.info, channel)

    @property
    def sums(self) -> SoundSums:
        """Of the sound of this range."""
        return self._mono.sums

    @property
    def damaged_packets(self) -> int:  # type: ignore[override]
        return self._reader.damaged_packets

    def blocks(self) -> Iterator[F32]:
        """Blocks f32[n, 1] at the model's rate."""
        passed = 0
        for resampled in self._resample():
            block = resampled[self._skip :]
            self._skip -= len(resampled) - len(block)
            if self._samples is not None:
                block = block[: self._samples - passed]
            passed += len(block)
            if len(block):
                yield block[:, None]
            if passed == self._samples:
                break
        self.n_samples = self._first + passed
        gaps = self._reader.damaged_packets or self._reader.gaps_seconds
        if gaps or self._reader.overlap_seconds or self._samples not in (None, passed):
            raise CorruptAudioError(tr("{name}: is damaged", name=self.info.name))

    def _resample(self) -> Iterator[F32]:
        resampler = Resampler(self._reader.info.sample_rate_hz, self._to_hz)
        for mono in mono_blocks(self._reader, self._channel, self._mono):
            self._left -= len(mono)
            yield resampler.push(mono)
        if self._left:
            raise CorruptAudioError(
                tr("{name}: is not as long as its header says", name=self.info.name)
            )
        yield resampler.flush()

    def close(self) -> None:
        """Close the recording."""
        self._reader.close()


class RangeEnd(NamedTuple):
    """What is known at the end of a range: the samples of the recording up to there, the file's
    description of itself, the seconds that classifying the range took, how the file was read, and
    the `SoundSums` of the range."""

    n_samples: int
    info: AudioInfo
    tags: dict[str, str]
    seconds: float = 0.0
    notes: Sequence[str] = ()
    sums: Sequence[float] = ()


class PieceWriter:
    """Writes the blocks of a range, then its end. windowing: of the whole recording."""

    def __init__(self, file: IO[Any], unit: Unit, windowing: Windowing) -> None:
        # Only ``write``: NumPy asks real files for their place, and compressed streams have none.
        self._file: Any = SimpleNamespace(write=self._write)
        self._stream, self._digest = file, hashlib.sha256()
        self._first_window = unit.first_window
        self._levels_left: int | None = None  # all, of the last range
        if unit.windows is not None:
            level = windowing.sample_rate_hz // LEVELS_PER_SECOND
            self._levels_left = unit.windows * windowing.hop_samples // level

    def write(self, block: Block, keeps_embeddings: bool) -> None:
        """The next block of the range, as if it were a recording of its own."""
        self._save(np.array([block.first_window + self._first_window]))
        if self._levels_left is not None and block.levels is not None:
            levels = block.levels[: self._levels_left]
            self._levels_left -= len(levels)
            block = block._replace(levels=levels)
        if not keeps_embeddings:
            block = block._replace(embeddings=block.embeddings[:, :0])
        for name in _ARRAYS:
            array = getattr(block, name)
            self._save(np.zeros(0, np.float32) if array is None else array)

    def end(self, end: RangeEnd) -> None:
        """The last thing."""
        self._save(np.frombuffer(json.dumps(end).encode(), np.uint8))
        self._stream.write(_SEAL + self._digest.digest())

    def _write(self, data: Any) -> None:
        self._digest.update(data)
        self._stream.write(data)

    def _save(self, array: Any) -> None:
        np.lib.format.write_array(self._file, np.ascontiguousarray(array), allow_pickle=False)


def piece_is_whole(storage: Storage, path: str) -> bool:
    """Whether a piece is there, and as it was written; those of versions before have no hash,
    and are only read."""
    digest, held = hashlib.sha256(), b""
    try:
        with storage.open(path) as file:
            while block := file.read(1 << 20):
                held += block
                digest.update(held[:-_SEAL_BYTES])
                held = held[-_SEAL_BYTES:]
            if held.startswith(_SEAL):
                return held == _SEAL + digest.digest()
            file.seek(0)
            while _load(file).dtype != np.uint8:
                pass
    except (OSError, ValueError, EOFError):
        return False
    return True


def read_piece(storage: Storage, path: str, windowing: Windowing) -> Iterator[Block | RangeEnd]:
    """The blocks of a piece, then its end."""
    with storage.open(path) as file:
        while True:
            first = _load(file)
            if first.dtype == np.uint8:
                end = RangeEnd(*json.loads(first.tobytes()))
                yield end._replace(info=AudioInfo(*end.info))
                return
            arrays = {name: _load(file) for name in _ARRAYS}
            for name in ("similarities", "framewise"):
                arrays[name] = arrays[name] if len(arrays[name]) else None
            times = windowing.times(int(first[0]), len(arrays["scores"]))
            yield Block(int(first[0]), times=times, **arrays)


def _load(file: IO[Any]) -> Any:
    return np.lib.format.read_array(file, allow_pickle=False)
