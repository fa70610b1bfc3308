# SPDX-License-Identifier: Apache-2.0
"""``oido models``: list, fetch, look into, annotate and verify."""

from __future__ import annotations

import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from oido.cli.main import run
from oido.models import fetch
from oido.models.loading import load_model
from oido.models.networks.student import network
from oido.models.registry import CATALOG, DEFAULT_MODEL, UrlSource, card
from oido.models.tflite.builder import GraphWriter
from oido.params import FixedPointParams
from tests.models.networks.test_student import weights_of


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
    installed.unlink()
    assert run(["models", "fetch", "--from-file", str(path)]) == 0  # its hash says which it is
    assert Path(capsys.readouterr().out.strip()) == installed
    assert run(["models", "fetch", "yamnet", "--from-file", str(path)]) == 1
    assert "it is yamnet/classification" in capsys.readouterr().err
    assert run(["models", "fetch", "--from-file", str(tmp_path / "none.tflite")]) == 1
    assert "none.tflite: cannot be read" in capsys.readouterr().err
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


def test_what_oido_could_not_use_is_not_written(
    bare: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    content = network(weights_of(3), FixedPointParams(), "sigmoid")  # of features, says nobody
    bare.write_bytes(content)
    files = sorted(bare.parent.iterdir())
    assert annotate(bare) == 1
    assert f"{bare} is not written, because oido could not use it" in capsys.readouterr().err
    assert bare.read_bytes() == content
    assert annotate(bare, "-o", str(bare.with_name("new.tflite"))) == 1
    assert sorted(bare.parent.iterdir()) == files


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


def test_the_list_is_a_table_in_which_the_yamnets_differ(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    path = fetch.fetch(card(DEFAULT_MODEL))
    monkeypatch.setenv("OIDO_CACHE", str(tmp_path / "empty"))
    monkeypatch.setenv("OIDO_MODEL_PATH", "")
    assert run(["models", "list"]) == 0
    head, *rows = capsys.readouterr().out.splitlines()
    columns = [head.index(name) for name in ("name", "what", "licence", "where it is")]
    cells = [[row[a:b].strip() for a, b in zip(columns, [*columns[1:], None])] for row in rows]
    by_name = {name: rest for name, *rest in cells}
    assert list(by_name) == [
        DEFAULT_MODEL,
        "yamnet",
        "efficientat/mn04",
        "efficientat/mn10",
        "efficientat/dymn04",
        "ced/tiny",
        "ced/mini",
        "efficientsed/fmn04",
        "efficientsed/fmn10",
        "birdnet/2.4",
        "ensemble",
    ]
    assert by_name["ced/mini"][2] == "not here yet: oido models fetch ced/mini --from-file FILE"
    assert "int8" in by_name[DEFAULT_MODEL][0]
    assert "float32" in by_name["yamnet"][0]
    assert by_name["yamnet"][2] == "not here yet: oido models fetch yamnet"
    assert run(["models", "fetch", "--from-file", str(path)]) == 0
    assert capsys.readouterr().out.strip() == str(fetch.cache_path(card(DEFAULT_MODEL)))
    assert run(["models", "list"]) == 0
    assert str(tmp_path / "empty") in capsys.readouterr().out.splitlines()[1]


@pytest.mark.parametrize("verbose", [False, True])
def test_a_fetch_says_what_comes_and_only_on_request_from_where(
    verbose: bool,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    path = fetch.fetch(card(DEFAULT_MODEL))
    entry = replace(card(DEFAULT_MODEL), sources=(UrlSource(path.as_uri()),))
    catalog = (entry, *CATALOG[1:])
    monkeypatch.setattr("oido.models.registry.CATALOG", catalog)
    monkeypatch.setattr(fetch, "CATALOG", catalog)
    monkeypatch.setenv("OIDO_CACHE", str(tmp_path / "cache"))
    monkeypatch.setenv("OIDO_MODEL_PATH", "")
    street = Path(__file__).parents[2] / "examples" / "alarm.flac"
    assert run(["classify", str(street), *(["-v"] if verbose else [])]) == 0
    said = capsys.readouterr().err
    assert (
        "fetching yamnet/classification (YAMNet quantised to int8: small and fast, the default): "
        "4.1 MB, licence Apache-2.0, checked against the published SHA-256\n" in said
    )
    assert (path.as_uri() in said) is verbose


def test_where_a_model_cannot_be_fetched_those_that_are_here_are_offered(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    pytest.importorskip("h5py")
    gone = UrlSource((tmp_path / "gone.h5").as_uri())
    catalog = tuple(replace(c, sources=(gone,)) if c.name == "yamnet" else c for c in CATALOG)
    monkeypatch.setattr("oido.models.registry.CATALOG", catalog)
    monkeypatch.setattr(fetch, "CATALOG", catalog)
    monkeypatch.setattr(fetch, "find", lambda c: Path("x") if c.name == DEFAULT_MODEL else None)
    assert run(["models", "info", "yamnet"]) == 1
    said = capsys.readouterr().err
    assert "yamnet could not be fetched" in said
    assert "Here already, and to be had by --model: yamnet/classification (YAMNet quant" in said


def test_a_file_that_nothing_here_can_read_is_not_fetched(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setitem(sys.modules, "h5py", None)
    assert run(["models", "info", "yamnet"]) == 1
    said = capsys.readouterr().err
    assert "oido[h5]" in said
    assert "fetching" not in said
    assert len(said.splitlines()) == 1
    assert "\\n" not in said


@pytest.mark.parametrize(
    ("made", "model", "said"),
    [
        ("hub/saved_model.pb", "hub", "a TensorFlow SavedModel folder, which oido does not read"),
        ("hub/saved_model.pb", "hub/saved_model.pb", "part of a TensorFlow SavedModel"),
        ("web/model.json", "web", "a TensorFlow.js model"),
        ("web/model.json", "web/model.json", "a TensorFlow.js model"),
        ("web/group1-shard1of1.bin", "web/group1-shard1of1.bin", "weights of a TensorFlow.js"),
        ("YAMNET.ONNX", "YAMNET.ONNX", "an ONNX model, which oido does not read; take"),
        ("yamnet.keras", "yamnet.keras", "a whole Keras model, which"),
        ("yamnet.tar.gz", "yamnet.tar.gz", "an archive; unpack it"),
        ("both/saved_model.pb|both/yamnet.tflite", "both", "take a file in it, such as"),
        ("nothing/readme", "nothing", "no such model file: it is a folder"),
    ],
)
def test_models_of_other_programs_are_one_sentence_that_says_what_to_take(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], made: str, model: str, said: str
) -> None:
    for name in made.split("|"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_bytes(b"something")
    assert run(["models", "info", str(tmp_path / model)]) == 1
    errors = capsys.readouterr().err
    assert said in errors
    assert len(errors.splitlines()) == 1
    if "archive" not in said and "such as" not in said:
        assert "yamnet.h5 (oido models fetch yamnet)" in errors
