# SPDX-License-Identifier: Apache-2.0
"""Which labels mean about the same as some words, by static vectors of words (WordLlama).

Its vectors come with its package, and nothing is fetched. They know English; of Spanish they see
what words are spelt alike, which is enough to find a label among the Spanish names.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np

from oido.arrays import F32
from oido.errors import needs_extra
from oido.messages import tr
from oido.models.labels import LOCALES, display_names

_LEAST_SIMILARITY = 0.55
_NEAR_THE_BEST = 0.1
_MOST_LABELS = 3


def labels_for_words(words: str, labels: Sequence[str]) -> tuple[str, ...]:
    """Up to three of the labels, the nearest first; none where no name of one is near.

    labels: of AudioSet, or a model's own. Raises MissingExtraError without the extra ``words``.
    """
    if not labels:
        return ()
    (asked,) = _vectors([words])
    similarity = np.full(len(labels), -1.0, np.float32)
    for locale in LOCALES:
        named = _vectors(display_names(tuple(labels), locale))
        similarity = np.maximum(similarity, named @ asked)
    least = max(_LEAST_SIMILARITY, float(similarity.max()) - _NEAR_THE_BEST)
    order = np.argsort(-similarity, kind="stable")[:_MOST_LABELS]
    return tuple(labels[n] for n in order if similarity[n] >= least)


def _vectors(texts: Sequence[str]) -> F32:
    """f32[k, 256] of length 1."""
    return np.asarray(_model().embed([text.lower() for text in texts], norm=True), np.float32)


@lru_cache(maxsize=1)
def _model() -> Any:
    with needs_extra(tr("words that are no labels need: pip install 'oido[words]'")):
        import wordllama
    # Where its own files are, which it looks for in a folder of another name.
    folder = Path(wordllama.__file__).parent
    return wordllama.WordLlama.load(cache_dir=folder, disable_download=True)
