# SPDX-License-Identifier: Apache-2.0
"""The cache's limit: of what is made anew at need, the longest unused goes beyond so many bytes.

Models stay, because they would have to be fetched again. OIDO_CACHE may name a folder that others
use, too: what has no name of the cache's is neither counted nor deleted.
"""

from __future__ import annotations

import contextlib
import os
import re
from collections.abc import Iterator
from pathlib import Path

from oido.errors import OptionError
from oido.messages import tr
from oido.models.fetch import cache_folder

LIMIT_VARIABLE = "OIDO_CACHE_LIMIT"
_DEFAULT_LIMIT = 2_000_000_000

_HASH = "[0-9a-f]"
_PART = rf"\.[^/]+\.[0-9]+-{_HASH}{{8}}\.part"
NAMES = {
    "models": re.compile(rf"[^/]+-{_HASH}{{12}}\.[a-z0-9]+|{_PART}"),
    "derived": re.compile(rf"[^/]+-{_HASH}{{16}}-{_HASH}{{64}}\.tflite|{_PART}"),
    "embeddings": re.compile(rf"{_HASH}{{24}}/({_HASH}{{40}}-[^/]+\.npz|{_PART})"),
}
"""What the cache calls its files, by folder."""
MADE_ANEW = ("derived", "embeddings")
_UNITS = {"": 1, "K": 1e3, "M": 1e6, "G": 1e9, "T": 1e12}


def limit_bytes() -> int:
    """What graphs and embeddings may have together: OIDO_CACHE_LIMIT (500M, 2GB), or 2 GB.

    Raises OptionError for what is no size.
    """
    text = os.environ.get(LIMIT_VARIABLE, "").strip()
    if not text:
        return _DEFAULT_LIMIT
    match = re.fullmatch(r"(\d+(?:\.\d+)?)\s*([KMGT]?)i?B?", text, re.IGNORECASE)
    if match is None:
        raise OptionError(
            tr(
                "{limit_variable} is a size such as 500M or 2GB, not {text!r}",
                limit_variable=LIMIT_VARIABLE,
                text=text,
            )
        )
    return int(float(match[1]) * _UNITS[match[2].upper()])


def trim_cache() -> int:
    """Delete what has not been used for longest until the limit holds; the bytes that went."""
    files = sorted(_files())
    excess = sum(size for _, size, _ in files) - limit_bytes()
    gone = 0
    for _, size, path in files:
        if gone >= excess:
            break
        with contextlib.suppress(OSError):  # another process may be first
            path.unlink()
            gone += size
    return gone


def _files() -> Iterator[tuple[float, int, Path]]:
    """When each was last used, its size and path; of regular files with a name of the cache's."""
    for part in MADE_ANEW:
        folder = cache_folder() / part
        for path in folder.rglob("*"):
            if NAMES[part].fullmatch(path.relative_to(folder).as_posix()):
                with contextlib.suppress(OSError):
                    if path.is_file() and not path.is_symlink() and path.suffix != ".part":
                        found = path.stat()
                        yield found.st_atime, found.st_size, path
