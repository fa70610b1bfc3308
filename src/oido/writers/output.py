# SPDX-License-Identifier: Apache-2.0
"""Files that appear under their name only when they are whole."""

from __future__ import annotations

import contextlib
import json
import os
from pathlib import Path
from typing import IO, Any

from oido.errors import OutputError

__all__ = ["AtomicFile", "write_json"]


def write_json(path: Path, values: Any) -> None:
    """Plain values as an indented JSON file, whole or not at all. Raises OutputError."""
    file = AtomicFile(path)
    with file.guard():
        file.stream.write(json.dumps(values, ensure_ascii=False, indent=2) + "\n")
    file.commit()


class AtomicFile:
    """Written beside its final name, and moved there by ``commit``; ``discard`` leaves nothing.

    ``stream`` is a text (UTF-8) or binary file. Every OSError of a disk (full, read-only, gone)
    becomes an OutputError that names the file, from whichever step it came.
    """

    def __init__(self, path: Path, binary: bool = False) -> None:
        self.path = path
        self._temporary = path.with_name(f".{path.name}.{os.getpid()}.part")
        with self.guard():
            path.parent.mkdir(parents=True, exist_ok=True)
            self.stream: IO[Any] = (
                self._temporary.open("wb")
                if binary
                else self._temporary.open("w", encoding="utf-8", newline="")
            )

    def commit(self, path: Path | None = None) -> None:
        """Make it whole on disk, then give it its name (or another one)."""
        with self.guard():
            self.stream.flush()
            os.fsync(self.stream.fileno())
            self.stream.close()
            os.replace(self._temporary, path or self.path)

    def discard(self) -> None:
        """Forget it; safe to call at any time, also after ``commit``."""
        with contextlib.suppress(OSError, ValueError):
            self.stream.close()
        with contextlib.suppress(OSError):
            os.unlink(self._temporary)

    @contextlib.contextmanager
    def guard(self) -> Any:
        """Turn an OSError inside into an OutputError, and leave nothing half-written."""
        try:
            yield
        except OSError as error:
            if hasattr(self, "stream"):
                self.discard()
            raise OutputError(
                f"{self.path} cannot be written: {error.strerror or error}; "
                "nothing was left under that name"
            ) from error
