# SPDX-License-Identifier: Apache-2.0
"""Recordings unlike all that a model was taught are told as such, wherever they are heard."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest

import oido
from oido.cli.main import run
from oido.training.train import train
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
