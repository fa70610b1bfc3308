# SPDX-License-Identifier: Apache-2.0
"""The messages of a stream: what a client may say, and what it is told otherwise."""

from __future__ import annotations

import json
import struct
from contextlib import suppress
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from websockets.exceptions import ConnectionClosed
from websockets.sync.client import connect

from oido.server.problems import Problem
from oido.server.protocol import (
    CLOSE_OF_STATUS,
    STREAM_NAME,
    WindowText,
    read_control,
    read_header,
    text_of,
    window_bytes,
)
from oido.types import Row
from oido.writers.base import seconds_of
from oido.writers.tables import record_of
from tests.server.clients import END, HEADER, messages, opened

pytest.importorskip("websockets")


@pytest.mark.parametrize(
    ("header", "words"),
    [
        ("no JSON", "this is no JSON"),
        ("[1]", "must be a JSON object"),
        ("[" * 100_000, "this is no JSON"),
        ({}, "version 1"),
        ({**HEADER, "version": 2}, "version 1, not 2"),
        ({**HEADER, "version": True}, "version 1"),
        ({"version": 1}, "sample_rate must be a whole number"),
        ({**HEADER, "sample_rate": 0}, "from 1000 to 384000"),
        ({**HEADER, "sample_rate": 1e9}, "from 1000 to 384000"),
        ({**HEADER, "channels": 1000}, "channels must be"),
        ({**HEADER, "encoding": "mp3"}, "s16le, f32le"),
        ({**HEADER, "encoding": ["s16le"]}, "s16le, f32le"),
        ({**HEADER, "results": "xml"}, "results must be one of json, binary"),
        ({**HEADER, "results": ["json"]}, "results must be one of json, binary"),
        ({**HEADER, "level": "events", "results": "binary"}, "binary results are for windows"),
        ({**HEADER, "framewise": 0.1, "results": "binary"}, "binary results are for windows"),
        ({**HEADER, "level": "clip"}, "level must be one of windows, events"),
        ({**HEADER, "hop": "often"}, "hop must be a number"),
        ({**HEADER, "top": 0}, "1 or more"),
        ({**HEADER, "level": "events", "top": 3}, "top is for windows"),
        ({**HEADER, "allow": "Speech"}, "must be a list"),
        ({**HEADER, "allow": ["Meouw"]}, "Meow"),
        ({**HEADER, "model": "other"}, "has no model 'other'"),
        ({**HEADER, "chanels": 1}, "there is no option 'chanels'"),
    ],
)
def test_a_wrong_header_is_told_once(server: Any, header: dict[str, Any] | str, words: str) -> None:
    with opened(server, header) as socket_:
        (error,) = messages(socket_)
        assert socket_.close_code == 1008

    assert error["type"] == "error"
    assert words in error["message"]


def test_what_is_wrong_midway_is_told_once(server: Any) -> None:
    def last(*sent: bytes | str, encoding: str = "s16le") -> tuple[str, str, int | None]:
        with opened(server, {**HEADER, "encoding": encoding}) as socket_:
            for message in sent:
                socket_.send(message)
            found = messages(socket_)[-1]
            return found["error"], found["message"], socket_.close_code

    with connect(server.stream_address) as socket_:
        socket_.send(b"sound before its header")
        (early,) = messages(socket_)
    odd = last(b"\0\0\0")
    text = last("louder please")
    nan = last(np.full(16_000, np.nan, np.float32).tobytes(), encoding="f32le")
    loud = last(np.full(16_000, 1e30, np.float32).tobytes(), encoding="f32le")
    nothing = last(END)

    assert early["message"] == "the first message must be a JSON object"
    assert odd == (
        "ProtocolError",
        "a binary message must hold whole frames of 2 bytes, and this one has 3",
        1008,
    )
    assert (text[0], text[2]) == ("ProtocolError", 1008)
    assert nan[0] == loud[0] == "InvalidSamplesError"
    assert (nan[2], loud[2]) == (1007, 1007)
    assert "<stream>: has NaN" in nan[1]
    assert (nothing[0], nothing[2]) == ("EmptyAudioError", 1007)


def test_a_message_that_is_too_large_closes(server: Any) -> None:
    with opened(server, HEADER) as socket_:
        with suppress(ConnectionClosed):
            socket_.send(bytes(4 << 20))
        found = messages(socket_)
        # 1006 where the rest of the message, which nobody reads, cuts the close off.
        assert socket_.close_code in (1009, 1006)
    assert {message["type"] for message in found} <= {"ready"}


@given(
    values=st.lists(st.integers(-32_768, 32_767), max_size=60),
    channels=st.integers(1, 3),
    encoding=st.sampled_from(["s16le", "f32le"]),
)
def test_bytes_are_samples_by_channel(values: list[int], channels: int, encoding: str) -> None:
    values = values[: len(values) // channels * channels]
    header = read_header(json.dumps({**HEADER, "channels": channels, "encoding": encoding}))
    kind = "<h" if encoding == "s16le" else "<f"
    content = b"".join(struct.pack(kind, value) for value in values)
    samples = header.samples(content)
    assert samples.shape == (len(values) // channels, channels)
    assert samples.ravel().tolist() == values
    assert samples.dtype.isnative


@given(
    st.recursive(
        st.none() | st.booleans() | st.floats() | st.text(max_size=9),
        lambda inner: st.lists(inner) | st.dictionaries(st.text(max_size=9), inner),
    )
)
def test_any_other_json_is_a_problem_and_nothing_else(value: object) -> None:
    text = json.dumps(value)
    with pytest.raises(Problem):
        read_header(text)
    with pytest.raises(Problem):
        read_control(text)


def test_end_is_the_only_word_after_the_header() -> None:
    read_control('{"type": "end"}')
    read_control('{"type": "end", "of": "whatever comes later"}')
    for text in ("end", '{"type": "stop"}', '["end"]', ""):
        with pytest.raises(Problem) as raised:
            read_control(text)
        assert raised.value.status == 400


def test_every_status_of_a_stream_has_its_close_code() -> None:
    codes = {status: CLOSE_OF_STATUS[status] for status in (400, 413, 422, 503)}
    assert codes == {400: 1008, 413: 1009, 422: 1007, 503: 1013}
    assert 500 not in CLOSE_OF_STATUS  # 1011, as of every other


def test_messages_of_the_server_are_json_with_their_type() -> None:
    assert json.loads(text_of("rows", rows=[], time=1.5)) == {
        "type": "rows",
        "rows": [],
        "time": 1.5,
    }
    assert "ñ" in text_of("error", message="ñ")


_NAMES = ("Speech", 'a "b" \\', "Música, “ñ”", "😀\n", "")
_SCORES = st.floats(0, 1, width=32) | st.just(float("nan"))


@given(
    st.lists(st.tuples(st.integers(0, 4), _SCORES, _SCORES), max_size=5),
    st.integers(0, 10**9),
    st.sampled_from([None, False, True]),
    st.sampled_from([{}, {"framewise": [{"0": 0.25}, {}], "similarity": 0.5}]),
)
def test_a_windows_message_is_that_of_its_records(
    found: list[tuple[int, float, float]], window: int, probable: bool | None, more: dict[str, Any]
) -> None:
    """probable: whether there are probabilities; None: of a calibrated model that gives none."""
    start, end = window * 7_680 / 16_000, (window * 7_680 + 15_600) / 16_000
    rows = [
        Row(STREAM_NAME, None, start, end, _NAMES[index], index, score, p if probable else None)
        for index, score, p in found
    ]
    calibrated = probable is not False
    expected = text_of(
        "rows", time=seconds_of(end), rows=[record_of(row, calibrated) for row in rows], **more
    )
    columns, scores, probabilities = zip(*found) if found else ((), (), ())
    text = WindowText(_NAMES, calibrated).text(
        (start, end), columns, scores, probabilities if probable else None, more
    )
    assert text == expected


@given(
    st.lists(st.tuples(st.integers(0, 520), _SCORES, _SCORES), max_size=600),
    st.integers(0, 10**9),
    st.booleans(),
)
def test_a_binary_window_is_read_by_its_documented_layout(
    found: list[tuple[int, float, float]], window: int, calibrated: bool
) -> None:
    span = window * 7_680 / 16_000, (window * 7_680 + 15_600) / 16_000
    columns, scores, probabilities = zip(*found) if found else ((), (), ())
    content = window_bytes(span, columns, scores, probabilities if calibrated else None)

    assert struct.unpack("<dd", content[:16]) == tuple(map(seconds_of, span))
    layout = [("label_index", "<i4"), ("score", "<f4")] + [("probability", "<f4")] * calibrated
    rows = np.frombuffer(content[16:], layout)
    assert rows["label_index"].tolist() == list(columns)
    assert np.array_equal(rows["score"], np.float32(scores), equal_nan=True)
    if calibrated:
        assert np.array_equal(rows["probability"], np.float32(probabilities), equal_nan=True)


@pytest.mark.parametrize("member", [{}, {"results": None}, {"results": "json"}])
def test_results_are_text_unless_something_else_is_asked_for(member: dict[str, Any]) -> None:
    assert read_header(json.dumps({**HEADER, **member})).results == "json"
