# SPDX-License-Identifier: Apache-2.0
"""Bring the catalogues of texts up to date: `make texts`.

All that oido shows to people is collected: what is marked with ``tr`` in the code, texts of the
HTML templates, the help of every command as the parsers have it, and what the document of the
server's API says. Each
``src/oido/locale/LANGUAGE/LC_MESSAGES/oido.po`` keeps its translations, gets what is new without
one, loses what is gone, and is compiled beside itself. With ``--check`` nothing is written, and
what is missing is printed.
"""

from __future__ import annotations

import argparse
import ast
import io
import json
import re
import sys
from collections.abc import Iterator
from pathlib import Path

from babel.messages.catalog import Catalog
from babel.messages.mofile import write_mo
from babel.messages.pofile import read_po, write_po
from jinja2 import nodes

from oido.cli.main import build_parser
from oido.messages import MarkedText
from oido.models.registry import CATALOG
from oido.options import QUERY_OPTIONS
from oido.server.openapi import openapi, texts_for_people
from oido.server.settings import Limits
from oido.writers.html import environment

SOURCE = Path(__file__).resolve().parents[1] / "src" / "oido"
LOCALES = SOURCE / "locale"
_OF_ARGPARSE = ("usage: ", "positional arguments", "options")
_NO_TEXTS = {"good", "fair", "poor", "name", "?", "ambiguous", "impossible", "two readings"}
_IN_TEMPLATES = ("_", "words", "card", "rates", "heat_caption")


def msgids() -> dict[str, list[str]]:
    """Every text, and the files that it stands in."""
    found: dict[str, list[str]] = {}
    for text, place in [*of_code(), *of_templates(), *of_help(), *of_server(), *of_models()]:
        if re.search(r"[^\W\d_]{2}", re.sub(r"\{[^}]*\}", "", text)):
            found.setdefault(text, [])
            if place not in found[text]:
                found[text].append(place)
    return found


def of_code() -> Iterator[tuple[str, str]]:
    """What is marked with `tr`, or given to a page's words."""
    for path in sorted(SOURCE.rglob("*.py")):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if not (isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.args):
                continue
            text = getattr(node.args[0], "value", None)
            if node.func.id in ("tr", "words") and isinstance(text, str):
                yield text, path.relative_to(SOURCE).as_posix()


def of_templates() -> Iterator[tuple[str, str]]:
    """Texts of HTML pages."""
    env = environment()
    for path in sorted((SOURCE / "writers" / "html").glob("*.html")):
        tree = env.parse(path.read_text(encoding="utf-8"))
        lists = [
            loop.iter for loop in tree.find_all(nodes.For) if isinstance(loop.iter, nodes.List)
        ]
        calls = [
            call
            for call in tree.find_all(nodes.Call)
            if isinstance(call.node, nodes.Name) and call.node.name in _IN_TEMPLATES
        ]
        for node in [*lists, *calls]:
            for constant in node.find_all(nodes.Const):
                is_text = isinstance(constant.value, str)
                if is_text and constant.value not in _NO_TEXTS:
                    yield constant.value, f"writers/html/{path.name}"


def of_help() -> Iterator[tuple[str, str]]:
    """What the help of each command says."""
    for text in _OF_ARGPARSE:
        yield text, "cli/parser.py"
    for name, parser in parsers(build_parser()):
        place = f"cli/{name.split()[1] if ' ' in name else 'main'}.py"
        for text in (parser.description, parser.epilog):
            yield from ((part, place) for part in _parts(text or ""))
        for group in parser._action_groups:
            if group.title:
                yield group.title, place
        for action in parser._actions:
            texts = [action.help]
            if isinstance(action, argparse._SubParsersAction):
                texts += [choice.help for choice in action._choices_actions]
            texts += _metavars(action)
            for each in texts:
                if each and not isinstance(each, MarkedText) and each is not argparse.SUPPRESS:
                    yield each, place


def _metavars(action: argparse.Action) -> list[str]:
    """What the help calls the values of an argument."""
    known = [action.metavar] if isinstance(action.metavar, str) else list(action.metavar or ())
    if not known and not action.option_strings and action.choices is None and action.nargs != 0:
        known = [action.dest]
    return known


def parsers(parser: argparse.ArgumentParser) -> Iterator[tuple[str, argparse.ArgumentParser]]:
    """A parser and all of its commands, each with its name."""
    yield parser.prog, parser
    for action in parser._actions:
        if isinstance(action, argparse._SubParsersAction):
            for each in action.choices.values():
                yield from parsers(each)


def _parts(text: str) -> Iterator[str]:
    """As `oido.cli.parser` translates them: paragraphs; headings and remarks of examples."""
    for paragraph in filter(None, text.split("\n\n")):
        lines = paragraph.strip("\n").split("\n")
        if len(lines) == 1 or not lines[1].startswith("  "):
            yield " ".join(lines)
            continue
        for line in lines:
            remark = re.fullmatch(r"\s+.*?\S\s{2,}(\S.*)", line)
            if remark or not line.startswith(" "):
                yield remark[1] if remark else line


def of_server() -> Iterator[tuple[str, str]]:
    """What the page of the server's API says, which the document has in English."""
    own = json.loads((SOURCE / "server" / "openapi.json").read_text(encoding="utf-8"))
    for document in (own, openapi(Limits())):
        yield from ((text, "server/openapi.json") for text in texts_for_people(document))
    for option in QUERY_OPTIONS.values():
        yield from ((text, "options.py") for text in (option.metavar, option.help))


def of_models() -> Iterator[tuple[str, str]]:
    """What the list of models says of each."""
    for card in CATALOG:
        for text in (card.title, card.good_at, card.summary):
            yield text, "models/registry.py"


def updated(path: Path) -> Catalog:
    """A catalogue with all texts in their order, and the translations that it has."""
    with path.open("rb") as file:
        before = read_po(file, locale=path.parts[-3])
    after = Catalog(
        locale=path.parts[-3], project="oido", header_comment=before.header_comment, fuzzy=False
    )
    after.mime_headers = before.mime_headers
    for text, places in sorted(msgids().items(), key=lambda item: (item[1][0], item[0])):
        known = before.get(text)
        after.add(
            text,
            known.string if known is not None else "",
            locations=[(place, None) for place in places],  # type: ignore[misc]
            flags=(),
        )
    return after


def compiled(catalog: Catalog) -> bytes:
    """As gettext reads it."""
    stream = io.BytesIO()
    write_mo(stream, catalog)
    return stream.getvalue()


def main() -> int:
    """Of the command line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--check", action="store_true", help="write nothing")
    is_checked = parser.parse_args().check
    missing = 0
    for path in sorted(LOCALES.glob("*/LC_MESSAGES/oido.po")):
        catalog = updated(path)
        lacks = [message.id for message in catalog if message.id and not message.string]
        missing += len(lacks)
        for text in lacks:
            print(f"{path.parts[-3]}: {text!r}")
        if not is_checked:
            stream = io.BytesIO()
            write_po(stream, catalog, width=100, omit_header=False, ignore_obsolete=True)
            path.write_bytes(stream.getvalue())
            path.with_suffix(".mo").write_bytes(compiled(catalog))
    return 1 if missing else 0


if __name__ == "__main__":
    sys.exit(main())
