# SPDX-License-Identifier: Apache-2.0
"""The page as files: whole, of relative addresses, and in nobody's way."""

from __future__ import annotations

import base64
import gzip
import hashlib
import json
import os
import re
import shutil
from pathlib import Path
from typing import Any

import pytest

from oido.errors import MissingExtraError, OptionError, OutputError
from oido.models.loading import load_model
from oido.models.model import AudioModel
from oido.server import vendor as vendoring
from oido.server.device_model import device_model
from oido.server.page_files import WEB_FOLDER, content_of, export_page, page_files
from oido.writers.written import WRITTEN_NAME


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


def precached(folder: Path) -> dict[str, Any]:
    text = (folder / "precache.js").read_text(encoding="utf-8")
    listed: dict[str, Any] = json.loads(text.removeprefix("self.OIDO_PRECACHE = ").rstrip(";\n"))
    return listed


def test_the_service_workers_list_is_of_these_files(
    small_web: Path, tmp_path: Path, model: AudioModel
) -> None:
    export_page(tmp_path / "site", [model])
    listed = precached(tmp_path / "site")
    for entry in [*listed["files"], *listed["models"]]:
        url = entry["url"].removeprefix("./") or "index.html"
        digest = hashlib.sha256((tmp_path / "site" / url).read_bytes()).digest()
        assert entry["integrity"] == f"sha256-{base64.b64encode(digest).decode()}", url
    urls = [entry["url"] for entry in listed["files"]]
    assert {"./", "page.json", "names/es.json", "core/network_worker.js"} < set(urls)
    assert "sw.js" not in urls
    assert [e["url"] for e in listed["files"] if e.get("fresh")] == ["page.json"]
    builds = {e["url"]: e["build"] for e in listed["files"] if "build" in e}
    assert builds["vendor/litert_wasm_internal.wasm"] == "relaxed"
    assert builds["vendor/litert_wasm_compat_internal.wasm"] == "compat"
    assert [model["precached"] for model in listed["models"]] == [True]


def test_the_version_is_of_the_content(small_web: Path, tmp_path: Path, model: AudioModel) -> None:
    def version() -> str:
        export_page(tmp_path / "site", [model])
        said: str = precached(tmp_path / "site")["version"]
        return said

    first = version()
    assert version() == first
    (small_web / "style.css").write_text("/* another */")
    assert version() != first


def test_no_url_of_the_page_is_absolute(small_web: Path, tmp_path: Path, model: AudioModel) -> None:
    """So that it lives in any subfolder, and asks nobody else."""
    export_page(tmp_path / "site", [model])
    start = (tmp_path / "site" / "index.html").read_text(encoding="utf-8")
    urls = re.findall(r'(?:href|src)="([^"#]*)"', start)
    assert len(urls) > 3
    assert [url for url in urls if url.startswith("/") or ":" in url] == []
    assert "connect-src 'self' blob:;" in start
    manifest = json.loads((tmp_path / "site" / "manifest.webmanifest").read_text("utf-8"))
    for url in (manifest["start_url"], manifest["scope"], *(i["src"] for i in manifest["icons"])):
        assert not url.startswith("/"), url
        assert (tmp_path / "site" / url).exists(), url


def test_several_models_and_one_that_is_made_for_it(
    small_web: Path, tmp_path: Path, model: AudioModel
) -> None:
    floats = load_model("yamnet/classification", precision="float32")
    report = export_page(tmp_path / "site", [model, floats])
    assert [size for _, size in report.models] == [
        len(device_model(each).content) for each in (model, floats)
    ]
    with pytest.raises(OptionError, match="the same model was given twice"):
        export_page(tmp_path / "twice", [model, model])
    assert not (tmp_path / "twice").exists()


def test_an_earlier_export_is_replaced_as_a_whole(
    small_web: Path, tmp_path: Path, model: AudioModel
) -> None:
    folder = tmp_path / "site"
    (small_web / "core" / "of_an_older_version.js").write_text("// gone later")
    export_page(folder, [model])
    (small_web / "core" / "of_an_older_version.js").unlink()
    assert (folder / "core" / "of_an_older_version.js").exists()
    export_page(folder, [model])
    assert not (folder / "core" / "of_an_older_version.js").exists()
    (tmp_path / "empty").mkdir()
    export_page(tmp_path / "empty", [model])
    assert (tmp_path / "empty" / "index.html").is_file()


@pytest.mark.parametrize("name", ["CNAME", "core/mine.js", "index.html", ".git/config"])
def test_an_export_with_something_of_its_owner_is_not_touched(
    small_web: Path, tmp_path: Path, model: AudioModel, name: str
) -> None:
    folder = tmp_path / "site"
    export_page(folder, [model])
    (folder / name).parent.mkdir(exist_ok=True)
    (folder / name).write_text("mine")
    with pytest.raises(OptionError, match=rf"{name} would be deleted with the earlier export"):
        export_page(folder, [model])
    assert (folder / name).read_text() == "mine"


@pytest.mark.parametrize("page", [None, "{}", "no json", '["oido web export"]'])
def test_another_folder_is_not_touched(
    small_web: Path, tmp_path: Path, model: AudioModel, page: str | None
) -> None:
    folder = tmp_path / "photos"
    folder.mkdir()
    (folder / "cat.jpg").write_bytes(b"cat")
    if page is not None:
        (folder / "page.json").write_text(page)
    with pytest.raises(OptionError, match=r"cat.jpg.* would be deleted with the earlier export"):
        export_page(folder, [model])
    assert (folder / "cat.jpg").read_bytes() == b"cat"
    with pytest.raises(OptionError, match="is a file; name a folder"):
        export_page(folder / "cat.jpg", [model])


def test_a_full_disk_leaves_what_was_there(
    small_web: Path, tmp_path: Path, model: AudioModel, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = tmp_path / "site"
    export_page(folder, [model])
    before = precached(folder)
    write = Path.write_bytes

    def full(path: Path, content: bytes) -> int:
        if path.name == "page.json":
            raise OSError(28, "No space left on device")
        return write(path, content)

    monkeypatch.setattr(Path, "write_bytes", full)
    with pytest.raises(OutputError, match="No space left on device; it was left as it was"):
        export_page(folder, [model])
    with pytest.raises(OutputError, match="No space left"):
        export_page(tmp_path / "new", [model])
    assert precached(folder) == before
    assert {path.name for path in tmp_path.iterdir()} == {"site", "web"}


def test_a_rename_that_fails_brings_the_old_page_back(
    small_web: Path, tmp_path: Path, model: AudioModel, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = tmp_path / "site"
    export_page(folder, [model])
    replace = os.replace

    def failing(source: Path, target: Path) -> None:
        if str(source).endswith(".part"):
            raise OSError(5, "Input/output error")
        replace(source, target)

    monkeypatch.setattr(os, "replace", failing)
    with pytest.raises(OutputError):
        export_page(folder, [model])
    assert (folder / "index.html").is_file()
    assert {path.name for path in tmp_path.iterdir()} == {"site", "web"}


def test_a_wheel_without_litert_js_says_how_to_get_it(
    small_web: Path, tmp_path: Path, model: AudioModel
) -> None:
    (small_web / "vendor" / "NOTICE.txt").unlink()
    with pytest.raises(MissingExtraError, match=r"python -m oido\.server\.vendor"):
        export_page(tmp_path / "site", [model])
    assert not (tmp_path / "site").exists()
    # A page of a server still is one: it only cannot hear by itself.
    files = page_files({"mode": "server"}, folder=small_web)
    assert [url for url in files if url.startswith("vendor/")] == []
    links = re.compile(rb'<link rel="modulepreload".*\n')
    start = links.sub(b"", content_of(files[""]))
    assert start == links.sub(b"", (small_web / "index.html").read_bytes())


def test_the_start_names_every_module_that_it_begins_with(small_web: Path) -> None:
    """So that a browser asks for all at once, and not import by import."""
    scripts = beginnings(content_of(page_files({"mode": "server"}, folder=small_web)[""]).decode())
    needed = [imported_by(script, small_web) for script in scripts]
    assert len(scripts) > 2
    for number, urls in enumerate(scripts.values()):
        assert sorted(urls) == sorted(needed[number].difference(*needed[:number], scripts))


def test_what_the_first_screen_needs_is_asked_for_before_the_rest(small_web: Path) -> None:
    start = content_of(page_files({"mode": "server"}, folder=small_web)[""]).decode()
    first, _, rest = start.partition('<template id="rest">')
    assert list(beginnings(first)) == ["ui/first_screen.js"]
    app, view, *_ = beginnings(rest)
    assert (app, view) == ("app.js", "ui/session_view.js")
    assert 0 < len(beginnings(first)["ui/first_screen.js"]) < 10 < len(beginnings(rest)[app])


def test_what_is_loaded_when_it_is_wanted_is_named_once_the_page_answers(small_web: Path) -> None:
    """So that it is there then, also when the server is gone; what only a device's engine needs is
    not: that fetches its model then, too."""
    start = content_of(page_files({"mode": "server"}, folder=small_web)[""]).decode()
    named = set(beginnings(start.partition('src="app.js"')[2]))
    wanted = set()
    for url in {"app.js", *imported_by("app.js", small_web)}:
        text = (small_web / url).read_text("utf-8")
        for name in re.findall(r'await import\("([^"]+)"\)', text):
            wanted.add(os.path.normpath(Path(url).parent / name))
    asked = set(re.findall(r'"modulepreload" href="([^"]+)"', start))
    assert named
    assert named <= wanted
    assert wanted - asked == {"core/device_engine.js", "core/model.js"}


def beginnings(start: str) -> dict[str, list[str]]:
    """Each module that index.html names itself, and those that are asked for because of it."""
    module = re.compile(r'<(?:script type="module" src|link rel="modulepreload" href)="([^"]+)"')
    ours = module.findall((WEB_FOLDER / "index.html").read_text("utf-8"))
    found, waiting = dict[str, list[str]](), list[str]()
    for url in module.findall(start):
        if url in ours:
            found[url], waiting = waiting, []
        else:
            waiting.append(url)
    assert waiting == []
    return found


def imported_by(script: str, folder: Path) -> set[str]:
    """The modules that a script imports, and those that they import."""
    wanted, found = [script], set[str]()
    while wanted:
        url = wanted.pop()
        text = (folder / url).read_text("utf-8")
        for name in re.findall(r'^} from "([^"]+)"|^import .* from "([^"]+)"', text, re.M):
            other = os.path.normpath(Path(url).parent / "".join(name))
            if other not in found:
                found.add(other)
                wanted.append(other)
    return found


def test_exported_scripts_have_no_comments(
    small_web: Path, tmp_path: Path, model: AudioModel
) -> None:
    (small_web / "ui" / "odd.js").write_text(
        "// SPDX-License-Identifier: Apache-2.0\n/* one\n * two */\n"
        "/** @type {number} */ const a = 1;\n  // three\nconst b = '// four';\n/** five */\n"
        "const c = a; // six\n",
        encoding="utf-8",
    )
    export_page(tmp_path / "site", [model])
    assert (tmp_path / "site" / "ui" / "odd.js").read_text("utf-8").split("\n") == [
        "// SPDX-License-Identifier: Apache-2.0",
        "",
        "",
        "/** @type {number} */ const a = 1;",
        "",
        "const b = '// four';",
        "",
        "const c = a; // six",
        "",
    ]
    n_gone = 0
    for path in small_web.rglob("*.js"):
        url = path.relative_to(small_web)
        if url.parts[0] == "review":  # another page, which is not exported
            continue
        before = path.read_text("utf-8").split("\n")
        after = (tmp_path / "site" / url).read_text("utf-8").split("\n")
        gone = [one for one, other in zip(before, after, strict=True) if one != other]
        assert all(line.strip().startswith(("//", "/*", "*")) for line in gone), url
        n_gone += len(gone)
    assert n_gone > 1_000


def test_compressed_forms_lie_beside_the_files(
    small_web: Path, tmp_path: Path, model: AudioModel
) -> None:
    wasm = small_web / "vendor" / "litert_wasm_internal.wasm"
    wasm.write_bytes(b"the same again and again " * 100)
    wasm.with_name(wasm.name + ".br").write_bytes(b"brotli")
    report = export_page(tmp_path / "site", [model])
    site = tmp_path / "site"
    packed = {path.relative_to(site).as_posix() for path in site.rglob("*.gz")}
    (name,) = (path.name for path in (site / "models").glob("*.tflite"))
    assert {"app.js.gz", "index.html.gz", f"models/{name}.gz"} < packed
    for url in packed:
        content = gzip.decompress((site / url).read_bytes())
        assert content == (site / url.removesuffix(".gz")).read_bytes(), url
    assert (site / "vendor" / f"{wasm.name}.br").read_bytes() == b"brotli"
    urls = [entry["url"] for entry in precached(site)["files"]]
    assert [url for url in urls if url.endswith((".gz", ".br"))] == []
    about = json.loads((site / "page.json").read_text("utf-8"))
    assert about["runtimeBytes"]["relaxed"] == len(wasm.read_bytes())
    model_bytes = (site / "models" / f"{name}.gz").stat().st_size
    # Without the runtime: code, texts and icons, and a font of 18 kB.
    assert model_bytes < report.first_visit_bytes < model_bytes + 250_000
    there = [path for path in site.rglob("*") if path.is_file() and path.name != WRITTEN_NAME]
    assert report.files == len(there), "compressed forms among them"
    assert report.size_bytes == sum(path.stat().st_size for path in there)


@pytest.mark.parametrize("url", ["https://example.org/a?b=1", "example.org", "ftp://a.org/", ""])
def test_what_is_no_address_of_a_page_is_refused(
    small_web: Path, tmp_path: Path, model: AudioModel, url: str
) -> None:
    with pytest.raises(OptionError, match=r"--url is the page's own address"):
        export_page(tmp_path / "site", [model], url=url)
    assert not (tmp_path / "site").exists()


def test_other_sites_find_the_pages_picture(
    small_web: Path, tmp_path: Path, model: AudioModel
) -> None:
    """Relative where nobody said where it will be, else by a whole address."""

    def told(url: str | None) -> dict[str, str]:
        export_page(tmp_path / "site", [model], url=url)
        start = (tmp_path / "site" / "index.html").read_text("utf-8")
        return dict(re.findall(r'<meta property="og:(\w+)" content="([^"]*)">', start))

    plain = told(None)
    assert {"title", "description", "type", "image"} <= set(plain)
    assert (tmp_path / "site" / plain["image"]).read_bytes().startswith(b"\x89PNG")
    assert "url" not in plain
    whole = told("https://example.org/some&where")
    assert whole["url"] == "https://example.org/some&amp;where/"
    assert whole["image"] == whole["url"] + plain["image"]
    # Nothing of the page itself asks for it, so a first visit does not bring it.
    assert "icons/card.png" not in (tmp_path / "site" / "precache.js").read_text("utf-8")
