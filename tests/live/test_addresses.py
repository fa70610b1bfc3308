# SPDX-License-Identifier: Apache-2.0
"""Playlists of every kind that radio directories give, and what counts as a file."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from oido.errors import OptionError
from oido.live.actions import ClipUpload, Webhook
from oido.live.addresses import _is_file, playlist_entries, split_login
from oido.live.mqtt import Mqtt
from oido.live.opening import StreamOpener

BASE = "http://radio.example/lists/one.pls"


@pytest.mark.parametrize(
    ("text", "entries"),
    [
        ("#EXTM3U\n#EXTINF:-1,A & B\nhttp://a/1\n\nhttps://b/2?x=1&y=2\n",
         "http://a/1 https://b/2?x=1&y=2"),
        ("http://a/1\r\nhttp://a/2\r\n", "http://a/1 http://a/2"),
        ("\ufeff#EXTM3U\nlive.mp3\n", "http://radio.example/lists/live.mp3"),
        ("[Playlist]\nnumberofentries=2\nFILE1 = http://a/1 \nTitle1=No\nfile2=/2\n",
         "http://a/1 http://radio.example/2"),
        ('<?xml version="1.0"?>\n<playlist><location> http://a/1?x=1&amp;y=2 </location>',
         "http://a/1?x=1&y=2"),
        ('<ASX version="3.0"><Entry><Ref HREF = "http://a/1" /></Entry></ASX>', "http://a/1"),
        ("#EXTM3U\n#EXT-X-TARGETDURATION:9\n#EXTINF:9,\na.ts\n", ""),
        ("<!doctype html><a href='http://a/1'>listen</a>", ""),
        ("Not found\n", ""),
        ("", ""),
        ("#EXTM3U\n", ""),
        ("#EXTM3U\nhttp://[::1/x\nhttp://host:99999/x\n/live\n", "http://radio.example/live"),
    ],
)  # fmt: skip
def test_entries(text: str, entries: str) -> None:
    assert playlist_entries(text.encode(), BASE) == entries.split()


@pytest.mark.parametrize(
    ("status", "headers", "is_file"),
    [
        (206, {"Content-Range": "bytes 0-99/100"}, True),
        (200, {"Content-Length": "100", "Accept-Ranges": "bytes"}, True),
        (200, {"Content-Length": "100", "ETag": "x"}, True),
        (200, {"Content-Length": "100"}, False),
        (200, {"Content-Length": "100", "ETag": "x", "icy-name": "y"}, False),
        (206, {"Content-Range": "bytes 0-2147483646/2147483647"}, False),
        (206, {"Content-Range": "bytes 0-99/*"}, False),
        (200, {"Last-Modified": "now"}, False),
    ],
)
def test_files(status: int, headers: dict[str, str], is_file: bool) -> None:
    assert _is_file(status, headers) == is_file


def test_a_login_is_a_header_and_no_part_of_the_address() -> None:
    address, headers = split_login("https://me:s%40c@[::1]:8443/a?b=1#c")
    assert address == "https://[::1]:8443/a?b=1"
    assert headers["Authorization"] == "Basic bWU6c0Bj"


def test_accents_and_spaces_are_written_as_a_browser_writes_them() -> None:
    address, _ = split_login("http://casa:80/niño 1/a%20b;c?sala=año&x=[1]")
    assert address == "http://casa:80/ni%C3%B1o%201/a%20b;c?sala=a%C3%B1o&x=[1]"


@pytest.mark.parametrize(
    ("scheme", "take"),
    [
        ("rtsp", lambda url: StreamOpener(url, 1.0)),
        ("https", lambda url: StreamOpener(url, 1.0)),
        ("mqtt", Mqtt),
        ("http", Webhook),
        ("https", ClipUpload),
    ],
)
@pytest.mark.parametrize(
    "rest", ["me:top/secret@host/a", "me:top?secret@host/a", "me:top#secret@host", "host:99999/a",
             "[::1/a"]
)  # fmt: skip
def test_what_cannot_be_read_is_one_sentence_without_the_password(
    scheme: str, take: Callable[[str], Any], rest: str
) -> None:
    with pytest.raises(OptionError, match=r"is no address that can be read.*written %2F") as caught:
        take(f"{scheme}://{rest}")
    assert str(caught.value).startswith(f"{scheme}://…")
    assert "top" not in str(caught.value)
    assert "secret" not in str(caught.value)
