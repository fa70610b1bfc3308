# SPDX-License-Identifier: Apache-2.0
"""Check a site as it was built: links and anchors lead somewhere, nothing comes from others.

It reads what a browser would: the generator's own warnings are about Markdown, and say nothing of
what its theme writes. ``python docs/site/check.py FOLDER`` prints what is wrong; exit code 1 if
anything is.
"""

from __future__ import annotations

import posixpath
import re
import sys
from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import cache
from html.parser import HTMLParser
from pathlib import Path
from urllib.parse import unquote, urlsplit

_LOADS = {
    ("script", "src"),
    ("img", "src"),
    ("iframe", "src"),
    ("source", "src"),
    ("video", "src"),
    ("audio", "src"),
    ("embed", "src"),
    ("object", "data"),
}
"""What a browser fetches by itself, beside <link>."""
_LINKS_THAT_LOAD_NOTHING = {"alternate", "canonical", "next", "prev", "edit"}
_CSS_URL = re.compile(r"""(?:url\(\s*|@import\s+)["']?([^"')\s]+)""")
_LEFT_AS_TEXT = re.compile(r"^(?:- |\* |\d+\. |\||```)", re.MULTILINE)
"""How a list, a table or a block of code begins that was read as a paragraph."""


@dataclass
class PageLinks(HTMLParser):
    """The anchors of a page, where it links to, what it loads, and the text of its paragraphs."""

    ids: set[str] = field(default_factory=set)
    links: list[str] = field(default_factory=list)
    loads: list[str] = field(default_factory=list)
    paragraphs: list[str] = field(default_factory=list)

    def __post_init__(self) -> None:
        super().__init__(convert_charrefs=True)
        self._depth_of_code = 0
        self._in_paragraph = False

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        values = {name: value or "" for name, value in attrs}
        self.ids |= {values[name] for name in ("id", "name") if name in values}
        if tag == "a" and "href" in values:
            self.links.append(values["href"])
        if tag == "link" and "href" in values:
            loads = not set(values.get("rel", "").split()) <= _LINKS_THAT_LOAD_NOTHING
            (self.loads if loads else self.links).append(values["href"])
        self.loads += [values[name] for name in values if (tag, name) in _LOADS]
        self.loads += [
            each.split()[0] for each in values.get("srcset", "").split(",") if each.split()
        ]
        self.loads += _CSS_URL.findall(values.get("style", ""))
        if tag == "p":
            self._in_paragraph = True
            self.paragraphs.append("")
        self._depth_of_code += tag == "code"

    def handle_endtag(self, tag: str) -> None:
        self._in_paragraph = self._in_paragraph and tag != "p"
        self._depth_of_code -= tag == "code"

    def handle_data(self, data: str) -> None:
        if self._in_paragraph and not self._depth_of_code:
            self.paragraphs[-1] += data


@cache
def read_page(path: Path) -> PageLinks:
    """A page's links."""
    page = PageLinks()
    page.feed(path.read_text(encoding="utf-8"))
    page.close()
    return page


def problems(site: Path) -> Iterator[str]:
    """What is wrong with a site, a sentence each."""
    pages = sorted(site.rglob("*.html"))
    if not pages:
        yield f"{site}: no pages"
    for path in pages:
        here = path.relative_to(site).as_posix()
        page = read_page(path)
        for target in page.loads:
            yield from _wrong_load(site, here, target)
        for target in page.links:
            yield from _wrong_link(site, here, target)
        for text in page.paragraphs:
            if found := _LEFT_AS_TEXT.search(text):
                yield f"{here}: not read as Markdown: {text[found.start() :][:60]!r}"
    for path in sorted(site.rglob("*.css")):
        here = path.relative_to(site).as_posix()
        for target in _CSS_URL.findall(path.read_text(encoding="utf-8")):
            if not target.startswith("data:"):
                yield from _wrong_load(site, here, target)


def _wrong_load(site: Path, here: str, target: str) -> Iterator[str]:
    if target.startswith("data:"):
        return
    if _is_of_others(target):
        yield f"{here}: loads {target} from another host"
    elif not (found := _file(site, here, target)).is_file():
        yield f"{here}: loads {target}, which is not there ({found.name})"


def _wrong_link(site: Path, here: str, target: str) -> Iterator[str]:
    if _is_of_others(target):
        return  # a reader follows it, or does not
    path = _file(site, here, target)
    anchor = unquote(urlsplit(target).fragment)
    if not path.is_file():
        yield f"{here}: links to {target}, which is not a file"
    elif anchor and path.suffix == ".html" and anchor not in read_page(path).ids:
        yield f"{here}: links to {target}, which has no such anchor"


def _is_of_others(target: str) -> bool:
    parts = urlsplit(target)
    return bool(parts.scheme or parts.netloc)


def _file(site: Path, here: str, target: str) -> Path:
    """The file of a link; from the page of errors alone, which may stand anywhere, by / too."""
    name = unquote(urlsplit(target).path)
    if name.startswith("/") and posixpath.basename(here) == "404.html":
        here = posixpath.dirname(here) + "/"
        return site / posixpath.join(here.lstrip("/"), name.lstrip("/"))
    if name.startswith("/"):
        return site / "ABSOLUTE" / name.lstrip("/")
    return site / posixpath.normpath(
        posixpath.join(posixpath.dirname(here), name) if name else here
    )


def main() -> int:
    """Check a folder."""
    site = Path(sys.argv[1])
    found = list(problems(site))
    print(*found, sep="\n", file=sys.stderr)
    n_pages = len(list(site.rglob("*.html")))
    print(f"{site}: {n_pages} pages, {len(found)} problems")
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main())
