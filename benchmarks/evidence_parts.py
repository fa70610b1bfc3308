# SPDX-License-Identifier: Apache-2.0
"""Every part that a head may learn from, side by side: what `evidence.py` chooses among.

Graphs get the means of layers, spreads over the last image and what is hidden in heads as rows of
their embedding; a set is heard once, and kept under .bench/.
"""

from __future__ import annotations

import csv
import sys
import time
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import NamedTuple

import numpy as np
from ai_edge_litert import schema_py_generated as schema
from numpy.typing import NDArray

import oido
from oido.models.joint import as_one_network
from oido.models.model import AudioModel, LogMelNetwork, MnNetwork
from oido.models.tflite.evidence import EVIDENCE, EvidenceGraph
from oido.models.tflite.packing import operator_kind
from oido.training.augment import quiet_waveforms
from oido.training.embeddings import EmbeddedClips

ROOT = Path(__file__).resolve().parents[1]


class EmbeddedSet(NamedTuple):
    """A set's clips with every part that a way may take, by name.

    takes_roots: heads learn from square roots of what is never negative.
    """

    clips: EmbeddedClips
    parts: dict[str, slice]
    loudness: NDArray[np.float64]
    takes_roots: bool


class Layers(EvidenceGraph):
    """Adds to a graph every part that a way may take, side by side."""

    def parts(self, pooled: int) -> dict[str, int]:
        """Rows f32[1, n] of each."""
        kinds = {int(op.outputs[0]): operator_kind(self._model, op) for op in self._graph.operators}
        earlier = list(kinds)[: list(kinds).index(pooled)]
        op = schema.BuiltinOperator
        convolutions = [t for t in earlier if kinds[t] == op.CONV_2D]
        image = self._floats(int(self._makers()[pooled].inputs[0]))
        found = {"embedding": self._row(pooled), "spread": self._spread(image, self._row(pooled))}
        if (hidden := self._hidden(pooled)) is not None:
            found["hidden"] = hidden
            means = [t for t in earlier if kinds[t] == op.MEAN and t != pooled][::-1]
            found |= {f"excitation {n}": self._row(t) for n, t in enumerate(means[:3], start=1)}
        else:
            for n in (12, 11, 10):
                found[f"layer {n}"] = self.mean(self._floats(convolutions[n - 1]))
        return found

    def _spread(self, image: int, mean: int) -> int:
        """The standard deviation of each channel over an image."""
        squares = self.mean(self.multiply(image, image))
        rest = self.relu(self.subtract(squares, self.multiply(mean, mean)))
        return self.sqrt(rest)

    def _makers(self) -> dict[int, object]:
        return {int(op.outputs[0]): op for op in self._graph.operators}


def with_layers(model: AudioModel) -> tuple[AudioModel, dict[str, slice]]:
    """The model whose embedding is every part, and where they are."""
    network = model.network
    if not isinstance(network, LogMelNetwork | MnNetwork):
        joined = as_one_network(model)
        size = 1_024
        rest = slice(size + 384, -size)
        return joined, {
            "YAMNet, mean": slice(0, size),
            "embedding": slice(size, size + 384),
            "mn04's rest": rest,
            "YAMNet, largest": slice(-size, None),
        }
    content = network.content if isinstance(network, MnNetwork) else network.graph.network
    writer = Layers.on(content, batch=True)
    *scores, pooled = writer.outputs
    rows = writer.parts(pooled)
    ends = np.cumsum([writer.shape(row)[-1] for row in rows.values()]).tolist()
    parts = {name: slice(a, b) for name, a, b in zip(rows, [0, *ends], ends)}
    content = writer.finish([*scores, writer.side_to_side(list(rows.values()))])
    if isinstance(network, MnNetwork):
        return replace(model, network=replace(network, content=content)), parts
    graph = replace(network.graph, network=content)
    return replace(model, network=replace(network, graph=graph)), parts


def embedded_set(folder: Path, name: str, column: str, least: int = 4) -> EmbeddedSet:
    """A set's clips of labels with ``least`` clips or more, of two recordings at least."""
    from heads import chosen_rows, clips_of

    model, parts = with_layers(oido.load_model(name))
    kept = ROOT / ".bench" / "evidence" / f"{folder.name}-{name.replace('/', '-')}-{EVIDENCE}.npz"
    with open(folder / "clips.csv", encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file))
    if not kept.exists():
        _embed_files(folder, [row["file"] for row in rows], model, kept)
    with np.load(kept) as arrays:
        chosen = chosen_rows(rows, column, least)
        clips = clips_of(rows, chosen, column, arrays)
        here = np.isin(arrays["clip_index"], chosen)
        loudness = arrays["loudness"][here].astype(np.float64)
    return EmbeddedSet(clips, parts, loudness, isinstance(model.network, LogMelNetwork))


def _embed_files(folder: Path, files: Sequence[str], model: AudioModel, kept: Path) -> None:
    started = time.process_time()
    classifier = oido.AudioClassifier(model, jobs=1)
    found: dict[str, list[NDArray[np.float32]]] = {}
    numbers = []
    for number, file in enumerate(files):
        for block in classifier.stream(folder / file):
            found.setdefault("embeddings", []).append(block.embeddings)
            found.setdefault("weights", []).append(block.weights)
            found.setdefault("loudness", []).append(block.loudness)
            numbers.append(np.full(len(block.weights), number))
    windows = model.windows
    rate = windows.sample_rate_hz
    rows = quiet_waveforms(windows.window_samples, rate)
    quiet = np.stack([classifier.classify(row, rate).embeddings[0] for row in rows])
    kept.parent.mkdir(parents=True, exist_ok=True)
    joined = {name: np.concatenate(values) for name, values in found.items()}
    np.savez(kept, clip_index=np.concatenate(numbers), quiet=quiet, **joined)
    print(f"{folder.name}: heard in {time.process_time() - started:.0f} s", file=sys.stderr)
