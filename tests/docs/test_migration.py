# SPDX-License-Identifier: Apache-2.0
"""The pages "You had …": both sides run, and print the same."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest

from tests.docs.test_docs import ROOT, blocks, desk
from tests.peers.peers import interpreter

__all__ = ["desk"]

GUIDES = ROOT / "docs" / "guides"
PAGES = sorted(GUIDES.glob("from-*.md"))
PEERS = {"from-mediapipe.md": "mediapipe", "from-task-library.md": "tflite-support"}
"""The old tools that install, and print; BirdNET-Analyzer is run by tests/peers, the others need an
old Python, or fetch their model from the web."""


def printed(python: Path, code: str, folder: Path) -> str:
    command = [str(python), "-c", code]
    done = subprocess.run(
        command, cwd=folder, capture_output=True, text=True, timeout=300, check=False
    )
    assert done.returncode == 0, done.stderr[-2000:]
    return done.stdout


@pytest.mark.slow
@pytest.mark.parametrize("page", PEERS)
def test_the_old_side_prints_what_the_new_side_prints(page: str, desk: Path) -> None:
    """Each `py` block is of the old tool; the `python` block behind it takes its place."""
    text = (GUIDES / page).read_text(encoding="utf-8")
    pairs = re.findall(r"```py\n(.*?)^```.*?```python\n(.*?)^```", text, re.DOTALL | re.M)
    assert len(pairs) == len(blocks(GUIDES / page, "py")) >= 1
    for old, new in pairs:
        expected = printed(interpreter(PEERS[page]), old, desk)
        assert len(expected) > 10
        assert printed(Path(sys.executable), new, desk) == expected


def test_there_is_a_page_for_each_old_tool() -> None:
    named = {"mediapipe", "task-library", "model-maker", "tfhub-yamnet", "birdnet-analyzer"}
    assert {page.stem.removeprefix("from-") for page in PAGES} == named
    index = (ROOT / "docs" / "README.md").read_text(encoding="utf-8")
    for page in PAGES:
        text = page.read_text(encoding="utf-8")
        assert f"guides/{page.name}" in index
        assert "You had" in text
        assert "Now write" in text
        assert "## Option by option" in text
        assert "## What differs" in text


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.stem)
def test_options_that_pages_name_exist(page: Path) -> None:
    """Every --option in the columns of oido is one of a command."""
    from oido.cli.main import build_parser
    from tests.docs.options import options_of

    known = options_of(build_parser())
    for line in page.read_text(encoding="utf-8").splitlines():
        if line.startswith("|"):
            ours = "|".join(line.replace("\\|", " ").split("|")[2:])
            used = set(re.findall(r"(?<![\w-])--[a-z][a-z-]+", ours))
            assert used <= known, line
