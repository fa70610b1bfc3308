# SPDX-License-Identifier: Apache-2.0
"""Graphs that were written from weights, kept in the cache, so that it is done once.

A file's name says which weights it is from and what it must hash to: one that was cut short or
changed is written anew.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable
from pathlib import Path

from oido.models.fetch import cache_folder, sha256_of, write_whole

__all__ = ["derived_graph"]

_VERSION = 1
"""Of the graphs that oido writes; another one makes them anew."""


def derived_graph(source_sha256: str, kind: str, make: Callable[[], bytes]) -> bytes:
    """The .tflite of this kind from weights of this hash: the cached one, or ``make()``, cached.

    A cache that cannot be written is passed over.
    """
    stem = f"{kind}-{_VERSION}-{source_sha256[:16]}"
    folder = cache_folder() / "derived"
    for path in folder.glob(f"{stem}-*.tflite"):
        with contextlib.suppress(OSError):
            content = path.read_bytes()
            if path.stem.endswith(sha256_of(content)):
                return content
            path.unlink()
    content = make()
    with contextlib.suppress(OSError):
        write_whole(Path(folder / f"{stem}-{sha256_of(content)}.tflite"), content)
    return content
