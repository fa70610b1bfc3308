# SPDX-License-Identifier: Apache-2.0
"""Models that are not in the catalogue: accepted only if the cut graph says what the whole says."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import flatbuffers
import numpy as np
from ai_edge_litert import schema_py_generated as schema

import oido
from oido.models.model import AudioModel, WholeNetwork
from oido.runtime.litert import WholeRuntime

STREET = Path(__file__).parents[2] / "examples" / "street.flac"
GATHER, DENSE = 2, 44
"""Operators of the published graph: frames are gathered in the second, scores made in the other."""


def edited(model: AudioModel, path: Path, edit: Callable[[Any, Any], None]) -> Path:
    content = model.path.read_bytes()
    parsed = schema.ModelT.InitFromPackedBuf(content, 0)
    edit(parsed, parsed.subgraphs[0])
    builder = flatbuffers.Builder(1 << 20)
    builder.Finish(parsed.Pack(builder), b"TFL3")
    labels = content[content.rindex(b"PK\x03\x04") :]  # the ZIP with the labels
    path.write_bytes(bytes(builder.Output()) + labels)
    return path


def constant(parsed: Any, graph: Any, tensor: int, dtype: Any) -> Any:
    buffer = parsed.buffers[graph.tensors[tensor].buffer]
    values = np.frombuffer(bytes(buffer.data), dtype).copy()
    return buffer, values.reshape(graph.tensors[tensor].shape)


def store(buffer: Any, values: Any) -> None:
    buffer.data = np.frombuffer(np.ascontiguousarray(values).tobytes(), np.uint8)


def test_another_head_is_heard_as_the_file_says(
    model: AudioModel, classifier: oido.AudioClassifier, tmp_path: Path
) -> None:
    order = np.random.default_rng(5).permutation(521)

    def shuffle_head(parsed: Any, graph: Any) -> None:
        _, weights, bias = graph.operators[DENSE].inputs
        for tensor, dtype in ((weights, np.int8), (bias, np.int32)):
            buffer, values = constant(parsed, graph, tensor, dtype)
            store(buffer, values[order])

    custom = oido.AudioClassifier(edited(model, tmp_path / "shuffled.tflite", shuffle_head), jobs=1)
    assert (custom.classify(STREET).scores == classifier.classify(STREET).scores[:, order]).all()


def test_a_front_end_that_is_not_yamnets_is_run_as_it_is(model: AudioModel, tmp_path: Path) -> None:
    def reverse_time(parsed: Any, graph: Any) -> None:
        buffer, frames = constant(parsed, graph, graph.operators[GATHER].inputs[1], np.int32)
        store(buffer, frames[::-1])

    path = edited(model, tmp_path / "reversed.tflite", reverse_time)
    classifier = oido.AudioClassifier(path, jobs=1)
    noise = np.random.default_rng(3).uniform(-0.5, 0.5, 15_600).astype(np.float32)
    result = classifier.classify(noise, 16_000)
    assert isinstance(classifier.model.network, WholeNetwork)
    assert (result.scores == WholeRuntime(path.read_bytes()).run(noise[None]).scores).all()
    assert result.embeddings.shape == (1, 0)


def test_the_same_file_by_its_path_is_the_same_model(
    model: AudioModel, classifier: oido.AudioClassifier
) -> None:
    by_path = oido.AudioClassifier(model.path, jobs=1)
    assert (by_path.classify(STREET).scores == classifier.classify(STREET).scores).all()
