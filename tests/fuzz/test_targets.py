# SPDX-License-Identifier: Apache-2.0
"""The committed corpus and some of its mutants, as `make fuzz` goes on for longer from them."""

from __future__ import annotations

import subprocess
import sys

import numpy as np
import pytest

from tests.fuzz import guided, make_corpus
from tests.fuzz.mutations import mutate
from tests.fuzz.targets import TARGETS

MUTANTS = 300


def test_every_target_has_its_corpus() -> None:
    assert {path.name for path in guided.CORPUS.iterdir()} == set(TARGETS) == set(guided.NAMES)


@pytest.mark.parametrize("name", [n for n in TARGETS if n != "decode"])  # test_decode_fuzz.py does
def test_inputs_and_mutants_raise_only_what_is_oidos_own(name: str) -> None:
    inputs = [path.read_bytes() for path in sorted((guided.CORPUS / name).iterdir())]
    for content in inputs:
        TARGETS[name](content)
    rng = np.random.default_rng(15)
    for _ in range(MUTANTS):
        chosen, other = (inputs[int(i)] for i in rng.integers(len(inputs), size=2))
        TARGETS[name](mutate(chosen, other, rng)[0])


def test_the_corpus_is_sound_where_it_is_made() -> None:
    """Each input of the corpus that has no encoder's own choices in it is what the code makes."""
    for target, inputs in make_corpus.made().items():
        for name, content in inputs.items():
            path = guided.CORPUS / target / name
            assert path.is_file()
            if target in ("ledger", "protocol"):
                assert path.read_bytes() == content


def test_an_error_that_is_not_oidos_own_ends_the_run_as_failed(
    monkeypatch: pytest.MonkeyPatch, tmp_path: object
) -> None:
    monkeypatch.setattr(guided, "FOUND", tmp_path)
    monkeypatch.setitem(TARGETS, "protocol", lambda content: 1 / 0)
    assert "ZeroDivisionError" in guided.unguided("protocol", 5)
    monkeypatch.setitem(TARGETS, "protocol", lambda content: None)
    assert guided.unguided("protocol", 1) == ""


@pytest.mark.slow
def test_guided_fuzzing_runs() -> None:
    pytest.importorskip("atheris", reason="comes for Linux: pip install atheris")
    command = [sys.executable, "-m", "tests.fuzz.guided", "protocol", "--seconds", "2"]
    done = subprocess.run(command, cwd=guided.ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout
    assert int(done.stdout.split("protocol: ")[1].split()[0]) > 100
