# SPDX-License-Identifier: Apache-2.0
"""A head on both networks in one file: exact, loaded by others as any file, and it says when."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import soundfile
from ai_edge_litert.interpreter import Interpreter

import oido
from oido.errors import OptionError
from oido.inference.predictor import Predictor, framewise_columns
from oido.models.loading import load_model
from oido.models.model import WholeNetwork
from oido.training.train import TrainingResult, train
from tests.models.test_joint import evidence_of, pair_of, sounds
from tests.signal.decode.wav_bytes import wav
from tests.training.taught_sounds import KINDS, RATE_HZ, make_sounds

Taught = tuple[TrainingResult, Path]


@pytest.fixture(scope="module")
def taught(tmp_path_factory: pytest.TempPathFactory, mn04_is_here: None) -> Taught:
    folder = tmp_path_factory.mktemp("both")
    data = oido.Dataset.load(make_sounds(folder / "sounds", each=4))
    result = train(data, model=load_model("ensemble", precision="float32"), cache=False)
    parity = result.export(folder / "both.tflite")
    assert parity.largest_difference < 1e-4
    assert parity.size_bytes < 21e6  # YAMNet in float32; quantised it is a third of that
    return result, folder / "both.tflite"


def test_the_file_says_what_the_head_says_of_both_embeddings(taught: Taught) -> None:
    result, path = taught
    interpreter = Interpreter(model_path=str(path), num_threads=1)
    interpreter.allocate_tensors()
    [entry] = interpreter.get_input_details()
    assert tuple(entry["shape"]) == (307_200,)
    outputs = {each["name"]: each for each in interpreter.get_output_details()}
    assert list(outputs) == ["scores", "framewise_scores", "similarity", "embedding"]
    both = pair_of(load_model("ensemble", precision="float32"))
    for waveform in sounds().values():
        interpreter.set_tensor(entry["index"], waveform)
        interpreter.invoke()
        found = interpreter.get_tensor(outputs["scores"]["index"])
        expected = result.head.scores(evidence_of(both, waveform))
        np.testing.assert_allclose(found, expected, atol=5e-3)


def test_others_meet_one_input_and_two_axes(taught: Taught) -> None:
    """MediaPipe takes scores of [1, n] alone, each with a list of its labels."""
    _, path = taught
    interpreter = Interpreter(model_path=str(path), num_threads=1)
    shapes = {each["name"]: tuple(each["shape"]) for each in interpreter.get_output_details()}
    assert shapes["scores"] == (1, 3)
    assert shapes["framewise_scores"] == (1, 30 * 3)
    assert all(len(shape) == 2 and shape[0] == 1 for shape in shapes.values())


def test_it_is_loaded_as_a_model_that_says_when(taught: Taught) -> None:
    _, path = taught
    model = load_model(path)
    assert isinstance(model.network, WholeNetwork)
    assert framewise_columns(model) == 30
    assert [head.name for head in model.heads] == ["scores"]
    assert model.labels == KINDS
    assert model.least_similarity is not None


def scene_of_hiss_and_beep(folder: Path) -> Path:
    """24 s, near silence but for hiss from 2 s and beeps from 13 s on, four seconds of each."""
    dice = np.random.default_rng(4)
    scene = dice.normal(0, 0.001, 24 * RATE_HZ)
    others = make_sounds(folder / "others", each=2, seed=9)
    for label, start in (("hiss", 2), ("beep", 13)):
        pair = [soundfile.read(others / label / f"{label}-{n}.wav")[0] for n in range(2)]
        scene[start * RATE_HZ :][: 4 * RATE_HZ] += np.concatenate(pair)
    (folder / "scene.wav").write_bytes(wav(scene, RATE_HZ))
    return folder / "scene.wav"


def test_a_known_sound_at_the_end_of_a_window_is_no_unknown_event(
    taught: Taught, tmp_path: Path
) -> None:
    """The window before, of which it is a small part, and the next one know it less."""
    result = oido.AudioClassifier(taught[1], jobs=1).classify(scene_of_hiss_and_beep(tmp_path))
    events = result.events(unknown=True)
    assert [event.label for event in events] == ["hiss", "beep"]
    assert [event.start_time for event in events] == pytest.approx([2.0, 13.0], abs=0.1)
    assert [event.end_time for event in events] == pytest.approx([6.0, 17.0], abs=0.2)


def test_events_lie_where_the_sounds_are(taught: Taught, tmp_path: Path) -> None:
    path = tmp_path / "scores.tflite"
    taught[0].export(path, unknown=False)
    result = oido.AudioClassifier(path, jobs=1).classify(scene_of_hiss_and_beep(tmp_path))
    assert result.scores.shape == (4, 3)
    assert result.framewise_scores.shape == (150, 3)  # of 0.16 s
    assert np.diff(result.frame_times, axis=1).max() == pytest.approx(0.16)
    for label, start, end in (("hiss", 2.0, 6.0), ("beep", 13.0, 17.0)):
        column = result.framewise_scores[:, KINDS.index(label)]
        middles = result.frame_times.mean(axis=1)
        inside = column[(middles > start + 0.5) & (middles < end - 0.5)]
        outside = column[(middles < start - 1) | (middles > end + 1)]
        assert np.median(inside) > 0.5 > np.median(outside)
        found = [event for event in result.events() if event.label == label]
        covered = sum(max(0.0, min(e.end_time, end) - max(e.start_time, start)) for e in found)
        assert covered > 0.8 * (end - start)


def test_a_known_sound_in_a_part_of_a_window_makes_it_no_stranger(taught: Taught) -> None:
    result, path = taught
    both = pair_of(load_model("ensemble", precision="float32"))
    predictor = Predictor.of(load_model(path))
    time = np.arange(307_200) / 32_000
    beep = 0.4 * np.sin(2 * np.pi * 1_100 * time) * (np.sin(2 * np.pi * 5 * time) > 0)
    hiss = np.random.default_rng(1).normal(0, 0.1, len(time))
    halves = np.where(time < 4.8, beep, hiss).astype(np.float32)
    [found] = predictor.predict(halves, 153_600).scores[:, -1]
    [of_window] = result.novelty.similarities(evidence_of(both, halves))
    assert found > of_window + 0.1
    for waveform in sounds().values():
        [found] = predictor.predict(waveform, 153_600).scores[:, -1]
        [of_window] = result.novelty.similarities(evidence_of(both, waveform))
        assert found > of_window - 0.02


@pytest.mark.slow
def test_as_onnx_it_says_the_same(taught: Taught, tmp_path: Path) -> None:
    pytest.importorskip("onnx", reason="needs oido[onnx]")
    session = pytest.importorskip("onnxruntime", reason="needs oido[onnx]").InferenceSession
    parity = taught[0].export(tmp_path / "both.onnx")
    assert parity.largest_difference < 1e-3
    runtime = session(tmp_path / "both.onnx", providers=["CPUExecutionProvider"])
    [entry] = runtime.get_inputs()
    names = [each.name for each in runtime.get_outputs()]
    predictor = Predictor.of(load_model(taught[1]))
    for waveform in sounds().values():
        found = dict(zip(names, runtime.run(None, {entry.name: waveform})))
        expected = predictor.predict(waveform, 153_600)
        np.testing.assert_allclose(found["scores"][0], expected.scores[0, :-1], atol=1e-3)


def test_the_networks_own_scores_are_not_in_it(taught: Taught, tmp_path: Path) -> None:
    result, _ = taught
    with pytest.raises(OptionError, match="leave the base's out"):
        result.export(tmp_path / "kept.tflite", keep_base=True)
    assert not list(tmp_path.iterdir())


def test_a_calibration_of_its_own_keeps_the_parts(taught: Taught, tmp_path: Path) -> None:
    from oido.models.tflite.metadata_writer import with_heads

    _, path = taught
    content = with_heads(load_model(path))
    assert content is not None
    (tmp_path / "again.tflite").write_bytes(content)
    assert framewise_columns(load_model(tmp_path / "again.tflite")) == 30
