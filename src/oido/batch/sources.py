# SPDX-License-Identifier: Apache-2.0
"""What a user names, files, folders, patterns, URLs and lists, to recordings."""

from __future__ import annotations

import csv
import glob
import io
import os
import posixpath
from collections.abc import Iterator, Sequence
from datetime import datetime, timezone
from typing import Any, NamedTuple

from oido.batch.storage import filesystem_of, is_remote
from oido.batch.units import Source, escaped_name, raw_name
from oido.errors import OptionError, needs_extra
from oido.params import AUDIO_SUFFIXES
from oido.writers.base import unquote_cell

_LISTS = (".txt", ".csv", ".parquet")
_COLUMNS = ("file", "path")
_IDENTITIES = ("ETag", "etag", "md5Hash", "content_md5", "LastModified", "last_modified", "mtime")
"""How stores identify a file's content, the better one first."""


class Recording(NamedTuple):
    """A recording as the user named it, and its path below the folder that was named."""

    path: str
    relative: str


def find_recordings(paths: Sequence[str]) -> list[Recording]:
    """The recordings that these files, folders (searched to the bottom) and patterns name.

    In the order of the paths, and by name inside a folder; each once. A file that does not exist is
    kept: it becomes a failure, and the run goes on. Raises OptionError if a folder or a pattern
    holds nothing, because then the run would silently do less than was asked.
    """
    found: dict[str, Recording] = {}
    for path in paths:
        if path == "-" or os.path.isfile(path):
            files, root = [path], os.path.dirname(path)
        elif os.path.isdir(path):
            files, root = list(_recordings_below(path)), path
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


def _recordings_below(folder: str) -> Iterator[str]:
    unreadable: list[str] = []
    for root, folders, files in os.walk(folder, onerror=lambda e: unreadable.append(e.filename)):
        yield from unreadable  # its failure says why
        unreadable.clear()
        folders.sort()
        for name in sorted(files):
            if _is_recording(name):
                yield os.path.join(root, name)
    yield from unreadable


def find_sources(paths: Sequence[str]) -> list[Source]:
    """The recordings that these name, each once, in the order of the paths.

    A path or URL may be a recording, a folder (searched to the bottom), a pattern, or a list: .txt
    with one on each line, .csv and .parquet with a column ``file`` or ``path``; entries of a list
    are relative to where the list is. Raises OptionError if one of them holds nothing.
    """
    found: dict[str, Source] = {}
    for path in paths:
        for source in _sources_of(path):
            found.setdefault(source.location, source)
    return list(found.values())


def _sources_of(path: str) -> Iterator[Source]:
    if path == "-":
        raise OptionError("an archive cannot hear standard input; save it to a file first")
    path = path.removeprefix("file://")
    if os.path.splitext(path)[1].lower() in _LISTS and not os.path.isdir(path):
        entries = _entries(path)
        if not entries:
            raise OptionError(f"{path}: this list is empty")
        for entry in entries:
            yield from _find_named(_resolve(path, entry.removeprefix("file://")))
    else:
        yield from _find_named(path)


def _find_named(path: str) -> Iterator[Source]:
    if is_remote(path):
        yield from _find_remote(path)
        return
    for recording in find_recordings([path]):
        yield _local(recording.path)


def _local(path: str) -> Source:
    name, location = escaped_name(path), os.path.abspath(path)
    try:
        status = os.stat(path)
    except OSError:
        return Source(name, location, 0, "")  # its failure says why
    moment = datetime.fromtimestamp(status.st_mtime, timezone.utc).isoformat()
    return Source(name, location, status.st_size, moment)


def source_now(name: str, location: str) -> Source | None:
    """The recording of this place as it is at this moment; None: there is none any more."""
    if is_remote(location):
        try:
            found = [s for s in _find_remote(location) if s.size or s.modified]
        except OptionError:
            return None
        return found[0]._replace(name=name, location=location) if found else None
    return _local(location)._replace(name=name) if os.path.isfile(location) else None


def _find_remote(url: str) -> Iterator[Source]:
    files = filesystem_of(url)
    protocol = url.split("://", 1)[0]
    try:
        if any(sign in url for sign in "*[") and protocol not in ("http", "https"):
            infos = files.glob(url, detail=True)
        else:
            info = files.info(url)
            infos = {info["name"]: info}
            if info["type"] == "directory":
                infos = files.find(url, detail=True)
                infos = {n: i for n, i in infos.items() if _is_recording(n)}
    except FileNotFoundError:
        yield Source(url, url, 0, "")  # its failure says why
        return
    except Exception as error:
        raise OptionError(f"{url}: cannot be listed ({error or type(error).__name__})") from error
    infos = {name: info for name, info in infos.items() if info["type"] == "file"}
    if not infos:
        raise OptionError(f"{url}: no recordings there (such as .wav or .mp3)")
    for name in sorted(infos):
        full = name if "://" in name else f"{protocol}://{name.lstrip('/')}"
        yield Source(full, full, infos[name].get("size") or 0, _identity(infos[name]))


def _is_recording(name: str) -> bool:
    base = posixpath.basename(name)
    hidden = base.startswith(".")  # also the "._name" stumps that macOS leaves behind
    return not hidden and posixpath.splitext(base)[1].lower() in AUDIO_SUFFIXES


def _identity(info: dict[str, Any]) -> str:
    for name in _IDENTITIES:
        if info.get(name):
            return str(info[name]).strip('"')
    return ""


def _resolve(path: str, entry: str) -> str:
    """An entry of a list as a path or URL."""
    if is_remote(entry):
        return entry
    if os.path.isabs(entry):
        return entry if os.path.lexists(entry) else _as_named(entry)
    if is_remote(path):
        return f"{posixpath.dirname(path)}/{entry}"
    found = os.path.join(os.path.dirname(path), entry)
    return found if os.path.lexists(found) else _as_named(found)


def _as_named(path: str) -> str:
    """The path that a table of oido's calls so, if there is one: names may be any bytes."""
    raw = raw_name(path)
    return raw if raw != path and os.path.lexists(raw) else path


def _entries(path: str) -> list[str]:
    ending = os.path.splitext(path)[1].lower()
    try:
        with filesystem_of(path).open(path, "rb") if is_remote(path) else open(path, "rb") as file:
            if ending == ".parquet":
                return _parquet_entries(path, file)
            text = file.read().decode("utf-8-sig")
    except FileNotFoundError as error:
        raise OptionError(f"{path}: no such list") from error
    except (OSError, UnicodeDecodeError) as error:
        raise OptionError(f"{path}: this list cannot be read ({error})") from error
    if ending == ".txt":
        lines = map(str.strip, text.splitlines())
        return [line for line in lines if line and not line.startswith("#")]
    rows = csv.DictReader(io.StringIO(text, newline=""))  # a quoted name may hold a line end
    try:
        column = _column(path, rows.fieldnames or ())
        return [unquote_cell(row[column]) for row in rows if row[column]]
    except csv.Error as error:
        raise OptionError(f"{path}: this list cannot be read ({error})") from error


def _parquet_entries(path: str, file: Any) -> list[str]:
    with needs_extra("Parquet needs pyarrow; install it with: pip install 'oido[archive]'"):
        import pyarrow as pa
        import pyarrow.parquet as pq
    try:
        column = _column(path, pq.read_schema(file).names)
        file.seek(0)
        entries = pq.read_table(file, columns=[column]).column(column).to_pylist()
    except pa.ArrowInvalid as error:
        raise OptionError(f"{path}: this list cannot be read ({error})") from error
    return [str(entry) for entry in entries if entry]


def _column(path: str, names: Sequence[str]) -> str:
    for name in _COLUMNS:
        if name in names:
            return name
    raise OptionError(f"{path}: has no column named file or path")
