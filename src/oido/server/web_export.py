# SPDX-License-Identifier: Apache-2.0
"""The page as a folder of static files, that hears on whatever device shows it."""

from __future__ import annotations

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
from oido.writers.written import WRITTEN_NAME, WrittenFiles

__all__ = ["PageReport", "export_page"]


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
    export in which nothing was added or changed. locale: the page's language, "en" or "es"; None is
    the browser's.

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
    page = {"generator": "oido web export", "oido": __version__, "mode": "device", "locale": locale}
    ready = [device_model(model) for model in models]
    if len({model.url for model in ready}) < len(ready):
        raise OptionError("the same model was given twice")
    files = {url: content_of(file) for url, file in page_files(page, ready, web).items() if url}
    _write_whole(folder.resolve(), files)
    sizes = tuple((model.name, len(model.content)) for model in ready)
    return PageReport(folder, len(files), sum(map(len, files.values())), sizes)


def _require_ours(folder: Path) -> None:
    """Refuse a folder that holds anything but an export as it was made. Raises OptionError."""
    if folder.exists() and not folder.is_dir():
        raise OptionError(f"{folder} is a file; name a folder")
    files = (path for path in sorted(folder.rglob("*")) if path.is_symlink() or not path.is_dir())
    others = [path for path in files if path != folder / WRITTEN_NAME]
    WrittenFiles(folder).refuse_others(others, "deleted with the earlier export")


def _write_whole(folder: Path, files: dict[str, bytes]) -> None:
    """All files under a name of their own, which then becomes the folder's, or nothing does."""
    mark = f"{os.getpid()}-{secrets.token_hex(4)}"
    new, old = (folder.with_name(f".{folder.name}.{mark}.{end}") for end in ("part", "old"))
    try:
        for url, content in files.items():
            path = new / url
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(content)
        record = WrittenFiles(new)
        for url in files:
            record.add(new / url, new / url)
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
