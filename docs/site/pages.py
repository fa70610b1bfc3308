# SPDX-License-Identifier: Apache-2.0
"""The docs' Markdown as pages of a site: a tree for each language, whose links lead within it.

In the repository pages link to each other as files, so that a forge shows them as they are. On the
site README.md is the first page, docs/ is the root, docs/es/ is the root in Spanish, and what is
linked and is no page (a notebook, a licence) stands under files/. A page that has no translation
stands in the Spanish tree in English.
"""

from __future__ import annotations

import posixpath
import re
import shutil
from dataclasses import dataclass, field
from pathlib import Path

ROOT = Path(__file__).parents[2]
LANGUAGES = ("en", "es")
API = "reference/api.md"

_ELSEWHERE = {
    "README.md": ("en", "index.md"),
    "README.es.md": ("es", "index.md"),
    "docs/README.md": ("en", "contents.md"),
    "docs/es/README.md": ("es", "contents.md"),
    "CHANGELOG.md": ("en", "project/changes.md"),
    "CONTRIBUTING.md": ("en", "project/contributing.md"),
    "benchmarks/README.md": ("en", "project/benchmarks.md"),
    "benchmarks/peers/README.md": ("en", "project/peers.md"),
}
_SECTIONS_IN_SPANISH = {
    "Guides": "Guías",
    "Coming from another tool": "Si vienes de otra herramienta",
    "Concepts": "Conceptos",
    "Reference": "Consulta",
    "Project": "El proyecto",
}
_NOT_TRANSLATED = "*Esta página todavía no está en español.*"

_FENCE = re.compile(r"^(```.*?^```[^\S\n]*$)", re.DOTALL | re.MULTILINE)
_CODE = re.compile(r"(?<!`)(`+)(?!`)(.+?)(?<!`)\1(?!`)", re.DOTALL)
_LINK = re.compile(r"\]\(([^)\s]+)\)")
_ONLY_A_LINK = re.compile(r"^\[[^\]]+\]\(([^)\s]+)\)\.?\n\n?", re.MULTILINE)


class BrokenLinkError(Exception):
    """A page links to what is not there."""


@dataclass(frozen=True)
class Place:
    """Where a page stands on the site: in which language, under which name."""

    language: str
    name: str


def place_of(source: str) -> Place:
    """The place of a Markdown file of the repository, a path from its root with /."""
    if source in _ELSEWHERE:
        return Place(*_ELSEWHERE[source])
    if source.startswith("docs/es/"):
        return Place("es", source.removeprefix("docs/es/"))
    return Place("en", source.removeprefix("docs/"))


def find_pages(root: Path = ROOT) -> dict[str, Place]:
    """All pages: those of docs/, and the few outside that have a place."""
    found = {path.relative_to(root).as_posix() for path in (root / "docs").rglob("*.md")}
    found |= {source for source in _ELSEWHERE if (root / source).exists()}
    return {source: place_of(source) for source in sorted(found)}


@dataclass
class SiteTree:
    """The pages of both languages below one folder, and the files that they link to."""

    target: Path
    root: Path = ROOT
    files: dict[str, str] = field(default_factory=dict)
    """Linked files that are no pages: name on the site, path from the root."""

    def __post_init__(self) -> None:
        self.pages = find_pages(self.root)

    def write(self) -> None:
        """Write all of it, in place of what was there. Raises BrokenLinkError."""
        shutil.rmtree(self.target, ignore_errors=True)
        texts: dict[Place, str] = {}
        for source, place in self.pages.items():
            text = self.text_of(source)
            texts[place] = self.page(source, text)
            if place.language == "en" and Place("es", place.name) not in self.pages.values():
                english = _noted(self.page(source, text, "es"))
                texts[Place("es", place.name)] = english
        for place, text in texts.items():
            path = self.target / place.language / place.name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text, encoding="utf-8")
        for language in LANGUAGES:
            for name, source in self.files.items():
                path = self.target / language / name
                path.parent.mkdir(parents=True, exist_ok=True)
                shutil.copy(self.root / source, path)

    def text_of(self, source: str) -> str:
        """A page as it stands in the repository."""
        return (self.root / source).read_text(encoding="utf-8")

    def page(self, source: str, text: str, language: str | None = None) -> str:
        """A page as it stands on the site: its links, and what another Markdown reads otherwise.

        language: of the tree that it is for, if not its own.
        """
        pieces = _FENCE.split(self._without_other_language(source, text))
        return "".join(
            piece if piece.startswith("```") else self._prose(source, piece, language)
            for piece in pieces
        )

    def _without_other_language(self, source: str, text: str) -> str:
        """Without the line that leads to the same page in the other language: the head does."""
        own = self.pages[source]

        def kept(match: re.Match[str]) -> str:
            path = posixpath.normpath(posixpath.join(posixpath.dirname(source), match[1]))
            other = self.pages.get(path)
            is_switch = other is not None and other.name == own.name and other != own
            return "" if is_switch else match[0]

        return _ONLY_A_LINK.sub(kept, text)

    def _prose(self, source: str, text: str, language: str | None) -> str:
        # The generator's tables need no \ before a | within code, and would show it.
        text = re.sub(r"^\|.*$", lambda row: _CODE.sub(_bare_bars, row[0]), text, flags=re.M)
        pieces, end = [], 0
        for code in _CODE.finditer(text):
            pieces += [self._linked(source, text[end : code.start()], language), code[0]]
            end = code.end()
        return "".join([*pieces, self._linked(source, text[end:], language)])

    def _linked(self, source: str, text: str, language: str | None) -> str:
        return _LINK.sub(lambda link: f"]({self.link(source, link[1], language)})", text)

    def link(self, source: str, target: str, language: str | None = None) -> str:
        """A link of a page, as it is on the site, in the tree of this language."""
        if re.match(r"[a-z]+:|#", target):
            return target
        path, mark, anchor = target.partition("#")
        path = posixpath.normpath(posixpath.join(posixpath.dirname(source), path))
        if path in self.pages:
            name = self.pages[path].name
            anchor = self._anchor_in(language, path, anchor) if anchor else ""
        elif (self.root / path).is_file():
            name = _file_name(path)
            self.files[name] = path
        else:
            raise BrokenLinkError(f"{source} links to {target}: there is no such page or file")
        here = posixpath.dirname(self.pages[source].name)
        return posixpath.relpath(name, here or ".") + mark + anchor

    def _anchor_in(self, language: str | None, path: str, anchor: str) -> str:
        """The same heading's anchor in the translation, which has the same headings in order."""
        other = Place(language or "", self.pages[path].name)
        translation = next((s for s, p in self.pages.items() if p == other and s != path), None)
        own = anchors_of(self.text_of(path))
        if anchor not in own:
            raise BrokenLinkError(f"{path} has no heading for #{anchor}")
        if translation is None:
            return anchor
        return anchors_of(self.text_of(translation))[own.index(anchor)]


def anchors_of(text: str) -> list[str]:
    """The anchors of a page's headings, in order, as a forge and the generator make them."""
    names = re.findall(r"^#+ (.*)$", _FENCE.sub("", text), re.MULTILINE)
    names = [re.sub(r"\[([^\]]*)\]\([^)]*\)", r"\1", name).lower() for name in names]
    return [re.sub(r"[^\w\- ]", "", name).strip().replace(" ", "-") for name in names]


def navigation(language: str, root: Path = ROOT) -> list[object]:
    """The order of the pages: that of docs/README.md, which lists them once for all readers."""
    sections: dict[str, list[str]] = {}
    current: list[str] = []
    tree = SiteTree(Path(), root)
    for line in (root / "docs" / "README.md").read_text(encoding="utf-8").splitlines():
        if head := re.match(r"\*\*(.+?)\*\*", line):
            current = sections.setdefault(head[1], [])
        for target in _LINK.findall(line):
            name = tree.link("docs/README.md", target.partition("#")[0])
            if name.endswith(".md") and name not in current:
                current.append(name)
    sections["Reference"].append(API)
    own = [place.name for place in map(place_of, _ELSEWHERE)]
    sections["Project"] = [name for name in own if name.startswith("project/")]
    titles = _SECTIONS_IN_SPANISH if language == "es" else {}
    named = [{titles.get(title, title): names} for title, names in sections.items()]
    return ["index.md", "contents.md", *named]


def api_page() -> str:
    """The page that the docstrings of all public names are put on."""
    import oido

    kinds: dict[str, list[str]] = {"Classes": [], "Functions": [], "Errors": []}
    for name in oido.__all__:
        if not name.startswith("_"):
            kinds[_kind(getattr(oido, name))].append(name)
    lines = [
        "# Docstrings",
        "",
        "Of each public name; [Python names](python.md) is the short list.",
    ]
    for kind, names in kinds.items():
        lines += ["", f"## {kind}"]
        lines += [line for name in names for line in ("", f"::: oido.{name}")]
    return "\n".join(lines) + "\n"


def _kind(value: object) -> str:
    if not isinstance(value, type):
        return "Functions"
    return "Errors" if issubclass(value, Exception) else "Classes"


def _file_name(path: str) -> str:
    if path.startswith("docs/"):
        return path.removeprefix("docs/")
    return f"files/{path}" if "." in posixpath.basename(path) else f"files/{path}.txt"


def _bare_bars(code: re.Match[str]) -> str:
    return code[0].replace("\\|", "|")


def _noted(text: str) -> str:
    """An English page for Spanish readers: it says below its title that it is one."""
    head, _, rest = text.partition("\n")
    return f"{head}\n\n{_NOT_TRANSLATED}\n{rest}"
