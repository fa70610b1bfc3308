# SPDX-License-Identifier: Apache-2.0
"""Answers as they leave: headers, pieces, and files that are gone when they are sent."""

from __future__ import annotations

import asyncio
import json
import tracemalloc
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("starlette")
from starlette.responses import Response
from starlette.types import Message, Receive, Scope, Send

from oido.server.answers import AnswerFile, FileResponse, SafeAnswers, around_member
from oido.server.problems import Problem
from oido.server.settings import Limits
from oido.server.uploads import Uploads
from tests.asynchronous import run_async

_MOST_BYTES = 65_536


def sent_by(app: Any) -> list[Message]:
    """What an application sends as the answer to a request."""
    messages: list[Message] = []

    async def receive() -> Message:
        return {"type": "http.disconnect"}

    async def send(message: Message) -> None:
        messages.append(message)

    scope = {"type": "http", "method": "GET", "headers": []}
    run_async(app(scope, receive, send))
    return messages


def body_of(messages: list[Message]) -> bytes:
    return b"".join(message.get("body", b"") for message in messages)


@pytest.mark.parametrize("size", [0, 1, _MOST_BYTES, _MOST_BYTES + 1, 300_000])
def test_large_bodies_leave_in_pieces(size: int) -> None:
    content = bytes(range(256)) * (size // 256) + b"x" * (size % 256)
    messages = sent_by(SafeAnswers(Response(content)))
    assert body_of(messages) == content
    assert all(len(message.get("body", b"")) <= _MOST_BYTES for message in messages)
    bodies = [message for message in messages if message["type"] == "http.response.body"]
    assert [m.get("more_body", False) for m in bodies] == [True] * (len(bodies) - 1) + [False]


def test_headers_that_an_answer_has_are_kept() -> None:
    own = "default-src 'self'; frame-ancestors 'none'"
    start = sent_by(SafeAnswers(Response(headers={"Content-Security-Policy": own})))[0]
    headers = dict(start["headers"])
    assert headers[b"content-security-policy"].decode() == own
    assert headers[b"x-content-type-options"] == b"nosniff"


def test_what_is_no_request_passes_unchanged() -> None:
    seen = []

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        seen.append(scope["type"])

    run_async(SafeAnswers(app)({"type": "websocket"}, None, None))  # type: ignore[arg-type]
    assert seen == ["websocket"]


@pytest.mark.parametrize("size", [10, 200_000])
def test_a_file_is_its_text_and_counts_beyond_one_piece(tmp_path: Path, size: int) -> None:
    grown: list[int] = []
    file = AnswerFile(str(tmp_path), grown.append)
    for _ in range(10):
        file.write(b"x" * (size // 10))
    assert sum(grown) == (size if size > _MOST_BYTES else 0)
    assert b"".join(file) == b"".join(file) == b"x" * size
    assert file.size_bytes == size
    file.close()
    assert sum(grown) == 0
    assert list(tmp_path.iterdir()) == []


def test_a_text_that_breaks_off_is_no_list(tmp_path: Path) -> None:
    file = AnswerFile(str(tmp_path))
    for content, is_list in ((b"[", False), (b'\n{"a": 1}', False), (b"", False), (b"\n]\n", True)):
        file.write(content)
        assert file.is_list == is_list


def test_a_file_is_a_member_of_an_object(tmp_path: Path) -> None:
    file = AnswerFile(str(tmp_path))
    file.write(b'[{"label": "Dog"}]\n')
    around = around_member({"error": "CorruptAudioError", "message": "ñ"}, "rows")
    messages = sent_by(FileResponse(file, 422, around=around))
    body = body_of(messages)
    assert messages[0]["status"] == 422
    assert dict(messages[0]["headers"])[b"content-length"] == b"%d" % len(body)
    assert json.loads(body) == {
        "error": "CorruptAudioError",
        "message": "ñ",
        "rows": [{"label": "Dog"}],
    }


def test_a_file_is_read_as_it_is_taken(tmp_path: Path) -> None:
    file = AnswerFile(str(tmp_path))
    for _ in range(20):
        file.write(bytes(1 << 20))
    most = 0

    async def send(message: Message) -> None:
        nonlocal most
        most = max(most, tracemalloc.get_traced_memory()[0])

    tracemalloc.start()
    try:
        run_async(FileResponse(file)({"type": "http"}, None, send))  # type: ignore[arg-type]
    finally:
        tracemalloc.stop()
    assert most < 2e6


def test_a_file_is_closed_whatever_comes_of_the_answer(tmp_path: Path) -> None:
    uploads = Uploads(Limits(answers_bytes=500_000))
    uploads.open()

    async def stop(_: Message) -> None:
        raise asyncio.CancelledError

    first, second = uploads.new_answer(), uploads.new_answer()
    first.write(b"x" * 400_000)
    second.write(b"x" * 60_000)  # in memory: it does not count
    assert uploads.answer_bytes_here == 400_000
    with pytest.raises(Problem, match="too many answers wait") as raised:
        second.write(b"x" * 60_000)
    assert raised.value.status == 503
    second.close()
    with pytest.raises(asyncio.CancelledError):
        run_async(FileResponse(first)({"type": "http"}, None, stop))  # type: ignore[arg-type]
    assert uploads.answer_bytes_here == 0
    uploads.close()
