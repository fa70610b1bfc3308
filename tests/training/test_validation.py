# SPDX-License-Identifier: Apache-2.0
"""The learning curve: parts of the sources, judged on folds that none of them is from."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from oido.training.embeddings import EmbeddedClips
from oido.training.fit import LinearOptions, fit_linear
from oido.training.model_selection import Candidate, select
from oido.training.validation import learning_curve
from tests.training.embedded_sounds import one_label_clips


def clips(sources: int) -> EmbeddedClips:
    dice = np.random.default_rng(3)
    labels, rows, groups = [], [], []
    for number, kind in enumerate("abc"):
        for source in range(sources):
            for _ in range(2):
                labels.append(kind)
                groups.append(f"{kind}{source}")
                rows.append(dice.normal(0, 0.4, 8) + 2 * np.eye(8)[number])
    return one_label_clips(rows, range(len(rows)), labels, groups=groups)


def test_it_grows_with_the_data() -> None:
    data = clips(8)
    folds = data.groups % 4
    points = learning_curve(data, folds)
    assert [point.clips_per_class for point in points] == sorted(
        point.clips_per_class for point in points
    )
    assert len({point.clips_per_class for point in points}) == 3
    assert points[-1].clips_per_class == 12.0  # six of eight sources, two clips each
    assert all(0.0 <= point.accuracy <= 1.0 for point in points)
    assert points[-1].accuracy > 0.9
    assert learning_curve(data, folds) == points


def test_without_folds_there_is_none() -> None:
    assert learning_curve(clips(4), None) == []


def test_logits_that_are_known_are_not_fitted_again(monkeypatch: pytest.MonkeyPatch) -> None:
    data = clips(8)
    folds = data.groups % 4
    selected = select(replace(data, folds=folds), [Candidate("linear", LinearOptions())])
    expected, fits = learning_curve(data, folds), []

    def counted(*args: object) -> object:
        fits.append(args)
        return fit_linear(*args)  # type: ignore[arg-type]

    monkeypatch.setattr("oido.training.validation.fit_linear", counted)
    found = learning_curve(data, folds, out_of_fold=selected.first_logits, jobs=3)
    assert found == expected
    assert len(fits) == 2 * 4  # a quarter and a half of the sources, for four folds
