# SPDX-License-Identifier: Apache-2.0
"""What is written at the end: a classifier that runs, calibrated, judged on sources apart."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pytest
import soundfile

import oido
from oido.cli import batch
from oido.errors import OptionError
from oido.results.results import Results
from oido.results.window_scores import open_head
from oido.review.learning import LearningLoop
from oido.search.label_store import Answer, LabelStore
from tests.results.results_folders import run

EXAMPLES = Path(__file__).parents[2] / "examples"
pytest.importorskip("sklearn")


class Project(NamedTuple):
    recordings: Path
    results: Path
    store: Path


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory) -> Project:
    """Three alarms and three streets in noise, an archive of them, and answers to its windows."""
    pytest.importorskip("matplotlib")
    folder = tmp_path_factory.mktemp("project")
    recordings = folder / "recordings"
    recordings.mkdir()
    dice = np.random.default_rng(0)
    for name in ("alarm", "street"):
        sound, rate_hz = soundfile.read(EXAMPLES / f"{name}.flac", dtype="float32", always_2d=True)
        sound = sound.mean(axis=1)[: 8 * rate_hz]
        for number in range(3):
            noise = dice.normal(0, 0.002 * (1 + number), len(sound))
            mixed = sound * (1.0, 0.6, 0.3)[number] + noise
            soundfile.write(recordings / f"{name}{number}.wav", mixed, rate_hz, subtype="PCM_16")
    results = folder / "results"
    words = ("-o", str(results), "-q", "--jobs", "1", "--embeddings")
    assert run(batch, str(recordings), *words) == 0
    with Results(str(results)) as opened, LabelStore(folder / "project.db") as store:
        rows = opened.embeddings().select(["file", "start_time", "end_time"]).to_pylist()
        store.add(
            Answer(
                row["file"],
                row["start_time"],
                row["end_time"],
                "my alarm",
                "yes" if "alarm" in Path(row["file"]).name else "no",
                value=0.5,
            )
            for row in rows[::3]
        )
    return Project(recordings, results, folder / "project.db")


def test_the_file_is_calibrated_checked_and_reported(project: Project, tmp_path: Path) -> None:
    with Results(str(project.results)) as results, LabelStore(project.store) as store:
        loop = LearningLoop(results, store, "my alarm")
        state = loop.update()
        made = loop.export(tmp_path / "alarm.tflite")
    assert made.parity.path == tmp_path / "alarm.tflite"
    assert made.parity.path.exists()
    assert made.parity.windows > 5
    assert made.parity.largest_difference < 1e-3
    assert 0 < made.thresholds["my alarm"] < 1
    page = (tmp_path / "alarm-report.html").read_text(encoding="utf-8")
    assert made.report_path.name == "alarm-report.html"
    assert "my alarm" in page
    judged = made.report.judged
    assert len(judged) == state.answers
    folds: dict[str, set[str]] = {}
    for clip, split in zip(judged.clips, judged.splits):
        folds.setdefault(clip.group, set()).add(split)
    assert len(folds) == 6
    assert all(len(of_group) == 1 for of_group in folds.values())
    assert len(set(judged.splits)) >= 2

    classifier = oido.AudioClassifier(tmp_path / "alarm.tflite")
    assert classifier.model.head.calibration is not None
    alarm = classifier.classify(EXAMPLES / "alarm.flac")
    street = classifier.classify(EXAMPLES / "street.flac")
    assert np.median(alarm.scores) > 0.6 > np.median(street.scores)


def test_the_same_answers_give_the_same_file(project: Project, tmp_path: Path) -> None:
    contents = []
    for _ in range(2):
        with Results(str(project.results)) as results, LabelStore(project.store) as store:
            made = LearningLoop(results, store, "my alarm").export(tmp_path / "alarm.tflite")
        contents.append(made.parity.path.read_bytes())
    assert contents[0] == contents[1]


def test_recordings_that_moved(project: Project, tmp_path: Path) -> None:
    elsewhere = project.recordings.with_name("elsewhere")
    shutil.move(project.recordings, elsewhere)
    try:
        with Results(str(project.results)) as results, LabelStore(project.store) as store:
            loop = LearningLoop(results, store, "my alarm")
            assert loop.update().curve, "only what is written at the end needs them"
            with pytest.raises(OptionError, match="bring them back to where they were"):
                loop.export(tmp_path / "alarm.tflite")
    finally:
        shutil.move(elsewhere, project.recordings)
    assert list(tmp_path.iterdir()) == []


def test_names_that_are_refused(project: Project, tmp_path: Path) -> None:
    (tmp_path / "alarm-report.html").write_text("mine")
    with Results(str(project.results)) as results, LabelStore(project.store) as store:
        loop = LearningLoop(results, store, "my alarm")
        with pytest.raises(OptionError, match="name it so"):
            loop.export(tmp_path / "alarm.onnx")
        with pytest.raises(OptionError, match="did not write that"):
            loop.export(tmp_path / "alarm.tflite")
    assert (tmp_path / "alarm-report.html").read_text() == "mine"
    assert not (tmp_path / "alarm.tflite").exists()


def test_in_an_archive_of_two_networks_it_is_put_behind_the_one_that_gave_the_embeddings(
    project: Project, mn04_is_here: None, tmp_path: Path
) -> None:
    words = ("-o", str(tmp_path / "both"), "-q", "--jobs", "1", "--embeddings")
    assert run(batch, str(project.recordings), *words, "--model", "ensemble") == 0
    path = tmp_path / "alarm.tflite"
    with Results(str(tmp_path / "both")) as results, LabelStore(project.store) as store:
        loop = LearningLoop(results, store, "my alarm")
        loop.require_writable()
        loop.export(path)
        assert open_head(results, path)[1].training["base"] == "yamnet/classification"
    with Results(str(project.results)) as results:
        assert open_head(results, path)[1].labels == ("my alarm",)
