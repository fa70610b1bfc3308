# SPDX-License-Identifier: Apache-2.0
"""From a waveform to log-mel patches, equal to the last bit to the front end inside the model.

YAMNet's network is quantised: a log-mel value that moves by one float32 rounding can fall on the
other side of a quantisation step, and a score then jumps by up to 0.09. So `FrontEnd` keeps the
roundings of the model's own operators (TensorFlow Lite): the product with the window in float32,
the FFT in float64 rounded to complex64, the magnitude as a correctly rounded hypot. The product
with the mel matrix and the logarithm are left to the runtime (`project`), which runs the model's
own two operators, because the order of a sum decides its last bit.

`MnFrontEnd` makes the patches of EfficientAT's networks (mn04 and its sisters) from a 32 kHz
waveform. The formulas are those of EfficientAT, models/preprocess.py (`AugmentMelSTFT` in
evaluation), and of torchaudio.compliance.kaldi.get_mel_banks. A window is a clip of its own there,
reflected at both ends. Here frames that reach no end are shared by the windows that overlap; only
those at the ends are computed for each window. Sums are made in float64 and rounded once, so that
the order in which a BLAS adds does not show, and the result of a window does not depend on its
neighbours.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from oido.arrays import F32, F64
from oido.errors import OptionError
from oido.mel import kaldi_mel_matrix, symmetric_hann
from oido.messages import tr
from oido.params import FrontEndParams, MnFrontEndParams

MelProjection = Callable[[F32], F32]
"""Magnitudes f32[t, bins] → log-mel f32[t, bands]; ``bins`` are those that the matrix uses."""

_BLOCK_FRAMES = 192
"""Frames per FFT call: the work arrays (about 1.5 MB) stay in the processor's cache."""


class FrontEnd:
    """Waveform → frames → patches, with one network's constants.

    window: f32[window_samples], the analysis window.
    first_bin, last_bin: the FFT bins that the mel matrix uses, both included; no other bin is
    computed beyond the FFT.
    project: the mel projection with its logarithm; it gets magnitudes of those bins only.
    """

    def __init__(
        self, params: FrontEndParams, window: F32, bins: tuple[int, int], project: MelProjection
    ) -> None:
        self.params = params
        self._window = window
        self._bins = slice(bins[0], bins[1] + 1)
        self._project = project
        # Only the first window_samples columns are ever written: the rest is the FFT's zero pad.
        self._padded = np.zeros((_BLOCK_FRAMES, params.fft_samples), np.float64)
        self._spectrum = np.empty((_BLOCK_FRAMES, params.fft_bins), np.complex128)

    def frames(self, waveform: F32) -> F32:
        """Log-mel frames of f32[n], no padding: f32[1 + (n − window) // hop, bands]."""
        p = self.params
        frames = np.lib.stride_tricks.sliding_window_view(waveform, p.window_samples)
        frames = frames[:: p.hop_samples]  # f32[t, window], a view
        blocks = [
            self._project(self._magnitudes(frames[start : start + _BLOCK_FRAMES]))
            for start in range(0, len(frames), _BLOCK_FRAMES)
        ]
        return np.concatenate(blocks)  # f32[t, bands]

    def patches(self, waveform: F32, hop_samples: int) -> F32:
        """Patches of f32[(N − 1) · hop + patch_samples]: f32[N, patch_frames, bands].

        The result is a view in which overlapping patches share their frames.
        """
        p = self.params
        frames = self.frames(waveform)
        patches = np.lib.stride_tricks.sliding_window_view(frames, p.patch_frames, axis=0)
        return patches[:: hop_samples // p.hop_samples].transpose(0, 2, 1)

    def _magnitudes(self, frames: F32) -> F32:
        """f32[t, window] → f32[t, bins]."""
        n = len(frames)
        self._padded[:n, : self.params.window_samples] = frames * self._window
        spectrum = np.fft.rfft(self._padded[:n], axis=1, out=self._spectrum[:n])
        rounded = spectrum[:, self._bins].astype(np.complex64)
        # |z| in float64 of a complex64, then rounded once: what a correct hypotf gives, but faster.
        return np.abs(rounded.astype(np.complex128)).astype(np.float32)


def numpy_projection(weights: F32, log_offset: float) -> MelProjection:
    """ln(magnitudes @ weights + offset) in plain NumPy; right within a few float32 roundings."""

    def project(magnitudes: F32) -> F32:
        return np.asarray(np.log(magnitudes @ weights + np.float32(log_offset)))

    return project


_MN_BLOCK_FRAMES = 64
_MN_BLOCK_BANDS = 16
"""A block's work arrays (1.5 MB) stay in the processor's cache, its products with the mel matrix
are too small for a BLAS to start threads, and each takes only the bins that its bands need."""


class MnFrontEnd:
    """Waveform → patches. Keeps work arrays: one for each thread."""

    def __init__(self, params: MnFrontEndParams) -> None:
        self.params = p = params
        if p.bands % _MN_BLOCK_BANDS:
            raise OptionError(
                tr(
                    "bands must be a multiple of {mn_block_bands}, not {bands}",
                    mn_block_bands=_MN_BLOCK_BANDS,
                    bands=p.bands,
                )
            )
        self._hann = symmetric_hann(p.analysis_samples)
        self._mel = _band_groups(kaldi_mel_matrix(p))
        self._inner = _inner_frames(p)
        self._edge_frames, self._edge_samples = _edges(p, self._inner)
        self._block = np.zeros((_MN_BLOCK_FRAMES, p.fft_samples))
        self._spectrum = np.empty((_MN_BLOCK_FRAMES, p.fft_samples // 2 + 1), np.complex128)
        self._power = np.empty_like(self._spectrum, np.float64)
        self._imaginary = np.empty_like(self._power)

    def patches(self, waveform: F32, hop_samples: int) -> F32:
        """Patches of f32[(N − 1) · hop + window] at 32 kHz: f32[N, bands, frames, 1].

        Each is what its window would give as a clip of its own, whatever stands beside it. A hop
        of a whole number of STFT frames is quicker, because windows then share frames.
        """
        p = self.params
        window = p.window_samples
        n_windows = 1 + (len(waveform) - window) // hop_samples
        patches = np.empty((n_windows, p.bands, p.patch_frames), np.float32)
        if hop_samples % p.hop_samples == 0:
            self._fill(patches, waveform, hop_samples)
        else:
            for k in range(n_windows):
                start = k * hop_samples
                self._fill(patches[k : k + 1], waveform[start : start + window], hop_samples)
        return patches[..., np.newaxis]

    def _fill(self, patches: F32, waveform: F32, hop_samples: int) -> None:
        """``patches`` f32[N, bands, frames] of windows that are whole frames apart."""
        p = self.params
        coefficient = np.float32(p.preemphasis)
        sharp = waveform[1:] - coefficient * waveform[:-1]  # f32[n − 1]
        # Frame t of a window covers the samples 320 t − 400 … 320 t + 399 of it.
        inner, step = self._inner, hop_samples // p.hop_samples
        if inner:
            start = inner.start * p.hop_samples - p.analysis_samples // 2
            views = np.lib.stride_tricks.sliding_window_view(sharp[start:], p.analysis_samples)
            n_shared = (len(patches) - 1) * step + len(inner)
            shared = self._log_mel(views[:: p.hop_samples][:n_shared])  # f32[bands, n_shared]
            for k, patch in enumerate(patches):
                patch[:, inner.start : inner.stop] = shared[:, k * step : k * step + len(inner)]
        for k, patch in enumerate(patches):
            patch[:, self._edge_frames] = self._log_mel(sharp[k * hop_samples + self._edge_samples])

    def _log_mel(self, frames: F32) -> F32:
        """f32[t, analysis] → normalised log-mel f32[bands, t]."""
        p = self.params
        energies = np.empty((p.bands, len(frames)), np.float32)
        for start in range(0, len(frames), _MN_BLOCK_FRAMES):
            block = frames[start : start + _MN_BLOCK_FRAMES]
            power = self._block_power(block)  # f64[t, bins]
            for bands, bins, weights in self._mel:
                energies[bands, start : start + len(block)] = (power[:, bins] @ weights).T
        if p.log_floor:
            energies = np.maximum(energies, np.float32(p.log_floor))
        logs = np.log(energies + np.float32(p.log_offset))
        return np.asarray((logs + np.float32(p.normal_shift)) / np.float32(p.normal_scale))

    def _block_power(self, frames: F32) -> F64:
        """|X|², f64[t, bins] of f32[t, analysis], t ≤ _MN_BLOCK_FRAMES, in a work array.

        The original centres the 800 samples among 1,024; a shift changes the phase alone, so here
        they stand first, and the zeros behind them.
        """
        n = len(frames)
        np.multiply(frames, self._hann, out=self._block[:n, : self.params.analysis_samples])
        spectrum = np.fft.rfft(self._block[:n], axis=1, out=self._spectrum[:n])
        power = np.multiply(spectrum.real, spectrum.real, out=self._power[:n])
        power += np.multiply(spectrum.imag, spectrum.imag, out=self._imaginary[:n])
        return power


def _band_groups(weights: F64) -> list[tuple[slice, slice, F64]]:
    """The matrix f64[bins, bands] in groups of bands: (bands, their bins, f64[bins, bands])."""
    groups = []
    for start in range(0, weights.shape[1], _MN_BLOCK_BANDS):
        bands = slice(start, start + _MN_BLOCK_BANDS)
        used = np.flatnonzero(weights[:, bands].any(axis=1))
        bins = slice(int(used[0]), int(used[-1]) + 1)
        groups.append((bands, bins, np.ascontiguousarray(weights[bins, bands])))
    return groups


def _inner_frames(params: MnFrontEndParams) -> range:
    """The frames of a window that reach over neither of its ends."""
    half, n_samples = params.analysis_samples // 2, params.window_samples - 1
    first = -(-half // params.hop_samples)
    return range(first, max(first, (n_samples - half) // params.hop_samples + 1))


def _edges(params: MnFrontEndParams, inner: range) -> tuple[NDArray[np.intp], NDArray[np.intp]]:
    """All other frames, intp[e], and the samples of the window that they see, intp[e, analysis].

    These are samples after pre-emphasis, reflected at either end without repeating the last one
    (torch.stft, center=True).
    """
    half, last_sample = params.analysis_samples // 2, params.window_samples - 2
    frames = np.array([t for t in range(params.patch_frames) if t not in inner], np.intp)
    seen = frames[:, None] * params.hop_samples + np.arange(-half, half)
    return frames, last_sample - np.abs(last_sample - np.abs(seen))
