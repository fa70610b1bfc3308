# SPDX-License-Identifier: Apache-2.0
"""Bodies of requests as files: one each, never too large, and gone with their request."""

from __future__ import annotations

import gzip
import itertools
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
from hypothesis import given
from hypothesis import strategies as st
from starlette.requests import Request

from oido.errors import OutputError
from oido.server.problems import Problem
from oido.server.settings import Limits
from oido.server.uploads import Uploads
from tests.asynchronous import run_async
from tests.server.uploading import flac, post


def test_a_form_must_have_one_file(server: Any) -> None:
    address = f"{server.address}/v1/classify"
    two = httpx.post(address, files=[("a", b"x"), ("b", b"y")])
    field = httpx.post(address, files={"file": b"x"}, data={"top": "3"})
    head = {"content-type": "multipart/form-data; boundary=x"}
    broken = post(
        server,
        b"--x\r\nContent-Disposition: form-data; name=f; filename=f\r\n\r\nabc",
        headers=head,
    )
    boundless = post(server, b"abc", headers={"content-type": "multipart/form-data"})

    assert [a.status_code for a in (two, field, broken, boundless)] == [400] * 4
    assert "more than one file" in two.json()["message"]
    assert "options go in the query" in field.json()["message"]
    assert "breaks off" in broken.json()["message"]
    assert "boundary" in boundless.json()["message"]
    assert server.uploads() == []


@pytest.mark.parametrize(
    "words",
    [
        b"filename*=utf-8''%C3%B1%20a.wav",
        b"filename=\"=?utf-8?B?w7EgYS53YXY=?=\"; filename*=UTF-8''%C3%B1%20a.wav",
        b"filename*=utf-8'es'%C3%B1%20a.wav; filename=x",
        'filename="ñ a.wav"'.encode(),
    ],
)
def test_names_that_no_header_may_hold(words: bytes, uploads: Uploads) -> None:
    body = b"--x\r\nContent-Disposition: form-data; name=f; %s\r\n\r\nabc\r\n--x--\r\n" % words
    headers = {"content-type": "multipart/form-data; boundary=x"}
    assert received(uploads, request_of([body], headers))[:2] == (b"abc", "ñ a.wav")


@pytest.mark.parametrize("encoding", ["gzip", "br", "ZSTD", "gzip, identity"])
def test_a_packed_body_is_called_so(server: Any, encoding: str) -> None:
    answer = post(server, gzip.compress(bytes(1000)), headers={"content-encoding": encoding})
    assert (answer.status_code, answer.headers["accept-encoding"]) == (415, "identity")
    assert encoding.lower() in answer.json()["message"]
    plain = post(server, flac(1), headers={"content-encoding": "identity"})
    assert plain.status_code == 200


def test_a_folder_that_the_system_cleared_is_made_again(start_server: Any) -> None:
    with start_server() as server:
        (folder,) = server.folder.glob("oido-serve-*")
        folder.rmdir()
        assert post(server, flac(1)).status_code == 200
        (folder,) = server.folder.glob("oido-serve-*")
        folder.rmdir()
        folder.symlink_to(server.folder)  # as somebody else might put there
        assert post(server, flac(1)).status_code == 200
        assert len(list(server.folder.glob("oido-serve-*"))) == 2


def test_no_folder_for_uploads_is_told(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path / "nowhere"))
    with pytest.raises(OutputError, match="TMPDIR"):
        Uploads(Limits()).open()


def test_a_body_beyond_the_limit_is_refused(server: Any) -> None:
    def endless() -> Iterator[bytes]:
        for _ in itertools.repeat(None, 10_000):  # a gigabyte
            yield bytes(100_000)

    announced = post(server, bytes(4_000_001))
    unannounced = post(server, endless())

    for answer in (announced, unannounced):
        assert (answer.status_code, answer.json()["error"]) == (413, "LimitError")
        assert "larger than 4 MB" in answer.json()["message"]
    assert server.uploads() == []


def request_of(
    chunks: list[bytes], headers: dict[str, str] | None = None, *, leaves: bool = False
) -> Request:
    """A request whose body comes in these pieces; leaves: the client goes away after them."""
    messages: list[dict[str, Any]] = [
        {"type": "http.request", "body": chunk, "more_body": True} for chunk in chunks
    ]
    messages.append({"type": "http.disconnect"} if leaves else {"type": "http.request"})
    waiting = iter(messages)

    async def receive() -> dict[str, Any]:
        return next(waiting)

    pairs = [(k.lower().encode(), v.encode()) for k, v in (headers or {}).items()]
    scope = {"type": "http", "method": "POST", "path": "/", "query_string": b"name=a.wav"}
    return Request({**scope, "headers": pairs}, receive)


@pytest.fixture
def uploads() -> Iterator[Uploads]:
    made = Uploads(Limits(body_bytes=1_000, uploads_bytes=1_500))
    made.open()
    yield made
    made.close()


def received(uploads: Uploads, request: Request) -> tuple[bytes, str, int]:
    """What the file held while it was there; it must be gone afterwards."""

    async def work() -> tuple[bytes, str, int]:
        async with uploads.receive(request) as upload:
            assert uploads.bytes_here == upload.size_bytes
            found = Path(upload.path).read_bytes(), upload.name, upload.size_bytes
        assert not Path(upload.path).exists()
        return found

    try:
        return run_async(work())
    finally:
        assert uploads.bytes_here == 0


@given(content=st.binary(max_size=400), size=st.integers(1, 50))
def test_a_form_in_pieces_of_any_size_is_the_file_in_it(content: bytes, size: int) -> None:
    if b"--x" in content:
        return
    head = b'--x\r\nContent-Disposition: form-data; name=f; filename="b c.wav"\r\n\r\n'
    body = head + content + b"\r\n--x--\r\n"
    chunks = [body[start : start + size] for start in range(0, len(body), size)]
    uploads = Uploads(Limits())
    uploads.open()
    headers = {"content-type": "multipart/form-data; boundary=x"}
    assert received(uploads, request_of(chunks, headers))[:2] == (content, "b c.wav")
    uploads.close()


def test_the_body_may_be_the_recording_itself(uploads: Uploads) -> None:
    assert received(uploads, request_of([b"ab", b"", b"c"])) == (b"abc", "a.wav", 3)


def test_limits_hold_before_and_while_it_comes(uploads: Uploads) -> None:
    announced = request_of([], {"content-length": "1001"})
    unannounced = request_of([b"x" * 600] * 2)
    for request in (announced, unannounced):
        with pytest.raises(Problem, match=r"larger than 0\.001 MB") as raised:
            received(uploads, request)
        assert raised.value.status == 413

    async def together() -> None:
        first, second = (request_of([b"x" * size]) for size in (900, 700))
        async with uploads.receive(first), uploads.receive(second):
            pytest.fail("both are more than may be here")

    with pytest.raises(Problem, match="too many uploads") as raised:
        run_async(together())
    assert raised.value.status == 503
    assert uploads.bytes_here == 0


def test_a_client_that_goes_away_leaves_no_file(uploads: Uploads) -> None:
    with pytest.raises(Problem, match="the client went away before all was sent"):
        received(uploads, request_of([b"abc"], leaves=True))
    assert list(Path(uploads._folder).iterdir()) == []


def test_closing_takes_the_folder(uploads: Uploads) -> None:
    folder = Path(uploads._folder)
    (folder / "left").write_bytes(b"x")
    uploads.close()
    assert not folder.exists()
