# SPDX-License-Identifier: Apache-2.0
"""The log-mel front ends of both networks in PyTorch, so that gradients reach the waveform.

The constants and the steps are those of `oido.signal.frontend` and `oido.signal.mn_frontend`. As
there, sums are made in float64: beside a pure tone the rounding of a float32 FFT is far above the
silence of the other bands, and the scores would show it.
"""

from __future__ import annotations

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from oido.errors import ModelFormatError
from oido.mel import kaldi_mel_matrix, mel_matrix, periodic_hann, symmetric_hann
from oido.models.yamnet_network import PATCH_BANDS, YAMNET_FRONT_END
from oido.params import MnFrontEndParams, Windowing

__all__ = ["MnLogMel", "YamNetLogMel"]

_YAMNET_LOW_HZ, _YAMNET_HIGH_HZ, _YAMNET_LOG_OFFSET = 125.0, 7_500.0, 0.001
"""tensorflow/models, research/audioset/yamnet/params.py."""

_SHORTEST_MN_SAMPLES = 514
"""Reflection needs half an FFT of samples beside the end that it reflects at."""


class YamNetLogMel(nn.Module):
    """f32[…, n] at 16 kHz → patches f32[…, N, 96, 64], half a patch apart.

    Any n: zeros behind the last sample fill the last patch, so that N = 1 + ceil((max(n, 15600) −
    15600) / 7680). analysis_window: f32[400] of a model that brings its own; None is the periodic
    Hann window. dtype: in which the spectrum is computed; float64 equals oido's own front end,
    float32 is for devices that have nothing wider.
    """

    window: Tensor
    mel: Tensor

    def __init__(
        self,
        analysis_window: NDArray[np.float32] | None = None,
        dtype: torch.dtype = torch.float64,
    ) -> None:
        super().__init__()
        self.params = params = YAMNET_FRONT_END
        if analysis_window is None:
            analysis_window = periodic_hann(params.window_samples)
        if analysis_window.shape != (params.window_samples,):
            raise ModelFormatError(
                f"the analysis window has {analysis_window.size} samples, and YAMNet's "
                f"{params.window_samples}"
            )
        self._windowing = Windowing.from_seconds(params.windows, None)
        mel = mel_matrix(params, PATCH_BANDS, _YAMNET_LOW_HZ, _YAMNET_HIGH_HZ)
        self._dtype = dtype
        window = torch.from_numpy(analysis_window.astype(np.float32))
        self.register_buffer("window", window, persistent=False)
        self.register_buffer("mel", torch.from_numpy(mel).float(), persistent=False)

    def frames(self, waveform: Tensor) -> Tensor:
        """Log-mel frames without padding: f32[…, 1 + (n − 400) // 160, 64]."""
        p = self.params
        frames = waveform.float().unfold(-1, p.window_samples, p.hop_samples)  # […, t, 400]
        windowed = (frames * self.window).to(self._dtype)
        magnitudes = torch.fft.rfft(windowed, n=p.fft_samples).abs().float()  # […, t, 257]
        return torch.log(magnitudes @ self.mel + _YAMNET_LOG_OFFSET)

    def forward(self, waveform: Tensor) -> Tensor:
        """All patches of the waveform."""
        p = self.params
        missing = self._windowing.padded_samples(waveform.shape[-1])
        frames = self.frames(nn.functional.pad(waveform, (0, missing)))  # […, t, 64]
        patches = frames.unfold(-2, p.patch_frames, p.patch_frames // 2)  # […, N, 64, 96]
        return patches.transpose(-1, -2)


class MnLogMel(nn.Module):
    """f32[…, n] at 32 kHz → one patch, f32[…, 128, 1 + (n − 1) // 320], normalised as in training.

    Any n; below 514 samples zeros are put behind, because both ends are reflected. dtype: in which
    the spectrum is computed; float64 equals oido's own front end, float32 is the original's.
    """

    window: Tensor
    mel: Tensor

    def __init__(self, dtype: torch.dtype = torch.float64) -> None:
        super().__init__()
        self.params = params = MnFrontEndParams()
        window = torch.from_numpy(symmetric_hann(params.analysis_samples))
        mel = torch.from_numpy(kaldi_mel_matrix(params).T.copy())
        self.register_buffer("window", window.to(dtype), persistent=False)
        self.register_buffer("mel", mel.to(dtype), persistent=False)  # [128, 513]

    def forward(self, waveform: Tensor) -> Tensor:
        """The patch of each waveform."""
        p = self.params
        samples = waveform.float()
        missing = max(0, _SHORTEST_MN_SAMPLES - samples.shape[-1])
        samples = nn.functional.pad(samples, (0, missing))
        sharp = samples[..., 1:] - p.preemphasis * samples[..., :-1]  # […, n − 1]
        spectrum = torch.stft(
            sharp.reshape(-1, sharp.shape[-1]).to(self.window.dtype),
            p.fft_samples,
            p.hop_samples,
            p.analysis_samples,
            self.window,
            center=True,
            pad_mode="reflect",
            return_complex=True,
        )  # [batch, 513, t]
        power = spectrum.real.square() + spectrum.imag.square()
        energies = (self.mel @ power).float()  # [batch, 128, t]
        log_mel = (torch.log(energies + p.log_offset) + p.normal_shift) / p.normal_scale
        return log_mel.reshape(*waveform.shape[:-1], *log_mel.shape[-2:])
