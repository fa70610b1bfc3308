# SPDX-License-Identifier: Apache-2.0
"""A thousand mutants of each kind of file that says what a model is: read, or refused by type.

The files are small and made here, so that a mutation hits what is parsed and not only weights. The
peak of memory is looked at after each.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.fuzz import made_models
from tests.fuzz.harness import fuzz

SEED = int(os.environ.get("OIDO_FUZZ_SEED", "20261126"))
MUTANTS = 1_000

MADE: dict[str, tuple[Callable[[], bytes], int]] = {
    "one-head.tflite": (made_models.tflite, 0),
    "three-heads.tflite": (lambda: made_models.tflite(3), 0),
    "made.pt": (made_models.state_dict, 0),
    "made.onnx": (made_models.onnx, 0),
    "calibration.json": (lambda: made_models.calibration().encode(), 0),
    "thresholds.csv": (lambda: b'label,threshold\nDog,0.4\n"Domestic animals, pets",0.25\n', 0),
    "thresholds.json": (lambda: b'{"Dog": 0.4, "Domestic animals, pets": 0.25, "Siren": 1}', 0),
    "made.h5": (made_models.weights_h5, 2),
}
"""By name: how it is made, and how many native crashes are allowed: HDF5 is C and reads itself."""


@pytest.mark.slow
@pytest.mark.parametrize("name", MADE)
def test_a_thousand_mutants_of_every_kind(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, report: list[str]
) -> None:
    make, crashes = MADE[name]
    if name.endswith((".h5", ".onnx")):
        pytest.importorskip("h5py" if name.endswith(".h5") else "onnx")
    corpus = tmp_path / "corpus"
    corpus.mkdir()
    (corpus / name).write_bytes(make())
    monkeypatch.setenv("OIDO_CACHE", str(tmp_path / "cache"))
    outcomes = fuzz(corpus, SEED, MUTANTS, limit_seconds=60.0, what="read")
    report.append(f"fuzz, {name}: {outcomes}")
    assert not outcomes.failures, "\n" + "\n".join(outcomes.failures)
    assert outcomes.mutants == MUTANTS
    assert len(outcomes.crashes) <= crashes, "\n" + "\n".join(outcomes.crashes)
    # The mutants are worth something: some are read (none of a format that is only written).
    assert (outcomes.counts["decoded"] > 0) == (not name.endswith(".onnx"))
    assert outcomes.counts.total() - outcomes.counts["decoded"] > MUTANTS / 20
