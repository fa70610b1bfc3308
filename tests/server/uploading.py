# SPDX-License-Identifier: Apache-2.0
"""Recordings as clients send them."""

from __future__ import annotations

import io
from typing import Any

import httpx
import numpy as np
import soundfile


def post(server: Any, content: Any, query: str = "", **more: Any) -> httpx.Response:
    return httpx.post(f"{server.address}/v1/classify{query}", content=content, timeout=60, **more)


def flac(seconds: float, rate_hz: int = 16_000, *, is_work: bool = False) -> bytes:
    """Silence as FLAC: about 60 bytes a second. is_work: faint noise, whose windows all differ, and
    take the network its time."""
    file = io.BytesIO()
    samples = np.zeros(int(seconds * rate_hz), np.int16)
    if is_work:
        samples = np.random.default_rng(0).integers(-1, 2, len(samples), np.int16)
    soundfile.write(file, samples, rate_hz, "PCM_16", format="FLAC")
    return file.getvalue()
