# SPDX-License-Identifier: Apache-2.0
"""Published PyTorch weights as models: files of their layout, made here, through all of oido.

None of these has the published weights; what the graphs compute is tested beside each network.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import soundfile

import oido
from oido.cli.main import run
from oido.errors import ModelFetchError, ModelFormatError, OptionError
from oido.models import fetch
from oido.models.labels import audioset_labels, audioset_strong_labels
from oido.models.loading import load_model
from oido.models.model import MnNetwork, WholeNetwork
from oido.models.networks import ced, dymn, frame_mn
from oido.models.registry import CATALOG, card
from oido.server.device_model import device_model
from oido.signal.frontend import MnFrontEnd
from tests.models.networks.test_ced import reference as ced_reference
from tests.models.networks.test_ced import transformer_state
from tests.models.networks.test_dymn import dynamic_state
from tests.models.networks.test_dymn import reference as dymn_reference
from tests.models.networks.test_frame_mn import frame_wise_state, wrapped
from tests.models.networks.test_mn04 import random_state, reference
from tests.models.networks.test_torch_file import file_of

MADE = {
    "efficientat/mn10": lambda: random_state(1, 1.0),
    "efficientat/dymn04": dynamic_state,
    "ced/tiny": transformer_state,
    "ced/mini": lambda: transformer_state(size=256),
    "efficientsed/fmn04": lambda: wrapped(frame_wise_state(), "net.model.", "net."),
}


@pytest.fixture
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("OIDO_CACHE", str(tmp_path / "cache"))
    return tmp_path / "cache"


def made(tmp_path: Path, name: str) -> Path:
    """A file of this model's layout, called as it is published."""
    path = tmp_path / card(name).file_names[0]
    path.write_bytes(file_of(MADE[name]()))
    return path


def noise(seconds: float, rate: int) -> np.ndarray:
    return np.random.default_rng(4).normal(0, 0.1, round(seconds * rate)).astype(np.float32)


@pytest.mark.parametrize("name", MADE)
def test_a_file_that_the_user_brings(
    tmp_path: Path, cache: Path, capsys: pytest.CaptureFixture[str], name: str
) -> None:
    """It is taken with a warning, found by its name from then on, and no longer if it changes."""
    with pytest.raises(ModelFetchError, match=r"SHA-256 of its file is not known here\. Bring it"):
        load_model(name)
    path = made(tmp_path, name)
    assert run(["models", "fetch", name, "--from-file", str(path)]) == 0
    said = capsys.readouterr()
    assert "warning" in said.err
    assert fetch.sha256_of(path.read_bytes()) in said.err
    assert Path(said.out.strip()).parent == cache / "models"
    model = load_model(name)
    assert model.name == name
    assert model.licence == card(name).licence
    assert run(["models", "info", name]) == 0
    assert run(["models", "verify"]) == 0
    assert f"{name}: ok" in capsys.readouterr().out
    kept = Path(said.out.strip())
    kept.write_bytes(kept.read_bytes()[:-1] + b"?")
    with pytest.raises(ModelFetchError, match="Bring it yourself"):
        load_model(name)


def test_another_networks_file_is_refused(
    tmp_path: Path, cache: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = made(tmp_path, "ced/tiny")
    for name in ("ced/mini", "efficientat/mn10", "efficientsed/fmn10"):
        assert run(["models", "fetch", name, "--from-file", str(path)]) == 1
        assert f"these are the weights of ced/tiny, not of {name}" in capsys.readouterr().err
    (tmp_path / "text.pt").write_bytes(b"no weights")
    assert run(["models", "fetch", "ced/mini", "--from-file", str(tmp_path / "text.pt")]) == 1
    assert "is not ced/mini: not a .pt file" in capsys.readouterr().err
    assert not (cache / "models").exists()


def test_cards_without_a_hash_have_no_size(cache: Path) -> None:
    unchecked = [entry for entry in CATALOG if not entry.sha256]
    assert {entry.name for entry in unchecked} == {*MADE, "efficientsed/fmn10"}
    assert {entry.size for entry in unchecked} == {"not known"}
    assert all(fetch.find(entry) is None for entry in unchecked)


def test_mn10_hears_as_its_front_end_and_layers_do(tmp_path: Path, cache: Path) -> None:
    path = made(tmp_path, "efficientat/mn10")
    model = load_model(path, window_seconds=1.0)
    assert isinstance(model.network, MnNetwork)
    waveform = noise(1, 32_000)
    result = oido.AudioClassifier(model).classify(waveform, 32_000)
    patch = MnFrontEnd(model.network.front_end).patches(waveform, 320)[0, :, :, 0]
    scores, embedding = reference(random_state(1, 1.0), patch, 1.0)
    assert result.labels == audioset_labels()
    np.testing.assert_allclose(result.scores[0], scores, atol=1e-4)
    np.testing.assert_allclose(result.embeddings[0], embedding, atol=1e-3)


def test_dymn_hears_as_its_front_end_and_layers_do(tmp_path: Path, cache: Path) -> None:
    model = load_model(made(tmp_path, "efficientat/dymn04"), window_seconds=0.5)
    assert isinstance(model.network, WholeNetwork)
    waveform = noise(0.5, 32_000)
    result = oido.AudioClassifier(model).classify(waveform, 32_000)
    params = oido.load_model(made_mn(tmp_path), window_seconds=0.5).network.front_end
    patch = MnFrontEnd(params).patches(waveform, 320)[0, :, :, 0]
    scores, embedding = dymn_reference(dynamic_state(), patch)
    np.testing.assert_allclose(result.scores[0], scores, atol=5e-4)
    np.testing.assert_allclose(result.embeddings[0], embedding, atol=5e-3)


def made_mn(tmp_path: Path) -> Path:
    path = tmp_path / "mn04.pt"
    path.write_bytes(file_of(random_state()))
    return path


def test_ced_hears_as_its_layers_do_and_teaches_and_exports(tmp_path: Path, cache: Path) -> None:
    model = load_model(made(tmp_path, "ced/tiny"), window_seconds=1.0)
    waveform = noise(1, 16_000)
    result = oido.AudioClassifier(model).classify(waveform, 16_000)
    scores, embedding = ced_reference(transformer_state(), waveform)
    np.testing.assert_allclose(result.scores[0], scores, atol=5e-4)
    np.testing.assert_allclose(result.embeddings[0], embedding, atol=5e-3)
    assert oido.export(model, tmp_path / "ced.tflite").largest_difference <= 1e-4
    again = load_model(tmp_path / "ced.tflite")
    assert again.labels == audioset_labels()
    assert device_model(model).content
    with pytest.raises(OptionError, match=r"0\.5 s to 10 s, not 11"):
        load_model(made(tmp_path, "ced/tiny"), window_seconds=11)


def test_frames_of_40_ms_feed_the_event_rules(tmp_path: Path, cache: Path) -> None:
    """Of a network whose first class is the first channel of the last image, in its own columns."""
    path = made(tmp_path, "efficientsed/fmn04")
    classifier = oido.AudioClassifier(path, hop="window")
    assert classifier.labels == audioset_strong_labels()
    waveform = noise(10, 16_000)
    waveform[:80_000] *= 0.01
    result = classifier.classify(waveform, 16_000)
    front_end = classifier.model.network.front_end
    assert (front_end.sample_rate_hz, front_end.high_hz) == (16_000, 7_000)
    patch = MnFrontEnd(front_end).patches(waveform, 160)
    expected = run_graph(frame_mn.network(MADE["efficientsed/fmn04"]()), patch)
    frames = result.framewise_scores
    assert frames.shape == (500, frame_mn.CLASSES)  # half a column each
    np.testing.assert_allclose(frames[::2], expected, atol=1e-5)
    np.testing.assert_allclose(result.scores[0], expected.max(axis=0), atol=1e-5)
    events = result.events(threshold=0.5)
    assert events
    assert all(e.end_time <= 10.0 for e in events)
    with pytest.raises(OptionError, match="10 s, which cannot be chosen"):
        load_model(path, window_seconds=2.0)
    with pytest.raises(OptionError, match="let the server run it"):
        device_model(classifier.model)
    report = oido.export(path, tmp_path / "fmn.tflite")
    assert report.largest_difference <= 1e-3


def run_graph(content: bytes, patch: np.ndarray) -> np.ndarray:
    from tests.models.networks.test_mn04 import Interpreter

    interpreter = Interpreter(model_content=content, num_threads=1)
    interpreter.allocate_tensors()
    interpreter.set_tensor(interpreter.get_input_details()[0]["index"], patch)
    interpreter.invoke()
    return interpreter.get_tensor(interpreter.get_output_details()[2]["index"])


def test_the_command_line_takes_a_file(
    tmp_path: Path, cache: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    sound = tmp_path / "noise.wav"
    soundfile.write(sound, noise(3, 16_000), 16_000)
    path = made(tmp_path, "efficientsed/fmn04")
    arguments = ["classify", str(sound), "--model", str(path), "--frames", "--format", "csv", "-q"]
    assert run(arguments) == 0
    starts = {line.split(",")[2] for line in capsys.readouterr().out.splitlines()[1:]}
    assert len(starts) == 150


@pytest.mark.parametrize("module", [ced, dymn, frame_mn])
def test_other_weights_are_no_crash(tmp_path: Path, cache: Path, module: object) -> None:
    few = {"classifier.5.bias": np.zeros(3, np.float32)}
    names = {ced: "patch_embed.proj.weight", dymn: "in_c.0.weight", frame_mn: "strong_head.weight"}
    few[names[module]] = np.zeros((8, 1, 3, 3), np.float32)
    (tmp_path / "few.pt").write_bytes(file_of(few))
    with pytest.raises(ModelFormatError, match=r"few\.pt: these are not the weights of"):
        load_model(tmp_path / "few.pt")
