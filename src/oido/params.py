# SPDX-License-Identifier: Apache-2.0
"""Parameters as frozen objects: what is chosen is stored, what follows is derived and checked."""

from __future__ import annotations

import math
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal, TypedDict

from oido.errors import OptionError
from oido.messages import tr
from oido.options import OPTIONS, check

if TYPE_CHECKING:
    from typing_extensions import Unpack

    from oido.arrays import F64


DEFAULT_THRESHOLD = 0.2
"""Of events, where neither the caller nor the model has another."""

DEFAULT_TOP = 5
"""Rows of each window, frame or clip, where nobody says how many or from which score on."""

LEVELS_PER_SECOND = 50
"""Of the levels by which events find their edges."""


@dataclass(frozen=True)
class FrontEndParams:
    """The log-mel front end of a network, all in samples and frames.

    YAMNet (tensorflow/models, research/audioset/yamnet/params.py): 16 kHz, window 400, hop 160,
    FFT 512, patch of 96 frames.
    """

    sample_rate_hz: int
    window_samples: int
    hop_samples: int
    fft_samples: int
    patch_frames: int

    @property
    def patch_samples(self) -> int:
        """Samples under one patch: 95 · 160 + 400 = 15,600 for YAMNet."""
        return (self.patch_frames - 1) * self.hop_samples + self.window_samples

    @property
    def windows(self) -> WindowParams:
        """Windows of one patch, half a patch of frames apart (0.48 s for YAMNet)."""
        return WindowParams(
            self.sample_rate_hz,
            self.patch_samples,
            step_samples=self.hop_samples,
            hop_samples=self.patch_frames // 2 * self.hop_samples,
            longest_hop_samples=self.patch_frames * self.hop_samples,
        )

    @property
    def fft_bins(self) -> int:
        """Bins of the real FFT: 257 for YAMNet."""
        return self.fft_samples // 2 + 1


@dataclass(frozen=True)
class MnFrontEndParams:
    """The log-mel front end of EfficientAT's networks; counts are samples, frames or bands.

    window_samples: what one patch covers; the network was trained on 10 s. An STFT frame is
    ``analysis_samples`` long, every ``hop_samples``, in an FFT of ``fft_samples``. log_offset is
    added to an energy before its logarithm is taken, and log_floor is its least.
    """

    sample_rate_hz: int = 32_000
    window_samples: int = 320_000
    hop_samples: int = 320
    analysis_samples: int = 800
    fft_samples: int = 1_024
    bands: int = 128
    low_hz: float = 0.0
    high_hz: float = 15_000.0
    preemphasis: float = 0.97
    log_offset: float = 1e-5
    log_floor: float = 0.0
    normal_shift: float = 4.5
    normal_scale: float = 5.0

    def __post_init__(self) -> None:
        # Reflection needs half an FFT of samples beside the end that it reflects at.
        shortest = self.fft_samples // 2 + 2
        if self.window_samples < shortest:
            raise OptionError(
                tr(
                    "a window of this front end has at least {shortest} samples "
                    "({shortest_2:.3f} s), not {window_samples}",
                    shortest=shortest,
                    shortest_2=shortest / self.sample_rate_hz,
                    window_samples=self.window_samples,
                )
            )

    @property
    def patch_frames(self) -> int:
        """Frames of a patch: 1 + (window − 1) // hop; 1,000 for 10 s."""
        return 1 + (self.window_samples - 1) // self.hop_samples


@dataclass(frozen=True)
class FixedPointParams:
    """The log-mel front end of students, in whole numbers (`oido.signal.fixed_point`).

    Counts are samples, frames or bands. A frame is as long as its FFT; a patch of 48 frames is
    0.972 s, and the next begins 24 frames (0.48 s) later.
    """

    sample_rate_hz: int = 16_000
    fft_samples: int = 512
    hop_samples: int = 320
    bands: int = 40
    low_hz: float = 125.0
    high_hz: float = 7_500.0
    patch_frames: int = 48

    @property
    def patch_samples(self) -> int:
        """Samples under one patch: 47 · 320 + 512 = 15,552."""
        return (self.patch_frames - 1) * self.hop_samples + self.fft_samples

    @property
    def windows(self) -> WindowParams:
        """Windows of one patch, half a patch of frames apart."""
        return WindowParams(
            self.sample_rate_hz,
            self.patch_samples,
            step_samples=self.hop_samples,
            hop_samples=self.patch_frames // 2 * self.hop_samples,
            longest_hop_samples=self.patch_frames * self.hop_samples,
        )


Hop = float | Literal["window"] | None
"""From window to window, in seconds; "window": windows do not overlap, which is half the work for
YAMNet; None: as the network was made for."""


@dataclass(frozen=True)
class WindowParams:
    """The windows of a network: how long, and in which steps they may follow each other.

    step_samples: a hop must be a multiple of it, so that windows share their STFT frames (10 ms for
    YAMNet). hop_samples: the default hop. longest_hop_samples: beyond it, sound
    between two windows would be lost. repeat_pause_samples: how a recording shorter than a
    window fills it: None is zeros behind it, as YAMNet does; else it is repeated, with so much
    silence between.
    """

    sample_rate_hz: int
    window_samples: int
    step_samples: int
    hop_samples: int
    longest_hop_samples: int
    repeat_pause_samples: int | None = None


@dataclass(frozen=True)
class Windowing:
    """How a waveform is cut into windows; integers only, so that times never drift.

    ``window_samples`` is what one patch covers; ``hop_samples`` the step between windows;
    ``repeat_pause_samples`` as in `WindowParams`.
    """

    sample_rate_hz: int
    window_samples: int
    hop_samples: int
    repeat_pause_samples: int | None = None

    @classmethod
    def from_seconds(cls, windows: WindowParams, hop_seconds: Hop) -> Windowing:
        """The windows of a network for a hop in seconds; None is the network's own.

        Raises OptionError, naming the nearest hop that the network allows.
        """
        step, rate = windows.step_samples, windows.sample_rate_hz
        if hop_seconds is None:
            hop, pause = windows.hop_samples, windows.repeat_pause_samples
            return cls(rate, windows.window_samples, hop, pause)
        most = windows.longest_hop_samples // step
        if hop_seconds == "window":
            hop_seconds = most * step / rate
        elif isinstance(hop_seconds, str):
            raise OptionError(
                tr('hop must be seconds, or "window", not {hop_seconds!r}', hop_seconds=hop_seconds)
            )
        exact = hop_seconds * rate / step
        steps = 1 if math.isnan(exact) else round(min(max(exact, 1), most))
        if not abs(exact - steps) <= 1e-6:
            raise OptionError(
                tr(
                    "hop must be a multiple of {step:g} s, at most {most:g} s, not "
                    "{hop_seconds:g}; the nearest is {steps:g}",
                    step=step / rate,
                    most=most * step / rate,
                    hop_seconds=hop_seconds,
                    steps=steps * step / rate,
                )
            )
        return cls(rate, windows.window_samples, steps * step, windows.repeat_pause_samples)

    def count(self, n_samples: int) -> int:
        """Windows of a waveform: 1 + ceil((max(n, window) − window) / hop)."""
        beyond = max(n_samples, self.window_samples) - self.window_samples
        return 1 + -(-beyond // self.hop_samples)

    @property
    def hop_seconds(self) -> float:
        """Seconds from one window to the next."""
        return self.hop_samples / self.sample_rate_hz

    def span(self, window: int) -> tuple[float, float]:
        """Start and end of one window in seconds."""
        start, rate = window * self.hop_samples, self.sample_rate_hz
        return start / rate, (start + self.window_samples) / rate

    def times(self, first_window: int, n_windows: int) -> F64:
        """Start and end of consecutive windows in seconds, f64[N, 2]."""
        import numpy as np

        times = np.empty((n_windows, 2))
        times[:, 0] = (np.arange(n_windows) + first_window) * self.hop_samples
        times[:, 1] = times[:, 0] + self.window_samples
        times /= self.sample_rate_hz
        return times

    def padded_samples(self, n_samples: int) -> int:
        """Zeros that the last window needs after the last sample."""
        end = (self.count(n_samples) - 1) * self.hop_samples + self.window_samples
        return max(0, end - n_samples)

    def cell(self, window: int, n_windows: int, n_samples: int) -> tuple[int, int]:
        """The stretch of samples that one window answers for, when events are timed.

        Windows overlap, so an event's ends cannot be those of its windows: each window answers for
        the hop around its centre, and the first and last ones also for the edges of the recording.
        Cells tile the recording: no gap, no overlap.
        """
        centred = (self.window_samples - self.hop_samples) // 2
        start = 0 if window == 0 else window * self.hop_samples + centred
        last = window == n_windows - 1
        end = n_samples if last else (window + 1) * self.hop_samples + centred
        return min(start, n_samples), min(end, n_samples)


@dataclass(frozen=True)
class Detection:
    """How scores become events.

    threshold: what the pooled score of a label must reach (`oido.events.spans`), 0..1; None:
    the model's own threshold of the label, or else 0.2.
    off_ratio: outside of stretches of sound, an event lasts while the scores of its frames are at
    least threshold · off_ratio.
    min_duration: shorter events are dropped (seconds).
    merge_gap: events of one label this close or closer become one (seconds).
    thresholds: per-label values that replace ``threshold``.
    unknown: tell stretches unlike all that a model was taught, too, with the label "unknown".
    """

    threshold: float | None = None
    off_ratio: float = 0.5
    min_duration: float = 0.0
    merge_gap: float = 0.0
    thresholds: tuple[tuple[str, float], ...] = ()
    unknown: bool = False

    def __post_init__(self) -> None:
        for name in ("threshold", "off_ratio", "min_duration", "merge_gap"):
            check(name, getattr(self, name))
        for label, value in self.thresholds:
            check("threshold", value, tr("threshold of {label!r}", label=label))

    @classmethod
    def of(
        cls, thresholds: Mapping[str, float] | None = None, **options: Unpack[EventOptions]
    ) -> Detection:
        """From the arguments of Python's users. Raises OptionError."""
        if not isinstance(thresholds, Mapping | None):
            raise OptionError(
                tr(
                    "thresholds must be a dictionary of labels, such as {example}, not {name}",
                    example="{'Speech': 0.3}",
                    name=type(thresholds).__name__,
                )
            )
        return cls(**options, thresholds=tuple((thresholds or {}).items()))


class EventOptions(TypedDict, total=False):
    """The options of a `Detection` that are numbers, for those who only hand them on."""

    threshold: float | None
    off_ratio: float
    min_duration: float
    merge_gap: float
    unknown: bool


@dataclass(frozen=True)
class Selection:
    """Which categories are reported: the Task Library's options, with its names and semantics.

    max_results: the best this many (None: all; 0 is an error); of events, the strongest.
    score_threshold: categories with ``score >= score_threshold`` stay (equality is kept), and it is
    the threshold of events that are given no other.
    category_allowlist / category_denylist: only these labels / all but these; mutually exclusive.
    labels: of events and of whole clips, "specific" tells one row for each sound, by its most
    specific label whose evidence holds; "all" tells every label by itself.
    """

    max_results: int | None = None
    score_threshold: float | None = None
    category_allowlist: Sequence[str] = ()
    category_denylist: Sequence[str] = ()
    labels: Literal["specific", "all"] = "specific"

    def __post_init__(self) -> None:
        for name in ("category_allowlist", "category_denylist"):
            labels = getattr(self, name)
            if isinstance(labels, str):
                raise OptionError(
                    tr(
                        "{name} is a list of labels, such as [{labels!r}], and no text",
                        name=name,
                        labels=labels,
                    )
                )
            object.__setattr__(self, name, tuple(labels))
        OPTIONS["labels"].read(self.labels)
        check("top", self.max_results, "max_results")
        check("threshold", self.score_threshold, "score_threshold")
        if self.category_allowlist and self.category_denylist:
            raise OptionError(
                tr("category_allowlist and category_denylist exclude each other; give only one")
            )


def available_cores() -> int:
    """Cores that this process may use (fewer than the machine's in a container or a job)."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


@dataclass(frozen=True)
class PlaceOnEarth:
    """A place on earth, in degrees; threshold: from how often seen a species counts there, 0..1."""

    latitude: float
    longitude: float
    threshold: float
