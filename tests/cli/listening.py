# SPDX-License-Identifier: Apache-2.0
"""A listener as a process: run to its end, kept running, or drawing on a terminal."""

from __future__ import annotations

import contextlib
import json
import os
import re
import select
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path
from typing import Any

OIDO = [sys.executable, "-m", "oido"]
EXAMPLES = Path(__file__).parents[2] / "examples"
STREET = EXAMPLES / "street.flac"
RAW = ("-", "--rate", "16000")


def listen(*args: object, sound: bytes = b"") -> subprocess.CompletedProcess[str]:
    command = [*OIDO, "listen", *map(str, args)]
    done = subprocess.run(command, input=sound, capture_output=True, timeout=120, check=False)
    return subprocess.CompletedProcess(
        done.args, done.returncode, done.stdout.decode("utf-8"), done.stderr.decode("utf-8")
    )


def records(text: str) -> list[dict[str, Any]]:
    return [json.loads(line) for line in text.splitlines()]


class Live:
    """A listener that is running."""

    def __init__(
        self, *args: object, env: dict[str, str] | None = None, stdout: Any = None
    ) -> None:
        self.process = subprocess.Popen(
            [*OIDO, "listen", *map(str, args)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE if stdout is None else stdout,
            stderr=subprocess.PIPE,
            env=env,
            bufsize=0,  # select() must see what was not read yet
        )
        self.lines: list[dict[str, Any]] = []

    def send(self, sound: bytes) -> None:
        assert self.process.stdin is not None
        self.process.stdin.write(sound)
        self.process.stdin.flush()

    def wait_for(self, kind: str, label: str, timeout: float = 60.0) -> dict[str, Any]:
        """The next line of this type and label."""
        assert self.process.stdout is not None
        limit = time.monotonic() + timeout
        while select.select([self.process.stdout], [], [], limit - time.monotonic())[0]:
            line = self.process.stdout.readline()
            if not line:
                break
            record: dict[str, Any] = json.loads(line)
            self.lines.append(record)
            if record["type"] == kind and label in str(record.get("label", "")):
                return record
        self.process.kill()
        rest = self.process.communicate()[1].decode()
        raise AssertionError(f"no {kind} {label} came; {self.lines}; {rest}")

    def wait_for_decoder(self) -> None:
        """Until the library that decodes containers is loaded; where nobody tells, 2 s."""
        maps = Path(f"/proc/{self.process.pid}/maps")
        limit = time.monotonic() + (60 if maps.exists() else 2)
        while time.monotonic() < limit:
            if maps.exists() and "libavformat" in maps.read_text():
                return
            time.sleep(0.02)
        assert not maps.exists(), "it has not come to decoding"

    def interrupt(self, number: int = signal.SIGINT) -> tuple[str, str]:
        self.process.send_signal(number)
        out, errors = self.process.communicate(timeout=60)
        return (out or b"").decode(), errors.decode()

    def close(self) -> None:
        if self.process.poll() is None:
            self.process.kill()
            self.process.communicate()


class Page:
    """A terminal of 80 × 24 that a listener draws on."""

    def __init__(self, *args: str) -> None:
        import fcntl
        import pty
        import struct
        import termios

        self._master, slave = pty.openpty()
        fcntl.ioctl(slave, termios.TIOCSWINSZ, struct.pack("HHHH", 24, 80, 0, 0))
        environment = {**os.environ, "TERM": "xterm", "PYTHONUTF8": "1"}
        environment.pop("COLUMNS", None)
        environment.pop("LINES", None)
        self.live = Live(*args, env=environment, stdout=slave)
        os.close(slave)
        self.text = ""
        self._thread = threading.Thread(target=self._read, daemon=True)
        self._thread.start()

    def _read(self) -> None:
        with contextlib.suppress(OSError):
            while data := os.read(self._master, 65_536):
                self.text += data.decode("utf-8", "replace")

    @property
    def lines(self) -> list[str]:
        """The last page that was drawn whole."""
        pages = self.text.split("\x1b[H")
        return re.sub(r"\x1b\[[?0-9]*[a-zA-Z]", "", pages[-2]).replace("\r", "").split("\n")

    def close(self) -> None:
        self.live.close()
        self._thread.join(5)
        os.close(self._master)
