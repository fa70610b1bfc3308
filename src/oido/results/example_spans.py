# SPDX-License-Identifier: Apache-2.0
"""How an example of a sound is named: a recording, a span of it, or a time in an event."""

from __future__ import annotations

import os
import re
from typing import NamedTuple

from oido.errors import OptionError
from oido.messages import tr


class ExampleSpan(NamedTuple):
    """A recording, or a part of it in seconds."""

    path: str
    start_time: float = 0.0
    end_time: float | None = None

    @classmethod
    def of(cls, text: str) -> ExampleSpan:
        """``clip.wav`` or ``clip.wav@12.5-14``. Raises OptionError for a span that is none."""
        found = _SPAN.fullmatch(text)
        if found is None or os.path.exists(text):
            return cls(text)
        start, end = (_seconds(value) for value in found.group("start", "end"))
        if end <= start:
            raise OptionError(
                tr("{text}: a span ends after it begins, such as clip.wav@12.5-14", text=text)
            )
        return cls(found["path"], start, end)


_TIME = r"(?:\d+:)?(?:\d+:)?\d+(?:\.\d+)?"
_SPAN = re.compile(rf"(?P<path>.+)@(?P<start>{_TIME})-(?P<end>{_TIME})")
_POINT = re.compile(rf"(?P<path>.+)@(?P<time>{_TIME})")


def time_in_event(text: str) -> tuple[str, float]:
    """The recording and the time of ``night.wav@1:02:12``. Raises OptionError where it is none."""
    found = _POINT.fullmatch(text)
    if found is None:
        raise OptionError(
            tr(
                "{text}: an event is named by its recording and a time in it, "
                "such as night.wav@1:02:12",
                text=text,
            )
        )
    return found["path"], _seconds(found["time"])


def _seconds(text: str) -> float:
    """Seconds of ``12.5``, ``3:12.5`` or ``1:03:12``."""
    value = 0.0
    for part in text.split(":"):
        value = 60 * value + float(part)
    return value
