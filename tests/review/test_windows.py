# SPDX-License-Identifier: Apache-2.0
"""The windows of an archive by number: where they are, their vectors, and a head's scores."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from oido.results.find import Finder
from oido.results.results import Results
from oido.review.windows import ArchiveWindows, WindowPlace
from oido.training.head import Dense, EmbeddingHead
from tests.results.results_folders import FolderMaker, recording
from tests.review.made_archives import HOP, SIZE, WINDOW, made_archive, rows_of


@pytest.fixture(scope="module")
def archive(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return made_archive(tmp_path_factory.mktemp("made") / "results")[0]


def test_places_and_vectors_are_those_of_the_archive(archive: Path) -> None:
    with Results(str(archive)) as results:
        windows = ArchiveWindows(Finder(results))
        table = results.embeddings()
        expected = {
            (row["file"], row["channel"], row["start_time"], row["end_time"]): row["embedding"]
            for row in table.to_pylist()
        }
    assert windows.n == len(expected) == table.num_rows
    numbers = np.random.default_rng(0).permutation(windows.n)
    vectors = windows.vectors(numbers)
    assert vectors.shape == (windows.n, SIZE)
    for number, vector in zip(numbers.tolist(), vectors):
        stored = np.array(expected.pop(tuple(windows.place(number))), np.float32)
        assert np.array_equal(vector.astype(np.float16).astype(np.float32), stored)
    assert not expected
    assert windows.vectors(np.zeros(0, np.int64)).shape == (0, SIZE)


def test_a_head_scores_every_window_as_it_does_by_itself(archive: Path) -> None:
    with Results(str(archive)) as results:
        windows = ArchiveWindows(Finder(results))
    dice = np.random.default_rng(1)
    dense = Dense(dice.normal(size=(1, SIZE)).astype(np.float32), np.ones(1, np.float32))
    for square_root in (False, True):
        head = EmbeddingHead(("Owl",), (dense,), "sigmoid", square_root)
        each = head.logits(windows.vectors(np.arange(windows.n)))[:, 0]
        assert windows.logits(head) == pytest.approx(each, abs=1e-5)


def test_spans(archive: Path) -> None:
    with Results(str(archive)) as results:
        windows = ArchiveWindows(Finder(results))

    def starts(numbers: np.ndarray) -> list[int]:
        return [round(windows.place(n).start_time / HOP) for n in numbers.tolist()]

    file = "site/03.wav"
    one = WindowPlace(file, None, 5 * HOP, 5 * HOP + WINDOW)
    assert starts(windows.inside(one)) == [5]
    assert starts(windows.touching(one)) == [3, 4, 5, 6, 7]
    long = WindowPlace(file, None, 5 * HOP - 0.001, 8 * HOP + WINDOW)
    assert starts(windows.inside(long)) == [5, 6, 7, 8]
    short = WindowPlace(file, None, 5 * HOP + 0.1, 5 * HOP + 0.3)
    assert starts(windows.inside(short)) == [4, 5], "both have all of it"
    for elsewhere in (WindowPlace("other.wav", None, 0, 1), WindowPlace(file, None, 900, 901)):
        assert not len(windows.inside(elsewhere))
        assert not len(windows.touching(elsewhere))


def test_channels(tmp_path: Path) -> None:
    maker = FolderMaker(tmp_path / "results")
    rows = rows_of("a.wav", "abo", 0) + rows_of("a.wav", "ooo", 1)
    maker.commit({"recordings": [recording("a.wav", 3.0)], "embeddings": rows})
    with Results(str(tmp_path / "results")) as results:
        windows = ArchiveWindows(Finder(results))
    span = WindowPlace("a.wav", 1, 0.0, WINDOW)
    (number,) = windows.inside(span).tolist()
    assert windows.place(number) == span
    both = windows.inside(span._replace(channel=None))
    assert {windows.place(n).channel for n in both.tolist()} == {0, 1}
