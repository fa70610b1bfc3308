# SPDX-License-Identifier: Apache-2.0
"""``webhook:URL`` posts a trigger's change as JSON, ``upload:URL`` its clip as WAV."""

from __future__ import annotations

import base64
import http.client
import json
import urllib.error
import urllib.request
from typing import Any
from urllib.parse import unquote, urlsplit, urlunsplit

from oido._version import __version__
from oido.errors import OptionError
from oido.live.actions import Action, ActionError, Message

__all__ = ["Upload", "Webhook"]

_TIMEOUT_SECONDS = 10.0
_TRY_AGAIN = (408, 425, 429)


class Webhook(Action):
    """POSTs the record of a change, ``application/json``. Any answer of 2xx is success."""

    def __init__(self, url: str, *, wants_off: bool = False) -> None:
        self.name = f"webhook:{_host_of(url)}"
        self.wants_off = wants_off
        self._url, self._headers = _address(url, self.name)

    def do(self, message: Message) -> None:
        body = json.dumps(message.state.record(), ensure_ascii=False).encode()
        _post(self._url, body, {**self._headers, "Content-Type": "application/json"})


class Upload(Action):
    """POSTs a clip, ``audio/wav``, with the record as JSON in the header ``Oido-Trigger``."""

    wants_clip = True

    def __init__(self, url: str) -> None:
        self.name = f"upload:{_host_of(url)}"
        self._url, self._headers = _address(url, self.name)

    def do(self, message: Message) -> None:
        assert message.clip is not None
        record = {**message.state.record(), "clip_start_time": round(message.clip.start_time, 6)}
        headers = {
            **self._headers,
            "Content-Type": "audio/wav",
            "Oido-Trigger": json.dumps(record),  # ASCII, as headers must be
        }
        _post(self._url, message.clip.wav(), headers)


class _NoRedirects(urllib.request.HTTPRedirectHandler):
    """A redirected POST would become a GET without its body, silently."""

    def redirect_request(self, *_: Any) -> None:
        return None


_OPENER = urllib.request.build_opener(_NoRedirects)


def _host_of(url: str) -> str:
    """Without the path: of many services, it is the key."""
    try:
        parts = urlsplit(url)
        return f"{parts.scheme}://{parts.hostname}" if parts.hostname else "<address>"
    except ValueError:
        return "<address>"


def _address(url: str, name: str) -> tuple[str, dict[str, str]]:
    """The address without user and password, which become a header."""
    try:
        parts = urlsplit(url)
        host, port = parts.hostname, parts.port
    except ValueError as error:
        raise OptionError(f"{name}: is no address ({error})") from error
    if parts.scheme not in ("http", "https") or not host or not url.isprintable() or " " in url:
        raise OptionError(f"{name}: must be an address that begins with http:// or https://")
    headers = {"User-Agent": f"oido/{__version__}"}
    if parts.username is not None:
        login = f"{unquote(parts.username)}:{unquote(parts.password or '')}"
        headers["Authorization"] = "Basic " + base64.b64encode(login.encode()).decode()
    host = f"[{host}]" if ":" in host else host
    netloc = host if port is None else f"{host}:{port}"
    return urlunsplit(parts._replace(netloc=netloc, fragment="")), headers


def _post(url: str, body: bytes, headers: dict[str, str]) -> None:
    request = urllib.request.Request(url, body, headers, method="POST")
    try:
        with _OPENER.open(request, timeout=_TIMEOUT_SECONDS):
            return
    except urllib.error.HTTPError as error:
        error.close()
        retry = error.code >= 500 or error.code in _TRY_AGAIN
        raise ActionError(f"answered {error.code} {error.reason}", retry=retry) from error
    except urllib.error.URLError as error:
        raise ActionError(f"cannot be reached ({error.reason})", retry=True) from error
    except (OSError, http.client.HTTPException) as error:
        reason = str(error) or type(error).__name__
        raise ActionError(f"broke off ({reason})", retry=True) from error
