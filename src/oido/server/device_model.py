# SPDX-License-Identifier: Apache-2.0
"""Models as the page's device runs them, and what the page knows of each before it runs.

A browser gets one .tflite that takes the waveform. Where the network can say more of the time than
its windows do, its framewise scores are further outputs (`oido.models.tflite.framewise`), each
named by its head, so that the page finds events as `oido.inference` does.
"""

from __future__ import annotations

import hashlib
import re
import tempfile
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from oido.errors import ModelFormatError, OptionError
from oido.heads import Head
from oido.inference.export import check_windows, export
from oido.inference.predictor import Predictor, framewise_columns, whole_runtime
from oido.messages import tr
from oido.models.loading import load_model
from oido.models.model import (
    AudioModel,
    EnsembleNetwork,
    FixedPointNetwork,
    LogMelNetwork,
    MnNetwork,
    WholeNetwork,
)
from oido.models.taxonomy import ancestors, columns_above, parents
from oido.models.tflite.builder import GraphWriter
from oido.models.tflite.editor import TfliteGraph
from oido.models.tflite.framewise import with_framewise
from oido.models.tflite.metadata import read_metadata
from oido.models.tflite.metadata_writer import PlainOutput, with_heads, with_more_outputs
from oido.params import DEFAULT_THRESHOLD

FRAMEWISE = "_framewise"
"""What the name of a head's framewise output ends in; core/model.js looks for it."""

_TOLERANCE = 1 / 256


@dataclass(frozen=True)
class DeviceModel:
    """A model as a browser runs it: one .tflite that takes the waveform.

    name: what the page calls it. url: where it is, relative to the page; another content has
    another url. model: what it was made of.
    """

    name: str
    url: str
    content: bytes = field(repr=False)
    model: AudioModel = field(repr=False)


def device_model(
    model: AudioModel, *, name: str | None = None, heads_are_new: bool = False
) -> DeviceModel:
    """A model for the page: its own file where that is enough, else what `oido.export` makes of it;
    with framewise scores, where its network can give them.

    name: what to call it; None is the model's own name. heads_are_new: its calibration is not the
    one in its file. Raises OptionError for an ensemble and a network that gives frames by itself,
    and what `oido.export` raises.
    """
    if isinstance(model.network, EnsembleNetwork):
        raise OptionError(
            tr(
                "{name} is two networks, and the page hears with one; choose one of them",
                name=model.name,
            )
        )
    if isinstance(model.network, FixedPointNetwork):
        raise OptionError(
            tr(
                "{name} is a student, whose features a browser does not make; let the server "
                "run it",
                name=name or model.name,
            )
        )
    if isinstance(model.network, MnNetwork) and model.network.columns:
        raise OptionError(
            tr(
                "{name} gives scores of frames by an output of its own, which the "
                "page does not read; let the server run it",
                name=model.name,
            )
        )
    is_whole = isinstance(model.network, WholeNetwork) or (
        isinstance(model.network, LogMelNetwork) and model.network.is_cut
    )
    content = None
    if is_whole:
        content = with_heads(model) if heads_are_new else model.whole_file()
    content = content or _exported(model)
    if isinstance(model.network, LogMelNetwork):
        content = _with_framewise_outputs(model, content) or content
    name = name or model.name
    stem = re.sub(r"[^A-Za-z0-9]+", "-", name).strip("-").lower() or "model"
    url = f"models/{stem}-{hashlib.sha256(content).hexdigest()[:8]}.tflite"
    return DeviceModel(name, url, content, model)


def describe_model(model: AudioModel, device: DeviceModel | None) -> dict[str, Any]:
    """What the page knows of a model before it runs; page.json and /web/models.json both say this.

    device: its file for a browser, whose url, size and hash these are; None if only a server can
    run it. calibrated: its results are probabilities, by this calibration. thresholds: one for each
    label, or None where the model has none of its own. imageSamples: as `AudioModel`'s. columns:
    as `framewise_columns`. leastSimilarity: below it is unknown, None of a model that does not
    tell. kinship: of each label, the columns above it and right above it; None where none is above
    another.
    """
    head, windows, own = model.head, model.windows, dict(model.head.thresholds)
    content = None if device is None else device.content
    return {
        "name": model.name if device is None else device.name,
        "summary": model.summary,
        "licence": model.licence,
        "attribution": model.attribution,
        "url": None if device is None else device.url,
        "bytes": None if content is None else len(content),
        "sha256": None if content is None else hashlib.sha256(content).hexdigest(),
        "sampleRateHz": windows.sample_rate_hz,
        "windowSamples": windows.window_samples,
        "hopSamples": windows.hop_samples,
        "imageSamples": model.image_samples,
        "columns": framewise_columns(model),
        "leastSimilarity": model.least_similarity,
        "heads": [each.name for each in model.heads],
        "calibrated": head.calibration is not None,
        "calibration": _calibration_of(head),
        "classes": len(head.labels),
        "labels": list(head.labels),
        "thresholds": [own.get(label, DEFAULT_THRESHOLD) for label in head.labels] if own else None,
        "kinship": _kinship_of(head.labels),
    }


def _calibration_of(head: Head) -> dict[str, Any] | None:
    if head.calibration is None:
        return None
    return {
        "text": head.calibration.text(),
        "transformation": head.calibration.transformation.value,
        "defaultScore": head.calibration.default_score,
    }


def _kinship_of(labels: tuple[str, ...]) -> dict[str, list[list[int]]] | None:
    above = {"ancestors": ancestors, "parents": parents}
    kinship = {
        name: [sorted(columns) for columns in columns_above(labels, find)]
        for name, find in above.items()
    }
    return kinship if any(kinship["ancestors"]) else None


def _exported(model: AudioModel) -> bytes:
    with tempfile.TemporaryDirectory() as scratch:
        path = Path(scratch) / "model.tflite"
        export(model, path)
        load_model(path)  # its metadata must have all that the page needs
        return path.read_bytes()


def _with_framewise_outputs(model: AudioModel, content: bytes) -> bytes | None:
    """The file with the framewise scores of each head behind its outputs; None if there are none.

    Raises ModelFormatError if it does not give what oido's own network gives.
    """
    graph = TfliteGraph(content)
    outputs = graph.outputs()
    extended = with_framewise(GraphWriter.on(content).finish([*outputs, graph.embedding()]))
    if extended is None:
        return None
    wide, columns = extended
    tensors = TfliteGraph(wide).outputs()
    added = tensors[len(outputs) + 1 :]
    numbers = _head_outputs(graph, content)
    chosen = [*tensors[: len(outputs)], *(added[number] for number in numbers)]
    names = [PlainOutput(f"{head.name}{FRAMEWISE}") for head in model.heads]
    finished = with_more_outputs(model, content, GraphWriter.on(wide).finish(chosen), names)
    if finished is None:
        return None
    _check(model, finished, numbers, len(outputs), columns)
    return finished


def _head_outputs(graph: TfliteGraph, content: bytes) -> list[int]:
    """The outputs that give scores."""
    raw = graph.metadata()
    assert raw is not None
    metadata = read_metadata(raw, content)
    known = range(min(len(graph.output_sizes()), len(metadata.outputs)))
    return [number for number in known if metadata.outputs[number].label_file is not None]


def _check(
    model: AudioModel, content: bytes, heads: list[int], n_outputs: int, columns: int
) -> None:
    framewise = range(n_outputs, n_outputs + len(heads))
    runtime = whole_runtime(WholeNetwork(content, (*heads, *framewise)))
    predictor = Predictor.of(model, framewise=True)
    n_classes = sum(len(head.labels) for head in model.heads)
    for window in check_windows(model.windows.window_samples):
        expected = predictor.predict(window, model.windows.hop_samples)
        assert expected.framewise is not None
        found = runtime.run(window[None]).scores[0]
        sizes = np.cumsum([columns * len(head.labels) for head in model.heads])
        pieces = np.split(found[n_classes:], sizes)
        parts = [piece.reshape(columns, -1) for piece in pieces[: len(heads)]]
        differences = (
            found[:n_classes] - expected.scores[0, :n_classes],
            np.concatenate(parts, axis=1) - expected.framewise[0, :, :n_classes],
        )
        if not max(float(np.abs(each).max()) for each in differences) <= _TOLERANCE:
            raise ModelFormatError(
                tr("{name} gives other framewise scores than it should", name=model.name)
            )
