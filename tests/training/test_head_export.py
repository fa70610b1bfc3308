# SPDX-License-Identifier: Apache-2.0
"""A head behind its network in one file: it says what the arrays say, and that is checked."""

from __future__ import annotations

from dataclasses import replace
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import oido
from oido.cli.main import run
from oido.datasets.clip import Clip
from oido.errors import ModelFormatError, OptionError
from oido.inference.embedder import l2_normalized
from oido.inference.predictor import Predictor
from oido.models.loading import ensemble, load_model
from oido.models.model import AudioModel, LogMelNetwork
from oido.models.tflite.evidence import with_evidence
from oido.models.tflite.framewise import with_framewise
from oido.runtime.litert import LiteRtRuntime
from oido.training.head import Dense, EmbeddingHead
from oido.training.head_export import BASE_HEAD, TAUGHT_HEAD, check_parity, taught_file
from oido.training.novelty import NoveltyDetector

STREET = Path(__file__).parents[2] / "examples" / "street.flac"
CLASSES = ("calm", "loud", "bright")


def made_head(
    output: str = "softmax",
    square_root: bool = True,
    layers: int = 1,
    inputs: int = 1_024,
    quiet: bool = False,
) -> EmbeddingHead:
    dice = np.random.default_rng(layers)
    sizes = [inputs, *[16] * (layers - 1), len(CLASSES)]
    dense = tuple(
        Dense(
            dice.normal(0, 0.2, (after, before)).astype(np.float32),
            dice.normal(0, 0.2, after).astype(np.float32),
        )
        for before, after in pairwise(sizes)
    )
    of_quiet = None
    if quiet:
        weights = dice.normal(0, 0.2, (1, sizes[-2])).astype(np.float32)
        of_quiet = Dense(weights, np.zeros(1, np.float32))
    return EmbeddingHead(CLASSES, dense, output, square_root, of_quiet)  # type: ignore[arg-type]


def file_of(model: AudioModel, head: EmbeddingHead, **changes: Any) -> bytes:
    facts: dict[str, Any] = {
        "name": "taught",
        "thresholds": {"loud": 0.25},
        "novelty": None,
        "keep_base": False,
        "calibrated": True,
        "training": {"seed": 3},
    }
    return taught_file(model, head, **{**facts, **changes})


def novelty_of(threshold: float) -> NoveltyDetector:
    dice = np.random.default_rng(9)
    directions = l2_normalized(dice.normal(0, 1, (3, 1_024)).astype(np.float32))
    return NoveltyDetector(np.full(1_024, 0.1, np.float32), directions, True, threshold)


@pytest.mark.parametrize("output", ["softmax", "sigmoid"])
@pytest.mark.parametrize(("square_root", "layers"), [(True, 1), (False, 2)])
def test_the_file_gives_the_scores_of_the_arrays(
    model: AudioModel, tmp_path: Path, output: str, square_root: bool, layers: int
) -> None:
    head = made_head(output, square_root, layers)
    path = tmp_path / "taught.tflite"
    path.write_bytes(file_of(model, head))
    result = oido.AudioClassifier(path, jobs=1).classify(STREET)
    base = oido.AudioClassifier(model, jobs=1).classify(STREET)
    np.testing.assert_allclose(result.scores, head.scores(base.embeddings), atol=1e-5)
    assert (result.embeddings == base.embeddings).all()
    # Its scores are calibrated already, and its metadata say so.
    assert result.probabilities is not None
    np.testing.assert_allclose(result.probabilities, result.scores, atol=1e-5)


@pytest.mark.parametrize("layers", [1, 2])
def test_a_head_that_tells_the_quiet_gives_the_rest_to_its_classes(
    model: AudioModel, tmp_path: Path, layers: int
) -> None:
    head = made_head(layers=layers, quiet=True)
    path = tmp_path / "taught.tflite"
    path.write_bytes(file_of(model, head))
    classifier = oido.AudioClassifier(path, jobs=1)
    assert classifier.labels == CLASSES
    assert classifier.model.head.kind == "softmax"
    result = classifier.classify(STREET)
    base = oido.AudioClassifier(model, jobs=1).classify(STREET).embeddings
    np.testing.assert_allclose(result.scores, head.scores(base), atol=1e-5)
    assert result.scores.sum(axis=1).min() < 0.9
    # Beside each other the classes are what they are without it, and a clip is one of them.
    of_classes = replace(head, quiet=None).scores(base)
    shares = result.scores / result.scores.sum(axis=1, keepdims=True)
    np.testing.assert_allclose(shares, of_classes, atol=1e-5)
    assert result.clip_scores.sum() == pytest.approx(1.0, abs=1e-5)


@pytest.mark.parametrize("precision", ["int8", "float32"])
def test_a_head_on_other_layers_too_gives_what_the_arrays_give(
    model: AudioModel, tmp_path: Path, precision: str
) -> None:
    base = load_model(model.path, precision=precision)  # type: ignore[arg-type]
    head = made_head(square_root=False, inputs=1_536)
    path = tmp_path / "wide.tflite"
    path.write_bytes(file_of(base, head))
    heard = oido.AudioClassifier(path, jobs=1)
    result = heard.classify(STREET)
    wide = oido.AudioClassifier(with_evidence(base), jobs=1).classify(STREET).embeddings
    np.testing.assert_allclose(result.scores, head.scores(wide), atol=1e-5)
    assert result.embeddings.shape[1] == 1_024
    # It still says when in a window: the logits of its columns average to its own.
    network = heard.model.network
    assert isinstance(network, LogMelNetwork)
    extended = with_framewise(network.graph.network)
    assert extended is not None
    patches = Predictor.of(heard.model).patches(np.zeros(15_600, np.float32), 7_680)
    patches = patches + np.linspace(0, 3, 96, dtype=np.float32)[:, None]
    outputs = LiteRtRuntime(None, *extended).run(patches)
    assert outputs.framewise is not None
    logs = np.log(outputs.framewise.astype(np.float64)).mean(axis=1)
    powers = np.exp(logs)
    np.testing.assert_allclose(powers / powers.sum(axis=1), outputs.scores, atol=0.03)


def test_what_is_known_of_it_stands_in_the_file(model: AudioModel, tmp_path: Path) -> None:
    path = tmp_path / "taught.tflite"
    path.write_bytes(file_of(model, made_head(), keep_base=True, calibrated=False))
    loaded = load_model(path)
    assert [head.name for head in loaded.heads] == [BASE_HEAD, TAUGHT_HEAD]
    assert (loaded.heads[0].labels, loaded.head.labels) == (model.labels, CLASSES)
    assert loaded.head.thresholds == (("loud", 0.25),)
    assert loaded.head.calibration is None
    assert loaded.head.aggregation == "confident-mean"
    assert (loaded.name, loaded.licence) == ("taught", model.licence)
    path.write_bytes(file_of(model, made_head("sigmoid")))
    assert load_model(path).head.aggregation == "power-mean"


def test_the_base_that_is_kept_is_the_head_that_the_base_speaks_by(
    model: AudioModel, tmp_path: Path
) -> None:
    """Its last one, with all that is known of it, where the base was taught itself."""
    first, second = tmp_path / "first.tflite", tmp_path / "second.tflite"
    first.write_bytes(file_of(model, made_head(), keep_base=True, novelty=novelty_of(-1.0)))
    base = load_model(first)
    second.write_bytes(file_of(base, made_head("sigmoid", layers=2), keep_base=True))
    taught = load_model(second)
    kept, spoken = taught.heads[0], base.head
    assert (kept.name, kept.labels) == (BASE_HEAD, CLASSES)
    assert (kept.thresholds, kept.calibration) == (spoken.thresholds, spoken.calibration)
    assert kept.aggregation == spoken.aggregation == "confident-mean"
    heard = oido.AudioClassifier(taught, jobs=1, head=BASE_HEAD).classify(STREET)
    expected = oido.AudioClassifier(base, jobs=1).classify(STREET)
    np.testing.assert_allclose(heard.scores, expected.scores, atol=1e-5)


def test_other_labels_leave_the_rest_of_a_taught_file_as_it_is(
    model: AudioModel, tmp_path: Path
) -> None:
    path, labels = tmp_path / "taught.tflite", tmp_path / "labels.txt"
    novelty = novelty_of(-1.0)
    path.write_bytes(file_of(model, made_head(), keep_base=True, novelty=novelty))
    before, other = load_model(path), [f"clase {n}" for n in range(len(CLASSES))]
    labels.write_text("\n".join(other), encoding="utf-8")
    words = ["models", "annotate", str(path), "--labels", str(labels), "--sample-rate", "16000"]
    assert run([*words, "--author", "Ana"]) == 0
    after = load_model(path)
    assert after.head.labels == tuple(other)
    assert after.head.thresholds == ((other[CLASSES.index("loud")], 0.25),)
    assert after.head.calibration == before.head.calibration is not None
    assert after.head.aggregation == before.head.aggregation
    assert (after.heads[0], after.novelty) == (before.heads[0], before.novelty)
    assert (after.name, after.licence, after.summary) == ("taught", before.licence, before.summary)
    assert after.attribution == "Ana"


@pytest.mark.parametrize("keep_base", [False, True])
def test_no_taught_model_is_run_in_other_numbers(
    model: AudioModel, tmp_path: Path, keep_base: bool
) -> None:
    path = tmp_path / "taught.tflite"
    path.write_bytes(file_of(model, made_head(), keep_base=keep_base))
    with pytest.raises(oido.OptionError, match="cannot be run with float32 activations"):
        oido.AudioClassifier(path, precision="float32")


def test_how_near_a_window_is_comes_out_beside_the_scores(
    model: AudioModel, tmp_path: Path
) -> None:
    novelty = novelty_of(0.5)
    path = tmp_path / "taught.tflite"
    path.write_bytes(file_of(model, made_head(), novelty=novelty))
    classifier = oido.AudioClassifier(path, jobs=1)
    blocks = list(classifier.stream(STREET))
    base = oido.AudioClassifier(model, jobs=1).classify(STREET)
    found = np.concatenate([b.similarities for b in blocks if b.similarities is not None])
    np.testing.assert_allclose(found, novelty.similarities(base.embeddings), atol=1e-4)
    assert classifier.classify(STREET).is_unknown is True
    path.write_bytes(file_of(model, made_head(), novelty=novelty_of(-1.0)))
    assert oido.AudioClassifier(path, jobs=1).classify(STREET).is_unknown is False


def test_a_file_that_says_something_else_is_refused(model: AudioModel, tmp_path: Path) -> None:
    head = made_head()
    content = file_of(model, head)
    clips = [Clip(str(STREET)), Clip(str(tmp_path / "gone.wav"))]
    parity = check_parity(model, head, content, clips, tmp_path / "taught.tflite")
    assert parity.size_bytes == len(content)
    assert 1 <= parity.windows <= 4
    assert parity.largest_difference < 1e-4
    bias = head.layers[0].bias + np.array([1, 0, 0], np.float32)
    other = replace(head, layers=(replace(head.layers[0], bias=bias),))
    with pytest.raises(ModelFormatError, match=r"taught\.tflite gives other scores than the head"):
        check_parity(model, other, content, clips, tmp_path / "taught.tflite")


def test_the_same_head_gives_the_same_bytes(model: AudioModel) -> None:
    assert file_of(model, made_head()) == file_of(model, made_head())


def test_two_networks_cannot_be_taught(model: AudioModel) -> None:
    with pytest.raises(OptionError, match="two networks"):
        file_of(ensemble(model, model), made_head())


def test_the_embedding_stays_what_the_network_gives(model: AudioModel, tmp_path: Path) -> None:
    path = tmp_path / "taught.tflite"
    path.write_bytes(file_of(model, made_head()))
    sound = np.random.default_rng(0).normal(0, 0.1, 15_600).astype(np.float32)
    one, other = (Predictor.of(m).predict(sound, 7_680) for m in (model, load_model(path)))
    assert (one.embeddings == other.embeddings).all()
