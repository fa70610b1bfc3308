# SPDX-License-Identifier: Apache-2.0
"""Every option of a prediction, once: its name, kind, default, bounds and help.

The command line adds its arguments from this table, the server reads queries and stream headers by
it and describes them in OpenAPI, and `oido.params` checks values by the same bounds.
"""

from __future__ import annotations

import difflib
import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Literal, get_args

from oido.errors import OptionError

__all__ = [
    "AGGREGATIONS",
    "LEVELS",
    "OPTIONS",
    "QUERY_OPTIONS",
    "STREAM_OPTIONS",
    "Level",
    "Option",
    "check",
    "read_header_options",
    "read_query",
]

AGGREGATIONS = ("loudness-mean", "mean", "max", "top-k-mean", "confident-mean", "power-mean")
"""How windows become a clip; the first is the default."""

Level = Literal["events", "windows", "clip"]
LEVELS: tuple[str, ...] = get_args(Level)

Kind = Literal["number", "whole", "flag", "text", "labels", "channel"]

_TYPES: Mapping[Kind, Mapping[str, Any]] = {
    "number": {"type": "number"},
    "whole": {"type": "integer"},
    "flag": {"type": "boolean"},
    "text": {"type": "string"},
    "labels": {"type": "array", "items": {"type": "string"}},
    # Numbers of up to four digits: int() takes longer ones than any recording has channels.
    "channel": {"type": "string", "pattern": "^(mix|each|[0-9]{1,4})$"},
}


@dataclass(frozen=True)
class Option:
    """One option; on the command line ``--off-ratio``, elsewhere ``off_ratio``.

    metavar: what help calls its value. low, high: bounds, both included; unit: of ``low`` in
    messages. scope: whether only the command line has it, or queries of the server too, or these
    and the headers of streams. query_help: what the server says of it, where that is another thing.
    schema: what else its JSON schema has.
    """

    name: str
    kind: Kind
    help: str
    metavar: str | None = None
    default: Any = None
    choices: tuple[str, ...] = ()
    low: float | None = None
    high: float | None = None
    unit: str = ""
    scope: Literal["command", "query", "stream"] = "stream"
    query_help: str | None = None
    schema: Mapping[str, Any] = field(default_factory=dict)

    def read(self, value: Any, name: str | None = None) -> Any:
        """The value of a text, or of what JSON made of one. Raises OptionError.

        name: how the message calls it; None: by its own name.
        """
        name = name or self.name
        if self.kind == "labels":
            if not isinstance(value, list):
                raise OptionError(f"{name} must be a list of labels, not {_short(value)}")
            return tuple(_read_text(name, label) for label in value)
        if self.choices and value not in self.choices:
            known = ", ".join(self.choices)
            raise OptionError(f"{name} must be one of {known}, not {_short(value)}")
        result = _READERS[self.kind](name, value)
        self.check(result, name)
        return result

    def check(self, value: Any, name: str | None = None) -> None:
        """Raise OptionError for a number out of bounds; None is never out of them."""
        if value is None or self.low is None:
            return
        is_whole = self.kind != "whole" or isinstance(value, int)
        if is_whole and self.low <= value <= (math.inf if self.high is None else self.high):
            return
        bounds = f"{self.low:g}{self.unit} or more"
        if self.high is not None:
            bounds = f"from {self.low:g} to {self.high:g}"
        text = f"{value:g}" if isinstance(value, float) else value
        raise OptionError(f"{name or self.name} must be {bounds}, not {text}")

    def parameter(self) -> dict[str, Any]:
        """It as a parameter of OpenAPI."""
        schema = {**_TYPES[self.kind], **self.schema}
        facts = {"enum": list(self.choices) or None, "minimum": self.low, "maximum": self.high}
        # No query can name the empty list, and what stands for no model is the server's to say.
        facts["default"] = None if self.kind == "labels" or self.query_help else self.default
        schema |= {key: value for key, value in facts.items() if value is not None}
        description = self.query_help or self.help
        if self.kind in ("number", "whole"):
            description = f"{self.metavar}: {description}"
        return {"name": self.name, "in": "query", "schema": schema, "description": description}


def check(name: str, value: Any, called: str | None = None) -> None:
    """Raise OptionError if a number is out of its option's bounds; called: its name elsewhere."""
    OPTIONS[name].check(value, called)


def _read_number(name: str, value: Any) -> float:
    try:
        number = math.nan if isinstance(value, bool) else float(value)
    except (TypeError, ValueError, OverflowError):
        number = math.nan
    if not math.isfinite(number):
        raise OptionError(f"{name} must be a number, not {_short(value)}")
    return number


def _read_whole(name: str, value: Any) -> int:
    number = _read_number(name, value)
    if number != int(number):
        raise OptionError(f"{name} must be a whole number, not {_short(value)}")
    return int(number)


def _read_flag(name: str, value: Any) -> bool:
    known = {"true": True, "1": True, "false": False, "0": False}
    if str(value).lower() not in known:
        raise OptionError(f"{name} must be true or false, not {_short(value)}")
    return known[str(value).lower()]


def _read_text(name: str, value: Any) -> str:
    if not isinstance(value, str):
        raise OptionError(f"{name} must be text, not {_short(value)}")
    return value


def _read_channel(name: str, value: Any) -> str | int:
    text = str(value)
    if text in ("mix", "each"):
        return text
    if not isinstance(value, bool) and text.isdecimal() and len(text) <= 4:
        return int(text)
    raise OptionError(f"{name} must be mix, each or a number from 0, not {_short(value)}")


_READERS = {
    "number": _read_number,
    "whole": _read_whole,
    "flag": _read_flag,
    "text": _read_text,
    "channel": _read_channel,
}


def _short(value: object) -> str:
    """A value as messages show it: never longer than a line."""
    text = repr(value)
    return text if len(text) <= 60 else text[:57] + "..."


def _table(options: Iterable[Option]) -> dict[str, Option]:
    return {option.name: option for option in options}


OPTIONS: Mapping[str, Option] = _table(
    [
        Option(
            "model",
            "text",
            "see `oido models`",
            "NAME-or-FILE",
            "yamnet/classification",
            query_help="one of /v1/models; the first of them unless it is given",
        ),
        Option(
            "precision",
            "text",
            "float32: a quantised YAMNet's weights with float activations (default: the file's)",
            choices=("int8", "float32"),
            scope="command",
        ),
        Option("level", "text", "what a row is", default="events", choices=LEVELS),
        Option(
            "top",
            "whole",
            "at most N labels per window or clip (default 5), or the N strongest events",
            "N",
            low=1,
        ),
        Option(
            "threshold",
            "number",
            "lowest score, 0..1, or probability of a calibrated model (default for events: the "
            "model's own, or 0.3; else 0)",
            "SCORE",
            low=0,
            high=1,
        ),
        Option(
            "thresholds",
            "text",
            "thresholds per label for events: CSV lines label,threshold, or a JSON object",
            "FILE",
            scope="command",
        ),
        Option(
            "allow",
            "labels",
            "only this label (repeat); Animal/ is Animal and all below it",
            "LABEL",
            (),
        ),
        Option("deny", "labels", "all but this label (repeat)", "LABEL", ()),
        Option(
            "hop",
            "number",
            "step between windows, for YAMNet a multiple of 0.01 up to 0.96 (default 0.48)",
            "SECONDS",
            schema={"exclusiveMinimum": 0},
        ),
        Option(
            "locale",
            "text",
            "language of the labels that are written: en (default) or es",
            "LANGUAGE",
            "en",
        ),
        Option(
            "channel",
            "channel",
            "the mean of all channels (default), each by itself, or channel N from 0",
            "mix|each|N",
            "mix",
            scope="query",
        ),
        Option(
            "head",
            "text",
            "of a model with several: which one (default: the last)",
            "NAME",
            scope="query",
        ),
        Option(
            "rollup",
            "flag",
            "give each class the highest score of its own and of those below it",
            default=False,
            scope="query",
        ),
        Option(
            "aggregation",
            "text",
            f"how windows become a clip (default: the model's own, or {AGGREGATIONS[0]})",
            choices=AGGREGATIONS,
            scope="query",
        ),
        Option(
            "calibration",
            "text",
            "what `oido calibrate` made for this model: probabilities and thresholds",
            "FILE.json",
            scope="command",
        ),
        Option(
            "off_ratio",
            "number",
            "an event lasts while its score is at least R × threshold (default 0.5)",
            "R",
            0.5,
            low=0,
            high=1,
        ),
        Option(
            "min_duration",
            "number",
            "drop shorter events (default 0)",
            "SECONDS",
            0.0,
            low=0,
            unit=" s",
        ),
        Option(
            "merge_gap",
            "number",
            "join events of one label this close (default 0)",
            "SECONDS",
            0.0,
            low=0,
            unit=" s",
        ),
        Option(
            "jobs", "whole", "worker processes (default: one per core)", "N", low=1, scope="command"
        ),
        Option(
            "floor",
            "number",
            "lowest score, 0..1, or probability of a calibrated model, of a row in the table of "
            "windows (default 0.1)",
            "SCORE",
            0.1,
            low=0,
            high=1,
            scope="command",
        ),
        Option(
            "clip_top",
            "whole",
            "labels for each recording in the table of clips (default 5)",
            "N",
            5,
            low=1,
            scope="command",
        ),
        Option(
            "split",
            "number",
            "hear longer recordings in ranges on all cores, where that gives the same rows "
            "(default 3600; 0: never)",
            "SECONDS",
            3600.0,
            low=0,
            unit=" s",
            scope="command",
        ),
    ]
)

QUERY_OPTIONS = _table(option for option in OPTIONS.values() if option.scope != "command")
"""Of ``POST /v1/classify``."""

STREAM_OPTIONS = _table(option for option in OPTIONS.values() if option.scope == "stream") | {
    "level": replace(OPTIONS["level"], choices=("windows", "events"))
}
"""Of a stream's header."""


def read_query(pairs: Sequence[tuple[str, str]]) -> dict[str, Any]:
    """The options of a query string by their names, all of them. Raises OptionError."""
    values: dict[str, Any] = {}
    for name, text in pairs:
        if name in OPTIONS and OPTIONS[name].kind == "labels":
            values.setdefault(name, []).append(text)
        elif name in values:
            raise OptionError(f"{name} is given twice")
        else:
            values[name] = text
    return _read(values, QUERY_OPTIONS)


def read_header_options(values: Mapping[str, Any]) -> dict[str, Any]:
    """Those of a stream's header, likewise; null is as good as nothing. Raises OptionError."""
    present = {name: value for name, value in values.items() if value is not None}
    return _read({"level": "windows", **present}, STREAM_OPTIONS)


def _read(values: Mapping[str, Any], known: Mapping[str, Option]) -> dict[str, Any]:
    for name in values:
        if name not in known:
            near = difflib.get_close_matches(name, known, n=1)
            hint = f"did you mean {near[0]!r}?" if near else f"there are: {', '.join(known)}"
            raise OptionError(f"there is no option {_short(name)}; {hint}")
    read = {name: known[name].read(value) for name, value in values.items()}
    defaults = {name: option.default for name, option in QUERY_OPTIONS.items()}
    return {**defaults, "model": None, **read}  # which model stands for none is the server's to say
