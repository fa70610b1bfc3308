# SPDX-License-Identifier: Apache-2.0
"""The page's own files, and its pictures in the guide. No browser."""

from __future__ import annotations

import pytest

pytest.importorskip("starlette")


from oido.server.page_files import WEB_FOLDER


def test_the_pictures_of_the_guide_are_small(pytestconfig: pytest.Config) -> None:
    for name in ("page-phone.png", "page-desktop.png"):
        picture = pytestconfig.rootpath / "docs" / name
        assert picture.read_bytes().startswith(b"\x89PNG")
        assert picture.stat().st_size < 150_000


def test_no_file_of_the_page_asks_anyone_else() -> None:
    own = ("index.html", "*.css", "app.js", "ui/*.js", "engines/*.js", "core/*.js", "review/*")
    for path in [path for pattern in own for path in WEB_FOLDER.glob(pattern)]:
        text = path.read_text("utf-8").replace("http://127.0.0.1", "")
        assert "http://" not in text, path
        assert "https://" not in text, path
