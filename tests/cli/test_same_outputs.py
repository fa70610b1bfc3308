# SPDX-License-Identifier: Apache-2.0
"""benchmarks/same_outputs.py: every command has a job, and whatever differs is found."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from oido.cli.main import build_parser

BENCHMARKS = Path(__file__).parents[2] / "benchmarks"


def compare(before: dict[str, Any], after: dict[str, Any], folder: Path) -> tuple[int, str]:
    paths = [folder / "before.json", folder / "after.json"]
    for path, digests in zip(paths, (before, after)):
        texts = {digest: f"all of {digest}" for digest in digests.values()}
        run = {"packages": {}, "limits": [], "digests": digests, "texts": texts}
        path.write_text(json.dumps(run), encoding="utf-8")
    done = subprocess.run(
        [sys.executable, str(BENCHMARKS / "same_outputs.py"), "compare", *map(str, paths)],
        capture_output=True,
        text=True,
        check=False,
    )
    assert not done.stderr, done.stderr
    return done.returncode, done.stdout


def test_every_job_is_a_command_and_every_command_a_job() -> None:
    parser = build_parser()
    commands = next(a.choices for a in parser._actions if a.dest == "command")
    lines = (BENCHMARKS / "same_outputs_jobs.txt").read_text("utf-8").splitlines()
    jobs = [line.split() for line in lines if line and not line.startswith("#")]
    assert commands is not None
    assert {command for _, command, *_ in jobs} - {"nothing"} == set(commands)
    names = [name for name, *_ in jobs]
    assert not [n for n in names if any(other.startswith(f"{n}/") for other in names)]
    assert len(set(names)) == len(names)


@pytest.mark.parametrize(
    ("after", "code", "line"),
    [
        ({"classify/a/exit": "1", "query/b": "2"}, 0, "2 of 2 digests are the same"),
        ({"classify/a/exit": "9", "query/b": "2"}, 1, "classify/a/exit: changed"),
        ({"classify/a/exit": "1"}, 1, "query/b: in one run only"),
        ({"classify/a/exit": "1", "query/b": "2", "x": "3"}, 1, "| x | 1 | 0 | 0 | 1 |"),
    ],
)
def test_compare_ends_with_1_if_anything_differs(
    after: dict[str, str], code: int, line: str, tmp_path: Path
) -> None:
    found = compare({"classify/a/exit": "1", "query/b": "2"}, after, tmp_path)
    assert (found[0], line in found[1]) == (code, True), found[1]
    assert ("+all of 9" in found[1]) == ("9" in after.values())


def test_two_empty_runs_prove_nothing(tmp_path: Path) -> None:
    assert compare({}, {}, tmp_path)[0] == 1
