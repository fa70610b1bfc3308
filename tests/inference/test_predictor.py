# SPDX-License-Identifier: Apache-2.0
"""Models made ready to run: strangers are tried first, and shared work changes no window.

A model that is not in the catalogue is accepted only if its cut graph says what the whole says.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from pathlib import Path
from typing import Any

import flatbuffers
import numpy as np
import pytest
from ai_edge_litert import schema_py_generated as schema

import oido
from oido.heads import Head
from oido.inference.block import PatchMemory, WorkItem
from oido.inference.predictor import (
    BatchPredictor,
    Predictor,
    PredictorPool,
    SharedFrames,
    networks_of,
    validated,
)
from oido.models.loading import ensemble, load_model
from oido.models.model import AudioModel, LogMelNetwork, WholeNetwork
from oido.models.tflite.builder import GraphWriter
from oido.models.tflite.metadata_writer import annotate
from oido.runtime.fake import FakeRuntime
from oido.runtime.litert import WholeRuntime
from oido.signal.framing import Segment

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


@pytest.mark.parametrize("hop_frames", [1, 47, 48, 95, 96])
def test_patches_are_those_of_each_window_alone(model: AudioModel, hop_frames: int) -> None:
    assert isinstance(model.network, LogMelNetwork)
    ear, window = Predictor.of(model), model.windows.window_samples
    frames = SharedFrames(ear.frames, model.network.front_end)
    rng, hop = np.random.default_rng(hop_frames), hop_frames * 160
    sounds = rng.normal(0, 0.1, (3, window + 12 * hop)).astype(np.float32)
    memories = [PatchMemory() for _ in sounds]

    def work(source: int, number: int) -> WorkItem:
        waveform = sounds[source][number * hop :][:window]
        return WorkItem(0, Segment(number, 1, waveform, hop), memories[source])

    # Alone, side by side, several of one source at once, and with a window left out.
    for batch in ([(0, 0)], [(0, 1), (1, 0), (2, 0)], [(1, 1), (0, 2), (0, 3), (0, 4)],
                  [(2, 5), (0, 5), (1, 2)], [(2, 6), (1, 4), (1, 5)]):  # fmt: skip
        works = [work(*one) for one in batch]
        made = frames.patches(works)
        for one, patch in zip(works, made):
            assert np.array_equal(patch, ear.patches(one.segment.waveform, hop)[0])


def test_a_batch_of_many_sources_is_each_alone(model: AudioModel) -> None:
    """Single windows and segments of several, in one call: more than the network runs at once."""
    batch, alone = BatchPredictor(model), Predictor.of(model)
    rng, window = np.random.default_rng(11), model.windows.window_samples
    items = []
    for n_windows in [1] * 9 + [3, 1, 12]:
        sound = rng.normal(0, 0.1, window + (n_windows - 1) * 7_680).astype(np.float32)
        items.append(WorkItem(0, Segment(0, n_windows, sound, 7_680), PatchMemory()))
    outputs = batch.predict(items)
    assert [len(found.scores) for found in outputs] == [1] * 9 + [3, 1, 12]
    for found, item in zip(outputs, items):
        expected = alone.predict(item.segment.waveform, 7_680)
        assert np.array_equal(found.scores, expected.scores)
        assert np.array_equal(found.embeddings, expected.embeddings)


def test_a_network_of_the_waveform_itself_is_batched_too(model: AudioModel) -> None:
    """Run as a whole, there are no frames to share: windows are put one behind the other."""
    assert isinstance(model.network, LogMelNetwork)
    whole = WholeNetwork(model.path.read_bytes(), model.network.graph.heads)
    stranger = dataclasses.replace(model, network=whole)
    rng, window = np.random.default_rng(12), model.windows.window_samples
    sounds = rng.normal(0, 0.1, (3, window)).astype(np.float32)
    items = [WorkItem(0, Segment(0, 1, sound, 7_680), PatchMemory()) for sound in sounds]
    outputs = BatchPredictor(stranger).predict(items)
    for found, sound in zip(outputs, sounds):
        assert np.array_equal(found.scores, Predictor.of(model).predict(sound, 7_680).scores)
    with pytest.raises(oido.OptionError, match="no log-mel frames"):
        Predictor.of(stranger).frames(sounds[0])


def test_two_networks_have_a_predictor_each(model: AudioModel) -> None:
    both = ensemble(model, model)
    assert networks_of(both) == (model, model)
    assert networks_of(model) == (model,)
    with pytest.raises(oido.OptionError, match="two networks; choose one of them"):
        Predictor.of(both)
    assert validated(both) is both
    sound = np.random.default_rng(2).normal(0, 0.1, 15_600).astype(np.float32)
    pool, segment = PredictorPool.of(both), Segment(0, 1, sound, 7_680)
    first, second = (pool.predict(WorkItem(n, segment, PatchMemory())) for n in (0, 1))
    assert np.array_equal(first.scores, second.scores)


def test_a_predictor_comes_back_to_the_pool_even_after_an_error() -> None:
    made: list[Predictor] = []

    class Failing(FakeRuntime):
        def run(self, patches: Any) -> Any:
            raise RuntimeError("out of order")

    def one_patch(waveform: Any, hop_samples: int) -> Any:
        return waveform[None, None]

    def make() -> Predictor:
        made.append(Predictor(one_patch, Failing(2)))
        return made[-1]

    pool = PredictorPool([make])
    item = WorkItem(0, Segment(0, 1, np.zeros(4, np.float32), 4), PatchMemory())
    for _ in range(3):
        with pytest.raises(RuntimeError, match="out of order"):
            pool.predict(item)
    assert len(made) == 1


def test_a_stranger_that_gives_no_finite_score_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "broken.tflite"
    for bias in (-1.0, 2.0):  # there is no logarithm of −1
        writer = GraphWriter("a logarithm")
        dense = writer.dense(
            writer.input("waveform", (1, 400)),
            np.zeros((2, 400), np.float32),
            np.full(2, bias, np.float32),
        )
        content = writer.finish([writer.log(dense)])
        path.write_bytes(annotate(content, [Head("scores", ("a", "b"))], sample_rate_hz=8_000))
        if bias > 0:
            assert validated(load_model(path)).labels == ("a", "b")
        else:
            with pytest.raises(oido.ModelFormatError, match="one score for each of its labels"):
                validated(load_model(path))
