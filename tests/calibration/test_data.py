# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

import oido
from oido.calibration.data import score_clips
from oido.heads import Head, ScoreCalibration, Sigmoid
from oido.models.loading import load_model
from oido.models.model import AudioModel
from oido.models.tflite.metadata_writer import annotate
from tests.datasets.recordings import record, record_all
from tests.models.tflite.test_metadata_heads import graph_of

LABELS = ("owl", "wren", "background")


@pytest.fixture
def birds(tmp_path: Path) -> AudioModel:
    path = tmp_path / "birds.tflite"
    sigmoids = (Sigmoid(1, 2, 3),) * 3
    head = Head("scores", LABELS, ScoreCalibration(sigmoids))
    place = Head("place", ("in", "out"))
    path.write_bytes(annotate(graph_of(3, 2), [head, place], sample_rate_hz=8_000))
    return load_model(path)


def test_scores_are_raw_and_background_is_a_class(birds: AudioModel, tmp_path: Path) -> None:
    names = ["owl/1.wav", "owl/2.wav", "wren/3.wav", "noise/4.wav"]
    data = oido.Dataset.load(record_all(tmp_path / "sounds", *names))
    told: list[tuple[int, int]] = []
    found, left_out = score_clips(birds, data, head="scores", progress=lambda *p: told.append(p))
    assert left_out == ()
    assert told[-1] == (4, 4)
    assert found.classes == LABELS
    assert found.columns == (0, 1, 2)
    kinds = [Path(clip.path).parent.name for clip in found.clips]
    expected = [[k == "owl", k == "wren", k == "noise"] for k in kinds]
    np.testing.assert_array_equal(found.targets, np.array(expected, np.float32))
    plain = replace(birds, heads=tuple(replace(h, calibration=None) for h in birds.heads))
    classifier = oido.AudioClassifier(plain, head="scores", jobs=1)
    for number, clip in enumerate(found.clips):
        result = classifier.classify(clip.path)
        np.testing.assert_array_equal(found.scores[number], result.clip_scores)
        of_clip = found.windows[found.clip_index == number]
        np.testing.assert_array_equal(of_clip, result.scores)
        assert found.hours[number] * 3600 == pytest.approx(result.duration, abs=0.05)
    part = found.subset(np.array([False, True, False, True]))
    assert part.clips == (found.clips[1], found.clips[3])
    np.testing.assert_array_equal(part.windows, found.windows[np.isin(found.clip_index, [1, 3])])
    assert set(part.clip_index.tolist()) == {0, 1}


def test_classes_are_called_as_the_model_calls_them(birds: AudioModel, tmp_path: Path) -> None:
    """Whatever their case, and in any language that labels are shown in."""
    head = Head("scores", ("Dog", "Rain", "background"))
    english = replace(birds, heads=(head, birds.heads[1]))
    names = ["Perro/1.wav", "rain/2.wav", "noise/3.wav"]
    data = oido.Dataset.load(record_all(tmp_path / "sounds", *names))
    found, _ = score_clips(english, data, head="scores")
    assert found.classes == ("Dog", "Rain", "background")
    assert found.columns == (0, 1, 2)


def test_another_head_and_wrong_names(birds: AudioModel, tmp_path: Path) -> None:
    data = oido.Dataset.load(record_all(tmp_path / "s", "in/1.wav", "out/2.wav"))
    found, _ = score_clips(birds, data)
    assert found.classes == ("in", "out")
    with pytest.raises(oido.OptionError, match="no head 'birds'; it has scores, place"):
        score_clips(birds, data, head="birds")
    with pytest.raises(oido.UnknownLabelError, match="'in'"):
        score_clips(birds, data, head="scores")


def test_clips_of_partly_known_content_count_where_they_are_known(
    birds: AudioModel, tmp_path: Path
) -> None:
    owl = oido.Clip(str(record(tmp_path / "1.wav")), ("owl",), complete=False)
    wren = oido.Clip(str(record(tmp_path / "2.wav")), ("wren",), ("owl",), complete=False)
    found, _ = score_clips(birds, oido.Dataset.from_clips([owl, wren]), head="scores")
    np.testing.assert_array_equal(found.targets, [[1, np.nan, 0], [0, 1, 0]])
