# SPDX-License-Identifier: Apache-2.0
"""Teaching a student what its teacher says of windows (Hinton et al., Distilling the knowledge in a
neural network, 2015), on patches of the fixed-point front end.

Patches are drawn from anywhere in a clip, made louder or fainter, laid over others far below, and
masked in time and frequency (Park et al., SpecAugment, 2019); all of it on magnitudes, which the
features give back.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from oido.arrays import F32, F64
from oido.errors import OptionError
from oido.heads import OutputKind
from oido.messages import tr
from oido.models.networks.student import (
    BLOCKS,
    DIM,
    FIRST_CHANNELS,
    FoldedConv,
    StudentWeights,
    require_small,
)
from oido.params import FixedPointParams
from oido.torch.base import numpy_copy
from oido.torch.optimization import descend, rate_shares, seeded


class TaughtFrames(NamedTuple):
    """A clip as a student learns from it.

    frames: i8[T, bands], T at least those of a patch. targets: f32[T − patch + 1, C], 0..1, what is
    to be said of the patch that begins there. weight: how often it is drawn. is_background: it may
    be laid under others.
    """

    frames: NDArray[np.int8]
    targets: F32
    weight: float
    is_background: bool


@dataclass(frozen=True)
class DistilOptions:
    """steps: of so many windows each (batch). rate: the largest, after warm-up; it falls to 0 by
    the end, also where max_minutes end it sooner. gain_db, under_db: from and to; under: how often
    another sound lies under a window. threads: of PyTorch; with 1, the same seed gives the same
    weights, unless the minutes end it.
    """

    steps: int = 1_500
    batch: int = 64
    rate: float = 4e-3
    weight_decay: float = 1e-2
    dropout: float = 0.1
    gain_db: tuple[float, float] = (-12.0, 6.0)
    under: float = 0.5
    under_db: tuple[float, float] = (-30.0, -9.0)
    max_minutes: float | None = None
    threads: int | None = 1
    seed: int = 0

    def __post_init__(self) -> None:
        if min(self.steps, self.batch) < 1 or not self.rate > 0:
            raise OptionError(tr("steps and batch must be 1 or more, and rate above 0"))
        if self.max_minutes is not None and not self.max_minutes > 0:
            raise OptionError(
                tr("max_minutes must be above 0, not {max_minutes:g}", max_minutes=self.max_minutes)
            )


class _ConvUnit(nn.Module):
    """A convolution, batch normalisation, ReLU; padded as TensorFlow does."""

    def __init__(self, inputs: int, outputs: int, size: int, stride: int, depthwise: bool) -> None:
        super().__init__()
        groups = inputs if depthwise else 1
        self.conv = nn.Conv2d(inputs, outputs, size, stride, groups=groups, bias=False)
        self.norm = nn.BatchNorm2d(outputs)
        self.stride, self.depthwise = stride, depthwise

    def forward(self, x: Tensor) -> Tensor:
        return torch.relu(self.norm(self.conv(self._padded(x))))

    def _padded(self, x: Tensor) -> Tensor:
        size, edges = self.conv.kernel_size[0], list[int]()
        for side in (x.shape[3], x.shape[2]):
            outputs = -(-side // self.stride)
            missing = max(0, (outputs - 1) * self.stride + size - side)
            edges += [missing // 2, missing - missing // 2]
        return nn.functional.pad(x, edges)

    def folded(self, largest: float) -> FoldedConv:
        """Without the normalisation, in TensorFlow's order of axes."""
        norm = self.norm
        assert norm.running_var is not None
        assert norm.running_mean is not None
        scale = norm.weight / torch.sqrt(norm.running_var + norm.eps)
        weights = self.conv.weight * scale[:, None, None, None]  # [out, in or 1, height, width]
        bias = norm.bias - norm.running_mean * scale
        order = (1, 2, 3, 0) if self.depthwise else (0, 2, 3, 1)
        array = np.ascontiguousarray(numpy_copy(weights.permute(order)))
        return FoldedConv(array, numpy_copy(bias), self.stride, self.depthwise, largest)


class StudentNetwork(nn.Module):
    """Patches f32[B, frames, bands], 0..2, → logits f32[B, C]."""

    def __init__(self, classes: int, dropout: float = 0.0) -> None:
        super().__init__()
        require_small(classes)
        units = [_ConvUnit(1, FIRST_CHANNELS, 3, 2, False)]
        inputs = FIRST_CHANNELS
        for channels, stride in BLOCKS:
            units.append(_ConvUnit(inputs, inputs, 3, stride, True))
            units.append(_ConvUnit(inputs, channels, 1, 1, False))
            inputs = channels
        self.units = nn.ModuleList(units)
        self.dropout = nn.Dropout(dropout)
        self.head = nn.Linear(DIM, classes)

    def forward(self, x: Tensor) -> Tensor:
        x = x[:, None]
        for unit in self.units:
            x = unit(x)
        logits: Tensor = self.head(self.dropout(x.mean(dim=(2, 3))))
        return logits

    @torch.no_grad()
    def folded(self, patches: Tensor) -> StudentWeights:
        """The weights for `oido.models.networks.student.network`; ranges are those of patches."""
        self.eval()
        x, convs = patches[:, None], []
        for unit in self.units:
            x = unit(x)
            values = numpy_copy(x).ravel()
            largest = float(np.quantile(values[:: max(1, len(values) >> 20)], 0.9999))
            assert isinstance(unit, _ConvUnit)
            convs.append(unit.folded(largest))
        logits = self.head(x.mean(dim=(2, 3)))
        return StudentWeights(
            tuple(convs),
            numpy_copy(self.head.weight),
            numpy_copy(self.head.bias),
            (float(logits.min()), float(logits.max())),
        )


OnStep = Callable[[int, int, float], None]
"""Called with steps done, of how many, and the loss."""

_WARM_UP = 0.05
_CALIBRATION_WINDOWS = 1_024


class Distilled(NamedTuple):
    """steps: done; loss: the mean of the last tenth, in nats a window and class or window."""

    weights: StudentWeights
    steps: int
    loss: float


def distil(
    clips: Sequence[TaughtFrames],
    output: OutputKind,
    params: FixedPointParams,
    *,
    options: DistilOptions | None = None,
    progress: OnStep = lambda done, total, loss: None,
) -> Distilled:
    """A student of these clips. Raises OptionError for none, or for too many classes.

    KeyboardInterrupt ends the training with the weights so far, once a tenth of it is done.
    """
    options = options or DistilOptions()
    if not clips:
        raise OptionError(tr("there is nothing for a student to learn from"))
    with seeded(options.seed, options.threads):
        student = StudentNetwork(clips[0].targets.shape[1], options.dropout)
        draw = _Patches(clips, params, options)
        optimizer = torch.optim.AdamW(
            student.parameters(), lr=options.rate, weight_decay=options.weight_decay
        )
        losses: list[float] = []
        student.train()
        try:
            for share in rate_shares(options.steps, _WARM_UP, _time_used(options.max_minutes)):
                patches, targets = draw.batch(options.batch)
                loss = _loss(student(patches), targets, output)
                losses.append(descend(optimizer, loss, share))
                progress(len(losses), options.steps, losses[-1])
        except KeyboardInterrupt:
            if len(losses) < options.steps / 10:
                raise
        if not np.isfinite(losses).all():
            raise OptionError(
                tr("the student went astray: its loss is not finite; try another seed")
            )
        patches = draw.clean(_CALIBRATION_WINDOWS)
        weights = student.folded(patches)
    return Distilled(weights, len(losses), float(np.mean(losses[-max(1, len(losses) // 10) :])))


def _time_used(max_minutes: float | None) -> Callable[[], float]:
    """What of the minutes has passed, 0..1; 0 without a limit."""
    started = time.monotonic()
    if max_minutes is None:
        return lambda: 0.0
    return lambda: (time.monotonic() - started) / 60 / max_minutes


def _loss(logits: Tensor, targets: Tensor, output: OutputKind) -> Tensor:
    if output == "sigmoid":
        return nn.functional.binary_cross_entropy_with_logits(logits, targets)
    return -(targets * torch.log_softmax(logits, dim=1)).sum(dim=1).mean()


class _Patches:
    """Draws patches and changes them; all chance is that of the options' seed."""

    def __init__(
        self, clips: Sequence[TaughtFrames], params: FixedPointParams, options: DistilOptions
    ) -> None:
        self._clips, self._params, self._options = clips, params, options
        self._random = np.random.default_rng(options.seed)
        weights = np.array([clip.weight for clip in clips], np.float64)
        self._chances = weights / weights.sum()
        under = [number for number, clip in enumerate(clips) if clip.is_background]
        self._under = np.array(under or range(len(clips)))

    def batch(self, count: int) -> tuple[Tensor, Tensor]:
        """Changed patches f32[count, frames, bands], 0..2, and targets f32[count, C]."""
        random, options = self._random, self._options
        numbers = random.choice(len(self._clips), count, p=self._chances)
        drawn = [self._draw(int(number)) for number in numbers]
        values = self._magnitudes(np.stack([patch for patch, _ in drawn]))
        values *= _factors(random.uniform(*options.gain_db, count))
        others = random.choice(self._under, count)
        below = self._magnitudes(np.stack([self._draw(int(number))[0] for number in others]))
        below *= _factors(random.uniform(*options.under_db, count))
        values += below * (random.random(count) < options.under)[:, None, None]
        x = np.minimum(np.log2(values + 1), 255 / 16) / 8
        self._mask(x)
        targets = np.stack([target for _, target in drawn])
        return torch.from_numpy(x.astype(np.float32)), torch.from_numpy(targets)

    def clean(self, count: int) -> Tensor:
        """Patches as they are."""
        numbers = self._random.choice(len(self._clips), count, p=self._chances)
        patches = np.stack([self._draw(int(number))[0] for number in numbers])
        return torch.from_numpy((patches.astype(np.float32) + 128) / 128)

    def _draw(self, number: int) -> tuple[NDArray[np.int8], F32]:
        clip = self._clips[number]
        start = int(self._random.integers(len(clip.targets)))
        return clip.frames[start : start + self._params.patch_frames], clip.targets[start]

    def _magnitudes(self, patches: NDArray[np.int8]) -> F64:
        """In units of what is added before the logarithm."""
        return np.asarray(np.exp2((patches.astype(np.float64) + 128) / 16) - 1)

    def _mask(self, x: F64) -> None:
        """Some frames, and some bands, of each patch become silence."""
        _, frames, bands = x.shape
        for patch in x:
            for axis, size, most in ((0, frames, frames // 6), (1, bands, bands // 6)):
                width = int(self._random.integers(most + 1))
                start = int(self._random.integers(size - width + 1))
                patch[(slice(None),) * axis + (slice(start, start + width),)] = 0


def _factors(levels_db: F64) -> F64:
    return np.asarray(10 ** (levels_db / 20))[:, None, None]
