# SPDX-License-Identifier: Apache-2.0
"""The application: its routes, and errors that all look the same."""

from __future__ import annotations

import io
import socket
import subprocess
import sys
import threading
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import pytest
import soundfile

from oido.errors import ModelNotFoundError, OptionError
from oido.server.app import create_app
from oido.server.page import page_routes
from oido.server.settings import Settings
from tests.asynchronous import run_async
from tests.server.uploading import flac, post

pytest.importorskip("starlette")
from tests.signal.decode.clocks import film, with_clicks, zeroed


def test_the_routes_of_the_api_keep_their_own_answers(own_cache: Path) -> None:
    pytest.importorskip("uvicorn")
    settings = Settings()
    app = create_app(settings, pages=page_routes(settings))
    paths = [getattr(route, "path", "") for route in app.routes]

    assert "/" in paths
    assert [path for path in paths if "{path" in path] == []  # none that catches all


def answers(settings: Settings, *requests: tuple[str, str]) -> list[httpx.Response]:
    """Of an application in this process, from its start to its end."""

    async def work() -> list[httpx.Response]:
        app = create_app(settings)
        async with app.router.lifespan_context(app):
            transport = httpx.ASGITransport(app)
            async with httpx.AsyncClient(
                transport=transport, base_url="http://127.0.0.1"
            ) as client:
                return [await client.request(method, path) for method, path in requests]

    return run_async(work())


def test_every_error_is_a_problem_in_json(own_cache: Path) -> None:
    found = answers(
        Settings(workers=1),
        ("GET", "/nothing"),
        ("GET", "/v1/classify"),
        ("GET", "/v1/models?labels=maybe"),
        ("GET", "/healthz"),
    )
    assert [answer.status_code for answer in found] == [404, 405, 400, 200]
    for answer in found[:3]:
        body = answer.json()
        assert set(body) >= {"error", "message"}
        assert "\n" not in body["message"]
    assert found[1].headers["allow"] == "POST"
    assert found[2].json()["error"] == "OptionError"


def test_what_cannot_be_served_is_told_before_anything_listens(tmp_path: Path) -> None:
    with pytest.raises(ModelNotFoundError, match="nowhere"):
        create_app(Settings(models=("nowhere.tflite",)))
    (tmp_path / "c.json").write_text("{}")
    with pytest.raises(OptionError, match=r"c\.json"):
        create_app(Settings(calibrations=(str(tmp_path / "c.json"),)))


def test_nothing_is_left_when_it_ends(own_cache: Path, tmp_path: Path) -> None:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("tempfile.tempdir", str(tmp_path))
        before = threading.active_count()
        answers(Settings(workers=1), ("GET", "/healthz"))
        assert [path for path in tmp_path.iterdir() if "serve" in path.name] == []
        assert threading.active_count() <= before


@pytest.mark.parametrize(
    ("query", "options"),
    [
        ("", ""),
        ("?level=frames&top=2", "--frames --top 2"),
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
    assert (told["damaged_packets"], told["gaps_seconds"]) == (0, 0.0)


def test_gaps_and_damaged_packets_of_an_upload_are_told(server: Any) -> None:
    sound = with_clicks(10, 16_000)
    late = film(sound, 16_000, "matroska", "flac", later=lambda t: 3.0 * (t > 4.0), video=None)
    whole = film(sound, 16_000, "ipod", "aac", video=None)
    damaged = zeroed(whole, 4.0, 6.0)

    answers = [post(server, content, "?level=clip") for content in (late, whole, damaged)]

    assert [answer.status_code for answer in answers] == [200, 200, 200]
    gaps = [float(answer.headers["oido-gaps-seconds"]) for answer in answers]
    assert gaps[0] == pytest.approx(3.0, abs=0.005)
    assert gaps[1] == 0.0
    packets = [int(answer.headers["oido-damaged-packets"]) for answer in answers]
    assert packets[:2] == [0, 0]
    assert packets[2] > 0


@pytest.mark.parametrize(
    ("query", "status", "words"),
    [
        ("?level=songs", 400, "level must be one of events, windows, frames, clip"),
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


def test_a_playlist_opens_nothing_else(server: Any) -> None:
    with socket.create_server(("127.0.0.1", 0)) as other:
        other.settimeout(0.3)
        address = f"http://127.0.0.1:{other.getsockname()[1]}/a.ts"
        playlist = f"#EXTM3U\n#EXT-X-TARGETDURATION:9\n#EXTINF:9,\n{address}\n#EXT-X-ENDLIST\n"
        answer = post(server, playlist.encode())
        with pytest.raises(TimeoutError):
            other.accept()

    assert answer.status_code == 422
