# SPDX-License-Identifier: Apache-2.0
"""Every text for people is marked, and is in every catalogue, which are whole and current."""

from __future__ import annotations

import ast
import importlib.util
import re
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType

import pytest

from oido.messages import _fields, languages

ROOT = Path(__file__).parents[2]
SOURCE = ROOT / "src" / "oido"

pytest.importorskip("babel")


def _tool() -> ModuleType:
    spec = importlib.util.spec_from_file_location(
        "make_catalogues", ROOT / "docs/make_catalogues.py"
    )
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


CATALOGUES = sorted((SOURCE / "locale").glob("*/LC_MESSAGES/oido.po"))


def fields(text: str) -> list[str]:
    """Those of a text, as they are written."""
    try:
        return sorted(field for _, field, *_ in _fields(text) if field)
    except ValueError:  # braces that are no fields
        return []


@pytest.mark.parametrize("path", CATALOGUES, ids=lambda path: path.parts[-3])
def test_a_catalogue_is_whole_and_current(path: Path) -> None:
    tool = _tool()
    after = tool.updated(path)
    lacks = [message.id for message in after if message.id and not message.string]
    assert not lacks, "no translation (`make texts`, then translate)"
    assert path.with_suffix(".mo").read_bytes() == tool.compiled(after), "say `make texts`"


@pytest.mark.parametrize("path", CATALOGUES, ids=lambda path: path.parts[-3])
def test_translations_have_the_fields_of_their_texts(path: Path) -> None:
    for message in _tool().updated(path):
        if not message.id or "%(" in message.id:
            continue
        assert fields(message.string) == fields(message.id), message.id
        assert message.string.count("%%") == message.id.count("%%"), message.id
        for end in (message.id[:1], message.id[-1:]):
            if end.isspace():
                assert message.string[: len(end)] == end or message.string[-len(end) :] == end


def test_there_is_spanish() -> None:
    assert languages() == ("en", "es")


# What is shown to nobody, or is no sentence of ours.
_NOT_SHOWN = ("compat/", "web/")
_OTHERS = {
    "cli/completion.py": "scripts of shells",
    "models/registry.py": "collected from the list of models",
    "options.py": "collected from the parsers' help",
    "server/openapi.py": "collected from the document",
}
_SHOWN_BY = {"print_message", "print_line", "on_message", "_on_message", "needs_extra", "Remark"}
_SHOWN_BY |= {"Problem", "Failure", "busy", "too_much", "bad_request", "_refused"}
_SHOWN_BY |= {"_protocol_error", "_read_object", "_bad_form", "_worker_problem"}
_NO_MESSAGES = {"AttributeError", "KeyError", "SystemExit"}


def _unmarked(path: Path) -> Iterator[str]:
    tree = ast.parse(path.read_text(encoding="utf-8"))
    for node in ast.walk(tree):
        call = node.exc if isinstance(node, ast.Raise) else node
        if not isinstance(call, ast.Call):
            continue
        name = getattr(call.func, "id", getattr(call.func, "attr", ""))
        is_error = isinstance(node, ast.Raise) and name[:1].isupper() and name not in _NO_MESSAGES
        if not is_error and name not in _SHOWN_BY:
            continue
        for text in (each for argument in call.args for each in _texts(argument)):
            if _has_words(text):
                yield f"{path.relative_to(SOURCE)}:{text.lineno}: {ast.unparse(text)}"


def _texts(node: ast.AST) -> Iterator[ast.Constant | ast.JoinedStr]:
    """The texts of an argument that are not marked."""
    if isinstance(node, ast.Call):
        return  # marked, or made elsewhere
    if isinstance(node, ast.JoinedStr) or (
        isinstance(node, ast.Constant) and isinstance(node.value, str)
    ):
        yield node
        return
    for child in ast.iter_child_nodes(node):
        yield from _texts(child)


def _has_words(node: ast.Constant | ast.JoinedStr) -> bool:
    parts = node.values if isinstance(node, ast.JoinedStr) else [node]
    text = "".join(str(part.value) if isinstance(part, ast.Constant) else "{}" for part in parts)
    return re.search(r"[A-Za-z]{2,}[,;:]? +[a-z]{2,}", text) is not None


def test_what_is_raised_or_printed_is_marked() -> None:
    found = []
    for path in sorted(SOURCE.rglob("*.py")):
        name = path.relative_to(SOURCE).as_posix()
        if not name.startswith(_NOT_SHOWN) and name not in _OTHERS:
            found += _unmarked(path)
    assert not found, "write tr(…) around: " + "\n".join(found)


def test_an_unmarked_text_would_be_found() -> None:
    texts = {
        'raise OptionError(f"{x} is not there")': True,
        'raise OptionError(tr("{x} is not there", x=x))': False,
        'raise OptionError("no such file" if x else other)': True,
        'raise OptionError(f"{x}: {y}")': False,
    }
    for code, is_found in texts.items():
        [statement] = ast.parse(code).body
        assert isinstance(statement, ast.Raise)
        assert isinstance(statement.exc, ast.Call)
        assert any(map(_has_words, _texts(statement.exc.args[0]))) == is_found, code
