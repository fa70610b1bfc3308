# SPDX-License-Identifier: Apache-2.0
"""A folder for each class."""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import replace

from oido.datasets.clip import BACKGROUND, Clip, Found, LeftOut, folder_meaning, source_of
from oido.datasets.families import join_families
from oido.datasets.splits import is_part
from oido.errors import OptionError
from oido.messages import tr
from oido.paths import is_link_back, is_passed_over, is_recording, walk


def class_folders(folder: str, *, each_is_a_source: bool = False) -> Found:
    """The recordings of a folder that has a folder for each class.

    Folders inside those of classes belong to the class. Folders called train, validation and test
    may stand between: their names are the clips' folds. See `Dataset.from_folder`.
    """
    found = Found()
    parts = _subfolders(folder, found)
    if parts and all(is_part(name) for name in parts):
        for name in parts:
            _read_classes(folder, name, name.lower(), found)
        _read_strays(folder, found)
    else:
        _read_classes(folder, "", None, found)
    if not found.clips:
        count = len(found.left_out)
        loose = tr("; its {count} recordings stand in no folder of a class", count=count)
        if count == 1:
            loose = tr("; its one recording stands in no folder of a class")
        raise OptionError(
            tr(
                "{folder}: no folder in it holds a recording{loose}: make a folder "
                "for each class, called as the class is, with its recordings inside",
                folder=folder,
                loose=loose if found.left_out else "",
            )
        )
    if not each_is_a_source:
        join_families(found, [_below(clip.path, folder, clip.fold) for clip in found.clips])
    return found


def files_below(folder: str, found: Found) -> list[str]:
    """Every file below a folder, once, as `oido.paths.walk`; what is passed over is noted."""
    below = walk(folder)
    found.passed_over += below.passed_over
    found.repeated += below.repeated
    found.left_out += [LeftOut(path, tr("this folder cannot be read")) for path in below.unreadable]
    return [path for path, _ in below.files]


def _read_classes(root: str, part: str, fold: str | None, found: Found) -> None:
    folder = os.path.join(root, part)
    for name in _subfolders(folder, found):
        labels, negatives, complete = folder_meaning(name, os.path.join(folder, name))
        before = len(found.clips)
        for path in _recordings(os.path.join(folder, name), found):
            # Without the part: a source that stands in two of them is still one.
            group = source_of(_below(path, folder))
            clip = Clip(path, labels, negatives, fold=fold, group=group, complete=complete)
            found.clips.append(clip)
        if len(found.clips) == before:
            found.left_out.append(LeftOut(os.path.join(folder, name), tr("no recording in it")))
        inside = {os.path.relpath(c.path, os.path.join(folder, name)) for c in found.clips[before:]}
        below = sorted({path.partition(os.sep)[0] for path in inside})
        if labels and len(below) > 1 and all(os.sep in path for path in inside):
            shown = ", ".join(below[:3]) + (", …" if len(below) > 3 else "")
            found.guesses.append(
                tr(
                    "{name} is one class, whatever its folders ({shown}); if each of "
                    "them is a class, give {folder} instead",
                    name=name,
                    shown=shown,
                    folder=os.path.join(folder, name),
                )
            )
    _read_strays(folder, found)


def background_clips(folder: str, *, each_is_a_source: bool = False) -> Found:
    """Every recording below a folder, as a clip without an event. Raises OptionError."""
    found = Found()
    for path in _recordings(folder, found):
        found.clips.append(Clip(path, group=source_of(_below(path, folder))))
    if not found.clips:
        raise OptionError(
            tr("{folder}: no recording in it that could be background", folder=folder)
        )
    if not each_is_a_source:
        join_families(found, [_below(clip.path, folder) for clip in found.clips])
    # Their folder is another one: what has the same name there is another source.
    found.clips = [replace(clip, group=f"{BACKGROUND}: {clip.group}") for clip in found.clips]
    return found


def _below(path: str, folder: str, part: str | None = None) -> str:
    """The path below a folder, and below the part of it, with slashes."""
    name = os.path.relpath(path, folder).replace(os.sep, "/")
    return name if part is None else name.partition("/")[2]


def _recordings(folder: str, found: Found) -> Iterator[str]:
    """Those below a folder; other files are noted as skipped."""
    for path in files_below(folder, found):
        if is_recording(path):
            yield path
        else:
            found.skipped.append(path)


def _read_strays(folder: str, found: Found) -> None:
    for name in sorted(os.listdir(folder)):
        path = os.path.join(folder, name)
        if name.startswith(".") or not os.path.isfile(path):
            continue
        if is_recording(path):
            found.left_out.append(LeftOut(path, tr("stands in no folder of a class")))
        else:
            found.skipped.append(path)


def _subfolders(folder: str, found: Found) -> list[str]:
    """The folders that mean something: neither passed over nor links to what is there already."""
    try:
        names = sorted(os.listdir(folder))
    except OSError as error:
        raise OptionError(
            tr("{folder} cannot be read: {reason}", folder=folder, reason=error.strerror)
        ) from error
    below = [name for name in names if os.path.isdir(os.path.join(folder, name))]
    kept = [name for name in below if not is_passed_over(name)]
    paths = [os.path.join(folder, name) for name in kept]
    links = {path for path in paths if is_link_back(path, paths)}
    passed_over = [os.path.join(folder, name) for name in below if name not in kept]
    found.passed_over += [path for path in passed_over if path not in found.passed_over]
    found.repeated += [path for path in sorted(links) if path not in found.repeated]
    return [name for name, path in zip(kept, paths) if path not in links]
