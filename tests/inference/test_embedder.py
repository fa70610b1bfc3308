# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

import oido
from oido.inference.embedder import l2_normalized

EXAMPLES = Path(__file__).parents[2] / "examples"


def test_embeddings_are_those_beside_the_scores(classifier: oido.AudioClassifier) -> None:
    result = oido.AudioEmbedder(classifier.model, jobs=1).embed(EXAMPLES / "street.flac")
    heard = classifier.classify(EXAMPLES / "street.flac")
    assert (result.embeddings == heard.embeddings).all()
    assert result.embeddings.shape == (62, 1024)
    assert (result.times == heard.times).all()
    assert result.embeddings.min() >= 0.0


def test_the_clip_is_the_mean_of_its_windows_by_their_share_of_sound(
    classifier: oido.AudioClassifier,
) -> None:
    heard = classifier.classify(EXAMPLES / "alarm.flac")
    clip = oido.AudioEmbedder(classifier.model, jobs=1).embed(EXAMPLES / "alarm.flac")
    assert 0.0 < heard.weights[-1] < 1.0
    expected = (heard.embeddings * heard.weights[:, None]).sum(0) / heard.weights.sum()
    np.testing.assert_allclose(clip.clip_embedding, expected, rtol=1e-5)


def test_normalised_vectors_have_length_one(classifier: oido.AudioClassifier) -> None:
    embedder = oido.AudioEmbedder(classifier.model, l2_normalize=True, jobs=1)
    result = embedder.embed(EXAMPLES / "alarm.flac")
    np.testing.assert_allclose(np.linalg.norm(result.embeddings, axis=1), 1.0, rtol=1e-6)
    np.testing.assert_allclose(np.linalg.norm(result.clip_embedding), 1.0, rtol=1e-6)
    assert result.clip_embedding.dtype == np.float32


def test_the_two_alarms_are_nearer_to_each_other_than_to_the_hum(
    classifier: oido.AudioClassifier,
) -> None:
    embedder = oido.AudioEmbedder(classifier.model, jobs=1)
    path = EXAMPLES / "alarm.flac"
    right = embedder.embed(path, channel=1)
    left = embedder.embed(path, channel=0)
    first, second = right.embeddings[2], right.embeddings[10]
    alarms = oido.cosine_similarity(first, second)
    assert alarms > oido.cosine_similarity(first, left.embeddings[5])


@given(
    arrays.arrays(np.float32, (3, 8), elements=st.floats(-100, 100, width=32)),
    arrays.arrays(np.float32, (5, 8), elements=st.floats(-100, 100, width=32)),
)
def test_cosine_similarity_by_its_definition(a: np.ndarray, b: np.ndarray) -> None:
    found = oido.cosine_similarity(a, b)
    assert found.shape == (3, 5)
    for i, x in enumerate(a.astype(np.float64)):
        for j, y in enumerate(b.astype(np.float64)):
            lengths = float(np.sqrt((x * x).sum()) * np.sqrt((y * y).sum()))
            expected = float((x * y).sum()) / lengths if lengths else 0.0
            assert found[i, j] == pytest.approx(expected, abs=1e-9)


def test_a_vector_of_zeros_stays_one() -> None:
    assert (l2_normalized(np.zeros((2, 4), np.float32)) == 0).all()


def test_vectors_of_different_models_are_not_compared() -> None:
    with pytest.raises(oido.OptionError, match="one model"):
        oido.cosine_similarity(np.ones(1024), np.ones(384))


def test_what_is_no_vector_or_table_of_them_is_not_compared() -> None:
    table, one = np.eye(3), np.array([1.0, 1.0, 0.0])
    assert oido.cosine_similarity(one, one).shape == ()
    assert oido.cosine_similarity(table, one) == pytest.approx([0.5**0.5, 0.5**0.5, 0.0])
    assert oido.cosine_similarity(one, table).shape == (3,)
    for wrong in (np.ones((2, 3, 3)), np.float64(1.0)):
        with pytest.raises(oido.OptionError, match="one model"):
            oido.cosine_similarity(wrong, table)
    with pytest.raises(oido.OptionError, match="not finite"):
        oido.cosine_similarity(np.array([1.0, np.nan, 0.0]), table)
