# SPDX-License-Identifier: Apache-2.0
"""The options of a request, by the names of the command line, as a plan."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal, cast

from oido.batch.plan import Level, Plan
from oido.errors import OptionError
from oido.models.labels import nearest
from oido.models.model import Precision
from oido.params import AGGREGATIONS, Detection, Selection

__all__ = ["LEVELS", "OPTIONS", "STREAM_OPTIONS", "Options", "from_json", "from_query", "plan_of"]

LEVELS = ("events", "windows", "clip")

_DEFAULT_TOP = 5


@dataclass(frozen=True)
class Options:
    """What a client asked for; each as `oido classify` has it, and None where it said nothing."""

    model: str | None = None
    level: str = "events"
    hop: float | None = None
    channel: str | int = "mix"
    top: int | None = None
    threshold: float | None = None
    allow: tuple[str, ...] = ()
    deny: tuple[str, ...] = ()
    locale: str = "en"
    rollup: bool = False
    aggregation: str | None = None
    head: str | None = None
    off_ratio: float = 0.5
    min_duration: float = 0.0
    merge_gap: float = 0.0


def _number(name: str, value: Any) -> float:
    try:
        number = math.nan if isinstance(value, bool) else float(value)
    except (TypeError, ValueError, OverflowError) as error:
        raise OptionError(f"{name} must be a number, not {_shown(value)}") from error
    if not math.isfinite(number):
        raise OptionError(f"{name} must be a number, not {_shown(value)}")
    return number


def _whole(name: str, value: Any) -> int:
    number = _number(name, value)
    if number != int(number):
        raise OptionError(f"{name} must be a whole number, not {_shown(value)}")
    return int(number)


def _yes_or_no(name: str, value: Any) -> bool:
    if isinstance(value, bool):
        return value
    known = {"true": True, "1": True, "false": False, "0": False}
    if str(value).lower() not in known:
        raise OptionError(f"{name} must be true or false, not {_shown(value)}")
    return known[str(value).lower()]


def _text(name: str, value: Any) -> str:
    if not isinstance(value, str):
        raise OptionError(f"{name} must be text, not {_shown(value)}")
    return value


def _channel(name: str, value: Any) -> str | int:
    if value in ("mix", "each"):
        return cast("str", value)
    text = str(value)
    # Numbers of up to four digits: int() takes longer ones than any recording has channels.
    if not isinstance(value, bool) and text.isdecimal() and len(text) <= 4:
        return int(text)
    raise OptionError(f"channel must be mix, each or a number from 0, not {_shown(value)}")


def _one_of(*known: str) -> Callable[[str, Any], str]:
    def read(name: str, value: Any) -> str:
        if not isinstance(value, str) or value not in known:
            raise OptionError(f"{name} must be one of {', '.join(known)}, not {_shown(value)}")
        return value

    return read


OPTIONS: dict[str, Callable[[str, Any], Any]] = {
    "model": _text,
    "level": _one_of(*LEVELS),
    "hop": _number,
    "channel": _channel,
    "top": _whole,
    "threshold": _number,
    "allow": _text,
    "deny": _text,
    "locale": _text,
    "rollup": _yes_or_no,
    "aggregation": _one_of(*AGGREGATIONS),
    "head": _text,
    "off_ratio": _number,
    "min_duration": _number,
    "merge_gap": _number,
}
"""What reads each option of ``POST /v1/classify``."""

_LISTS = frozenset({"allow", "deny"})

STREAM_OPTIONS: dict[str, Callable[[str, Any], Any]] = {
    name: read
    for name, read in OPTIONS.items()
    if name not in ("level", "channel", "rollup", "aggregation", "head")
} | {"level": _one_of("windows", "events")}
"""And each of a stream's header."""


def from_query(pairs: Sequence[tuple[str, str]]) -> Options:
    """The options of a query string. Raises OptionError."""
    values: dict[str, Any] = {}
    for name, text in pairs:
        if name in _LISTS:
            values.setdefault(name, []).append(text)
        elif name in values:
            raise OptionError(f"{name} is given twice")
        else:
            values[name] = text
    return _options(values, OPTIONS)


def from_json(values: Mapping[str, Any]) -> Options:
    """The options of a stream's header; null is as good as nothing. Raises OptionError."""
    given = {name: value for name, value in values.items() if value is not None}
    return _options({"level": "windows", **given}, STREAM_OPTIONS)


def _options(values: Mapping[str, Any], known: Mapping[str, Callable[[str, Any], Any]]) -> Options:
    read: dict[str, Any] = {}
    for name, value in values.items():
        if name not in known:
            near = nearest(name, known)
            hint = f"did you mean {near[0]!r}?" if near else f"there are: {', '.join(known)}"
            raise OptionError(f"there is no option {_shown(name)}; {hint}")
        if name in _LISTS:
            if not isinstance(value, list):
                raise OptionError(f"{name} must be a list of labels, not {_shown(value)}")
            read[name] = tuple(known[name](name, label) for label in value)
        else:
            read[name] = known[name](name, value)
    return Options(**read)


def plan_of(options: Options, model: str, precision: Precision | None, calibrated: bool) -> Plan:
    """The plan that `oido classify` would make of the same options. Raises OptionError."""
    is_events = options.level == "events"
    limited = options.top is not None or options.threshold is not None
    detection = Detection(
        options.threshold if is_events else None,
        options.off_ratio,
        options.min_duration,
        options.merge_gap,
    )
    selection = Selection(
        max_results=options.top,
        score_threshold=None if is_events else options.threshold,
        category_allowlist=options.allow,
        category_denylist=options.deny,
    )
    return Plan(
        model=model,
        level=cast("Level", options.level),
        hop=options.hop,
        channel=cast('Literal["mix", "each"] | int', options.channel),
        aggregation=options.aggregation,
        locale=options.locale,
        rollup=options.rollup,
        precision=precision,
        head=options.head,
        calibrated=calibrated,
        detection=detection,
        selection=selection,
        top=options.top if is_events or limited else _DEFAULT_TOP,
    )


def _shown(value: object) -> str:
    """A value as messages show it: never longer than a line."""
    text = repr(value)
    return text if len(text) <= 60 else text[:57] + "..."
