# SPDX-License-Identifier: Apache-2.0
"""A model as one file for other programs: waveform in, scores out, checked before it is named."""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy as np

from oido.arrays import F32
from oido.errors import ModelFormatError, OptionError, needs_extra
from oido.heads import Head
from oido.inference.predictor import Predictor, whole_runtime
from oido.messages import tr
from oido.models.loading import load_model
from oido.models.model import (
    EMBEDDING,
    EMBEDDING_OUTPUT,
    FRAMEWISE_OUTPUT,
    FRAMEWISE_PREFIX,
    AudioModel,
    LogMelNetwork,
    Notes,
    Precision,
    WholeNetwork,
)
from oido.models.tflite.editor import TfliteGraph
from oido.models.tflite.front_end import whole_graph
from oido.models.tflite.metadata_writer import PlainOutput, annotate
from oido.models.tflite.onnx import to_onnx
from oido.runtime.base import Outputs
from oido.writers.atomic import keep_original, write_atomically

FRAMEWISE = tr("the same scores of each column of the window, in their order in time")
SIMILARITY = tr("how near the window is to the nearest class that was taught, -1 to 1")

ModelFormat = Literal["tflite", "onnx"]

_TOLERANCE = {
    ("tflite", "int8"): 1 / 256,
    ("tflite", "float32"): 1e-4,
    ("onnx", "int8"): 0.15,
    ("onnx", "float32"): 1e-3,
}
"""The largest difference of a score that passes. In ONNX, an int8 network is rounded to its steps
in float32, not as TensorFlow Lite does, and near a step that moves a score by some hundredths."""


@dataclass(frozen=True, repr=False)
class ExportReport:
    """What was written, and how it was checked.

    outputs: their names and sizes, which end their ``shapes``. largest_difference: between a score
    of the file, run by LiteRT or onnxruntime, and the same one of oido, over ``checked_windows``
    windows of many kinds.
    """

    path: Path
    format: ModelFormat
    size_bytes: int
    sample_rate_hz: int
    window_samples: int
    outputs: tuple[tuple[str, int], ...]
    precision: Precision
    checked_windows: int
    largest_difference: float
    shapes: tuple[tuple[int, ...], ...] = ()

    def __repr__(self) -> str:
        names = ", ".join(name for name, _ in self.outputs)
        size = f"{self.size_bytes / 1e6:.1f} MB"
        largest = f"by at most {self.largest_difference:.3g} on {self.checked_windows} windows"
        what = f"{self.format}, {size}, outputs {names}"
        return f"<ExportReport {self.path.name}: {what}; scores differ {largest}>"


def export(
    model: str | os.PathLike[str] | AudioModel,
    path: str | os.PathLike[str],
    *,
    format: ModelFormat | None = None,
    precision: Precision | None = None,
    embedding: bool = False,
    window: float | None = None,
    framewise: bool = False,
) -> ExportReport:
    """Write a model as one file that takes a window of waveform and gives scores.

        oido.export("efficientat/mn04", "mn04.tflite", window=2.0)

    model: a name, a path, or a loaded model. path: where to; its ending chooses the format, unless
        ``format`` does. precision: of a quantised YAMNet, "int8" (its own) or "float32".
    embedding: a further output, the network's embedding. window: seconds that the file takes at
        once, for a network that hears any length (mn04: 10 s). framewise: a further output for each
        head, [1, columns, classes]: the scores of the window's parts (YAMNet: 3 of 0.32 s), which
        `ClassificationResult.framewise_scores` are made from. Its name is "framewise_scores", or,
        with several heads, "framewise_" and the head's.

    The .tflite has the front end inside, and labels, sample rate, calibration and thresholds in its
    metadata: LiteRT, MediaPipe and the Task Library run it. The file is run on windows of noise,
    tones, clicks and silence before it gets its name; ModelFormatError if it says something else
    than oido does. The model's own file, if that is replaced, is kept as ``….orig``. Raises
    OptionError, ModelError, OutputError, and MissingExtraError for ONNX without `oido[onnx]`.
    """
    path = Path(path)
    chosen = format or _format_of(path)
    if not isinstance(model, AudioModel):
        model = load_model(model, precision=precision, window_seconds=window)
    elif precision not in (None, model.precision) or window is not None:
        raise OptionError(
            tr("precision and window are chosen when a model is loaded; give its name")
        )
    content, outputs = whole_file(model, embedding=embedding, framewise=framewise)
    if chosen == "onnx":
        content = to_onnx(content, _properties(model))
    names = tuple((output.name, shape[-1]) for output, shape in outputs)
    report = ExportReport(
        path,
        chosen,
        len(content),
        model.windows.sample_rate_hz,
        model.windows.window_samples,
        names,
        model.precision,
        *_checked(model, content, chosen, [name for name, _ in names], framewise),
        shapes=tuple(shape for _, shape in outputs),
    )
    with write_atomically(path, binary=True) as file:
        file.stream.write(content)
        # Of a taught model that is not written yet there is no file any more.
        if path.exists() and model.path.exists() and path.samefile(model.path):
            keep_original(path)
    return report


def whole_file(
    model: AudioModel, *, embedding: bool = False, framewise: bool = False
) -> tuple[bytes, list[tuple[Head | PlainOutput, tuple[int, ...]]]]:
    """A model as one annotated .tflite, and its outputs with their shapes. Raises OptionError."""
    original = model.whole_file()
    outputs: list[tuple[Head | PlainOutput, tuple[int, ...]]]
    outputs = [(head, (1, len(head.labels))) for head in model.heads]
    if isinstance(model.network, WholeNetwork):
        if embedding and model.network.embedding is None:
            raise OptionError(tr("{name} gives scores only, and no embeddings", name=model.name))
        if framewise:
            raise _no_framewise(model)
        if embedding:
            original = model.network.content
            size = TfliteGraph(original).output_sizes()[model.network.embedding or 0]
            outputs.append((PlainOutput(EMBEDDING_OUTPUT, EMBEDDING), (1, size)))
        return original, outputs
    graph = whole_graph(model, original)
    named = {head.name: tensor for head, tensor in zip(model.heads, graph.scores)}
    for novelty, tensor in zip(model.novelties, graph.scores[len(model.heads) :]):
        named[novelty.output] = tensor
        outputs.append((PlainOutput(novelty.output, SIMILARITY), (1, 1)))
    if embedding:
        named[EMBEDDING_OUTPUT] = graph.embedding
        shape = graph.writer.shape(graph.embedding)
        outputs.append((PlainOutput(EMBEDDING_OUTPUT, EMBEDDING), shape))
    if framewise:
        tensors = graph.framewise()
        if tensors is None:
            raise _no_framewise(model)
        for head, tensor in zip(model.heads, tensors):
            name = _framewise_name(model, head)
            named[name] = tensor
            output = Head(name, head.labels, description=FRAMEWISE)
            outputs.append((output, graph.writer.shape(tensor)))
    content = annotate(
        graph.writer.finish(named),
        [output for output, _ in outputs],
        sample_rate_hz=model.windows.sample_rate_hz,
        name=model.name,
        description=model.summary,
        licence=model.licence,
        author=model.attribution,
        notes=_notes(model),
    )
    return content, outputs


def _framewise_name(model: AudioModel, head: Head) -> str:
    """The output with the framewise scores of a head."""
    return FRAMEWISE_OUTPUT if len(model.heads) == 1 else f"{FRAMEWISE_PREFIX}{head.name}"


def _no_framewise(model: AudioModel) -> OptionError:
    return OptionError(
        tr("{name} gives scores of whole windows only, and no framewise ones", name=model.name)
    )


def _notes(model: AudioModel) -> Notes:
    """What oido should know when it loads the file, beyond what other programs read."""
    cut = isinstance(model.network, LogMelNetwork)  # whose windows follow from its front end
    return Notes(
        aggregations={h.name: h.aggregation for h in model.heads if h.aggregation},
        hop_samples=None if cut else model.windows.hop_samples,
        repeat_pause_samples=model.windows.repeat_pause_samples,
        novelty=model.novelty,
        base_novelty=model.base_novelty,
    )


def check_windows(samples: int) -> F32:
    """Windows that every exported file is tried on: f32[N, samples], always the same ones."""
    dice = np.random.default_rng(521)
    time = np.arange(samples) / samples
    sweep = np.sin(2 * np.pi * (50 + samples / 8 * time) * time * 4)
    clicks = np.zeros(samples)
    clicks[:: max(1, samples // 20)] = 0.9
    noises = [dice.normal(0, level, samples) for level in (0.001, 0.03, 0.3)]
    pulses = noises[2] * (np.sin(2 * np.pi * 6 * time) > 0.5)
    windows = [np.zeros(samples), sweep * 0.5, clicks, *noises, pulses, sweep * time + pulses * 0.1]
    return np.clip(np.stack(windows), -1.0, 1.0).astype(np.float32)


def _checked(
    model: AudioModel, content: bytes, chosen: ModelFormat, names: list[str], framewise: bool
) -> tuple[int, float]:
    """How many windows, and the largest difference of a score. Raises ModelFormatError.

    names: of the file's outputs, in their order.
    """
    windows = check_windows(model.windows.window_samples)
    wanted = [head.name for head in model.heads]
    wanted += [novelty.output for novelty in model.novelties]
    wanted += [_framewise_name(model, head) for head in model.heads if framewise]
    if chosen == "onnx":
        run = _onnx_scores(content, wanted)
    elif isinstance(model.network, WholeNetwork):
        run = _tflite_scores(content, model.network.heads)
    else:
        run = _tflite_scores(content, [names.index(name) for name in wanted])
    predictor = Predictor.of(model, framewise=framewise)
    worst = 0.0
    for window in windows:
        outputs = predictor.predict(window, model.windows.hop_samples)
        expected = outputs.scores
        if framewise:
            expected = np.concatenate([expected, _columns_in_a_row(model, outputs)], axis=1)
        worst = max(worst, float(np.abs(run(window) - expected).max()))
    if not worst <= _TOLERANCE[chosen, model.precision]:
        raise ModelFormatError(
            tr(
                "{name} as {chosen} gives other scores than it should (by up to "
                "{worst:.3f}), so it was not written",
                name=model.name,
                chosen=chosen,
                worst=worst,
            )
        )
    return len(windows), worst


def _columns_in_a_row(model: AudioModel, outputs: Outputs) -> F32:
    """One window's framewise scores as the file has them: head after head, f32[1, all of them]."""
    assert outputs.framewise is not None  # the file has them by the same rule
    ends = np.cumsum([len(head.labels) for head in model.heads])
    heads = np.split(outputs.framewise[0], ends, axis=1)[: len(ends)]
    return np.concatenate([columns.reshape(1, -1) for columns in heads], axis=1)


def _tflite_scores(content: bytes, outputs: Sequence[int]) -> Callable[[F32], F32]:
    runtime = whole_runtime(WholeNetwork(content, tuple(outputs)))

    return lambda window: runtime.run(window[None]).scores


def _onnx_scores(content: bytes, names: list[str]) -> Callable[[F32], F32]:
    with needs_extra(
        tr("ONNX files are checked by onnxruntime: install it with pip install 'oido[onnx]'")
    ):
        import onnxruntime
    session = onnxruntime.InferenceSession(content, providers=["CPUExecutionProvider"])
    entry = session.get_inputs()[0].name

    def run(window: F32) -> F32:
        outputs: list[F32] = session.run(names, {entry: window})
        scores: F32 = np.concatenate([s.reshape(1, -1) for s in outputs], axis=1)
        return scores

    return run


def _properties(model: AudioModel) -> dict[str, str]:
    """What the metadata of an ONNX file say; lists are JSON."""
    return {
        "name": model.name,
        "sample_rate_hz": str(model.windows.sample_rate_hz),
        "window_samples": str(model.windows.window_samples),
        **{f"labels:{h.name}": json.dumps(h.labels, ensure_ascii=False) for h in model.heads},
        "licence": model.licence,
        "attribution": model.attribution,
    }


def _format_of(path: Path) -> ModelFormat:
    if path.suffix == ".tflite":
        return "tflite"
    if path.suffix == ".onnx":
        return "onnx"
    raise OptionError(tr("{path}: the ending says no format; name it .tflite or .onnx", path=path))
