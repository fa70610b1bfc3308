# SPDX-License-Identifier: Apache-2.0
"""POST /v1/classify on a real server: the command line's rows, and what must not harm it."""

from __future__ import annotations

import io
import socket
import subprocess
import sys
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import pytest
import soundfile

from tests.server.uploading import flac, post


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


def test_a_playlist_opens_nothing_else(server: Any) -> None:
    with socket.create_server(("127.0.0.1", 0)) as other:
        other.settimeout(0.3)
        address = f"http://127.0.0.1:{other.getsockname()[1]}/a.ts"
        playlist = f"#EXTM3U\n#EXT-X-TARGETDURATION:9\n#EXTINF:9,\n{address}\n#EXT-X-ENDLIST\n"
        answer = post(server, playlist.encode())
        with pytest.raises(TimeoutError):
            other.accept()

    assert answer.status_code == 422
