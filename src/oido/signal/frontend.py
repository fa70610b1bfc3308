# SPDX-License-Identifier: Apache-2.0
"""From a waveform to log-mel patches, equal to the last bit to the front end inside the model.

The network is quantised: a log-mel value that moves by one float32 rounding can fall on the other
side of a quantisation step, and a score then jumps by up to 0.09. So the steps below keep the
roundings of the model's own operators (TensorFlow Lite): the product with the window in float32,
the FFT in float64 rounded to complex64, the magnitude as a correctly rounded hypot. The product
with the mel matrix and the logarithm are left to the runtime (`project`), which runs the model's
own two operators, because the order of a sum decides its last bit.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from oido.params import FrontEndParams

__all__ = ["FrontEnd", "MelProjection", "numpy_projection"]

MelProjection = Callable[[NDArray[np.float32]], NDArray[np.float32]]
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
        self,
        params: FrontEndParams,
        window: NDArray[np.float32],
        bins: tuple[int, int],
        project: MelProjection,
    ) -> None:
        self.params = params
        self._window = window
        self._bins = slice(bins[0], bins[1] + 1)
        self._project = project
        # Only the first window_samples columns are ever written: the rest is the FFT's zero pad.
        self._padded = np.zeros((_BLOCK_FRAMES, params.fft_samples), np.float64)
        self._spectrum = np.empty((_BLOCK_FRAMES, params.fft_bins), np.complex128)

    def frames(self, waveform: NDArray[np.float32]) -> NDArray[np.float32]:
        """Log-mel frames of f32[n], no padding: f32[1 + (n − window) // hop, bands]."""
        p = self.params
        frames = np.lib.stride_tricks.sliding_window_view(waveform, p.window_samples)
        frames = frames[:: p.hop_samples]  # f32[t, window], a view
        blocks = [
            self._project(self._magnitudes(frames[start : start + _BLOCK_FRAMES]))
            for start in range(0, len(frames), _BLOCK_FRAMES)
        ]
        return np.concatenate(blocks)  # f32[t, bands]

    def patches(self, waveform: NDArray[np.float32], hop_samples: int) -> NDArray[np.float32]:
        """Patches of f32[(N − 1) · hop + patch_samples]: f32[N, patch_frames, bands].

        The result is a view in which overlapping patches share their frames.
        """
        p = self.params
        frames = self.frames(waveform)
        patches = np.lib.stride_tricks.sliding_window_view(frames, p.patch_frames, axis=0)
        return patches[:: hop_samples // p.hop_samples].transpose(0, 2, 1)

    def _magnitudes(self, frames: NDArray[np.float32]) -> NDArray[np.float32]:
        """f32[t, window] → f32[t, bins]."""
        n = len(frames)
        self._padded[:n, : self.params.window_samples] = frames * self._window
        spectrum = np.fft.rfft(self._padded[:n], axis=1, out=self._spectrum[:n])
        rounded = spectrum[:, self._bins].astype(np.complex64)
        # |z| in float64 of a complex64, then rounded once: what a correct hypotf gives, but faster.
        return np.abs(rounded.astype(np.complex128)).astype(np.float32)


def numpy_projection(weights: NDArray[np.float32], log_offset: float) -> MelProjection:
    """ln(magnitudes @ weights + offset) in plain NumPy; right within a few float32 roundings."""

    def project(magnitudes: NDArray[np.float32]) -> NDArray[np.float32]:
        return np.asarray(np.log(magnitudes @ weights + np.float32(log_offset)))

    return project
