# SPDX-License-Identifier: Apache-2.0
"""Rows of a plan: the strongest of calibrated events, and recordings unlike all that was taught."""

from __future__ import annotations

import json
import shutil
from dataclasses import replace
from pathlib import Path

import pytest

import oido
from oido.batch.plan import Plan
from oido.batch.rows import row_maker
from oido.cli.main import run
from oido.heads import ScoreCalibration, Sigmoid
from oido.models.model import AudioModel
from oido.training.train import train
from oido.types import Row
from tests.training.taught_sounds import KINDS, make_sounds

STREET = Path(__file__).parents[2] / "examples" / "street.flac"


@pytest.fixture(scope="module")
def taught(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """A model of three kinds of made sounds, and a folder with one of them and a street."""
    pytest.importorskip("sklearn")
    folder = tmp_path_factory.mktemp("taught")
    sounds = make_sounds(folder / "sounds")
    train(oido.Dataset.load(sounds)).export(folder / "model.tflite")
    (folder / "heard").mkdir()
    shutil.copy(STREET, folder / "heard")
    shutil.copy(next((sounds / KINDS[0]).iterdir()), folder / "heard" / "known.wav")
    return folder / "model.tflite", folder / "heard"


@pytest.mark.parametrize("jobs", ["1", "2"])
def test_the_manifest_and_the_screen_tell(
    taught: tuple[Path, Path], tmp_path: Path, capsys: pytest.CaptureFixture[str], jobs: str
) -> None:
    model, heard = taught
    for name, expected in (("street.flac", True), ("known.wav", False)):
        assert oido.AudioClassifier(model).classify(heard / name).is_unknown is expected
    hear = ["classify", str(heard), "--model", str(model), "--jobs", jobs]
    assert run([*hear, "-o", str(tmp_path / "rows.csv"), "-q"]) == 0
    manifest = json.loads((tmp_path / "rows.csv.manifest.json").read_text("utf-8"))
    told = {Path(r["name"]).name: r["unknown"] for r in manifest["recordings"]}
    assert told == {"street.flac": True, "known.wav": False}
    capsys.readouterr()
    assert run(hear) == 0
    known, street = capsys.readouterr().out.split("street.flac")
    assert "unlike everything" in street
    assert "unlike everything" not in known


def test_a_model_that_does_not_tell_says_nothing(tmp_path: Path) -> None:
    assert run(["classify", str(STREET), "-o", str(tmp_path / "rows.csv"), "-q"]) == 0
    manifest = json.loads((tmp_path / "rows.csv.manifest.json").read_text("utf-8"))
    assert "unknown" not in manifest["recordings"][0]


def test_an_archive_tells_whole_or_split(taught: tuple[Path, Path], tmp_path: Path) -> None:
    pytest.importorskip("pyarrow")
    import pyarrow.dataset

    from oido.batch.commit_log import read_folder

    model, heard = taught
    for split in ("3600", "10"):
        results = tmp_path / split
        hear = ["batch", str(heard), "--model", str(model), "-o", str(results), "--split", split]
        assert run([*hear, "-q"]) == 0
        table = pyarrow.dataset.dataset(read_folder(str(results)).parts("recordings")).to_table()
        rows = {Path(row["file"]).name: row["unknown"] for row in table.to_pylist()}
        assert rows == {"street.flac": True, "known.wav": False}


def test_the_strongest_events_of_a_calibrated_model_are_the_most_probable(
    model: AudioModel,
) -> None:
    """What has the highest score here is never more probable than 0.6."""
    highest = max(oido.AudioClassifier(model).classify(STREET).events(), key=lambda e: e.score)
    sigmoids = [Sigmoid(0.6 if m == highest.label else 1.0, 8.0, -2.0) for m in model.labels]
    head = replace(model.head, calibration=ScoreCalibration(tuple(sigmoids)))
    classifier = oido.AudioClassifier(replace(model, heads=(head,)), jobs=1)
    blocks = list(classifier.stream(STREET))

    def rows(top: int | None) -> list[Row]:
        maker = row_maker(Plan(top=top), classifier, "street.flac", None)
        made = [row for block in blocks for row in maker.push(block)] + maker.flush(480_000)
        assert all(isinstance(row, Row) for row in made)
        return made  # type: ignore[return-value]

    every = rows(None)
    assert max(every, key=lambda row: row.score).label == highest.label
    for top in (1, 3):
        best = sorted(every, key=lambda row: -(row.probability or 0.0))[:top]
        assert sorted(rows(top)) == sorted(best)
