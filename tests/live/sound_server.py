# SPDX-License-Identifier: Apache-2.0
"""A microphone that is none: PulseAudio with a null sink, whose monitor is recorded from."""

from __future__ import annotations

import os
import shutil
import subprocess
import time
from pathlib import Path

import pytest


class VirtualMicrophone:
    """What is played into it is what the default microphone hears; skips where it cannot be had."""

    def __init__(self, folder: Path) -> None:
        for program in ("pulseaudio", "pactl", "paplay"):
            if shutil.which(program) is None:
                pytest.skip("needs Debian's pulseaudio, pulseaudio-utils and libasound2-plugins")
        socket = folder / "native"
        self.environment = {
            **os.environ,
            "XDG_RUNTIME_DIR": str(folder),
            "PULSE_RUNTIME_PATH": str(folder),
            "PULSE_STATE_PATH": str(folder),
            "PULSE_SERVER": f"unix:{socket}",
            "PULSE_SOURCE": "ear.monitor",
            "PULSE_SINK": "ear",
        }
        modules = (
            f"module-native-protocol-unix socket={socket} auth-anonymous=1",
            "module-null-sink sink_name=ear rate=48000 channels=1",
        )
        self._server = subprocess.Popen(
            [
                *("pulseaudio", "-n", "--daemonize=no", "--use-pid-file=no", "--exit-idle-time=-1"),
                *(word for module in modules for word in ("-L", module)),
            ],
            env={**self.environment, "HOME": str(folder)},
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        limit = time.monotonic() + 15
        while subprocess.run(
            ["pactl", "info"], env=self.environment, capture_output=True, check=False
        ).returncode:
            if time.monotonic() > limit or self._server.poll() is not None:
                self.close()
                pytest.skip("PulseAudio does not start here")
            time.sleep(0.1)

    def play(self, path: Path) -> None:
        """To its end, as it is heard."""
        command = ["paplay", "--device=ear", str(path)]
        subprocess.run(command, env=self.environment, check=True, timeout=60)

    def close(self) -> None:
        """The device goes away."""
        self._server.terminate()
        try:
            self._server.wait(10)
        except subprocess.TimeoutExpired:
            self._server.kill()
            self._server.wait()
