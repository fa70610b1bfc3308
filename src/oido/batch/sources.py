# SPDX-License-Identifier: Apache-2.0
"""What a user names, files, folders, patterns, URLs and lists, to recordings.

A path that exists is that file, whatever characters it has; a pattern is only what is no file.
"""

from __future__ import annotations

import glob
import os
import posixpath
from collections.abc import Callable, Iterator, Sequence
from datetime import datetime, timezone
from functools import partial
from typing import Any, NamedTuple
from urllib.parse import urlsplit

from oido.batch.lists import is_list, read_list
from oido.batch.storage import is_remote
from oido.batch.units import Source, escaped_name
from oido.errors import OptionError
from oido.messages import joined, tr
from oido.paths import (
    NameFinder,
    below_passed_over,
    file_identity,
    is_recording,
    passed_over_note,
    repeated_note,
    respelled_note,
    walk,
)
from oido.urls import filesystem_of, is_address, trouble_with, without_scheme

_IDENTITIES = ("ETag", "etag", "md5Hash", "content_md5", "LastModified", "last_modified", "mtime")
"""How stores identify a file's content, the better one first."""

OnMessage = Callable[[str], None]
"""Takes a sentence for people."""


class Recording(NamedTuple):
    """A recording as the user named it, and its path below the folder that was named."""

    path: str
    relative: str


def find_recordings(paths: Sequence[str], on_message: OnMessage | None = None) -> list[Recording]:
    """The recordings that these files, folders (searched to the bottom) and patterns name.

    In the order of the paths, and by name inside a folder; each once, also if links lead to it. A
    file that does not exist is kept: it becomes a failure, and the run goes on. on_message: gets a
    sentence on folders that were passed over, on repeated paths and on names spelled otherwise.
    Raises OptionError if a folder or a pattern holds nothing, because then the run would silently
    do less than was asked.
    """
    search = _Search()
    found = [recording for path in paths for recording in search.recordings(path)]
    search.report(on_message)
    return found


class _Search:
    """Finds what is named, each recording once, and remembers what people should know."""

    def __init__(self) -> None:
        self.names = NameFinder()
        self.passed_over: list[str] = []
        self._repeated: list[str] = []
        self._path_of: dict[str, str] = {}
        self._real_of: dict[str, str] = {}
        self._stores: dict[str, NameFinder] = {}

    def recordings(self, path: str, *, is_listed: bool = False) -> list[Recording]:
        """Those of a path that were not found before; an entry of a list fails by itself."""
        if is_address(path):
            name = posixpath.basename(urlsplit(path).path) or "recording"
            return [Recording(path, name)] if self.is_new(path, path) else []
        found = path if path == "-" else self.names.find(path)
        root, files = os.path.dirname(path), [(path, self._real(path))]
        if found is not None and os.path.isdir(found):
            below = walk(found, is_recording)
            self.passed_over += below.passed_over
            self._repeated += below.repeated
            # A folder that cannot be read becomes a failure, which says why.
            unreadable = [(folder, self._real(folder)) for folder in below.unreadable]
            if below.files or unreadable:
                root, files = found, [*below.files, *unreadable]
            elif not is_listed:
                passed_over = joined(
                    "", ("; " + note for note in passed_over_note(below.passed_over))
                )
                raise OptionError(
                    tr(
                        "{path}: no recordings in this folder (such as .wav or .mp3){passed_over}",
                        path=path,
                        passed_over=passed_over,
                    )
                )
        elif found is not None:
            root, files = os.path.dirname(found), [(found, self._real(found))]
        elif pattern := _pattern(path, self.names.is_there, is_listed):
            matches = [
                match
                for match in sorted(glob.glob(pattern, recursive=True))
                if os.path.isfile(match) and not self._is_passed_over(match, path)
            ]
            if matches:
                root = os.path.commonpath([os.path.dirname(match) for match in matches])
                files = [(match, self._real(match)) for match in matches]
            elif not is_listed and ("*" in path or not is_recording(path)):
                raise OptionError(tr("{path}: no file fits this pattern", path=path))
        return [
            Recording(file, os.path.relpath(file, root or os.curdir))
            for file, real in files
            if self.is_new(real, file)
        ]

    def names_in_store(self, url: str, files: Any) -> NameFinder:
        """Finds names behind a protocol; a folder there is listed once for all that is missing."""
        protocol = url.split("://", 1)[0]
        if protocol not in self._stores:
            self._stores[protocol] = NameFinder(files.exists, partial(_names_in, files))
        return self._stores[protocol]

    def is_new(self, place: str, path: str) -> bool:
        """Whether nothing was found there before; place: without links."""
        before = self._path_of.get(place)
        if before is None:
            self._path_of[place] = path
            return True
        if os.path.abspath(before) != os.path.abspath(path):
            self._repeated.append(path)
        return False

    def _real(self, path: str) -> str:
        """The path without links; most recordings of a list share a folder."""
        if os.path.islink(path):
            return file_identity(os.path.realpath(path))
        folder, name = os.path.split(path)
        if folder not in self._real_of:
            self._real_of[folder] = os.path.realpath(folder or os.curdir)
        return file_identity(os.path.normpath(os.path.join(self._real_of[folder], name)))

    def report(self, on_message: OnMessage | None) -> None:
        """What people should know, a sentence each."""
        notes = (
            *passed_over_note(self.passed_over),
            *repeated_note(self._repeated),
            *respelled_note(self.names.respelled),
        )
        if on_message is not None:
            for note in notes:
                on_message(note)

    def _is_passed_over(self, path: str, pattern: str) -> bool:
        """Whether a file lies in a folder that only the signs of a pattern name."""
        folder = below_passed_over(path.replace(os.sep, "/"))
        if folder is None or posixpath.basename(folder) in pattern:
            return False
        if folder not in self.passed_over:
            self.passed_over.append(folder)
        return True


def _pattern(path: str, is_there: Callable[[str], bool], is_listed: bool) -> str | None:
    """The pattern that a path is, its folders that exist taken by their names; None if it is none.

    In a list only ``*`` makes one: recorders write brackets into names, and a recording that is
    missing must never be another one.
    """
    folder, rest = path.rpartition("/")[::2]
    while folder and not is_there(folder):
        folder, between = folder.rpartition("/")[::2]
        rest = f"{between}/{rest}"
    if not ("*" in rest if is_listed else glob.has_magic(rest)):
        return None
    return f"{glob.escape(folder)}/{rest}" if folder or path.startswith("/") else rest


def find_sources(paths: Sequence[str], on_message: OnMessage | None = None) -> list[Source]:
    """The recordings that these name, each once, in the order of the paths.

    A path or URL may be a recording, a folder (searched to the bottom), a pattern, or a list: .txt
    and .m3u with one on each line, .csv, .tsv and .parquet with a column ``file`` or ``path``;
    entries of a list are relative to where the list is. on_message: as for `find_recordings`.
    Raises OptionError if one of them holds nothing; an entry of a list fails by itself.
    """
    search = _Search()
    found = [source for path in paths for source in _sources_of(path, search)]
    search.report(on_message)
    return found


def _sources_of(path: str, search: _Search) -> Iterator[Source]:
    if path == "-":
        raise OptionError(tr("an archive cannot hear standard input; save it to a file first"))
    path = without_scheme(path, search.names.is_there)
    entries = read_list(path, search.names) if is_list(path) else None
    if entries is None:
        yield from _find_named(path, search, is_listed=False)
        return
    if not entries:
        raise OptionError(tr("{path}: this list is empty", path=path))
    for entry in entries:
        yield from _find_named(entry, search, is_listed=True)


def _find_named(path: str, search: _Search, *, is_listed: bool) -> Iterator[Source]:
    if is_remote(path):
        for source in _find_remote(path, search, is_listed):
            if search.is_new(source.location, source.location):
                yield source
        return
    for recording in search.recordings(path, is_listed=is_listed):
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


def _find_remote(
    url: str, search: _Search | None = None, is_listed: bool = False
) -> Iterator[Source]:
    files = filesystem_of(url)
    protocol = url.split("://", 1)[0]
    try:
        infos = _remote_infos(files, url, search or _Search(), is_listed)
    except FileNotFoundError:
        yield Source(url, url, 0, "")  # its failure says why
        return
    except Exception as error:
        if is_listed:
            yield Source(url, url, 0, "")
            return
        raise OptionError(
            tr(
                "{url}: cannot be listed ({trouble_with})",
                url=url,
                trouble_with=trouble_with(url, error),
            )
        ) from error
    infos = {name: info for name, info in infos.items() if info["type"] == "file"}
    if not infos and not is_listed and ("*" in url or not is_recording(url)):
        raise OptionError(tr("{url}: no recordings there (such as .wav or .mp3)", url=url))
    if not infos:  # its failure says why
        yield Source(url, url, 0, "")
    for name in sorted(infos):
        full = name if "://" in name else f"{protocol}://{name.lstrip('/')}"
        yield Source(full, full, infos[name].get("size") or 0, _identity(infos[name]))


def _remote_infos(files: Any, url: str, search: _Search, is_listed: bool) -> dict[str, Any]:
    """What is there by name, its details. Raises what the store raises."""
    is_web = url.split("://", 1)[0] in ("http", "https")
    found, pattern = url, None
    try:
        info = files.info(url)
    except Exception:
        if is_web:
            raise
        names = search.names_in_store(url, files)
        there = names.find(url)
        if there is not None:
            search.names.respelled.update(names.respelled)
            found, info = there, files.info(there)
        else:
            pattern = _pattern(url, names.is_there, is_listed)
            if pattern is None:
                raise
    if pattern is not None:
        infos = files.glob(pattern, detail=True)
    elif info["type"] != "directory":
        return {info["name"]: info}
    else:
        infos = files.find(found, detail=True)
        infos = {name: i for name, i in infos.items() if is_recording(name)}
    root = "" if pattern is not None else info["name"]
    kept = {}
    for name, details in infos.items():
        folder = below_passed_over(name, root)
        if folder is None or (pattern and posixpath.basename(folder) in url):
            kept[name] = details
        elif folder not in search.passed_over:
            search.passed_over.append(folder)
    return kept


def _names_in(files: Any, folder: str) -> list[str]:
    try:
        listed = files.ls(folder, detail=False)
    except Exception as error:  # stores have errors of their own
        raise OSError(tr("{folder} cannot be listed", folder=folder)) from error
    return [posixpath.basename(name.rstrip("/")) for name in listed]


def _identity(info: dict[str, Any]) -> str:
    for name in _IDENTITIES:
        if info.get(name):
            return str(info[name]).strip('"')
    return ""
