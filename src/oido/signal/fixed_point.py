# SPDX-License-Identifier: Apache-2.0
"""Log-mel patches in whole numbers alone, so that a microcontroller makes the very same ones.

This is the reference of docs/reference/fixed-point.md: 16 kHz int16 in, int8 patches out, and the
same integers on every machine. No intermediate value leaves 32 bits, but for products and sums that
are said to be of 64. examples/microcontroller/front_end.c is its twin in C.

1. A frame is 512 samples, every 320. Sample times window (Q15), rounded by 9 bits: samples with 6
   more bits below the point.
2. A real FFT of 512 by a complex one of 256 (decimation in time, twiddles in Q30, rounded after
   each product), whose halves are parted again. It gives twice the spectrum.
3. Magnitudes, the whole part of the square root.
4. Triangles over the mel scale in Q12, summed in 64 bits, 12 bits dropped.
5. log2 in Q12 of that plus 4,096, less 12: by the highest bit, and between 65 tabulated values.
6. Eight bits dropped, rounded: steps of 1/16 of an octave (0.38 dB), from −128, which is silence.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from oido.arrays import F32, I64
from oido.errors import OptionError
from oido.mel import student_mel_matrix
from oido.messages import tr
from oido.params import FixedPointParams

I8 = NDArray[np.int8]

WINDOW_BITS, TWIDDLE_BITS, MEL_BITS, LOG_BITS = 15, 30, 12, 12
EXTRA_BITS = 6
"""Below the point of a sample, which the FFT has room for."""
OFFSET_BITS = 12
"""What is added before the logarithm is 2 to this: 0.001 of full scale in YAMNet's front end."""
STEP_BITS = 8
"""From the logarithm to int8."""
SEGMENT_BITS = 6
"""The logarithm is straight between 64 places of an octave."""


@dataclass(frozen=True, eq=False)
class FixedPointTables:
    """What a microcontroller keeps in flash. i64 here; their types there are in the reference.

    window: [512], Q15. cosines, sines: [257], Q30, of 2π·k / 512. mel: the weights of a band one
    behind the other, Q12; first_bins, counts: [bands], where they begin and how many there are.
    logs: [65], Q12, log2(1 + k / 64).
    """

    window: I64
    cosines: I64
    sines: I64
    mel: I64
    first_bins: I64
    counts: I64
    logs: I64

    @classmethod
    def of(cls, params: FixedPointParams) -> FixedPointTables:
        n = params.fft_samples
        turn = 2 * np.pi * np.arange(n) / n
        half = turn[: n // 2 + 1]
        weights = _rounded(student_mel_matrix(params) * (1 << MEL_BITS))  # [bins, bands]
        first = np.argmax(weights > 0, axis=0)
        counts = (weights > 0).sum(axis=0)
        if not counts.all():
            raise OptionError(
                tr("{bands} bands are too many for an FFT of {n} samples", bands=params.bands, n=n)
            )
        columns = zip(weights.T, first, counts)
        return cls(
            window=np.minimum(_rounded((0.5 - 0.5 * np.cos(turn)) * (1 << WINDOW_BITS)), 32_767),
            cosines=_rounded(np.cos(half) * (1 << TWIDDLE_BITS)),
            sines=_rounded(np.sin(half) * (1 << TWIDDLE_BITS)),
            mel=np.concatenate([column[k : k + count] for column, k, count in columns]),
            first_bins=first.astype(np.int64),
            counts=counts.astype(np.int64),
            logs=_rounded(np.log2(1 + np.arange(65) / 64) * (1 << LOG_BITS)),
        )

    def for_c(self) -> list[tuple[str, str, I64]]:
        """Name, type and values of each table, as the C twin has them."""
        kinds = ("int16_t", "int32_t", "int32_t", *["uint16_t"] * 4)
        tables = zip(vars(self).items(), kinds)
        return [(f"oido_{name}", kind, values) for (name, values), kind in tables]


def _rounded(values: NDArray[np.float64]) -> I64:
    """To the nearest, halves up, so that no language's rounding matters."""
    return np.floor(values + 0.5).astype(np.int64)


def to_int16(waveform: F32) -> I64:
    """Samples in [-1, 1] as 16 bits have them: rounded, and held at the ends."""
    scaled = np.floor(waveform.astype(np.float64) * 32_768 + 0.5)
    return np.clip(scaled, -32_768, 32_767).astype(np.int64)


class FixedPointFrontEnd:
    """Waveform → frames → patches, in whole numbers."""

    def __init__(self, params: FixedPointParams | None = None) -> None:
        self.params = params or FixedPointParams()
        self.tables = FixedPointTables.of(self.params)

    def patches(self, waveform: F32, hop_samples: int) -> I8:
        """Patches of f32[(N − 1) · hop + patch_samples] at 16 kHz: i8[N, frames, bands, 1]."""
        p = self.params
        frames = self.frames(to_int16(waveform))
        patches = np.lib.stride_tricks.sliding_window_view(frames, p.patch_frames, axis=0)
        return patches[:: hop_samples // p.hop_samples].transpose(0, 2, 1)[..., np.newaxis]

    def frames(self, samples: I64) -> I8:
        """Samples −32,768..32,767 → i8[1 + (n − 512) // 320, bands]."""
        p = self.params
        found = np.lib.stride_tricks.sliding_window_view(samples, p.fft_samples)[:: p.hop_samples]
        blocks = [
            self.quantise(self.log_mel(self.magnitudes(self.spectrum(self.windowed(block)))))
            for block in np.array_split(found, range(256, len(found), 256))
        ]
        return np.concatenate(blocks)

    def windowed(self, frames: I64) -> I64:
        """[t, 512] samples → the same with six bits below the point."""
        drop = WINDOW_BITS - EXTRA_BITS
        return _dropped(frames * self.tables.window, drop)

    def spectrum(self, frames: I64) -> tuple[I64, I64]:
        """[t, 512] → twice the real and the imaginary part of its spectrum, [t, 257] each."""
        real, imaginary = self._complex_fft(frames[:, 0::2], frames[:, 1::2])
        # Bin k of the two halves' spectra, and bin 256 − k, which is the conjugate of the halves'.
        real, imaginary = (np.concatenate([x, x[:, :1]], axis=1) for x in (real, imaginary))
        other_real, other_imaginary = real[:, ::-1], imaginary[:, ::-1]
        even_real, even_imaginary = real + other_real, imaginary - other_imaginary
        odd_real, odd_imaginary = imaginary + other_imaginary, other_real - real
        c, s = self.tables.cosines, self.tables.sines
        turned_real = _dropped(odd_real * c + odd_imaginary * s, TWIDDLE_BITS)
        turned_imaginary = _dropped(odd_imaginary * c - odd_real * s, TWIDDLE_BITS)
        return even_real + turned_real, even_imaginary + turned_imaginary

    def _complex_fft(self, real: I64, imaginary: I64) -> tuple[I64, I64]:
        """[t, 256] each; radix 2, decimation in time."""
        t, n = real.shape
        real, imaginary = real[:, self._reversed], imaginary[:, self._reversed]
        size = 2
        while size <= n:
            half, step = size // 2, 2 * n // size
            c, s = self.tables.cosines[:n:step], self.tables.sines[:n:step]  # [half]
            a, b = (x.reshape(t, n // size, 2, half) for x in (real, imaginary))
            turned_real = _dropped(a[:, :, 1] * c + b[:, :, 1] * s, TWIDDLE_BITS)
            turned_imaginary = _dropped(b[:, :, 1] * c - a[:, :, 1] * s, TWIDDLE_BITS)
            real = np.stack([a[:, :, 0] + turned_real, a[:, :, 0] - turned_real], axis=2)
            imaginary = np.stack(
                [b[:, :, 0] + turned_imaginary, b[:, :, 0] - turned_imaginary], axis=2
            )
            real, imaginary = real.reshape(t, n), imaginary.reshape(t, n)
            size *= 2
        return real, imaginary

    @cached_property
    def _reversed(self) -> I64:
        """Of each place of the complex FFT, the one whose bits are in reverse."""
        bits = (self.params.fft_samples // 2).bit_length() - 1
        places = np.arange(1 << bits)
        found = np.zeros(1 << bits, np.int64)
        for k in range(bits):
            found |= ((places >> k) & 1) << (bits - 1 - k)
        return found

    def magnitudes(self, spectrum: tuple[I64, I64]) -> I64:
        """[t, 257]: the whole part of the square root of re² + im², of 62 bits at most."""
        squares = spectrum[0] ** 2 + spectrum[1] ** 2
        root = np.sqrt(squares.astype(np.float64)).astype(np.int64)
        root -= root**2 > squares  # where float64 rounded to the next one
        return np.asarray(root + ((root + 1) ** 2 <= squares), np.int64)

    def log_mel(self, magnitudes: I64) -> I64:
        """[t, 257] → [t, bands], log2 in Q12; 0 for silence."""
        tables = self.tables
        energies = np.empty((len(magnitudes), self.params.bands), np.int64)
        end = 0
        for band, (first, count) in enumerate(zip(tables.first_bins, tables.counts)):
            start, end = end, end + int(count)
            weights = tables.mel[start:end]
            energies[:, band] = magnitudes[:, first : first + count] @ weights >> MEL_BITS
        return self._log2(energies + (1 << OFFSET_BITS)) - (OFFSET_BITS << LOG_BITS)

    def _log2(self, values: I64) -> I64:
        """Of 1 and more, in Q12; the largest is below 2^32 or so."""
        highest = np.frexp(values.astype(np.float64))[1].astype(np.int64) - 1
        # 16 bits behind the highest one: 0..65,535 of its octave.
        up, down = np.maximum(16 - highest, 0), np.maximum(highest - 16, 0)
        rest = ((values << up) >> down) - (1 << 16)
        segment, within = rest >> 16 - SEGMENT_BITS, rest & (1 << 16 - SEGMENT_BITS) - 1
        low, high = self.tables.logs[segment], self.tables.logs[segment + 1]
        between = _dropped((high - low) * within, 16 - SEGMENT_BITS)
        return np.asarray((highest << LOG_BITS) + low + between, np.int64)

    def quantise(self, logs: I64) -> I8:
        """Q12 → −128 (silence) to 127, in steps of 1/16."""
        return np.clip(_dropped(logs, STEP_BITS) - 128, -128, 127).astype(np.int8)


def _dropped(values: I64, bits: int) -> I64:
    """The last bits gone, rounded to the nearest, halves up: an arithmetic shift after adding."""
    return np.asarray((values + (1 << bits - 1)) >> bits, np.int64)
