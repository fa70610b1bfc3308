# SPDX-License-Identifier: Apache-2.0
"""Domain shift between two sets: found where it is, not where it is not, and told in words."""

from __future__ import annotations

import csv
import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile

import oido
from oido.datasets.clip import LeftOut
from oido.evaluation.bootstrap import Estimate
from oido.evaluation.drift import Drift, MovedClass, MovedFact, SetSize, drift
from tests.datasets.recordings import record
from tests.training.taught_sounds import make_sounds


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("sets")
    make_sounds(folder / "reference", each=8)
    make_sounds(folder / "same", each=6, seed=1)
    return folder


def test_the_same_kinds_of_sound_are_no_shift(made: Path, classifier: oido.AudioClassifier) -> None:
    calls = []
    found = drift(
        made / "reference",
        made / "same",
        classifier,
        progress=lambda done, total: calls.append((done, total)),
    )
    assert not found.shifted
    assert found.p >= 0.05
    assert found.moved == ()
    assert found.verdict[0].text == (
        "no shift found, but with only 18 recordings on a side, none but a large shift would show: "
        "whether thresholds can still be trusted is not known"
    )
    assert (found.reference.recordings, found.new.recordings) == (24, 18)
    assert calls == [(n, 42) for n in range(1, 43)]


def test_one_kind_of_sound_instead_of_three(made: Path, classifier: oido.AudioClassifier) -> None:
    paths = sorted((made / "same" / "beep").iterdir())
    found = drift(made / "reference", paths, classifier)
    assert found.shifted
    assert found.verdict[0].tone == "poor"
    higher = {entry.label for entry in found.moved if entry.area > 0.5}
    assert higher & {"Beep, bleep", "Busy signal", "Telephone", "Alarm", "Sine wave"}
    content = json.loads(found.to_json())
    assert content["shifted"] is True
    assert content["moved"][0]["label"] == found.moved[0].label
    assert content["moved"][0]["new_heard"] == found.moved[0].new_share
    assert set(content["area"]) == {"value", "low", "high"}


@pytest.mark.slow
def test_real_recordings_split_by_source_and_without_highs(
    shared_audio: Path, classifier: oido.AudioClassifier, tmp_path: Path
) -> None:
    with (shared_audio / "esc10" / "clips.csv").open(encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file))
    first_of = {row["group"]: row for row in reversed(rows)}
    groups = np.random.default_rng(0).permutation(sorted(first_of)).tolist()
    old, new = (
        [shared_audio / "esc10" / first_of[group]["file"] for group in part]
        for part in (groups[:40], groups[40:80])
    )
    found = drift(old, new, classifier)
    assert not found.shifted, str(found)

    dull = [tmp_path / f"{path.stem}.wav" for path in new]
    for path, target in zip(new, dull):
        samples, rate_hz = soundfile.read(path)
        spectrum = np.fft.rfft(samples, axis=0)
        spectrum[np.fft.rfftfreq(len(samples), 1 / rate_hz) > 1000] = 0
        soundfile.write(target, np.fft.irfft(spectrum, len(samples), axis=0), rate_hz)
    found = drift(old, dull, classifier)
    assert found.shifted
    assert found.area.low > 0.9
    assert found.verdict[0].text.startswith("a clear shift")
    assert any("are duller" in remark.text for remark in found.verdict)

    outdoors = {"Rain", "Sea waves", "Helicopter", "Chainsaw", "Fire crackling"}
    parts = [
        [
            shared_audio / "esc10" / first_of[group]["file"]
            for group in groups[:50]
            if (first_of[group]["label"] in outdoors) == wanted
        ]
        for wanted in (False, True)
    ]
    found = drift(*parts, classifier)
    assert found.shifted
    assert len(found.moved) > 3


def test_too_few_and_wrong_names(made: Path, tmp_path: Path) -> None:
    record(tmp_path / "few" / "one.wav")
    (tmp_path / "few" / "bad.wav").write_bytes(b"RIFF")
    (tmp_path / "empty").mkdir()
    with pytest.raises(oido.OptionError, match=r"new set has 1 recordings .*bad\.wav"):
        drift(made / "same" / "beep", tmp_path / "few")
    with pytest.raises(oido.OptionError, match="no recordings in this folder"):
        drift(made / "same", tmp_path / "empty")
    with pytest.raises(oido.OptionError, match="no such folder"):
        drift(tmp_path / "nowhere", made / "same")
    with pytest.raises(oido.OptionError, match="between 0 and 1"):
        drift(made / "same", made / "same", level=5)


def said(area: float, shifted: bool, moved: int = 0, calibrated: bool = True) -> list[str]:
    entries = [MovedClass(f"c{n}", 0.7, 0.01, 0.1, 0.2, 0.0, 0.3, 0.1) for n in range(moved)]
    facts = (
        MovedFact("level_db", -20.0, -41.0, 0.001, True),
        MovedFact("seconds", 5.0, 5.0, 0.5, False),
    )
    size = SetSize(40, 40, 40)
    found = Drift(
        *("m", calibrated, 0.05, size, size, shifted, 0.01, Estimate(area, area, area), 0.01),
        *(0.1, 0.01, 9, 0.01, tuple(entries), facts),
    )
    assert all(remark.text in str(found) for remark in found.verdict)
    return [remark.text for remark in found.verdict]


def test_the_words_follow_from_the_figures() -> None:
    assert said(0.5, False) == [
        "no shift found: calibration and thresholds made on the reference can still be trusted",
        "new recordings are quieter, -41 dB against -20 dB, which the model does not mind",
    ]
    slight = said(0.6, True, calibrated=False)
    assert slight[0].startswith("a slight shift")
    assert "thresholds are likely to hold" in slight[0]
    assert "may be off for the classes that moved" in said(0.6, True, 1)[0]
    assert said(0.6, True, 1)[1] == "in new recordings 'c0' scores higher"
    assert said(0.7, True, 7)[0].startswith("a shift: ")
    assert said(0.7, True, 7)[1].endswith("'c4' and 2 more score higher")
    assert said(0.9, True)[0].startswith("a clear shift: ")
    assert said(0.9, True)[1] == "new recordings are quieter, -41 dB against -20 dB"


def compared(**changes: Any) -> Drift:
    size = SetSize(40, 40, 40)
    moved = tuple(
        MovedClass(f"c{n}", area, 0.01, 0.1, 0.2, 0.0, 0.3, 0.1)
        for n, area in enumerate((0.9, 0.1, 0.2, 0.8))
    )
    figures = (0.05, size, size, True, 0.01, Estimate(0.7, 0.6, 0.8), 0.01, 0.1, 0.01, 9, 0.01)
    found = Drift("m", True, *figures, moved, (), (LeftOut("bad.wav", "is no sound"),))
    return replace(found, **changes)


def test_classes_that_rise_and_fall_are_told_apart() -> None:
    texts = [remark.text for remark in compared().verdict]
    assert "in new recordings 'c0', 'c3' score higher" in texts
    assert "in new recordings 'c1', 'c2' score lower" in texts


def test_few_recordings_without_a_shift_are_a_caution() -> None:
    for recordings, cautions in ((30, 0), (29, 1)):
        found = compared(shifted=False, moved=(), new=SetSize(99, recordings, 99))
        told = [r for r in found.verdict if "none but a large shift would show" in r.text]
        assert len(told) == cautions
        assert all(remark.tone == "fair" for remark in told)
        trusted = [r for r in found.verdict if "can still be trusted" in r.text and r not in told]
        assert len(trusted) == 1 - cautions


@pytest.mark.parametrize(
    ("area", "words", "tone"),
    [
        (0.649, "a slight shift: ", "fair"),
        (0.65, "a shift: ", "poor"),
        (0.799, "a shift: ", "poor"),
        (0.8, "a clear shift: ", "poor"),
    ],
)
def test_a_shift_is_graded_at_its_limits(area: float, words: str, tone: str) -> None:
    first = compared(area=Estimate(area, area, area)).verdict[0]
    assert first.text.startswith(words)
    assert first.tone == tone


def test_json_and_text_have_every_figure() -> None:
    found = compared()
    content = json.loads(found.to_json())
    assert content == json.loads(json.dumps(found.to_dict(), allow_nan=False))
    assert (content["area"]["low"], content["shifted"], content["level"]) == (0.6, True, 0.05)
    assert content["moved"][0]["new_heard"] == 0.3
    assert content["left_out"] == [{"name": "bad.wav", "reason": "is no sound"}]
    assert content["verdict"][0]["text"] == found.verdict[0].text
    assert "left out: bad.wav: is no sound" in str(found)
    assert "AUC 0.70 [0.60, 0.80]" in str(found)
