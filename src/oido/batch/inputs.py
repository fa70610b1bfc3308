# SPDX-License-Identifier: Apache-2.0
"""What a user names, files, folders and patterns, to the list of recordings."""

from __future__ import annotations

import glob
import os
from collections.abc import Iterator, Sequence
from typing import NamedTuple

from oido.errors import OptionError
from oido.params import AUDIO_SUFFIXES

__all__ = ["Recording", "find_recordings"]


class Recording(NamedTuple):
    """A recording as the user named it, and its path below the folder that was named."""

    path: str
    relative: str


def find_recordings(paths: Sequence[str]) -> list[Recording]:
    """The recordings that these files, folders (searched to the bottom) and patterns name.

    In the order given, and by name inside a folder; each once. A file that does not exist is kept:
    hearing it fails, and the run goes on. Raises OptionError if a folder or a pattern holds
    nothing, because then the run would silently do less than was asked.
    """
    found: dict[str, Recording] = {}
    for path in paths:
        if path == "-" or os.path.isfile(path):
            files, root = [path], os.path.dirname(path)
        elif os.path.isdir(path):
            files, root = list(_walk(path)), path
            if not files:
                raise OptionError(f"{path}: no recordings in this folder (such as .wav or .mp3)")
        elif glob.has_magic(path):
            matches = sorted(glob.glob(path, recursive=True))
            files = [match for match in matches if os.path.isfile(match)]
            root = os.path.commonpath([os.path.dirname(f) for f in files]) if files else ""
            if not files:
                raise OptionError(f"{path}: no file fits this pattern")
        else:
            files, root = [path], os.path.dirname(path)
        for file in files:
            relative = os.path.relpath(file, root or os.curdir)
            found.setdefault(file, Recording(file, relative))
    return list(found.values())


def _walk(folder: str) -> Iterator[str]:
    for root, folders, files in os.walk(folder):
        folders.sort()
        for name in sorted(files):
            hidden = name.startswith(".")  # also the "._name" stumps that macOS leaves behind
            if not hidden and os.path.splitext(name)[1].lower() in AUDIO_SUFFIXES:
                yield os.path.join(root, name)
