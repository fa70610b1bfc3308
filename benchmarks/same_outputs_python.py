# SPDX-License-Identifier: Apache-2.0
"""The jobs of same_outputs.py that are done in Python, by the public names only."""

from __future__ import annotations

import asyncio
import hashlib
import inspect
import json
from collections.abc import AsyncIterator, Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import soundfile
from numpy.typing import NDArray

import oido

Job = tuple[str, Callable[[], object]]
"""A name, and what is done; the result is compared, or the OidoError."""


def exact(value: Any) -> str:
    """A text that is the same for equal values only, arrays to the last bit."""
    if isinstance(value, np.ndarray):
        return f"{value.dtype}{value.shape} {hashlib.sha256(value.tobytes()).hexdigest()}"
    if isinstance(value, dict):
        return json.dumps(value, indent=1)
    if type(value) in {list, tuple}:  # a named tuple has a repr that says more
        return "\n".join(exact(item) for item in value)
    if isinstance(value, oido.ClassificationResult):
        arrays = "scores times embeddings weights loudness clip_scores probabilities"
        facts = [getattr(value, name) for name in arrays.split()]
        facts += [value.duration, value.padded_share, value.damaged_packets, value.heads]
        return exact([*facts, value.top(5), value.windows(2)[:9], value.events(0.2)])
    return repr(value)


def public_jobs(models: dict[str, str]) -> Iterator[Job]:
    """Names and parameters; recordings, arrays, streams and embeddings by each model."""
    yield "names", partial(sorted, oido.__all__)
    for home, names in (
        (oido, "AudioClassifier AsyncAudioClassifier AudioEmbedder Clip train evaluate export"),
        (oido, "load_model cosine_similarity Event Category Row WindowCategories"),
        (oido.AudioClassifier, "classify stream log_mel label_indices"),
        (oido.AsyncAudioClassifier, "classify stream close"),
        (oido.ClassificationResult, "top windows events clip of_head"),
        (oido.Dataset, "load from_folder from_table from_label_tracks from_clips split folds"),
    ):
        for name in names.split():
            yield f"parameters/{home.__name__}.{name}", partial(parameters, getattr(home, name))
    samples, rate = soundfile.read("mini/alarm.flac", dtype="int16")
    floats = samples.astype(np.float32)[::-1] / 32768
    arrays: dict[str, tuple[NDArray[Any], int | None, Any]] = {
        "int16": (samples, rate, 1),
        "float32": (floats, rate, "mix"),
        "float64": (floats.astype(np.float64), 44_100, 0),
        "one channel": (floats[:, 0], 8_000, "mix"),
        "seventeen samples": (samples[:17], 16_000, "mix"),
        "no samples": (samples[:0], 16_000, "mix"),
        "not numbers": (np.full(16_000, np.nan), 16_000, "mix"),
        "no rate": (samples, None, "mix"),
    }
    mini, odd = (sorted(x for x in Path(p).rglob("*") if x.is_file()) for p in ("mini", "decode"))
    for short, name in models.items():
        classifier, embedder = oido.AudioClassifier(name, jobs=2), oido.AudioEmbedder(name)
        for path in mini + odd if short == "yamnet" else mini:
            yield f"classify/{short}/{path.as_posix()}", partial(classifier.classify, path)
        for kind, (array, hz, channel) in arrays.items():
            work = partial(classifier.classify, array, hz, channel=channel)
            yield f"array/{short}/{kind}", work
        for options in ({"batch_windows": 1}, {"hop": 0.24}, {"channel": 0, "jobs": 1}):
            yield f"stream/{short}/{options}", partial(blocks, classifier, **options)
        for size in (509, 44_100):
            yield f"async/{short}/{size}", partial(pushed, classifier, samples, rate, size)
        yield f"async/{short}/files", partial(together, classifier, mini)
        yield f"embed/{short}", partial(embedded, embedder, mini)
        yield f"labels/{short}", partial(labels, name)
    yield "log_mel", partial(oido.AudioClassifier().log_mel, "mini/alarm.flac")
    yield "export", partial(oido.export, "yamnet/classification", "out/m.tflite", embedding=True)
    yield "wrong/label", partial(oido.AudioClassifier, category_allowlist=["Dgo"])
    yield "wrong/model", partial(oido.AudioClassifier, "nowhere.tflite")


def training_jobs() -> Iterator[Job]:
    """Training and evaluation."""
    data = oido.Dataset.load("lab")
    yield "dataset", lambda: [data.classes, data.clips]
    result = oido.train(data, seed=1, cache=False, jobs=2)
    yield "train/report", result.report.to_dict
    result.export("out/taught.tflite")
    yield "train/model", Path("out/taught.tflite").read_bytes
    yield "train/classify", partial(result.classifier().classify, "mini/alarm.flac")
    heldout = oido.Dataset.load("heldout")
    yield "evaluate", lambda: oido.evaluate("out/taught.tflite", heldout).to_dict()


def parameters(function: Callable[..., object]) -> list[str]:
    """Their names."""
    return list(inspect.signature(function).parameters)


def labels(model: str) -> tuple[str, ...]:
    """The classes of a model."""
    return oido.load_model(model).labels


def blocks(classifier: oido.AudioClassifier, **options: Any) -> list[object]:
    """A recording in blocks."""
    stream = classifier.stream("mini/alarm.flac", **options)
    return [[b.scores, b.embeddings, b.times, b.weights, b.skipped] for b in stream]


def pushed(
    classifier: oido.AudioClassifier, samples: NDArray[Any], rate: int, size: int
) -> list[object]:
    """The windows of samples that come in chunks of ``size``."""

    async def chunks() -> AsyncIterator[NDArray[Any]]:
        for start in range(0, len(samples), size):
            yield samples[start : start + size]

    async def work() -> list[object]:
        async with oido.AsyncAudioClassifier(classifier, jobs=2) as many:
            return [
                [w.start_time, w.end_time, w.scores, w.embedding, w.hop, w.skipped, w.top(2)]
                async for w in many.stream(chunks(), rate, live=False)
            ]

    return asyncio.run(work())


def together(classifier: oido.AudioClassifier, paths: list[Path]) -> list[object]:
    """Recordings at the same time."""

    async def work() -> list[object]:
        async with oido.AsyncAudioClassifier(classifier, jobs=2) as many:
            return list(await asyncio.gather(*(many.classify(path) for path in paths)))

    return asyncio.run(work())


def embedded(embedder: oido.AudioEmbedder, paths: list[Path]) -> list[object]:
    """Embeddings of recordings, and how similar they are."""
    results = [embedder.embed(path) for path in paths]
    vectors = [result.clip_embedding for result in results]
    return [*(r.embeddings for r in results), *vectors, oido.cosine_similarity(vectors, vectors)]
