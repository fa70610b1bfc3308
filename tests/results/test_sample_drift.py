# SPDX-License-Identifier: Apache-2.0
"""Sites that a sample does not speak for: named by how they sound, and only those."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from oido.results import Results
from oido.results.sample_drift import unlike_sample
from oido.results.tallies import site_of
from oido.results.window_scores import ScoredWindows, embedding_batches
from tests.results.owl_archives import OwlArchive, make_owls
from tests.results.results_folders import FolderMaker, recording


def scored(results: Results, archive: OwlArchive) -> ScoredWindows:
    columns = ["file", "channel", "start_time", "end_time", f"{site_of(results)} AS key_site"]
    found: dict[str, list[object]] = {}
    for plain, _ in embedding_batches(results, columns):
        for name, values in plain.items():
            found.setdefault(name, []).extend(values)
    return ScoredWindows("owl", found, archive.logits)


def reviews_elsewhere(found: ScoredWindows, site: str, count: int = 100) -> np.ndarray:
    """None of this site's."""
    others = np.flatnonzero(np.array(found.columns["key_site"]) != site)
    return np.random.default_rng(0).permutation(others)[:count]


def test_only_a_site_with_other_sounds_is_named(tmp_path: Path) -> None:
    for odd in ("site2", ""):
        archive = make_owls(tmp_path / f"odd{odd}", 0.3, sites=3, nights=6, windows=15, odd=odd)
        with Results(archive.folder) as results:
            found = scored(results, archive)
            reviewed = reviews_elsewhere(found, "site2")
            assert unlike_sample(results, found, reviewed) == ((odd,) if odd else ())
            # Reviews of its own speak for it.
            own = np.flatnonzero(np.array(found.columns["key_site"]) == "site2")[:10]
            assert unlike_sample(results, found, np.concatenate([reviewed, own])) == ()


def test_without_embeddings_or_with_one_site_nothing_is_compared(tmp_path: Path) -> None:
    maker = FolderMaker(tmp_path / "results")
    maker.commit({"recordings": [recording("a/a.wav", 3.0)]})
    columns = {"file": ["a/a.wav"] * 2, "channel": [None] * 2, "start_time": [0.0, 1.0]}
    columns |= {"end_time": [1.0, 2.0], "key_site": ["a", "b"]}
    with Results(str(maker.folder)) as results:
        found = ScoredWindows("owl", columns, np.array([0.1, 0.2]))
        assert unlike_sample(results, found, np.array([0])) == ()
        alone = ScoredWindows("owl", {**columns, "key_site": ["a", "a"]}, found.scores)
        assert unlike_sample(results, alone, np.array([0])) == ()
