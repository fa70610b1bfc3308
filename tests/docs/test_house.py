# SPDX-License-Identifier: Apache-2.0
"""What the docs say of the code's structure is true of the code."""

from __future__ import annotations

import ast
import re
import sys
from collections import defaultdict
from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path

import pytest

from tests.docs.walks import archive_unit, live_block, recording, training_clip

if sys.version_info >= (3, 11):
    import tomllib
else:
    tomllib = pytest.importorskip("tomli", reason="needs Python 3.11 or tomli")

ROOT = Path(__file__).parents[2]
SOURCE = ROOT / "src" / "oido"
ONE_RECORDING = ROOT / "docs" / "concepts" / "one-recording.md"
PAGES = (ONE_RECORDING, ROOT / "CONTRIBUTING.md")
MODULES = {path.relative_to(SOURCE).as_posix(): path for path in SOURCE.rglob("*.py")}

NOT_OF_THE_FIELD = {
    *("hear", "hears", "heard", "hearing", "hearer", "told", "tell", "tells", "said"),
    *("taken", "put", "given", "room", "rooms", "taker"),
}
OF_THE_STANDARD_LIBRARY = {"put", "put_nowait", "tell"}
"""`queue.Queue.put` and the place in a file."""
PUBLIC = {"Heard"}
"""Of `oido.torch`, whose names stay."""

LARGE = 100
"""Lines from which on a module has tests under its own name."""
TESTED_ELSEWHERE: set[str] = set()
"""Larger modules without such a file; whoever adds one says why."""


def named_files(page: Path) -> set[str]:
    return {
        name
        for name in re.findall(r"`([a-z0-9_/]+\.(?:py|js))`", page.read_text(encoding="utf-8"))
        if "/" in name or (SOURCE / name).exists()
    }


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.stem)
def test_files_that_pages_name_exist(page: Path) -> None:
    names = named_files(page)
    assert len(names) >= 20
    missing = {n for n in names if not (SOURCE / n).exists() and not (ROOT / n).exists()}
    assert not missing


@pytest.mark.parametrize(
    ("walk", "most"),
    [(recording, 26), (live_block, 20), (archive_unit, 39), (training_clip, 30)],
    ids=lambda value: getattr(value, "__name__", None),
)
def test_the_page_names_the_files_that_a_sound_passes_through(walk, most: int) -> None:
    """The stages of the one path; what an archive and a clip pass beside them is told in prose."""
    entered = walk()
    stages = {"signal", "inference", "runtime"}
    assert {n for n in entered if n.split("/")[0] in stages} <= named_files(ONE_RECORDING)
    assert {"inference/pipeline.py", "inference/predictor.py", "runtime/litert.py"} <= entered
    assert len(entered) <= most, "the way has become longer"


def test_the_layers_of_the_pages_are_those_of_the_contract() -> None:
    contracts = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["importlinter"]
    rows = [set(re.findall(r"\w+", row)) for row in contracts["contracts"][0]["layers"]]
    in_contract = set().union(*rows) - {"__main__"}
    for page in (ROOT / "CONTRIBUTING.md", ROOT / "docs" / "concepts" / "architecture.md"):
        table = re.findall(r"^\| (\d) \| (.*?) \|", page.read_text(encoding="utf-8"), re.M)
        layers = {int(number): set(re.findall(r"`(\w+)/?`", rooms)) for number, rooms in table}
        assert set(layers) == {1, 2, 3, 4, 5, 6, 7}
        assert set().union(*layers.values()) - {"web"} == in_contract
        depth = {room: number for number, rooms in layers.items() for room in rooms}
        for upper, lower in pairwise(rows[1:]):
            assert min(depth[room] for room in upper) >= max(depth[room] for room in lower)


def test_every_module_is_named_in_the_architecture() -> None:
    text = (ROOT / "docs" / "concepts" / "architecture.md").read_text(encoding="utf-8")
    words = set(re.findall(r"\w+", text))
    left_out = {
        name
        for name, path in MODULES.items()
        if path.stem not in words and not name.startswith("cli/") and not path.stem.startswith("_")
    }
    assert not left_out


def test_tests_mirror_the_larger_modules_by_name() -> None:
    """What `src/oido/room/module.py` promises is tested in `tests/room/test_module.py`."""
    unmirrored = set()
    for name, path in MODULES.items():
        mirror = (ROOT / "tests" / name).with_name(f"test_{path.stem}.py")
        is_large = len(path.read_text(encoding="utf-8").splitlines()) >= LARGE
        is_tested = mirror.exists() and "\ndef test_" in mirror.read_text(encoding="utf-8")
        if is_large and not path.stem.startswith("__") and not is_tested:
            unmirrored.add(name)
    assert unmirrored == TESTED_ELSEWHERE


def identifiers(path: Path) -> Iterator[str]:
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
            yield node.name
        elif isinstance(node, ast.Name):
            yield node.id
        elif isinstance(node, ast.arg | ast.keyword) and node.arg:
            yield node.arg
        elif isinstance(node, ast.Attribute):
            yield node.attr


def test_identifiers_are_words_of_the_field() -> None:
    found = set()
    for name, path in MODULES.items():
        for identifier in {*identifiers(path), path.stem} - OF_THE_STANDARD_LIBRARY - PUBLIC:
            parts = re.findall(r"[A-Z]?[a-z0-9]+|[A-Z]+(?![a-z])", identifier)
            if {part.lower() for part in parts} & NOT_OF_THE_FIELD:
                found.add((name, identifier))
    assert not found


def test_no_two_public_classes_share_a_name() -> None:
    where = defaultdict(list)
    for name, path in MODULES.items():
        if name.startswith("compat/"):  # other libraries' names
            continue
        for node in ast.parse(path.read_text(encoding="utf-8")).body:
            if isinstance(node, ast.ClassDef) and not node.name.startswith("_"):
                where[node.name].append(name)
    assert not {name: files for name, files in where.items() if len(files) > 1}
