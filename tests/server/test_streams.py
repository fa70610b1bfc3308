# SPDX-License-Identifier: Apache-2.0
"""WS /v1/stream on a real server: the rows of a stream are those of the file."""

from __future__ import annotations

import json
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

pytest.importorskip("websockets")

from tests.server.clients import END, HEADER, file_rows, opened, pieces_of, rows_of, streamed


def test_windows_of_a_stream_are_those_of_the_file(
    server: Any, street_samples: NDArray[np.int16]
) -> None:
    samples = street_samples[: 16_000 * 7 + 123]
    expected = file_rows(server, samples, 16_000, "?level=windows&top=4&hop=0.24")

    header = {**HEADER, "level": "windows", "hop": 0.24, "top": 4}
    for sizes in ((1_600,), (17, 44_100, 509), (400_000,)):
        found = streamed(server, header, pieces_of(samples, *sizes))
        assert found[0] == {
            "type": "ready",
            "version": 1,
            "model": "yamnet/classification",
            "hop": 0.24,
            "window": 0.975,
            "calibrated": False,
        }
        assert rows_of(found) == expected
        assert [message["rows"] for message in found[1:-1]] == [
            expected[n : n + 4] for n in range(0, len(expected), 4)
        ]
        assert found[-1] == {
            "type": "end",
            "reason": "end",
            "time": round(len(samples) / 16_000, 6),
            "windows": len(expected) // 4,
            "dropped": 0,
        }


def test_binary_windows_are_the_rows_of_the_same_stream(
    server: Any, street_samples: NDArray[np.int16]
) -> None:
    samples = street_samples[: 16_000 * 5 + 77]
    header = {**HEADER, "top": 7, "threshold": 0.1, "locale": "es"}
    expected = [m for m in streamed(server, header, pieces_of(samples, 1_600)) if "rows" in m]

    with opened(server, {**header, "results": "binary"}) as socket_:
        ready = json.loads(socket_.recv(timeout=60))
        for piece in pieces_of(samples, 1_600):
            socket_.send(piece)
        socket_.send(END)
        found, last = [], {}
        while not last:
            message = socket_.recv(timeout=60)
            if isinstance(message, str):
                last = json.loads(message)
            else:
                found.append(message)

    assert (last["type"], last["windows"]) == ("end", len(expected))
    assert len(found) == len(expected)
    for content, message in zip(found, expected):
        start, end = np.frombuffer(content[:16], "<f8").tolist()
        rows = np.frombuffer(content[16:], [("label_index", "<i4"), ("score", "<f4")])
        assert end == message["time"]
        assert [
            (start, end, ready["labels"][index], index, score) for index, score in rows.tolist()
        ] == [
            tuple(row[n] for n in ("start_time", "end_time", "label", "label_index", "score"))
            for row in message["rows"]
        ]
    assert any(message["rows"] for message in expected)


def told_by(found: list[Any], kind: str) -> list[dict[str, Any]]:
    return [row for message in found if message["type"] == kind for row in message["rows"]]


def test_events_of_a_stereo_stream_in_float_at_another_rate(
    server: Any, street_samples: NDArray[np.int16]
) -> None:
    left = street_samples[: 48_000 * 8].astype(np.float32) / 32_768
    samples = np.stack([left, 0.5 * left], axis=1)  # said to be 48 kHz
    expected = file_rows(server, samples, 48_000, "?threshold=0.2&deny=Silence&deny=Speech")
    header = HEADER | {
        "sample_rate": 48_000,
        "channels": 2,
        "encoding": "f32le",
        "level": "events",
        "threshold": 0.2,
        "deny": ["Silence", "Speech"],
    }

    found = streamed(server, header, pieces_of(samples, 4_800))

    assert len(expected) > 1
    ordered = sorted(rows_of(found), key=lambda row: (row["start_time"], row["label_index"]))
    assert ordered == expected
    # What begins is told once, before; that it is over when it is, and not at the end of all.
    begun = [(row["label"], row["start_time"]) for row in told_by(found, "began")]
    assert len(set(begun)) == len(begun)
    ends = [message for message in found if message["type"] == "rows" and message["rows"]]
    assert ends[0]["time"] < found[-1]["time"] - 1
    assert ends[-1]["time"] == found[-1]["time"]
    assert {row["label"] for row in ends[-1]["rows"]} <= {label for label, _ in begun}
    assert len(ends[-1]["rows"]) < len(expected)


def test_a_window_is_told_as_soon_as_its_last_sample_is_there(server: Any) -> None:
    with opened(server, HEADER) as socket_:
        assert json.loads(socket_.recv(timeout=10))["type"] == "ready"
        socket_.send(bytes(2 * 15_599))
        with pytest.raises(TimeoutError):
            socket_.recv(timeout=0.5)
        socket_.send(bytes(2))
        first = json.loads(socket_.recv(timeout=10))

    assert (first["type"], first["time"]) == ("rows", 0.975)
    assert first["rows"][0]["label"] == "Silence"
    assert len(first["rows"]) == 5


def test_sixteen_streams_at_once(server: Any, street_samples: NDArray[np.int16]) -> None:
    sounds = [street_samples[n * 8_000 :][: 16_000 * 5] for n in range(16)]
    expected = [file_rows(server, s, 16_000, "?level=windows&top=2") for s in sounds]

    header = {**HEADER, "top": 2}
    with ThreadPoolExecutor(16) as pool:
        found = list(pool.map(lambda s: streamed(server, header, pieces_of(s, 1_000)), sounds))

    assert [rows_of(one) for one in found] == expected
    assert len({json.dumps(rows) for rows in expected}) == 16
    assert server.metric("oido_streams_open") == 0
