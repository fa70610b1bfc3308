# SPDX-License-Identifier: Apache-2.0
"""Every notebook of examples/ runs, from its first cell to its last, on the files beside it."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import pytest

EXAMPLES = Path(__file__).parents[2] / "examples"
NOTEBOOKS = sorted(EXAMPLES.glob("*.ipynb"))


def cells(path: Path) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = json.loads(path.read_text(encoding="utf-8"))["cells"]
    return found


def test_there_are_three() -> None:
    assert [path.stem for path in NOTEBOOKS] == ["archive", "first-steps", "teach-it"]


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_it_is_kept_without_outputs(path: Path) -> None:
    assert path.stat().st_size < 10_000
    for cell in cells(path):
        assert not cell.get("outputs")
        assert cell.get("execution_count") is None


@pytest.mark.slow
@pytest.mark.parametrize(
    ("name", "shown"),
    [
        ("first-steps", ["Police car", "image/png", "at the end: [Event(", "00:00:00,800 -->"]),
        ("teach-it", ["clip accuracy", "image/png", "sounds.tflite", "beep"]),
        ("archive", ["2/2 files", "Rain", "report.html"]),
    ],
)
def test_it_runs(name: str, shown: list[str], tmp_path: Path) -> None:
    nbclient = pytest.importorskip("nbclient", reason="needs nbclient")
    nbformat = pytest.importorskip("nbformat", reason="needs nbclient")
    for module in ("ipykernel", "pandas", "matplotlib", "sklearn", "duckdb"):
        pytest.importorskip(module, reason=f"needs {module}")
    shutil.copytree(EXAMPLES, tmp_path / "examples")
    path = tmp_path / "examples" / f"{name}.ipynb"
    before = {p for p in path.parent.rglob("*") if p.is_file()}
    notebook = nbformat.read(path, as_version=4)
    resources = {"metadata": {"path": str(path.parent)}}
    nbclient.NotebookClient(
        notebook, timeout=300, kernel_name="python3", resources=resources
    ).execute()
    outputs = json.dumps([cell.get("outputs") for cell in notebook.cells], ensure_ascii=False)
    for text in shown:
        assert text in outputs
    assert {p for p in path.parent.rglob("*") if p.is_file()} == before
