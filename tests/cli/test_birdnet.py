# SPDX-License-Identifier: Apache-2.0
"""BirdNET by the commands that tell its rows elsewhere: archives, live, drift, and its licence.

Skipped where its package cannot be had.
"""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import soundfile

import oido
from oido.cli.main import run
from oido.evaluation.drift import drift
from oido.models.registry import BIRDNET
from oido.results import Results
from tests.training.taught_sounds import make_sounds

RATE = 48_000
BLACKBIRD = "everyday/tuxpaint/animals/birds/blackbird.ogg"


@pytest.fixture
def blackbird(birdnet: object, shared_audio: Path) -> str:
    path = shared_audio / BLACKBIRD
    if not path.exists():
        pytest.skip(f"{BLACKBIRD} is not here")
    return str(path)


def test_an_archive_has_the_events_of_the_classifier(blackbird: str, tmp_path: Path) -> None:
    folder = tmp_path / "archive"
    arguments = ["--model", BIRDNET, "--threshold", "0.1", "--jobs", "1", "-q"]
    assert run(["batch", blackbird, "-o", str(folder), *arguments, "--embeddings"]) == 0
    classifier = oido.AudioClassifier(BIRDNET)
    own = classifier.classify(blackbird).events(threshold=0.1)
    with Results(str(folder)) as results:
        rows = results.events().to_pylist()
        vectors = results.sql("SELECT embedding FROM embeddings").to_pylist()
        assert len(results.sql("SELECT * FROM windows").to_pylist()) > 0
    assert [row["label"] for row in rows] == [event.display_name for event in own]
    assert [row["start_time"] for row in rows] == [event.start_time for event in own]
    assert {len(row["embedding"]) for row in vectors} == {1_024}


def test_a_replay_tells_the_events_of_the_file(
    blackbird: str, capsys: pytest.CaptureFixture[str]
) -> None:
    common = ["--model", BIRDNET, "--threshold", "0.1"]
    assert run(["classify", blackbird, *common, "--format", "jsonl", "-q"]) == 0
    own = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert run(["listen", blackbird, "--replay", "--jsonl", *common]) == 0
    live = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    told = [row for row in live if row["type"] == "event"]
    assert own
    assert sorted(row["label"] for row in told) == sorted(row["label"] for row in own)


def test_drift_between_two_sets_of_recordings(birdnet: object, tmp_path: Path) -> None:
    make_sounds(tmp_path / "reference", each=3)
    rng = np.random.default_rng(0)
    (tmp_path / "hiss").mkdir()
    for number in range(8):
        noise = rng.normal(0, 0.2, RATE * 2).astype(np.float32)
        soundfile.write(tmp_path / "hiss" / f"{number}.wav", noise, RATE)
    found = drift(tmp_path / "reference", tmp_path / "hiss", BIRDNET, jobs=1)
    assert found.shifted
    assert (found.reference.recordings, found.new.recordings) == (9, 8)


@pytest.mark.slow
def test_the_licence_goes_with_a_head_that_was_taught_on_it(
    birdnet: object, tmp_path: Path
) -> None:
    data = oido.Dataset.load(make_sounds(tmp_path / "data"))
    oido.train(data, model=BIRDNET).export(tmp_path / "taught.tflite")
    sound = next(iter(data)).path
    output = tmp_path / "rows.csv"
    arguments = ["--model", str(tmp_path / "taught.tflite"), "-q", "-o", str(output)]
    assert run(["classify", str(sound), *arguments, "--jobs", "1"]) == 0
    manifest = json.loads((tmp_path / "rows.csv.manifest.json").read_text())
    assert manifest["model"]["licence"] == "CC-BY-NC-SA-4.0"
