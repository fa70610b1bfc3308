# SPDX-License-Identifier: Apache-2.0
"""Labelled waveforms: their windows, augmentation, and which clips are held out.

Augmentation changes the level, adds noise and background sounds, and mixes two windows.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import numpy as np

from oido.arrays import F32, F64, I64, Bools
from oido.datasets.dataset import check_targets, class_weights
from oido.datasets.splits import hold_out_groups
from oido.errors import EmptyAudioError, InvalidSamplesError, OptionError
from oido.messages import tr
from oido.params import Windowing, WindowParams
from oido.signal.framing import cut_windows
from oido.signal.level import rms


@dataclass(frozen=True, eq=False)
class LabelledSounds:
    """K clips as waveforms, and the classes in them.

    waveforms: K arrays f32[n] in [-1, 1] at the network's rate, each of any length; a sequence that
    loads them one by one, as they are asked for, keeps memory small.
    targets: f32[K, C], 1 for a class that is in the clip, 0 for one that is not, NaN where nobody
    knows; without ``multi_label``, each row has exactly one 1 and is 0 elsewhere.
    groups: i64[K], the source recording, whose clips never stand on both sides of a split; None:
    each clip is one. soft: f32[K, C], 0..1, the scores of a teacher that was not taught the clip;
    None: there is no teacher. Raises OptionError for arrays that do not fit each other.
    """

    waveforms: Sequence[F32]
    targets: F32
    groups: I64 | None = None
    multi_label: bool = False
    soft: F32 | None = None

    def __post_init__(self) -> None:
        count = len(self.waveforms)
        if not count or self.targets.ndim != 2 or len(self.targets) != count:
            raise OptionError(
                tr(
                    "{count} waveforms and targets {shape} do not fit: each clip "
                    "needs a row of targets, and there must be at least one",
                    count=count,
                    shape=list(self.targets.shape),
                )
            )
        if self.groups is not None and len(self.groups) != count:
            raise OptionError(
                tr(
                    "{count} waveforms need as many groups, not {n_groups}",
                    count=count,
                    n_groups=len(self.groups),
                )
            )
        if self.soft is not None and self.soft.shape != self.targets.shape:
            raise OptionError(
                tr(
                    "a teacher's scores {shape} do not fit {count} clips of {classes} classes",
                    shape=list(self.soft.shape),
                    count=count,
                    classes=self.classes,
                )
            )
        if self.classes < (1 if self.multi_label else 2):
            raise OptionError(tr("one class alone cannot be told from anything: add another one"))
        check_targets(self.targets, self.multi_label)

    def __len__(self) -> int:
        return len(self.waveforms)

    @property
    def classes(self) -> int:
        """How many there are."""
        return int(self.targets.shape[1])

    def waveform(self, clip: int) -> F32:
        """One clip, f32[n]. Raises an AudioError for what is no sound."""
        samples = np.asarray(self.waveforms[clip], np.float32)
        if samples.ndim != 1 or not samples.size:
            raise EmptyAudioError(
                tr(
                    "clip {clip} is no waveform f32[n], but {shape}",
                    clip=clip,
                    shape=list(samples.shape),
                )
            )
        if not np.isfinite(samples).all():
            raise InvalidSamplesError(
                tr("clip {clip} has samples that are NaN or infinite", clip=clip)
            )
        return samples

    def weights(self, balance: bool) -> F32:
        """f32[K, C]: what each clip weighs for each class, as `class_weights`."""
        return class_weights(self.targets, self.multi_label, balance).astype(np.float32)

    def held_out(self, share: float, seed: int) -> Bools:
        """bool[K]: about this share of the sources of each class, as `hold_out_groups`."""
        groups = np.arange(len(self)) if self.groups is None else self.groups
        return hold_out_groups(self.targets, groups, share, seed)

    def subset(self, clips: I64) -> LabelledSounds:
        """The clips with these numbers."""
        return replace(
            self,
            waveforms=LazyWaveforms(lambda n: self.waveforms[int(clips[n])], len(clips)),
            targets=self.targets[clips],
            groups=None if self.groups is None else self.groups[clips],
            soft=None if self.soft is None else self.soft[clips],
        )


class LazyWaveforms(Sequence[F32]):
    """Waveforms that are loaded as they are asked for, so that memory does not grow with them.

    kept_bytes: of the first ones, kept as they are, because each epoch asks for all.
    """

    def __init__(self, load: Callable[[int], F32], count: int, kept_bytes: int = 0) -> None:
        self._load, self._count = load, count
        self._kept: dict[int, F32] = {}
        self._bytes_left = kept_bytes

    def __len__(self) -> int:
        return self._count

    def __getitem__(self, index):  # type: ignore[no-untyped-def]
        if index in self._kept:
            return self._kept[index]
        waveform = self._load(index)
        if waveform.nbytes <= self._bytes_left:
            self._kept[index] = waveform
            self._bytes_left -= waveform.nbytes
        return waveform


def clip_windows(waveform: F32, windows: WindowParams) -> tuple[F32, F64]:
    """All windows of a clip as the classifier cuts them: f32[N, window], a view.

    And f64[N], the share of each that is not padding.
    """
    windowing = Windowing.from_seconds(windows, None)
    n, (window, hop) = len(waveform), (windowing.window_samples, windowing.hop_samples)
    count = windowing.count(n)
    weights = np.ones(count)
    weights[-1] = min(1.0, (n - (count - 1) * hop) / window)
    if n < window and windows.repeat_pause_samples is not None:
        return _repeat(waveform, windows)[None], np.ones(1)
    padded = np.pad(waveform, (0, windowing.padded_samples(n)))
    return cut_windows(padded, window, hop), weights


def random_window(waveform: F32, windows: WindowParams, random: np.random.Generator) -> F32:
    """One window from anywhere in a clip, f32[window]; a shorter clip is anywhere in the window."""
    window, spare = windows.window_samples, len(waveform) - windows.window_samples
    if spare >= 0:
        start = int(random.integers(spare + 1))
        return waveform[start : start + window].copy()
    if windows.repeat_pause_samples is not None:
        period = len(waveform) + windows.repeat_pause_samples
        return _repeat(waveform, windows, int(random.integers(period)))
    before = int(random.integers(-spare + 1))
    return np.pad(waveform, (before, -spare - before))


def _repeat(waveform: F32, windows: WindowParams, start: int = 0) -> F32:
    """A clip and its pause, over and over, from sample ``start`` of the two on."""
    pause = np.zeros(windows.repeat_pause_samples or 0, np.float32)
    period = np.roll(np.concatenate([waveform, pause]), -start)
    return np.resize(period, windows.window_samples)


_NOISE_SAMPLES = 1 << 15


@dataclass(frozen=True)
class AugmentOptions:
    """What may happen to a window; where it was cut from the clip is drawn anyway.

    gain_db: from and to. noise, background: how often (0..1) noise or a background sound is added,
    and noise_snr_db, background_snr_db: how far below the window it is, from and to.
    mixup: the parameter of the Beta distribution from which shares of two windows are drawn (Zhang
    et al. 2018); 0 is none. Raises OptionError.
    """

    gain_db: tuple[float, float] = (-12.0, 6.0)
    noise: float = 0.5
    noise_snr_db: tuple[float, float] = (10.0, 40.0)
    background: float = 0.5
    background_snr_db: tuple[float, float] = (0.0, 25.0)
    mixup: float = 0.2

    def __post_init__(self) -> None:
        for name in ("gain_db", "noise_snr_db", "background_snr_db"):
            low, high = getattr(self, name)
            if not low <= high:
                raise OptionError(
                    tr(
                        "{name} is from and to, not {low:g} to {high:g}",
                        name=name,
                        low=low,
                        high=high,
                    )
                )
        for name in ("noise", "background"):
            if not 0.0 <= getattr(self, name) <= 1.0:
                raise OptionError(
                    tr(
                        "{name} is a chance from 0 to 1, not {getattr:g}",
                        name=name,
                        getattr=getattr(self, name),
                    )
                )
        if not self.mixup >= 0.0:
            raise OptionError(tr("mixup must be 0 or more, not {mixup:g}", mixup=self.mixup))


class Augmenter:
    """Draws windows from clips and changes them; all chance is that of ``random``.

    backgrounds: waveforms f32[n] of no class, to be put behind the others.
    """

    def __init__(
        self,
        options: AugmentOptions,
        windows: WindowParams,
        backgrounds: Sequence[F32],
        random: np.random.Generator,
    ) -> None:
        self._options, self._windows = options, windows
        self._backgrounds, self._random = backgrounds, random

    def window(self, waveform: F32) -> tuple[F32, float]:
        """A changed window, f32[window], and its RMS level before it was changed."""
        options, random = self._options, self._random
        window = random_window(waveform, self._windows, random)
        level = float(rms(window))
        if random.random() < options.noise:
            window = _add_below(
                window, level, self._noise(len(window)), self._db(options.noise_snr_db)
            )
        if random.random() < options.background and len(self._backgrounds):
            behind = self._backgrounds[int(random.integers(len(self._backgrounds)))]
            behind = random_window(np.asarray(behind, np.float32), self._windows, random)
            window = _add_below(window, level, behind, self._db(options.background_snr_db))
        gain = np.float32(10 ** (self._db(options.gain_db) / 20))
        return window * gain, level

    def shares(self, count: int) -> tuple[F32, I64] | None:
        """For mixup: f32[count], 0.5..1, of each window, and the number of the other; or None."""
        if not self._options.mixup or count < 2:
            return None
        drawn = self._random.beta(self._options.mixup, self._options.mixup, count)
        return np.maximum(drawn, 1 - drawn).astype(np.float32), self._random.permutation(count)

    def _db(self, span: tuple[float, float]) -> float:
        return float(self._random.uniform(*span))

    def _noise(self, samples: int) -> F32:
        """Noise between white and pink."""
        spectrum = np.fft.rfft(self._random.standard_normal(min(samples, _NOISE_SAMPLES)))
        slope = self._random.uniform(0.0, 1.0)  # of the power, as `oido train` has it: 1 is pink
        spectrum *= np.arange(1, len(spectrum) + 1) ** (-slope / 2)
        noise = np.fft.irfft(spectrum, min(samples, _NOISE_SAMPLES)).astype(np.float32)
        return np.resize(noise, samples)


def _add_below(window: F32, level: float, other: F32, snr_db: float) -> F32:
    """``other`` added, so many dB below ``level``; nothing if either is silent."""
    of_other = float(rms(other))
    if not of_other or not level:
        return window
    return window + other * np.float32(level / of_other * 10 ** (-snr_db / 20))
