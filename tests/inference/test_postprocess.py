# SPDX-License-Identifier: Apache-2.0
"""What raw scores mean: heads, languages, groups and roll-up, also on the command line."""

from __future__ import annotations

import csv
import io
from pathlib import Path

import numpy as np
import pytest

import oido
from oido.cli.main import run
from oido.heads import Head, ScoreCalibration, Sigmoid
from oido.inference.block import Block
from oido.inference.postprocess import HeadPostprocessor, make_postprocessors
from oido.models.model import AudioModel, SimilarityColumn
from oido.params import Detection, Selection, Windowing

STREET = Path(__file__).parents[2] / "examples" / "street.flac"


def labels_heard(classifier: oido.AudioClassifier) -> set[str]:
    return {event.label for event in classifier.classify(STREET).events()}


def test_spanish_names_beside_the_labels(model: AudioModel) -> None:
    result = oido.AudioClassifier(model, display_names_locale="es", jobs=1).classify(STREET)
    event = next(e for e in result.events() if e.label == "Police car (siren)")
    assert event.display_name == "Vehículo policial (sirena)"
    assert "Sirena" in event.also
    category = next(c for c in result.top() if c.label == "Speech")
    assert category.display_name == "Habla"
    assert result.labels[category.index] == "Speech"


def test_english_names_are_the_labels(classifier: oido.AudioClassifier) -> None:
    assert all(c.display_name == c.label for c in classifier.classify(STREET).top(5))


def test_a_language_that_is_not_there(model: AudioModel) -> None:
    with pytest.raises(oido.OptionError, match="en, es"):
        oido.AudioClassifier(model, display_names_locale="tlh")


def test_a_name_alone_is_that_label_only(model: AudioModel) -> None:
    assert labels_heard(oido.AudioClassifier(model, category_allowlist=["Alarm"])) == {"Alarm"}


def test_a_name_with_a_slash_is_all_below_it_too(model: AudioModel) -> None:
    heard = labels_heard(oido.AudioClassifier(model, category_allowlist=["alarm/"]))
    assert {"Police car (siren)", "Buzzer"} <= heard
    assert not heard & {"Beep, bleep", "Speech", "Rain on surface", "Tubular bells"}
    others = labels_heard(oido.AudioClassifier(model, category_denylist=["alarm/"]))
    assert not heard & others
    assert "Speech" in others


def test_a_group_without_a_class(model: AudioModel) -> None:
    heard = labels_heard(oido.AudioClassifier(model, category_allowlist=["Human sounds"]))
    assert heard == {"Speech"}


def test_an_unknown_group_names_the_nearest(model: AudioModel) -> None:
    with pytest.raises(oido.UnknownLabelError, match="Vehicle"):
        oido.AudioClassifier(model, category_allowlist=["Vehicel/"])


@pytest.mark.parametrize(
    ("english", "spanish"),
    [
        ({"category_allowlist": ["Alarm"]}, {"category_allowlist": ["alarma"]}),
        ({"category_denylist": ["Alarm/"]}, {"category_denylist": ["Alarma/"]}),
    ],
)
def test_lists_in_spanish_select_the_same(
    model: AudioModel, english: dict[str, list[str]], spanish: dict[str, list[str]]
) -> None:
    heard = labels_heard(oido.AudioClassifier(model, **spanish))  # type: ignore[arg-type]
    assert heard == labels_heard(oido.AudioClassifier(model, **english))  # type: ignore[arg-type]
    assert heard


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


BASE = Head("base", ("Dog", "Cat", "Rain"))
TAUGHT = Head(
    "taught",
    ("calm", "loud"),
    ScoreCalibration((Sigmoid(1.0, 4.0, -1.0), None)),
    (("calm", 0.75),),
    score_threshold=0.2,
)
RAW = np.array([[0.9, 0.1, 0.5, 0.3, 0.7, -0.25], [0.2, 0.8, 0.4, 0.6, 0.1, 0.5]], np.float32)
"""Two windows: three scores of the one head, two of the other, and how near they are."""


def readers_of(chosen: Head, **columns: SimilarityColumn) -> dict[str, HeadPostprocessor]:
    return make_postprocessors(
        (BASE, TAUGHT), chosen, Selection(), locale="en", rolls_up=False, similarity_columns=columns
    )


def similarities_of(reader: HeadPostprocessor, raw: np.ndarray) -> list[float]:
    similarities = reader.select(raw).similarities
    assert similarities is not None
    return similarities.tolist()  # type: ignore[no-any-return]


def test_each_head_has_its_own_columns_and_novelties_stand_behind_them() -> None:
    readers = readers_of(TAUGHT, taught=SimilarityColumn(-1, 0.5))
    assert list(readers) == ["base", "taught"]
    assert (readers["base"].scores(RAW) == RAW[:, :3]).all()
    assert (readers["taught"].scores(RAW) == RAW[:, 3:5]).all()
    assert (readers["taught"].select(RAW).scores == RAW[:, 3:5]).all()
    assert similarities_of(readers["taught"], RAW) == [-0.25, 0.5]
    assert readers["base"].select(RAW).similarities is None

    both = readers_of(BASE, base=SimilarityColumn(-2, 0.25), taught=SimilarityColumn(-1, 0.5))
    wider = np.insert(RAW, 5, [0.1, 0.2], axis=1)
    assert similarities_of(both["base"], wider) == pytest.approx([0.1, 0.2])
    assert similarities_of(both["taught"], wider) == [-0.25, 0.5]
    assert (both["base"].least_similarity, both["taught"].least_similarity) == (0.25, 0.5)
    assert readers_of(BASE)["base"].select(RAW[:, :5]).similarities is None


def test_labels_are_selected_of_the_chosen_head_only() -> None:
    wanted = Selection(max_results=1, category_allowlist=("Cat",))
    readers = make_postprocessors((BASE, TAUGHT), BASE, wanted, locale="en", rolls_up=False)
    assert [c.label for c in readers["base"].selector.categories(RAW[0, :3])] == ["Cat"]
    (other,) = readers["taught"].selector.categories(RAW[0, 3:5])
    assert other.label == "calm"  # one, as was asked for, but of its own labels


def test_decisions_go_by_probabilities_where_there_are_some() -> None:
    readers = make_postprocessors((BASE, TAUGHT), TAUGHT, Selection(), locale="en", rolls_up=False)
    scores = readers["taught"].scores(RAW)
    probabilities = readers["taught"].probabilities(scores)
    assert probabilities is not None
    np.testing.assert_allclose(probabilities[:, 0], 1 / (1 + np.exp(1 - 4 * scores[:, 0])), 1e-6)
    assert (readers["taught"].decision_values(scores) == probabilities).all()
    assert readers["base"].probabilities(scores) is None
    assert readers["base"].decision_values(scores) is scores


@pytest.mark.parametrize(
    ("detection", "begins"),
    [
        (Detection(), False),  # the model's own threshold, 0.75
        (Detection(threshold=0.5), True),
        (Detection(thresholds=(("calm", 0.5),)), True),
        (Detection(threshold=0.5, thresholds=(("calm", 0.9),)), False),
    ],
)
def test_a_threshold_for_a_label_comes_before_a_common_one_and_that_before_the_models(
    detection: Detection, begins: bool
) -> None:
    readers = make_postprocessors((TAUGHT,), TAUGHT, Selection(), locale="en", rolls_up=False)
    windowing = Windowing(16_000, 15_600, 7_680)
    detector = readers["taught"].detector(windowing, 0, detection)
    scores = np.array([[0.45, 0.0]], np.float32)  # a probability of 0.69
    once = np.ones(1)
    block = Block(0, scores, np.zeros((1, 0), np.float32), once, once, windowing.times(0, 1))
    events = [*detector.push(block), *detector.flush(15_600)]
    assert [event.label for event in events] == (["calm"] if begins else [])


def test_the_models_own_score_threshold_counts_where_nobody_has_another() -> None:
    scores = np.array([0.05, 0.0], np.float32)  # probabilities 0.31 and 0
    for threshold, n_found in ((None, 1), (0.5, 0), (0.0, 2)):
        readers = make_postprocessors(
            (TAUGHT,), TAUGHT, Selection(None, threshold), locale="en", rolls_up=False
        )
        assert len(readers["taught"].selector.categories(scores)) == n_found


def test_a_threshold_names_its_label_in_any_language_and_once() -> None:
    (reader,) = make_postprocessors(
        (BASE,), BASE, Selection(), locale="en", rolls_up=False
    ).values()
    windowing = Windowing(16_000, 15_600, 7_680)
    twice = Detection(thresholds=(("Dog", 0.5), ("perro", 0.6)))
    with pytest.raises(oido.OptionError, match="name one label twice: 'Dog' and 'perro'"):
        reader.detector(windowing, 0, twice)
    for label in ("Dog", "Perro"):
        detector = reader.detector(windowing, 0, Detection(thresholds=((label, 0.9),)))
        scores = np.full((1, len(BASE.labels)), 0.8, np.float32)
        once = np.ones(1)
        block = Block(0, scores, np.zeros((1, 0), np.float32), once, once, windowing.times(0, 1))
        events = [*detector.push(block), *detector.flush(15_600)]
        assert "Dog" not in {event.label for event in events}, label
        assert events


def test_a_threshold_for_a_label_that_is_none_names_the_nearest() -> None:
    readers = make_postprocessors((BASE,), BASE, Selection(), locale="en", rolls_up=False)
    wrong = Detection(thresholds=(("Dgo", 0.5),))
    with pytest.raises(oido.UnknownLabelError, match="Dog"):
        readers["base"].detector(Windowing(16_000, 15_600, 7_680), 0, wrong)


def test_a_silent_window_is_evidence_of_silence_alone() -> None:
    head = Head("taught", ("hum", "silence"))
    scores, once = np.full((3, 2), 0.6, np.float32), np.ones(3)
    loudness = np.array([0.0, 10**-2.71, 10**-2.69])  # none, and about the least level
    times = Windowing(16_000, 15_600, 7_680).times(0, 3)
    block = Block(0, scores, np.zeros((3, 0), np.float32), once, loudness, times)
    (reader,) = make_postprocessors(
        (head,), head, Selection(), locale="en", rolls_up=False
    ).values()
    values = reader.recognised_values(block)
    assert values[:, 1].tolist() == scores[:, 1].tolist()
    assert values[:, 0].tolist() == [0, 0, scores[2, 0]]
