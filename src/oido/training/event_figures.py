# SPDX-License-Identifier: Apache-2.0
"""The figures of a classifier that is judged by when it hears what."""

from __future__ import annotations

import math
from dataclasses import asdict, dataclass
from typing import Any

from oido.training.clip import LeftOut
from oido.training.intervals import Estimate

__all__ = ["ClassEvents", "EventFigures"]


@dataclass(frozen=True)
class ClassEvents:
    """One class. events: true ones; detected: those that the model made, right or wrong.

    precision, recall, f1: of events, by the collars. segment_…: of stretches of a second. psds1,
    psds2: of the class by itself, 0..1.
    """

    label: str
    events: int
    detected: int
    precision: Estimate
    recall: Estimate
    f1: Estimate
    segment_precision: Estimate
    segment_recall: Estimate
    segment_f1: Estimate
    psds1: float
    psds2: float


@dataclass(frozen=True)
class EventFigures:
    """How well a model tells when sounds start and end.

    An event is right if it starts within ``onset_collar`` seconds of a true one of its class, and
    ends within ``offset_collar`` seconds or ``offset_share`` of the true one's length, whichever is
    more; each true one counts once. macro_…: the mean over classes; micro_…: of all together.
    segment_…: whether a class is in each second, however briefly. psds1, psds2: the polyphonic
    sound detection scores of DCASE's task 4, 0..1, of the windows' values at all thresholds: the
    first asks for exact times, the second that classes are not confused. Their events are single
    runs above a threshold, without the weaker edges that `ClassificationResult.events` adds.
    cell_seconds: the step in which the model tells times. Intervals are over source recordings.
    """

    files: int
    recordings: int
    seconds: float
    onset_collar: float
    offset_collar: float
    offset_share: float
    cell_seconds: float
    macro_f1: Estimate
    micro_precision: Estimate
    micro_recall: Estimate
    micro_f1: Estimate
    segment_macro_f1: Estimate
    segment_micro_f1: Estimate
    psds1: float
    psds2: float
    classes: tuple[ClassEvents, ...]
    left_out: tuple[LeftOut, ...] = ()

    def to_dict(self) -> dict[str, Any]:
        """For JSON: estimates are {value, low, high}; what is not known is None."""
        content = asdict(self)
        content["left_out"] = [entry._asdict() for entry in self.left_out]
        content["classes"] = [
            {name: _plain(getattr(entry, name)) for name in entry.__dataclass_fields__}
            for entry in self.classes
        ]
        return {
            name: value if name in ("classes", "left_out") else _plain(getattr(self, name))
            for name, value in content.items()
        }

    def __str__(self) -> str:
        events = sum(entry.events for entry in self.classes)
        lines = [
            f"{events} events of {len(self.classes)} classes in {self.files} recordings, "
            f"{self.seconds / 60:.1f} min",
            "",
            f"event F1      {_shown(self.macro_f1)} mean of classes, {_shown(self.micro_f1)} of "
            f"all (start within {self.onset_collar:g} s, end within {self.offset_collar:g} s or "
            f"{self.offset_share:.0%})",
            f"1 s segments  {_shown(self.segment_macro_f1)} mean of classes, "
            f"{_shown(self.segment_micro_f1)} of all",
            f"PSDS          {self.psds1:.3f} exact times, {self.psds2:.3f} classes not confused",
            "",
        ]
        width = max(5, *(len(entry.label) for entry in self.classes))
        lines.append(f"{'class':{width}}  events  detected  precision  recall     F1  segment F1")
        lines += [
            f"{entry.label:{width}}  {entry.events:6}  {entry.detected:8}  "
            f"{_number(entry.precision)}  {_number(entry.recall):>6}  {_number(entry.f1):>5}  "
            f"{_number(entry.segment_f1):>10}"
            for entry in self.classes
        ]
        if note := self.resolution_note:
            lines += ["", note]
        lines += ["", *(f"left out: {name}: {reason}" for name, reason in self.left_out)]
        return "\n".join(lines).rstrip()

    @property
    def resolution_note(self) -> str:
        """A sentence if the collars ask for more than the model's steps can give, else ""."""
        needed = self.cell_seconds / 2
        if min(self.onset_collar, self.offset_collar) >= needed:
            return ""
        return (
            f"The model tells times in steps of {self.cell_seconds:g} s, so that ends are off by "
            f"up to {needed:g} s by chance: take collars of {needed:g} s or more."
        )


def _plain(value: Any) -> Any:
    if isinstance(value, Estimate):
        return {name: _plain(number) for name, number in value._asdict().items()}
    return None if isinstance(value, float) and math.isnan(value) else value


def _shown(estimate: Estimate) -> str:
    interval = f" [{estimate.low:.2f}, {estimate.high:.2f}]" if estimate.has_interval else ""
    return f"{estimate.value:.3f}{interval}"


def _number(estimate: Estimate) -> str:
    return f"{estimate.value:9.2f}" if estimate.is_known else f"{'-':>9}"
