# SPDX-License-Identifier: Apache-2.0
"""``oido train --finetune`` from end to end, on made sounds and for seconds only."""

from __future__ import annotations

import time
from pathlib import Path

import numpy as np
import pytest

import oido
from oido.evaluation.predictions import ClipPredictions
from oido.training import finetune as module
from oido.training.finetune import finetune
from tests.training.taught_sounds import KINDS, make_sounds

pytest.importorskip("torch", reason="fine-tuning needs oido[torch]")


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
    assert all(line.startswith("epoch ") for line in lines[1:-1])
    assert result.report.to_dict()["clip_accuracy"] >= 0.6
    made = result.export(tmp_path / "sounds.tflite")
    assert made.largest_difference < 1e-4
    heard = oido.AudioClassifier(tmp_path / "sounds.tflite", jobs=1)
    assert heard.labels == KINDS
    clip = result.test[0].path
    own = oido.AudioClassifier(result.model, jobs=1).classify(clip)
    np.testing.assert_allclose(heard.classify(clip).scores, own.scores, atol=1e-4)


def test_what_cannot_be_trained_further_is_told(tmp_path: Path) -> None:
    sounds = make_sounds(tmp_path / "sounds", each=1)
    with pytest.raises(oido.OptionError, match="only class"):
        finetune(oido.Dataset.load(sounds).subset([0]))


@pytest.mark.slow
@pytest.mark.parametrize("keeps_head", [True, False])
def test_the_better_of_head_and_network_is_exported(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, keeps_head: bool
) -> None:
    monkeypatch.setattr(module._Judged, "is_better_than", lambda self, other: keeps_head)
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


def test_more_clips_right_are_better_and_of_equals_the_smaller_loss() -> None:
    def judged(*scores: float) -> module._Judged:
        first = np.array(scores, np.float32)
        clips = tuple(oido.Clip(f"{n}.wav", ("a",)) for n in range(len(scores)))
        values = np.stack([first, 1 - first], axis=1)
        targets = np.tile(np.array([1, 0], np.float32), (len(scores), 1))
        predictions = ClipPredictions(
            clips, ("a", "b"), targets, values, np.zeros(2, np.float32), splits=()
        )
        return module._Judged(predictions, ())

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
