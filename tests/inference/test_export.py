# SPDX-License-Identifier: Apache-2.0
"""Exported files say what oido says, and what other programs need to know is in them."""

from __future__ import annotations

import json
import os
from pathlib import Path

import numpy as np
import pytest

import oido
from oido.heads import Head
from oido.inference.export import check_windows, export
from oido.inference.predictor import Predictor
from oido.models.loading import ensemble, load_model
from oido.models.model import AudioModel, LogMelNetwork, WholeNetwork
from oido.models.tflite.builder import GraphWriter
from oido.models.tflite.framewise import FramewiseWriter
from oido.models.tflite.metadata_writer import annotate
from oido.runtime.litert import WholeRuntime

ROOT = Path(__file__).parents[2]
STREET = ROOT / "examples" / "street.flac"
MODELS = Path(os.environ.get("OIDO_TEST_MODELS", ROOT.parent / "shared" / "models"))


@pytest.fixture(scope="module")
def mn04() -> Path:
    path = MODELS / "mn04_as_mAP_432.pt"
    if not path.exists():
        pytest.skip(f"{path.name} is not here; OIDO_TEST_MODELS names its folder")
    return path


@pytest.fixture(scope="module")
def real_windows(classifier: oido.AudioClassifier) -> np.ndarray:
    waveform = classifier.stream(STREET).waveform()
    return np.stack([waveform[k * 7_680 : k * 7_680 + 15_600] for k in range(0, 60, 6)])


def test_the_quantised_yamnet_stays_what_it_is_and_shows_its_embedding(
    model: AudioModel, real_windows: np.ndarray, tmp_path: Path
) -> None:
    report = export(model, tmp_path / "y.tflite", embedding=True)
    assert report.outputs == (("scores", 521), ("embedding", 1024))
    assert (report.format, report.precision, report.largest_difference) == ("tflite", "int8", 0)
    runtime = WholeRuntime((tmp_path / "y.tflite").read_bytes(), (0,), 1)
    outputs = runtime.run(real_windows)
    assert (outputs.scores == WholeRuntime(model.path.read_bytes()).run(real_windows).scores).all()
    expected = [Predictor.of(model).predict(window, 7_680).embeddings[0] for window in real_windows]
    assert (outputs.embeddings == expected).all()


def test_the_model_s_own_file_is_kept_where_it_is_replaced(
    model: AudioModel, tmp_path: Path
) -> None:
    own = tmp_path / "own.tflite"
    export(model, own)
    before = own.read_bytes()
    export(own, own, embedding=True)
    assert own.read_bytes() != before
    assert (tmp_path / "own.tflite.orig").read_bytes() == before
    export(own, tmp_path / "other.tflite")
    assert len(list(tmp_path.glob("*.orig*"))) == 1


def test_float_activations_in_a_file(real_windows: np.ndarray, tmp_path: Path) -> None:
    loaded = load_model("yamnet/classification", precision="float32")
    report = export(loaded, tmp_path / "y.tflite")
    assert (report.precision, report.outputs) == ("float32", (("scores", 521),))
    scores = WholeRuntime((tmp_path / "y.tflite").read_bytes()).run(real_windows).scores
    expected = [Predictor.of(loaded).predict(window, 7_680).scores[0] for window in real_windows]
    np.testing.assert_allclose(scores, expected, atol=1e-6)


@pytest.mark.parametrize("precision", ["int8", "float32"])
def test_an_export_is_a_model_like_any_other(precision: str, tmp_path: Path) -> None:
    path = tmp_path / "y.tflite"
    original = load_model("yamnet/classification", precision=precision)  # type: ignore[arg-type]
    export(original, path, embedding=True)
    again = oido.AudioClassifier(path, jobs=1)
    assert isinstance(again.model.network, LogMelNetwork)  # cut, and so as quick as the original
    assert again.model.precision == precision
    assert (again.labels, again.model.licence) == (original.labels, original.licence)
    first, second = oido.AudioClassifier(original, jobs=1).classify(STREET), again.classify(STREET)
    np.testing.assert_allclose(second.scores, first.scores, atol=1e-6)
    np.testing.assert_allclose(second.embeddings, first.embeddings, atol=1e-5)


def test_an_export_of_an_export_is_the_same_file(model: AudioModel, tmp_path: Path) -> None:
    one, two = tmp_path / "one.tflite", tmp_path / "two.tflite"
    export(model, one)
    export(one, two)
    export(model, tmp_path / "again.tflite")
    assert one.read_bytes() == (tmp_path / "again.tflite").read_bytes()
    first, second = (oido.AudioClassifier(p, jobs=1).classify(STREET).scores for p in (one, two))
    assert (first == second).all()


def test_mn04_with_its_front_end_inside(mn04: Path, tmp_path: Path) -> None:
    path = tmp_path / "mn.tflite"
    report = export(mn04, path, embedding=True, window=2.0)
    assert (report.sample_rate_hz, report.window_samples) == (32_000, 64_000)
    assert report.outputs == (("scores", 527), ("embedding", 384))
    assert report.largest_difference < 1e-4
    exported = oido.AudioClassifier(path, jobs=1)
    assert isinstance(exported.model.network, WholeNetwork)
    loaded = load_model(mn04, window_seconds=2.0)
    first = oido.AudioClassifier(loaded, jobs=1).classify(STREET)
    second = exported.classify(STREET)
    np.testing.assert_allclose(second.scores, first.scores, atol=1e-4)
    np.testing.assert_allclose(second.embeddings, first.embeddings, atol=1e-3)


def test_the_original_float_tflite_brings_no_metadata_and_is_known_by_its_graph(
    tmp_path: Path,
) -> None:
    """The published file cannot be part of a test: ours, without its metadata, stands for it."""
    from oido.models.tflite.front_end import whole_graph

    floats = load_model("yamnet/classification", precision="float32")
    graph = whole_graph(floats, floats.path.read_bytes())
    path = tmp_path / "yamnet-float.tflite"
    path.write_bytes(graph.writer.finish([graph.scores[0], graph.embedding]))
    original = oido.AudioClassifier(path, jobs=1)
    assert original.labels == floats.labels
    assert original.model.precision == "float32"
    np.testing.assert_allclose(
        original.classify(STREET).scores,
        oido.AudioClassifier(floats, jobs=1).classify(STREET).scores,
        atol=1e-4,  # the published window and the one inside the int8 file differ by 2.4e-7
    )


@pytest.mark.parametrize("precision", ["int8", "float32"])
def test_onnx_says_the_same(precision: str, real_windows: np.ndarray, tmp_path: Path) -> None:
    pytest.importorskip("onnx")
    onnxruntime = pytest.importorskip("onnxruntime")
    loaded = load_model("yamnet/classification", precision=precision)  # type: ignore[arg-type]
    report = export(loaded, tmp_path / "y.onnx", embedding=True)
    session = onnxruntime.InferenceSession(tmp_path / "y.onnx", providers=["CPUExecutionProvider"])
    (entry,) = session.get_inputs()
    assert entry.shape == [15_600]
    labels = session.get_modelmeta().custom_metadata_map["labels:scores"]
    assert tuple(json.loads(labels)) == loaded.labels
    ear = Predictor.of(loaded)
    for window in real_windows:
        scores, embedding = session.run(["scores", "embedding"], {entry.name: window})
        expected = ear.predict(window, 7_680)
        # int8: a rounding that falls otherwise moves scores by several steps of 1/256.
        tolerance = 1e-4 if precision == "float32" else 0.1
        np.testing.assert_allclose(scores, expected.scores, atol=tolerance)
        assert embedding.shape == (1, 1024)
    assert 0 < report.largest_difference < 0.15


def test_mn04_in_onnx(mn04: Path, tmp_path: Path) -> None:
    pytest.importorskip("onnxruntime")
    report = export(mn04, tmp_path / "mn.onnx", window=1.0)
    assert 0 < report.largest_difference < 1e-3


def framewise_of(loaded: AudioModel, windows: np.ndarray) -> np.ndarray:
    predictor = Predictor.of(loaded, framewise=True)
    columns = [predictor.predict(window, 7_680).framewise for window in windows]
    return np.concatenate([c for c in columns if c is not None])


@pytest.mark.parametrize("precision", ["int8", "float32"])
def test_framewise_scores_are_one_more_output(
    precision: str, real_windows: np.ndarray, tmp_path: Path
) -> None:
    from ai_edge_litert.interpreter import Interpreter

    path = tmp_path / "y.tflite"
    loaded = load_model("yamnet/classification", precision=precision)  # type: ignore[arg-type]
    report = export(loaded, path, framewise=True)
    assert report.outputs == (("scores", 521), ("framewise_scores", 521))
    assert report.shapes == ((1, 521), (1, 3, 521))
    assert report.largest_difference <= (0 if precision == "int8" else 1e-4)
    interpreter = Interpreter(model_path=str(path))
    interpreter.allocate_tensors()
    entry = interpreter.get_input_details()[0]["index"]
    _, framewise = interpreter.get_output_details()
    assert framewise["dtype"] is np.float32
    expected = framewise_of(loaded, real_windows)
    assert np.ptp(expected, axis=1).max() > 0.2  # the columns differ
    for window, columns in zip(real_windows, expected):
        interpreter.set_tensor(entry, window)
        interpreter.invoke()
        found = interpreter.get_tensor(framewise["index"])
        np.testing.assert_allclose(found, columns[None], atol=1e-6)


@pytest.mark.parametrize("precision", ["int8", "float32"])
def test_a_file_with_framewise_scores_is_loaded_as_the_model_that_it_was(
    precision: str, tmp_path: Path
) -> None:
    path, again = tmp_path / "y.tflite", tmp_path / "again.tflite"
    original = load_model("yamnet/classification", precision=precision)  # type: ignore[arg-type]
    export(original, path, embedding=True, framewise=True)
    loaded = oido.AudioClassifier(path, jobs=1)
    assert isinstance(loaded.model.network, LogMelNetwork)
    assert [head.name for head in loaded.model.heads] == ["scores"]
    first, second = oido.AudioClassifier(original, jobs=1).classify(STREET), loaded.classify(STREET)
    np.testing.assert_allclose(second.scores, first.scores, atol=1e-6)
    np.testing.assert_allclose(second.framewise_scores, first.framewise_scores, atol=1e-6)
    report = export(path, again, framewise=True)
    assert report.outputs == (("scores", 521), ("framewise_scores", 521))
    assert export(path, again).outputs == (("scores", 521),)


def test_framewise_scores_in_onnx(real_windows: np.ndarray, tmp_path: Path) -> None:
    pytest.importorskip("onnx")
    onnxruntime = pytest.importorskip("onnxruntime")
    loaded = load_model("yamnet/classification", precision="float32")
    report = export(loaded, tmp_path / "y.onnx", framewise=True)
    assert 0 < report.largest_difference < 1e-3
    session = onnxruntime.InferenceSession(tmp_path / "y.onnx", providers=["CPUExecutionProvider"])
    entry = session.get_inputs()[0].name
    for window, columns in zip(real_windows, framewise_of(loaded, real_windows)):
        (found,) = session.run(["framewise_scores"], {entry: window})
        np.testing.assert_allclose(found, columns[None], atol=1e-4)


def test_wrong_framewise_scores_are_not_written(
    model: AudioModel, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    right = FramewiseWriter.side_by_side

    def halved(writer: FramewiseWriter, rows: int) -> int:
        half = writer.constant(np.array([0.5], np.float32))
        return writer.multiply(right(writer, rows), half)  # type: ignore[no-any-return]

    monkeypatch.setattr(FramewiseWriter, "side_by_side", halved)
    with pytest.raises(oido.ModelFormatError, match="other scores than it should"):
        export(model, tmp_path / "y.tflite", framewise=True)
    assert list(tmp_path.iterdir()) == []


def whole_model(folder: Path) -> AudioModel:
    """A classifier of two sounds that is known as a whole only."""
    writer = GraphWriter("two sounds")
    waveform = writer.input("waveform", (1, 16_000))
    weights = np.full((2, 16_000), 1e-4, np.float32)
    scores = writer.sigmoid(writer.dense(waveform, weights, np.zeros(2, np.float32)))
    path = folder / "two.tflite"
    head = Head("scores", ("calm", "loud"))
    path.write_bytes(annotate(writer.finish([scores]), [head], sample_rate_hz=16_000, name="two"))
    return load_model(path)


def test_a_model_without_framewise_scores_is_refused_before_anything_is_written(
    model: AudioModel, tmp_path: Path
) -> None:
    (tmp_path / "models").mkdir()
    (tmp_path / "out").mkdir()
    two, both = whole_model(tmp_path / "models"), ensemble(model, model)
    for ending in ("tflite", "onnx"):
        path = tmp_path / "out" / f"y.{ending}"
        with pytest.raises(oido.OptionError, match="two gives scores of whole windows only"):
            export(two, path, framewise=True)
        with pytest.raises(oido.OptionError, match="ensemble is two networks; export one of them"):
            export(both, path, framewise=True)
    assert list((tmp_path / "out").iterdir()) == []


def test_mn04_has_no_framewise_scores(mn04: Path, tmp_path: Path) -> None:
    with pytest.raises(oido.OptionError, match="gives scores of whole windows only"):
        export(mn04, tmp_path / "mn.tflite", framewise=True)
    assert list(tmp_path.iterdir()) == []


def test_check_windows_are_of_many_kinds() -> None:
    windows = check_windows(15_600)
    assert windows.dtype == np.float32
    assert len(windows) == 8
    assert np.abs(windows).max() <= 1.0
    assert len({round(float(np.square(w).mean()), 6) for w in windows}) >= 6


def test_a_wrong_wish_is_one_sentence_and_no_file(model: AudioModel, tmp_path: Path) -> None:
    for path, options, sentence in (
        ("y.bin", {}, "ending says no format"),
        ("y.tflite", {"window": 2.0}, "cannot be chosen"),
        ("y.tflite", {"precision": "int4"}, "cannot be run with int4"),
    ):
        with pytest.raises(oido.OptionError, match=sentence):
            export("yamnet/classification", tmp_path / path, **options)  # type: ignore[arg-type]
    with pytest.raises(oido.OptionError, match="when a model is loaded"):
        export(model, tmp_path / "y.tflite", window=1.0)
    assert list(tmp_path.iterdir()) == []


def test_a_full_disk_leaves_nothing(model: AudioModel, tmp_path: Path) -> None:
    (tmp_path / "taken").write_text("a file, not a folder")
    with pytest.raises(oido.OutputError, match="cannot be written"):
        export(model, tmp_path / "taken" / "y.tflite")
