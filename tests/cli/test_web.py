# SPDX-License-Identifier: Apache-2.0
"""``oido web export``, and the files of the page."""

from __future__ import annotations

import hashlib
import json
import re
import runpy
import shutil
import struct
from pathlib import Path

import pytest

from oido.cli.main import build_parser
from oido.errors import OidoError, OptionError
from oido.models.loading import load_model
from oido.server import vendor as vendoring
from oido.server.device_model import device_model
from oido.server.page_files import WEB_FOLDER, export_page


def command(*arguments: str) -> int:
    """`oido web …`, whose errors are raised."""
    args = build_parser().parse_args(["web", *arguments])
    code: int = args.run(args)
    return code


@pytest.fixture
def small_web(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """web/ with stand-ins for LiteRT.js, so that no npm is needed."""
    folder = tmp_path / "web"
    shutil.copytree(WEB_FOLDER, folder, ignore=shutil.ignore_patterns("vendor", "__pycache__"))
    (folder / "vendor").mkdir()
    for name in ("litert.js", "litert_wasm_internal.wasm", "litert_wasm_compat_internal.wasm"):
        (folder / "vendor" / name).write_bytes(b"stands for " + name.encode())
    (folder / "vendor" / "NOTICE.txt").write_text(vendoring._notice(), encoding="utf-8")
    (folder / "vendor" / "LICENSE").write_text("the licence", encoding="utf-8")
    assert export_page.__kwdefaults__ is not None
    monkeypatch.setitem(export_page.__kwdefaults__, "web", folder)
    return folder


def test_export_writes_the_whole_page(
    small_web: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = tmp_path / "site"
    assert command("export", str(folder), "--locale", "es") == 0
    out = capsys.readouterr().out
    assert re.match(rf"{folder}: \d+ files, \d+\.\d MB\n  hears with yamnet/classification", out)
    about = json.loads((folder / "page.json").read_text(encoding="utf-8"))
    assert about["mode"] == "device"
    start = (folder / "index.html").read_text(encoding="utf-8")
    assert '<html lang="es" data-locale="es">' in start
    (entry,) = about["models"]
    content = (folder / entry["url"]).read_bytes()
    assert content == device_model(load_model("yamnet/classification")).content
    assert entry["bytes"] == len(content)
    assert entry["sha256"] == hashlib.sha256(content).hexdigest()
    assert json.loads((folder / about["names"]["es"]).read_text("utf-8"))["Dog"] == "Perro"
    assert (folder / "vendor" / "LICENSE").is_file()
    assert (folder / "vendor" / "NOTICE.txt").is_file()
    assert not list(folder.rglob("*.py"))
    assert not list(folder.rglob("__pycache__"))
    assert [path.name for path in tmp_path.iterdir() if path.name.startswith(".")] == []


def test_what_cannot_be_exported_is_told(small_web: Path, tmp_path: Path) -> None:
    with pytest.raises(OptionError, match="no page in 'fr'"):
        command("export", str(tmp_path / "site"), "--locale", "fr")
    with pytest.raises(OidoError, match="no such model file"):
        command("export", str(tmp_path / "site"), "--model", str(tmp_path / "none.tflite"))


def test_the_icons_are_what_their_script_draws() -> None:
    """The large ones are the same drawings, and slow to draw: their sizes only."""
    folder = WEB_FOLDER / "icons"
    drawn = runpy.run_path(str(Path(__file__).parents[2] / "docs/make_icons.py"))
    assert (folder / "icon.svg").read_text(encoding="utf-8") == drawn["svg"]()
    for name, size, rounded in (("icon-192", 192, True), ("apple-touch-icon", 180, False)):
        content = (folder / f"{name}.png").read_bytes()
        expected = drawn["png"](drawn["picture"](size, rounded))
        assert drawn["_pixels"](content) == drawn["_pixels"](expected)
    for name, sides in (
        ("icon-512", (512, 512)),
        ("maskable-512", (512, 512)),
        ("card", (1200, 630)),
    ):
        header = (folder / f"{name}.png").read_bytes()[16:24]
        assert struct.unpack(">II", header) == sides
