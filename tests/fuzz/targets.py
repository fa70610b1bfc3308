# SPDX-License-Identifier: Apache-2.0
"""What is fuzzed: functions of bytes, which raise only where oido would raise what is not its own.

Each takes whatever a stranger may send, and knows by its first bytes what it could be.
"""

from __future__ import annotations

import contextlib
import io
import tempfile
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any
from urllib.parse import parse_qsl

import numpy as np

from oido.batch.archive_header import HEADER
from oido.batch.results_folder import read_folder
from oido.datasets.tables import listed_clips
from oido.datasets.track_text import TrackError, parse_track
from oido.dialects import decode_text, number, seconds, split_lines
from oido.errors import OidoError
from oido.heads import ScoreCalibration, parse_thresholds
from oido.live.pipe import ContainerReader
from oido.models.calibration_file import Calibration
from oido.models.damage import refuse_damage
from oido.models.model import Notes
from oido.models.networks.torch_file import read_state_dict
from oido.models.tflite.editor import TfliteGraph
from oido.models.tflite.metadata import read_metadata
from oido.name_time import read_name
from oido.options import read_query
from oido.paths import NameFinder
from oido.server.problems import Problem
from oido.server.protocol import read_control, read_header
from oido.signal.decode import AudioReader, open_audio
from oido.signal.decode.pyav_stream import Demuxer
from oido.signal.mixing import mono_blocks
from tests.fuzz import made_clocks

_SOUND_HEADER = b'{"archive_version": 1}'
_MOST_SAMPLES = 2_000_000


def _tried(reads: Callable[[], object]) -> None:
    """An error of oido's own is an answer, if it says something."""
    try:
        reads()
    except (OidoError, Problem) as error:
        if not str(error):
            raise ValueError(f"a {type(error).__name__} that says nothing") from error


def metadata(content: bytes) -> None:
    """A .tflite, a .pt, or a text that is packed in a model or lies beside it."""
    if content[4:8] == b"TFL3":
        _tried(lambda: _model(content))
    elif content[:2] == b"PK":
        _tried(lambda: read_state_dict(content))
    else:
        text = content.decode("utf-8", "replace")
        _tried(lambda: Calibration.parse(text))
        _tried(lambda: Notes.parse(content))
        _tried(lambda: parse_thresholds(text))
        _tried(lambda: ScoreCalibration.parse(text, 3))


def _model(content: bytes) -> None:
    with refuse_damage("its graph makes no sense"):  # as `oido.models.fetch.read_model` does
        graph = TfliteGraph(content)
        graph.output_sizes(), graph.is_quantised(), graph.has_spectrum(), graph.require_order()
        raw = graph.metadata()
        if raw is not None:
            found = read_metadata(raw, content)
            found.notes()
            found.heads()


def ledger(content: bytes) -> None:
    """The header of a results folder, or a commit of its ledger."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        (folder / "ledger").mkdir()
        (folder / HEADER).write_bytes(content)
        _tried(lambda: read_folder(name))
        (folder / HEADER).write_bytes(_SOUND_HEADER)
        (folder / "ledger" / "00000001.json").write_bytes(content)
        _tried(lambda: read_folder(name))


def protocol(content: bytes) -> None:
    """A stream's first message, a message behind it, its samples, or a query."""
    text = content.decode("utf-8", "ignore")
    _tried(lambda: read_control(text))
    _tried(lambda: read_header(text).samples(content))
    _tried(lambda: read_query(parse_qsl(text, keep_blank_values=True)))


def decode(content: bytes) -> None:
    """A recording, as far as two million samples."""
    _tried(lambda: _samples(content))


def _samples(content: bytes) -> None:
    with open_audio(io.BytesIO(content)) as reader:
        n_samples = 0
        for block in mono_blocks(reader):
            if block.dtype != np.float32 or block.ndim != 1 or not np.isfinite(block).all():
                raise ValueError(f"a block of {block.dtype}{block.shape} that is not finite")
            n_samples += len(block)
            if n_samples > _MOST_SAMPLES:
                return


def clock(content: bytes) -> None:
    """The times of the blocks of a container: whatever they are, all sound is there but what the
    reader tells, and silence is what it tells."""
    at = made_clocks.times(content)
    if at:
        film = made_clocks.matroska(at)
        _timed(open_audio(film), len(at))
        _timed(ContainerReader(io.BytesIO(film)), len(at))


def _timed(reader: AudioReader, n_blocks: int) -> None:
    n_samples = n_silent = 0
    with reader:
        for block in reader.blocks():
            n_samples, n_silent = n_samples + len(block), n_silent + int((block == 0.0).sum())
            if n_samples > _MOST_SAMPLES:
                return
        rate = reader.info.sample_rate_hz
        gaps, overlap = reader.gaps_seconds * rate, reader.overlap_seconds * rate
        sound = n_blocks * made_clocks.BLOCK_SAMPLES
        if abs(n_silent - gaps) > 1 or n_samples - n_silent > sound:
            raise ValueError(f"{n_silent} silent samples of {gaps} that were told")
        if reader.info.name != "<stdin>" and abs(n_samples - sound - gaps + overlap) > 2 * n_blocks:
            raise ValueError(f"{n_samples} samples of {sound} + {gaps} - {overlap}")


def pipe(content: bytes) -> None:
    """Recordings on a pipe, which brings some bytes at a time: all of it is read, and ends."""
    file = io.BytesIO(content)
    source: Any = SimpleNamespace(read=lambda size: file.read(min(size, 1_000)))
    _tried(lambda: _blocks_of(Demuxer(source, "<pipe>", options={"protocol_whitelist": "none"})))


def _blocks_of(demuxer: Demuxer) -> None:
    n_samples = 0
    try:
        for samples, missing in demuxer.blocks():
            n_samples += len(samples)
            if missing < 0.0 or samples.shape[1] != demuxer.channels:
                raise ValueError(f"a block of {samples.shape} behind {missing} s")
            if n_samples > _MOST_SAMPLES:
                return
    finally:
        demuxer.close()


def texts(content: bytes) -> None:
    """A list, a table, a label track, or names of recordings, in any encoding."""
    text = decode_text(content)
    names = [line for line in split_lines(text) if line][:40]
    for name in names:
        read_name(name)
        for read in (number, seconds):
            with contextlib.suppress(ValueError):
                read(name)
    kept = set(names[::2])
    finder = NameFinder(kept.__contains__, lambda folder: sorted(kept))
    for name in names:
        found = finder.find(name)
        if found not in kept if found is not None or name in kept else False:
            raise ValueError(f"{name!r} is found as {found!r}")
    with tempfile.TemporaryDirectory() as folder:
        for suffix in ("csv", "txt"):
            path = Path(folder) / f"a.{suffix}"
            path.write_bytes(content)
            _tried(lambda path=str(path): listed_clips(path))
            with contextlib.suppress(TrackError):
                parse_track(str(path))


TARGETS = {f.__name__: f for f in (metadata, ledger, protocol, decode, clock, pipe, texts)}
