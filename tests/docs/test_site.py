# SPDX-License-Identifier: Apache-2.0
"""The site of the docs: where pages stand, how they link, and what the check of a site sees."""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path
from types import ModuleType

import pytest

import oido

ROOT = Path(__file__).parents[2]


def load(name: str) -> ModuleType:
    """A file of docs/site, which is no package."""
    from importlib.util import module_from_spec, spec_from_file_location

    spec = spec_from_file_location(f"docs_site_{name}", ROOT / "docs" / "site" / f"{name}.py")
    assert spec is not None
    assert spec.loader is not None
    made = module_from_spec(spec)
    sys.modules[spec.name] = made
    spec.loader.exec_module(made)
    return made


pages = load("pages")
check = load("check")


def written(tmp_path: Path) -> Path:
    pages.SiteTree(tmp_path / "tree").write()
    return tmp_path / "tree"


def names(tree: Path) -> set[str]:
    return {path.relative_to(tree).as_posix() for path in tree.rglob("*.md")}


def test_every_page_stands_in_both_trees_and_in_the_order(tmp_path: Path) -> None:
    tree = written(tmp_path)
    assert names(tree / "en") == names(tree / "es")
    assert len(names(tree / "en")) == sum(p.language == "en" for p in pages.find_pages().values())
    for language in ("en", "es"):
        listed: list[str] = []
        for entry in pages.navigation(language):
            listed += [entry] if isinstance(entry, str) else next(iter(entry.values()))
        assert set(listed) == names(tree / language) | {pages.API}
        assert len(listed) == len(set(listed)), "a page stands twice in the order"


def test_spanish_pages_are_spanish_and_the_others_say_that_they_are_not(tmp_path: Path) -> None:
    tree = written(tmp_path)
    assert "De una carpeta a una tabla" in (tree / "es/guides/folders.md").read_text("utf-8")
    assert "Instalación" in (tree / "es/index.md").read_text("utf-8")
    server = (tree / "es/guides/server.md").read_text("utf-8")
    assert server.splitlines()[2] == "*Esta página todavía no está en español.*"
    for path in tree.rglob("*.md"):
        text = path.read_text("utf-8")
        assert "[En español](" not in text
        assert "[In English](" not in text


@pytest.mark.parametrize(
    ("source", "target", "expected"),
    [
        ("README.md", "docs/guides/folders.md", "guides/folders.md"),
        ("README.md", "docs/page-desktop.png", "page-desktop.png"),
        ("README.md", "NOTICE", "files/NOTICE.txt"),
        ("README.es.md", "docs/es/guides/folders.md", "guides/folders.md"),
        ("docs/es/guides/training.md", "../../guides/ray.md", "ray.md"),
        ("docs/guides/python.md", "../../benchmarks/README.md", "../project/benchmarks.md"),
        ("docs/guides/notebooks.md", "../../examples/teach-it.ipynb", None),
        ("docs/README.md", "https://example.com/x.md", "https://example.com/x.md"),
        ("docs/README.md", "#top", "#top"),
    ],
)
def test_links_lead_to_the_same_thing(source: str, target: str, expected: str | None) -> None:
    tree = pages.SiteTree(Path())
    assert tree.link(source, target) == (expected or "../files/examples/teach-it.ipynb")


@pytest.mark.parametrize("target", ["guides/no.md", "guides/folders.md#no"])
def test_a_link_to_nothing_is_refused(target: str) -> None:
    with pytest.raises(pages.BrokenLinkError, match=target.partition("#")[2] or target):
        pages.SiteTree(Path()).link("docs/README.md", target)


def test_an_english_page_among_spanish_ones_links_to_their_headings() -> None:
    tree, source, target = pages.SiteTree(Path()), "docs/guides/troubleshooting.md", "folders.md"
    assert tree.link(source, f"{target}#jobs") == "folders.md#jobs"
    assert tree.link(source, f"{target}#jobs", "es") == "folders.md#procesos"
    assert tree.link(source, "models.md#which-model", "es") == "models.md#which-model"


def test_code_stays_as_it_is_but_for_bars_in_tables() -> None:
    text = "[a](README.md) `[b](README.md)`\n\n```sh\n[c](README.md)\n```\n\n| `a\\|b` | c\\|d |\n"
    made = pages.SiteTree(Path()).page("docs/README.md", text)
    assert made == (
        "[a](contents.md) `[b](README.md)`\n\n```sh\n[c](README.md)\n```\n\n| `a|b` | c\\|d |\n"
    )


def test_every_public_name_has_its_docstring_on_the_page() -> None:
    lines = pages.api_page().splitlines()
    listed = {line.removeprefix("::: oido.") for line in lines if line.startswith(":::")}
    assert listed == set(oido.__all__) - {"__version__"}


def test_entries_of_docstrings_are_lists() -> None:
    pytest.importorskip("griffe", reason="needs oido[site]")
    text = (
        "What it does.\n\nrate_hz: samples\n    a second\nhop, top: both\nAnd more.\n\n    code: x"
    )
    assert load("docstrings").as_markdown(text) == (
        "What it does.\n\n\n- `rate_hz`: samples\n    a second\n- `hop, top`: both\n\nAnd more.\n\n"
        "    code: x"
    )


@pytest.fixture
def site(tmp_path: Path) -> Path:
    folder = tmp_path / "site"
    (folder / "guides").mkdir(parents=True)
    (folder / "index.html").write_text(
        '<link rel="stylesheet" href="a.css"><link rel="canonical" href="https://else/">'
        '<a href="guides/b.html#x">b</a><a href="https://else/">else</a><a href="#top">t</a>'
        '<p id="top">- no: <code>\n- x</code></p><img src="p.png">',
        encoding="utf-8",
    )
    (folder / "guides" / "b.html").write_text('<h2 id="x">x</h2><a href="../index.html">a</a>')
    (folder / "404.html").write_text('<a href="/index.html">a</a>')
    (folder / "a.css").write_text("p { background: url(data:image/png;base64,AA) url(p.png) }")
    (folder / "p.png").write_bytes(b"")
    return folder


def found(site: Path) -> list[str]:
    check.read_page.cache_clear()
    return list(check.problems(site))


def test_a_good_site_has_no_problems(site: Path) -> None:
    text = (site / "index.html").read_text(encoding="utf-8")
    (site / "index.html").write_text(text.replace("<p id", "<p class='x' id").replace("- no", "no"))
    assert found(site) == []


@pytest.mark.parametrize(
    ("added", "what"),
    [
        ('<a href="guides/none.html">', "which is not a file"),
        ('<a href="guides/">', "which is not a file"),
        ('<a href="/guides/b.html">', "which is not a file"),
        ('<a href="b.html#y">', "no such anchor"),
        ('<a href="#y">', "no such anchor"),
        ('<script src="https://else/x.js">', "from another host"),
        ('<script src="//else/x.js">', "from another host"),
        ('<link rel="preconnect" href="https://else">', "from another host"),
        ('<img srcset="../p.png 1x, q.png 2x">', "which is not there"),
        ('<div style="background: url(https://else/x.png)">', "from another host"),
        ("<p>A list:\n- one", "not read as Markdown"),
        ("<p>A table:\n| a | b |", "not read as Markdown"),
    ],
)
def test_what_is_wrong_is_found(site: Path, added: str, what: str) -> None:
    (site / "guides" / "b.html").open("a").write(added)
    (problem,) = [each for each in found(site) if not each.startswith("index.html")]
    assert what in problem


def test_styles_and_empty_sites_are_looked_at_too(site: Path, tmp_path: Path) -> None:
    (site / "a.css").write_text('@import "https://else/a.css"; p { background: url("none.png") }')
    wrong = [each for each in found(site) if each.startswith("a.css")]
    assert ["another host" in wrong[0], "not there" in wrong[1]] == [True, True]
    (tmp_path / "empty").mkdir()
    assert len(found(tmp_path / "empty")) == 1


@pytest.mark.slow
def test_the_search_of_a_built_site_works_without_a_server(tmp_path: Path) -> None:
    """`make site` builds it; a browser opens its first page as a file, and types a word."""
    built = ROOT / "build" / "site"
    if not (built / "index.html").exists():
        pytest.skip("needs the site: make site")
    playwright = pytest.importorskip("playwright.sync_api", reason="needs playwright")
    chromium = shutil.which("chromium")
    if chromium is None:
        pytest.skip("needs chromium")
    with playwright.sync_playwright() as browsers:
        browser = browsers.chromium.launch(executable_path=chromium, args=["--no-sandbox"])
        page = browser.new_page()
        asked: list[str] = []
        page.on("request", lambda request: asked.append(request.url))
        for name, word, expected in (
            ("en/index.html", "thresholds", "Events that fit"),
            ("es/index.html", "disparadores", "Escuchar: lo que se oye ahora"),
        ):
            page.goto((built / name).as_uri())
            field = page.locator("[data-md-component=search-query]")
            field.click()  # the index is read when the field is first used
            field.press_sequentially(word)
            results = page.locator("[data-md-component=search-result]")
            results.get_by_text(expected).first.wait_for(state="attached", timeout=120_000)
        browser.close()
    assert all(url.startswith(("file:", "about:", "data:")) for url in asked)


@pytest.mark.slow
def test_the_command_says_what_is_wrong(site: Path) -> None:
    command = [sys.executable, str(ROOT / "docs" / "site" / "check.py"), str(site)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 1
    assert "index.html: not read as Markdown: '- no: '" in done.stderr
