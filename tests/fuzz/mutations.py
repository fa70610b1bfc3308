# SPDX-License-Identifier: Apache-2.0
"""Damage to a file, made from a seed, so that every mutant can be made again.

Imported by the child process too, which has nothing but this folder: the standard library and
NumPy only.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

__all__ = ["mutate"]

_TELLING = (0, 1, 2, 0x7F, 0x80, 0xFF, 0x100, 0x7FFF, 0x8000, 0xFFFF, 0x10000)
_TELLING += (0x7FFFFFFF, 0x80000000, 0xFFFFFFFE, 0xFFFFFFFF, 1 << 63, (1 << 64) - 1)
_HEADER_BYTES = 160

Mutation = Callable[[bytearray, np.random.Generator, bytes], str]


def mutate(content: bytes, other: bytes, rng: np.random.Generator) -> tuple[bytes, str]:
    """One to three mutations of ``content`` (``other``: a file to take foreign bytes from).

    Gives the mutant and the mutations in words.
    """
    mutant, words = bytearray(content), []
    for _ in range(int(rng.choice([1, 1, 1, 2, 3]))):
        mutation = _MUTATIONS[int(rng.integers(len(_MUTATIONS)))]
        if mutant:
            words.append(mutation(mutant, rng, other))
    return bytes(mutant), "; ".join(words)


def _position(mutant: bytearray, rng: np.random.Generator) -> int:
    """Anywhere, but half of the time in the header, where the harm is."""
    end = len(mutant)
    return int(rng.integers(min(end, _HEADER_BYTES) if rng.random() < 0.5 else end))


def _flip_bits(mutant: bytearray, rng: np.random.Generator, _: bytes) -> str:
    count = int(rng.choice([1, 2, 8, 64]))
    for _index in range(count):
        mutant[_position(mutant, rng)] ^= 1 << int(rng.integers(8))
    return f"{count} bits flipped"


def _truncate(mutant: bytearray, rng: np.random.Generator, _: bytes) -> str:
    length = _position(mutant, rng)
    del mutant[length:]
    return f"cut to {length} bytes"


def _insert(mutant: bytearray, rng: np.random.Generator, _: bytes) -> str:
    at, count = _position(mutant, rng), int(rng.choice([1, 2, 3, 16, 700]))
    mutant[at:at] = rng.bytes(count)
    return f"{count} bytes of garbage inserted at {at}"


def _delete(mutant: bytearray, rng: np.random.Generator, _: bytes) -> str:
    at, count = _position(mutant, rng), int(rng.choice([1, 2, 4, 100, 2_000]))
    del mutant[at : at + count]
    return f"{count} bytes deleted at {at}"


def _overwrite_field(mutant: bytearray, rng: np.random.Generator, _: bytes) -> str:
    size = int(rng.choice([1, 2, 4, 4, 8]))
    at = _position(mutant, rng) // size * size
    value = _TELLING[int(rng.integers(len(_TELLING)))] % (1 << 8 * size)
    order = "little" if rng.random() < 0.5 else "big"
    mutant[at : at + size] = value.to_bytes(size, order)[: len(mutant) - at]
    return f"{size}-byte field at {at} set to {value:#x} ({order})"


def _fill(mutant: bytearray, rng: np.random.Generator, _: bytes) -> str:
    at, count = _position(mutant, rng), int(rng.choice([16, 300, 5_000]))
    value = int(rng.choice([0, 0xFF, 0x55]))
    count = min(count, len(mutant) - at)
    mutant[at : at + count] = bytes([value]) * count
    return f"{count} bytes at {at} filled with {value:#x}"


def _noise(mutant: bytearray, rng: np.random.Generator, _: bytes) -> str:
    at = _position(mutant, rng)
    count = min(int(rng.choice([4, 50, 1_000])), len(mutant) - at)
    mutant[at : at + count] = rng.bytes(count)
    return f"{count} bytes at {at} made random"


def _repeat(mutant: bytearray, rng: np.random.Generator, _: bytes) -> str:
    at, count = _position(mutant, rng), int(rng.choice([8, 200, 3_000]))
    mutant[at:at] = mutant[at : at + count]
    return f"{count} bytes at {at} repeated"


def _splice(mutant: bytearray, rng: np.random.Generator, other: bytes) -> str:
    at = _position(mutant, rng)
    start = int(rng.integers(max(1, len(other))))
    mutant[at:] = other[start : start + 20_000]
    return f"from {at} on another file, from its byte {start}"


_MUTATIONS: tuple[Mutation, ...] = (
    _flip_bits,
    _truncate,
    _insert,
    _delete,
    _overwrite_field,
    _overwrite_field,
    _overwrite_field,
    _fill,
    _noise,
    _repeat,
    _splice,
)
