# SPDX-License-Identifier: Apache-2.0
"""oido's scores of known signals equal those of the untouched model, kept in golden.json."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path

import numpy as np
import pytest

GOLDEN = json.loads(Path(__file__).with_name("golden.json").read_text(encoding="utf-8"))


@pytest.fixture(scope="module")
def signals(make_golden):
    return make_golden.signals()


def test_the_golden_values_are_of_this_model_and_of_these_signals(model, signals):
    assert GOLDEN["model_sha256"] == model.sha256
    assert list(GOLDEN["signals"]) == list(signals)


@pytest.mark.parametrize("name", GOLDEN["signals"])
def test_scores_equal_the_golden_ones(classifier, make_golden, signals, name):
    golden, (_, samples) = GOLDEN["signals"][name], signals[name]
    sha256 = hashlib.sha256(samples.astype("<i2").tobytes()).hexdigest()
    assert sha256 == golden["samples_sha256"], "this machine makes another signal"
    scores = classifier.classify(samples, 16_000).scores
    assert len(scores) == golden["windows"]
    assert scores.argmax(axis=1).tolist() == golden["argmax"]
    whole = make_golden.as_integers(scores)
    for row, top in zip(whole, golden["top"], strict=True):
        assert [int(row[index]) for index, _ in top] == [value for _, value in top]
    assert hashlib.sha256(whole.astype("<u2").tobytes()).hexdigest() == golden["sha256"]


def test_the_example_file_gives_what_its_samples_give(classifier, make_golden):
    """Decoded by oido, not handed over as an array."""
    scores = make_golden.as_integers(classifier.classify(make_golden.STREET).scores)
    golden = GOLDEN["signals"]["street"]
    assert hashlib.sha256(scores.astype("<u2").tobytes()).hexdigest() == golden["sha256"]


def test_golden_labels_are_what_one_would_say(classifier):
    """The values were not made of garbage: the obvious signals have the obvious labels."""

    def best(name: str) -> set[str]:
        return {classifier.labels[i] for i in GOLDEN["signals"][name]["argmax"]}

    assert best("silence") == {"Silence"}
    assert best("noise") <= {"White noise", "Noise", "Pink noise", "Static"}
    assert best("sine-1000-soft") & {"Sine wave", "Beep, bleep", "Dial tone"}


@pytest.mark.parametrize("hop_frames", [1, 7, 33, 96])
def test_other_hops_equal_the_untouched_model_too(untouched, make_golden, model, hop_frames):
    import oido

    samples = make_golden.signals()["street"][1][:40_000]
    classifier = oido.AudioClassifier(model, hop=hop_frames / 100, jobs=1)
    got = classifier.classify(samples[: 15_600 + 10 * 160 * hop_frames], 16_000).scores
    waveform = samples[: 15_600 + 10 * 160 * hop_frames].astype(np.float32) / np.float32(32768)
    np.testing.assert_array_equal(got, untouched.scores(waveform, hop=160 * hop_frames))
