# SPDX-License-Identifier: Apache-2.0
"""The messages of a stream's WebSocket, version 1 (docs/reference/stream-protocol.md).

Client: one JSON header, then binary messages of samples, then ``{"type": "end"}``. Server: JSON
messages, each with a ``type``: "ready", "rows", "began", "dropped", "end", "error". Then it closes.
Windows may come as binary messages instead (`window_bytes`).
"""

from __future__ import annotations

import json
import re
import struct
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import chain
from typing import Any

import numpy as np
from numpy.typing import NDArray

from oido import messages
from oido.errors import OidoError
from oido.messages import tr
from oido.options import read_header_options
from oido.server.problems import Problem
from oido.writers.base import ALSO, CALIBRATED, score_of, seconds_of

VERSION = 1

STREAM_NAME = "<stream>"
"""What rows call a stream, where those of a recording have its file."""

MESSAGE_BYTES = 1 << 20
"""Limit of one binary message; 5 s of stereo float samples at 24 kHz are less."""

ENCODINGS: Mapping[str, np.dtype[Any]] = {"s16le": np.dtype("<i2"), "f32le": np.dtype("<f4")}

RESULTS = ("json", "binary")
"""How windows come."""

CLOSE_OF_STATUS = {400: 1008, 401: 1008, 403: 1008, 404: 1008, 413: 1009, 422: 1007, 503: 1013}
"""Close codes of RFC 6455 for the statuses that the same problem has in HTTP; others are 1011."""

_HALF_CHARACTER = re.compile(r"\\u[dD][89a-fA-F]")
"""JSON's escape for one of a pair; alone it is no text."""

NO_HEADER = tr("the first message must be a JSON object")

_MOST_CHANNELS = 64
_RATES_HZ = (1_000, 384_000)


@dataclass(frozen=True)
class Header:
    """The first message: the format of the samples, and the options."""

    sample_rate_hz: int
    channels: int
    encoding: str
    options: Mapping[str, Any]
    token: str | None
    results: str = RESULTS[0]

    def has_whole_frames(self, content: bytes) -> bool:
        """Whether a binary message does not end inside a frame."""
        return len(content) % (ENCODINGS[self.encoding].itemsize * self.channels) == 0

    def samples(self, content: bytes) -> NDArray[Any]:
        """A binary message as samples [n, channels]. Raises a Problem if it ends inside a frame."""
        kind = ENCODINGS[self.encoding]
        if not self.has_whole_frames(content):
            raise _protocol_error(
                tr(
                    "a binary message must hold whole frames of {size} bytes, and this one has "
                    "{length}",
                    size=kind.itemsize * self.channels,
                    length=len(content),
                )
            )
        # In the machine's own byte order, where that is another.
        values = np.frombuffer(content, kind).astype(kind.newbyteorder("="), copy=False)
        return values.reshape(-1, self.channels)


def read_header(text: str) -> Header:
    """The header message. Raises a Problem."""
    values = _read_object(text, NO_HEADER)
    version = values.pop("version", None)
    if version is None:
        raise _protocol_error(
            tr(
                "this server speaks version {known}, and the first message names none",
                known=VERSION,
            )
        )
    if isinstance(version, bool) or version != VERSION:
        raise _protocol_error(
            tr(
                "this server speaks version {known}, not {version}",
                known=VERSION,
                version=str(version)[:40],
            )
        )
    low, high = _RATES_HZ
    rate = _whole(values.pop("sample_rate", None), "sample_rate", low, high)
    channels = _whole(values.pop("channels", 1), "channels", 1, _MOST_CHANNELS)
    encoding = values.pop("encoding", "s16le")
    if not isinstance(encoding, str) or encoding not in ENCODINGS:
        raise _protocol_error(tr("encoding must be one of {known}", known=", ".join(ENCODINGS)))
    results = values.pop("results", None)
    results = RESULTS[0] if results is None else results
    if not isinstance(results, str) or results not in RESULTS:
        raise _protocol_error(tr("results must be one of {known}", known=", ".join(RESULTS)))
    token = values.pop("token", None)
    if token is not None and not isinstance(token, str):
        raise _protocol_error(tr("token must be text"))
    try:
        options = read_header_options(values)
    except OidoError as error:
        raise Problem(400, type(error).__name__, messages.text_of(error)) from error
    return Header(rate, channels, encoding, options, token, results)


def read_control(text: str) -> None:
    """A text message after the header: there is only "end". Raises a Problem for another."""
    if _read_object(text, tr("a text message must be a JSON object")).get("type") != "end":
        raise _protocol_error(
            tr("after the header, a text message can only be {message}", message='{"type": "end"}')
        )


def text_of(kind: str, **members: Any) -> str:
    """A message of the server as text."""
    return json.dumps({"type": kind, **members}, ensure_ascii=False)


def window_bytes(
    span: tuple[float, float],
    columns: Sequence[int],
    scores: Sequence[float],
    probabilities: Sequence[float] | None,
) -> bytes:
    """A window as a binary message, little-endian, without names and without rounding.

    Start and end in seconds (float64); then of each row ``label_index`` (int32), ``score`` and, of
    a calibrated model, ``probability`` (float32).
    """
    rows = zip(columns, scores) if probabilities is None else zip(columns, scores, probabilities)
    layout = "<dd" + ("if" if probabilities is None else "iff") * len(columns)
    return struct.pack(layout, *map(seconds_of, span), *chain.from_iterable(rows))


class WindowText:
    """The "rows" message of a window: what `text_of` gives of its rows' records, to the letter.

    A server spends as long on writing records as on anything but the network; here what is the same
    in all of them is written once. names: of labels, by column; calibrated: with probabilities.
    """

    def __init__(self, names: Sequence[str], calibrated: bool) -> None:
        self._names, self._calibrated = names, calibrated
        self._labels: dict[int, str] = {}

    def text(
        self,
        span: tuple[float, float],
        columns: Sequence[int],
        scores: Sequence[float],
        probabilities: Sequence[float] | None,
        more: Mapping[str, Any],
    ) -> str:
        """Of the window's start and end in seconds, and of the labels that it is told of."""
        times = [seconds_of(time) for time in span]
        values = [*times, *map(score_of, scores), *map(score_of, probabilities or ())]
        start, end, *numbers = json.dumps(values)[1:-1].split(", ")
        head = (
            f'{{"file": "{STREAM_NAME}", "channel": null, "start_time": {start}, "end_time": {end}'
        )
        rows = [
            f'{head}, "label": {self._label(column)}, "label_index": {column}, "score": {score}'
            for column, score in zip(columns, numbers)
        ]
        if self._calibrated:
            found = numbers[len(rows) :] or ["null"] * len(rows)
            rows = [f'{row}, "{CALIBRATED}": {p}' for row, p in zip(rows, found)]
        whole = ", ".join([f'{row}, "{ALSO}": []}}' for row in rows])
        rest = ", " + json.dumps(more, ensure_ascii=False)[1:-1] if more else ""
        return f'{{"type": "rows", "time": {end}, "rows": [{whole}]{rest}}}'

    def _label(self, column: int) -> str:
        text = self._labels.get(column)
        if text is None:
            text = self._labels[column] = json.dumps(self._names[column], ensure_ascii=False)
        return text


def _read_object(text: str, otherwise: str) -> dict[str, Any]:
    try:
        values = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise _protocol_error(
            tr("{otherwise}, and this is no JSON", otherwise=otherwise)
        ) from error
    if not isinstance(values, dict):
        raise _protocol_error(otherwise)
    if _HALF_CHARACTER.search(text):  # such as a token of it, or a label that an answer names
        try:
            json.dumps(values, ensure_ascii=False).encode()
        except UnicodeEncodeError as error:
            raise _protocol_error(
                tr("it holds half a character ({half!a})", half=error.object[error.start])
            ) from error
    return values


def _whole(value: Any, name: str, low: int, high: int) -> int:
    if isinstance(value, bool) or not isinstance(value, int) or not low <= value <= high:
        raise _protocol_error(
            tr("{name} must be a whole number from {low} to {high}", name=name, low=low, high=high)
        )
    return value


def _protocol_error(message: str) -> Problem:
    return Problem(400, "ProtocolError", message)
