# SPDX-License-Identifier: Apache-2.0
"""The best events of each label to be heard, cut from the recordings that can be reached."""

from __future__ import annotations

import contextlib
import os
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, Literal, NamedTuple

from oido.batch.storage import is_remote
from oido.batch.units import raw_name
from oido.errors import AudioError, OptionError
from oido.messages import tr
from oido.results.excerpts import PastTheEndError, TooFarInError, read_excerpt
from oido.results.query_text import quoted
from oido.results.results import Results
from oido.signal.encode import flac_bytes
from oido.signal.resample import resample

MOST_LABELS = 10
MOST_SECONDS = 5.0
_MARGIN_SECONDS = 0.25
_MOST_BYTES = 6_000_000
_MOST_DECODED_SECONDS = 7_200.0
"""Recordings that cannot be entered in the middle are decoded from their beginning; no more."""

_HIGHEST_RATE_HZ = 24_000
_CANDIDATES = 50
"""Events that are tried for each that is wanted, because recordings may be gone."""

Unreached = Literal["elsewhere", "missing", "changed", "unreadable", "too far in"]


class Example(NamedTuple):
    """An event, with its sound from ``clip_start`` s on: FLAC, mono, 16 bits, at most 24 kHz."""

    file: str
    start_time: float
    end_time: float
    value: float
    clip_start: float
    flac: bytes


@dataclass(frozen=True)
class Examples:
    """The examples of each label, best first, and why recordings could not be reached.

    left_out: whether there were more than the page has room for.
    """

    of_label: dict[str, list[Example]] = field(default_factory=dict)
    unreached: Counter[Unreached] = field(default_factory=Counter)
    left_out: bool = False

    @property
    def count(self) -> int:
        return sum(map(len, self.of_label.values()))

    @property
    def size_bytes(self) -> int:
        return sum(len(each.flac) for group in self.of_label.values() for each in group)


class _UnreachedError(Exception):
    """The recording is not there as it was heard; the argument is why."""


def best_examples(results: Results, labels: Sequence[str], per_label: int) -> Examples:
    """Up to ``per_label`` events of each label with the highest score (or probability).

    Of different recordings, as far as there are any. Local recordings only, if they are as they
    were; up to 5 s of each event, 6 MB in all. Raises OptionError for a negative number.
    """
    if per_label < 0:
        raise OptionError(
            tr("there are 0 examples of a label or more, not {per_label}", per_label=per_label)
        )
    found, reasons = Examples({label: [] for label in labels}), dict[str, Unreached]()
    left_bytes, left_seconds = _MOST_BYTES, _MOST_DECODED_SECONDS
    for row in _candidates(results, labels, per_label):
        group = found.of_label[row["label"]]
        if len(group) == per_label or row["file"] in reasons:
            continue
        if left_bytes <= 0:
            return Examples(found.of_label, Counter(reasons.values()), left_out=True)
        try:
            example, decoded = _cut(row, left_seconds)
        except _UnreachedError as error:
            reasons[row["file"]] = error.args[0]
            continue
        group.append(example)
        left_bytes -= len(example.flac)
        left_seconds -= decoded
    return Examples(found.of_label, Counter(reasons.values()))


def _candidates(results: Results, labels: Sequence[str], per_label: int) -> list[dict[str, Any]]:
    """More events than are wanted, because some may not be reached: the best of each first."""
    if not labels or not per_label:
        return []
    value = results.value_column
    query = f"""SELECT events.*, location, size, modified FROM (
            SELECT *, row_number() OVER (
                PARTITION BY label ORDER BY nth, value DESC, file, start_time) AS place
            FROM (SELECT label, file, start_time, end_time, {value} AS value, row_number() OVER (
                PARTITION BY label, file ORDER BY {value} DESC, start_time) AS nth
                FROM events WHERE label IN ({", ".join(map(quoted, labels))}))
        ) AS events JOIN (SELECT file, any_value(location) AS location, any_value(size) AS size,
            any_value(modified) AS modified FROM recordings GROUP BY file) AS places
        ON events.file = places.file
        WHERE place <= {per_label * _CANDIDATES} ORDER BY place, label"""
    rows: list[dict[str, Any]] = results.sql(query).to_pylist()
    return rows


def _cut(row: dict[str, Any], left_seconds: float) -> tuple[Example, float]:
    """The example, and the seconds that were decoded for it. Raises _UnreachedError."""
    path = _reached(row)
    start = max(0.0, row["start_time"] - _MARGIN_SECONDS)
    end = min(row["end_time"] + _MARGIN_SECONDS, start + MOST_SECONDS)
    try:
        found = read_excerpt(path, start, end, most_decoded_seconds=left_seconds)
        to_hz = min(found.rate_hz, _HIGHEST_RATE_HZ)
        flac = flac_bytes(resample(found.waveform, found.rate_hz, to_hz), to_hz)
    except TooFarInError as error:
        raise _UnreachedError("too far in") from error
    except PastTheEndError as error:
        raise _UnreachedError("changed") from error
    except (AudioError, OSError) as error:
        raise _UnreachedError("unreadable") from error
    times = (row["start_time"], row["end_time"], row["value"], start)
    return Example(row["file"], *times, flac), found.decoded_seconds


def _reached(row: dict[str, Any]) -> str:
    """The path of the recording, if it is what was heard."""
    why: Unreached = "missing"
    for path in dict.fromkeys(raw_name(str(row[name])) for name in ("location", "file")):
        if is_remote(path):
            raise _UnreachedError("elsewhere")
        with contextlib.suppress(OSError, ValueError):
            if row["size"] in (0, None, os.stat(path).st_size):
                return path
            why = "changed"
    raise _UnreachedError(why)
