# SPDX-License-Identifier: Apache-2.0
"""What is wrong with the sound of a recording: opposite channels, clipping, DC offset, silence."""

from __future__ import annotations

from collections.abc import Iterable
from typing import NamedTuple

import numpy as np

from oido.arrays import F32

_PIECE_SAMPLES = 1024
_FULL_SCALE = 0.9999
_LEAST_CLIPPED = 0.001
_LEAST_OFFSET = 0.01
_LEAST_SILENT_SECONDS, _LEAST_SILENT_SHARE = 1.0, 0.1
_SHORTEST_SECONDS = 0.5
_OPPOSITE = 0.1


class SoundSums(NamedTuple):
    """What `SoundCheck` has added up, of samples per channel; of parts, the sums can be added."""

    frames: int = 0
    channels: int = 0
    energy: float = 0.0
    channel_energy: float = 0.0
    total: float = 0.0
    clipped: int = 0
    silent: int = 0

    @classmethod
    def added(cls, parts: Iterable[SoundSums]) -> SoundSums:
        """Those of a recording in parts."""
        columns = list(zip(*parts))
        if not columns:
            return cls()
        frames, channels, *sums = columns
        return cls(sum(frames), max(channels), *map(sum, sums))

    def findings(self, rate_hz: int, gaps_seconds: float = 0.0) -> tuple[str, ...]:
        """What is wrong, a few words each. gaps_seconds: of silence that was inserted."""
        found, seconds = [], self.frames / rate_hz
        if seconds < _SHORTEST_SECONDS:
            return ()
        mean_energy = self.channel_energy / max(self.channels, 1)
        if self.channels > 1 and self.energy < _OPPOSITE / self.channels * mean_energy:
            found.append(
                "its channels are in opposite phase and cancel each other in the mix: "
                "hear one of them, with --channel 0"
            )
        if self.clipped >= _LEAST_CLIPPED * self.frames:
            share = self.clipped / self.frames
            found.append(f"clipping: {share:.1%} of its samples are cut off at full scale")
        offset = self.total / self.frames
        if abs(offset) >= _LEAST_OFFSET:
            found.append(f"DC offset: its mean is {offset:+.3f} of full scale, and should be 0")
        silent = max(0.0, self.silent / rate_hz - gaps_seconds)
        if self.channel_energy and not self.energy:
            pass  # they cancel each other everywhere
        elif silent >= max(_LEAST_SILENT_SECONDS, _LEAST_SILENT_SHARE * seconds):
            found.append(
                f"digital silence: {silent:.1f} s of {seconds:.1f} s are nothing but zeros"
            )
        elif not self.energy and not gaps_seconds:
            found.append("digital silence: it is nothing but zeros")
        return tuple(found)


class SoundCheck:
    """Adds up what `SoundSums` tells of a stream, block by block."""

    def __init__(self) -> None:
        self.sums = SoundSums()

    def push(self, block: F32, mono: F32, energy: float) -> None:
        """f32[n, channels], n > 0, what is heard of it, f32[n], and the sum of its squares."""
        before, (n, channels) = self.sums, block.shape
        whole = n // _PIECE_SAMPLES * _PIECE_SAMPLES
        if not energy:
            silent = n
        else:
            pieces = mono[:whole].reshape(-1, _PIECE_SAMPLES)
            energies = np.matmul(pieces[:, None, :], pieces[:, :, None])
            silent = _PIECE_SAMPLES * (len(pieces) - int(np.count_nonzero(energies)))
        clipped, channel_energy = 0, energy
        if channels > 1:
            flat = block.ravel(order="K")  # no copy, whichever way they lie
            channel_energy = float(np.dot(flat, flat))
        if block.max() >= _FULL_SCALE or block.min() <= -_FULL_SCALE:
            for column in block.T:
                # Flat tops: one sample at full scale is a peak.
                is_full = np.abs(column) >= _FULL_SCALE
                clipped = max(clipped, int(np.count_nonzero(is_full[1:] & is_full[:-1])))
        self.sums = SoundSums(
            before.frames + n,
            channels,
            before.energy + energy,
            before.channel_energy + channel_energy,
            before.total + float(mono.sum(dtype=np.float32)),
            before.clipped + clipped,
            before.silent + silent,
        )
