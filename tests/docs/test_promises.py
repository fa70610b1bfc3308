# SPDX-License-Identifier: Apache-2.0
"""Each promise has its tests, and they exist; each package beside oido has its licence named."""

from __future__ import annotations

import ast
import re
import sys
from functools import cache
from pathlib import Path

import pytest

if sys.version_info >= (3, 11):
    import tomllib
else:
    tomllib = pytest.importorskip("tomli", reason="needs Python 3.11 or tomli")

ROOT = Path(__file__).parents[2]
PROMISES = ROOT / "docs" / "reference" / "promises.md"
_TEST = re.compile(r"`(tests/[\w/]+\.py)::(test_\w+)`")


def rows(text: str) -> list[list[str]]:
    """The rows of its tables, without heads and rules."""
    lines = [line for line in text.splitlines() if line.startswith("|")]
    cells = [[cell.strip() for cell in line.strip("|").split("|")] for line in lines]
    return [row for row in cells if row[0] != "promise" and set(row[0]) != {"-"}]


@cache
def named_in(path: Path) -> set[str]:
    if not path.is_file():
        return set()
    nodes = ast.walk(ast.parse(path.read_text(encoding="utf-8")))
    return {n.name for n in nodes if isinstance(n, ast.FunctionDef | ast.AsyncFunctionDef)}


def missing(text: str) -> list[str]:
    """What is wrong with a page of promises: sentences without a test, and tests that are not."""
    wrong = []
    for promise, tests in rows(text):
        named = _TEST.findall(tests)
        leftover = _TEST.sub("", tests).replace(",", "").strip()
        if not named or leftover:
            wrong.append(f"{promise}: names no test, or not in the usual way")
        wrong += [f"{f}::{t}" for f, t in named if t not in named_in(ROOT / f)]
    return wrong


def test_every_promise_has_tests_that_exist() -> None:
    text = PROMISES.read_text(encoding="utf-8")
    assert len(rows(text)) >= 25
    assert missing(text) == []


def test_a_promise_without_its_test_is_found() -> None:
    head = "| promise | tests |\n|---|---|\n"
    here = "tests/docs/test_promises.py"
    assert missing(f"{head}| a | `{here}::test_a_promise_without_its_test_is_found` |") == []
    assert missing(f"{head}| a | `{here}::test_gone` |") == [f"{here}::test_gone"]
    assert missing(f"{head}| a | `tests/gone.py::test_gone` |") == ["tests/gone.py::test_gone"]
    assert len(missing(f"{head}| a | |\n| b | believe it |")) == 2


def test_what_is_promised_has_its_sections_and_what_is_not_stands_there() -> None:
    text = PROMISES.read_text(encoding="utf-8")
    heads = set(re.findall(r"^## (.+)$", text, re.MULTILINE))
    assert heads >= {"Durability", "Exactly once", "Privacy", "Access", "What is not promised"}
    assert len(re.findall(r"^- That ", text.partition("## What is not promised")[2], re.M)) >= 5


def test_the_licence_of_every_package_that_comes_along_is_named() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    names = [re.split(r"[><=;\[ ]", line)[0] for line in project["dependencies"]]
    assert len(names) >= 9
    for page in ("NOTICE", "docs/reference/licences.md"):
        text = (ROOT / page).read_text(encoding="utf-8")
        assert [name for name in names if not re.search(rf"\b{name}\b", text)] == []
        assert all(part in text for part in ("x264", "x265", "libsndfile", "libsoxr"))


def test_ffmpeg_is_built_as_the_page_says() -> None:
    core = pytest.importorskip("av._core")
    built = core.library_meta["libavcodec"]
    if "--enable-libx264" not in built["configuration"]:
        pytest.skip("the FFmpeg here is another than that of PyAV's wheel")
    assert "LGPL version 3 or later" in built["license"]
    text = (ROOT / "docs" / "reference" / "licences.md").read_text(encoding="utf-8")
    assert all(flag in text for flag in ("LGPL version 3 or later", "--enable-libx264"))
