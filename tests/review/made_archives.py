# SPDX-License-Identifier: Apache-2.0
"""Archives of made vectors with a sound in them, and somebody who answers."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import Any

import numpy as np

from oido.results.find import Finder
from oido.results.results import Results
from oido.review.items import ReviewItem
from oido.search.label_store import Answer, LabelStore
from tests.results.results_folders import FolderMaker, event, recording

HOP, WINDOW = 0.48, 0.975
SIZE = 16
RECORDINGS, WINDOWS = 24, 60


def vector(letter: str, dice: np.random.Generator) -> list[float]:
    """Of silence (.), of other sounds (a to e), or of an owl (o)."""
    values = np.full(SIZE, 2.0)
    if letter != ".":
        values["abcdeo".index(letter)] += 3
    return np.maximum(values + 0.3 * dice.standard_normal(SIZE), 0).tolist()


def rows_of(file: str, letters: str, channel: int | None = None, seed: int = 0) -> list[dict]:
    dice = np.random.default_rng(seed)
    return [
        {
            "file": file,
            "channel": channel,
            "start_time": n * HOP,
            "end_time": n * HOP + WINDOW,
            "embedding": vector(letter, dice),
        }
        for n, letter in enumerate(letters)
    ]


def letters_of(number: int) -> str:
    """Sixty windows; every second recording has an owl in two that overlap."""
    dice = np.random.default_rng([7, number])
    letters = list("".join(dice.choice(list("abcde...")) for _ in range(WINDOWS)))
    if number % 2 == 0:
        start = int(dice.integers(0, WINDOWS - 1))
        letters[start : start + 2] = "oo"
    return "".join(letters)


def made_archive(folder: Path) -> tuple[Path, dict[str, str]]:
    """The folder of the results, and the letters of each recording."""
    maker = FolderMaker(folder)
    letters = {f"site/{n:02d}.wav": letters_of(n) for n in range(RECORDINGS)}
    files = list(letters)
    for part in (files[:5], files[5:12], files[12:]):
        rows: list[dict[str, Any]] = []
        for file in part:
            rows += rows_of(file, letters[file], seed=files.index(file))
        maker.commit(
            {"recordings": [recording(f, WINDOWS * HOP + 0.5) for f in part], "embeddings": rows}
        )
    first = letters[files[0]].index("oo")
    label = {**event(files[0], first * HOP, first * HOP + WINDOW, "Owl", 0.8), "label_index": 4}
    maker.commit({"windows": [label]})
    return folder, letters


def window_of(start_time: float) -> int:
    return round(start_time / HOP)


def holds_owl(letters: dict[str, str], item: ReviewItem) -> bool:
    return letters[item.recording][window_of(item.start_time)] == "o"


def answer_all(
    store: LabelStore, items: Iterable[ReviewItem], letters: dict[str, str]
) -> list[Answer]:
    """What somebody says who knows."""
    return store.add(
        Answer(
            item.recording,
            item.start_time,
            item.end_time,
            item.label,
            "yes" if holds_owl(letters, item) else "no",
            value=item.score,
        )
        for item in items
    )


def finder_of(folder: Path) -> Finder:
    return Finder(Results(str(folder)))
