# SPDX-License-Identifier: Apache-2.0
"""Real models on real recordings: what is judged is what a classifier says."""

from __future__ import annotations

import csv
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import soundfile

import oido
from oido.datasets.clip import Clip
from oido.evaluation.evaluate import evaluate, predict_clips
from oido.events.calibration import Calibrator
from oido.heads import Head, ScoreCalibration, Sigmoid
from oido.models.model import AudioModel
from oido.models.tflite.front_end import whole_graph
from oido.models.tflite.metadata_writer import annotate
from tests.datasets.recordings import record

pytest.importorskip("sklearn")

STREET = Path(__file__).parents[2] / "examples" / "street.flac"
LABELS = ("Owl", "wren", "Background", "robin")


@pytest.fixture(scope="module")
def custom(model: AudioModel, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A classifier of three birds and no event, with probabilities and a threshold of its own."""
    graph = whole_graph(model, model.path.read_bytes())
    weights = np.random.default_rng(1).normal(0, 0.1, (4, 1024)).astype(np.float32)
    dense = graph.writer.dense(graph.embedding, weights, np.zeros(4, np.float32))
    content = graph.writer.finish({"birds": graph.writer.softmax(dense)})
    calibration = ScoreCalibration(tuple(Sigmoid(1.0, 2.0 + n, -1.0) for n in range(4)))
    head = Head("birds", LABELS, calibration, (("wren", 0.6),))
    path = tmp_path_factory.mktemp("custom") / "birds.tflite"
    path.write_bytes(annotate(content, [head], sample_rate_hz=16_000, name="birds"))
    return path


def zero_shot(folder: Path, per_label: int, labels: int | None = None) -> oido.Dataset:
    """Clips by their AudioSet label."""
    of_label: dict[str, list[dict[str, str]]] = {}
    with (folder / "clips.csv").open(encoding="utf-8") as file:
        for row in csv.DictReader(file):
            of_label.setdefault(row["audioset_label"], []).append(row)
    return oido.Dataset.from_clips(
        Clip(str(folder / row["file"]), (label,), group=row["group"])
        for label, rows in list(of_label.items())[:labels]
        for row in rows[:per_label]
    )


def test_esc10_is_judged_as_the_classifier_hears_it(
    shared_audio: Path, classifier: oido.AudioClassifier
) -> None:
    data = zero_shot(shared_audio / "esc10", 3)
    steps: list[tuple[int, int]] = []
    report = evaluate(classifier, data, progress=lambda *step: steps.append(step))
    assert steps == [(n + 1, 30) for n in range(30)]
    columns = [classifier.labels.index(label) for label in data.classes]
    right = 0
    for clip, probabilities in zip(data, report.judged.probabilities):
        expected = classifier.classify(clip.path).clip_scores[columns]
        assert (probabilities == expected).all()
        right += data.classes[int(expected.argmax())] == clip.labels[0]
    assert report.clip_accuracy == right / 30
    assert report.clip_accuracy > 0.8
    assert report.mAP > 0.85
    assert not report.judged.calibrated
    assert "not probabilities" in str(report)


def test_three_events_are_too_few_and_the_report_says_so(
    shared_audio: Path, classifier: oido.AudioClassifier
) -> None:
    report = evaluate(classifier, zero_shot(shared_audio / "three-events", 5))
    assert "not enough data for 'Finger snapping': 5 clips from" in str(report)
    low, high = report.metrics.clip_accuracy[1:]
    assert high - low > 0.2
    assert report.metrics.recordings < len(report.judged)


def test_a_region_is_judged_by_its_own_sound(classifier: oido.AudioClassifier) -> None:
    clips = [
        Clip(str(STREET), ("Siren",), start_time=0.8, end_time=5.8),
        Clip(str(STREET), ("Bell",), start_time=10.9, end_time=15.8),
        Clip(str(STREET), ()),
    ]
    judged, left_out = predict_clips(classifier, oido.Dataset.from_clips(clips))
    assert left_out == ()
    assert judged.classes == ("Bell", "Siren")
    columns = [classifier.labels.index(label) for label in judged.classes]
    whole = classifier.classify(STREET)
    rate = whole.info.sample_rate_hz
    samples = soundfile.read(STREET, dtype="float32")[0]
    for number, clip in enumerate(clips[:2]):
        assert clip.end_time is not None
        part = samples[round((clip.start_time or 0) * rate) : round(clip.end_time * rate)]
        result = classifier.classify(part, rate)
        assert (judged.probabilities[number] == result.clip_scores[columns]).all()
        assert judged.windows is not None
        own = judged.windows.clip_index == number
        assert (judged.windows.probabilities[own] == result.scores[:, columns]).all()
        assert (judged.windows.times[own] == result.times).all()  # type: ignore[index]
    assert (judged.probabilities[2] == whole.clip_scores[columns]).all()
    assert judged.truth.tolist() == [1, 0, 2]


def test_a_taught_model_answers_with_all_its_classes(custom: Path, tmp_path: Path) -> None:
    paths = [str(record(tmp_path / f"{n}.wav", 2.0)) for n in range(6)]
    labels = [("owl",), ("owl",), ("wren",), ("wren",), (), ()]  # in another case than the model's
    data = oido.Dataset.from_clips([Clip(*each) for each in zip(paths, labels)])
    judged, _ = predict_clips(custom, data)
    assert judged.classes == ("Owl", "wren", "robin")  # robin may be said, though nobody asked
    assert judged.thresholds.tolist() == [
        pytest.approx(0.2), pytest.approx(0.6), pytest.approx(0.2)
    ]  # fmt: skip
    assert judged.truth.tolist() == [0, 0, 1, 1, 3, 3]
    heard = oido.AudioClassifier(custom, jobs=1)
    calibration = heard.model.head.calibration
    assert calibration is not None
    for number, path in enumerate(paths):
        result = heard.classify(path)
        expected = Calibrator(calibration).apply(result.clip_scores)
        assert (judged.probabilities[number] == expected[[0, 1, 3]]).all()
        assert judged.no_event is not None
        assert judged.no_event[number] == expected[2]
        assert judged.scores is not None
        assert (judged.scores[number] == result.clip_scores[[0, 1, 3]]).all()
    assert judged.calibrated


def test_thresholds_may_be_given(custom: Path, tmp_path: Path) -> None:
    clips = [Clip(str(record(tmp_path / f"{n}.wav")), (n,)) for n in ("owl", "wren")]
    data = oido.Dataset.from_clips(clips)
    common = predict_clips(custom, data, thresholds=0.7)[0].thresholds
    assert common.tolist() == pytest.approx([0.7, 0.7, 0.7])
    own = predict_clips(custom, data, thresholds={"OWL": 0.1})[0].thresholds
    assert own.tolist() == pytest.approx([0.1, 0.6, 0.2])
    for wrong in (1.5, {"hawk": 0.5}):
        with pytest.raises(oido.OptionError):
            predict_clips(custom, data, thresholds=wrong)  # type: ignore[arg-type]


def test_a_folder_is_judged_by_its_path(custom: Path, tmp_path: Path) -> None:
    for name in ("owl", "wren"):
        (tmp_path / "birds" / name).mkdir(parents=True)
        record(tmp_path / "birds" / name / f"{name}.wav")
    report = oido.evaluate(custom, tmp_path / "birds")
    assert (
        report.to_dict() == oido.evaluate(custom, oido.Dataset.load(tmp_path / "birds")).to_dict()
    )


def test_what_is_not_known_is_not_counted(custom: Path, tmp_path: Path) -> None:
    path = str(record(tmp_path / "0.wav"))
    clips = [
        Clip(path, ("owl",), ("wren",), complete=False),
        Clip(path, (), ("owl", "hawk"), complete=False),
        Clip(path, ("owl", "wren")),
    ]
    judged, _ = predict_clips(custom, oido.Dataset.from_clips(clips))
    assert judged.multi_label
    expected = [[1, 0, np.nan], [0, np.nan, np.nan], [1, 1, 0]]
    np.testing.assert_array_equal(judged.targets, np.array(expected, np.float32))


def test_clips_that_cannot_be_heard_are_left_out_and_told(custom: Path, tmp_path: Path) -> None:
    good = [Clip(str(record(tmp_path / f"{n}.wav")), (n,)) for n in ("owl", "wren")]
    (tmp_path / "broken.wav").write_bytes(b"RIFF nothing")
    bad = [
        Clip(str(tmp_path / "gone.wav"), ("owl",)),
        Clip(str(tmp_path / "broken.wav"), ("owl",)),
        replace(good[0], start_time=99.0),
    ]
    report = evaluate(custom, oido.Dataset.from_clips([bad[0], *good, *bad[1:]]))
    assert [clip.path for clip in report.judged.clips] == [clip.path for clip in good]
    assert [entry.name for entry in report.left_out] == [str(clip) for clip in bad]
    assert [str(clip) in entry.reason for clip, entry in zip(bad, report.left_out)] == [False] * 3
    assert "left out: 3" in str(report)
    with pytest.raises(oido.OptionError, match="none of the 3 clips can be heard"):
        evaluate(custom, oido.Dataset.from_clips(bad))


def test_a_label_that_the_model_does_not_have_is_named(
    custom: Path, classifier: oido.AudioClassifier, tmp_path: Path
) -> None:
    path = str(record(tmp_path / "0.wav"))
    with pytest.raises(oido.OptionError, match=r"no label 'Sirens'; the nearest are: .*'Siren'"):
        predict_clips(classifier, oido.Dataset.from_clips([Clip(path, ("Sirens",))]))
    with pytest.raises(oido.OptionError, match="one label of the model"):
        predict_clips(custom, oido.Dataset.from_clips([Clip(path, ("owl",)), Clip(path, ("OWL",))]))
    with pytest.raises(oido.OptionError, match="no clip has an event"):
        predict_clips(custom, oido.Dataset.from_clips([Clip(path)]))
