# SPDX-License-Identifier: Apache-2.0
"""What triggers do: the seam of all actions, the threads that run them, and what needs no broker.

``exec:CMD`` runs a program for each change of a trigger. ``save:FOLDER`` keeps the sound around it
as a WAV file, with a JSON file beside it. ``webhook:URL`` posts the change as JSON, ``upload:URL``
its clip as WAV. The monitor never waits for an action. Each has a thread and a short queue of its
own; what does not fit is dropped, and reported.
"""

from __future__ import annotations

import contextlib
import http.client
import json
import os
import queue
import shlex
import shutil
import signal
import ssl
import subprocess
import threading
import time
import urllib.error
import urllib.request
from abc import ABC, abstractmethod
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

from oido.errors import OptionError, OutputError
from oido.live.addresses import parts_of, split_login, why_not
from oido.live.clips import AudioClip
from oido.live.source import OnMessage
from oido.live.tls import Tls, why_hung_up, why_refused
from oido.live.triggers import TriggerState
from oido.messages import text_of, tr
from oido.writers.atomic import free_path, write_atomically

_WAITING_MESSAGES, _WAITING_CLIPS = 64, 4
_RETRY_SECONDS = (1.0, 2.0, 4.0)


class TriggerName(NamedTuple):
    """Of a trigger that an action serves, before the first window.

    names: of its labels; source: what is listened to.
    """

    slug: str
    condition: str
    names: tuple[str, ...]
    source: str = ""


class Message(NamedTuple):
    """What an action gets: a change, or, with a clip, a sound that is over."""

    state: TriggerState
    clip: AudioClip | None = None


class ActionError(Exception):
    """An action failed; retry: whether it may work if it is tried again soon."""

    def __init__(self, reason: str, *, retry: bool) -> None:
        super().__init__(reason)
        self.retry = retry


class Action(ABC):
    """One thing to do. ``name`` is for messages, and holds no secrets.

    wants_off: it gets "off", too. wants_clip: it gets the clip, when it is complete, and
    nothing else.
    """

    name: str
    wants_off: bool = False
    wants_clip: bool = False

    def open(self, triggers: Sequence[TriggerName], on_message: OnMessage) -> None:  # noqa: B027
        """Get ready, before the first window. Raises an OidoError if it can never work."""

    @abstractmethod
    def do(self, message: Message) -> None:
        """Do it, in the action's own thread; within a minute. Raises ActionError."""

    def close(self) -> None:  # noqa: B027
        """Nothing more will come; must not take long."""


class Runner:
    """Runs one action in a thread of its own.

    A failure that may pass is tried again after 1, 2 and 4 s. A message that fails for good is
    reported once; then the next failures are only counted, until one message succeeds again.
    """

    waits = False
    """Whether ``offer`` waits for a place in the queue, instead of dropping the message."""

    def __init__(self, action: Action, on_message: OnMessage) -> None:
        self.action = action
        self._on_message = on_message
        capacity = _WAITING_CLIPS if action.wants_clip else _WAITING_MESSAGES
        self._waiting: queue.Queue[Message | None] = queue.Queue(capacity)
        self._stopping = threading.Event()
        self._under_way = self._is_left = False
        self.dropped = 0
        """Messages that the queue could not hold."""
        self.failed = 0
        """Messages that failed since the last that succeeded."""
        self._thread = threading.Thread(target=self._run, name="oido-action", daemon=True)

    def start(self, triggers: Sequence[TriggerName]) -> None:
        """Open the action. Raises an OidoError."""
        self.action.open(triggers, self._on_message)
        self._thread.start()

    def offer(self, message: Message) -> None:
        """Queue a message, if the action wants it."""
        if (message.clip is not None) != self.action.wants_clip:
            return
        if message.state.state == "off" and not (self.action.wants_off or message.clip):
            return
        self._enqueue(message)

    def _enqueue(self, message: Message) -> None:
        try:
            self._waiting.put(message, block=self.waits)
        except queue.Full:
            self.dropped += 1
            if self.dropped == 1:
                self._on_message(
                    tr("{name}: is too slow; what it cannot take is dropped", name=self.action.name)
                )

    def close(self, deadline: float) -> None:
        """Finish what waits, without pauses, until ``deadline`` (of the monotonic clock)."""
        self._stopping.set()
        if self._thread.is_alive():
            with contextlib.suppress(queue.Full):
                self._waiting.put(None, timeout=max(0.0, deadline - time.monotonic()))
            self._thread.join(max(0.0, deadline - time.monotonic()))
        with self._waiting.mutex:
            left = sum(each is not None for each in self._waiting.queue) + self._under_way
        if self._thread.is_alive() and left:
            self._on_message(
                tr(
                    "{name}: did not end in time; {left} message(s) may be lost",
                    name=self.action.name,
                    left=left,
                )
            )
        self._is_left = self._thread.is_alive()
        self.action.close()

    def _run(self) -> None:
        while (message := self._waiting.get()) is not None:
            self._under_way = True
            self._do(message)
            self._under_way = False

    def _do(self, message: Message) -> None:
        reason = self._attempt(message)
        if self._is_left:
            return
        name = self.action.name
        if reason is None:
            if self.failed:
                self._on_message(
                    tr(
                        "{name}: works again; {failed} message(s) were lost",
                        name=name,
                        failed=self.failed,
                    )
                )
            self.failed = 0
            return
        self.failed += 1
        if self.failed == 1:
            self._on_message(
                tr(
                    "{name}: {reason}; oido goes on, and tells when it works again",
                    name=name,
                    reason=reason,
                )
            )

    def _attempt(self, message: Message) -> str | None:
        """Why it failed for good; None if it succeeded."""
        for pause in (*_RETRY_SECONDS, None):
            try:
                self.action.do(message)
            except ActionError as error:
                if not error.retry or pause is None or self._stopping.is_set():
                    return text_of(error)
                self._stopping.wait(pause)
            except Exception as error:  # the thread must live on
                return tr("failed ({name}: {error})", name=type(error).__name__, error=error)
            else:
                return None
        raise AssertionError


_COMMAND_SECONDS = 60.0
_SHOWN_CHARACTERS = 200


class Command(Action):
    """Runs a program without a shell, so that no label can pass for a command.

    It gets the record as JSON on standard input, and in its environment OIDO_TRIGGER, OIDO_STATE,
    OIDO_LABEL, OIDO_SCORE, OIDO_START_TIME, OIDO_END_TIME, OIDO_START_UTC, OIDO_END_UTC and
    OIDO_SOURCE. Its output goes nowhere. After a minute, or when oido ends, it is ended, with the
    programs that it started. A failure is not tried again: half of it may have been done.
    """

    def __init__(self, command: str, *, wants_off: bool = False) -> None:
        self.wants_off = wants_off
        try:
            self._words = shlex.split(command, posix=os.name != "nt")
        except ValueError as error:
            raise OptionError(
                tr("exec:{command}: a quote is not closed ({error})", command=command, error=error)
            ) from error
        if not self._words:
            raise OptionError(tr("exec: needs a command, such as exec:'notify-send alarm'"))
        self.name = f"exec:{self._words[0]}"
        self._process: subprocess.Popen[bytes] | None = None
        self._is_closed, self._lock = False, threading.Lock()

    def open(self, triggers: Sequence[TriggerName], on_message: OnMessage) -> None:
        if shutil.which(self._words[0]) is None:
            raise OptionError(tr("{name}: there is no such program here", name=self.name))

    def do(self, message: Message) -> None:
        record = message.state.record()
        names = ("state", "label", "score", "start_time", "end_time", "start_utc", "end_utc")
        variables = {f"OIDO_{name.upper()}": str(record[name]) for name in (*names, "source")}
        variables["OIDO_TRIGGER"] = record["trigger"]
        with self._lock:
            if self._is_closed:
                raise ActionError(tr("oido ends"), retry=False)
            self._process = process = self._start(variables)
        try:
            _, errors = process.communicate(json.dumps(record).encode(), _COMMAND_SECONDS)
        except subprocess.TimeoutExpired as error:
            _kill(process)
            process.communicate()
            limit = tr("{command_seconds:g} s", command_seconds=_COMMAND_SECONDS)
            raise ActionError(tr("was ended after {limit}", limit=limit), retry=False) from error
        finally:
            with self._lock:  # its number may be another's from here on
                self._process = None
        if process.returncode:
            last = errors.decode(errors="replace").strip().rpartition("\n")[2]
            detail = "".join(c for c in last if c.isprintable())[:_SHOWN_CHARACTERS]
            code = tr("ended with code {returncode}", returncode=process.returncode)
            raise ActionError(
                tr("{code} ({detail})", code=code, detail=detail) if detail else code, retry=False
            )

    def close(self) -> None:
        """End the program that is under way."""
        with self._lock:
            self._is_closed = True
            if self._process is not None:
                _kill(self._process)

    def _start(self, variables: dict[str, str]) -> subprocess.Popen[bytes]:
        try:
            return subprocess.Popen(
                self._words,
                stdin=subprocess.PIPE,
                stdout=subprocess.DEVNULL,
                stderr=subprocess.PIPE,
                env={**os.environ, **variables},
                start_new_session=True,  # Ctrl-C is for oido; and children can be ended together
            )
        except OSError as error:
            raise ActionError(
                tr("cannot be run ({reason})", reason=error.strerror), retry=False
            ) from error


def _kill(process: subprocess.Popen[bytes]) -> None:
    """End a program and those that it started."""
    if hasattr(os, "killpg"):
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
    else:
        process.kill()


class SaveClip(Action):
    """Files appear under their names only when they are whole: 20260501T120305.120Z_dog.wav.

    A clip whose name is in use becomes …_dog-2.wav: nothing in the folder is overwritten.
    """

    wants_clip = True

    def __init__(self, folder: str) -> None:
        if not folder:
            raise OptionError(tr("save: needs a folder, such as save:clips"))
        self.name = f"save:{folder}"
        self._folder = Path(folder).expanduser()

    def open(self, triggers: Sequence[TriggerName], on_message: OnMessage) -> None:
        try:
            self._folder.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise OptionError(
                tr("{name}: cannot be made ({reason})", name=self.name, reason=error.strerror)
            ) from error
        if not os.access(self._folder, os.W_OK | os.X_OK):
            raise OptionError(tr("{name}: may not be written to", name=self.name))

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
            raise ActionError(text_of(error), retry=False) from error


_REQUEST_SECONDS = 10.0
_TRY_AGAIN = (408, 425, 429)


class _Post(Action):
    """POSTs to a URL; any answer of 2xx is success. User and password become a header."""

    kind: str

    def __init__(self, url: str, *, tls: Tls | None = None) -> None:
        self.name = tr("{kind}:<address>", kind=self.kind)
        self._tls = tls or Tls()
        parts = parts_of(url)
        host = parts.hostname or ""
        if host:  # without the path: of many services, it is the key
            self.name = f"{self.kind}:{parts.scheme}://{parts.netloc.rpartition('@')[2]}"
        if (
            parts.scheme not in ("http", "https")
            or not host
            or not url.isprintable()
            or " " in parts.netloc
        ):
            raise OptionError(
                tr(
                    "{name}: must be an address that begins with http:// or https://",
                    name=self.name,
                )
            )
        self._url, self._headers = split_login(url)

    def _post(self, body: bytes, headers: dict[str, str]) -> None:
        all_headers = {**self._headers, **headers}
        request = urllib.request.Request(self._url, body, all_headers, method="POST")
        opener = urllib.request.build_opener(
            _NoRedirects, urllib.request.HTTPSHandler(context=self._tls.context)
        )
        try:
            with opener.open(request, timeout=_REQUEST_SECONDS):
                return
        except urllib.error.HTTPError as error:
            retry = error.code >= 500 or error.code in _TRY_AGAIN
            raise ActionError(why_not(error), retry=retry) from error
        except (OSError, http.client.HTTPException) as error:  # URLError is an OSError
            reason = getattr(error, "reason", error) if _is_unsent(error) else error
            refused = why_refused(reason) or self._why_hung_up(reason)
            if refused is None and _is_unsent(error):
                raise ActionError(why_not(error), retry=True) from error
            text = refused or tr(
                "broke off ({error})", error=text_of(error) or type(error).__name__
            )
            raise ActionError(text, retry=refused is None) from error

    def _why_hung_up(self, reason: object) -> str | None:
        parts = parts_of(self._url)
        broke = isinstance(reason, ssl.SSLError | BrokenPipeError | ConnectionResetError)
        if parts.scheme != "https" or not broke:
            return None
        where = parts.hostname or "", parts.port or 443
        return why_hung_up(*where, self._tls, _REQUEST_SECONDS, b"HEAD / HTTP/1.0\r\n\r\n")


def _is_unsent(error: Exception) -> bool:
    return isinstance(error, urllib.error.URLError)


class Webhook(_Post):
    """POSTs the record of a change, ``application/json``."""

    kind = "webhook"

    def __init__(self, url: str, *, wants_off: bool = False, tls: Tls | None = None) -> None:
        super().__init__(url, tls=tls)
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
