# SPDX-License-Identifier: Apache-2.0
"""The harness itself: it must see a hang, a native crash and an untyped error, and go on."""

from __future__ import annotations

import os

import numpy as np
import pytest

from tests.fuzz import harness
from tests.fuzz.mutations import mutate

FAKE_CHILD = """
import os, sys, time
for index in range(int(sys.argv[3]), int(sys.argv[4])):
    print(f"> {index} a mutant", flush=True)
    if index == 3:
        time.sleep(60)
    if index in (5, 9):
        os.abort()
    if index == 7:
        print(f"! {index} KeyError('x') in here", flush=True)
    else:
        print(f"= {index} decoded", flush=True)
"""


@pytest.mark.skipif(os.name == "nt", reason="exit codes of signals")
def test_what_goes_wrong_is_told_and_the_rest_is_done(tmp_path, monkeypatch):
    child = tmp_path / "child.py"
    child.write_text(FAKE_CHILD)
    monkeypatch.setattr(harness, "_CHILD", child)
    outcomes = harness.fuzz(tmp_path, seed=1, mutants=10, limit_seconds=1.0)
    assert outcomes.mutants == 10
    assert outcomes.counts == {"decoded": 6}
    assert outcomes.failures == [
        "seed 1, mutant 3: hung for 1 s | a mutant",
        "seed 1, mutant 7: KeyError('x') in here | a mutant",
    ]
    assert [line.split(" died")[0] for line in outcomes.crashes] == [
        "seed 1, mutant 5:",
        "seed 1, mutant 9:",
    ]


def test_a_child_that_cannot_start_is_no_success(tmp_path, monkeypatch):
    child = tmp_path / "child.py"
    child.write_text("raise SystemExit(1)")
    monkeypatch.setattr(harness, "_CHILD", child)
    with pytest.raises(RuntimeError, match="did not start"):
        harness.fuzz(tmp_path, seed=1, mutants=4)


def test_mutants_can_be_made_again_from_their_seed():
    content, other = bytes(range(256)) * 20, b"other" * 100
    for index in range(200):
        first, second = (mutate(content, other, np.random.default_rng([7, index])) for _ in "12")
        assert first == second
        assert first[1]


def test_mutants_differ_from_the_file_and_from_each_other():
    content = bytes(np.random.default_rng(0).integers(0, 256, 5_000, dtype=np.uint8))
    mutants = {mutate(content, b"other", np.random.default_rng([7, i]))[0] for i in range(300)}
    assert len(mutants) > 280
    assert content not in mutants
