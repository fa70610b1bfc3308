# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

import oido
from oido.evaluation.drift_features import MOST_STRETCHES, collect_features
from tests.datasets.recordings import record
from tests.signal.decode.wav_bytes import wav
from tests.signal.sounds import noise

EXAMPLES = Path(__file__).parents[2] / "examples"


def test_stretches_are_parts_of_what_classify_hears(classifier: oido.AudioClassifier) -> None:
    heard = collect_features(classifier, [str(EXAMPLES / "street.flac")])
    result = classifier.classify(EXAMPLES / "street.flac")
    assert len(heard.embeddings) == 6  # of 62 windows: six of ten, and two are less than half
    third = slice(20, 30)
    np.testing.assert_allclose(
        heard.embeddings[2], result.embeddings[third].mean(axis=0), atol=1e-6
    )
    loudness = result.loudness[third]
    expected = loudness @ result.scores[third] / loudness.sum()
    np.testing.assert_allclose(heard.values[2], expected, atol=1e-6)


def test_long_recordings_keep_some_stretches_and_short_ones_count(
    classifier: oido.AudioClassifier, tmp_path: Path
) -> None:
    long = tmp_path / "long.wav"
    long.write_bytes(wav(noise(16_000 * 70).astype(np.float64), 16_000))
    short = record(tmp_path / "short.wav", seconds=0.3)
    broken = tmp_path / "broken.wav"
    broken.write_bytes(b"RIFF")
    paths = [str(path) for path in (long, broken, short)]
    heard = collect_features(classifier, paths, jobs=2)
    assert np.bincount(heard.source).tolist() == [MOST_STRETCHES, 1]
    assert heard.facts[:, 1] == pytest.approx([70, 0.3])
    assert [name for name, _ in heard.left_out] == [str(broken)]
    again = collect_features(classifier, paths, jobs=1)
    np.testing.assert_array_equal(again.embeddings, heard.embeddings)
    assert not np.array_equal(collect_features(classifier, paths, seed=1).values, heard.values)
    assert len(heard.sampled(3, seed=0).embeddings) <= 3


def test_cuts_of_one_source_are_one_source(
    classifier: oido.AudioClassifier, tmp_path: Path
) -> None:
    names = ("1-100032-A-0.wav", "1-100032-B-0.wav", "2-77-A-0.wav")
    paths = [str(record(tmp_path / name)) for name in names]
    heard = collect_features(classifier, [path.replace("2-77", "2-777") for path in paths[:2]])
    assert heard.sources == 1
    assert collect_features(classifier, paths).sources == 2
