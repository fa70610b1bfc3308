# SPDX-License-Identifier: Apache-2.0
"""Search by example: how good, how quick, and how large the index is.

    python benchmarks/search.py                               precision at 10, other sources only
    python benchmarks/search.py --windows 1000000 10000000    seconds a query, bytes, memory
    python benchmarks/search.py --windows 1000000 --hnsw 100000   beside NumPy, and usearch's HNSW

Precision: every clip of ESC-10 and of the everyday sounds of which there are others is the example
once; clips of its own source do not count, neither for nor against. Both the whole clip's mean
vector, which is what was measured before there was an index, and `oido find`, which looks at
windows: the ten first recordings of its hits.

Speed: vectors are windows of these clips with noise, so that they lie as real ones do; the rows are
written as an archive's parts have them. Both ways are measured at each size, whichever is used
there: every vector compared, and sketches first. Peak memory is of a process of its own, with the
pages of the index that it has mapped. NumPy compares all as float32; the graph of HNSW is made of
so many of them as its option says, because it takes long.
"""

from __future__ import annotations

import argparse
import csv
import json
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

from oido.inference.embedder import AudioEmbedder
from oido.search.index import EmbeddingIndex

_PART_ROWS = 50_000
_SETS = ("esc10", "everyday")


class Clips:
    """The clips of the sets, with label, source and the embeddings of their windows."""

    def __init__(self, audio: Path, model: str, cache: Path) -> None:
        self.labels: list[str] = []
        self.groups: list[str] = []
        self.windows: list[np.ndarray] = []
        embedder: AudioEmbedder | None = None
        for name in _SETS:
            with (audio / name / "clips.csv").open(newline="", encoding="utf-8") as file:
                rows = list(csv.DictReader(file))
            kept = cache / f"search-{name}-{model.replace('/', '-')}.npz"
            if not kept.exists():
                embedder = embedder or AudioEmbedder(model)
                found = [embedder.embed(audio / name / row["file"]) for row in rows]
                vectors = [e.embeddings[e.weights >= 0.5] for e in found]
                vectors = [v if len(v) else e.embeddings for v, e in zip(vectors, found)]
                sizes = [len(v) for v in vectors]
                np.savez(kept, vectors=np.concatenate(vectors).astype(np.float16), sizes=sizes)
            content = np.load(kept)
            self.windows += np.split(content["vectors"], np.cumsum(content["sizes"])[:-1])
            self.labels += [f"{name} {row['label']}" for row in rows]
            self.groups += [f"{name} {row['group'] or row['file']}" for row in rows]


def precision(clips: Clips, folder: Path) -> dict[str, float]:
    """Precision at 10, by clips' means and by windows of an index."""
    labels, groups = np.array(clips.labels), np.array(clips.groups)
    index = EmbeddingIndex(folder)
    ends = np.cumsum([len(w) for w in clips.windows])
    index.update({"embeddings/all.parquet": int(ends[-1])}, lambda path: clips.windows)
    means = np.stack([w.astype(np.float32).mean(axis=0) for w in clips.windows])
    centred = means - means.mean(axis=0)
    centred /= np.linalg.norm(centred, axis=1, keepdims=True)
    by_clip, by_window, by_each = [], [], []
    for n, label in enumerate(labels):
        others = (labels == label) & (groups != groups[n])
        if others.sum() < 10:
            continue
        allowed = groups != groups[n]
        near = np.argsort(-np.where(allowed, centred @ centred[n], -2))[:10]
        by_clip.append((labels[near] == label).mean())
        for like, kept in ((means[n], by_window), (clips.windows[n].astype(np.float32), by_each)):
            found: list[int] = []
            for match in index.search(like, 4000):
                number = int(np.searchsorted(ends, match.row, side="right"))
                if allowed[number] and number not in found:
                    found.append(number)
                if len(found) == 10:
                    break
            kept.append((labels[found] == label).mean())
    return {
        "examples": len(by_clip),
        "clips' means": float(np.mean(by_clip)),
        "windows, example's mean": float(np.mean(by_window)),
        "windows, nearest of the example's": float(np.mean(by_each)),
    }


def made_parts(clips: Clips, rows: int) -> Iterator[np.ndarray]:
    """f16 vectors of real windows with noise, on the grid of an int8 network where they lie so."""
    real = np.concatenate(clips.windows).astype(np.float32)
    step = real[real > 0].min()
    random = np.random.default_rng(0)
    for start in range(0, rows, _PART_ROWS):
        count = min(_PART_ROWS, rows - start)
        values = real[random.integers(0, len(real), count)]
        values = values + real.std() * 0.3 * random.standard_normal(values.shape, np.float32)
        numbers = np.clip(np.rint(np.maximum(values, 0) / step), 0, 255)
        yield (numbers * step).astype(np.float16)


def build(clips: Clips, rows: int, folder: Path) -> dict[str, Any]:
    """An index of so many made windows: seconds, and bytes on disk."""
    made = made_parts(clips, rows)
    starts = range(0, rows, _PART_ROWS)
    parts = {f"embeddings/{n:05d}.parquet": min(_PART_ROWS, rows - s) for n, s in enumerate(starts)}
    index, spent = EmbeddingIndex(folder), 0.0

    def read(path: str) -> Iterator[np.ndarray]:
        nonlocal spent
        started = time.perf_counter()
        block = next(made)
        spent += time.perf_counter() - started
        yield from np.array_split(block, 4)

    started = time.perf_counter()
    index.update(parts, read, sketched_from=0)
    seconds = time.perf_counter() - started - spent
    size = sum(path.stat().st_size for path in folder.iterdir())
    return {"windows": rows, "build_seconds": seconds, "bytes_per_window": size / rows}


def queries(clips: Clips, folder: Path, exact: bool) -> dict[str, Any]:
    """Of an index that is there: seconds a query, the first apart, and memory of this process."""
    index = EmbeddingIndex(folder)
    chosen = np.random.default_rng(1).choice(len(clips.windows), 12, replace=False)
    seconds, found = [], []
    for n in chosen:
        like = clips.windows[n].astype(np.float32).mean(axis=0)
        started = time.perf_counter()
        matches = index.search(like, 50, exact=exact)
        seconds.append(time.perf_counter() - started)
        found.append([(match.part, match.row) for match in matches])
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return {
        "first": seconds[0],
        "median": float(np.median(seconds[1:])),
        "peak_mb": peak / 1024,
        "found": found,
    }


def in_a_process(arguments: argparse.Namespace, folder: Path, exact: bool) -> dict[str, Any]:
    words = [sys.executable, __file__, "--query", str(folder), "--audio", str(arguments.audio)]
    words += ["--cache", str(arguments.cache), *(["--exact"] if exact else [])]
    done = subprocess.run(words, capture_output=True, text=True, check=True)
    result: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return result


def beside(clips: Clips, rows: int, most: int) -> None:
    """The same search by NumPy over float32, and by usearch's HNSW over the first of them."""
    from usearch.index import Index

    size = clips.windows[0].shape[1]
    vectors, filled = np.empty((rows, size), np.float32), 0
    for block in made_parts(clips, rows):
        vectors[filled : filled + len(block)] = block
        filled += len(block)
    vectors -= vectors.mean(axis=0)
    for start in range(0, rows, _PART_ROWS):
        block = vectors[start : start + _PART_ROWS]
        block /= np.linalg.norm(block, axis=1, keepdims=True)
    chosen = np.random.default_rng(1).choice(min(rows, most), 12, replace=False)
    started = time.perf_counter()
    for n in chosen:
        np.argpartition(-(vectors @ vectors[n]), 50)
    plain = (time.perf_counter() - started) / len(chosen)
    print(f"  NumPy float32  {plain:7.4f} s a query, {4 * size} bytes a window")
    vectors, rows = vectors[:most].copy(), min(rows, most)
    exact = [np.argsort(-(vectors @ vectors[n]))[:50] for n in chosen]
    graph = Index(ndim=vectors.shape[1], metric="cos", dtype="i8")
    started = time.perf_counter()
    graph.add(np.arange(rows), vectors)
    built = time.perf_counter() - started
    started = time.perf_counter()
    near = [graph.search(vectors[n], 50).keys for n in chosen]
    hnsw = (time.perf_counter() - started) / len(chosen)
    recall = np.mean([len({*a.tolist()} & {*b.tolist()}) / 50 for a, b in zip(exact, near)])
    print(
        f"  usearch HNSW i8 of {rows} windows: {hnsw:.4f} s a query, recall at 50 {recall:.3f}, "
        f"built in {built:.0f} s, {graph.memory_usage / rows:.0f} bytes a window"
    )


def main() -> int:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    root = Path(__file__).parents[1]
    parser.add_argument("--audio", type=Path, default=root.parent / "shared" / "audio")
    parser.add_argument("--models", nargs="+", default=["yamnet/classification"])
    parser.add_argument("--windows", type=int, nargs="*", default=[])
    parser.add_argument("--hnsw", type=int, default=0, help="windows of its graph; 0: no peers")
    parser.add_argument("--cache", type=Path, default=root / ".bench")
    parser.add_argument("--query", type=Path, help=argparse.SUPPRESS)
    parser.add_argument("--exact", action="store_true", help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    arguments.cache.mkdir(parents=True, exist_ok=True)
    if arguments.query is not None:
        clips = Clips(arguments.audio, arguments.models[0], arguments.cache)
        print(json.dumps(queries(clips, arguments.query, arguments.exact)))
        return 0
    for model in [] if arguments.windows else arguments.models:
        clips = Clips(arguments.audio, model, arguments.cache)
        with tempfile.TemporaryDirectory(prefix="search-", dir=arguments.cache) as scratch:
            for name, value in precision(clips, Path(scratch)).items():
                print(
                    f"{model}  {name:34s} {value:.3f}"
                    if isinstance(value, float)
                    else f"{model}  {name:34s} {value}"
                )
    for rows in arguments.windows:
        clips = Clips(arguments.audio, arguments.models[0], arguments.cache)
        with tempfile.TemporaryDirectory(prefix="search-", dir=arguments.cache) as scratch:
            built = build(clips, rows, Path(scratch))
            print(
                f"{rows} windows: made in {built['build_seconds']:.0f} s, "
                f"{built['bytes_per_window']:.0f} bytes a window on disk"
            )
            quick, exact = (in_a_process(arguments, Path(scratch), e) for e in (False, True))
            same = [
                len({*map(tuple, a)} & {*map(tuple, b)}) / len(b)
                for a, b in zip(quick["found"], exact["found"])
            ]
            for name, each in (("sketches first", quick), ("every vector", exact)):
                print(
                    f"  {name:14s} {each['median']:7.3f} s a query (first {each['first']:.3f}), "
                    f"peak {each['peak_mb']:.0f} MB"
                )
            print(f"  recall at 50 against every vector: {np.mean(same):.3f}")
        if arguments.hnsw:
            beside(clips, rows, arguments.hnsw)
    return 0


if __name__ == "__main__":
    sys.exit(main())
