# SPDX-License-Identifier: Apache-2.0
"""Files that are the same recording under several names."""

from __future__ import annotations

import hashlib
import os
from collections import defaultdict
from collections.abc import Callable, Iterable

from oido.datasets.clip import Clip

_HEAD_BYTES = 1 << 16
_CHUNK_BYTES = 1 << 20


def same_content(paths: Iterable[str]) -> list[tuple[str, ...]]:
    """Sets of paths whose files hold the same bytes, each in the order of ``paths``.

    Only files that agree in size and in their first 64 KB are read to the end, for their SHA-256.
    Files that cannot be read, or are empty, are the same as none.
    """
    sets: list[list[str]] = [list(dict.fromkeys(paths))]
    for key in (os.path.getsize, _head, content_sha256):
        sets = [part for candidates in sets for part in _divide(candidates, key)]
    return [tuple(part) for part in sets]


def join_duplicates(clips: Iterable[Clip], duplicates: Iterable[tuple[str, ...]]) -> dict[str, str]:
    """The group for each group's name, when recordings of the same content are one.

    Of groups that become one, the first name in the order of the alphabet stays.
    """
    of_path: defaultdict[str, list[str]] = defaultdict(list)
    parent: dict[str, str] = {}
    for clip in clips:
        of_path[clip.path].append(clip.group)
        parent[clip.group] = clip.group

    def root(group: str) -> str:
        while parent[group] != group:
            parent[group] = group = parent[parent[group]]
        return group

    for paths in duplicates:
        groups = sorted({root(group) for path in paths for group in of_path[path]})
        for group in groups[1:]:
            parent[group] = groups[0]
    return {group: root(group) for group in parent}


def _divide(paths: list[str], key: Callable[[str], object]) -> list[list[str]]:
    """The paths that agree in something with another, by what they agree in."""
    parts: defaultdict[object, list[str]] = defaultdict(list)
    for path in paths:
        try:
            value = key(path)
        except (OSError, ValueError):
            continue
        if value:
            parts[value].append(path)
    return [part for part in parts.values() if len(part) > 1]


def _head(path: str) -> bytes:
    with open(path, "rb") as file:
        return hashlib.sha256(file.read(_HEAD_BYTES)).digest()


def content_sha256(path: str) -> bytes:
    """The SHA-256 of what a file holds. Raises OSError."""
    digest = hashlib.sha256()
    with open(path, "rb") as file:
        while chunk := file.read(_CHUNK_BYTES):
            digest.update(chunk)
    return digest.digest()
