# SPDX-License-Identifier: Apache-2.0
"""Languages, groups and roll-up, through the classifier and the command line."""

from __future__ import annotations

import csv
import io
from pathlib import Path

import numpy as np
import pytest

import oido
from oido.cli.main import run
from oido.models.model import AudioModel

STREET = Path(__file__).parents[2] / "examples" / "street.flac"


def labels_heard(classifier: oido.AudioClassifier) -> set[str]:
    return {event.label for event in classifier.classify(STREET).events(0.4)}


def test_spanish_names_beside_the_labels(model: AudioModel) -> None:
    result = oido.AudioClassifier(model, display_names_locale="es", jobs=1).classify(STREET)
    event = next(e for e in result.events(0.9) if e.label == "Siren")
    assert event.display_name == "Sirena"
    category = next(c for c in result.top() if c.label == "Rain")
    assert category.display_name == "Lluvia"
    assert result.labels[category.index] == "Rain"


def test_english_names_are_the_labels(classifier: oido.AudioClassifier) -> None:
    assert all(c.display_name == c.label for c in classifier.classify(STREET).top(5))


def test_a_language_that_is_not_there(model: AudioModel) -> None:
    with pytest.raises(oido.OptionError, match="en, es"):
        oido.AudioClassifier(model, display_names_locale="tlh")


def test_a_name_alone_is_that_label_only(model: AudioModel) -> None:
    assert labels_heard(oido.AudioClassifier(model, category_allowlist=["Alarm"])) == {"Alarm"}


def test_a_name_with_a_slash_is_all_below_it_too(model: AudioModel) -> None:
    heard = labels_heard(oido.AudioClassifier(model, category_allowlist=["alarm/"]))
    assert {"Alarm", "Siren"} <= heard
    assert not heard & {"Speech", "Rain", "Bell"}
    others = labels_heard(oido.AudioClassifier(model, category_denylist=["alarm/"]))
    assert not heard & others
    assert "Speech" in others


def test_a_group_without_a_class(model: AudioModel) -> None:
    heard = labels_heard(oido.AudioClassifier(model, category_allowlist=["Human sounds"]))
    assert heard == {"Speech"}


def test_an_unknown_group_names_the_nearest(model: AudioModel) -> None:
    with pytest.raises(oido.UnknownLabelError, match="Vehicle"):
        oido.AudioClassifier(model, category_allowlist=["Vehicel/"])


def test_rolled_up_scores_are_never_lower(
    model: AudioModel, classifier: oido.AudioClassifier
) -> None:
    own = classifier.classify(STREET).scores
    rolled = oido.AudioClassifier(model, rollup=True, jobs=1).classify(STREET).scores
    alarm, siren = classifier.label_indices(["Alarm", "Siren"])
    assert (rolled >= own).all()
    assert (rolled[:, alarm] >= own[:, siren]).all()
    leaf = classifier.label_indices(["Silence"])[0]
    np.testing.assert_array_equal(rolled[:, leaf], own[:, leaf])


def test_on_the_command_line(capsys: pytest.CaptureFixture[str]) -> None:
    options = ["--locale", "es", "--allow", "Human sounds", "--format", "csv", "-q"]
    assert run(["classify", str(STREET), *options]) == 0
    rows = list(csv.DictReader(io.StringIO(capsys.readouterr().out)))
    assert {row["label"] for row in rows} == {"Habla"}
    assert {row["label_index"] for row in rows} == {"0"}
    command = ["classify", str(STREET), "--clip", "--allow", "Alarm", "--format", "csv", "-q"]
    scores = []
    for more in ([], ["--rollup"]):
        assert run([*command, *more]) == 0
        (row,) = csv.DictReader(io.StringIO(capsys.readouterr().out))
        scores.append(float(row["score"]))
    assert scores[1] > scores[0], "sirens and telephones count as alarms, too"
