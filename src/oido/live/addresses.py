# SPDX-License-Identifier: Apache-2.0
"""What stands at an HTTP address: a file, a playlist of stations (.m3u, .pls), or a refusal.

FFmpeg plays the streams themselves; it knows neither these playlists nor how to tell a station
from a file.
"""

from __future__ import annotations

import base64
import html
import http.client
import io
import re
import urllib.error
import urllib.request
from collections.abc import Mapping
from typing import Any
from urllib.parse import SplitResult, quote, unquote, urljoin, urlsplit, urlunsplit

from oido._version import __version__
from oido.errors import OptionError
from oido.live.tls import Tls, why_unreachable
from oido.messages import text_of, tr

_PLAYLIST_BYTES = 1 << 16
_NO_LENGTHS = {2**31 - 1, 2**31, 2**32 - 1, 2**32, 2**63 - 1}
"""Lengths that servers make up for players that want one."""

FEW_BYTES = 1 << 12
"""Of a recording; sound for a fraction of a second, so that a look behind them is soon over."""

_FILE_HEADERS = ("ETag", "Last-Modified")
_AS_IT_IS = "".join(chr(code) for code in range(33, 127))
"""Characters of a path or a query that nothing is done to; a % is one of what is quoted already."""


def parts_of(url: str) -> SplitResult:
    """An address in its parts; a port is None or a number.

    Raises OptionError, which names no more of it than its scheme: what cannot be read may be a
    password.
    """
    try:
        parts = urlsplit(url)
        _ = parts.port
    except ValueError as error:
        raise OptionError(
            tr(
                "{scheme}://… is no address that can be read: in a password / ? # and @ are "
                "written %2F %3F %23 and %40, a port is a number up to 65535, and an IPv6 address "
                "stands in [ ]",
                scheme=url.partition("://")[0],
            )
        ) from error
    return parts


def without_password(url: str) -> str:
    """The address as messages may show it: no password, and no query, which may hold a key."""
    parts = parts_of(url)
    host = parts.netloc.rpartition("@")
    user = host[0].partition(":")[0] + ":…@" if ":" in host[0] else host[0] + host[1]
    return urlunsplit((parts.scheme, user + host[2], parts.path, "…" if parts.query else "", ""))


def is_file(url: str, tls: Tls, timeout: float) -> bool:
    """Whether it has a beginning and an end, as its server says. Raises OSError, HTTPException."""
    with open_url(url, tls, timeout) as response:
        return _is_file(response.status, response.headers)


def sends_more(url: str, tls: Tls, timeout: float) -> bool:
    """Whether sound stands behind the few bytes that its headers promise, as some stations' does.

    Raises OSError, HTTPException, ValueError.
    """
    with open_url(url, tls, timeout) as response:
        headers = response.headers
        declared = headers.get("Content-Range", "").rpartition("/")[2] or headers.get(
            "Content-Length"
        )
        if declared is None or response.chunked:
            return False
        size = int(declared) if declared.isdecimal() else 0
        if size >= FEW_BYTES:
            return False
        response.length = None  # to the end of the connection, which was asked to be closed
        return len(response.read(size + 1)) > size


def open_url(url: str, tls: Tls, timeout: float, start: int = 0, end: int = 0) -> Any:
    """The response to a GET, a binary file; of the bytes from ``start`` on, before ``end``.

    Raises OSError or HTTPException.
    """
    address, headers = split_login(url)
    span = f"bytes={start}-{end - 1 if end else ''}"
    request = urllib.request.Request(address, headers={"Range": span})
    request.add_header("User-Agent", headers.pop("User-Agent"))
    for name, value in headers.items():  # a login is for no other host
        request.add_unredirected_header(name, value)
    handler = urllib.request.HTTPSHandler(context=tls.context)
    return urllib.request.build_opener(handler, _HttpHandler).open(request, timeout=timeout)


class _StatusLine(io.BufferedReader):
    """Answers of old stations begin with ``ICY 200 OK``, and are else those of HTTP/1.0."""

    def readline(self, size: int | None = -1, /) -> bytes:
        line = super().readline(size)
        return line.replace(b"ICY ", b"HTTP/1.0 ", 1) if line.startswith(b"ICY ") else line


class _Response(http.client.HTTPResponse):
    def __init__(self, sock: Any, *args: Any, **more: Any) -> None:
        super().__init__(sock, *args, **more)
        self.fp: Any = _StatusLine(self.fp.detach())


class _Connection(http.client.HTTPConnection):
    response_class = _Response


class _HttpHandler(urllib.request.HTTPHandler):
    def http_open(self, req: urllib.request.Request) -> Any:
        return self.do_open(_Connection, req)


def _is_file(status: int, headers: Mapping[str, str]) -> bool:
    if any(name.lower().startswith(("icy-", "ice-")) for name in headers):
        return False
    total = headers.get("Content-Range", "").rpartition("/")[2] or headers.get("Content-Length", "")
    if not total.isdecimal() or int(total) in _NO_LENGTHS:
        return False
    ranges = status == 206 or headers.get("Accept-Ranges", "").lower() == "bytes"
    return ranges or any(name in headers for name in _FILE_HEADERS)


def split_login(url: str) -> tuple[str, dict[str, str]]:
    """The address without user and password, and the headers that requests to it have.

    It is ASCII but for its host: accents and spaces become %C3%B1 and %20, as in a browser.
    """
    parts = urlsplit(url)
    headers = {"User-Agent": f"oido/{__version__}"}
    if parts.username is not None:
        login = f"{unquote(parts.username)}:{unquote(parts.password or '')}"
        headers["Authorization"] = f"Basic {base64.b64encode(login.encode()).decode()}"
    host = parts.hostname or ""
    host = f"[{host}]" if ":" in host else host
    netloc = host if parts.port is None else f"{host}:{parts.port}"
    path, query = quote(parts.path, _AS_IT_IS), quote(parts.query, _AS_IT_IS)
    return urlunsplit((parts.scheme, netloc, path, query, "")), headers


def playlist_at(url: str, tls: Tls, timeout: float) -> list[str]:
    """The addresses that the playlist names, if it is one. Raises OSError, HTTPException."""
    with open_url(url, tls, timeout) as response:
        return playlist_entries(response.read(_PLAYLIST_BYTES), response.geturl())


def playlist_entries(content: bytes, base: str) -> list[str]:
    """The addresses that a playlist for players names (M3U, PLS, XSPF, ASX); of HLS, none."""
    text = content.decode("utf-8-sig", errors="replace").strip()
    if "#EXT-X-" in text:
        return []
    if re.match(r"(?i)\[playlist\]", text):
        entries = re.findall(r"(?im)^\s*file\d*\s*=\s*(\S.*?)\s*$", text)
    elif re.match(r"(?i)(<\?xml[^>]*>\s*)?(<!--.*?-->\s*)?<(playlist|asx)\b", text):
        found = re.findall(r'(?is)<location>\s*(.*?)\s*</location>|<ref\s+href\s*=\s*"(.*?)"', text)
        entries = [html.unescape(location or href) for location, href in found]
    else:
        lines = [line.strip() for line in text.splitlines()]
        entries = [line for line in lines if line and not line.startswith("#")]
        if not text.startswith("#EXTM3U") and not all(
            re.match(r"[a-z]+://\S+$", line) for line in entries
        ):
            return []
    return [urljoin(base, entry) for entry in entries if entry.isprintable() and _is_read(entry)]


def _is_read(url: str) -> bool:
    try:
        parts_of(url)
    except OptionError:
        return False
    return True


def why_not(error: Exception) -> str:
    """A sentence's end: why a request got no good answer."""
    if isinstance(error, urllib.error.HTTPError):
        error.close()
        if error.code in (401, 407):
            return tr(
                "user or password is refused ({code} {reason})",
                code=error.code,
                reason=error.reason,
            )
        return tr("answered {code} {reason}", code=error.code, reason=error.reason)
    if isinstance(error, urllib.error.URLError):
        reason: Any = error.reason
        return why_unreachable(reason) if isinstance(reason, Exception) else str(reason)
    if isinstance(error, http.client.HTTPException):
        return tr("broke off ({error})", error=text_of(error) or type(error).__name__)
    return why_unreachable(error)
