# SPDX-License-Identifier: Apache-2.0
"""Messages for actions, and an action in its thread."""

from __future__ import annotations

import time
from dataclasses import replace

import numpy as np

from oido.live.actions import Action, Runner
from oido.live.clips import AudioClip
from oido.live.triggers import TriggerState

ON = TriggerState(
    0,
    "dog",
    "Dog>0.5",
    "on",
    "Dog; rm -rf $HOME",
    0.75,
    None,
    1.5,
    2.5,
    "2026-05-01T12:03:05.120Z",
    "2026-05-01T12:03:06.120Z",
    "mic:küche",
)


OFF = replace(ON, state="off")


CLIP = AudioClip(0.5, 8_000, np.arange(4_000, dtype=np.int16))


class Running:
    """An action in its runner; ``said`` is what the user reads."""

    def __init__(self, action: Action) -> None:
        self.said: list[str] = []
        self.runner = Runner(action, self.said.append)
        self.runner.start([])

    def close(self) -> None:
        self.runner.close(time.monotonic() + 10)
