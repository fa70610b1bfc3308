# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

import oido
from oido.datasets.clip import Clip
from oido.evaluation.event_metrics import judge_events
from tests.datasets.recordings import record
from tests.signal.decode.wav_bytes import wav
from tests.signal.sounds import sine

pytest.importorskip("sed_scores_eval", reason="needs oido[evaluate]")

EXAMPLES = Path(__file__).parents[2] / "examples"
NAMES = {
    "siren": "Siren",
    "beeps": "Beep, bleep",
    "bell": "Bell",
    "rain": "Rain",
    "engine": "Engine",
    "speech": "Speech",
    "smoke alarm": "Smoke detector, smoke alarm",
}


@pytest.fixture(scope="module")
def scenes() -> oido.Dataset:
    truth = json.loads((EXAMPLES / "scenes.json").read_text("utf-8"))
    return oido.Dataset.from_clips(
        Clip(str(EXAMPLES / file), (NAMES[e["label"]],), (), e["start"], e["end"])
        for file, scene in truth.items()
        for e in scene["events"]
        if e["label"] in NAMES
    )


def test_scenes_with_known_events(scenes: oido.Dataset, classifier: oido.AudioClassifier) -> None:
    calls = []
    found = judge_events(
        classifier, scenes, progress=lambda done, total: calls.append((done, total))
    )
    by_label = {entry.label: entry for entry in found.classes}
    assert by_label["Bell"].f1.value == by_label["Bell"].segment_f1.value == 1
    assert by_label["Bell"].psds1 == 1
    # Which is told as a fire engine where one row for each sound is wanted.
    assert by_label["Siren"].events == by_label["Siren"].detected == 1
    assert by_label["Siren"].segment_f1.value == 1
    assert found.psds1 < found.psds2
    assert found.segment_micro_f1.value > found.micro_f1.value
    assert calls == [(1, 2), (2, 2)]  # each recording once, whatever its regions
    assert found.frame_seconds == pytest.approx(0.16)
    assert "frames are" not in str(found), "the collars are wider"
    hits = sum(entry.recall.value * entry.events for entry in found.classes)
    events = sum(entry.events for entry in found.classes)
    assert found.micro_recall.value == pytest.approx(hits / events)
    assert found.macro_f1.value == pytest.approx(
        sum(entry.f1.value for entry in found.classes) / len(found.classes)
    )


def test_wider_collars_and_higher_thresholds(
    scenes: oido.Dataset, classifier: oido.AudioClassifier
) -> None:
    narrow = judge_events(classifier, scenes, onset_collar=0.05, offset_collar=0.05)
    wide = judge_events(classifier, scenes, onset_collar=1.0, offset_collar=1.0)
    assert narrow.micro_f1.value < wide.micro_f1.value
    assert "The model's frames are 0.16 s long" in str(narrow)
    none = judge_events(classifier, scenes, thresholds=1.0)
    assert none.micro_recall.value == 0
    assert none.psds1 == wide.psds1 == narrow.psds1  # of all thresholds
    one = judge_events(classifier, scenes, thresholds={"Siren": 1.0})
    heard = {entry.label: entry.detected for entry in one.classes}
    assert heard["Siren"] == 0 < heard["Bell"]


def test_the_model_s_own_events_as_truth_give_1(classifier: oido.AudioClassifier) -> None:
    path = str(EXAMPLES / "street.flac")
    clips = [
        Clip(path, (e.label,), (), e.start_time, e.end_time)
        for e in classifier.classify(path).events(0.3)
    ]
    assert len(clips) > 5
    found = judge_events(
        classifier,
        oido.Dataset.from_clips(clips),
        thresholds=0.3,
        onset_collar=0.0,
        offset_collar=0.0,
        offset_share=0.0,
    )
    assert found.micro_f1.value == found.macro_f1.value == 1
    assert found.segment_micro_f1.value == 1
    assert all(entry.f1.value == 1 for entry in found.classes)


def test_a_tone_of_known_times(classifier: oido.AudioClassifier, tmp_path: Path) -> None:
    rate_hz, tone = 16_000, sine(2000.0, 16_000, 16_000 * 4)
    samples = [0.0] * (3 * rate_hz) + tone.tolist() + [0.0] * (3 * rate_hz)
    path = tmp_path / "tone.wav"
    path.write_bytes(wav(np.asarray(samples), rate_hz))
    quiet = record(tmp_path / "quiet.wav", seconds=2.0)
    data = oido.Dataset.from_clips(
        [Clip(str(path), ("sine wave",), (), 3.0, 7.0), Clip(str(quiet))]
    )
    found = judge_events(classifier, data, onset_collar=0.5, offset_collar=0.5)
    assert [entry.label for entry in found.classes] == ["sine wave"]  # as the dataset spells it
    assert found.micro_f1.value == 1
    assert found.files == found.recordings == 2
    assert found.seconds == pytest.approx(12.0)


def test_what_cannot_be_judged(
    scenes: oido.Dataset, classifier: oido.AudioClassifier, tmp_path: Path
) -> None:
    broken = tmp_path / "broken.wav"
    broken.write_bytes(b"RIFF")
    clips = [*scenes.clips, Clip(str(broken), ("Dog",), (), 0.0, 1.0)]
    found = judge_events(classifier, oido.Dataset.from_clips(clips))
    assert found.files == 2
    assert [name for name, _ in found.left_out] == [str(broken), "Dog"]
    assert "left out: Dog: no event of it" in str(found)
    content = json.loads(json.dumps(found.to_dict(), allow_nan=False))
    assert content["classes"][0]["label"] == found.classes[0].label
    assert content["macro_f1"]["value"] == found.macro_f1.value
    assert content["left_out"][1] == {"name": "Dog", "reason": "no event of it"}

    with pytest.raises(oido.OptionError, match="onset_collar must be 0 or more"):
        judge_events(classifier, scenes, onset_collar=-1)
    whole = replace(scenes, clips=(Clip(str(EXAMPLES / "alarm.flac"), ("Siren",)),))
    with pytest.raises(oido.OptionError, match=r"no region with an event .* without times"):
        judge_events(classifier, whole)
    with pytest.raises(oido.UnknownLabelError):
        judge_events(classifier, oido.Dataset.from_clips([Clip("a.wav", ("Zebroid",), (), 0, 1)]))
