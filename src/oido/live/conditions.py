# SPDX-License-Identifier: Apache-2.0
"""The language of ``--on``: which sounds, how sure, for how long.

    CONDITION = LABEL {"|" LABEL} [(">" | ">=") SCORE] ["for" DURATION] ["cool-down" DURATION]
    DURATION  = NUMBER ("ms" | "s" | "min" | "h")

It is read from the right, because labels hold commas, spaces and even "for" ("Music for children").
A label in double quotes may hold ">" and "|", too; one that ends in "/" is that class and all below
it in AudioSet's tree.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

from oido.errors import OptionError

__all__ = ["Condition", "parse_condition", "parse_duration"]

_UNITS = {"ms": 0.001, "s": 1.0, "min": 60.0, "h": 3600.0}
_LONGEST_FOR_SECONDS = 600.0

_DURATION = re.compile(r"([0-9]+(?:\.[0-9]*)?|\.[0-9]+)\s*([a-zA-Z]*)")
_CLAUSE = re.compile(r"^(.*\S)\s+(for|cool-?down)\s+([\d.]+\s*[a-zA-Z]*)$", re.DOTALL | re.I)
_COMPARISON = re.compile(r'^((?:"[^"]*"|[^">])*?)\s*(>=|>)\s*([^">]*)$', re.DOTALL)
_LABEL = re.compile(r'\s*(?:"([^"]*)"|([^"|]*))\s*(?:\||$)')


@dataclass(frozen=True)
class Condition:
    """What sets a trigger off.

    text: as it was written. labels: any of these. threshold: 0..1, None: the model's own of each
    label, or 0.3. strictly: the score must be above it, and not only at it. for_seconds: that it
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
            raise _error(text, f"{found[2]!r} stands there twice")
        try:
            clauses[word] = parse_duration(duration)
        except OptionError as error:
            raise _error(text, str(error)) from error
    threshold, strictly = None, False
    if found := _COMPARISON.match(rest):
        rest, strictly = found[1], found[2] == ">"
        threshold = _score_in(text, found[3])
    elif ">" in re.sub(r'"[^"]*"', "", rest):
        raise _error(text, "there is more than one '>'; put labels that hold one in double quotes")
    for_seconds = clauses.get("for", 0.0)
    if for_seconds > _LONGEST_FOR_SECONDS:
        raise _error(text, f"'for' may be {_LONGEST_FOR_SECONDS / 60:g} min at most")
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
            f"{text.strip()!r} is no duration; write a number and ms, s, min or h, such as {hint}"
        )
    return float(found[1]) * _UNITS[found[2]]


def _score_in(text: str, score: str) -> float:
    try:
        value = float(score)
    except ValueError as error:
        what = "nothing" if not score.strip() else repr(score.strip())
        raise _error(
            text, f"behind '>' a score from 0 to 1 is needed, then perhaps 'for 2s', not {what}"
        ) from error
    if not 0.0 <= value <= 1.0:
        raise _error(text, f"a score is from 0 to 1, not {value:g}")
    return value


def _labels_in(text: str, names: str) -> tuple[str, ...]:
    labels, at = [], 0
    while at <= len(names):
        found = _LABEL.match(names, at)
        if found is None:
            raise _error(text, "a double quote is not closed, or something stands behind it")
        label = (found[1] if found[1] is not None else found[2]).strip()
        if not label:
            raise _error(text, "a label is missing")
        labels.append(label)
        at = found.end() if found[0].endswith("|") else len(names) + 1
    return tuple(dict.fromkeys(labels))


def _error(text: str, reason: str) -> OptionError:
    return OptionError(
        f"--on {text.strip()!r}: {reason}; it is written like "
        "'Dog|Bark>0.5', 'Smoke detector, smoke alarm>0.6 for 2s' or 'Siren cool-down 5min'"
    )
