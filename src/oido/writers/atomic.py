# SPDX-License-Identifier: Apache-2.0
"""Files that appear under their name only when they are whole."""

from __future__ import annotations

import contextlib
import errno
import hashlib
import json
import os
import secrets
import shutil
import tempfile
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import IO, Any

from oido.errors import OutputError
from oido.messages import tr
from oido.paths import is_special
from oido.writers.written import WrittenFiles

_NO_LINKS = {errno.EPERM, errno.ENOTSUP, errno.EOPNOTSUPP, errno.ENOSYS, errno.EINVAL}
"""What file systems without hard links say."""

_LONGEST_NAME = 255
"""Bytes of a name, in the file systems that people have."""


def write_text(path: Path, text: str) -> None:
    """A text file, whole or not at all. Raises OutputError."""
    with write_atomically(path) as file:
        file.stream.write(text)


def write_json(path: Path, values: Any) -> None:
    """Plain values as an indented JSON file, likewise."""
    write_text(path, json.dumps(values, ensure_ascii=False, indent=2) + "\n")


class AtomicFile:
    """Written beside its final name, and moved there by ``commit``; ``discard`` leaves nothing.

    ``stream`` is a text (UTF-8) or binary file. Every OSError of a disk (full, read-only, gone)
    becomes an OutputError that names the file, from whichever step it came. The name it has until
    then is a new one, which no other file can have; owner: a word in that name. One that is let go
    of is discarded too, so that a Ctrl-C at any moment leaves nothing.

    A link to a file stays one: the file gets the content. A pipe or a device is never replaced: it
    is written to, when all is there.
    """

    def __init__(self, path: Path, binary: bool = False, *, owner: str = "") -> None:
        self.path = path
        mark = f"{owner or os.getpid()}-{secrets.token_hex(4)}"
        name = f".{path.name}.{mark}.part"
        if len(os.fsencode(name)) > _LONGEST_NAME:  # though its own name may be short enough
            name = f".{hashlib.sha256(os.fsencode(path.name)).hexdigest()[:16]}.{mark}.part"
        self._is_special = os.path.exists(path) and is_special(path)
        folder = Path(tempfile.gettempdir()) if self._is_special else _followed(path).parent
        self._temporary = folder / name
        with self.guard():
            path.parent.mkdir(parents=True, exist_ok=True)
            self.stream: IO[Any] = (
                self._temporary.open("xb")
                if binary
                else self._temporary.open("x", encoding="utf-8", newline="")
            )

    def commit(self, path: Path | None = None, *, record: WrittenFiles | None = None) -> None:
        """Make it whole on disk, then give it its name (or another one), whoever had it before.

        record: of the folder, in which its name is noted first.
        """
        with self.guard():
            self._end()
            if self._is_special:
                with self._temporary.open("rb") as content, self.path.open("ab") as file:
                    shutil.copyfileobj(content, file)
                os.unlink(self._temporary)
                return
            if record is not None:
                record.add(self._temporary, path or self.path)
            os.replace(self._temporary, _followed(path or self.path))

    def commit_new(self) -> None:
        """As ``commit``, but raises FileExistsError where something has that name already."""
        with self.guard():
            self._end()
        try:
            os.link(self._temporary, self.path)
        except FileExistsError:
            self.discard()
            raise
        except OSError as error:
            with self.guard():
                if error.errno not in _NO_LINKS:
                    raise
            if os.path.lexists(self.path):
                self.discard()
                raise FileExistsError(str(self.path)) from error
            with self.guard():
                os.rename(self._temporary, self.path)
        else:
            self.discard()

    def _end(self) -> None:
        self.stream.flush()
        os.fsync(self.stream.fileno())
        self.stream.close()

    def discard(self) -> None:
        """Forget it; safe to call at any time, also after ``commit``."""
        with contextlib.suppress(AttributeError, OSError, ValueError):  # it may not have begun
            self.stream.close()
        with contextlib.suppress(AttributeError, OSError):
            os.unlink(self._temporary)

    __del__ = discard

    @contextlib.contextmanager
    def guard(self) -> Any:
        """Turn an OSError inside into an OutputError, and leave nothing half-written."""
        try:
            yield
        except OutputError:
            self.discard()
            raise
        except OSError as error:
            self.discard()
            raise OutputError(
                tr(
                    "{path} cannot be written: {reason}; nothing was left under that name",
                    path=self.path,
                    reason=error.strerror or error,
                )
            ) from error


def _followed(path: Path) -> Path:
    """The file that a link leads to; the path itself where there is none."""
    is_link = os.path.islink(path) and os.path.isfile(path)  # no error where a name is too long
    return path.resolve() if is_link else path


@contextlib.contextmanager
def write_atomically(
    path: Path, binary: bool = False, *, owner: str = "", new: bool = False
) -> Iterator[AtomicFile]:
    """A file that gets its name when the block is left without an error, or else leaves nothing.

    new: raises FileExistsError instead of replacing one. Raises OutputError.
    """
    file = AtomicFile(path, binary, owner=owner)
    try:
        with file.guard():
            yield file
        if new:
            file.commit_new()
        else:
            file.commit()
    except BaseException:
        file.discard()
        raise


def write_recorded(path: Path, content: bytes, record: WrittenFiles) -> None:
    """A file of a folder whose record notes it. Raises OutputError."""
    file = AtomicFile(path, binary=True)
    try:
        with file.guard():
            file.stream.write(content)
        file.commit(record=record)
    finally:
        file.discard()


def write_folder(folder: Path, files: Mapping[str, bytes], *, recorded: bool = False) -> None:
    """A folder of these files, by relative URL, in the place of one that is there, or nothing.

    recorded: with a note of them (`WrittenFiles`). Raises OutputError.
    """
    mark = f"{os.getpid()}-{secrets.token_hex(4)}"
    new, old = (folder.with_name(f".{folder.name}.{mark}.{end}") for end in ("part", "old"))
    try:
        for url, content in files.items():
            path = new / url
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(content)
        record = WrittenFiles(new)
        for url in files if recorded else ():
            record.add(new / url, new / url)
        if folder.exists():
            os.replace(folder, old)
        try:
            os.replace(new, folder)
        except OSError:
            with contextlib.suppress(OSError):
                os.replace(old, folder)
            raise
    except OSError as error:
        raise OutputError(
            tr(
                "{folder} cannot be written: {reason}; it was left as it was",
                folder=folder,
                reason=error.strerror or error,
            )
        ) from error
    finally:
        shutil.rmtree(new, ignore_errors=True)
        shutil.rmtree(old, ignore_errors=True)


def keep_original(path: Path) -> Path:
    """Copy a file to ``….orig``, or ``….orig2`` and so on; what was kept before stays. OSError."""
    kept = free_path(lambda number: path.with_name(f"{path.name}.orig{number}"))
    shutil.copy2(path, kept)
    return kept


def free_path(named: Callable[[str], Path]) -> Path:
    """The first path that nothing has: ``named("")``, ``named("2")``, ``named("3")``, …"""
    number = 1
    while os.path.lexists(path := named("" if number == 1 else str(number))):
        number += 1
    return path
