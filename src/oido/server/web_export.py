# SPDX-License-Identifier: Apache-2.0
"""The page as a folder of static files, that hears on whatever device shows it."""

from __future__ import annotations

import json
import os
import secrets
import shutil
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from oido._version import __version__
from oido.errors import MissingExtraError, OptionError, OutputError
from oido.models.display import LOCALES
from oido.models.model import AudioModel
from oido.server.vendor import is_vendored
from oido.server.webfiles import WEB_FOLDER, content_of, device_model, page_files

__all__ = ["PageReport", "export_page"]

_GENERATOR = "oido web export"


@dataclass(frozen=True)
class PageReport:
    """What was written: how many files, how large, and the models' names and sizes in bytes."""

    folder: Path
    files: int
    size_bytes: int
    models: tuple[tuple[str, int], ...]


def export_page(
    folder: Path,
    models: Sequence[AudioModel],
    *,
    locale: str | None = None,
    web: Path = WEB_FOLDER,
) -> PageReport:
    """Write the page with these models; the first is the one that it opens with.

    folder: its place is taken when all is written; one that is there already must be empty, or an
    export too. locale: the page's language, "en" or "es"; None is the browser's.

    Raises MissingExtraError without LiteRT.js, OptionError for a folder with anything else in it,
    OutputError for one that cannot be written.
    """
    if locale not in (None, *LOCALES):
        raise OptionError(f"there is no page in {locale!r}; choose from {', '.join(LOCALES)}")
    if not is_vendored(web / "vendor"):
        raise MissingExtraError(
            "this oido has no LiteRT.js, which hears inside the browser: fetch it with `make web`, "
            "or with `python -m oido.server.vendor` (both need npm, of Node.js)"
        )
    _require_ours(folder)
    page = {"generator": _GENERATOR, "oido": __version__, "mode": "device", "locale": locale}
    ready = [device_model(model) for model in models]
    if len({model.url for model in ready}) < len(ready):
        raise OptionError("the same model was given twice")
    files = {url: content_of(file) for url, file in page_files(page, ready, web).items() if url}
    _write_whole(folder.resolve(), files)
    sizes = tuple((model.name, len(model.content)) for model in ready)
    return PageReport(folder, len(files), sum(map(len, files.values())), sizes)


def _require_ours(folder: Path) -> None:
    """Refuse a folder that holds anything but an export. Raises OptionError."""
    if not folder.exists():
        return
    if not folder.is_dir():
        raise OptionError(f"{folder} is a file; name a folder")
    if not any(folder.iterdir()):
        return
    generator = None
    with suppress(OSError, ValueError, AttributeError):
        generator = json.loads((folder / "page.json").read_text(encoding="utf-8")).get("generator")
    if generator != _GENERATOR:
        raise OptionError(
            f"{folder} holds something else than an exported page, and would be replaced as a "
            "whole; name a new folder"
        )


def _write_whole(folder: Path, files: dict[str, bytes]) -> None:
    """All files under a name of their own, which then becomes the folder's, or nothing does."""
    mark = f"{os.getpid()}-{secrets.token_hex(4)}"
    new, old = (folder.with_name(f".{folder.name}.{mark}.{end}") for end in ("part", "old"))
    try:
        for url, content in files.items():
            path = new / url
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(content)
        if folder.exists():
            os.replace(folder, old)
        try:
            os.replace(new, folder)
        except OSError:
            with suppress(OSError):
                os.replace(old, folder)
            raise
    except OSError as error:
        raise OutputError(
            f"{folder} cannot be written: {error.strerror or error}; it was left as it was"
        ) from error
    finally:
        shutil.rmtree(new, ignore_errors=True)
        shutil.rmtree(old, ignore_errors=True)
