# SPDX-License-Identifier: Apache-2.0
"""What is farthest from all others, against a comparison of all with all."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from oido.search.index import EmbeddingIndex
from oido.search.outliers import outlying

ODD = {("embeddings/1.parquet", 500), ("embeddings/2.parquet", 0), ("embeddings/2.parquet", 2999)}


@pytest.fixture
def index(tmp_path: Path) -> EmbeddingIndex:
    """Two parts of vectors in four groups, and three vectors of no group."""
    rng = np.random.default_rng(0)
    groups = rng.standard_normal((4, 32)) * 3
    vectors = {}
    for name, n in (("1", 2_000), ("2", 3_000)):
        path = f"embeddings/{name}.parquet"
        made = groups[rng.integers(0, 4, n)] + 0.3 * rng.standard_normal((n, 32))
        for number, (part, row) in enumerate(sorted(ODD)):
            if part == path:
                made[row] = -4 * np.eye(32)[3 * number] * 3
        vectors[path] = made.astype(np.float16)
    made_index = EmbeddingIndex(tmp_path / "index")

    def read(path: str) -> Iterator[Any]:
        yield vectors[path]

    made_index.update({path: len(rows) for path, rows in vectors.items()}, read)
    return made_index


def test_the_odd_ones_come_first(index: EmbeddingIndex) -> None:
    found = outlying(index, 20)
    assert {(match.part, match.row) for match in found[:3]} == ODD
    assert len({(match.part, match.row) for match in found}) == 20
    similarities = [match.similarity for match in found]
    assert similarities == sorted(similarities)
    assert similarities[2] < 0.5 < similarities[3]
    assert outlying(index, 20) == found
    assert {(m.part, m.row) for m in outlying(index, 3, seed=7)} == ODD


def test_two_that_are_alike_are_not_both_chosen_before_the_rest(tmp_path: Path) -> None:
    rng = np.random.default_rng(1)
    groups = 4 * rng.standard_normal((3, 16))
    rows = groups[rng.integers(0, 3, 300)] + 0.1 * rng.standard_normal((300, 16))
    rows[100] = rows[200] = 9 * np.eye(16)[2]
    rows[50] = 9 * np.eye(16)[7]
    content = rows.astype(np.float16)
    index = EmbeddingIndex(tmp_path / "index")
    index.update({"p": 300}, lambda _: [content])
    # All 300 are the sample: what is there twice has somebody like it, but neighbours do not count.
    assert [match.row for match in outlying(index, 1)] == [50]
    assert {match.row for match in outlying(index, 300)} == {*range(300)}


def test_little_and_nothing(tmp_path: Path) -> None:
    index = EmbeddingIndex(tmp_path / "index")
    assert outlying(index, 5) == []
    two = np.eye(2, 16, dtype=np.float16)
    index.update({"p": 2}, lambda _: [two])
    assert len(outlying(index, 5)) == 2
    assert outlying(index, 0) == []
