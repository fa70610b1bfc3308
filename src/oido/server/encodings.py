# SPDX-License-Identifier: Apache-2.0
"""The page's files as they travel: compressed once, so that no visitor waits for it.

Beside a file may lie the same one as ``.br`` and ``.gz``, as hosts of static files look for them
(nginx's ``gzip_static``, Caddy's ``precompressed``). `make web` makes both of the runtime, which is
most of a first visit; of what has none beside it, gzip is made when it is asked for.
"""

from __future__ import annotations

import gzip
from collections.abc import Iterator
from pathlib import Path

ENDINGS = {"br": ".br", "gzip": ".gz"}
"""What stands in Content-Encoding, smallest first, and how such a file's name ends."""

_KINDS = {".html", ".css", ".js", ".json", ".webmanifest", ".svg", ".txt", ".wasm", ".tflite"}
_LEAST_BYTES = 512
_LARGEST_SHARE = 0.95
"""What saves less is not worth the work of undoing it."""


def encoded(url: str, file: Path | bytes, encoding: str) -> bytes | None:
    """A file's content in this encoding, or None where there is none, or it saves nothing."""
    if Path(url).suffix not in _KINDS:
        return None
    beside = None if isinstance(file, bytes) else file.with_name(file.name + ENDINGS[encoding])
    content = file if isinstance(file, bytes) else file.read_bytes()
    if beside is not None and beside.is_file():
        made = beside.read_bytes()
    elif encoding == "gzip" and len(content) >= _LEAST_BYTES:
        made = gzip.compress(content, 6, mtime=0)
    else:
        return None
    return made if len(made) < _LARGEST_SHARE * len(content) else None


def encoded_files(url: str, file: Path | bytes) -> Iterator[tuple[str, bytes]]:
    """Name and content of each file to lie beside this one."""
    for encoding, ending in ENDINGS.items():
        content = encoded(url, file, encoding)
        if content is not None:
            yield url + ending, content


def accepted(header: str) -> list[str]:
    """The encodings that an Accept-Encoding allows, smallest first."""
    allowed = {}
    for part in header.lower().split(","):
        name, _, parameter = part.partition(";")
        key, _, value = parameter.strip().partition("=")
        try:
            allowed[name.strip()] = float(value) if key.strip() == "q" else 1.0
        except ValueError:
            allowed[name.strip()] = 0.0
    common = allowed.get("*", 0.0)
    return [name for name in ENDINGS if allowed.get(name, common) > 0]
