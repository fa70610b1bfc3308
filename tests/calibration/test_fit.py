# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import csv
from pathlib import Path

import pytest

import oido
from oido.calibration.fit import calibrate
from oido.calibration.risk_control import Guarantee
from oido.calibration.thresholds import ThresholdTarget
from oido.models.model import AudioModel
from tests.calibration.labelled_sounds import labelled_sounds


def test_a_result_saves_by_the_names_ending(model: AudioModel, tmp_path: Path) -> None:
    result = calibrate(model, oido.Dataset.load(labelled_sounds(tmp_path, each=4)))
    assert result.calibration.facts["wish"] == "f1"
    assert result.calibration.model_sha256 == model.sha256
    assert result.calibrated_model.head.calibration == result.calibration.scores
    with pytest.raises(oido.OptionError, match=r"name it \.tflite"):
        result.save(tmp_path / "calibrated.pt")
    again = calibrate(result.calibrated_model, oido.Dataset.load(tmp_path / "clips.csv"))
    assert again.calibration == result.calibration, "a calibration is made of raw scores"


def test_a_target_or_a_guarantee(model: AudioModel, tmp_path: Path) -> None:
    data = oido.Dataset.from_clips([])
    with pytest.raises(oido.OptionError, match="not both"):
        calibrate(model, data, target=ThresholdTarget("f1"), guarantee=Guarantee("fnr", 0.1))


@pytest.mark.slow
def test_real_clips_halve_error_and_brier_score(model: AudioModel, shared_audio: Path) -> None:
    """Held-out recordings of ESC-10, four classes, against YAMNet's raw scores."""
    folder = shared_audio / "esc10"
    with (folder / "clips.csv").open(encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    clips = [
        oido.Clip(str(folder / row["file"]), (row["audioset_label"],), group=row["group"])
        for row in rows
        if row["audioset_label"] in {"Dog", "Rain", "Sneeze", "Chainsaw"}
    ]
    report = calibrate(model, oido.Dataset.from_clips(clips), target="precision=0.9").report
    assert report.clips > 100
    assert report.after.ece < report.before.ece / 2
    assert report.after.brier.value < report.before.brier.value / 2
    precision = report.overall.precision
    assert precision.low <= 0.9 <= precision.high or precision.value > 0.9
