# SPDX-License-Identifier: Apache-2.0
"""A calibration.json makes the same probabilities everywhere: commands, server, streams, page."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import httpx
import pytest

import oido
from oido.errors import OptionError
from oido.heads import ScoreCalibration, ScoreTransformation, Sigmoid
from oido.models.calibration_file import Calibration
from oido.models.model import AudioModel
from oido.server.model_store import ModelStore
from oido.server.settings import Settings
from tests.server.conftest import StartServer

STREET = Path(__file__).parents[2] / "examples" / "street.flac"


@pytest.fixture(scope="module")
def calibration(model: AudioModel, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Made up: a slope for all, and a threshold that only sirens reach."""
    kind = ScoreTransformation.INVERSE_LOGISTIC
    scores = ScoreCalibration((Sigmoid(1.0, 1.3, -0.4, 1e-4),) * 521, kind, 1e-5)
    thresholds = tuple((label, 0.35 if label == "Siren" else 1.0) for label in model.head.labels)
    path = tmp_path_factory.mktemp("calibration") / "calibration.json"
    Calibration.of(model, model.head, scores=scores, thresholds=thresholds).save(path)
    return path


def rows_of(command: str, calibration: Path, *options: str) -> Any:
    done = subprocess.run(
        [sys.executable, "-m", "oido", command, *options, "--calibration", str(calibration)],
        stdin=STREET.open("rb"),
        capture_output=True,
        check=True,
    )
    return done.stdout


def test_the_server_says_what_the_command_line_says(
    calibration: Path, start_server: StartServer
) -> None:
    expected = json.loads(rows_of("classify", calibration, str(STREET), "--format", "json", "-q"))
    assert {row["label"] for row in expected} == {"Siren"}
    assert all(0.35 <= row["probability"] != row["score"] for row in expected)
    with start_server(calibrations=[str(calibration)]) as server:
        answer = httpx.post(f"{server.address}/v1/classify", content=STREET.read_bytes()).json()
        strip = [{k: v for k, v in row.items() if k != "file"} for row in answer]
        assert strip == [{k: v for k, v in row.items() if k != "file"} for row in expected]
        assert httpx.get(f"{server.address}/v1/models").json()["models"][0]["calibrated"] is True


def test_a_calibration_for_another_model_is_refused(calibration: Path, tmp_path: Path) -> None:
    values = json.loads(calibration.read_text("utf-8"))
    other = tmp_path / "other.json"
    other.write_text(json.dumps({**values, "model_sha256": "0" * 64}), "utf-8")
    with pytest.raises(OptionError, match="calibrate this one"):
        ModelStore(Settings(("yamnet/classification",), None, (str(other),)))


def test_the_page_gets_a_file_with_the_calibration(calibration: Path, tmp_path: Path) -> None:
    from oido.server.model_store import load_configured_model
    from oido.server.page_files import device_model

    model, is_new = load_configured_model("yamnet/classification", None, [str(calibration)])
    assert is_new
    path = tmp_path / "model.tflite"
    path.write_bytes(device_model(model, heads_are_new=True).content)
    expected = oido.AudioClassifier(calibration=calibration).classify(STREET)
    found = oido.AudioClassifier(path).classify(STREET)
    assert found.probabilities is not None
    assert found.probabilities.tobytes() == expected.probabilities.tobytes()
    assert found.events() == expected.events()


def test_listening_uses_it(calibration: Path) -> None:
    lines = rows_of("listen", calibration, "-", "--jsonl").decode().splitlines()
    events = [row for row in map(json.loads, lines) if row.get("label")]
    assert {row["label"] for row in events} == {"Siren"}
    assert all("probability" in row for row in events)
