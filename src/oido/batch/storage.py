# SPDX-License-Identifier: Apache-2.0
"""The files of a results folder, on this machine or in an object store (fsspec).

A file has its final name only when it is whole, and is never changed afterwards. All files that a
run writes carry its id in their names, so that nothing else is ever taken for a leftover of it.
"""

from __future__ import annotations

import contextlib
import os
import re
import secrets
from collections.abc import Collection, Iterable, Iterator
from pathlib import Path
from typing import IO, Any, Protocol

from oido.errors import MissingExtraError, OptionError, OutputError
from oido.writers import AtomicFile

__all__ = [
    "Storage",
    "filesystem_of",
    "is_remote",
    "is_written_by",
    "new_path",
    "storage_of",
]


class Storage(Protocol):
    """A folder; paths are relative to it, with "/" between. Raises OutputError.

    run_id: of the run that writes there; empty for readers.
    """

    url: str
    run_id: str

    def read(self, path: str) -> bytes:
        """The content. Raises FileNotFoundError."""
        ...

    def write_new(self, path: str, content: bytes) -> None:
        """All of it or nothing, safe on disk. Raises FileExistsError: nothing is overwritten."""
        ...

    def writing(self, path: str) -> contextlib.AbstractContextManager[IO[Any]]:
        """A binary file that gets its name when the block is left without an error."""
        ...

    def open(self, path: str) -> IO[Any]:
        """For reading."""
        ...

    def names(self, folder: str) -> list[str]:
        """The files in a folder of it, sorted, as paths; none if it does not exist."""
        ...

    def entries(self) -> list[str]:
        """Names of files and folders at its top, sorted. Raises OptionError if it is no folder."""
        ...

    def delete(self, paths: Iterable[str]) -> None:
        """Those that exist."""
        ...

    def full(self, path: str) -> str:
        """The path or URL for others."""
        ...

    def lock(self) -> None:
        """Claim the folder for this process. Raises OptionError if another has it."""
        ...


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


def is_remote(path: str) -> bool:
    """Whether this is a URL rather than a path."""
    return "://" in path and not path.startswith("file://")


def filesystem_of(url: str) -> Any:
    """The fsspec file system of a URL. Raises MissingExtraError or OptionError."""
    protocol = url.split("://", 1)[0]
    try:
        import fsspec
    except ImportError as error:
        raise MissingExtraError(
            "URLs need fsspec; install it with: pip install 'oido[archive]'"
        ) from error
    try:
        # Not cached: a store that was listed once must be seen as it is now.
        return fsspec.filesystem(protocol, skip_instance_cache=True, use_listings_cache=False)
    except ImportError as error:
        raise MissingExtraError(f"{protocol}:// needs another package: {error}") from error
    except ValueError as error:
        raise OptionError(f"{url}: nobody here knows {protocol}:// ({error})") from error


def storage_of(url: str, run_id: str = "") -> Storage:
    """The storage behind a path or URL; run_id: 16 hex digits, of the run that writes."""
    return _Remote(url, run_id) if is_remote(url) else _Local(url.removeprefix("file://"), run_id)


class _Local:
    def __init__(self, folder: str, run_id: str) -> None:
        self.url, self.run_id = os.path.abspath(folder), run_id
        self._root = Path(self.url)
        self._lock: IO[bytes] | None = None

    def read(self, path: str) -> bytes:
        return (self._root / path).read_bytes()

    def write_new(self, path: str, content: bytes) -> None:
        with self._written(path) as file:
            file.write(content)

    def writing(self, path: str) -> contextlib.AbstractContextManager[IO[Any]]:
        return self._written(path)

    @contextlib.contextmanager
    def _written(self, path: str) -> Iterator[IO[Any]]:
        target = self._root / path
        file = AtomicFile(target, binary=True, owner=self.run_id)
        try:
            with file.guard():
                yield file.stream
            file.commit_new()
            with file.guard():
                _sync_folder(target.parent)
        except BaseException:
            file.discard()
            raise

    def open(self, path: str) -> IO[Any]:
        return (self._root / path).open("rb")

    def names(self, folder: str) -> list[str]:
        try:
            return [f"{folder}/{name}" for name in sorted(os.listdir(self._root / folder))]
        except (FileNotFoundError, NotADirectoryError):
            return []

    def entries(self) -> list[str]:
        try:
            return sorted(os.listdir(self._root))
        except FileNotFoundError:
            return []
        except OSError as error:
            raise OptionError(
                f"{self.url} cannot be a folder of results: {error.strerror or error}"
            ) from error

    def delete(self, paths: Iterable[str]) -> None:
        for path in paths:
            with contextlib.suppress(FileNotFoundError):
                (self._root / path).unlink()

    def full(self, path: str) -> str:
        return str(self._root / path)

    def lock(self) -> None:
        self._root.mkdir(parents=True, exist_ok=True)
        self._lock = (self._root / "lock").open("ab")
        try:
            _lock_file(self._lock)
        except OSError as error:
            raise OptionError(
                f"{self.url}: another run is writing there; wait for it, or choose another folder"
            ) from error


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


class _Remote:
    def __init__(self, url: str, run_id: str) -> None:
        self.url, self.run_id = url.rstrip("/"), run_id
        self._files = filesystem_of(url)
        self._root = self._files._strip_protocol(self.url)

    def read(self, path: str) -> bytes:
        content: bytes = self._files.cat_file(f"{self._root}/{path}")
        return content

    def write_new(self, path: str, content: bytes) -> None:
        target = f"{self._root}/{path}"
        try:
            # The store itself refuses an existing name, where it can (S3: If-None-Match).
            self._files.pipe_file(target, content, mode="create")
        except FileExistsError:
            raise
        except Exception as error:
            if self._files.exists(target):
                raise FileExistsError(target) from error
            raise _cannot_write(self.full(path), error) from error

    @contextlib.contextmanager
    def writing(self, path: str) -> Iterator[IO[Any]]:
        try:
            file = self._files.open(f"{self._root}/{path}", "wb")
        except Exception as error:
            raise _cannot_write(self.full(path), error) from error
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
            raise _cannot_write(self.full(path), error) from error

    def open(self, path: str) -> IO[Any]:
        file: IO[Any] = self._files.open(f"{self._root}/{path}", "rb")
        return file

    def names(self, folder: str) -> list[str]:
        try:
            found = self._files.ls(f"{self._root}/{folder}", detail=False)
        except FileNotFoundError:
            return []
        return sorted(f"{folder}/{name.rsplit('/', 1)[-1]}" for name in found)

    def entries(self) -> list[str]:
        try:
            found = self._files.ls(self._root, detail=False)
        except FileNotFoundError:
            return []
        except Exception as error:
            raise OptionError(f"{self.url} cannot be listed: {error}") from error
        # Some stores name the folder itself, as an empty object.
        inside = {name.rstrip("/") for name in found} - {self._root.rstrip("/")}
        return sorted(name.rsplit("/", 1)[-1] for name in inside)

    def delete(self, paths: Iterable[str]) -> None:
        for path in paths:
            with contextlib.suppress(FileNotFoundError):
                self._files.rm_file(f"{self._root}/{path}")

    def full(self, path: str) -> str:
        return f"{self.url}/{path}"

    def lock(self) -> None:
        """Nothing: two runs meet at their next commit, which only one of them can write."""


def _cannot_write(path: str, error: Exception) -> OutputError:
    return OutputError(f"{path} cannot be written: {error}")
