# SPDX-License-Identifier: Apache-2.0
"""Triggers: conditions that are watched window by window.

A trigger's *sound* begins with a window in which one of its labels reaches the threshold, and goes
on while one of them reaches off_ratio times the threshold; it is over when none has for off_after
seconds. So the pauses of a beeping alarm do not end it.

The trigger goes *on* in the first such window in which its sound has lasted for as long as the
condition says, if its last "on" is the cool-down or more ago; and *off* when its sound is over.
Times are those of the windows' cells, as for events. Conditions are written so:

    CONDITION = LABEL {"|" LABEL} [(">" | ">=") SCORE] ["for" DURATION] ["cool-down" DURATION]
    DURATION  = NUMBER ("ms" | "s" | "min" | "h")

They are read from the right, because labels hold commas, spaces and even "for" ("Music for
children"). A label in double quotes may hold ">" and "|", too, and double quotes that are doubled;
one that ends in "/" is that class and all below it in AudioSet's tree.
"""

from __future__ import annotations

import hashlib
import re
import unicodedata
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from oido.errors import OptionError
from oido.events.thresholds import on_thresholds
from oido.inference.postprocess import HeadPostprocessor
from oido.messages import text_of, tr
from oido.models.taxonomy import expand
from oido.params import Detection, Windowing

_ENDLESS = 1 << 62
_UNITS = {"ms": 0.001, "s": 1.0, "min": 60.0, "h": 3600.0}
_LONGEST_FOR_SECONDS = 600.0
_SLUG_LENGTH = 48

_DURATION = re.compile(r"([0-9]+(?:\.[0-9]*)?|\.[0-9]+)\s*([a-zA-Z]*)")
_CLAUSE = re.compile(r"^(.*\S)\s+(for|cool-?down)\s+([\d.]+\s*[a-zA-Z]*)$", re.DOTALL | re.I)
_COMPARISON = re.compile(r'^((?:"[^"]*"|[^">])*?)\s*(>=|>)\s*([^">]*)$', re.DOTALL)
_LABEL = re.compile(r'\s*(?:"((?:[^"]|"")*)"|([^"|]*))\s*(?:\||$)')


@dataclass(frozen=True)
class Condition:
    """What sets a trigger off.

    text: as it was written. labels: any of these. threshold: 0..1, None: the model's own of each
    label, or 0.2. strictly: the score must be above it, and not only at it. for_seconds: that it
    must last. cool_down_seconds: before it may go off again; None: the common one.
    """

    text: str
    labels: tuple[str, ...]
    threshold: float | None = None
    strictly: bool = False
    for_seconds: float = 0.0
    cool_down_seconds: float | None = None


def parse_condition(text: str) -> Condition:
    """Read a condition. Raises OptionError that says which part is wrong, and how it is written."""
    rest, clauses = text.strip(), {}
    while found := _CLAUSE.match(rest):
        rest, word, duration = found.groups()
        word = word.lower().replace("-", "")
        if word in clauses:
            raise _error(text, tr("{found!r} stands there twice", found=found[2]))
        try:
            clauses[word] = parse_duration(duration)
        except OptionError as error:
            raise _error(text, text_of(error)) from error
    threshold, strictly = None, False
    if found := _COMPARISON.match(rest):
        rest, strictly = found[1], found[2] == ">"
        threshold = _score_in(text, found[3])
    elif ">" in re.sub(r'"[^"]*"', "", rest):
        raise _error(
            text, tr("there is more than one '>'; put labels that hold one in double quotes")
        )
    for_seconds = clauses.get("for", 0.0)
    if for_seconds > _LONGEST_FOR_SECONDS:
        raise _error(
            text,
            tr(
                "'for' may be {longest_for_seconds:g} min at most",
                longest_for_seconds=_LONGEST_FOR_SECONDS / 60,
            ),
        )
    return Condition(
        text.strip(),
        _labels_in(text, rest),
        threshold,
        strictly,
        for_seconds,
        clauses.get("cooldown"),
    )


def parse_duration(text: str) -> float:
    """Seconds of "2s", "500 ms", "1.5 min" or "1h". Raises OptionError."""
    found = _DURATION.fullmatch(text.strip())
    if found is None or found[2] not in _UNITS:
        hint = f"{found[1]}s" if found and not found[2] else "2s"
        raise OptionError(
            tr(
                "{text!r} is no duration; write a number and ms, s, min or h, such as {hint}",
                text=text.strip(),
                hint=hint,
            )
        )
    return float(found[1]) * _UNITS[found[2]]


def _score_in(text: str, score: str) -> float:
    try:
        value = float(score)
    except ValueError as error:
        what = tr("nothing") if not score.strip() else repr(score.strip())
        raise _error(
            text,
            tr(
                "behind '>' a score from 0 to 1 is needed, then perhaps 'for 2s', not {what}",
                what=what,
            ),
        ) from error
    if not 0.0 <= value <= 1.0:
        raise _error(text, tr("a score is from 0 to 1, not {value:g}", value=value))
    return value


def _labels_in(text: str, names: str) -> tuple[str, ...]:
    labels, at = [], 0
    while at <= len(names):
        found = _LABEL.match(names, at)
        if found is None:
            raise _error(
                text,
                tr(
                    "a double quote is not closed, or stands within a label; a label that holds "
                    "some is written between two more, and its own are doubled"
                ),
            )
        label = (found[1].replace('""', '"') if found[1] is not None else found[2]).strip()
        if not label:
            raise _error(text, tr("a label is missing"))
        labels.append(label)
        at = found.end() if found[0].endswith("|") else len(names) + 1
    return tuple(dict.fromkeys(labels))


def _error(text: str, reason: str) -> OptionError:
    return OptionError(
        tr(
            "--on {text!r}: {reason}; it is written like 'Dog|Bark>0.5', 'Smoke "
            "detector, smoke alarm>0.6 for 2s' or 'Siren cool-down 5min'",
            text=text.strip(),
            reason=reason,
        )
    )


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
                raise OptionError(tr("{option} must be from 0 to 86400 s", option=option))


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


_DIGITS = {"score": 8, "probability": 8, "start_time": 6, "end_time": 6}
"""Decimals of a trigger's record, as `oido.writers` have them."""


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
        values = {"type": "trigger", "trigger": self.condition, "id": self.slug, **vars(self)}
        return {
            name: round(value, _DIGITS[name]) if name in _DIGITS else value
            for name, value in values.items()
            if value is not None and name not in ("number", "slug", "condition")
        }


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
        plain = base = _slug(" ".join(condition.labels))
        number = 2
        while plain in names:
            plain, number = f"{base}-{number}", number + 1
        names.append(plain)
    return names


def _slug(text: str) -> str:
    """Letters without their accents; of other scripts and signs, a few digits of their own."""
    letters = unicodedata.normalize("NFKD", text.casefold())
    plain = re.sub("[^a-z0-9]+", "-", "".join(c for c in letters if not unicodedata.combining(c)))
    plain = plain.strip("-")
    if plain and not any(c.isalnum() and not c.isascii() for c in letters):
        return plain[:_SLUG_LENGTH].strip("-")
    digits = hashlib.sha256(letters.encode()).hexdigest()[:6]
    return f"{plain[: _SLUG_LENGTH - 7].strip('-') or 'sound'}-{digits}"


def _columns(labels: Sequence[str], reader: HeadPostprocessor) -> list[int]:
    columns: dict[int, None] = {}
    for label in labels:
        if label.endswith("/"):
            found = expand([label.removesuffix("/")], reader.labels)
        else:
            found = reader.label_indices([label])
        columns |= dict.fromkeys(found)
    return list(columns)
