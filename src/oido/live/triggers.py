# SPDX-License-Identifier: Apache-2.0
"""Triggers: conditions that are watched window by window.

A trigger's *sound* begins with a window in which one of its labels reaches the threshold, and goes
on while one of them reaches off_ratio times the threshold; it is over when none has for off_after
seconds. So the pauses of a beeping alarm do not end it.

The trigger goes *on* in the first such window in which its sound has lasted for as long as the
condition says, if its last "on" is the cool-down or more ago; and *off* when its sound is over.
Times are those of the windows' cells, as for events.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from oido.errors import OptionError
from oido.events.thresholds import on_thresholds
from oido.inference.postprocess import HeadPostprocessor
from oido.live.conditions import Condition
from oido.models.taxonomy import expand
from oido.params import Detection, Windowing

__all__ = ["Change", "Trigger", "TriggerParams", "TriggerState", "slugs"]

_ENDLESS = 1 << 62


@dataclass(frozen=True)
class TriggerParams:
    """What all triggers share, in seconds; off_ratio as in `Detection`."""

    cool_down: float = 30.0
    off_after: float = 2.0
    off_ratio: float = 0.5

    def __post_init__(self) -> None:
        for name in ("cool_down", "off_after"):
            if not 0.0 <= getattr(self, name) <= 86_400.0:
                option = "--" + name.replace("_", "-")
                raise OptionError(f"{option} must be from 0 to 86400 s")


class Change(NamedTuple):
    """A trigger went on or off.

    start, end: of its sound so far, in samples of the model's rate. column: the label that was
    reached best; value: what was compared with the threshold; score: its raw score.
    """

    is_on: bool
    start: int
    end: int
    column: int
    value: float
    score: float


@dataclass(frozen=True)
class TriggerState:
    """A change as actions and outputs get it.

    number, slug: of the trigger, and its name in topics and files. state: "on" or "off". label: the
    best one, in the language that was asked for. Times are seconds of the stream, and
    ISO 8601 in UTC.
    """

    number: int
    slug: str
    condition: str
    state: str
    label: str
    score: float
    probability: float | None
    start_time: float
    end_time: float
    start_utc: str
    end_utc: str
    source: str

    def record(self) -> dict[str, Any]:
        """As JSON shows it."""
        record = {
            "type": "trigger",
            "trigger": self.condition,
            "id": self.slug,
            "state": self.state,
            "label": self.label,
            "score": round(self.score, 8),
            "probability": None if self.probability is None else round(self.probability, 8),
            "start_time": round(self.start_time, 6),
            "end_time": round(self.end_time, 6),
            "start_utc": self.start_utc,
            "end_utc": self.end_utc,
            "source": self.source,
        }
        return {name: value for name, value in record.items() if value is not None}


class Trigger:
    """One condition, watched. Raises UnknownLabelError for a label that the model does not have."""

    def __init__(
        self,
        condition: Condition,
        reader: HeadPostprocessor,
        windowing: Windowing,
        params: TriggerParams,
    ) -> None:
        self.condition = condition
        self._windowing = windowing
        self._columns = np.array(_columns(condition.labels, reader))
        own = () if condition.threshold is not None else reader.head.thresholds
        detection = Detection(condition.threshold, params.off_ratio)
        on = on_thresholds(len(reader.labels), detection, reader.label_indices, own)
        self._on = on[self._columns]
        self._off = (self._on * np.float32(params.off_ratio)).astype(np.float32)
        rate = windowing.sample_rate_hz
        cool_down = condition.cool_down_seconds
        cool_down = params.cool_down if cool_down is None else cool_down
        self._cool_down_samples = round(cool_down * rate)
        self._off_after_samples = round(params.off_after * rate)
        self._for_samples = round(condition.for_seconds * rate)
        self._sound: Change | None = None
        self._is_on = False
        self._last_on: int | None = None

    def push(
        self, window: int, values: NDArray[np.float32], scores: NDArray[np.float32]
    ) -> Change | None:
        """The next window: f32[C] each, values are probabilities where there is a calibration."""
        start, end = self._windowing.cell(window, window + 2, _ENDLESS)
        own = values[self._columns]
        reached = own > self._on if self.condition.strictly else own >= self._on
        if self._sound is None:
            if not reached.any():
                return None
            self._sound = Change(False, start, start, 0, -1.0, 0.0)
        elif not ((own >= self._off) | reached).any():
            over = end - self._sound.end >= self._off_after_samples
            return self.flush() if over else None
        return self._extend(self._sound, end, own, scores)

    def flush(self) -> Change | None:
        """The sound is over, perhaps because the source ended."""
        sound, was_on = self._sound, self._is_on
        self._sound, self._is_on = None, False
        return sound if was_on else None

    def _extend(
        self, sound: Change, end: int, own: NDArray[np.float32], scores: NDArray[np.float32]
    ) -> Change | None:
        best = int(np.argmax(own - self._on))
        if own[best] > sound.value:
            column = int(self._columns[best])
            best_score = float(scores[column])
            sound = sound._replace(column=column, value=float(own[best]), score=best_score)
        self._sound = sound = sound._replace(end=end)
        cooled = self._last_on is None or end - self._last_on >= self._cool_down_samples
        if self._is_on or not cooled or end - sound.start < self._for_samples:
            return None
        self._is_on, self._last_on = True, end
        return sound._replace(is_on=True)


def slugs(conditions: Sequence[Condition]) -> list[str]:
    """A short name for each, of a to z, 0 to 9 and -, no two alike."""
    names: list[str] = []
    for condition in conditions:
        plain = re.sub(r"[^a-z0-9]+", "-", " ".join(condition.labels).lower()).strip("-")[:48]
        plain = base = plain.strip("-") or "sound"
        number = 2
        while plain in names:
            plain, number = f"{base}-{number}", number + 1
        names.append(plain)
    return names


def _columns(labels: Sequence[str], reader: HeadPostprocessor) -> list[int]:
    columns: dict[int, None] = {}
    for label in labels:
        if label.endswith("/"):
            found = expand([label.removesuffix("/")], reader.labels)
        else:
            found = reader.label_indices([label])
        columns |= dict.fromkeys(found)
    return list(columns)
