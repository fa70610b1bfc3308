# SPDX-License-Identifier: Apache-2.0
"""The cache: files that are whole or not there, and of what is made anew no more than a limit.

Beyond it the longest unused goes. Models stay, because they would have to be fetched again.
OIDO_CACHE may name a folder that others use, too: what has no name of the cache's is neither
counted nor deleted.

Graphs that oido writes from published weights are kept there too. Their name says which weights
they are from and what they must hash to: one that was cut short or changed is written anew.
"""

from __future__ import annotations

import contextlib
import hashlib
import os
import re
import secrets
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import platformdirs

from oido.errors import OptionError
from oido.messages import tr

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

_GRAPH_VERSION = 1
"""Of the graphs that oido writes; another one makes them anew."""


def cache_folder() -> Path:
    """The cache: OIDO_CACHE, or the user's cache folder."""
    return Path(os.environ.get("OIDO_CACHE") or platformdirs.user_cache_dir("oido"))


def sha256_of(content: bytes) -> str:
    """The SHA-256 of a file's content, in hex."""
    return hashlib.sha256(content).hexdigest()


def write_whole(path: Path, content: bytes, *, sync: bool = True) -> None:
    """A file of the cache, which appears under its name only when it is whole. Raises OSError.

    sync: wait until the disk has it; without, a power cut may leave it damaged.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    # Not mkstemp, whose files only their owner may read: others may share this cache.
    temporary = path.with_name(f".{path.name}.{os.getpid()}-{secrets.token_hex(4)}.part")
    try:
        with temporary.open("xb") as file:
            file.write(content)
            if sync:
                file.flush()
                os.fsync(file.fileno())
        os.replace(temporary, path)
    except BaseException:
        temporary.unlink(missing_ok=True)
        raise


def mark_used(path: Path) -> None:
    """A file of the cache is read, and so not among the first to go.

    Said by its time of access, which file systems do not keep by themselves.
    """
    with contextlib.suppress(OSError):
        os.utime(path, ns=(time.time_ns(), path.stat().st_mtime_ns))


def derived_graph(source_sha256: str, kind: str, make: Callable[[], bytes]) -> bytes:
    """The .tflite of this kind from weights of this hash: the cached one, or ``make()``, cached.

    A cache that cannot be written is passed over.
    """
    stem = f"{kind}-{_GRAPH_VERSION}-{source_sha256[:16]}"
    folder = cache_folder() / "derived"
    for path in folder.glob(f"{stem}-*.tflite"):
        with contextlib.suppress(OSError):
            content = path.read_bytes()
            if path.stem.endswith(sha256_of(content)):
                mark_used(path)
                return content
            path.unlink()
    content = make()
    with contextlib.suppress(OSError):
        write_whole(Path(folder / f"{stem}-{sha256_of(content)}.tflite"), content)
    return content


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
