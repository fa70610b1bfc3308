# SPDX-License-Identifier: Apache-2.0
"""A module that was trained further is a model: LiteRT, the classifier and the file all say so."""

from __future__ import annotations

import csv
import dataclasses
import warnings

import numpy as np
import pytest
import soundfile
import soxr

import oido
import oido.torch
from oido.errors import ModelFormatError, OptionError
from oido.inference.export import export
from oido.models.loading import load_model
from oido.models.model import LogMelNetwork
from oido.params import Windowing
from oido.runtime.litert import WholeRuntime
from oido.torch.clips import LabelledSounds, clip_windows
from tests.signal.sounds import noise, sine
from tests.signal.test_frontend_mn04 import models_folder

torch = pytest.importorskip("torch", reason="needs PyTorch: pip install 'oido[torch]'")
from oido.torch.base import EvidenceHead  # noqa: E402
from oido.torch.finetune import FinetuneOptions, FittedHeads, finetune  # noqa: E402
from oido.torch.to_litert import TOLERANCE, as_model, largest_difference  # noqa: E402

LABELS = ("tone", "hiss", "clicks")
QUICK = FinetuneOptions(stages=(1, 3), epochs=1, head_epochs=10, views=0, windows_per_clip=1)


def toy(rate):
    """Nine clips of a second: tones, noise, clicks."""
    clips = []
    for k in range(3):
        clicks = np.zeros(rate)
        clicks[k :: rate // (8 + k)] = 0.8
        clips += [sine(300.0 + 300 * k, rate, rate, 0.2), noise(rate, seed=k, level=0.05), clicks]
    waveforms = [clip.astype(np.float32) for clip in clips]
    return LabelledSounds(waveforms, np.eye(3, dtype=np.float32)[[0, 1, 2] * 3])


def least_squares(module, sounds):
    """A head on the evidence of the clips, of logits of 4 and −4."""
    with torch.inference_mode():
        evidence = module.evidence(torch.from_numpy(np.stack(sounds.waveforms))).numpy()
    rows = evidence.reshape(len(sounds), -1, module.evidence_dim)[:, 0]
    square_root = isinstance(module, oido.torch.YamNet)
    weights = np.linalg.pinv(np.sqrt(rows) if square_root else rows) @ (8 * sounds.targets - 4)
    layer = (weights.T.astype(np.float32), np.zeros(3, np.float32))
    return EvidenceHead([layer], square_root)


@pytest.fixture(
    scope="module", params=["yamnet", "mn04", "yamnet, a fitted head", "mn04, a fitted head"]
)
def trained(request, model):
    """A base model, and the module that was trained on from it."""
    if request.param.startswith("yamnet"):
        base, module = model, oido.torch.YamNet.from_pretrained(model.path)
    else:
        path = models_folder() / "mn04_as_mAP_432.pt"
        base, module = load_model(path, window_seconds=1.0), oido.torch.Mn04.from_pretrained(path)
    sounds, heads = toy(module.sample_rate_hz), None
    if "fitted" in request.param:
        heads = FittedHeads(*[least_squares(module, sounds)] * 2)
    finetune(module, sounds, base.windows, heads=heads, options=QUICK)
    return base, module


@pytest.fixture(scope="module")
def written(trained):
    base, module = trained
    return as_model(module, base, LABELS)


def real_waveforms(folder, rate_hz):
    """Two seconds of every fiftieth clip of ESC-10."""
    with open(folder / "esc10" / "clips.csv", encoding="utf-8", newline="") as file:
        files = [row["file"] for row in csv.DictReader(file)][::50]
    for name in files:
        samples, rate = soundfile.read(folder / "esc10" / name, dtype="float32", always_2d=True)
        yield soxr.resample(samples.mean(axis=1), rate, rate_hz)[: 2 * rate_hz]


def expected_scores(module, model, waveform, activate):
    """The module's scores of the windows that the classifier hears."""
    windows, _ = clip_windows(waveform, model.windows)
    with torch.inference_mode():
        return activate(module.logits(torch.from_numpy(windows.copy()))).reshape(len(windows), -1)


def softmax(logits):
    return torch.softmax(logits, dim=-1)


def test_the_classifier_hears_what_the_module_says(trained, written, shared_audio, tell):
    _, module = trained
    classifier = oido.AudioClassifier(written, jobs=1)
    assert classifier.labels == LABELS
    worst, rate = 0.0, written.windows.sample_rate_hz
    for waveform in real_waveforms(shared_audio, rate):
        result = classifier.classify(waveform, sample_rate=rate)
        expected = expected_scores(module, written, waveform, softmax).numpy()
        worst = max(worst, float(np.abs(result.scores - expected).max()))
        np.testing.assert_allclose(result.scores.sum(axis=1), 1.0, atol=1e-5)
    tell(f"{type(module).__name__} and the classifier differ by {worst:.1e} on real clips")
    assert worst < TOLERANCE
    assert worst == pytest.approx(
        largest_difference(module, written, real_waveforms(shared_audio, rate)), abs=TOLERANCE
    )


def test_the_exported_file_says_the_same(trained, written, tmp_path, tell):
    _, module = trained
    report = export(written, tmp_path / "own.tflite", embedding=True)
    assert report.precision == "float32"
    assert [name for name, _ in report.outputs] == ["scores", "embedding"]
    size = written.windows.window_samples
    windows = np.stack([noise(size, seed=5, level=0.1), sine(700.0, size, size, 0.3)])
    windows = windows.astype(np.float32)
    scores = WholeRuntime((tmp_path / "own.tflite").read_bytes()).run(windows).scores
    with torch.inference_mode():
        expected = softmax(module.logits(torch.from_numpy(windows))).reshape(2, 3).numpy()
    difference = float(np.abs(scores - expected).max())
    tell(f"{type(module).__name__} and its .tflite differ by {difference:.1e}")
    assert difference < TOLERANCE
    again = load_model(tmp_path / "own.tflite")
    assert again.labels == LABELS
    assert again.windows.sample_rate_hz == written.windows.sample_rate_hz


def test_it_learnt_the_toy(trained, written):
    """After ten epochs of a head: what comes out of LiteRT is what was taught."""
    sounds = toy(written.windows.sample_rate_hz)
    classifier = oido.AudioClassifier(written, jobs=1)
    found = [
        classifier.classify(w, sample_rate=written.windows.sample_rate_hz).clip_scores.argmax()
        for w in sounds.waveforms
    ]
    assert (np.array(found) == sounds.targets.argmax(axis=1)).mean() >= 8 / 9


def test_several_labels_have_sigmoids(trained):
    base, module = trained
    model = as_model(module, base, LABELS, output="sigmoid")
    waveform = noise(model.windows.window_samples, seed=8, level=0.1)
    scores = oido.AudioClassifier(model, jobs=1).classify(
        waveform, sample_rate=model.windows.sample_rate_hz
    )
    expected = expected_scores(module, model, waveform, torch.sigmoid)
    np.testing.assert_allclose(scores.scores, expected, atol=TOLERANCE)
    assert largest_difference(module, model, output="softmax") > 0.01


def test_what_is_known_of_the_model(trained, written):
    base, _ = trained
    assert written.name == f"{base.name}, fine-tuned"
    assert (written.path, written.sha256, written.licence) == (base.path, base.sha256, base.licence)
    assert (written.precision, written.card) == ("float32", None)
    assert [head.name for head in written.heads] == ["scores"]
    assert written.windows == base.windows
    if isinstance(written.network, LogMelNetwork):
        assert not written.network.is_cut
        np.testing.assert_array_equal(written.network.graph.window, base.network.graph.window)
    named = as_model(trained[1], base, LABELS, name="birds", summary="Three birds")
    assert (named.name, named.summary) == ("birds", "Three birds")


def test_a_module_in_training_is_judged_as_it_will_be_used(trained):
    base, module = trained
    module.train()
    try:
        model = as_model(module, base, LABELS)
        assert module.training
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            assert largest_difference(module, model) < TOLERANCE
    finally:
        module.eval()


def test_another_head_is_found(trained, written):
    """The check is not blind."""
    base, module = trained
    other = type(module).from_pretrained(base.path)
    torch.manual_seed(0)
    other.new_head(3)
    assert largest_difference(other, written) > TOLERANCE


def test_a_front_end_that_is_not_the_modules_is_refused(trained, monkeypatch):
    base, module = trained
    if isinstance(base.network, LogMelNetwork):
        window = np.roll(base.network.graph.window, 40)
        graph = dataclasses.replace(base.network.graph, window=window)
        network = dataclasses.replace(base.network, graph=graph)
    else:
        front_end = dataclasses.replace(base.network.front_end, preemphasis=0.5)
        network = dataclasses.replace(base.network, front_end=front_end)
    with pytest.raises(ModelFormatError, match="gives other scores than the module"):
        as_model(module, dataclasses.replace(base, network=network), LABELS)


def test_what_does_not_fit_is_told(trained, model):
    base, module = trained
    with pytest.raises(OptionError, match="3 scores, which need as many labels"):
        as_model(module, base, LABELS[:2])
    if isinstance(module, oido.torch.Mn04):
        with pytest.raises(OptionError, match="is no base of Mn04"):
            as_model(module, model, LABELS)


def test_windows_of_the_module_are_those_of_the_model(written):
    """The windows that are compared, and taught, are the classifier's own."""
    waveform = noise(3 * written.windows.window_samples)
    windowing = Windowing.from_seconds(written.windows, None)
    assert len(clip_windows(waveform, written.windows)[0]) == windowing.count(len(waveform))
