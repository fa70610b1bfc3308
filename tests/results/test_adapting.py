# SPDX-License-Identifier: Apache-2.0
"""A taught model adapted to an archive: adopted or kept, and what is refused before."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from oido.calibration.fit import save_model
from oido.errors import OptionError
from oido.heads import ScoreCalibration, Sigmoid
from oido.models.calibration_file import Calibration, apply_calibration
from oido.models.loading import load_model
from oido.models.model import AudioModel
from oido.models.tflite.taught_head import read_taught_head
from oido.results import Results
from oido.results.adapting import adapt_model
from oido.search.label_store import Answer, LabelStore
from tests.results.owl_archives import OwlArchive, make_owls, owl_file, review


@pytest.fixture(scope="module")
def rare(tmp_path_factory: pytest.TempPathFactory) -> OwlArchive:
    """Owls in one of twenty windows, for a head that was taught on as many as not."""
    return make_owls(tmp_path_factory.mktemp("rare") / "results", 0.05, windows=120)


def sampled(archive: OwlArchive, count: int) -> np.ndarray:
    """Half of them the highest, half by chance."""
    order = np.argsort(-archive.logits)
    by_chance = np.random.default_rng(2).permutation(len(order))
    return np.unique(np.concatenate([order[: count // 2], by_chance[: count // 2]]))


def test_rare_owls_are_learnt_from_windows_that_nobody_reviewed(
    rare: OwlArchive, model: AudioModel, tmp_path: Path
) -> None:
    path = owl_file(tmp_path / "owl.tflite", model)
    labels = review(rare, tmp_path / "project.db", sampled(rare, 240))
    with Results(rare.folder) as results:
        found = adapt_model(results, path, labels)
        again = adapt_model(results, path, labels)
    assert found.by == "site"
    assert found.adaptation.sources == 6
    assert found.elsewhere == 0
    assert found.content
    assert found.content == again.content
    found.write(tmp_path / "adapted.tflite")
    adapted, before = (read_taught_head(load_model(p)) for p in (tmp_path / "adapted.tflite", path))
    vectors = np.zeros((1, 1024), np.float32)
    vectors[0, 0] = 5.5
    assert adapted.scores(vectors)[0, 0] < before.scores(vectors)[0, 0] - 0.2
    p = 1 / (1 + np.exp(-rare.logits))
    assert p.mean() > 2 * rare.truth.mean()


def test_it_is_kept_where_nothing_is_gained(model: AudioModel, tmp_path: Path) -> None:
    even = make_owls(tmp_path / "results", 0.5, sites=2, windows=60)
    path = owl_file(tmp_path / "owl.tflite", model)
    labels = review(even, tmp_path / "project.db", range(0, 240, 2))
    with Results(even.folder) as results:
        found = adapt_model(results, path, labels)
    assert found.by == "recording"
    assert not found.content
    # Four recordings judge nothing.
    assert found.adaptation.reason.startswith("too few reviews")


def test_reviews_of_other_places_and_labels(
    rare: OwlArchive, model: AudioModel, tmp_path: Path
) -> None:
    path = owl_file(tmp_path / "owl.tflite", model)
    labels = review(rare, tmp_path / "project.db", sampled(rare, 60))
    with LabelStore(labels) as store:
        store.add([Answer("elsewhere.wav", 1.0, 2.0, "owl", "no", who="Ana", choice="random")])
        store.add([Answer("site0/20231015_210000.wav", 5.0, 6.0, "owl", "yes", choice="uncertain")])
        store.add([Answer("site0/20231015_210000.wav", 1.0, 2.0, "fox", "yes", who="Ana")])
        store.add([Answer("site0/20231015_210000.wav", 9.0, 9.9, "Owl", "unsure", who="Ana")])
    with Results(rare.folder) as results:
        found = adapt_model(results, path, labels)
        assert found.elsewhere == 1
        assert found.left_out == 1
        for answer, message in (
            (Answer("a.wav", 1.0, 2.0, "fox", "yes"), "holds no yes or no of owl, which owl knows"),
            (
                Answer("elsewhere.wav", 1.0, 2.0, "owl", "yes", choice="random"),
                "none of its reviews is of a rec",
            ),
            (
                Answer("a.wav", 1.0, 2.0, "Owl", "yes", choice="uncertain"),
                "chosen as 'uncertain' are no sample",
            ),
        ):
            other = tmp_path / f"{answer.label}-{answer.recording}.db"
            with LabelStore(other) as store:
                store.add([answer])
            with pytest.raises(OptionError, match=message):
                adapt_model(results, path, other)


def test_a_model_that_was_calibrated_since_is_refused(
    rare: OwlArchive, model: AudioModel, tmp_path: Path
) -> None:
    taught = load_model(owl_file(tmp_path / "owl.tflite", model))
    calibration = Calibration.of(
        taught, taught.head, scores=ScoreCalibration((Sigmoid(1.0, 2.0, -1.0),))
    )
    path = tmp_path / "calibrated.tflite"
    save_model(apply_calibration(taught, calibration), path)
    labels = review(rare, tmp_path / "project.db", range(30))
    with Results(rare.folder) as results, pytest.raises(OptionError, match="calibrated after it"):
        adapt_model(results, path, labels)
