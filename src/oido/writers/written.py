# SPDX-License-Identifier: Apache-2.0
"""Which files of a folder oido wrote, so that no other is ever overwritten or deleted there.

In a folder that the user names, the names of the files are oido's choice: one of them may belong to
somebody's own work, or be a result that has been corrected by hand since. ``.oido-written``
has a line for each file that oido wrote there, with its SHA-256, added before the file gets its
name; a file that stands there as it was written may be replaced, and no other.
"""

from __future__ import annotations

import hashlib
import json
import os
from collections import defaultdict
from collections.abc import Iterable
from pathlib import Path

from oido.errors import OptionError, OutputError
from oido.messages import listed, tr

WRITTEN_NAME = ".oido-written"

_NAMED = 4


class WrittenFiles:
    """The record of one folder, which need not exist yet."""

    def __init__(self, folder: Path) -> None:
        self._folder, self._path = folder, folder / WRITTEN_NAME
        self._hashes: dict[str, set[str]] = defaultdict(set)
        try:
            lines = self._path.read_text(encoding="utf-8").splitlines()
        except OSError:
            lines = []
        for line in lines:
            try:
                entry = json.loads(line)
                self._hashes[entry["name"]].add(entry["sha256"])
            except (ValueError, KeyError, TypeError):
                continue  # cut off by a power cut: that file was not named yet

    def is_ours(self, path: Path) -> bool:
        """Whether a file below the folder is just as oido wrote it."""
        known = self._hashes.get(self._name(path))
        try:
            return bool(known) and path.is_file() and sha256_of_file(path) in known  # type: ignore[operator]
        except OSError:
            return False

    def refuse_others(self, paths: Iterable[Path], doing: str) -> None:
        """Raise OptionError if one of these exists and is not as oido wrote it, and for a folder
        that is none."""
        if self._folder.exists() and not self._folder.is_dir():
            raise OptionError(tr("{folder} is a file: name a folder", folder=self._folder))
        others = [p for p in paths if os.path.lexists(p) and not self.is_ours(p)]
        if others:
            raise OptionError(
                tr(
                    "{others} would be {doing}, but oido did not write that as "
                    "it is now: move it away, or give another folder",
                    others=listed([str(path) for path in others], _NAMED),
                    doing=doing,
                )
            )

    def add(self, content: Path, path: Path) -> None:
        """Note that ``path`` is about to become what ``content`` holds. Raises OutputError."""
        name, digest = self._name(path), sha256_of_file(content)
        if digest in self._hashes[name]:
            return
        line = json.dumps({"name": name, "sha256": digest}) + "\n"
        try:
            with self._path.open("a", encoding="utf-8") as file:
                file.write(line)
                file.flush()
                os.fsync(file.fileno())
        except OSError as error:
            raise OutputError(
                tr(
                    "{path} cannot be written: {reason}",
                    path=self._path,
                    reason=error.strerror or error,
                )
            ) from error
        self._hashes[name].add(digest)

    def _name(self, path: Path) -> str:
        return path.relative_to(self._folder).as_posix()


def sha256_of_file(path: str | Path) -> str:
    """Hex digest of a file's content, read block by block. Raises OSError."""
    digest = hashlib.sha256()
    with open(path, "rb") as file:
        while block := file.read(1 << 20):
            digest.update(block)
    return digest.hexdigest()
