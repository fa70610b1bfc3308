# SPDX-License-Identifier: Apache-2.0
"""JavaScript's rules give what the examples of tests/vectors say, in Node and in Chromium."""

from __future__ import annotations

import json
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest

from oido.server.page_files import WEB_FOLDER

HERE = Path(__file__).parent
VECTORS = HERE.parents[1] / "vectors"
NAMES = ("segmentation", "calibration", "windows", "thresholds")


@pytest.fixture
def core_copy(tmp_path: Path) -> Path:
    """core/ as Node wants modules: with a package.json that says so."""
    folder = tmp_path / "core"
    shutil.copytree(WEB_FOLDER / "core", folder)
    (folder / "package.json").write_text('{"type": "module"}')
    return folder


def in_node(core: Path) -> list[str]:
    node = shutil.which("node")
    if node is None:
        pytest.skip("needs Node.js (Debian: apt install nodejs)")
    command = [node, str(HERE / "rules_in_node.mjs"), str(core), str(VECTORS)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    differences: list[str] = json.loads(done.stdout)
    return differences


def test_in_node(core_copy: Path) -> None:
    assert in_node(core_copy) == []


@pytest.mark.parametrize(
    ("file", "rule", "changed"),
    [
        ("events.js", "run.peak < this.#on", "run.peak <= this.#on"),
        ("events.js", "> this.#gapSamples", ">= this.#gapSamples"),
        ("events.js", "return below % 2 === 0 ? below : below + 1", "return below + 1"),
        ("events.js", "first.peak >= second.peak", "first.peak > second.peak + 1"),
        ("windowing.js", "window === 0 ? 0 :", "window < 0 ? 0 :"),
        ("calibration.js", "score < sigmoid.minScore", "score <= sigmoid.minScore"),
        ("calibration.js", "2 * Math.log(SMALLEST_LOG) -", "Math.log(SMALLEST_LOG) -"),
        ("thresholds.js", "value <= 1", "value <= 2"),
    ],
)
def test_a_changed_rule_is_seen(core_copy: Path, file: str, rule: str, changed: str) -> None:
    text = (core_copy / file).read_text(encoding="utf-8")
    assert rule in text
    (core_copy / file).write_text(text.replace(rule, changed), encoding="utf-8")
    assert in_node(core_copy) != []


def test_in_chromium(core: Any) -> None:
    examples = {name: json.loads((VECTORS / f"{name}.json").read_text("utf-8")) for name in NAMES}
    code = """async (examples) => {
      const files = ["events", "calibration", "windowing", "thresholds"];
      const loaded = await Promise.all(files.map((file) => import(`/core/${file}.js`)));
      const { differences } = await import("/tests/rules.mjs");
      return differences({ modules: Object.assign({}, ...loaded), examples });
    }"""
    assert core.evaluate(code, examples) == []
