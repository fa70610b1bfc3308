# SPDX-License-Identifier: Apache-2.0
"""Real servers on loopback, each a process of its own."""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import pytest
import soundfile
from numpy.typing import NDArray

pytest.importorskip("starlette")

HERE = Path(__file__).parent


class Server:
    """A running server; ``folder`` is where its temporary files are.

    descriptors: how many it may have open, if that is set.
    """

    def __init__(
        self, folder: Path, settings: dict[str, Any], descriptors: int | None = None
    ) -> None:
        limited = ["sh", "-c", f'ulimit -n {descriptors}; exec "$@"', "sh"] if descriptors else []
        self.folder = folder
        self._log = (folder / "stderr").open("w+")
        self.process = subprocess.Popen(
            [*limited, sys.executable, str(HERE / "start_server.py"), json.dumps(settings)],
            stdout=subprocess.PIPE,
            stderr=self._log,
            text=True,
            env={**os.environ, "TMPDIR": str(folder), "OMP_NUM_THREADS": "1"},
        )
        assert self.process.stdout is not None
        self.address = self.process.stdout.readline().strip()
        assert self.address, (folder / "stderr").read_text()

    @property
    def stream_address(self) -> str:
        return self.address.replace("http", "ws", 1) + "/v1/stream"

    def workers(self) -> list[int]:
        """The processes that hear uploads."""
        children = Path(f"/proc/{self.process.pid}/task/{self.process.pid}/children").read_text()
        return [int(number) for number in children.split()]

    @property
    def log(self) -> str:
        return (self.folder / "stderr").read_text()

    def memory_bytes(self) -> int:
        status = Path(f"/proc/{self.process.pid}/status").read_text()
        return int(status.split("VmRSS:")[1].split()[0]) * 1024

    def metric(self, name: str) -> float:
        lines = httpx.get(f"{self.address}/metrics").text.splitlines()
        return sum(
            float(line.split()[-1]) for line in lines if line.split("{")[0].split()[0] == name
        )

    def uploads(self) -> list[Path]:
        return list(self.folder.glob("oido-serve-*/*"))

    def stop(self) -> int:
        self.process.send_signal(signal.SIGTERM)
        code = self.process.wait(30)
        assert self.process.stdout is not None
        self.process.stdout.close()
        self._log.close()
        return code


StartServer = Callable[..., contextlib.AbstractContextManager[Server]]


@contextlib.contextmanager
def running(folder: Path, *, descriptors: int | None = None, **settings: Any) -> Iterator[Server]:
    server = Server(folder, {"workers": 1, **settings}, descriptors)
    try:
        yield server
    finally:
        if server.process.poll() is None:
            server.stop()


@pytest.fixture
def start_server(tmp_path: Path) -> StartServer:
    return lambda **settings: running(tmp_path, **settings)


@pytest.fixture(scope="session")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """The one that most tests share. Its limits are small."""
    limits = {"body_bytes": 4_000_000, "duration_seconds": 90, "streams": 20, "rows": 20_000}
    with running(tmp_path_factory.mktemp("server"), limits=limits) as started:
        yield started


@pytest.fixture(scope="session")
def street(pytestconfig: pytest.Config) -> Path:
    return pytestconfig.rootpath / "examples" / "street.flac"


@pytest.fixture(scope="session")
def street_samples(street: Path) -> NDArray[np.int16]:
    """int16[n] at 16 kHz."""
    samples, rate_hz = soundfile.read(street, dtype="int16")
    assert rate_hz == 16_000
    return np.asarray(samples)


@pytest.fixture(scope="session")
def pem(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """A certificate of 127.0.0.1, signed by itself, and its key."""
    if shutil.which("openssl") is None:
        pytest.skip("needs openssl")
    folder = tmp_path_factory.mktemp("pem")
    certificate, key = folder / "cert.pem", folder / "key.pem"
    words = "req -x509 -newkey rsa:2048 -nodes -days 2 -subj /CN=oido -addext"
    command = ["openssl", *words.split(), "subjectAltName=IP:127.0.0.1"]
    command += ["-keyout", str(key), "-out", str(certificate)]
    subprocess.run(command, check=True, capture_output=True)
    return certificate, key


@pytest.fixture
def eventually() -> Callable[[Callable[[], bool]], None]:
    """Waits until something is so; fails after 20 s."""

    def wait(holds: Callable[[], bool]) -> None:
        deadline = time.monotonic() + 20
        while not holds():
            assert time.monotonic() < deadline
            time.sleep(0.02)

    return wait
