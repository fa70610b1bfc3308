# SPDX-License-Identifier: Apache-2.0
"""The messages of a stream's WebSocket, version 1 (docs/reference/stream-protocol.md).

Client: one JSON header, then binary messages of samples, then ``{"type": "end"}``. Server: JSON
messages, each with a ``type``: "ready", "rows", "began", "dropped", "end", "error". Then it closes.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from oido.errors import OidoError
from oido.options import read_header_options
from oido.server.problems import Problem

VERSION = 1

STREAM_NAME = "<stream>"
"""What rows call a stream, where those of a recording have its file."""

MESSAGE_BYTES = 1 << 20
"""Limit of one binary message; 5 s of stereo float samples at 24 kHz are less."""

ENCODINGS: Mapping[str, np.dtype[Any]] = {"s16le": np.dtype("<i2"), "f32le": np.dtype("<f4")}

CLOSE_OF_STATUS = {400: 1008, 401: 1008, 403: 1008, 404: 1008, 413: 1009, 422: 1007, 503: 1013}
"""Close codes of RFC 6455 for the statuses that the same problem has in HTTP; others are 1011."""

_HALF_CHARACTER = re.compile(r"\\u[dD][89a-fA-F]")
"""JSON's escape for one of a pair; alone it is no text."""

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

    def samples(self, content: bytes) -> NDArray[Any]:
        """A binary message as samples [n, channels]. Raises a Problem if it ends inside a frame."""
        kind = ENCODINGS[self.encoding]
        frame_bytes = kind.itemsize * self.channels
        if len(content) % frame_bytes:
            raise _protocol_error(
                f"a binary message must hold whole frames of {frame_bytes} bytes, "
                f"and this one has {len(content)}"
            )
        # In the machine's own byte order, where that is another.
        values = np.frombuffer(content, kind).astype(kind.newbyteorder("="), copy=False)
        return values.reshape(-1, self.channels)


def read_header(text: str) -> Header:
    """The header message. Raises a Problem."""
    values = _read_object(text, "the first message must be a JSON object")
    version = values.pop("version", None)
    if isinstance(version, bool) or version != VERSION:
        raise _protocol_error(f"this server speaks version {VERSION}, not {str(version)[:40]}")
    low, high = _RATES_HZ
    rate = _whole(values.pop("sample_rate", None), "sample_rate", low, high)
    channels = _whole(values.pop("channels", 1), "channels", 1, _MOST_CHANNELS)
    encoding = values.pop("encoding", "s16le")
    if not isinstance(encoding, str) or encoding not in ENCODINGS:
        raise _protocol_error(f"encoding must be one of {', '.join(ENCODINGS)}")
    token = values.pop("token", None)
    if token is not None and not isinstance(token, str):
        raise _protocol_error("token must be text")
    try:
        options = read_header_options(values)
    except OidoError as error:
        raise Problem(400, type(error).__name__, str(error)) from error
    return Header(rate, channels, encoding, options, token)


def read_control(text: str) -> None:
    """A text message after the header: there is only "end". Raises a Problem for another."""
    if _read_object(text, "a text message must be a JSON object").get("type") != "end":
        raise _protocol_error('after the header, a text message can only be {"type": "end"}')


def text_of(kind: str, **members: Any) -> str:
    """A message of the server as text."""
    return json.dumps({"type": kind, **members}, ensure_ascii=False)


def _read_object(text: str, otherwise: str) -> dict[str, Any]:
    try:
        values = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise _protocol_error(f"{otherwise}, and this is no JSON") from error
    if not isinstance(values, dict):
        raise _protocol_error(otherwise)
    if _HALF_CHARACTER.search(text):  # such as a token of it, or a label that an answer names
        try:
            json.dumps(values, ensure_ascii=False).encode()
        except UnicodeEncodeError as error:
            raise _protocol_error(
                f"it holds half a character ({error.object[error.start]!a})"
            ) from error
    return values


def _whole(value: Any, name: str, low: int, high: int) -> int:
    if isinstance(value, bool) or not isinstance(value, int) or not low <= value <= high:
        raise _protocol_error(f"{name} must be a whole number from {low} to {high}")
    return value


def _protocol_error(message: str) -> Problem:
    return Problem(400, "ProtocolError", message)
