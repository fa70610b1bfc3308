# SPDX-License-Identifier: Apache-2.0
"""Every option of a prediction, once: its name, kind, bounds, default and help.

The command line adds its arguments from this table, the server reads queries and stream headers by
it and describes them in OpenAPI, and `oido.params` checks values by the same bounds.
"""

from __future__ import annotations

import difflib
import math
import numbers
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Literal, get_args

from oido.errors import OptionError
from oido.messages import joined, tr

AGGREGATIONS = ("loudness-mean", "mean", "max", "top-k-mean", "confident-mean", "power-mean")
"""How windows become a clip; the first is the default."""

Level = Literal["events", "windows", "frames", "clip"]
LEVELS: tuple[str, ...] = get_args(Level)


@dataclass(frozen=True)
class Kind:
    """What values an option has.

    read: makes one of a text, or of what JSON made of one, for an option of this name. schema: in
    JSON Schema. low, high: bounds, both included; unit: of ``low`` in messages.
    """

    read: Callable[[str, Any], Any]
    schema: Mapping[str, Any]
    low: float | None = None
    high: float | None = None
    unit: str = ""


@dataclass(frozen=True)
class Option:
    """One option; on the command line ``--off-ratio``, elsewhere ``off_ratio``.

    usage: its name, and what help calls its value. query_help: what the server says of it, where
    that is another thing.
    """

    usage: str
    kind: Kind
    help: str
    default: Any = None
    choices: tuple[str, ...] = ()
    query_help: str | None = None
    is_rare: bool = False

    @property
    def name(self) -> str:
        """As Python and queries have it."""
        return self.usage.partition(" ")[0]

    @property
    def metavar(self) -> str:
        """What help calls its value."""
        return self.usage.partition(" ")[2]

    def read(self, value: Any, name: str | None = None) -> Any:
        """The value of a text, or of what JSON made of one. Raises OptionError.

        name: how the message calls it; None: by its own name.
        """
        name = name or self.name
        if self.choices and value not in self.choices:
            known = ", ".join(self.choices)
            raise OptionError(
                tr(
                    "{name} must be one of {known}, not {short}",
                    name=name,
                    known=known,
                    short=_short(value),
                )
            )
        result = self.kind.read(name, value)
        self.check(result, name)
        return result

    def check(self, value: Any, name: str | None = None) -> None:
        """Raise OptionError for a number out of bounds; None is never out of them."""
        low, high = self.kind.low, self.kind.high
        if value is None or low is None:
            return
        is_whole = self.kind.read is _read_whole
        is_right = isinstance(value, numbers.Integral if is_whole else numbers.Real)
        if is_right and low <= value <= (math.inf if high is None else high):
            return
        bounds = (
            tr("{low:g}{unit} or more", low=low, unit=self.kind.unit)
            if high is None
            else tr("from {low:g} to {high:.10g}", low=low, high=high)
        )
        text = f"{value:g}" if isinstance(value, float) else _short(value)
        raise OptionError(
            tr(
                "{name} must be {bounds}, not {text}",
                name=name or self.name,
                bounds=bounds,
                text=text,
            )
        )

    def parameter(self) -> dict[str, Any]:
        """It as a parameter of OpenAPI."""
        facts = {"enum": list(self.choices), "minimum": self.kind.low, "maximum": self.kind.high}
        if self.query_help is None:  # else what stands for no value is the server's to say
            facts["default"] = self.default
        # No query can name the empty list.
        schema = {key: fact for key, fact in facts.items() if fact not in (None, [], ())}
        is_number = self.kind.schema["type"] not in ("string", "boolean", "array")
        text = self.query_help or self.help
        if is_number and self.query_help is None:
            text = joined(": ", (tr(self.metavar), tr(self.help)))
        schema = {**self.kind.schema, **schema}
        return {"name": self.name, "in": "query", "schema": schema, "description": text}


def check(name: str, value: Any, called: str | None = None) -> None:
    """Raise OptionError if a number is out of its option's bounds; called: its name elsewhere."""
    OPTIONS[name].check(value, called)


def _read_number(name: str, value: Any) -> float:
    try:
        number = math.nan if isinstance(value, bool) else float(value)
    except (TypeError, ValueError, OverflowError):
        number = math.nan
    if not math.isfinite(number):
        raise OptionError(
            tr("{name} must be a number, not {short}", name=name, short=_short(value))
        )
    return number


def _read_step(name: str, value: Any) -> float | str:
    return "window" if value == "window" else _read_number(name, value)


def _read_whole(name: str, value: Any) -> int:
    number = _read_number(name, value)
    if number != int(number):
        raise OptionError(
            tr("{name} must be a whole number, not {short}", name=name, short=_short(value))
        )
    return int(number)


def _read_flag(name: str, value: Any) -> bool:
    known = {"true": True, "1": True, "false": False, "0": False}
    if str(value).lower() not in known:
        raise OptionError(
            tr("{name} must be true or false, not {short}", name=name, short=_short(value))
        )
    return known[str(value).lower()]


def _read_text(name: str, value: Any) -> str:
    if not isinstance(value, str):
        raise OptionError(tr("{name} must be text, not {short}", name=name, short=_short(value)))
    return value


def _read_channel(name: str, value: Any) -> str | int:
    text = str(value)
    if text in ("mix", "each"):
        return text
    if not isinstance(value, bool) and text.isdecimal() and len(text) <= 4:
        return int(text)
    raise OptionError(
        tr(
            "{name} must be mix, each or a number from 0, not {short}",
            name=name,
            short=_short(value),
        )
    )


def _read_labels(name: str, value: Any) -> tuple[str, ...]:
    if not isinstance(value, list):
        raise OptionError(
            tr("{name} must be a list of labels, not {short}", name=name, short=_short(value))
        )
    return tuple(_read_text(name, label) for label in value)


def _short(value: object) -> str:
    """A value as messages show it: never longer than a line."""
    text = repr(value)
    return text if len(text) <= 60 else text[:57] + "..."


TEXT = Kind(_read_text, {"type": "string"})
FLAG = Kind(_read_flag, {"type": "boolean"})
LABELS = Kind(_read_labels, {"type": "array", "items": {"type": "string"}})
CHANNEL = Kind(_read_channel, {"type": "string", "pattern": "^(mix|each|[0-9]{1,4})$"})
COUNT = Kind(_read_whole, {"type": "integer"}, low=1)
SEED = Kind(_read_whole, {"type": "integer"}, low=0, high=2**32 - 1)  # scikit-learn's bounds
SHARE = Kind(_read_number, {"type": "number"}, low=0, high=1)
SECONDS = Kind(_read_number, {"type": "number"}, low=0, unit=" s")
# Which steps there are depends on the model, and `Windowing` says it.
STEP = Kind(
    _read_step, {"type": ["number", "string"], "exclusiveMinimum": 0, "pattern": "^window$"}
)

_STREAM = (
    Option(
        "model NAME-or-FILE",
        TEXT,
        "see `oido models`",
        "yamnet/classification",
        query_help="one of /v1/models; the first of them unless it is given",
    ),
    Option("level", TEXT, "what a row is", "events", LEVELS),
    Option(
        "top N",
        COUNT,
        "at most N labels per window, frame or clip (default 5), or the N strongest events",
    ),
    Option(
        "threshold SCORE",
        SHARE,
        "lowest score, 0..1, or probability of a calibrated model "
        "(default for events: the model's own, or 0.2; else 0)",
    ),
    Option(
        "allow LABEL", LABELS, "only this label (repeat); Animal/ is Animal and all below it", ()
    ),
    Option("deny LABEL", LABELS, "all but this label (repeat)", ()),
    Option(
        "labels",
        TEXT,
        "of events and clips: one row for each sound, by its most specific label (default), or a "
        "row for every label",
        "specific",
        ("specific", "all"),
    ),
    Option(
        "hop SECONDS",
        STEP,
        "step between windows, for YAMNet a multiple of 0.01 up to 0.96 (default 0.48), or window: "
        "a whole one, so that windows do not overlap",
    ),
    Option(
        "framewise SCORE",
        SHARE,
        "of windows: what events are made of, too, which are the scores of the parts of each "
        "window, those of SCORE or more",
    ),
    Option(
        "locale LANGUAGE", TEXT, "language of the labels that are written: en (default) or es", "en"
    ),
    Option(
        "off_ratio R",
        SHARE,
        "an event that does not stand out of its background lasts while the scores of its frames "
        "are at least R × threshold (default 0.5)",
        0.5,
        is_rare=True,
    ),
    Option(
        "unknown",
        FLAG,
        "of a taught model: stretches unlike all that it was taught, too, as events called unknown",
        False,
    ),
    Option("min_duration SECONDS", SECONDS, "drop shorter events (default 0)", 0.0, is_rare=True),
    Option(
        "merge_gap SECONDS",
        SECONDS,
        "join events of one label this close (default 0)",
        0.0,
        is_rare=True,
    ),
)

_QUERY = (
    *_STREAM,
    Option(
        "channel mix|each|N",
        CHANNEL,
        "the mean of all channels (default), each by itself, or channel N from 0",
        "mix",
    ),
    Option(
        "head NAME", TEXT, "of a model with several: which one (default: the last)", is_rare=True
    ),
    Option(
        "rollup",
        FLAG,
        "give each class the highest score of its own and of those below it",
        False,
        is_rare=True,
    ),
    Option(
        "aggregation",
        TEXT,
        f"how windows become a clip (default: the model's own, or {AGGREGATIONS[0]})",
        choices=AGGREGATIONS,
        is_rare=True,
    ),
)

_COMMAND = (
    Option(
        "precision",
        TEXT,
        "float32: a quantised YAMNet's weights with float activations (default: the file's)",
        choices=("int8", "float32"),
        is_rare=True,
    ),
    Option(
        "thresholds FILE",
        TEXT,
        "thresholds per label for events: CSV lines label,threshold, or a JSON object",
    ),
    Option(
        "calibration FILE.json",
        TEXT,
        "what `oido calibrate` made for this model: probabilities and thresholds",
        is_rare=True,
    ),
    Option(
        "labels_file FILE",
        TEXT,
        "the model's labels in another language, one a line in its order, Latin_Common where the "
        "model's own are: they are written, and understood beside the model's own",
        is_rare=True,
    ),
    Option("jobs N", COUNT, "worker processes (default: one per core)"),
    Option("seed N", SEED, "of all chance (default 0)", 0),
    Option(
        "floor SCORE",
        SHARE,
        "lowest score, 0..1, or probability of a calibrated model, of a row "
        "in the table of windows (default 0.1)",
        0.1,
        is_rare=True,
    ),
    Option(
        "clip_top N",
        COUNT,
        "labels for each recording in the table of clips (default 5)",
        5,
        is_rare=True,
    ),
    Option(
        "split SECONDS",
        SECONDS,
        "hear longer recordings in ranges on all cores, where that gives "
        "the same rows (default 3600; 0: never)",
        3600.0,
        is_rare=True,
    ),
)

OPTIONS: Mapping[str, Option] = {option.name: option for option in (*_QUERY, *_COMMAND)}

QUERY_OPTIONS: Mapping[str, Option] = {option.name: option for option in _QUERY}
"""Of ``POST /v1/classify``."""

STREAM_OPTIONS: Mapping[str, Option] = {option.name: option for option in _STREAM} | {
    "level": replace(OPTIONS["level"], choices=("windows", "events"))
}
"""Of a stream's header."""


def read_query(pairs: Sequence[tuple[str, str]]) -> dict[str, Any]:
    """The options of a query string by their names, all of them. Raises OptionError."""
    values: dict[str, Any] = {}
    for name, text in pairs:
        if name in OPTIONS and OPTIONS[name].kind is LABELS:
            values.setdefault(name, []).append(text)
        elif name in values:
            raise OptionError(tr("{name} is given twice", name=name))
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
            hint = (
                tr("did you mean {near!r}?", near=near[0])
                if near
                else tr("there are: {known}", known=", ".join(known))
            )
            raise OptionError(
                tr("there is no option {short}; {hint}", short=_short(name), hint=hint)
            )
    read = {name: known[name].read(value) for name, value in values.items()}
    if read.get("allow") and read.get("deny"):
        raise OptionError(tr("allow and deny exclude each other; give only one"))
    defaults = {name: option.default for name, option in QUERY_OPTIONS.items()}
    return {**defaults, "model": None, **read}  # which model stands for none is the server's to say
