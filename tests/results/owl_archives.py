# SPDX-License-Identifier: Apache-2.0
"""Archives of made embeddings in which owls are known, and a head that was taught on them."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from oido.models.model import AudioModel
from oido.search.label_store import Answer, LabelStore
from oido.training.head import Dense, EmbeddingHead
from tests.results.results_folders import FolderMaker, recording
from tests.training.test_head_export import file_of

__all__ = ["BASE_SHA256", "OwlArchive", "make_owls", "owl_file", "review"]

HOP, WINDOW, SIZE = 0.48, 0.975, 1024
BASE_SHA256 = "10" * 32
"""What `FolderMaker` calls the archive's network."""


@dataclass(frozen=True)
class OwlArchive:
    """maker: the folder. places: (file, start) of each window; truth: bool[n]; logits: f64[n], what
    the head of `owl_file` says of it."""

    maker: FolderMaker
    places: list[tuple[str, float]]
    truth: np.ndarray
    logits: np.ndarray

    @property
    def folder(self) -> str:
        return str(self.maker.folder)


def make_owls(
    folder: Path,
    share: float,
    *,
    sites: int = 6,
    windows: int = 60,
    nights: int = 2,
    odd: str = "",
    seed: int = 0,
) -> OwlArchive:
    """A recording a night and site; an owl makes the first number of a window larger by 2.

    odd: a site whose windows have another sound in them, which the head does not look at.
    """
    random = np.random.default_rng(seed)
    rows: list[dict[str, Any]] = []
    recordings, places, truth, logits = [], [], [], []
    for site in range(sites):
        for night in range(nights):
            file = f"site{site}/202310{15 + night}_210000.wav"
            recordings.append(recording(file, windows * HOP + WINDOW))
            for n in range(windows):
                is_owl = bool(random.random() < share)
                level = float(np.float16(random.normal(2.0 * is_owl, 1.0) + 4.0))
                vector = np.zeros(SIZE)
                vector[0] = max(level, 0.0)
                vector[1:9] = np.abs(random.normal(1.0, 0.1, 8))
                if odd and file.startswith(f"{odd}/"):
                    vector[9:17] = np.abs(random.normal(3.0, 0.1, 8))
                place = {"file": file, "channel": None, "start_time": n * HOP}
                rows.append({**place, "end_time": n * HOP + WINDOW, "embedding": vector.tolist()})
                places.append((file, n * HOP))
                truth.append(is_owl)
                logits.append(2.0 * (vector[0] - 4.0) - 2.0)
    maker = FolderMaker(folder)
    maker.commit({"recordings": recordings, "embeddings": rows})
    return OwlArchive(maker, places, np.array(truth), np.array(logits))


def owl_file(path: Path, model: AudioModel, **training: Any) -> Path:
    """A head that is right where every other window holds an owl, as a taught .tflite."""
    weights = np.zeros((1, SIZE), np.float32)
    weights[0, 0] = 2.0
    head = EmbeddingHead(
        ("owl",), (Dense(weights, np.array([-10.0], np.float32)),), "sigmoid", False
    )
    facts = {"base": "yamnet/classification", "base_sha256": BASE_SHA256, "priors": [0.5]}
    content = file_of(model, head, name="owl", thresholds={}, training={**facts, **training})
    path.write_bytes(content)
    return path


def review(archive: OwlArchive, path: Path, numbers: Any, choice: str = "stratified") -> Path:
    """A label store with the truth of some windows."""
    answers = []
    for n in numbers:
        file, start = archive.places[int(n)]
        verdict = "yes" if archive.truth[int(n)] else "no"
        answers.append(
            Answer(file, start, start + WINDOW, "owl", verdict, who="Ana", choice=choice)  # type: ignore[arg-type]
        )
    with LabelStore(path) as store:
        store.add(answers)
    return path
