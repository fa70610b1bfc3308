# SPDX-License-Identifier: Apache-2.0
"""From channels to one: the mean of all, or a chosen one."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Literal

import numpy as np

from oido.arrays import F32
from oido.errors import EmptyAudioError, InvalidSamplesError, OptionError
from oido.messages import tr
from oido.signal.decode import AudioInfo, AudioReader
from oido.signal.level import SoundCheck, SoundSums

Channel = Literal["mix"] | int
"""Which channel: "mix" (the mean of all) or a number from 0."""

_LOUDEST_RMS = 16.0
"""Float samples belong in [-1, 1], an RMS of 1 at most; recorders overshoot, but not this much."""

_SHORTEST_SECONDS = 0.001
"""A file shorter than this is a stump, not a recording; an array may be as short as it likes."""


class Mono:
    """One channel of a source's blocks, with bad samples refused.

    ``push`` gives the samples f32[n] of a block f32[n, channels]; from the first bad sample on it
    gives nothing, and ``damage`` is the error that tells of it. ``sums``: what is known of the
    sound so far, unless ``keeps_sums`` is False. n_frames: that came before. Raises OptionError for
    a channel that is not there.
    """

    def __init__(
        self,
        info: AudioInfo,
        channel: Channel = "mix",
        n_frames: int = 0,
        *,
        keeps_sums: bool = True,
    ) -> None:
        if channel != "mix" and (isinstance(channel, bool) or not isinstance(channel, int)):
            raise OptionError(
                tr('channel must be "mix" or a number from 0, not {channel!r}', channel=channel)
            )
        self._info, self._channel = info, channel
        self._n_frames, self._keeps_sums = n_frames, keeps_sums
        self._check = SoundCheck()
        self.damage: InvalidSamplesError | None = None

    @property
    def sums(self) -> SoundSums:
        return self._check.sums

    def push(self, block: F32) -> F32:
        """The block's samples, f32[n]; fewer where one of them is bad."""
        mono = _pick(block, self._channel, self._info.name)
        if self.damage is not None or not len(mono):
            return mono[:0]
        # The energy is not finite if one sample is not: one quick look, a second on suspicion.
        with np.errstate(over="ignore", invalid="ignore"):
            energy = float(np.dot(mono, mono))
        if not energy < _LOUDEST_RMS**2 * len(mono):
            good = _good_samples(mono)
            self.damage = _bad_samples(mono, good, self._n_frames, self._info)
            mono = mono[:good]
        elif self._keeps_sums:
            seen = block if self._channel == "mix" else mono[:, None]
            self._check.push(seen, mono, energy)
        self._n_frames += len(mono)
        return mono

    def flush(self) -> None:
        """The end. Raises EmptyAudioError if there was less than a millisecond."""
        info = self._info
        if info.decoder != "array" and self._n_frames < _SHORTEST_SECONDS * info.sample_rate_hz:
            raise EmptyAudioError(
                tr(
                    "{name}: holds only {n_frames} samples, too few to be a sound",
                    name=info.name,
                    n_frames=self._n_frames,
                )
            )


def mono_blocks(
    reader: AudioReader, channel: Channel = "mix", mono: Mono | None = None
) -> Iterator[F32]:
    """The reader's blocks as one channel, f32[n], with bad samples refused.

    mono: what does it, for those who want to know its sums. Raises EmptyAudioError if there is less
    than a millisecond, InvalidSamplesError at the first NaN or infinite one, OptionError for a
    channel that is not there.
    """
    mono = mono or Mono(reader.info, channel)
    for block in reader.blocks():
        samples = mono.push(block)
        if len(samples):
            yield samples
        if mono.damage is not None:
            raise mono.damage
    mono.flush()


def _pick(block: F32, channel: Channel, name: str) -> F32:
    channels = block.shape[1]
    if channel == "mix":
        if channels == 1:
            return block[:, 0]
        # Adding columns is 25 times quicker than mean(axis=1) over a short axis.
        mono = block[:, 0] + block[:, 1]
        for index in range(2, channels):
            mono += block[:, index]
        mono *= np.float32(1.0 / channels)
        return mono
    if not 0 <= channel < channels:
        has = (
            tr("one channel, 0")
            if channels == 1
            else tr("channels 0 to {channels}", channels=channels - 1)
        )
        raise OptionError(
            tr(
                "{name}: there is no channel {channel}; it has {has}",
                name=name,
                channel=channel,
                has=has,
            )
        )
    return np.ascontiguousarray(block[:, channel])


def _good_samples(mono: F32) -> int:
    """How many samples come before the first that is not finite; 0 if all are finite."""
    return int(np.argmax(~np.isfinite(mono)))


def _bad_samples(mono: F32, good: int, before: int, info: AudioInfo) -> InvalidSamplesError:
    if not np.isfinite(mono[good]):
        return InvalidSamplesError(
            tr(
                "{name}: has NaN or infinite samples, the first at {before:.3f} s; "
                "repair or re-export it",
                name=info.name,
                before=(before + good) / info.sample_rate_hz,
            )
        )
    return InvalidSamplesError(
        tr(
            "{name}: float samples belong in [-1, 1], and the largest here is "
            "{max:g}; divide int16 values by 32768",
            name=info.name,
            max=float(np.abs(mono).max()),
        )
    )
