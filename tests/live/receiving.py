# SPDX-License-Identifier: Apache-2.0
"""An address that a thread reads, and what came of it and when."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np

from oido.errors import AudioError
from oido.live.network import BackOff, NetworkReader
from oido.live.source import SourceGap
from oido.live.tls import Tls

LOGIN = "Basic bWU6c2VjcmV0"  # me:secret
EXAMPLES = Path(__file__).parents[2] / "examples"

QUICK = BackOff(0.2, 0.4)


def wait_for(condition: Callable[[], object]) -> None:
    limit = time.monotonic() + 60
    while not condition():
        assert time.monotonic() < limit
        time.sleep(0.02)


class Listening:
    """Reads in a thread, as the one that hears does; keeps the samples and when they came."""

    def __init__(self, url: str, timeout: float = 10.0, tls: Tls | None = None) -> None:
        self.began = time.monotonic()
        self.gaps: list[SourceGap] = []
        self.said: list[str] = []
        self.reader = NetworkReader(
            url,
            timeout=timeout,
            back_off=QUICK,
            tls=tls,
            on_gap=self.gaps.append,
            on_message=self.said.append,
        )
        self.blocks: list[np.ndarray] = []
        self.error: BaseException | None = None
        self.thread = threading.Thread(target=self._read, daemon=True)
        self.thread.start()

    def _read(self) -> None:
        try:
            for block in self.reader.blocks():
                self.blocks.append(block)
        except AudioError as error:
            self.error = error

    @property
    def seconds(self) -> float:
        return sum(map(len, self.blocks)) / self.reader.info.sample_rate_hz

    @property
    def samples(self) -> np.ndarray:
        return np.concatenate(self.blocks)[:, 0]

    @property
    def ahead_seconds(self) -> float:
        """By how much the samples are ahead of the clock."""
        return self.seconds - (time.monotonic() - self.began)

    def wait_until(self, seconds: float) -> None:
        wait_for(lambda: self.seconds >= seconds)

    def close(self) -> None:
        self.reader.close()
