# SPDX-License-Identifier: Apache-2.0
"""An index finds what a comparison with every vector finds, and keeps up with its archive."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from pathlib import Path

import numpy as np
import pytest

from oido.errors import OptionError
from oido.search.index import INDEX_NAME, EmbeddingIndex

SIZE = 64
Parts = Mapping[str, np.ndarray]


def clusters(rows: int, seed: int, size: int = SIZE) -> np.ndarray:
    """Vectors in groups, all far from zero, as embeddings are."""
    random = np.random.default_rng(seed)
    centres = random.standard_normal((40, size)) * 2
    vectors = centres[random.integers(0, 40, rows)] + random.standard_normal((rows, size))
    return np.abs(vectors + 3).astype(np.float16)


def updated(folder: Path, parts: Parts, **options: int) -> tuple[EmbeddingIndex, list[str]]:
    """The index, and the parts that were read for it."""
    read: list[str] = []

    def blocks(path: str) -> Iterator[np.ndarray]:
        read.append(path)
        yield from np.array_split(parts[path], 3)

    index = EmbeddingIndex(folder)
    index.update({path: len(values) for path, values in parts.items()}, blocks, **options)
    return index, read


def best(parts: Parts, like: np.ndarray, unlike: np.ndarray | None = None) -> np.ndarray:
    """Similarities by their definition, in the order of the parts."""
    every = np.concatenate(list(parts.values())).astype(np.float64)
    centred = every - every.mean(axis=0)
    centred /= np.linalg.norm(centred, axis=1, keepdims=True)

    def cosines(examples: np.ndarray) -> np.ndarray:
        shifted = examples.astype(np.float64) - every.mean(axis=0)
        return (centred @ (shifted / np.linalg.norm(shifted, axis=1, keepdims=True)).T).max(axis=1)

    values = cosines(like)
    return values if unlike is None else values - np.maximum(cosines(unlike), 0)


@pytest.fixture
def parts() -> dict[str, np.ndarray]:
    sizes = enumerate((700, 0, 45, 9000))
    return {f"embeddings/{n}.parquet": clusters(rows, n) for n, rows in sizes}


@pytest.mark.parametrize("with_unlike", [False, True])
def test_the_nearest_are_those_of_the_definition(
    tmp_path: Path, parts: Parts, with_unlike: bool
) -> None:
    index, _ = updated(tmp_path / "index", parts)
    like = clusters(3, 9).astype(np.float32)
    unlike = clusters(2, 10).astype(np.float32) if with_unlike else None
    expected = best(parts, like, unlike)
    order = np.argsort(-expected)[:25]
    places = [(path, row) for path, values in parts.items() for row in range(len(values))]
    found = index.search(like, 25, unlike)
    assert [match.similarity for match in found] == pytest.approx(expected[order], abs=1e-5)
    assert {(match.part, match.row) for match in found[:20]} <= {places[n] for n in order}
    assert index.n == 9745


def test_more_than_there_are_gives_all(tmp_path: Path) -> None:
    parts = {"embeddings/a.parquet": clusters(7, 0)}
    index, _ = updated(tmp_path / "index", parts)
    assert len(index.search(clusters(1, 1).astype(np.float32), 100)) == 7
    assert index.search(clusters(1, 1).astype(np.float32), 0) == []
    empty, _ = updated(tmp_path / "none", {"embeddings/a.parquet": clusters(0, 0)})
    assert empty.search(clusters(1, 1).astype(np.float32), 5) == []


def test_it_reads_what_is_new_and_forgets_what_is_gone(
    tmp_path: Path, parts: dict[str, np.ndarray]
) -> None:
    folder = tmp_path / "index"
    assert updated(folder, parts)[1] == [path for path in parts if len(parts[path])]
    assert updated(folder, parts)[1] == []
    parts["embeddings/new.parquet"] = clusters(30, 5)
    del parts["embeddings/0.parquet"]
    index, read = updated(folder, parts)
    assert read == ["embeddings/new.parquet"]
    assert index.n == 9075
    assert not list(folder.glob("embeddings-0.*"))
    assert {match.part for match in index.search(clusters(1, 0).astype(np.float32), 9075)} == {
        path for path, values in parts.items() if len(values)
    }


def test_a_shard_that_is_gone_is_made_again(tmp_path: Path, parts: Parts) -> None:
    folder = tmp_path / "index"
    updated(folder, parts)
    (folder / "embeddings-2.npy").unlink()
    assert updated(folder, parts)[1] == ["embeddings/2.parquet"]
    (folder / INDEX_NAME).write_text("{")
    assert updated(folder, parts)[1] == [path for path in parts if len(parts[path])], (
        "an index that cannot be read is made again"
    )


def test_what_was_done_before_a_stop_counts(tmp_path: Path, parts: Parts) -> None:
    read: list[str] = []

    def blocks(path: str) -> Iterator[np.ndarray]:
        if path == "embeddings/2.parquet":
            raise KeyboardInterrupt
        read.append(path)
        yield parts[path]

    rows = {path: len(values) for path, values in parts.items()}
    with pytest.raises(KeyboardInterrupt):
        EmbeddingIndex(tmp_path).update(rows, blocks)
    assert read == ["embeddings/0.parquet"]
    assert updated(tmp_path, parts)[1] == ["embeddings/2.parquet", "embeddings/3.parquet"]


def test_somebody_elses_folder_is_left_alone(tmp_path: Path, parts: Parts) -> None:
    (tmp_path / "embeddings-1.npy").write_bytes(b"mine")
    with pytest.raises(OptionError, match=r"other things than an index.*--index"):
        updated(tmp_path, parts)
    assert [path.name for path in tmp_path.iterdir()] == ["embeddings-1.npy"]


def test_sketches_find_nearly_all_that_every_vector_finds(tmp_path: Path) -> None:
    parts = {f"embeddings/{n}.parquet": clusters(15_000, n, 256) for n in range(4)}
    index, _ = updated(tmp_path / "index", parts, sketched_from=50_000)
    assert len(list((tmp_path / "index").glob("*.bits.npy"))) == 4
    shares = []
    for seed in range(20):
        like = clusters(1, 100 + seed, 256).astype(np.float32)
        exact = {match[:2] for match in index.search(like, 50, exact=True)}
        found = index.search(like, 50)
        assert len(found) == 50
        shares.append(len(exact & {match[:2] for match in found}) / 50)
    assert np.mean(shares) >= 0.98


def test_an_archive_that_grows_past_the_limit_is_sketched_whole(tmp_path: Path) -> None:
    parts = {"embeddings/a.parquet": clusters(500, 0)}
    updated(tmp_path, parts, sketched_from=600)
    assert not list(tmp_path.glob("*.bits.npy"))
    parts["embeddings/b.parquet"] = clusters(500, 1)
    updated(tmp_path, parts, sketched_from=600)
    centre = json.loads((tmp_path / INDEX_NAME).read_text())["centre"]
    parts["embeddings/c.parquet"] = clusters(500, 2)
    index, _ = updated(tmp_path, parts, sketched_from=600)
    assert len(list(tmp_path.glob("*.bits.npy"))) == 3
    assert json.loads((tmp_path / INDEX_NAME).read_text())["centre"] == centre
    assert len(index.search(clusters(1, 3).astype(np.float32), 10)) == 10
