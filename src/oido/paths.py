# SPDX-License-Identifier: Apache-2.0
"""Files by the names that people give them, and all files of a folder.

A name is looked for as it stands, then with the separators of Windows, in another Unicode form (as
macOS writes names) and with other letter case, if only one file can be meant. Folders are walked
past what other programs keep there: trash, versions, copies of what a system needs. Links are
followed once, and of hard links to one file the first counts.
"""

from __future__ import annotations

import os
import re
import unicodedata
from collections import defaultdict
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from urllib.parse import unquote

from oido.messages import joined, tr

_RECORDING_SUFFIXES = frozenset(
    f".{suffix}"
    for suffixes in (
        "3gp aac aif aifc aiff amr ape asf au avi caf dsf flac flv gsm m2ts m4a m4b m4v mka mkv",
        "mov mp2 mp3 mp4 mpeg mpg mts oga ogg ogv opus ra rf64 snd tta voc w64 wav wave webm",
        "wma wmv wv",
    )
    for suffix in suffixes.split()
)
"""Endings that are looked for inside folders; a file named outright is always tried."""

_NOT_OF_USERS = frozenset(
    {
        "__macosx",  # what macOS packs beside the files of a ZIP
        "$recycle.bin",
        "recycler",
        "recycled",
        "#recycle",  # network drives: trash, snapshots, thumbnails
        "#snapshot",
        "~snapshot",
        "@recycle",
        "@recently-snapshot",
        "@eadir",
        "@tmp",
        "@sharebin",
        "onedrivetemp",
        "found.000",
        "network trash folder",
        "system volume information",
        "lost+found",
        "lost.dir",
        "_svn",
        "_darcs",
        "__pycache__",
    }
)


def is_passed_over(folder: str) -> bool:
    """Whether a folder of this name, inside another, is hidden or holds no recordings of users."""
    return folder.startswith(".") or folder.casefold() in _NOT_OF_USERS


def below_passed_over(path: str, root: str = "") -> str | None:
    """The first folder of a path (with "/") below a root that is passed over, or None."""
    parts = path[len(root) :].strip("/").split("/")[:-1]
    for count, part in enumerate(parts, start=1):
        if is_passed_over(part):
            return "/".join([root.rstrip("/"), *parts[:count]]).lstrip("/" if not root else "")
    return None


@dataclass
class Walk:
    """The files below a folder, in order of names, those of a folder before its folders.

    files: paths, and the same without links (`file_identity`). passed_over: folders
    (`is_passed_over`). repeated: links to files and folders that are there by another path.
    unreadable: folders whose files nobody knows.
    """

    files: list[tuple[str, str]] = field(default_factory=list)
    passed_over: list[str] = field(default_factory=list)
    repeated: list[str] = field(default_factory=list)
    unreadable: list[str] = field(default_factory=list)


def is_recording(path: str) -> bool:
    """By the name's ending; hidden files are none."""
    name = os.path.basename(path)
    hidden = name.startswith(".")  # also the "._name" stumps that macOS leaves behind
    return not hidden and os.path.splitext(name)[1].lower() in _RECORDING_SUFFIXES


def walk(folder: str, accept: Callable[[str], bool] = lambda name: True) -> Walk:
    """Every file below a folder whose name is accepted, once; hidden ones are left out, and so are
    pipes, sockets and devices, which nobody may be writing to.

    What is linked is found by its own path, if that is below the folder, else by the first link.
    A link to a folder that the walk is in ends there.
    """
    root = os.path.realpath(folder)
    walker = _Walker(accept, {root})
    walker.descend(folder, root)
    while walker.linked_folders:  # every real folder is known by now
        link = min(walker.linked_folders)
        walker.linked_folders.remove(link)
        target = os.path.realpath(link)
        if target in walker.seen or root.startswith(os.path.join(target, "")):
            walker.found.repeated.append(link)
        else:
            walker.seen.add(target)
            walker.descend(link, target)
    found = walker.found
    found.files.sort(key=lambda file: _order(file[0]))
    own, found.files = found.files, []
    linked = ((path, os.path.realpath(path)) for path in sorted(walker.linked_files))
    known: set[str] = set()
    for path, real in (*own, *((path, file_identity(real)) for path, real in linked)):
        if real in known:
            found.repeated.append(path)
        else:
            known.add(real)
            found.files.append((path, real))
    found.files.sort(key=lambda file: _order(file[0]))
    found.passed_over.sort()
    return found


class _Walker:
    """Walks real folders, and remembers links; seen: folders, without links."""

    def __init__(self, accept: Callable[[str], bool], seen: set[str]) -> None:
        self._accept, self.seen = accept, seen
        self.found = Walk()
        self.linked_folders: list[str] = []
        self.linked_files: list[str] = []

    def descend(self, folder: str, real: str) -> None:
        """Into a folder and those below it."""
        waiting = [(folder, real)]
        while waiting:
            path, real = waiting.pop()
            for entry in self._entries(path):
                if not _is_folder(entry):
                    self._add_file(entry, real)
                elif is_passed_over(entry.name):
                    self.found.passed_over.append(entry.path)
                elif entry.is_symlink():
                    self.linked_folders.append(entry.path)
                elif (below := os.path.join(real, entry.name)) not in self.seen:
                    self.seen.add(below)
                    waiting.append((entry.path, below))

    def _entries(self, folder: str) -> list[os.DirEntry[str]]:
        try:
            with os.scandir(folder) as entries:
                return list(entries)
        except OSError:
            self.found.unreadable.append(folder)
            return []

    def _add_file(self, entry: os.DirEntry[str], real: str) -> None:
        if entry.name.startswith(".") or not self._accept(entry.name):
            return
        if entry.is_symlink():
            if not is_special(entry.path):
                self.linked_files.append(entry.path)
        elif entry.is_file(follow_symlinks=False):
            real = os.path.join(real, entry.name)
            self.found.files.append((entry.path, _identity(real, entry.stat)))


def file_identity(real: str) -> str:
    """What two paths without links have in common if they are one file: its path, or, where it has
    several (hard links), the number that the disk gives it."""
    return _identity(real, lambda: os.stat(real))


def _identity(real: str, stat: Callable[[], os.stat_result]) -> str:
    try:
        known = stat()
    except (OSError, ValueError):  # gone, or a zero byte inside
        return real
    return f"{known.st_dev}:{known.st_ino}" if known.st_nlink > 1 and known.st_ino else real


def _is_folder(entry: os.DirEntry[str]) -> bool:
    try:
        return entry.is_dir()
    except OSError:  # a link to itself
        return False


def is_special(path: str | os.PathLike[str]) -> bool:
    """Whether it is there, but neither a file nor a folder of people: a pipe, a socket, a device.

    Names that a system has for open files, as ``/dev/stdout``, are special too.
    """
    name = os.fspath(path)
    if os.path.islink(name) and os.path.abspath(name).startswith(("/dev/", "/proc/")):
        return os.path.exists(name)
    return os.path.exists(name) and not (os.path.isfile(name) or os.path.isdir(name))


def _order(path: str) -> list[tuple[bool, str]]:
    *folders, name = path.split(os.sep)
    return [*((True, folder) for folder in folders), (False, name)]


def paths_below_shared(names: Sequence[str]) -> list[str]:
    """The paths of files below the folder that all share, with "/"; none leads out of there."""
    paths = []
    for name in names:
        parts = name.replace("\\", "/").partition("://")[2] or name.replace("\\", "/")
        paths.append([part for part in parts.split("/") if part not in ("", ".", "..")])
    folders = [path[:-1] for path in paths]
    shared = 0
    for level in zip(*folders):
        if len(set(level)) > 1:
            break
        shared += 1
    return ["/".join(path[shared:]) or "recording" for path in paths]


def is_link_back(path: str, among: Iterable[str]) -> bool:
    """Whether a folder is a link to one that it lies in, or to or into one of these beside it."""
    if not os.path.islink(path):
        return False
    target = os.path.join(os.path.realpath(path), "")
    folders = [os.path.join(os.path.realpath(f), "") for f in among if not os.path.islink(f)]
    inside = os.path.join(os.path.realpath(os.path.dirname(path) or os.curdir), "")
    return inside.startswith(target) or any(target.startswith(folder) for folder in folders)


class NameFinder:
    """Finds what is named, on the disk or in a store; each folder is listed once.

    exists: whether a path is what is looked for. names: those in a folder. respelled: what was
    found in another Unicode form or letter case, by what was named.
    """

    def __init__(
        self,
        exists: Callable[[str], bool] = os.path.exists,
        names: Callable[[str], Sequence[str]] = os.listdir,
    ) -> None:
        self._exists, self._names = exists, names
        self._listed: dict[str, list[defaultdict[str, list[str]]]] = {}
        self.respelled: dict[str, str] = {}

    def find(self, path: str) -> str | None:
        """The path of the one that can be meant, or None."""
        if self.is_there(path):
            return path
        slashed = path.replace("\\", "/")
        # Lists that were made of addresses have %20 for a space.
        choices = list(dict.fromkeys((path, slashed, *([unquote(slashed)] if "%" in path else []))))
        for choice in (*choices, *_as_bytes(choices)):
            if self.is_there(choice):
                if "%" in path and choice not in (path, slashed):
                    self.respelled[path] = choice
                return choice
        for choice in choices:
            found = self._spelled(choice)
            if found is not None and self.is_there(found):
                self.respelled[path] = found
                return found
        return None

    def is_there(self, path: str) -> bool:
        """Whether it exists by exactly this name."""
        try:
            return self._exists(path)
        except ValueError:  # a zero byte inside
            return False

    def _spelled(self, path: str) -> str | None:
        """The path with every part as the disk has it, if only one part can be meant each time."""
        folder, slash, name = path.rpartition("/")
        if not name:
            return None
        listed = self._listing(folder + slash)
        if listed is None and folder:
            spelled = self._spelled(folder)
            if spelled is None:
                return None
            folder, listed = spelled, self._listing(spelled + slash)
        for key, by_key in zip(_keys(name), listed or ()):
            alike = by_key.get(key, [])
            if name in alike:
                return f"{folder}{slash}{name}"
            if alike:
                return f"{folder}{slash}{alike[0]}" if len(alike) == 1 else None
        return None

    def _listing(self, folder: str) -> list[defaultdict[str, list[str]]] | None:
        if folder not in self._listed:
            by_keys: list[defaultdict[str, list[str]]] = [defaultdict(list) for _ in _keys("")]
            try:
                names = self._names(folder or os.curdir)
            except (OSError, ValueError):
                names = ()
            for name in names:
                for key, by_key in zip(_keys(name), by_keys):
                    by_key[key].append(name)
            self._listed[folder] = by_keys
        listed = self._listed[folder]
        return listed if listed[0] else None


def _keys(name: str) -> tuple[str, ...]:
    """A name as the same in all Unicode forms; in all letter cases too; and with plain spaces,
    and none around: macOS writes narrow ones, and tables lose those at the end."""
    form = unicodedata.normalize("NFC", name)
    folded = unicodedata.normalize("NFC", form.casefold())
    stem, point, ending = folded.rpartition(".")
    return form, folded, re.sub(r"\s", " ", stem).strip() + point + ending.strip()


def _as_bytes(paths: Iterable[str]) -> list[str]:
    """The names whose bytes are these in Windows-1252: a list and a disk may both have those."""
    if os.name != "posix":
        return []
    found = []
    for path in paths:
        try:
            if not path.isascii():
                found.append(os.fsdecode(path.encode("cp1252")))
        except UnicodeEncodeError:
            continue
    return found


def passed_over_note(folders: Sequence[str]) -> list[str]:
    """A sentence for people, or none."""
    if not folders:
        return []
    what = tr("folder was") if len(folders) == 1 else tr("folders were")
    why = tr("hidden, trash or another program's")
    return [
        tr(
            "{n_folders} {what} passed over ({why}): {some}",
            n_folders=len(folders),
            what=what,
            why=why,
            some=_some(folders),
        )
    ]


def repeated_note(links: Sequence[str]) -> list[str]:
    """A sentence for people, or none."""
    if not links:
        return []
    what = tr("path leads") if len(links) == 1 else tr("paths lead")
    return [
        tr(
            "{n_links} {what} to what is there by another, and count once: {some}",
            n_links=len(links),
            what=what,
            some=_some(links),
        )
    ]


def respelled_note(found: dict[str, str]) -> list[str]:
    """A sentence for people, or none."""
    if not found:
        return []
    names = [
        tr("{named!r} is {there!r}", named=named, there=there) for named, there in found.items()
    ]
    what = tr("name was") if len(names) == 1 else tr("names were")
    is_spaced = any("%" in named or _is_spaced(named, there) for named, there in found.items())
    how = (
        tr("Unicode form, letter case or spacing")
        if is_spaced
        else tr("Unicode form or letter case")
    )
    return [
        tr(
            "{n_names} {what} found in another {how}: {some}",
            n_names=len(names),
            what=what,
            how=how,
            some=_some(names),
        )
    ]


def _is_spaced(named: str, there: str) -> bool:
    """Whether parts of two paths differ in their spaces."""
    parts = zip(named.replace("\\", "/").split("/"), there.split("/"))
    keys = [(_keys(a), _keys(b)) for a, b in parts]
    return any(a[1] != b[1] and a[2] == b[2] for a, b in keys)


def _some(names: Sequence[str], shown: int = 3) -> str:
    more = tr(", and {n_names} more", n_names=len(names) - shown) if len(names) > shown else ""
    return joined(", ", names[:shown]) + more


_CONTROLS = re.compile(
    r"[\x00-\x1f\x7f-\x9f\u061c\u200b\u200e\u200f\u2028-\u202e\u2060-\u206f\ud800-\udfff\ufeff"
    r"\ufff9-\ufffb\U000e0000-\U000e007f]"
)
"""C0 and C1, line and paragraph ends, what turns the direction of writing, what cannot be seen at
all, and halves of characters, by which Python holds bytes of names that are no UTF-8."""

_SHORT = {"\n": r"\n", "\r": r"\r", "\t": r"\t"}


def escape_controls(text: str, kept: str = "") -> str:
    """The text with its control characters spelled out as in Python: ``\\x1b``, ``\\u202e``.

    kept: those that stay as they are.
    """

    def spell(match: re.Match[str]) -> str:
        character = match.group()
        number = ord(character)
        if character in kept:
            return character
        if 0xDC80 <= number <= 0xDCFF:  # a byte of a name that is no UTF-8
            number -= 0xDC00
        if number > 0xFFFF:
            return f"\\U{number:08x}"
        return _SHORT.get(character) or (
            f"\\u{number:04x}" if number > 0xFF else f"\\x{number:02x}"
        )

    return _CONTROLS.sub(spell, text)
