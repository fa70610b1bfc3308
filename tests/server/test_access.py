# SPDX-License-Identifier: Apache-2.0
"""Who may use a server, by which name; and what every answer says to browsers."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import httpx
import pytest

pytest.importorskip("websockets")
from websockets.exceptions import InvalidStatus

from oido.server.access import Access
from oido.server.problems import Problem
from oido.server.protocol import read_control, read_header
from tests.server.clients import HEADER, messages, opened
from tests.server.test_draining import raw
from tests.server.uploading import flac, post


def test_a_token_that_is_no_text_is_a_wrong_one() -> None:
    access = Access("a-long-secret")
    assert not access.allows("\ud800")
    assert not access.allows(None)
    assert access.allows("a-long-secret")


@pytest.mark.parametrize("member", ["token", "model", "allow", "locale", "\ud83d"])
def test_half_a_character_is_told(member: str) -> None:
    values: dict[str, Any] = {**HEADER, member: ["\udc00"] if member == "allow" else "\ud800"}
    for read in (read_header, read_control):
        with pytest.raises(Problem, match="half a character"):
            read(json.dumps(values))
    assert read_header(json.dumps({**HEADER, "token": "a🦊"})).token == "a🦊"


def test_sockets_without_a_right_token_leave_no_word_in_the_log(start_server: Any) -> None:
    with start_server(token="a-long-secret") as server:
        for token in ("\ud800", "ñ", "", "a-long-secreT"):
            with opened(server, {**HEADER, "token": token}) as socket_:
                (refused,) = messages(socket_)
                assert refused["type"] == "error"
                assert socket_.close_code == 1008
        with opened(server, HEADER) as garbled:
            garbled.socket.sendall(b"\x81\x82\0\0\0\0\xff\xfe")  # text that is not UTF-8
            messages(garbled)
        for words in (b"\x16\x03\x01\n\n", b"GET / HTTP/1.1\r\nA b: c\r\n\r\n"):
            with raw(server) as sock:
                sock.sendall(words)
                assert sock.makefile("rb").read().startswith(b"HTTP/1.1 400")
        log = (server.folder / "stderr").read_text()
    assert "Traceback" not in log
    assert "Invalid" not in log


@pytest.mark.parametrize(
    ("host", "status"),
    [
        ("LOCALHOST:8411", 200),
        ("localhost.", 200),
        ("LocalHost.:80", 200),
        ("[::1]:9", 200),
        ("127.0.0.1", 200),
        ("localhost.example.org", 403),
        ("rebound.example.org:8411", 403),
        ("", 403),
    ],
)
def test_names_are_compared_without_case(server: Any, host: str, status: int) -> None:
    answer = httpx.get(f"{server.address}/v1/models", headers={"Host": host})
    assert answer.status_code == status


def test_an_origin_is_this_server_in_any_case(server: Any) -> None:
    port = server.address.rsplit(":", 1)[1]

    def status(host: str, origin: str) -> int:
        headers = {"Host": host, "Origin": origin}
        return httpx.get(f"{server.address}/v1/models", headers=headers).status_code

    assert status(f"LOCALHOST:{port}", f"http://localhost:{port}") == 200
    assert status(f"localhost.:{port}", f"http://localhost:{port}") == 200
    assert status(f"localhost:{port}", "http://localhost:1") == 403
    assert status(f"localhost:{port}", "https://example.org") == 403


def test_every_answer_tells_browsers_to_guess_nothing_and_to_frame_nothing(server: Any) -> None:
    def safe(headers: Any) -> bool:
        policy = headers.get("content-security-policy", "")
        nosniff = headers.get("x-content-type-options") == "nosniff"
        return nosniff and "frame-ancestors 'none'" in policy and "default-src 'none'" in policy

    paths = ["healthz", "metrics", "docs", "openapi.json", "v1/models", "nowhere", "v1/classify"]
    for path in paths:
        answer = httpx.get(f"{server.address}/{path}")
        assert safe(answer.headers), path
    assert safe(httpx.get(f"{server.address}/v1/models", headers={"Host": "other"}).headers)
    for content, query in ((flac(1), ""), (b"no sound", ""), (b"", "?top=nonsense")):
        assert safe(post(server, content, query).headers)
    with raw(server) as sock:
        sock.sendall(b"nonsense\r\n\r\n")
        answer_bytes = sock.makefile("rb").read().lower()
    assert b"nosniff" in answer_bytes
    assert b"frame-ancestors 'none'" in answer_bytes
    with pytest.raises(InvalidStatus) as raised, opened(server, HEADER, origin="https://a.example"):
        pass
    assert safe(raised.value.response.headers)


def test_a_hostile_calibration_is_a_sentence(tmp_path: Path) -> None:
    path = tmp_path / "deep.json"
    path.write_text("[" * 100_000)
    command = [sys.executable, "-m", "oido", "serve", "--port", "0", "--calibration", str(path)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=120, check=False)
    assert done.returncode == 2
    assert f"oido: calibration {path}: it is damaged" in done.stderr
    assert "Traceback" not in done.stderr


def test_pages_of_other_origins_may_use_a_server_by_its_token(
    start_server: Any, street: Path
) -> None:
    page = {"Origin": "https://app.example.org"}
    asks = {
        "Access-Control-Request-Method": "POST",
        "Access-Control-Request-Headers": "authorization",
    }
    key = {"Authorization": "Bearer a-long-secret"}
    with start_server(token="a-long-secret") as server:
        address = f"{server.address}/v1/classify?level=clip"
        may = httpx.options(address, headers=page | asks)
        without = httpx.post(address, headers=page)
        heard = httpx.post(address, headers=page | key, content=street.read_bytes(), timeout=60)
    assert may.status_code == 200
    assert "POST" in may.headers["access-control-allow-methods"]
    assert "authorization" in may.headers["access-control-allow-headers"].lower()
    assert [without.status_code, heard.status_code] == [401, 200]
    assert [a.headers["access-control-allow-origin"] for a in (may, without, heard)] == ["*"] * 3
    assert "Oido-Duration" in heard.headers["access-control-expose-headers"]


def test_pages_of_other_origins_may_not_use_a_server_without_one(server: Any) -> None:
    page = {"Origin": "https://app.example.org"}
    for method in ("OPTIONS", "GET", "POST"):
        answer = httpx.request(method, f"{server.address}/v1/models", headers=page)
        assert answer.status_code == 403
        assert "access-control-allow-origin" not in answer.headers


def test_a_stream_without_its_upgrade_is_told_what_it_lacks(server: Any) -> None:
    answer = httpx.get(f"{server.address}/v1/stream")
    assert (answer.status_code, answer.headers["upgrade"]) == (426, "websocket")
    assert "proxy" in answer.json()["message"]
