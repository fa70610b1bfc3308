# SPDX-License-Identifier: Apache-2.0
"""Waveform models as others publish them: each is run as LiteRT runs it, and named rightly.

The networks are small and made here: the mean of eight bands of a window, and a layer behind it.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from ai_edge_litert import schema_py_generated as schema
from ai_edge_litert.interpreter import Interpreter

from oido import AudioClassifier, AudioEmbedder, export
from oido.cli.main import run
from oido.errors import ModelFormatError, OptionError
from oido.heads import Head, ScoreCalibration, ScoreTransformation, Sigmoid
from oido.models.loading import load_model
from oido.models.model import WholeNetwork
from oido.models.tflite.builder import GraphWriter
from oido.models.tflite.metadata_writer import annotate
from oido.models.tflite.packing import pack, unpack

RATE, SAMPLES, CLASSES = 8_000, 1_600, 3
LABELS = ("crow", "frog", "rain")
DICE = np.random.default_rng(5)
WEIGHTS = DICE.normal(0, 2, (CLASSES, 4)).astype(np.float32)
SOUND = (DICE.normal(0, 0.2, 4 * SAMPLES)).clip(-1, 1).astype(np.float32)


class Maker(GraphWriter):
    """Adds to a graph what oido itself never writes."""

    def further_input(self, name, values, dtype):
        tensor = self._tensor(name, (len(values),), dtype)
        self._graph.tensors[tensor].name = f"serving_default_{name}:0"
        self._graph.inputs = [*self._graph.inputs, tensor]
        return tensor

    def cast(self, x):
        return self._add("CAST", [x], self.shape(x), "CastOptions")

    def shape_of(self, x):
        sides, kind = (len(self.shape(x)),), schema.TensorType.INT32
        return self._add("SHAPE", [x], sides, "ShapeOptions", np.int32, outType=kind)

    def reshape_by(self, x, tensor, shape):
        return self._add("RESHAPE", [x, tensor], shape, "ReshapeOptions")

    def tensors(self):
        return self._graph.tensors


def front(writer, x, frames=SAMPLES // 4):
    """Waveform → the mean of an image [1, 4]: energies of every fourth sample."""
    squares = writer.multiply(x, x)
    image = writer.reshape(squares, (1, frames, 1, 4))
    return writer.mean(image)


def head(writer, pool):
    return writer.dense(pool, WEIGHTS, np.array([-1, 0, 1], np.float32))


def network(end=lambda writer, logits: logits, shape=(1, SAMPLES)):
    writer = Maker("made here", batch=False)
    scores = head(writer, front(writer, writer.input("waveform", shape)))
    return writer.finish([end(writer, scores)])


def annotated(content, tmp_path, *options, labels=LABELS, name="made.tflite"):
    """The file as `oido models annotate` makes it of labels in a text file."""
    path, names = tmp_path / name, tmp_path / "labels.txt"
    path.write_bytes(content)
    names.write_text("\n".join(labels), encoding="utf-8")
    arguments = ["--labels", str(names), "--sample-rate", str(RATE), *options]
    assert run(["models", "annotate", str(path), *arguments]) == 0
    return path


def untried(content, tmp_path):
    """The file with labels and rate written into it, which `oido models annotate` tries first."""
    path = tmp_path / "untried.tflite"
    path.write_bytes(annotate(content, [Head("scores", LABELS)], sample_rate_hz=RATE))
    return path


def by_litert(content, window, **further):
    """All outputs of the raw file."""
    interpreter = Interpreter(model_content=content)
    entries = interpreter.get_input_details()
    interpreter.resize_tensor_input(entries[0]["index"], window.shape)
    interpreter.allocate_tensors()
    interpreter.set_tensor(entries[0]["index"], window)
    for entry in entries[1:]:
        name = entry["name"].removeprefix("serving_default_").removesuffix(":0")
        interpreter.set_tensor(entry["index"], further[name])
    interpreter.invoke()
    return [interpreter.get_tensor(d["index"]) for d in interpreter.get_output_details()]


def sigmoid(x):
    return 1 / (1 + np.exp(-x.astype(np.float64)))


def scores_of(path, **options):
    return AudioClassifier(path, hop="window", **options).classify(SOUND, RATE).scores


def windows(n=SAMPLES):
    return SOUND[: len(SOUND) // n * n].reshape(-1, n)


def expected(content, end=sigmoid):
    return np.concatenate([end(by_litert(content, w[None])[0].reshape(1, -1)) for w in windows()])


@pytest.mark.parametrize(
    ("kind", "end"),
    [
        ("logits", lambda w, x: x),
        ("sigmoid", lambda w, x: w.sigmoid(x)),
        ("softmax", lambda w, x: w.softmax(x)),
    ],
)
def test_what_scores_are_follows_from_the_graphs_end(tmp_path, capsys, kind, end):
    content = network(end)
    path = annotated(content, tmp_path)
    want = expected(content, sigmoid if kind == "logits" else np.asarray)
    np.testing.assert_allclose(scores_of(path), want, atol=1e-5)
    assert load_model(path).head.kind == kind
    run(["models", "info", str(path)])
    said = {"logits": "the sigmoid of its logits", "sigmoid": "raw, 0..1", "softmax": "a softmax"}
    assert said[kind] in capsys.readouterr().out


def test_logits_behind_reshapes_and_a_bias_of_its_own(tmp_path):
    def end(writer, x):
        biased = writer.add(x, writer.constant(np.array([[0.5, 0, 0]], np.float32)))
        return writer.reshape(biased, (1, 1, CLASSES))

    content = network(end)
    path = annotated(content, tmp_path)
    np.testing.assert_allclose(scores_of(path), expected(content), atol=1e-5)


def test_an_unknown_end_that_leaves_0_to_1_must_be_named(tmp_path):
    content = network(lambda w, x: w.subtract(x, w.constant(np.float32([[2.0, 2.0, 2.0]]))))
    with pytest.raises(ModelFormatError, match="--scores logits"):
        AudioClassifier(untried(content, tmp_path))
    path = annotated(content, tmp_path, "--scores", "logits")
    np.testing.assert_allclose(scores_of(path), expected(content), atol=1e-5)


def test_what_the_metadata_say_of_logits_is_said_of_their_sigmoid(tmp_path):
    """A calibration of logits gives the same probabilities, and its limits stay where they are."""
    content = network()
    sigmoids = (Sigmoid(1, 0.7, 0.2), Sigmoid(0.9, 2, -0.5, -0.25), None)
    calibration = ScoreCalibration(sigmoids, ScoreTransformation.IDENTITY, 0.125)
    made = Head("scores", LABELS, calibration, score_threshold=-0.5)
    path = tmp_path / "calibrated.tflite"
    path.write_bytes(annotate(content, [made], sample_rate_hz=RATE))
    logits = expected(content, np.asarray)
    first = 1 / (1 + np.exp(-(0.7 * logits[:, 0] + 0.2)))
    second = np.where(logits[:, 1] < -0.25, 0.125, 0.9 / (1 + np.exp(-(2 * logits[:, 1] - 0.5))))
    result = AudioClassifier(path, hop="window").classify(SOUND, RATE)
    np.testing.assert_allclose(result.probabilities[:, :2].T, [first, second], atol=1e-5)
    assert 0 < result.scores.min() < result.scores.max() < 1
    assert load_model(path).head.score_threshold == pytest.approx(sigmoid(np.float32(-0.5)))


@pytest.mark.parametrize("shape", [(SAMPLES,), (1, SAMPLES), (SAMPLES, 1), (1, SAMPLES, 1)])
def test_a_window_may_lie_in_any_shape(tmp_path, shape):
    content = network(shape=shape)
    path = annotated(content, tmp_path)
    want = [sigmoid(by_litert(content, w.reshape(shape))[0][0]) for w in windows()]
    np.testing.assert_allclose(scores_of(path), want, atol=1e-5)


def open_length():
    """A network of any length: the shape of its image is computed from that of its input."""
    writer = Maker("open", batch=False)
    x = writer.input("waveform", (1, 1))
    squares = writer.multiply(x, x)
    image = writer.reshape_by(squares, writer.constant(np.int32([1, -1, 1, 4])), (1, 1, 1, 4))
    content = writer.finish([head(writer, writer.mean(image))])
    model, graph = unpack(content)
    for tensor in graph.tensors:
        if tensor.name.startswith((b"waveform", b"op0")):
            tensor.shapeSignature = np.array([1, -1], np.int32)
    return pack(model)


@pytest.mark.parametrize("signature", [(1, -1), (-1, -1)])
def test_open_shapes(tmp_path, capsys, signature):
    model, graph = unpack(open_length())
    graph.tensors[graph.inputs[0]].shapeSignature = np.array(signature, np.int32)
    content = pack(model)
    path = annotated(content, tmp_path, "--window", str(SAMPLES / RATE))
    np.testing.assert_allclose(scores_of(path), expected(content), atol=1e-5)
    path = annotated(content, tmp_path, name="second.tflite")
    assert "--window" in capsys.readouterr().err
    assert load_model(path).windows.window_samples == RATE
    assert load_model(path, window_seconds=0.5).windows.window_samples == RATE // 2


def test_an_open_batch(tmp_path):
    model, graph = unpack(network())
    graph.tensors[graph.inputs[0]].shapeSignature = np.array([-1, SAMPLES], np.int32)
    content = pack(model)
    path = annotated(content, tmp_path)
    np.testing.assert_allclose(scores_of(path), expected(content), atol=1e-5)


def test_shapes_that_a_graph_computes_and_a_constant_of_no_values(tmp_path):
    """BirdNET's: a scalar is made of one value by a RESHAPE to no shape at all."""
    writer = Maker("computed", batch=False)
    x = writer.input("waveform", (1, SAMPLES))
    shape = writer.shape_of(x)
    length = writer._add(
        "SLICE",
        [shape, writer.constant(np.int32([1])), writer.constant(np.int32([1]))],
        (1,),
        "SliceOptions",
        np.int32,
    )
    nothing = writer.constant(np.zeros(0, np.int32))
    scalar = writer._add("RESHAPE", [length, nothing], (), "ReshapeOptions", np.int32)
    rows = writer._add(
        "FLOOR_DIV",
        [scalar, writer.constant(np.array(4, np.int32))],
        (),
        "FloorDivOptions",
        np.int32,
    )
    sides = [writer.constant(np.array(n, np.int32)) for n in (1, 4)]
    packed = writer._add(
        "PACK",
        [sides[0], rows, sides[0], sides[1]],
        (4,),
        "PackOptions",
        np.int32,
        valuesCount=4,
        axis=0,
    )
    image = writer.reshape_by(writer.multiply(x, x), packed, (1, SAMPLES // 4, 1, 4))
    content = writer.finish([head(writer, writer.mean(image))])
    path = annotated(content, tmp_path)
    np.testing.assert_allclose(scores_of(path), expected(content), atol=1e-5)
    kept = load_model(path).network.content
    codes = {op.opcodeIndex for op in unpack(kept)[1].operators}
    assert len(codes) < len({op.opcodeIndex for op in unpack(content)[1].operators})
    np.testing.assert_array_equal(scores_of(path), scores_of(path))  # from the cache


def of_type(dtype, step=None, zero=0):
    """A network whose input is of another type than float32: it undoes the steps by itself."""
    writer = Maker("input", batch=False)
    tensor = writer._tensor("samples", (1, SAMPLES), dtype)
    writer._graph.inputs = [tensor]
    if step is not None:
        steps = schema.QuantizationParametersT()
        steps.scale, steps.zeroPoint = np.float32([step]), np.int64([zero])
        writer.tensors()[tensor].quantization = steps
    if np.dtype(dtype).kind == "f":
        floats = writer.cast(tensor)
    elif step is None or np.dtype(dtype) == np.int16:
        floats = writer.multiply(writer.cast(tensor), writer.constant(np.float32([step or PCM])))
    else:
        floats = writer.dequantize(tensor)
    return writer.finish([head(writer, front(writer, floats))])


PCM = 1 / 32_768


@pytest.mark.parametrize(
    ("dtype", "step", "zero"),
    [
        (np.int16, 1 / 16_384, 0),
        (np.int16, None, 0),
        (np.int8, 1 / 128, 0),
        (np.int8, 1 / 100, -7),
        (np.uint8, 1 / 128, 128),
        (np.uint8, 1 / 90, 117),
        (np.float16, None, 0),
    ],
)
def test_inputs_of_other_types(tmp_path, dtype, step, zero):
    """Integers with steps of their own, or of 16 bits as WAV files have them, and half floats."""
    content = of_type(dtype, step, zero)
    path = annotated(content, tmp_path)
    samples = windows()
    if np.dtype(dtype).kind != "f":
        bounds = np.iinfo(dtype)
        samples = np.round(samples / np.float32(step or PCM)) + zero
        samples = np.clip(samples, bounds.min, bounds.max)
    want = [sigmoid(by_litert(content, w[None])[0][0]) for w in samples.astype(dtype)]
    np.testing.assert_allclose(scores_of(path), want, atol=1e-5)
    assert export(path, tmp_path / "floats.tflite").largest_difference <= 1e-4
    np.testing.assert_allclose(scores_of(tmp_path / "floats.tflite"), want, atol=1e-5)


@pytest.mark.parametrize("dtype", [np.int8, np.uint8])
def test_integers_of_8_bits_without_steps_are_refused(tmp_path, dtype):
    writer = Maker("input", batch=False)
    tensor = writer._tensor("samples", (1, SAMPLES), dtype)
    writer._graph.inputs = [tensor]
    content = writer.finish([head(writer, front(writer, writer.cast(tensor)))])
    with pytest.raises(ModelFormatError, match="of integers, and nothing says of what steps"):
        load_model(untried(content, tmp_path))


def with_further(name, dtype, values):
    """A network whose logits are scaled by a further input."""
    writer = Maker("further", batch=False)
    x = writer.input("waveform", (1, SAMPLES))
    further = writer.further_input(name, values, dtype)
    factor = further if dtype == np.float32 else writer.cast(further)
    logits = writer.multiply(head(writer, front(writer, x)), factor)
    return writer.finish([logits])


@pytest.mark.parametrize(
    ("name", "dtype", "options", "value"),
    [
        ("sample_rate", np.int32, (), [RATE]),
        ("gain", np.float32, ("--input", "gain=0.5"), [0.5]),
        ("place", np.float32, ("--input", "place=0.5,1,2"), [0.5, 1.0, 2.0]),
    ],
)
def test_further_inputs(tmp_path, name, dtype, options, value):
    content = with_further(name, dtype, value)
    path = annotated(content, tmp_path, "--scores", "logits", *options)
    further = {name: np.array(value, dtype)}
    want = [sigmoid(by_litert(content, w[None], **further)[0][0]) for w in windows()]
    np.testing.assert_allclose(scores_of(path), want, atol=1e-5)
    result = export(path, tmp_path / "one-input.tflite")
    assert result.largest_difference <= 1e-4
    np.testing.assert_allclose(scores_of(tmp_path / "one-input.tflite"), want, atol=1e-5)


def test_a_further_input_without_a_value_is_named(tmp_path):
    path = untried(with_further("gain", np.float32, [1.0]), tmp_path)
    with pytest.raises(
        ModelFormatError, match=r"further input, 'gain' of 1 value.*--input 'gain=0'"
    ):
        load_model(path)


def test_a_further_input_that_is_a_constant_stays(tmp_path):
    content = with_further("gain", np.float32, [1.0])
    model, graph = unpack(content)
    buffer = schema.BufferT()
    buffer.data = np.frombuffer(np.float32([0.25]).tobytes(), np.uint8)
    model.buffers.append(buffer)
    graph.tensors[graph.inputs[1]].buffer = len(model.buffers) - 1
    path = annotated(pack(model), tmp_path, "--scores", "logits")
    further = {"gain": np.float32([0.25])}
    want = [sigmoid(by_litert(content, w[None], **further)[0][0]) for w in windows()]
    np.testing.assert_allclose(scores_of(path), want, atol=1e-5)


def numbers():
    """No waveform: it adds two numbers."""
    writer = Maker("numbers", batch=False)
    x = writer.input("numbers", (1, 2))
    return writer.finish([writer.add(x, x)])


def pools():
    """A waveform, but four numbers for it."""
    writer = Maker("pools", batch=False)
    return writer.finish([front(writer, writer.input("waveform", (1, SAMPLES)))])


@pytest.mark.parametrize("first", [numbers, pools])
@pytest.mark.parametrize("keys", [(b"train", b"serving_default"), (b"first", b"second")])
def test_the_signature_that_gives_scores_of_sound_is_run(tmp_path, keys, first):
    content = first()
    model, _ = unpack(content)
    sound, graph = unpack(network())
    codes, buffers = len(model.operatorCodes), len(model.buffers)
    model.operatorCodes += sound.operatorCodes
    model.buffers += sound.buffers
    for tensor in graph.tensors:
        tensor.buffer += buffers
    for op in graph.operators:
        op.opcodeIndex += codes
    model.subgraphs.append(graph)
    model.signatureDefs = []
    for number, key in enumerate(keys):
        signature = schema.SignatureDefT()
        signature.signatureKey, signature.subgraphIndex = key, number
        signature.inputs, signature.outputs = [], []
        for tensors, maps in (
            (model.subgraphs[number].inputs, signature.inputs),
            (model.subgraphs[number].outputs, signature.outputs),
        ):
            entry = schema.TensorMapT()
            entry.name, entry.tensorIndex = b"x", int(tensors[0])
            maps.append(entry)
        model.signatureDefs.append(signature)
    path = annotated(pack(model), tmp_path)
    np.testing.assert_allclose(scores_of(path), expected(network()), atol=1e-5)


def test_scores_of_many_frames_are_averaged(tmp_path):
    writer = Maker("frames", batch=False)
    x = writer.input("waveform", (1, SAMPLES))
    rows = writer.reshape(x, (SAMPLES // 4, 4))
    content = writer.finish([writer.sigmoid(head(writer, rows))])
    path = annotated(content, tmp_path)
    want = [by_litert(content, w[None])[0].mean(axis=0) for w in windows()]
    np.testing.assert_allclose(scores_of(path), want, atol=1e-5)


def test_the_pool_before_the_head_is_the_embedding(tmp_path):
    content = network()
    path = annotated(content, tmp_path)
    found = AudioEmbedder(path, hop="window").embed(SOUND, RATE).embeddings
    want = [(w.reshape(-1, 4) ** 2).mean(axis=0) for w in windows()]
    np.testing.assert_allclose(found, want, atol=1e-6)
    plain = network(lambda w, x: w.sigmoid(x))
    path = annotated(plain, tmp_path)
    model = load_model(path)
    assert isinstance(model.network, WholeNetwork)
    assert model.network.is_file
    assert model.whole_file() == path.read_bytes()


def test_without_a_pool_there_is_no_embedding_and_that_is_said(tmp_path):
    writer = Maker("flat", batch=False)
    x = writer.input("waveform", (1, SAMPLES))
    weights = DICE.normal(0, 0.1, (CLASSES, SAMPLES)).astype(np.float32)
    content = writer.finish([writer.dense(x, weights, np.zeros(CLASSES, np.float32))])
    path = annotated(content, tmp_path)
    assert scores_of(path).shape == (4, CLASSES)
    with pytest.raises(OptionError, match="no pool before its head"):
        AudioEmbedder(path)


def test_an_output_without_labels_goes_with_the_others(tmp_path):
    """Scores and embedding, in the order of the file; one list of labels is enough."""
    writer = Maker("two", batch=False)
    pool = front(writer, writer.input("waveform", (1, SAMPLES)))
    content = writer.finish({"my_embedding": pool, "classes": head(writer, pool)})
    path = annotated(content, tmp_path)
    want = [sigmoid(by_litert(content, w[None])[1][0]) for w in windows()]
    np.testing.assert_allclose(scores_of(path), want, atol=1e-5)
    assert AudioEmbedder(path, hop="window").embed(SOUND, RATE).embeddings.shape == (4, 4)


def test_labels_of_two_names(tmp_path):
    labels = ("Corvus corax_Common Raven", "Corvus brachyrhynchos_American Crow", "Noise_Noise")
    path = annotated(network(), tmp_path, labels=labels)
    classifier = AudioClassifier(path)
    assert classifier.labels == labels
    shown = {c.display_name for c in classifier.classify(SOUND, RATE).windows(3)[0].categories}
    raven = "Common Raven (Corvus corax)"
    assert shown == {raven, "American Crow (Corvus brachyrhynchos)", "Noise"}
    for name in ("common raven", "Corvus corax", raven, labels[0]):
        assert classifier.label_indices([name]) == [0]
    plain = AudioClassifier(annotated(network(), tmp_path, labels=("dog_bark", "a_b", "c_d")))
    assert plain.postprocessor.selector.display_names == ("dog_bark", "a_b", "c_d")


def test_notes_of_other_models_are_as_they_were(tmp_path):
    path = annotated(network(lambda w, x: w.sigmoid(x)), tmp_path)
    assert b"oido.json" not in path.read_bytes()
    model = load_model(path)
    assert replace(model.head, kind="logits") == model.head
