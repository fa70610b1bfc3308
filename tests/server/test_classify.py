# SPDX-License-Identifier: Apache-2.0
"""POST /v1/classify on a real server: the command line's rows, and what must not harm it."""

from __future__ import annotations

import io
import itertools
import os
import signal
import socket
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import pytest
import soundfile


def post(server: Any, content: Any, query: str = "", **more: Any) -> httpx.Response:
    return httpx.post(f"{server.address}/v1/classify{query}", content=content, timeout=60, **more)


def flac(seconds: float, rate_hz: int = 16_000) -> bytes:
    """Silence as FLAC: about 60 bytes a second."""
    file = io.BytesIO()
    soundfile.write(
        file, np.zeros(int(seconds * rate_hz), np.int16), rate_hz, "PCM_16", format="FLAC"
    )
    return file.getvalue()


@pytest.mark.parametrize(
    ("query", "options"),
    [
        ("", ""),
        ("?level=windows&hop=0.96&top=3&deny=Speech", "--windows --hop 0.96 --top 3 --deny Speech"),
        ("?level=clip&allow=Animal/&locale=es", "--clip --allow Animal/ --locale es"),
    ],
)
def test_rows_are_those_of_the_command_line(
    server: Any, street: Path, query: str, options: Any
) -> None:
    command = [sys.executable, "-m", "oido", "classify", street.name, "--format", "json", "-q"]
    command += options.split()
    expected = subprocess.run(command, cwd=street.parent, capture_output=True, check=True).stdout

    with street.open("rb") as file:
        form = httpx.post(f"{server.address}/v1/classify{query}", files={"file": file}, timeout=60)
    named = f"{query or '?'}&name=street.flac"
    raw = post(server, street.read_bytes(), named)

    assert expected.count(b"street.flac") > 2
    assert (form.status_code, form.content) == (200, expected)
    assert (raw.status_code, raw.content) == (200, expected)
    assert raw.headers["content-type"] == "application/json"
    assert raw.headers["oido-duration"] == "30.000000"
    assert server.uploads() == []


@pytest.mark.parametrize(
    ("content", "kind"),
    [
        (b"", "EmptyAudioError"),
        (b"no recording at all, only text" * 9, "UnknownFormatError"),
        (flac(2)[:60], None),
        (b"RIFF\x24\x00\x00\x00WAVEfmt ", None),
    ],
)
def test_what_cannot_be_heard_is_told_in_a_sentence(
    server: Any, content: bytes, kind: str | None
) -> None:
    answer = post(server, content, "?name=night.flac")

    assert answer.status_code == 422
    told = answer.json()
    assert kind in (None, told["error"])
    assert told["message"].startswith("night.flac: ")
    assert "\n" not in told["message"]
    assert str(server.folder) not in answer.text
    assert server.uploads() == []


def test_a_truncated_file_keeps_the_rows_before_the_damage(server: Any) -> None:
    loud = np.random.default_rng(0).uniform(-0.3, 0.3, 16_000 * 6).astype(np.float32)
    loud[16_000 * 4 :] = np.nan
    file = io.BytesIO()
    soundfile.write(file, loud, 16_000, "FLOAT", format="WAV")

    answer = post(server, file.getvalue(), "?level=windows&top=1")

    assert answer.status_code == 422
    told = answer.json()
    assert told["error"] == "InvalidSamplesError"
    assert "the first at 4.000 s" in told["message"]
    assert len(told["rows"]) > 5
    assert told["rows"][0]["start_time"] == 0
    assert told["duration"] == pytest.approx(4.0)


@pytest.mark.parametrize(
    ("query", "status", "words"),
    [
        ("?level=songs", 400, "level must be one of events, windows, clip"),
        ("?top=0", 400, "1 or more"),
        ("?top=2.5", 400, "whole number"),
        ("?hop=0.123", 400, "the nearest is 0.12"),
        ("?hop=nan", 400, "hop must be a number"),
        ("?allow=Meouw", 400, "Meow"),
        ("?allow=Speech&deny=Music", 400, "exclude each other"),
        ("?treshold=0.3", 400, "did you mean 'threshold'?"),
        ("?threshold=7", 400, "from 0 to 1"),
        ("?locale=xx", 400, "xx"),
        ("?channel=left", 400, "mix, each or a number"),
        ("?head=other", 400, "has no head 'other'"),
        ("?model=../../etc/passwd", 404, "only yamnet/classification"),
        ("?top=1&top=2", 400, "twice"),
    ],
)
def test_options_that_make_no_sense(server: Any, query: str, status: int, words: str) -> None:
    answer = post(server, flac(1), query)

    assert answer.status_code == status
    assert words in answer.json()["message"]


def test_the_models_are_listed_with_their_labels_if_wanted(server: Any) -> None:
    (brief,) = httpx.get(f"{server.address}/v1/models").json()["models"]
    (full,) = httpx.get(f"{server.address}/v1/models?labels=true").json()["models"]
    wrong = httpx.get(f"{server.address}/v1/models?labels=maybe")

    assert (brief["name"], brief["classes"]) == ("yamnet/classification", 521)
    assert full.pop("labels")[0] == "Speech"
    assert full == brief
    assert (wrong.status_code, wrong.json()["error"]) == (400, "OptionError")
    document = httpx.get(f"{server.address}/openapi.json").json()
    assert "post" in document["paths"]["/v1/classify"]
    assert "/v1/classify" in httpx.get(f"{server.address}/docs").text
    assert httpx.get(f"{server.address}/nothing").json()["error"] == "ProtocolError"


def test_a_channel_that_is_not_there(server: Any) -> None:
    answer = post(server, flac(1), "?channel=5&name=x.flac")

    assert (answer.status_code, answer.json()["error"]) == (400, "OptionError")
    assert "there is no channel 5" in answer.json()["message"]


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


def test_a_recording_beyond_the_limits_is_refused(server: Any) -> None:
    bomb = flac(3600)
    assert len(bomb) < 4_000_000
    long = post(server, bomb)
    rows = post(server, flac(60), "?level=windows&top=521")

    assert (long.status_code, rows.status_code) == (413, 413)
    assert "longer than 90 s" in long.json()["message"]
    assert "more than 20000 rows" in rows.json()["message"]


def test_a_playlist_opens_nothing_else(server: Any) -> None:
    with socket.create_server(("127.0.0.1", 0)) as other:
        other.settimeout(0.3)
        address = f"http://127.0.0.1:{other.getsockname()[1]}/a.ts"
        playlist = f"#EXTM3U\n#EXT-X-TARGETDURATION:9\n#EXTINF:9,\n{address}\n#EXT-X-ENDLIST\n"
        answer = post(server, playlist.encode())
        with pytest.raises(TimeoutError):
            other.accept()

    assert answer.status_code == 422


@pytest.mark.parametrize(
    ("number", "status", "kind"),
    [(signal.SIGKILL, 503, "WorkerError"), (signal.SIGSEGV, 422, "CorruptAudioError")],
)
def test_a_worker_that_dies_costs_one_request(
    server: Any,
    eventually: Callable[[Callable[[], bool]], None],
    number: int,
    status: int,
    kind: str,
) -> None:
    before = server.metric("oido_worker_restarts_total")
    with ThreadPoolExecutor(1) as pool:
        # Long enough to be killed midway: 8,000 windows.
        answer = pool.submit(post, server, flac(80), "?hop=0.01&name=x.flac")
        eventually(lambda: bool(server.uploads()))
        (worker,) = server.workers()
        eventually(lambda: _is_reading(worker, server.uploads()))
        os.kill(worker, number)
        died = answer.result()
    after = post(server, flac(1), "?level=clip")

    assert (died.status_code, died.json()["error"]) == (status, kind)
    assert died.json()["message"].startswith("x.flac: ")
    assert (after.status_code, after.json()[0]["label"]) == (200, "Silence")
    assert server.metric("oido_worker_restarts_total") == before + 1
    assert server.workers() != [worker]
    assert server.uploads() == []


def _is_reading(worker: int, uploads: list[Path]) -> bool:
    opened = [
        os.readlink(entry) for entry in Path(f"/proc/{worker}/fd").iterdir() if entry.exists()
    ]
    return any(str(upload) in opened for upload in uploads)


def test_a_client_that_goes_away_frees_its_worker(
    server: Any, eventually: Callable[[Callable[[], bool]], None]
) -> None:
    before = server.metric("oido_worker_restarts_total")
    with pytest.raises(httpx.ReadTimeout):
        httpx.post(f"{server.address}/v1/classify?hop=0.01", content=flac(80), timeout=1.0)

    eventually(lambda: server.uploads() == [])
    assert post(server, flac(1), "?level=clip").status_code == 200
    assert server.metric("oido_worker_restarts_total") == before + 1


def test_a_slow_upload_a_slow_worker_and_a_full_queue(start_server: Any, street: Path) -> None:
    limits = {"upload_seconds": 0.5, "timeout_seconds": 0.5, "header_seconds": 0.5, "waiting": 1}
    with start_server(limits=limits) as server:
        gate = threading.Event()

        def slow() -> Iterator[bytes]:
            yield b"RIFF"
            gate.wait(3)
            yield b"more"

        late = post(server, slow())
        gate.set()
        with ThreadPoolExecutor(3) as pool:
            answers = list(pool.map(lambda _: post(server, flac(900), "?hop=0.01"), range(3)))
        host, port = server.address.removeprefix("http://").split(":")
        with socket.create_connection((host, int(port))) as silent:
            silent.settimeout(10)
            silent.sendall(b"GET /healthz HTTP/1.1\r\nHost: 127")
            assert silent.recv(10) == b""  # closed by the server
        with socket.create_connection((host, int(port))) as endless:
            endless.settimeout(10)
            endless.sendall(b"GET / HTTP/1.1\r\nX: " + b"x" * 200_000)
            assert endless.recv(100).startswith(b"HTTP/1.1 400")
        good = post(server, flac(1))

    assert (late.status_code, late.json()["error"]) == (408, "LimitError")
    statuses = sorted(answer.status_code for answer in answers)
    assert set(statuses) == {503, 504}
    busy = next(answer for answer in answers if answer.status_code == 503)
    assert (busy.json()["error"], busy.headers["retry-after"]) == ("BusyError", "2")
    assert good.status_code == 200
