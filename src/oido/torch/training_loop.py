# SPDX-License-Identifier: Apache-2.0
"""The epochs of fine-tuning, and their options: the head's epochs run on kept embeddings, the
others' on fresh windows, of which bands and frames are masked (Park et al., SpecAugment, 2019). The
loss is that of windows; what is judged is a running mean of the weights.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from itertools import islice, repeat
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from oido.arrays import F32, F64, I64, Bools
from oido.errors import OptionError
from oido.messages import tr
from oido.params import WindowParams
from oido.signal.level import rms
from oido.torch.base import StagedNetwork
from oido.torch.clips import Augmenter, AugmentOptions, LabelledSounds, clip_windows
from oido.torch.optimization import RunningMean, descend, rate_shares

_QUIET = 0.01
"""A window is silence if it is 40 dB below the loudest of its clip."""
_QUIET_SHARE = 1e-3
"""What such a window weighs in the mean of its clip."""
_KEPT_WINDOWS = 40_000
_HEAD_BATCH = 64
_WARM_UP = 0.1
_NEUTRAL_WEIGHT = 0.1
"""What a window of silence weighs in training, beside one with sound."""


@dataclass(frozen=True)
class FinetuneOptions:
    """How a network is fine-tuned.

    stages: how many of the last stages learn, phase by phase; 1 is the head. epochs: at most, of
    each phase after the head's; head_epochs: of a new head, on kept embeddings, of each clip as it
    is and ``views`` times changed; one that was fitted already needs none. patience: epochs without
    a better validation loss than before in the phase that end it (not the head's).
    rate: of the last stage; each stage before it has ``rate_decay`` of the rate behind it.
    batch: windows. windows_per_clip: at most, drawn anew in each epoch.
    balance: every class weighs the same. smoothing: of targets, 0..1. soft: the share of a target
    that is the teacher's (`LabelledSounds.soft`), where there is one.
    masked_bands, masked_frames: up to this share of a window's bands, and of its frames, at a place
    that is drawn, is the window's mean.
    averaged: over how many epochs the weights that are judged and kept are averaged (a running
    mean); 0: they are the last.
    validation: the share of sources that is held out, where no validation clips are given.
    keep_statistics: batch normalisation keeps those that it was published with.
    max_minutes: training ends after so much time, of which each phase has its part, and rates have
    fallen by then; the head is trained in any case.
    threads: of PyTorch; with 1, the same seed gives the same weights. None leaves them alone.
    """

    stages: tuple[int, ...] = (1, 9)
    epochs: int = 10
    head_epochs: int = 40
    views: int = 2
    patience: int = 10
    head_rate: float = 2e-3
    rate: float = 8e-4
    rate_decay: float = 0.8
    weight_decay: float = 1e-2
    batch: int = 16
    windows_per_clip: int = 12
    balance: bool = True
    smoothing: float = 0.05
    soft: float = 0.5
    masked_bands: float = 0.1
    masked_frames: float = 0.1
    averaged: float = 0.5
    validation: float = 0.2
    keep_statistics: bool = True
    max_minutes: float | None = None
    threads: int | None = 1
    seed: int = 0
    augment: AugmentOptions = field(default_factory=AugmentOptions)

    def __post_init__(self) -> None:
        counts = (self.epochs, self.head_epochs, self.patience, self.batch, self.windows_per_clip)
        if min(counts) < 1 or self.views < 0 or (self.threads is not None and self.threads < 1):
            raise OptionError(
                tr(
                    "epochs, head_epochs, patience, batch, windows_per_clip and "
                    "threads must be 1 or more, and views 0 or more"
                )
            )
        if not self.stages or self.stages[0] != 1 or list(self.stages) != sorted(set(self.stages)):
            raise OptionError(
                tr(
                    "stages begin with 1, the head, and rise, such as (1, 4, 8), not {stages}",
                    stages=self.stages,
                )
            )
        if not min(self.rate, self.head_rate) > 0 or not 0 < self.rate_decay <= 1:
            raise OptionError(tr("rates must be above 0, and rate_decay above 0 and 1 at most"))
        if not self.weight_decay >= 0 or not 0 <= self.smoothing < 1:
            raise OptionError(
                tr("weight_decay must be 0 or more, and smoothing 0 or more and below 1")
            )
        if not all(0 <= v < 1 for v in (self.soft, self.masked_bands, self.masked_frames)):
            raise OptionError(
                tr("soft, masked_bands and masked_frames are shares, 0 or more and below 1")
            )
        if not 0 <= self.averaged < np.inf:
            raise OptionError(
                tr("averaged must be 0 or more epochs, not {averaged:g}", averaged=self.averaged)
            )
        if self.max_minutes is not None and not self.max_minutes >= 0:
            raise OptionError(
                tr(
                    "max_minutes must be 0 or more, not {max_minutes:g}",
                    max_minutes=self.max_minutes,
                )
            )


class Windows(NamedTuple):
    """What the head scores, f32[M, D], the clip of each, i64[M], its weight in the clip, f64[M];
    quiet windows, bool[M]."""

    values: Tensor
    clips: I64
    weights: F64
    quiet: Bools


Window = tuple[F32, int, float, np.bool_ | bool]
"""One to embed: f32[window], its clip, its weight, whether it is quiet."""


class Learner:
    """A network with a head for the classes of the clips that it learns from."""

    def __init__(
        self,
        network: StagedNetwork,
        sounds: LabelledSounds,
        windows: WindowParams,
        backgrounds: Sequence[F32],
        options: FinetuneOptions,
    ) -> None:
        self.network, self._sounds, self._windows = network, sounds, windows
        self._options = options
        self._random = np.random.default_rng(options.seed)
        self._augmenter = Augmenter(options.augment, windows, backgrounds, self._random)
        self._loudest = np.zeros(len(sounds))  # RMS of each clip's loudest window
        self._counts = np.ones(len(sounds), np.int64)  # windows of each clip in an epoch
        self._per_clip = max(1, min(options.windows_per_clip, _KEPT_WINDOWS // len(sounds)))
        self._device = next(network.parameters()).device
        targets = np.nan_to_num(sounds.targets)
        if sounds.soft is not None:
            targets = (1 - options.soft) * targets + options.soft * sounds.soft
        self._targets = torch.from_numpy(targets).float().to(self._device)
        self._class_weights = torch.from_numpy(sounds.weights(options.balance)).to(self._device)
        network.keep_statistics = options.keep_statistics

    def clean_windows(self, sounds: LabelledSounds) -> Windows:
        """All windows of clips as the classifier cuts them."""

        def cut() -> Iterator[Window]:
            for clip in range(len(sounds)):
                windows, shares = clip_windows(sounds.waveform(clip), self._windows)
                level = rms(windows)
                quiet = level <= _QUIET * level.max()
                weights = np.maximum(shares, 1e-3) * np.where(quiet, _QUIET_SHARE, 1.0)
                yield from zip(windows, repeat(clip), weights, quiet)

        return self._embed(cut())

    def embedded_windows(self, views: int, is_over: Callable[[], bool]) -> Windows:
        """Embeddings to train the head on: each clip as it is, and ``views`` times changed.

        Of long clips only some windows. There are fewer views if time for them is over.
        """
        found = [self._embed(self.original_windows())]
        kept = len(found[0].clips)
        for _ in range(views):
            if is_over() or kept + len(found[0].clips) > _KEPT_WINDOWS:
                break
            found.append(self._changed_windows())
            kept += len(found[-1].clips)
        values, *facts = zip(*found)
        return Windows(torch.cat(values), *map(np.concatenate, facts))

    def head_epochs(self, taught: Windows) -> Iterator[float]:
        """Train the head alone: each epoch's loss."""
        options, network = self._options, self.network
        network.unfreeze_last(1)
        batches = -(-len(taught.clips) // _HEAD_BATCH)
        optimizer = self._optimizer(1, options.head_rate)
        shares = rate_shares(options.head_epochs * batches, _WARM_UP)
        for _ in range(options.head_epochs):
            network.train()
            losses = []
            order = self._random.permutation(len(taught.clips))
            for chosen, share in zip(np.array_split(order, batches), shares):
                targets, weights = self._targets_of(taught.clips[chosen], taught.quiet[chosen])
                x = taught.values[torch.from_numpy(chosen).to(self._device)]
                loss = self._loss(network.head, x, targets, weights)
                losses.append(descend(optimizer, loss, share))
            network.eval()
            yield _mean(losses)

    def epochs(self, stages: int, time_used: Callable[[], float]) -> Iterator[float]:
        """Train the last stages on fresh windows: each epoch's loss, with the mean of the weights
        in place.

        time_used: as of `rate_shares`. The last epoch is shorter where time is over.
        """
        options, network = self._options, self.network
        network.unfreeze_last(stages)
        batches = -(-int(self._counts.sum()) // options.batch)
        optimizer = self._optimizer(stages, options.rate)
        mean = RunningMean(network.parameters(), _kept(options.averaged * batches))
        shares = rate_shares(options.epochs * batches, _WARM_UP, time_used)
        for _ in range(options.epochs):
            network.train()
            losses = []
            order = self._random.permutation(np.repeat(np.arange(len(self._sounds)), self._counts))
            for clips, share in zip(np.array_split(order, batches), shares):
                sound, quiet = self._draw_windows(clips)
                targets, weights = self._targets_of(clips, quiet)
                loss = self._loss(self._masked_logits, sound, targets, weights)
                losses.append(descend(optimizer, loss, share))
                mean.update()
            network.eval()
            if not losses:
                return
            with mean.applied():  # of a generator that is left here, the weights stay these
                yield _mean(losses)

    def _masked_logits(self, sound: Tensor) -> Tensor:
        """Of f32[B, window]: some bands and frames of each patch are at its mean."""
        network, options = self.network, self._options
        if not max(options.masked_bands, options.masked_frames):
            return network.logits(sound)
        patches = network.patches(sound)  # [B, …, frames, bands] or the other way
        frames_axis = -3 - network.bands_axis
        masked = self._spans(patches, network.bands_axis, options.masked_bands)
        masked = masked | self._spans(patches, frames_axis, options.masked_frames)
        mean = patches.mean(dim=tuple(range(1, patches.ndim)), keepdim=True)
        return network.logits(torch.where(masked, mean, patches))

    def _spans(self, patches: Tensor, axis: int, share: float) -> Tensor:
        """bool, of one side but for the first and this axis: a span of up to this share of it."""
        count, size = len(patches), patches.shape[axis]
        widths = self._random.integers(0, round(share * size) + 1, count)
        starts = self._random.integers(0, size - widths + 1)
        places = np.arange(size) - starts[:, None]
        shape = [count, *[1] * (patches.ndim - 1)]
        shape[axis] = size
        inside = (places >= 0) & (places < widths[:, None])
        return torch.from_numpy(inside).reshape(shape).to(patches.device)

    def _loss(
        self, logits_of: Callable[[Tensor], Tensor], x: Tensor, targets: Tensor, weights: Tensor
    ) -> Tensor:
        """The loss of a batch, its examples mixed two by two."""
        mixed = self._augmenter.shares(len(x))
        if mixed is not None:
            share = torch.from_numpy(mixed[0]).to(self._device)
            other = torch.from_numpy(mixed[1]).to(self._device)
            mask = ((weights > 0) & (weights[other] > 0)).float()
            s = share[:, None]
            targets = s * targets + (1 - s) * targets[other]
            weights = (s * weights + (1 - s) * weights[other]) * mask
            s = share.reshape(-1, *[1] * (x.ndim - 1))
            x = s * x + (1 - s) * x[other]
        logits = logits_of(x).reshape(len(x), -1)
        several, smoothing = self._sounds.multi_label, self._options.smoothing
        return _window_loss(logits, targets, weights, several, smoothing)

    def original_windows(self) -> Iterator[Window]:
        """Of each clip some windows as they are; notes how many, and how loud the clip is."""
        for clip in range(len(self._sounds)):
            windows, _ = clip_windows(self._sounds.waveform(clip), self._windows)
            level = rms(windows)
            self._loudest[clip] = level.max()
            self._counts[clip] = min(len(windows), self._per_clip)
            chosen = np.sort(self._random.permutation(len(windows))[: self._per_clip])
            quiet = level[chosen] <= _QUIET * level.max()
            yield from zip(windows[chosen], repeat(clip), repeat(1.0), quiet)

    def _changed_windows(self) -> Windows:
        def cut() -> Iterator[Window]:
            for clip in np.repeat(np.arange(len(self._sounds)), self._counts).tolist():
                window, level = self._augmenter.window(self._sounds.waveform(clip))
                yield window, clip, 1.0, level <= _QUIET * self._loudest[clip]

        return self._embed(cut())

    def _draw_windows(self, clips: I64) -> tuple[Tensor, Bools]:
        """A changed window of each of these clips, f32[B, window], and which are silence."""
        drawn = [self._augmenter.window(self._sounds.waveform(int(clip))) for clip in clips]
        quiet = np.array([level for _, level in drawn]) <= _QUIET * self._loudest[clips]
        return torch.from_numpy(np.stack([w for w, _ in drawn])).to(self._device), quiet

    def _targets_of(self, clips: I64, quiet: Bools) -> tuple[Tensor, Tensor]:
        """Targets and weights f32[B, C] of windows; silence is of no class."""
        index = torch.from_numpy(clips).to(self._device)
        silent = torch.from_numpy(quiet).to(self._device)[:, None]
        targets, weights = self._targets[index], self._class_weights[index]
        weights = weights / torch.from_numpy(self._counts[clips]).to(self._device)[:, None]
        neutral = 0.0 if self._sounds.multi_label else 1.0 / self._sounds.classes
        return torch.where(silent, neutral, targets), torch.where(
            silent, _NEUTRAL_WEIGHT * weights, weights
        )

    @torch.no_grad()
    def _embed(self, windows: Iterable[Window]) -> Windows:
        """What the head scores of windows, a batch at a time."""
        network, parts = self.network.eval(), []
        facts: list[tuple[int, float, np.bool_ | bool]] = []
        remaining = iter(windows)
        while batch := list(islice(remaining, self._options.batch)):
            sound = torch.from_numpy(np.stack([window for window, *_ in batch])).to(self._device)
            parts.append(network.head_input(network.patches(sound)).reshape(len(batch), -1))
            facts += [(clip, weight, quiet) for _, clip, weight, quiet in batch]
        clips, weights, quiet = map(np.array, zip(*facts))
        return Windows(torch.cat(parts), clips, weights, quiet)

    def _optimizer(self, stages: int, rate: float) -> torch.optim.AdamW:
        """AdamW over what learns, with rates that fall towards the sound."""
        groups = []
        for back, stage in enumerate(reversed(list(self.network.stages().values())[-stages:])):
            for matrices in (True, False):
                parameters = [p for p in stage.parameters() if (p.ndim > 1) == matrices]
                decay = self._options.weight_decay if matrices else 0.0
                rate_here = rate * self._options.rate_decay**back
                groups.append({"params": parameters, "lr": rate_here, "weight_decay": decay})
        return torch.optim.AdamW([g for g in groups if g["params"]])


def _kept(steps: float) -> float:
    """What a step leaves of a running mean over so many steps; 0 for less than one."""
    return float(np.exp(-1 / steps)) if steps >= 1 else 0.0


def _mean(losses: list[float]) -> float:
    """Raises OptionError for losses that are not finite: the weights are lost."""
    mean = float(np.mean(losses))
    if not np.isfinite(mean):
        raise OptionError(tr("training went astray: its loss is not finite; try a smaller rate"))
    return mean


def _window_loss(
    logits: Tensor, targets: Tensor, weights: Tensor, multi_label: bool, smoothing: float
) -> Tensor:
    """The mean cross entropy of f32[N, C] logits; targets f32[N, C], 0..1; weights f32[N, C].

    smoothing: how much of each target is spread evenly, which keeps scores from running to 0 and 1.
    """
    if multi_label:
        soft = targets * (1 - smoothing) + smoothing / 2
        losses = torch.nn.functional.binary_cross_entropy_with_logits(
            logits, soft, reduction="none"
        )
        return (losses * weights).sum() / weights.sum().clamp_min(1e-6)
    soft = targets * (1 - smoothing) + smoothing / targets.shape[1]
    losses = -(soft * torch.log_softmax(logits, dim=1)).sum(dim=1)
    of_window = weights.mean(dim=1)
    return (losses * of_window).sum() / of_window.sum().clamp_min(1e-6)
