# SPDX-License-Identifier: Apache-2.0
"""`oido find` and its tables."""

from __future__ import annotations

import csv
import json
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from oido.batch.units import SEARCH_INDEX
from oido.cli import batch, clips, find
from oido.errors import OptionError
from oido.inference.classifier import AudioClassifier
from oido.messages import in_language
from oido.models.tflite.metadata_writer import annotate
from tests.results.results_folders import heard_archive
from tests.results.results_folders import run as run_command

pytest.importorskip("duckdb", reason="needs oido[archive]")

EXAMPLES = Path(__file__).parents[2] / "examples"


@pytest.fixture(scope="module")
def heard(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A results folder of the real engine, with embeddings."""
    return heard_archive(tmp_path_factory.mktemp("archive"))


def run(*words: str | Path) -> int:
    return run_command(find, *map(str, words))


def test_a_table_for_reading(heard: Path, capsys: pytest.CaptureFixture[str]) -> None:
    alarm = heard.parent / "recordings" / "north" / "20231015_120000.flac"
    assert run(heard, "--like", f"{alarm}@2-4", "--count", "3") == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[0].split() == ["file", "start_time", "end_time", "similarity", "start_at"]
    assert len(lines) == 4
    assert (heard / SEARCH_INDEX / "index.json").is_file()


def test_an_event_is_an_example(heard: Path, capsys: pytest.CaptureFixture[str]) -> None:
    alarm = heard.parent / "recordings" / "north" / "20231015_120000.flac"
    assert run(heard, "--like-event", f"{alarm}@3", "--count", "2") == 0
    assert len(capsys.readouterr().out.splitlines()) == 3


def test_words_are_taken_for_a_label_and_it_is_said(
    heard: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    pytest.importorskip("wordllama", reason="needs oido[words]")
    assert run(heard, "--text", "people speaking", "--count", "3") == 0
    assert "people speaking: no label here; taken for Speech" in capsys.readouterr().err
    with in_language("es"):
        assert run(heard, "--text", "people speaking", "--count", "3") == 0
        assert "people speaking: aquí no es una etiqueta; se toma por Habla" in (
            capsys.readouterr().err
        )
    assert run(heard, "--text", "speech", "--count", "3") == 0
    assert "taken for" not in capsys.readouterr().err


def test_files_and_clips_of_them(
    heard: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    words = (heard, "--text", "Speech", "--count", "4", "--index", tmp_path / "index")
    hits = tmp_path / "hits.csv"
    assert run(*words, "-o", hits) == 0
    assert f"4 hits in {hits}" in capsys.readouterr().err
    rows = list(csv.DictReader(hits.open(newline="")))
    assert rows[0]["file"].endswith("20231015_063000.flac")
    assert rows[0]["start_at"].startswith("2023-10-15T06:30:")
    assert run(*words, "--format", "jsonl") == 0
    first = json.loads(capsys.readouterr().out.splitlines()[0])
    assert f"{first['start_time']:.3f}" == f"{float(rows[0]['start_time']):.3f}"
    out = tmp_path / "clips"
    assert (
        run_command(clips, str(heard), "--from", str(hits), "--label", "talk", "-o", str(out)) == 0
    )
    assert "4 clips and clips.csv in" in capsys.readouterr().err
    assert len(list(out.glob("*.flac"))) == 4


def test_what_is_missing_is_said(heard: Path, tmp_path: Path) -> None:
    with pytest.raises(OptionError, match=r"--like clip\.wav"):
        run(heard)
    with pytest.raises(OptionError, match="the name does not tell the format"):
        run(heard, "--text", "Speech", "-o", tmp_path / "x.doc")
    with pytest.raises(OptionError, match="is not a results folder"):
        run(tmp_path, "--text", "Speech")


@pytest.mark.parametrize(
    "words",
    [
        ("find", "--like", "a.wav"),
        ("clips", "--label", "Owl", "-o", "owls"),
        ("count", "--label", "Owl", "--reviewed", "clips.csv"),
    ],
    ids=lambda words: str(words[0]),
)
def test_without_the_extra_it_is_one_sentence(words: tuple[str, ...], heard: Path) -> None:
    code = (
        "import sys; sys.modules.update(pyarrow=None, duckdb=None); "
        "from oido.cli.main import run; sys.exit(run(sys.argv[1:]))"
    )
    command = [sys.executable, "-c", code, words[0], str(heard), *words[1:]]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 1
    assert "pip install 'oido[archive]'" in done.stderr
    assert "internal error" not in done.stderr


def test_a_model_of_ones_own_is_named_by_its_file(
    classifier: AudioClassifier, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    model, out = tmp_path / "own.tflite", tmp_path / "out"
    base = classifier.model
    content = base.path.read_bytes()
    model.write_bytes(annotate(content, base.heads, sample_rate_hz=16_000, name="my own"))
    shutil.copy(EXAMPLES / "street.flac", tmp_path / "street.flac")
    order = (str(tmp_path / "street.flac"), "-o", str(out), "-q", "--hop", "window")
    assert run_command(batch, *order, "--embeddings-of", str(model)) == 0
    shutil.copy(EXAMPLES / "alarm.flac", tmp_path / "like.flac")
    like = ("--like", str(tmp_path / "like.flac"), "--count", "2")
    capsys.readouterr()

    with pytest.raises(OptionError, match="the model my own: say --model and its file"):
        run(out, *like)
    assert run(out, *like, "--model", model, "--format", "csv") == 0

    rows = capsys.readouterr().out.splitlines()
    assert len(rows) == 3
    start = float(rows[1].split(",")[2])
    assert start % 0.48 == pytest.approx(0, abs=1e-6)  # in the other model's windows
    with pytest.raises(OptionError, match="are of another my own than the one here"):
        run(out, *like, "--model", base.path)
