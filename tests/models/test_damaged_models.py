# SPDX-License-Identifier: Apache-2.0
"""Hundreds of damaged copies of the model: each loads or is refused with an OidoError.

LiteRT's own checks of a file are few, so running a damaged network may end in a native crash; those
are counted and printed. Loading, which is oido's own code, may not crash.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections import Counter
from pathlib import Path

import pytest

pytestmark = pytest.mark.skipif(not hasattr(os, "fork"), reason="each mutant needs a fork")

CHILD = Path(__file__).with_name("damaged_child.py")


def outcomes(model_path, first, last, mode, workers=2):
    """Run seeds first to last by two children: a list of what each mutant did."""
    step = -(-(last - first) // workers)
    children = [
        subprocess.Popen(
            [sys.executable, str(CHILD), mode, str(model_path), str(a), str(min(a + step, last))],
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            text=True,
        )
        for a in range(first, last, step)
    ]
    lines = [line for child in children for line in child.communicate(timeout=600)[0].splitlines()]
    assert all(child.returncode == 0 for child in children)
    found = [json.loads(line) for line in lines]
    assert [f["seed"] for f in found] == list(range(first, last))
    return found


def report(capsys, title, found) -> Counter:
    counts = Counter(f["outcome"] for f in found)
    with capsys.disabled():
        told = ", ".join(f"{n} {name}" for name, n in counts.most_common())
        print(f"\n{title}: {len(found)} damaged models: {told}")
    return counts


def faults(found, *bad):
    return [f for f in found if f["outcome"] in bad]


@pytest.mark.parametrize(
    ("first", "last"),
    [(0, 24), pytest.param(24, 424, marks=pytest.mark.slow)],
    ids=["some", "many"],
)
def test_loading_a_damaged_model(model, capsys, first, last):
    found = outcomes(model.path, first, last, "load")
    counts = report(capsys, "loading", found)
    assert counts["refused"] > 0
    assert counts["sound"] > 0
    assert faults(found, "untyped", "crashed", "stuck") == []


@pytest.mark.slow
def test_hearing_with_a_damaged_model(model, capsys):
    found = outcomes(model.path, 1_000, 1_200, "hear")
    report(capsys, "hearing", found)
    assert faults(found, "untyped", "stuck") == []
