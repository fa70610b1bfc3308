# SPDX-License-Identifier: Apache-2.0
"""The files of a results folder, on this machine or in an object store (fsspec).

A file has its final name only when it is whole, and is never changed afterwards. All files that a
run writes carry its id in their names, so that nothing else is ever mistaken for a leftover of it.
"""

from __future__ import annotations

import contextlib
import os
import re
import secrets
from collections.abc import Collection, Iterable, Iterator
from datetime import datetime
from pathlib import Path
from typing import IO, Any, NamedTuple

from oido.errors import OidoError, OptionError, OutputError
from oido.messages import tr
from oido.urls import filesystem_of, trouble_with
from oido.writers.atomic import write_atomically


def new_path(storage: Storage, folder: str, suffix: str) -> str:
    """A new name in a folder, that no other worker and no other run will choose."""
    return f"{folder}/{storage.run_id}-{secrets.token_hex(8)}{suffix}"


def is_written_by(path: str, run_ids: Collection[str]) -> bool:
    """Whether one of these runs gave a file its name, be it final (`new_path`) or not yet."""
    found = _OURS.fullmatch(path.rsplit("/", 1)[-1])
    return found is not None and (found["run"] or found["unfinished"]) in run_ids


_OURS = re.compile(
    r"(?P<run>[0-9a-f]{16})-[0-9a-f]{16}\.(parquet|npy)"
    r"|\..+\.(?P<unfinished>[0-9a-f]{16})-[0-9a-f]{8}\.part"
)


class FileFacts(NamedTuple):
    """Of a file in a results folder. modified: seconds since 1970, None where nobody knows."""

    size: int
    modified: float | None


def is_remote(path: str) -> bool:
    """Whether this is a URL rather than a path."""
    return "://" in path and not path.startswith("file://")


def storage_of(url: str, run_id: str = "") -> Storage:
    """The storage behind a path or URL; run_id: 16 hex digits, of the run that writes."""
    if is_remote(url):
        return _ObjectStore(url, run_id)
    return Storage(url.removeprefix("file://"), run_id)


class Storage:
    """A folder; paths are relative to it, with "/" between. Raises OutputError.

    run_id: of the run that writes there; empty for readers.
    """

    _lock: IO[bytes] | None = None

    def __init__(self, folder: str, run_id: str) -> None:
        self.url, self.run_id = os.path.abspath(folder), run_id

    def read(self, path: str) -> bytes:
        """The content. Raises FileNotFoundError."""
        with self.open(path) as file:
            content: bytes = file.read()
        return content

    def write_new(self, path: str, content: bytes) -> None:
        """All of it or nothing, safe on disk. Raises FileExistsError: nothing is overwritten."""
        with self.open_new(path) as file:
            file.write(content)

    @contextlib.contextmanager
    def open_new(self, path: str) -> Iterator[IO[Any]]:
        """A binary file that gets its name when the block is left without an error."""
        target = Path(self.full(path))
        with write_atomically(target, binary=True, owner=self.run_id, new=True) as file:
            yield file.stream
        try:
            _sync_folder(target.parent)
        except OSError as error:  # it has its name, and may have lost it when the disk is back
            raise OutputError(
                tr(
                    "{target}: the disk does not confirm that it keeps it: {reason}",
                    target=target,
                    reason=error.strerror or error,
                )
            ) from error

    def open(self, path: str) -> IO[Any]:
        """For reading."""
        return open(self.full(path), "rb")

    def names(self, folder: str) -> list[str]:
        """The files in a folder of it, sorted, as paths; none if it does not exist."""
        try:
            return [f"{folder}/{name}" for name in sorted(os.listdir(self.full(folder)))]
        except (FileNotFoundError, NotADirectoryError):
            return []

    def files(self, folder: str) -> dict[str, FileFacts]:
        """The files in a folder of it, by path; none if it does not exist."""
        found = {}
        with contextlib.suppress(FileNotFoundError, NotADirectoryError):
            for entry in os.scandir(self.full(folder)):
                with contextlib.suppress(FileNotFoundError):  # deleted meanwhile
                    if entry.is_file():
                        facts = entry.stat()
                        found[f"{folder}/{entry.name}"] = FileFacts(facts.st_size, facts.st_mtime)
        return found

    def exists(self, path: str) -> bool:
        """Whether there is such a file."""
        return os.path.isfile(self.full(path))

    def replace(self, path: str, content: bytes) -> None:
        """Write a file as ``write_new`` does, whoever had that name before."""
        with write_atomically(Path(self.full(path)), binary=True, owner=self.run_id) as file:
            file.stream.write(content)

    def entries(self) -> list[str]:
        """Names of files and folders at its top, sorted. Raises OptionError if it is no folder."""
        try:
            return sorted(os.listdir(self.url))
        except FileNotFoundError:
            return []
        except OSError as error:
            raise OptionError(
                tr(
                    "{url} cannot be a folder of results: {reason}",
                    url=self.url,
                    reason=error.strerror or error,
                )
            ) from error

    def delete(self, paths: Iterable[str]) -> None:
        """Those that exist. What cannot be deleted is left over, and counts no more."""
        for path in paths:
            with contextlib.suppress(OSError):
                os.unlink(self.full(path))

    def full(self, path: str) -> str:
        """The path or URL for others."""
        return os.path.join(self.url, path)

    def lock(self) -> None:
        """Claim the folder for this process. Raises OptionError if another has it."""
        try:
            os.makedirs(self.url, exist_ok=True)
            self._lock = open(self.full("lock"), "ab")  # noqa: SIM115  # locked until the end
        except OSError as error:
            raise _write_error(self.url, error) from error
        try:
            _lock_file(self._lock)
        except OSError as error:
            raise OptionError(
                tr(
                    "{url}: another run is writing there; wait for it, or choose another folder",
                    url=self.url,
                )
            ) from error

    def unlock(self) -> None:
        """Let another run have it."""
        if self._lock is not None:
            self._lock.close()
            self._lock = None


def _lock_file(file: IO[bytes]) -> None:
    """The system's own lock: it ends with the process, however that ends."""
    try:
        import fcntl
    except ImportError:  # Windows
        import msvcrt

        getattr(msvcrt, "locking")(file.fileno(), getattr(msvcrt, "LK_NBLCK"), 1)  # noqa: B009
    else:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)


def _sync_folder(folder: Path) -> None:
    """A new name is safe on disk only when its folder is; Windows does that by itself."""
    if os.name == "posix":
        descriptor = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)


class _ObjectStore(Storage):
    """A folder behind a URL (fsspec)."""

    def __init__(self, url: str, run_id: str) -> None:
        self.url, self.run_id = url.rstrip("/"), run_id
        self._files = filesystem_of(url)
        self._root = self._files._strip_protocol(self.url)

    def read(self, path: str) -> bytes:
        with self._reading(path):
            content: bytes = self._files.cat_file(f"{self._root}/{path}")
        return content

    @contextlib.contextmanager
    def _reading(self, path: str) -> Iterator[None]:
        """A store that does not answer is not one that has nothing there."""
        try:
            yield
        except FileNotFoundError:
            raise
        except Exception as error:
            reason = trouble_with(self.url, error)
            raise OidoError(
                tr(
                    "{full} cannot be read: {reason}; try again",
                    full=self.full(path),
                    reason=reason,
                )
            ) from error

    def write_new(self, path: str, content: bytes) -> None:
        target = f"{self._root}/{path}"
        try:
            # The store itself refuses an existing name, where it can (S3: If-None-Match).
            self._files.pipe_file(target, content, mode="create")
        except Exception as error:
            there = self._content(target)
            if there == content:
                return  # it arrived, and only the store's answer was lost on the way
            if there is not None:
                raise FileExistsError(target) from error
            raise _write_error(self.full(path), error) from error

    def _content(self, target: str) -> bytes | None:
        """What is there; None if there is nothing, or the store does not answer."""
        try:
            content: bytes = self._files.cat_file(target)
        except Exception:
            return None
        return content

    @contextlib.contextmanager
    def open_new(self, path: str) -> Iterator[IO[Any]]:
        try:
            file = self._files.open(f"{self._root}/{path}", "wb")
        except Exception as error:
            raise _write_error(self.full(path), error) from error
        try:
            yield file
        except BaseException:
            # Without its last step an upload never becomes a file.
            with contextlib.suppress(Exception):
                file.discard()
            file.closed = True
            raise
        try:
            file.close()
        except Exception as error:
            raise _write_error(self.full(path), error) from error

    def open(self, path: str) -> IO[Any]:
        file: IO[Any] = self._files.open(f"{self._root}/{path}", "rb")
        return file

    def names(self, folder: str) -> list[str]:
        try:
            with self._reading(folder):
                found = self._files.ls(f"{self._root}/{folder}", detail=False)
        except FileNotFoundError:
            return []
        return sorted(f"{folder}/{name.rsplit('/', 1)[-1]}" for name in found)

    def files(self, folder: str) -> dict[str, FileFacts]:
        try:
            with self._reading(folder):
                found = self._files.ls(f"{self._root}/{folder}", detail=True)
        except FileNotFoundError:
            return {}
        return {
            f"{folder}/{info['name'].rsplit('/', 1)[-1]}": FileFacts(
                info.get("size") or 0, _modified(info)
            )
            for info in found
            if info["type"] == "file"
        }

    def exists(self, path: str) -> bool:
        with self._reading(path):
            return bool(self._files.exists(f"{self._root}/{path}"))

    def replace(self, path: str, content: bytes) -> None:
        try:
            self._files.pipe_file(f"{self._root}/{path}", content)
        except Exception as error:
            raise _write_error(self.full(path), error) from error

    def entries(self) -> list[str]:
        try:
            found = self._files.ls(self._root, detail=False)
        except FileNotFoundError:
            return []
        except Exception as error:
            reason = trouble_with(self.url, error)
            raise OptionError(
                tr("{url} cannot be listed: {reason}", url=self.url, reason=reason)
            ) from error
        # Some stores name the folder itself, as an empty object.
        inside = {name.rstrip("/") for name in found} - {self._root.rstrip("/")}
        return sorted(name.rsplit("/", 1)[-1] for name in inside)

    def delete(self, paths: Iterable[str]) -> None:
        targets = [f"{self._root}/{path}" for path in paths]
        if len(targets) > 1:
            with contextlib.suppress(Exception):  # each store has errors of its own
                self._files.rm(targets)  # one request for many, where the store can
                return
        for target in targets:
            with contextlib.suppress(Exception):
                self._files.rm_file(target)

    def full(self, path: str) -> str:
        return f"{self.url}/{path}"

    def lock(self) -> None:
        """Nothing: two runs meet at their next commit, which only one of them can write."""


def _modified(info: dict[str, Any]) -> float | None:
    for name in ("LastModified", "last_modified", "updated", "mtime", "created"):
        value = info.get(name)
        if isinstance(value, str):
            with contextlib.suppress(ValueError):
                value = datetime.fromisoformat(value.replace("Z", "+00:00"))
        if isinstance(value, datetime):
            return value.timestamp()
        if isinstance(value, (int, float)):
            return float(value)
    return None


def _write_error(path: str, error: Exception) -> OutputError:
    return OutputError(
        tr(
            "{path} cannot be written: {trouble_with}",
            path=path,
            trouble_with=trouble_with(path, error),
        )
    )
