# SPDX-License-Identifier: Apache-2.0
"""What a trigger can do without other programs' help: run one, save the sound, or post over HTTP.

``exec:CMD`` runs a program for each change of a trigger. ``save:FOLDER`` keeps the sound around it
as a WAV file, with a JSON file beside it. ``webhook:URL`` posts the change as JSON, ``upload:URL``
its clip as WAV.
"""

from __future__ import annotations

import base64
import http.client
import json
import os
import shlex
import shutil
import signal
import subprocess
import urllib.error
import urllib.request
from collections.abc import Sequence
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urlsplit, urlunsplit

from oido._version import __version__
from oido.errors import OptionError, OutputError
from oido.live.actions import Action, ActionError, Message, TriggerName
from oido.live.source import OnMessage
from oido.writers.atomic import free_path, write_atomically

__all__ = ["ClipUpload", "Command", "SaveClip", "Webhook"]

_COMMAND_SECONDS = 60.0
_SHOWN_CHARACTERS = 200


class Command(Action):
    """Runs a program without a shell, so that no label can pass for a command.

    It gets the record as JSON on standard input, and in its environment OIDO_TRIGGER, OIDO_STATE,
    OIDO_LABEL, OIDO_SCORE, OIDO_START_TIME, OIDO_END_TIME, OIDO_START_UTC, OIDO_END_UTC and
    OIDO_SOURCE. Its output goes nowhere. After a minute it is ended. A failure is not tried again:
    half of it may have been done.
    """

    def __init__(self, command: str, *, wants_off: bool = False) -> None:
        self.wants_off = wants_off
        try:
            self._words = shlex.split(command, posix=os.name != "nt")
        except ValueError as error:
            raise OptionError(f"exec:{command}: a quote is not closed ({error})") from error
        if not self._words:
            raise OptionError("exec: needs a command, such as exec:'notify-send alarm'")
        self.name = f"exec:{self._words[0]}"

    def open(self, triggers: Sequence[TriggerName], on_message: OnMessage) -> None:
        if shutil.which(self._words[0]) is None:
            raise OptionError(f"{self.name}: there is no such program here")

    def do(self, message: Message) -> None:
        record = message.state.record()
        names = ("state", "label", "score", "start_time", "end_time", "start_utc", "end_utc")
        variables = {f"OIDO_{name.upper()}": str(record[name]) for name in (*names, "source")}
        variables["OIDO_TRIGGER"] = record["trigger"]
        try:
            process = subprocess.Popen(
                self._words,
                stdin=subprocess.PIPE,
                stdout=subprocess.DEVNULL,
                stderr=subprocess.PIPE,
                env={**os.environ, **variables},
                start_new_session=True,  # Ctrl-C is for oido; and children can be ended together
            )
        except OSError as error:
            raise ActionError(f"cannot be run ({error.strerror})", retry=False) from error
        try:
            _, errors = process.communicate(json.dumps(record).encode(), _COMMAND_SECONDS)
        except subprocess.TimeoutExpired as error:
            _end(process)
            limit = f"{_COMMAND_SECONDS:g} s"
            raise ActionError(f"was ended after {limit}", retry=False) from error
        if process.returncode:
            last = errors.decode(errors="replace").strip().rpartition("\n")[2]
            detail = "".join(c for c in last if c.isprintable())[:_SHOWN_CHARACTERS]
            code = f"ended with code {process.returncode}"
            raise ActionError(f"{code} ({detail})" if detail else code, retry=False)


def _end(process: subprocess.Popen[bytes]) -> None:
    if hasattr(os, "killpg"):
        os.killpg(process.pid, signal.SIGKILL)
    else:
        process.kill()
    process.communicate()


class SaveClip(Action):
    """Files appear under their names only when they are whole: 20260501T120305.120Z_dog.wav.

    A clip whose name is in use becomes …_dog-2.wav: nothing in the folder is overwritten.
    """

    wants_clip = True

    def __init__(self, folder: str) -> None:
        if not folder:
            raise OptionError("save: needs a folder, such as save:clips")
        self.name = f"save:{folder}"
        self._folder = Path(folder).expanduser()

    def open(self, triggers: Sequence[TriggerName], on_message: OnMessage) -> None:
        try:
            self._folder.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise OptionError(f"{self.name}: cannot be made ({error.strerror})") from error
        if not os.access(self._folder, os.W_OK | os.X_OK):
            raise OptionError(f"{self.name}: may not be written to")

    def do(self, message: Message) -> None:
        clip, state = message.clip, message.state
        assert clip is not None
        moment = state.start_utc.replace("-", "").replace(":", "")
        stem = free_path(lambda n: self._folder / f"{moment}_{state.slug}{n and '-' + n}.wav").stem
        record = state.record() | {
            "clip": f"{stem}.wav",
            "clip_start_time": round(clip.start_time, 6),
            "clip_seconds": round(clip.seconds, 6),
        }
        text = json.dumps(record, ensure_ascii=False, indent=2) + "\n"
        self._write(f"{stem}.wav", clip.wav())
        self._write(f"{stem}.json", text.encode())

    def _write(self, name: str, content: bytes) -> None:
        try:
            with write_atomically(self._folder / name, binary=True, new=True) as file:
                file.stream.write(content)
        except (OutputError, FileExistsError) as error:
            raise ActionError(str(error), retry=False) from error


_REQUEST_SECONDS = 10.0
_TRY_AGAIN = (408, 425, 429)


class _Post(Action):
    """POSTs to a URL; any answer of 2xx is success."""

    kind: str

    def __init__(self, url: str) -> None:
        self.name = f"{self.kind}:{_host_of(url)}"
        self._url, self._headers = _address(url, self.name)

    def _post(self, body: bytes, headers: dict[str, str]) -> None:
        all_headers = {**self._headers, **headers}
        request = urllib.request.Request(self._url, body, all_headers, method="POST")
        try:
            with _OPENER.open(request, timeout=_REQUEST_SECONDS):
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


class Webhook(_Post):
    """POSTs the record of a change, ``application/json``."""

    kind = "webhook"

    def __init__(self, url: str, *, wants_off: bool = False) -> None:
        super().__init__(url)
        self.wants_off = wants_off

    def do(self, message: Message) -> None:
        body = json.dumps(message.state.record(), ensure_ascii=False).encode()
        self._post(body, {"Content-Type": "application/json"})


class ClipUpload(_Post):
    """POSTs a clip, ``audio/wav``, with the record as JSON in the header ``Oido-Trigger``."""

    kind, wants_clip = "upload", True

    def do(self, message: Message) -> None:
        assert message.clip is not None
        record = {**message.state.record(), "clip_start_time": round(message.clip.start_time, 6)}
        record_header = json.dumps(record)  # ASCII, as headers must be
        headers = {"Content-Type": "audio/wav", "Oido-Trigger": record_header}
        self._post(message.clip.wav(), headers)


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
