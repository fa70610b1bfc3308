# SPDX-License-Identifier: Apache-2.0
"""A model without metadata gets them, and is then heard like any other."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

import oido
from oido.cli.main import run
from oido.heads import Head
from oido.models.model import AudioModel, WholeNetwork
from oido.models.tflite.builder import GraphWriter
from oido.models.tflite.editor import TfliteGraph
from oido.models.tflite.metadata import read_metadata
from oido.models.tflite.metadata_writer import annotate

RATE, WINDOW = 8_000, 1_600
LABELS = ("low tone", "high tone, like a whistle", "Ñandú & 狗")
TONES_HZ = (300, 2_000, 3_000)


@pytest.fixture(scope="module")
def bare() -> bytes:
    """A waveform classifier of our own: how much of each tone's two phases is in the window."""
    times = np.arange(WINDOW) / RATE
    waves = [
        wave(2 * np.pi * hz * times) * (2 / WINDOW) for hz in TONES_HZ for wave in (np.sin, np.cos)
    ]
    writer = GraphWriter("tones")
    x = writer.input("waveform", (1, WINDOW))
    phases = writer.dense(x, np.array(waves, np.float32), np.zeros(6, np.float32))
    energy = writer.multiply(phases, phases)
    pairs = np.kron(np.eye(3), np.ones((1, 2))).astype(np.float32) * 40
    scores = writer.sigmoid(writer.dense(energy, pairs, np.full(3, -4, np.float32)))
    return writer.finish([scores])


@pytest.fixture
def tones(bare: bytes, tmp_path: Path) -> Path:
    path = tmp_path / "tones.tflite"
    path.write_bytes(
        annotate(bare, [Head("scores", LABELS)], sample_rate_hz=RATE, name="tones", licence="CC0")
    )
    return path


def tone(hz: float, rate: int, seconds: float) -> np.ndarray:
    return (0.5 * np.sin(2 * np.pi * hz * np.arange(int(rate * seconds)) / rate)).astype("f4")


def test_what_is_written_is_read_back(tones: Path) -> None:
    content = tones.read_bytes()
    raw = TfliteGraph(content).metadata()
    assert raw is not None
    metadata = read_metadata(raw, content)
    assert (metadata.name, metadata.licence) == ("tones", "CC0")
    assert (metadata.inputs[0].sample_rate_hz, metadata.inputs[0].channels) == (RATE, 1)
    assert metadata.labels() == LABELS


def test_a_whole_network_is_heard_at_its_own_rate(tones: Path) -> None:
    classifier = oido.AudioClassifier(tones)
    assert isinstance(classifier.model.network, WholeNetwork)
    assert classifier.labels == LABELS
    sound = np.concatenate([tone(300, 44_100, 1.0), tone(3_000, 44_100, 1.0)])
    result = classifier.classify(sound, sample_rate=44_100)
    assert result.embeddings.shape == (len(result.scores), 0)
    first, second = result.windows(1)[2], result.windows(1)[-3]
    assert first.categories[0].label == LABELS[0]
    assert second.categories[0].label == LABELS[2]
    labels = [e.label for e in result.events(0.5)]
    assert labels == [LABELS[0], LABELS[2]]


def test_hops_of_a_whole_network(tones: Path) -> None:
    assert oido.AudioClassifier(tones).windowing.hop_samples == 800
    assert oido.AudioClassifier(tones, hop=0.05).windowing.hop_samples == 400
    with pytest.raises(oido.OptionError, match=r"at most 0\.2 s"):
        oido.AudioClassifier(tones, hop=0.5)


def test_annotating_again_replaces(tones: Path, model: AudioModel) -> None:
    other = tuple(reversed(LABELS))
    again = annotate(tones.read_bytes(), [Head("scores", other)], sample_rate_hz=16_000)
    path = tones.with_name("again.tflite")
    path.write_bytes(again)
    classifier = oido.AudioClassifier(path)
    assert classifier.labels == other
    assert classifier.windowing.sample_rate_hz == 16_000


def test_yamnet_itself_annotated_is_still_cut(model: AudioModel, tmp_path: Path) -> None:
    path = tmp_path / "mine.tflite"
    names = tuple(f"class {n}" for n in range(521))
    path.write_bytes(
        annotate(model.path.read_bytes(), [Head("scores", names)], sample_rate_hz=16_000)
    )
    classifier = oido.AudioClassifier(path, jobs=1)
    assert not isinstance(classifier.model.network, WholeNetwork)
    assert classifier.labels == names


@pytest.mark.parametrize(
    ("labels", "message"),
    [
        (LABELS[:2], "3 scores, but 2 labels"),
        (("a", "b", "a"), "twice"),
        (("a", "", "c"), "one line of text"),
        (("a", "b\nb", "c"), "one line of text"),
    ],
)
def test_labels_that_do_not_fit_are_refused(
    bare: bytes, labels: tuple[str, ...], message: str
) -> None:
    with pytest.raises(oido.OptionError, match=message):
        annotate(bare, [Head("scores", labels)], sample_rate_hz=RATE)


def test_the_command_keeps_the_original(
    bare: bytes, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path, labels = tmp_path / "tones.tflite", tmp_path / "labels.txt"
    path.write_bytes(bare)
    labels.write_text("\n".join(LABELS) + "\n", encoding="utf-8")
    assert run(["models", "info", str(path)]) == 1
    assert "oido models annotate tones.tflite --labels" in capsys.readouterr().err
    command = ["models", "annotate", str(path), "--labels", str(labels), "--sample-rate", "8000"]
    assert run(command) == 0
    assert (tmp_path / "tones.tflite.orig").read_bytes() == bare
    assert run(["models", "info", str(path)]) == 0
    text = capsys.readouterr().out
    assert "8000 Hz" in text
    assert "run as it is" in text


def test_other_files_are_refused(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "text.tflite"
    path.write_text("no model")
    command = ["models", "annotate", str(path), "--labels", str(path), "--sample-rate", "8000"]
    assert run(command) == 1
    assert "TFL3" in capsys.readouterr().err
    assert sorted(p.name for p in tmp_path.iterdir()) == ["text.tflite"]


def test_a_whole_network_has_no_embeddings_and_says_so(
    tones: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(oido.OptionError, match="no embeddings"):
        oido.AudioEmbedder(tones)
    street = Path(__file__).parents[3] / "examples" / "street.flac"
    output = tmp_path / "e.npz"
    assert run(["embed", str(street), "-q", "--model", str(tones), "-o", str(output)]) == 2
    assert "no embeddings" in capsys.readouterr().err
    assert not output.exists()


def test_a_loaded_model_keeps_its_precision(model: AudioModel) -> None:
    with pytest.raises(oido.OptionError, match="int8 already"):
        oido.AudioClassifier(model, precision="float32")
