# SPDX-License-Identifier: Apache-2.0
"""``exec:CMD`` runs a program for each change of a trigger."""

from __future__ import annotations

import json
import os
import shlex
import shutil
import signal
import subprocess
from collections.abc import Sequence

from oido.errors import OptionError
from oido.live.actions import Action, ActionError, Message, TriggerName
from oido.live.gaps import Say

__all__ = ["Command"]

_TIMEOUT_SECONDS = 60.0
_SHOWN_CHARACTERS = 200


class Command(Action):
    """Runs a program without a shell, so that no label can be taken for a command.

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

    def open(self, triggers: Sequence[TriggerName], say: Say) -> None:
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
            _, errors = process.communicate(json.dumps(record).encode(), _TIMEOUT_SECONDS)
        except subprocess.TimeoutExpired as error:
            _end(process)
            limit = f"{_TIMEOUT_SECONDS:g} s"
            raise ActionError(f"was ended after {limit}", retry=False) from error
        if process.returncode:
            last = errors.decode(errors="replace").strip().rpartition("\n")[2]
            told = "".join(c for c in last if c.isprintable())[:_SHOWN_CHARACTERS]
            code = f"ended with code {process.returncode}"
            raise ActionError(f"{code} ({told})" if told else code, retry=False)


def _end(process: subprocess.Popen[bytes]) -> None:
    if hasattr(os, "killpg"):
        os.killpg(process.pid, signal.SIGKILL)
    else:
        process.kill()
    process.communicate()
