# SPDX-License-Identifier: Apache-2.0
"""The files of the review's page: its own, and those of the other page that it shares."""

from __future__ import annotations

from pathlib import Path

from oido.server.page_files import WEB_FOLDER, label_names, modules_of

_SCRIPT = "review/main.js"
_SHARED = (
    "style.css",
    "dark.css",
    "fonts/atkinson-hyperlegible-next.woff2",
    "icons/icon.svg",
    "review/review.css",
)


def review_page_files(folder: Path = WEB_FOLDER) -> dict[str, Path | bytes]:
    """The page by relative URL; ``""`` is its start.

    Its script's imports say which modules it needs, so no list of them can be wrong.
    """
    scripts: dict[str, Path | bytes] = {
        path.relative_to(folder).as_posix(): path for path in folder.rglob("*.js")
    }
    start = folder / "review" / "index.html"
    modules = (_SCRIPT, *modules_of(scripts, _SCRIPT))
    return {
        "": start,
        "index.html": start,
        **{url: folder / url for url in (*_SHARED, *modules)},
        **label_names(),
    }
