# SPDX-License-Identifier: Apache-2.0
"""WAV files written byte by byte, so that the tests decide what is odd in them."""

from __future__ import annotations

import struct
from typing import Any

import numpy as np
from numpy.typing import NDArray

__all__ = ["chunk", "encode_samples", "fmt", "riff", "wav"]

_PCM, _FLOAT, _EXTENSIBLE = 1, 3, 0xFFFE
_GUID_TAIL = bytes.fromhex("000000001000800000aa00389b71")


def encode_samples(samples: NDArray[Any], encoding: str) -> bytes:
    """f64[n, channels] in [-1, 1) as "u8", "s16", "s24", "s32", "f32" or "f64" bytes."""
    if encoding == "u8":
        return (np.round(samples * 128.0) + 128.0).astype(np.uint8).tobytes()
    if encoding == "s24":
        whole = np.round(samples * 2.0**23).astype("<i4")
        return whole.reshape(-1, 1).view(np.uint8)[:, :3].tobytes()
    if encoding.startswith("f"):
        return samples.astype(f"<f{int(encoding[1:]) // 8}").tobytes()
    bits = int(encoding[1:])
    return np.round(samples * 2.0 ** (bits - 1)).astype(f"<i{bits // 8}").tobytes()


def chunk(name: bytes, content: bytes, size: int | None = None) -> bytes:
    """A RIFF chunk, padded to even length; ``size`` overrides what its header says."""
    padding = b"\0" * (len(content) % 2)
    return name + struct.pack("<I", len(content) if size is None else size) + content + padding


def fmt(rate_hz: int, channels: int, encoding: str, extensible: bool = False) -> bytes:
    """The fmt chunk."""
    bits, tag = int(encoding[1:]), _FLOAT if encoding.startswith("f") else _PCM
    align = channels * bits // 8
    basic = struct.pack("<HIIHH", channels, rate_hz, rate_hz * align, align, bits)
    if not extensible:
        return chunk(b"fmt ", struct.pack("<H", tag) + basic)
    mask = (1 << channels) - 1 if channels <= 18 else 0
    extension = struct.pack("<HHIH", 22, bits, mask, tag) + _GUID_TAIL
    return chunk(b"fmt ", struct.pack("<H", _EXTENSIBLE) + basic + extension)


def riff(*chunks: bytes, size: int | None = None) -> bytes:
    """The whole file from its chunks."""
    content = b"WAVE" + b"".join(chunks)
    return b"RIFF" + struct.pack("<I", len(content) if size is None else size) + content


def wav(
    samples: NDArray[Any], rate_hz: int, encoding: str = "s16", extensible: bool = False
) -> bytes:
    """A plain file of f64[n] or f64[n, channels]."""
    samples = samples if samples.ndim == 2 else samples[:, None]
    head = fmt(rate_hz, samples.shape[1], encoding, extensible)
    return riff(head, chunk(b"data", encode_samples(samples, encoding)))
