# SPDX-License-Identifier: Apache-2.0
"""BirdNET through oido finds what the `birdnet` package finds, at the same options.

Skipped where the package's environment, or the model, is not here.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from oido.inference.species import species_at
from tests.peers.birds import (
    RESAMPLED,
    Found,
    assert_same,
    birdnet_files,
    by_oido,
    by_peer,
    in_both,
    logit,
    published,
    seconds,
    sigmoid,
)

pytestmark = pytest.mark.slow


def by_package(recordings: list[Path], **options: Any) -> list[Found]:
    network, labels, _ = birdnet_files()
    chosen = json.dumps({"top_k": None, "n_workers": 1, **options})
    return by_peer("birdnet", recordings, network, labels, chosen)


@pytest.mark.parametrize("overlap", [0.0, 1.5, 2.0])
def test_same_detections(birdnet: object, birds: list[Path], overlap: float) -> None:
    theirs = by_package(birds, default_confidence_threshold=0.1, overlap_duration_s=overlap)
    ours = by_oido(birds, 3.0 - overlap if overlap else "window", 0.1)
    assert_same(ours, in_both(theirs, birds, overlap, 0.0), 0.1)


def test_at_other_rates_only_the_filter_differs(birdnet: object, shared_audio: Path) -> None:
    birds = published(shared_audio)
    theirs = by_package(birds, default_confidence_threshold=0.1)
    assert_same(by_oido(birds, "window", 0.1), theirs, 0.1, RESAMPLED)


def test_both_fill_an_end_with_zeros(birdnet: object, birds: list[Path]) -> None:
    """Also one of a fraction of a second; with overlap the package hears more windows there."""
    theirs = by_package(birds, default_confidence_threshold=0.001, overlap_duration_s=1.5)
    ours = by_oido(birds, 1.5, 0.001)
    assert min(map(seconds, birds)) < 1
    for own, other, path in zip(ours, theirs, birds, strict=True):
        more = {start for start, _ in other} - {start for start, _ in own}
        assert {start for start, _ in own} <= {start for start, _ in other}
        assert all(start > 0 and start + 1.5 >= seconds(path) for start in more)


def test_sensitivity_is_another_threshold(birdnet: object, birds: list[Path]) -> None:
    """Theirs moves the logit: by 10 for each 1 that the option is more than 1."""
    theirs = by_package(birds, default_confidence_threshold=0.25, sigmoid_sensitivity=1.25)
    ours = by_oido(birds, "window", sigmoid(logit(0.25) - 2.5))
    same = [{k: sigmoid(logit(v) + 2.5) for k, v in each.items()} for each in ours]
    assert_same(same, theirs, 0.25)


def test_species_of_a_place_are_a_list_there(birdnet: object, birds: list[Path]) -> None:
    """Its `predict` has no place; `custom_species_list` takes what its model of places gives."""
    allowed = [label for label, often in species_at(48.1, 11.6, 18).items() if often >= 0.03]
    theirs = by_package(
        birds, default_confidence_threshold=0.1, custom_species_list=sorted(allowed)
    )
    assert_same(by_oido(birds, "window", 0.1, category_allowlist=allowed), theirs, 0.1)
