# SPDX-License-Identifier: Apache-2.0
"""A recording as a picture (Matplotlib): its sound, the scores of its frames, and its events."""

from __future__ import annotations

import io
import os
from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np

from oido.arrays import F32, F64
from oido.errors import AudioError, needs_extra
from oido.messages import tr
from oido.params import LEVELS_PER_SECOND
from oido.signal.decode import AudioInfo, AudioSource, open_audio
from oido.signal.mixing import Channel, mono_blocks
from oido.types import Event

_MOST_LABELS = 12
_MOST_SECONDS = 600.0
"""Of sound that is drawn as a spectrogram: beyond, nothing of it could be seen."""

_COLUMNS, _FFT_SAMPLES = 1500, 1024
_RANGE_DB = 80.0
_COLOURS = ("#0072b2", "#d55e00", "#009e73", "#cc79a7", "#56b4e9", "#e69f00")
"""Told apart by colour-blind readers too (Okabe and Ito 2008)."""

_STYLE: Any = {"text.parse_math": False, "axes.spines.top": False, "axes.spines.right": False}


class Sound(NamedTuple):
    """What was heard: where it is from, and levels f32[n] in dB, one each 20 ms."""

    info: AudioInfo
    channel: int | None
    duration: float
    levels: F32


def draw_result(
    names: Sequence[str],
    values: F32,
    times: F64,
    events: Sequence[Event],
    recorded: Sound,
    source: AudioSource | None,
    sample_rate: int | None,
    wanted: Sequence[int] | None,
    *,
    calibrated: bool,
) -> Any:
    """A figure of three parts, one below the other.

    names: of the C columns; values: f32[T, C] of frames; times: f64[T, 2] in seconds. source: the
    sound itself, None: its file. wanted: columns to show; None: those of the events, or else the
    highest. Raises MissingExtraError, or AudioError of a source.
    """
    with needs_extra(tr("plot needs Matplotlib; install it with: pip install 'oido[plot]'")):
        from matplotlib import rc_context
        from matplotlib.figure import Figure

    class Picture(Figure):
        """Shows itself in a notebook, with or without pyplot."""

        def _repr_png_(self) -> bytes:
            file = io.BytesIO()
            self.savefig(file, format="png", dpi=100)
            return file.getvalue()

    columns = _columns(values, events) if wanted is None else list(wanted)
    events = [event for event in events if event.label_index in columns]
    with rc_context(_STYLE):
        height = 0.3 * max(2, len(columns))
        figure: Any = Picture(figsize=(10, 2.4 + 2 * height), layout="constrained")
        sound_axes, score_axes, event_axes = figure.subplots(
            3, 1, sharex=True, height_ratios=(1.8, height, height)
        )
        sound_axes.set_title(recorded.info.name, loc="left", fontsize=10)
        _draw_sound(sound_axes, recorded, source, sample_rate)
        shown = [names[column] for column in columns]
        image = score_axes.pcolormesh(
            np.append(times[:, 0], times[-1, 1]),
            np.arange(len(columns) + 1) - 0.5,
            values[:, columns].T,
            vmin=0,
            vmax=1,
            rasterized=True,
        )
        score_axes.invert_yaxis()
        what = "probability" if calibrated else tr("score, not a\nprobability")
        figure.colorbar(image, ax=score_axes, label=what, pad=0.01)
        for event in events:
            row = columns.index(event.label_index)
            span = (event.start_time, event.end_time - event.start_time)
            colour = _COLOURS[row % len(_COLOURS)]
            event_axes.broken_barh([span], (row - 0.35, 0.7), facecolors=colour)
        for axes in (score_axes, event_axes):
            axes.set_yticks(range(len(columns)), shown)
        event_axes.set(xlim=(0.0, recorded.duration), ylim=(len(columns) - 0.5, -0.5), xlabel="s")
        if not events:
            event_axes.set_title("no event reaches the threshold", fontsize=9)
    return figure


def _columns(values: F32, events: Sequence[Event]) -> list[int]:
    """Those of the events by their first, the longest if they are many; else the highest."""
    seconds: dict[int, float] = {}
    for event in events:
        if event.label_index >= 0:  # not what is unknown
            length = event.end_time - event.start_time
            seconds[event.label_index] = seconds.get(event.label_index, 0.0) + length
    if not seconds:
        return [int(column) for column in np.argsort(-values.max(axis=0), kind="stable")[:5]]
    longest = sorted(seconds, key=lambda column: -seconds[column])[:_MOST_LABELS]
    return [column for column in seconds if column in longest]


def _draw_sound(
    axes: Any, sound: Sound, source: AudioSource | None, sample_rate: int | None
) -> None:
    """The spectrogram, or the level, of which the result itself knows."""
    samples, rate_hz = _samples(sound, source, sample_rate)
    if samples is None:
        starts = np.arange(len(sound.levels)) / LEVELS_PER_SECOND
        axes.fill_between(starts, sound.levels, sound.levels.min(initial=-100.0), color="#767676")
        axes.set_ylabel("level, dB")
        return
    decibels = _spectrogram(samples)
    highest = float(decibels.max())
    axes.imshow(
        decibels,
        origin="lower",
        aspect="auto",
        extent=(0.0, len(samples) / rate_hz, 0.0, rate_hz / 2000),
        cmap="magma",
        vmin=highest - _RANGE_DB,
        vmax=highest,
    )
    axes.set_ylabel("kHz")


def _samples(
    sound: Sound, source: AudioSource | None, sample_rate: int | None
) -> tuple[F32 | None, int]:
    """The sound f32[n] and its rate; None where it is not at hand, or too long to be seen."""
    if sound.duration > _MOST_SECONDS:
        return None, 0
    name = sound.info.name
    if source is None and (sound.info.decoder == "array" or not os.path.isfile(name)):
        return None, 0
    channel: Channel = "mix" if sound.channel is None else sound.channel
    try:
        with open_audio(name if source is None else source, sample_rate) as reader:
            samples = np.concatenate(list(mono_blocks(reader, channel)))
            return samples, reader.info.sample_rate_hz
    except AudioError:
        if source is not None:
            raise
        return None, 0  # the file is not what it was


def _spectrogram(samples: F32) -> F32:
    """In dB, f32[bins, columns], as many columns as can be seen; low frequencies first."""
    padded = np.pad(samples, (0, _FFT_SAMPLES))
    starts = np.linspace(0, len(samples) - 1, min(_COLUMNS, len(samples))).astype(int)
    frames = padded[starts[:, None] + np.arange(_FFT_SAMPLES)] * np.hanning(_FFT_SAMPLES)
    power = np.abs(np.fft.rfft(frames)) ** 2
    return (10 * np.log10(power + 1e-12)).T.astype(np.float32)
