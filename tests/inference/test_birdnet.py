# SPDX-License-Identifier: Apache-2.0
"""BirdNET 2.4 gives LiteRT's scores of the raw file, teaches heads, and knows places and weeks.

Skipped where its package cannot be had.
"""

from __future__ import annotations

import json
from datetime import date
from pathlib import Path

import numpy as np
import pytest
import soundfile
import soxr
from ai_edge_litert.interpreter import Interpreter

import oido
from oido.cli.main import run
from oido.errors import ModelFetchError, OptionError
from oido.inference.species import species_at, week_of
from oido.models.cache import cache_folder
from oido.models.fetch import accept_licence, fetch
from oido.models.loading import load_model
from oido.models.registry import BIRDNET, card
from tests.training.taught_sounds import make_sounds

RATE, SAMPLES = 48_000, 144_000
CROW = "tuxpaint/animals/birds/crow.ogg"


def by_litert(model, windows):
    """Sigmoids of the raw file's logits, and the tensor before the last layer."""
    interpreter = Interpreter(
        model_path=str(model.path), num_threads=1, experimental_preserve_all_tensors=True
    )
    interpreter.allocate_tensors()
    entry, output = interpreter.get_input_details()[0], interpreter.get_output_details()[0]
    scores, embeddings = [], []
    for window in windows:
        interpreter.set_tensor(entry["index"], window[None])
        interpreter.invoke()
        logits = interpreter.get_tensor(output["index"])[0].astype(np.float64)
        scores.append(1 / (1 + np.exp(-logits)))
        embeddings.append(interpreter.get_tensor(output["index"] - 1)[0])
    return np.array(scores), np.array(embeddings)


def test_scores_and_embeddings_are_those_of_the_raw_file(birdnet, shared_audio):
    samples, rate = soundfile.read(shared_audio / "everyday" / CROW, always_2d=True)
    waveform = soxr.resample(samples.mean(axis=1), rate, RATE).astype(np.float32)
    padded = np.zeros(3 * SAMPLES, np.float32)
    padded[: len(waveform)] = waveform[: len(padded)]
    padded[SAMPLES:] += np.random.default_rng(3).normal(0, 0.05, 2 * SAMPLES).astype(np.float32)
    result = oido.AudioClassifier(birdnet, hop="window").classify(padded, RATE)
    scores, embeddings = by_litert(birdnet, padded.reshape(3, SAMPLES))
    np.testing.assert_allclose(result.scores, scores, atol=1e-5)
    np.testing.assert_allclose(result.embeddings, embeddings, rtol=1e-4, atol=1e-4)
    best = result.windows(1)[0].categories[0]
    assert best.display_name == "Carrion Crow (Corvus corone)"
    assert result.to_dict()["scores"].startswith("sigmoid of the model's logits, 0..1")


def test_its_licence_is_accepted_once(tmp_path, monkeypatch, capsys):
    monkeypatch.setenv("OIDO_CACHE", str(tmp_path))
    monkeypatch.setenv("OIDO_MODEL_PATH", "")
    with pytest.raises(ModelFetchError, match=r"--accept-licence CC-BY-NC-SA-4\.0"):
        load_model(BIRDNET)
    with pytest.raises(OptionError, match=r"is under CC-BY-NC-SA-4\.0, not MIT"):
        accept_licence(card(BIRDNET), "MIT")
    assert run(["models", "fetch", BIRDNET]) != 0
    assert "no commercial use" in capsys.readouterr().err
    assert not (cache_folder() / "licences").exists()


def test_manifests_tell_its_licence_and_what_its_scores_are(birdnet, tmp_path):
    sound = tmp_path / "noise.wav"
    write_noise(sound)
    out = tmp_path / "out"
    arguments = [
        "--model",
        BIRDNET,
        "--place",
        "48.1,11.6",
        "--date",
        "2026-05-12",
        "-o",
        f"{out}/",
    ]
    assert run(["classify", str(sound), "-q", *arguments]) == 0
    manifest = json.loads((out / "oido-manifest.json").read_text())
    assert manifest["model"]["licence"] == "CC-BY-NC-SA-4.0"
    assert manifest["scores"] == "sigmoid of the model's logits, 0..1; not probabilities"
    allowed = manifest["parameters"]["selection"]["category_allowlist"]
    assert "Turdus merula_Eurasian Blackbird" in allowed
    assert len(allowed) < 400


def write_noise(path: Path) -> None:
    noise = np.random.default_rng(1).normal(0, 0.1, RATE).astype(np.float32)
    soundfile.write(path, noise, RATE)


def test_species_of_a_place_and_week(birdnet):
    may = species_at(48.1, 11.6, week_of(date(2026, 5, 12)))
    names = list(may)
    assert len(may) == 6_522
    assert names[:2] == ["Turdus merula_Eurasian Blackbird", "Fringilla coelebs_Common Chaffinch"]
    swift = "Apus apus_Common Swift"
    january = species_at(48.1, 11.6, week_of(date(2026, 1, 12)))
    assert may[swift] > 0.3 > january[swift]
    assert week_of(date(2024, 12, 31)) == 48
    with pytest.raises(OptionError, match="in degrees"):
        species_at(148.1, 11.6)


def test_a_taught_head_on_its_embedding(birdnet, tmp_path):
    data = oido.Dataset.load(make_sounds(tmp_path / "data"))
    result = oido.train(data, model=BIRDNET)
    parity = result.export(tmp_path / "taught.tflite")
    assert parity.largest_difference <= 1e-3
    taught = load_model(tmp_path / "taught.tflite")
    assert taught.licence == "CC-BY-NC-SA-4.0"
    assert taught.windows.sample_rate_hz == RATE
    clip = next(iter(data))
    best = oido.AudioClassifier(taught).classify(clip.path).top(1)[0]
    assert best.label in clip.labels


def test_the_copy_in_the_cache_is_verified(birdnet):
    assert fetch(card(BIRDNET)) == birdnet.path
