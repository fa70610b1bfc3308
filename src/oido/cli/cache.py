# SPDX-License-Identifier: Apache-2.0
"""What oido keeps on this machine: show it, or clear it.

examples:
  oido cache show                   or only: oido cache
  oido cache clear embeddings
  oido cache clear                  all but the models

OIDO_CACHE names another folder. Files that have no name of the cache's are left in it. Graphs and
embeddings have at most 2 GB together, or OIDO_CACHE_LIMIT (such as 500M); beyond it go those that
were not used for longest. Models stay.
"""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

from oido.cli.arguments import add_command
from oido.cli.terminal import print_line
from oido.errors import OutputError
from oido.messages import shown, tr
from oido.models.cache import NAMES, cache_folder, limit_bytes

_PARTS = {
    "models": tr("models that were fetched"),
    "derived": tr("graphs written from weights; made anew when they are needed"),
    "embeddings": tr(
        "what models made of recordings, kept by `oido train`; made anew, too; with "
        "derived at most {limit:,g} MB (OIDO_CACHE_LIMIT), beyond it the longest "
        "unused go"
    ),
}


def add_parser(commands: Any) -> None:
    """Add ``oido cache`` and what it can do."""
    actions = add_command(commands, "cache", _show, __doc__).actions(required=False)
    add_command(actions, "show", _show, _show.__doc__)
    add_clearing = add_command(actions, "clear", _clear, _clear.__doc__)
    add_clearing(
        "parts",
        "default: all but the models, which would have to be fetched again",
        nargs="*",
        metavar="|".join(_PARTS),
        choices=[*_PARTS, []],
    )


def _show(args: argparse.Namespace) -> None:
    """Its folders, how large they are, and what they may have."""
    limit = limit_bytes() / 1e6
    print_line(cache_folder())
    for name, what in _PARTS.items():
        sizes = _sizes(cache_folder() / name)
        kind = tr("file") if len(sizes) == 1 else tr("files")
        files = tr("{n_sizes} {kind}", n_sizes=len(sizes), kind=kind)
        print(
            shown(
                tr(
                    "  {name:10}  {sizes:9.1f} MB  {files:>12}  {format}",
                    name=name,
                    sizes=sum(sizes) / 1e6,
                    files=files,
                    format=what.format(limit=limit),
                )
            )
        )


def _clear(args: argparse.Namespace) -> None:
    """Delete a part of it; nothing that is not made anew."""
    for name in args.parts or [part for part in _PARTS if part != "models"]:
        folder = cache_folder() / name
        size, kept = 0, 0
        for path in sorted(folder.rglob("*"), reverse=True):  # what is in a folder before itself
            try:
                if path.is_dir() and not path.is_symlink():
                    if not any(path.iterdir()):
                        path.rmdir()
                elif NAMES[name].fullmatch(path.relative_to(folder).as_posix()):
                    size += path.lstat().st_size
                    path.unlink()
                else:
                    kept += 1
            except OSError as error:
                raise OutputError(
                    tr("{path} cannot be deleted: {reason}", path=path, reason=error.strerror)
                ) from error
        left = tr("; {kept} that are not of oido's cache were left", kept=kept) if kept else ""
        print(
            shown(tr("{name}: {size:.1f} MB deleted{left}", name=name, size=size / 1e6, left=left))
        )


def _sizes(folder: Path) -> list[int]:
    """Of all files below it, in bytes; one that is deleted meanwhile is left out."""
    found = []
    for path in folder.rglob("*"):
        try:
            if path.is_file():
                found.append(path.stat().st_size)
        except OSError:
            continue
    return found
