# SPDX-License-Identifier: Apache-2.0
"""``oido models``: list, fetch, look into, annotate and verify."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from oido.cli.main import run
from oido.models import fetch
from oido.models.loading import load_model
from oido.models.registry import DEFAULT_MODEL, card
from oido.models.tflite.builder import GraphWriter


def test_models_list_info_verify(capsys: pytest.CaptureFixture[str]) -> None:
    path = fetch.fetch(card(DEFAULT_MODEL))
    assert run(["models", "list"]) == 0
    assert DEFAULT_MODEL in capsys.readouterr().out
    assert run(["models", "info", DEFAULT_MODEL]) == 0
    text = capsys.readouterr().out
    for fact in ("16000 Hz", "15600 samples", "521", "Apache-2.0", "not probabilities"):
        assert fact in text
    assert run(["models", "info", str(path), "--labels"]) == 0
    labels = capsys.readouterr().out.splitlines()
    assert len(labels) == 521
    assert (labels[0], labels[494]) == ("Speech", "Silence")
    assert run(["models", "verify"]) == 0


def test_models_fetch_from_a_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    path = fetch.fetch(card(DEFAULT_MODEL))
    monkeypatch.setenv("OIDO_CACHE", str(tmp_path / "cache"))
    assert run(["models", "fetch", DEFAULT_MODEL, "--from-file", str(path)]) == 0
    installed = Path(capsys.readouterr().out.strip())
    assert installed.is_relative_to(tmp_path)
    assert installed.read_bytes() == path.read_bytes()
    wrong = tmp_path / "wrong.tflite"
    wrong.write_bytes(b"x" * 4_126_810)
    assert run(["models", "fetch", "--from-file", str(wrong)]) == 1
    assert "SHA-256" in capsys.readouterr().err


def graph_of(size: int) -> bytes:
    """A graph of so many scores that brings no metadata."""
    writer = GraphWriter("scores")
    x = writer.input("waveform", (1, 400))
    weights = np.random.default_rng(size).normal(0, 0.1, (size, 400)).astype(np.float32)
    scores = writer.sigmoid(writer.dense(x, weights, np.zeros(size, np.float32)))
    return writer.finish([scores])


@pytest.fixture
def bare(tmp_path: Path) -> Path:
    """A .tflite of three scores without metadata, beside a file of its labels."""
    (tmp_path / "birds.tflite").write_bytes(graph_of(3))
    (tmp_path / "labels.txt").write_text("owl\nwren\nzorzal común\n", encoding="utf-8-sig")
    return tmp_path / "birds.tflite"


def annotate(bare: Path, *more: str) -> int:
    labels = str(bare.with_name("labels.txt"))
    command = ["models", "annotate", str(bare), "--labels", labels, "--sample-rate", "16000"]
    return run([*command, *more])


def test_annotated_in_place_the_original_is_kept(
    bare: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    before = bare.read_bytes()
    assert annotate(bare, "--author", "me") == 0
    assert capsys.readouterr().out == f"{bare}\n"
    assert bare.with_name("birds.tflite.orig").read_bytes() == before
    model = load_model(bare)
    assert model.labels == ("owl", "wren", "zorzal común")
    assert (model.name, model.attribution, model.windows.sample_rate_hz) == ("birds", "me", 16_000)
    assert annotate(bare) == 0
    assert bare.with_name("birds.tflite.orig").read_bytes() == before, "kept once and for all"


def test_annotated_into_another_file_nothing_else_changes(bare: Path, tmp_path: Path) -> None:
    before = bare.read_bytes()
    assert annotate(bare, "-o", str(tmp_path / "new.tflite"), "--name", "my birds") == 0
    assert bare.read_bytes() == before
    assert load_model(tmp_path / "new.tflite").name == "my birds"
    assert not list(tmp_path.glob("*.orig*"))


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16", "utf-16-le", "cp1252"])
def test_labels_as_programs_on_windows_write_them(bare: Path, encoding: str) -> None:
    labels = "owl \r\n\r\nwren\r\nzorzal común\r\n\r\n"
    bare.with_name("labels.txt").write_bytes(labels.encode(encoding))
    assert annotate(bare) == 0
    assert load_model(bare).labels == ("owl", "wren", "zorzal común")


@pytest.mark.parametrize(
    ("labels", "told"),
    [(b"owl\nwren\n", "3 scores, but 2 labels"), (None, "labels.txt: cannot be read")],
)
def test_labels_that_do_not_fit_are_one_sentence(
    bare: Path, capsys: pytest.CaptureFixture[str], labels: bytes | None, told: str
) -> None:
    before, file = bare.read_bytes(), bare.with_name("labels.txt")
    file.unlink()
    if labels is not None:
        file.write_bytes(labels)
    assert annotate(bare) in (1, 2)
    errors = capsys.readouterr().err
    assert told in errors
    assert "internal error" not in errors
    assert len(errors.splitlines()) == 1
    assert bare.read_bytes() == before
    assert not list(bare.parent.glob("*.orig*"))


def test_what_is_in_a_file_of_ones_own(bare: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["models", "info", str(bare)]) == 1
    assert "it has no metadata" in capsys.readouterr().err
    annotate(bare)
    capsys.readouterr()
    assert run(["models", "info", str(bare)]) == 0
    text = capsys.readouterr().out
    assert "labels:     3 (owl, wren, zorzal común)" in text
    assert "inside the model; it is run as it is" in text
    assert run(["models", "info", str(bare), "--labels"]) == 0
    assert capsys.readouterr().out.splitlines() == ["owl", "wren", "zorzal común"]


def test_the_ensemble_is_two_files(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    assert run(["models", "fetch", "ensemble", "--from-file", str(tmp_path)]) == 2
    assert "is two files; fetch each" in capsys.readouterr().err
