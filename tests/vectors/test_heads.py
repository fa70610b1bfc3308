# SPDX-License-Identifier: Apache-2.0
"""The heads that the page's fit is held to are those that Python fits."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Any

import numpy as np
import pytest

pytest.importorskip("scipy", reason="needs oido[train]")

from oido.training.fit import fit_linear
from tests.vectors.heads import FILE, STEP, embedded, text

CASES = json.loads(FILE.read_text(encoding="utf-8"))


def test_the_file_is_up_to_date() -> None:
    told, made = CASES, json.loads(text())
    scores = [(case.pop("scores"), again.pop("scores")) for case, again in zip(told, made)]
    assert told == made
    for before, now in scores:
        np.testing.assert_allclose(now, before, atol=2e-6)


@pytest.mark.parametrize(
    "case", json.loads(FILE.read_text(encoding="utf-8")), ids=lambda case: case["name"]
)
def test_the_head_of_training_is_the_same(case: dict[str, Any]) -> None:
    # The page always teaches background, and so has no logit of the quiet beside the classes.
    head = replace(fit_linear(embedded(case)), quiet=None)
    found = head.scores(np.array(case["tried"], np.float32) / STEP)
    np.testing.assert_allclose(found, case["scores"], atol=2e-3)
