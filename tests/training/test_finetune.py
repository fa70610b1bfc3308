# SPDX-License-Identifier: Apache-2.0
"""``oido train --finetune`` from end to end, on made sounds and for seconds only."""

from __future__ import annotations

import re
import shutil
import time
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

import oido
from oido.evaluation.predictions import ClipPredictions
from oido.models.model import AudioModel
from oido.training import finetune as module
from oido.training.baselines import logistic
from oido.training.embed import embed
from oido.training.finetune import finetune, fitted_heads
from oido.training.held_out import HeldOutResult, judge_logistic
from oido.training.model_selection import select
from tests.training.embedded_sounds import made_clips
from tests.training.taught_sounds import KINDS, make_sounds
from tests.training.test_head_export import file_of, made_head

pytest.importorskip("torch", reason="fine-tuning needs oido[torch]")


def figures(text: str) -> np.ndarray:
    """ "accuracy A, log loss L" → A and L."""
    accuracy, loss = text.split(", ")
    return np.array([float(accuracy.removeprefix("accuracy ")), float(loss.split()[-1])])


def test_a_network_behind_which_another_head_was_put_is_none_to_begin_with(
    model: AudioModel, tmp_path: Path
) -> None:
    taught = tmp_path / "taught.tflite"
    taught.write_bytes(file_of(model, made_head()))
    data = oido.Dataset.load(make_sounds(tmp_path / "sounds", each=2, seconds=1.0))
    named = r"taught\.tflite cannot be .* choose yamnet/classification or efficientat/mn04"
    with pytest.raises(oido.OptionError, match=named):
        finetune(data, model=taught)


@pytest.mark.slow
def test_a_network_is_taught_judged_and_exported(tmp_path: Path) -> None:
    sounds = make_sounds(tmp_path / "sounds", each=5, seconds=1.0)
    (sounds / "beep" / "broken.wav").write_bytes(b"RIFF")
    lines: list[str] = []
    result = finetune(oido.Dataset.load(sounds), max_minutes=0.05, on_message=lines.append)
    assert [Path(item.name).name for item in result.left_out] == ["broken.wav"]
    assert len(result.train) + len(result.test) == 15
    assert lines[0].startswith("the head on yamnet/classification as it is, on sources held out: ")
    assert lines[-1].startswith("yamnet/classification, trained further, on sources held out: ")
    assert lines[1].startswith("a head on ")
    assert lines[1].endswith(" teaches, too")
    assert lines[2].startswith("0% of the way from the head to the network: on held-out clips ")
    assert all(re.match(r"epoch |\d+% of the way ", line) for line in lines[2:-1])
    report = result.report.to_dict()
    assert report["clip_accuracy"] >= 0.6
    assert report["facts"]["teacher"] == lines[1].removesuffix(" teaches, too")
    plain = figures(report["facts"]["logistic regression, held out"])
    for kind in ("the head", "trained further"):
        there = figures(report["facts"][f"{kind}, held out"])
        gained = figures(report["facts"][f"{kind}, over logistic regression"])
        np.testing.assert_allclose(gained, there - plain, atol=1.1e-3)
    made = result.export(tmp_path / "sounds.tflite")
    assert made.largest_difference < 1e-4
    heard = oido.AudioClassifier(tmp_path / "sounds.tflite", jobs=1)
    assert heard.labels == KINDS
    clip = result.test[0].path
    own = oido.AudioClassifier(result.model, jobs=1).classify(clip)
    np.testing.assert_allclose(heard.classify(clip).scores, own.scores, atol=1e-4)


def test_heads_are_fitted_without_the_clips_that_are_held_out_and_on_all() -> None:
    """Both linear, whatever head was chosen, so that a change of the one fits the other."""
    clips = made_clips(per_class=8)
    held = np.arange(len(clips)) % 4 == 0
    linear = select(clips)
    part = select(clips.subset(~held))
    for selection in (linear, replace(linear, chosen="one hidden layer")):
        heads = fitted_heads(clips, held, selection, 0)
        for head, made in ((part.head, heads.without_validation), (linear.head, heads.on_all)):
            (layer,) = made.dense
            np.testing.assert_array_equal(layer.weight.detach().numpy(), head.layers[0].weights)
            np.testing.assert_array_equal(layer.bias.detach().numpy(), head.layers[0].bias)
            assert made.square_root == head.square_root


def test_what_cannot_be_trained_further_is_told(tmp_path: Path) -> None:
    sounds = make_sounds(tmp_path / "sounds", each=1)
    with pytest.raises(oido.OptionError, match="only class"):
        finetune(oido.Dataset.load(sounds).subset([0]))


@pytest.mark.slow
@pytest.mark.parametrize("keeps_head", [True, False])
def test_the_better_of_head_and_network_is_exported(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, keeps_head: bool
) -> None:
    monkeypatch.setattr(HeldOutResult, "is_better_than", lambda self, other: keeps_head)
    sounds = make_sounds(tmp_path / "sounds", each=4, seconds=1.0)
    result = finetune(oido.Dataset.load(sounds), max_minutes=0.0)
    made = result.export(tmp_path / "sounds.tflite")
    base_bytes = 4_126_810
    assert (made.size_bytes < 1.2 * base_bytes) == keeps_head  # trained further, it is float32
    report = result.report.to_dict()
    which = "the head, held out" if keeps_head else "trained further, held out"
    kept = report["facts"][which]
    assert kept.startswith(f"accuracy {report['clip_accuracy']:.3f}, log loss ")
    assert any("gained nothing" in note for note in report["notes"]) == keeps_head
    heard = oido.AudioClassifier(made.path, jobs=1).classify(result.test[0].path)
    own = oido.AudioClassifier(result.model, jobs=1).classify(result.test[0].path)
    np.testing.assert_allclose(heard.scores, own.scores, atol=1e-3)


def test_logistic_regression_is_judged_on_the_same_clips(tmp_path: Path) -> None:
    """By what was embedded, not by files; and where only the learnt clips have background."""
    data = oido.Dataset.load(make_sounds(tmp_path / "sounds", each=3, seconds=1.0))
    split = data.split(0.34)
    frozen = module.train(split.train)
    plain = judge_logistic(frozen, split.test, 0)
    known, unknown = frozen.taught.own, embed(split.test, frozen.base_model).clips.own
    found = logistic(known, unknown)
    assert plain is not None
    assert plain.accuracy == (found.argmax(axis=1) == unknown.labels).mean()
    expected = -np.log(found[np.arange(len(unknown)), unknown.labels]).mean()
    assert plain.log_loss == pytest.approx(float(expected), rel=1e-5)
    (tmp_path / "behind").mkdir()
    for clip in split.train[:2]:
        shutil.copy(clip.path, tmp_path / "behind")
    behind = module.train(split.train.with_background(tmp_path / "behind"))
    with_background = judge_logistic(behind, split.test, 0)
    assert with_background is not None
    assert behind.classes == (*split.test.classes, "background")


def test_an_interruption_before_anything_is_learnt_leaves_the_head(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def interrupt(*_: Any) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(module, "_train_further", interrupt)
    sounds = make_sounds(tmp_path / "sounds", each=2, seconds=1.0)
    result = finetune(oido.Dataset.load(sounds), max_minutes=0.0)
    facts = result.report.to_dict()["facts"]
    assert facts["trained"] == "interrupted before it could be judged"
    assert facts["exported"] == "the head on the network as it was"
    assert facts["the head, held out"] == result.judged.text
    assert result.export(tmp_path / "sounds.tflite").largest_difference < 1e-3


def test_both_networks_teach_where_they_are_at_hand_and_there_is_time(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def result(name: str, value: float) -> Any:
        scores = np.full((2, 3), value, np.float32)
        return SimpleNamespace(
            inference_seconds=10.0,
            jobs=2,
            base_model=SimpleNamespace(name=name),
            selection=SimpleNamespace(out_of_fold=scores),
            taught=SimpleNamespace(weak=None),
        )

    own, asked = result("own", 0.1), []

    def train(data: oido.Dataset, model: str, seed: int, cache: bool, jobs: int) -> Any:
        asked.append((model, len(data), cache, jobs))
        return result(model, 0.2)

    clips = [oido.Clip(f"{n}.wav", (label,)) for n, label in enumerate("ab")]
    data = oido.Dataset.from_clips(clips)
    monkeypatch.setattr(module, "train", train)
    monkeypatch.setattr(module, "find", lambda card: Path(card.name))
    for minutes, name in ((None, "ensemble"), (2.0, "ensemble"), (1.9, "own")):
        teacher = module._teacher(data, own, 0, minutes, False)
        assert teacher is not None
        assert teacher.name == f"a head on {name}"
        assert teacher.scores[0, 0] == np.float32(0.1 if name == "own" else 0.2)
    assert asked == [("ensemble", 2, False, 2)] * 2
    monkeypatch.setattr(module, "find", lambda card: None)
    assert module._teacher(data, own, 0, None, False) == (
        "a head on own",
        own.selection.out_of_fold,
    )
    own.taught.weak = np.array([True, False])
    assert module._teacher(data, own, 0, None, False) is None, "it says nothing of whole recordings"
    own.taught.weak, own.selection.out_of_fold = None, None
    assert module._teacher(data, own, 0, None, False) is None


def test_more_clips_right_are_better_and_of_equals_the_smaller_loss() -> None:
    def judged(*scores: float) -> HeldOutResult:
        first = np.array(scores, np.float32)
        clips = tuple(oido.Clip(f"{n}.wav", ("a",)) for n in range(len(scores)))
        values = np.stack([first, 1 - first], axis=1)
        targets = np.tile(np.array([1, 0], np.float32), (len(scores), 1))
        predictions = ClipPredictions(
            clips, ("a", "b"), targets, values, np.zeros(2, np.float32), splits=()
        )
        return HeldOutResult(predictions, ())

    sure, unsure, wrong = judged(0.9, 0.9), judged(0.6, 0.6), judged(0.99, 0.4)
    assert str(sure.text) == "accuracy 1.000, log loss 0.105"
    assert sure.is_better_than(unsure)
    assert not unsure.is_better_than(sure)
    assert not sure.is_better_than(sure)
    assert unsure.is_better_than(wrong)
    assert wrong.log_loss < unsure.log_loss


def test_minutes_left_are_those_of_the_phases_to_come(monkeypatch: pytest.MonkeyPatch) -> None:
    now = [0.0]
    monkeypatch.setattr(time, "monotonic", lambda: now[0])
    clock = module._Clock((1, 4, 8), epochs=3)
    now[0] = 5.0
    assert clock.minutes_left(1) is None
    now[0] = 65.0
    assert clock.minutes_left(4) == 5.0  # two more of this phase, and three of the next
    now[0] = 185.0
    assert clock.minutes_left(8) == 4.0
