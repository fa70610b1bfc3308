# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

import oido
from oido.cli.main import run

EXAMPLES = Path(__file__).parents[2] / "examples"
RECORDINGS = str(EXAMPLES / "*.flac")


@pytest.fixture(scope="module")
def alarm(classifier: oido.AudioClassifier) -> oido.ClassificationResult:
    return classifier.classify(EXAMPLES / "alarm.flac")


def test_windows_to_parquet(tmp_path: Path, alarm: oido.ClassificationResult) -> None:
    parquet = pytest.importorskip("pyarrow.parquet")
    path = tmp_path / "embeddings.parquet"
    assert run(["embed", RECORDINGS, "-q", "-o", str(path)]) == 0
    table = parquet.read_table(path)
    assert table.column_names == ["file", "channel", "start_time", "end_time", "embedding"]
    rows = [r for r in table.to_pylist() if r["file"].endswith("alarm.flac")]
    assert (np.array([r["embedding"] for r in rows], np.float32) == alarm.embeddings).all()
    assert [r["start_time"] for r in rows] == pytest.approx(list(alarm.times[:, 0]))
    manifest = json.loads((tmp_path / "embeddings.parquet.manifest.json").read_text())
    assert manifest["parameters"]["what"] == "embeddings"
    assert manifest["model"]["name"] == "yamnet/classification"


def test_clips_to_npz(tmp_path: Path, alarm: oido.ClassificationResult) -> None:
    path = tmp_path / "clips.npz"
    command = ["embed", RECORDINGS, "-q", "--clip", "--l2-normalize", "-o", str(path)]
    assert run([*command, "--channel", "0"]) == 0
    content = np.load(path)
    assert content["embeddings"].shape == (2, 1024)
    assert content["embeddings"].dtype == np.float32
    np.testing.assert_allclose(np.linalg.norm(content["embeddings"], axis=1), 1.0, rtol=1e-6)
    assert list(content["channels"]) == [0, 0]
    assert content["times"][0] == pytest.approx([0.0, alarm.duration])


def test_several_formats_into_a_folder(tmp_path: Path) -> None:
    pytest.importorskip("pyarrow")
    folder = f"{tmp_path}/new/"
    assert run(["embed", RECORDINGS, "-q", "-o", folder, "--format", "npz,parquet"]) == 0
    names = sorted(p.name for p in (tmp_path / "new").iterdir())
    assert names == [".oido-written", "embeddings.npz", "embeddings.parquet", "oido-manifest.json"]


def test_nothing_heard_is_still_a_valid_file(tmp_path: Path) -> None:
    path = tmp_path / "none.npz"
    assert run(["embed", "nowhere.wav", "-q", "-o", str(path)]) == 3
    assert np.load(path)["embeddings"].shape[0] == 0


@pytest.mark.parametrize("options", [[], ["-o", "x.csv"], ["-o", "x.npz", "--format", "csv"]])
def test_wrong_usage_is_told(options: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["embed", RECORDINGS, *options]) == 2
    assert capsys.readouterr().err.startswith("oido: ")
