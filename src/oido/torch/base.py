# SPDX-License-Identifier: Apache-2.0
"""What both networks share in PyTorch: front ends, weights files, and a row of stages to train.

A network is a row of stages, from the sound to the scores. A new task is best learnt from the end:
first the head alone, then the stages before it, while the first ones, whose features are general,
stay frozen.

The front ends are differentiable, so that gradients reach the waveform. Their constants and steps
are those of `oido.signal.frontend`. As there, sums are made in float64: beside a pure tone the
rounding of a float32 FFT is far above the silence of the other bands, and the scores would show it.
"""

from __future__ import annotations

import os
from abc import ABC, abstractmethod
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
import torch
from torch import Tensor, nn

from oido.arrays import F32
from oido.errors import InvalidSamplesError, ModelFormatError, OptionError
from oido.mel import kaldi_mel_matrix, mel_matrix, periodic_hann, symmetric_hann
from oido.messages import tr
from oido.models import fetch
from oido.models.networks.yamnet import HIGH_HZ, LOG_OFFSET, LOW_HZ, PATCH_BANDS, YAMNET_FRONT_END
from oido.params import MnFrontEndParams, Windowing

if TYPE_CHECKING:
    from typing_extensions import Self


@contextmanager
def begins_from(original: str, name_or_path: str | os.PathLike[str]) -> Iterator[None]:
    """A .tflite that cannot be read as a network, such as a taught model, is told what can."""
    try:
        yield
    except ModelFormatError as error:
        if fetch.kind_of(Path(name_or_path)) != ".tflite":
            raise
        raise ModelFormatError(
            tr(
                "{error}; a network for PyTorch begins from the weights of {original!r}: a taught "
                "model does not become one again",
                error=error,
                original=original,
            )
        ) from error


class Heard(NamedTuple):
    """scores: f32[…, classes], 0..1; embeddings: f32[…, dim], before the head."""

    scores: Tensor
    embeddings: Tensor


_LEAST_ROOTED = 1e-6
"""Below it the root is a straight line, whose slope is finite."""


class EvidenceHead(nn.Module):
    """[square root →] dense [→ relu → dense]: a head that was fitted on a network's evidence.

    layers: f32[out, in] weights and f32[out] bias of each. square_root: √max(x, 0) comes first.
    """

    def __init__(self, layers: Sequence[tuple[F32, F32]], square_root: bool) -> None:
        super().__init__()
        self.square_root = square_root
        self.layers = nn.ModuleList(nn.Linear(w.shape[1], w.shape[0]) for w, _ in layers)
        with torch.no_grad():
            for layer, values in zip(self.dense, layers):
                for parameter, value in zip((layer.weight, layer.bias), values):
                    parameter.copy_(torch.from_numpy(np.array(value, np.float32)))

    @property
    def dense(self) -> list[nn.Linear]:
        """The layers, first to last."""
        return [layer for layer in self.layers if isinstance(layer, nn.Linear)]

    @property
    def inputs(self) -> int:
        """How many numbers it scores."""
        return self.dense[0].in_features

    def forward(self, x: Tensor) -> Tensor:
        """f32[…, inputs] → logits f32[…, classes]."""
        if self.square_root:
            x = torch.relu(x)
            x = x * x.clamp_min(_LEAST_ROOTED).rsqrt()
        for number, layer in enumerate(self.dense):
            x = layer(torch.relu(x) if number else x)
        return x


class StagedNetwork(nn.Module, ABC):
    """A front end, a body that gives embeddings, and a head that scores them.

    A waveform is f32[n] or f32[batch, n] at ``sample_rate_hz``, in [-1, 1]; patches have more
    dimensions, and each network says which. A new module is in evaluation mode; `train` puts
    only those stages into training mode that are not frozen, so that dropout is off and batch
    normalisation keeps its statistics in the others.
    """

    sample_rate_hz: int
    embedding_dim: int
    front_end: YamNetLogMel | MnLogMel
    bands_axis: int
    """Where the bands of patches are, -1 or -2; frames are the other one."""
    evidence_dim: int
    """How many numbers a taught head learns from (`oido.models.tflite.evidence`)."""
    keep_statistics: bool = False
    """Whether batch normalisation keeps its statistics also where something learns, as is better
    for small batches; heeded by the next `train`. YAMNet has none."""

    def __init__(self) -> None:
        super().__init__()
        self.taught: EvidenceHead | None = None
        """A head on the evidence, which scores in the place of the network's own."""

    @abstractmethod
    def stages(self) -> dict[str, nn.Module]:
        """All parameters by stage, from the sound to the scores; the last stage is the head."""

    def patches(self, waveform: Tensor) -> Tensor:
        """The network's input for a waveform f32[…, n]; gradients flow back to it."""
        patches: Tensor = self.front_end(waveform)
        return patches

    @abstractmethod
    def embed(self, sound: Tensor) -> Tensor:
        """Embeddings f32[…, dim] of a waveform or of patches."""

    @abstractmethod
    def evidence(self, sound: Tensor) -> Tensor:
        """f32[…, evidence_dim] of a waveform or of patches: the embedding, and beside it what other
        layers say."""

    @abstractmethod
    def own_head(self, embeddings: Tensor) -> Tensor:
        """Logits f32[…, classes] of embeddings f32[…, dim]."""

    @property
    def classes(self) -> int:
        """How many are scored."""
        linear = [m for m in self.stages()["head"].modules() if isinstance(m, nn.Linear)]
        return linear[-1].out_features

    @abstractmethod
    def new_head(self, classes: int) -> None:
        """Other classes: the layer that scores is made anew, with random weights."""

    def set_head(self, head: EvidenceHead) -> None:
        """Other classes: a head that was fitted on the evidence scores from now on."""
        if head.inputs != self.evidence_dim:
            raise OptionError(
                tr(
                    "this head is for {inputs} numbers, and the network gives {evidence_dim}",
                    inputs=head.inputs,
                    evidence_dim=self.evidence_dim,
                )
            )
        device = next(self.parameters()).device
        self.taught = head.to(device).train(self.training)

    def head_input(self, sound: Tensor) -> Tensor:
        """What the head scores: embeddings, or the evidence for one that was fitted on it."""
        return self.embed(sound) if self.taught is None else self.evidence(sound)

    def head(self, features: Tensor) -> Tensor:
        """Logits f32[…, classes] of what `head_input` gives."""
        logits: Tensor = (self.own_head if self.taught is None else self.taught)(features)
        return logits

    def logits(self, sound: Tensor) -> Tensor:
        """Scores before the sigmoid, f32[…, classes]: what a loss should be made of."""
        return self.head(self.head_input(sound))

    def forward(self, sound: Tensor) -> Heard:
        """Scores and embeddings of a waveform or of patches.

        Raises InvalidSamplesError for another shape, or for whole numbers.
        """
        if self.taught is not None:
            evidence = self.evidence(sound)
            return Heard(torch.sigmoid(self.taught(evidence)), evidence[..., : self.embedding_dim])
        embeddings = self.embed(sound)
        return Heard(torch.sigmoid(self.own_head(embeddings)), embeddings)

    def unfreeze_last(self, count: int) -> tuple[str, ...]:
        """Let the last ``count`` stages learn and freeze the others; the names of those that learn.

        0 freezes everything, 1 leaves the head. Raises OptionError beyond the number of stages.
        """
        stages = self.stages()
        if not 0 <= count <= len(stages):
            raise OptionError(
                tr(
                    "there are {n_stages} stages to unfreeze, from 0 to {n_stages}, not {count}",
                    n_stages=len(stages),
                    count=count,
                )
            )
        first = len(stages) - count
        for number, stage in enumerate(stages.values()):
            stage.requires_grad_(number >= first)
        self.train(self.training)
        return tuple(stages)[first:]

    def freeze(self) -> None:
        """Nothing learns."""
        self.unfreeze_last(0)

    def unfreeze(self) -> None:
        """Everything learns, as in a module that was just loaded."""
        self.unfreeze_last(len(self.stages()))

    def train(self, mode: bool = True) -> Self:
        """Training mode for the stages in which something learns; evaluation mode for the rest."""
        super().train(mode)
        for stage in self.stages().values():
            if not any(parameter.requires_grad for parameter in stage.parameters()):
                stage.train(False)
            elif self.keep_statistics:
                for module in stage.modules():
                    if isinstance(module, nn.BatchNorm2d):
                        module.train(False)
        return self


def is_waveform(sound: Tensor, patch_dims: tuple[int, ...], expected: str) -> bool:
    """A waveform (else patches)? Raises InvalidSamplesError if neither."""
    if not sound.is_floating_point():
        raise InvalidSamplesError(
            tr(
                "samples must be float in [-1, 1], not {dtype}; divide int16 by 32768",
                dtype=sound.dtype,
            )
        )
    if sound.ndim in {1, 2}:
        return True
    if sound.ndim not in patch_dims:
        raise InvalidSamplesError(
            tr(
                "expected a waveform [n] or [batch, n], or {expected}, not {shape}",
                expected=expected,
                shape=list(sound.shape),
            )
        )
    return False


def new_linear(old: nn.Linear, classes: int) -> nn.Linear:
    """A layer like this one, on its device, that learns. Raises OptionError below 1 class."""
    if classes < 1:
        raise OptionError(tr("a head has at least 1 class, not {classes}", classes=classes))
    new = nn.Linear(old.in_features, classes, device=old.weight.device, dtype=old.weight.dtype)
    return new.train(old.training)


def numpy_copy(values: Tensor) -> F32:
    """The numbers as they are now, f32 of the same shape; training on does not change them."""
    return values.detach().to("cpu", torch.float32, copy=True).numpy()


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
        self, analysis_window: F32 | None = None, dtype: torch.dtype = torch.float64
    ) -> None:
        super().__init__()
        self.params = params = YAMNET_FRONT_END
        if analysis_window is None:
            analysis_window = periodic_hann(params.window_samples)
        if analysis_window.shape != (params.window_samples,):
            raise ModelFormatError(
                tr(
                    "the analysis window has {size} samples, and YAMNet's {window_samples}",
                    size=analysis_window.size,
                    window_samples=params.window_samples,
                )
            )
        self._windowing = Windowing.from_seconds(params.windows, None)
        mel = mel_matrix(params, PATCH_BANDS, LOW_HZ, HIGH_HZ)
        self._dtype = dtype
        window = torch.from_numpy(analysis_window.astype(np.float32))
        self.register_buffer("window", window, persistent=False)
        self.register_buffer("mel", torch.from_numpy(mel).float(), persistent=False)

    def in_float32(self) -> YamNetLogMel:
        """The same with a spectrum of float32, which takes a third of the time."""
        window = self.window
        return YamNetLogMel(numpy_copy(window), torch.float32).to(window.device)

    def frames(self, waveform: Tensor) -> Tensor:
        """Log-mel frames without padding: f32[…, 1 + (n − 400) // 160, 64]."""
        p = self.params
        frames = waveform.float().unfold(-1, p.window_samples, p.hop_samples)  # […, t, 400]
        windowed = (frames * self.window).to(self._dtype)
        magnitudes = torch.fft.rfft(windowed, n=p.fft_samples).abs().float()  # […, t, 257]
        return torch.log(magnitudes @ self.mel + LOG_OFFSET)

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

    def in_float32(self) -> MnLogMel:
        """The same with a spectrum of float32, which takes a third of the time."""
        return MnLogMel(torch.float32).to(self.window.device)

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
