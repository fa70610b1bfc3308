# SPDX-License-Identifier: Apache-2.0
"""Scores of an archive's windows by a taught head, from embeddings alone."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from oido.errors import OptionError
from oido.models.model import AudioModel
from oido.results import Results
from oido.results.window_scores import drawn_windows, open_head, score_windows
from tests.results.owl_archives import OwlArchive, make_owls, owl_file
from tests.results.results_folders import FolderMaker, event, recording


@pytest.fixture(scope="module")
def owls(tmp_path_factory: pytest.TempPathFactory) -> OwlArchive:
    return make_owls(tmp_path_factory.mktemp("owls") / "results", 0.2, sites=2, windows=20)


def test_every_window_has_the_score_that_the_head_gives(
    owls: OwlArchive, model: AudioModel, tmp_path: Path
) -> None:
    path = owl_file(tmp_path / "owl.tflite", model)
    with Results(owls.folder) as results:
        head = open_head(results, path)[1]
        found = score_windows(results, "OWL", head, ["hour(start_at) AS hour"])
        some = score_windows(results, "owl", head, where="file LIKE 'site1/%'  -- only these")
        with pytest.raises(OptionError, match="owl has no label 'fox'; it has owl"):
            score_windows(results, "fox", head)
    assert found.label == "owl"
    assert [(file, start) for file, _, start in found.places] == [
        (file, round(start, 3)) for file, start in owls.places
    ]
    np.testing.assert_allclose(found.scores, 1 / (1 + np.exp(-owls.logits)), atol=1e-4)
    assert found.columns["hour"] == [21] * 80
    assert len(some.scores) == 40


def test_the_archives_own_scores_reach_down_to_its_floor(tmp_path: Path) -> None:
    maker = FolderMaker(tmp_path / "results")
    rows = [event("a.wav", n * 0.48, n * 0.48 + 0.975, "Owl", 0.1 + n / 20) for n in range(4)]
    maker.commit({"recordings": [recording("a.wav", 3.0)], "windows": rows})
    with Results(str(maker.folder)) as results:
        found = score_windows(results, "owl", None)
        with pytest.raises(OptionError, match="no window of Owl"):
            score_windows(results, "owl", None, where="score > 0.9")
    np.testing.assert_allclose(found.scores, [0.1, 0.15, 0.2, 0.25], atol=1e-6)


@pytest.mark.parametrize(
    ("facts", "message"),
    [
        ({"base": "efficientat/mn04", "base_sha256": "ff"}, "taught on efficientat/mn04, and the"),
        ({"base_sha256": "ff", "base": None}, "taught on another network"),
        ({"base_sha256": "ff", "base": "my own"}, r"--embeddings-of \S+owl\.tflite"),
        ({"base": "ensemble"}, r"taught on ensemble.*--embeddings-of \S+owl\.tflite"),
    ],
)
def test_heads_of_other_networks_are_refused(
    owls: OwlArchive, model: AudioModel, tmp_path: Path, facts: dict[str, str], message: str
) -> None:
    path = owl_file(tmp_path / "owl.tflite", model, **facts)
    with Results(owls.folder) as results, pytest.raises(OptionError, match=message):
        open_head(results, path)


def test_an_archive_without_embeddings_says_how_one_is_made(
    model: AudioModel, tmp_path: Path
) -> None:
    maker = FolderMaker(tmp_path / "results")
    maker.commit({"recordings": [recording("a.wav", 3.0)]})
    path = owl_file(tmp_path / "owl.tflite", model)
    with (
        Results(str(maker.folder)) as results,
        pytest.raises(OptionError, match="--model yamnet/classification --embeddings"),
    ):
        open_head(results, path)


def test_drawn_windows_are_the_same_each_time_and_about_as_many(owls: OwlArchive) -> None:
    with Results(owls.folder) as results:
        query = f"SELECT file, start_time FROM embeddings WHERE {drawn_windows(20, 80)}"
        found = [results.sql(query).to_pylist() for _ in range(2)]
        everything = results.sql(f"SELECT 1 AS one FROM embeddings WHERE {drawn_windows(99, 80)}")
        other = results.sql(
            f"SELECT file, start_time FROM embeddings WHERE {drawn_windows(20, 80, seed=1)}"
        )
    assert found[0] == found[1]
    assert 8 <= len(found[0]) <= 34
    assert everything.num_rows == 80
    assert other.to_pylist() != found[0]
