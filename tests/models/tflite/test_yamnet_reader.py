# SPDX-License-Identifier: Apache-2.0
"""YAMNet's weights out of a .tflite: every number is the one that LiteRT itself reads."""

from __future__ import annotations

import contextlib
import copy
import dataclasses
from pathlib import Path

import numpy as np
import pytest
from ai_edge_litert import schema_py_generated as schema
from ai_edge_litert.interpreter import Interpreter

from oido.errors import ModelFormatError
from oido.inference.classifier import AudioClassifier
from oido.models.loading import load_model
from oido.models.networks.yamnet import LAYERS, YamNetWeights, network
from oido.models.tflite.yamnet_reader import from_float, from_int8

STREET = Path(__file__).parents[3] / "examples" / "street.flac"


@pytest.fixture(scope="module")
def content(model):
    return model.path.read_bytes()


@pytest.fixture(scope="module")
def weights(content):
    return from_int8(content)


def test_every_number_is_what_the_interpreter_says(model, weights):
    """Quantised values and scales by LiteRT's own reading of the file, not by ours."""
    interpreter = Interpreter(model_path=str(model.path), num_threads=1)
    stored = {}
    for details in interpreter.get_tensor_details():
        quantised = details["quantization_parameters"]
        scales, axis = quantised["scales"], quantised["quantized_dimension"]
        if details["dtype"] in (np.int8, np.int32) and len(scales):
            try:
                values = interpreter.get_tensor(details["index"])
            except ValueError:
                continue  # no constant
            along = [1] * values.ndim
            along[axis] = -1
            zero = np.asarray(quantised["zero_points"], np.float64).reshape(along)
            floats = (values - zero) * scales.astype(np.float64).reshape(along)
            stored.setdefault(values.shape, []).append(floats)

    def known(values) -> bool:
        return any(np.allclose(values, s, rtol=1e-6, atol=0) for s in stored[values.shape])

    for layer, conv in zip(LAYERS, weights.convolutions):
        assert known(conv.weights), layer.name
        assert known(conv.bias), layer.name
    assert known(weights.dense)
    assert known(weights.dense_bias)


def _edited(content, edit) -> bytes:
    import flatbuffers

    parsed = schema.ModelT.InitFromPackedBuf(content, 0)
    edit(parsed)
    builder = flatbuffers.Builder(1 << 20)
    builder.Finish(parsed.Pack(builder), b"TFL3")
    return bytes(builder.Output())


def _other_stride(parsed):
    parsed.subgraphs[0].operators[19].builtinOptions.strideH = 1
    parsed.subgraphs[0].operators[19].builtinOptions.strideW = 1


def _other_padding(parsed):
    parsed.subgraphs[0].operators[20].builtinOptions.padding = schema.Padding.VALID


def _other_activation(parsed):
    none = schema.ActivationFunctionType.NONE
    parsed.subgraphs[0].operators[20].builtinOptions.fusedActivationFunction = none


def _other_order(parsed):
    operators = parsed.subgraphs[0].operators
    operators[29], operators[31] = operators[31], operators[29]


def _missing_layer(parsed):
    del parsed.subgraphs[0].operators[40]


def _other_type(parsed):
    graph = parsed.subgraphs[0]
    graph.tensors[graph.operators[20].inputs[1]].type = schema.TensorType.UINT8


def _other_shape(parsed):
    graph = parsed.subgraphs[0]
    graph.tensors[graph.operators[20].inputs[1]].shape = [64, 1, 1, 128]


def _infinite_scale(parsed):
    graph = parsed.subgraphs[0]
    quantisation = graph.tensors[graph.operators[20].inputs[1]].quantization
    quantisation.scale = np.where(np.arange(len(quantisation.scale)) == 3, np.inf, 0.1)


def _no_scale(parsed):
    graph = parsed.subgraphs[0]
    graph.tensors[graph.operators[20].inputs[1]].quantization = None


@pytest.mark.parametrize(
    "edit",
    [
        _other_stride,
        _other_padding,
        _other_activation,
        _other_order,
        _missing_layer,
        _other_type,
        _other_shape,
        _infinite_scale,
        _no_scale,
    ],
    ids=lambda edit: edit.__name__.strip("_"),
)
def test_another_network_is_refused(content, edit):
    with pytest.raises(ModelFormatError):
        from_int8(_edited(content, edit))


@pytest.mark.parametrize("length", [0, 7, 8, 100, 4_000, 2_000_000, 4_000_000])
def test_a_file_cut_short_is_refused(content, length):
    with pytest.raises(ModelFormatError):
        from_int8(content[:length])


def test_damaged_files_give_weights_or_a_typed_error(content):
    dice = np.random.default_rng(3)
    for _ in range(20):
        damaged = bytearray(content)
        for place in dice.integers(3_832_388, len(content), 40):  # where the tables stand
            damaged[place] ^= 1 << int(dice.integers(8))
        with contextlib.suppress(ModelFormatError):
            assert isinstance(from_int8(bytes(damaged)), YamNetWeights)


@pytest.mark.parametrize("activation", ["relu6", "relu"])
def test_a_float_network_has_the_weights_that_it_was_written_from(weights, activation):
    written = dataclasses.replace(weights, activation=activation)
    found = from_float(network(written))
    assert found.activation == activation
    assert (found.dense == weights.dense).all()
    assert (found.dense_bias == weights.dense_bias).all()
    for one, other in zip(found.convolutions, weights.convolutions):
        assert (one.weights == other.weights).all()
        assert (one.bias == other.bias).all()
        assert (one.stride, one.depthwise) == (other.stride, other.depthwise)


def _weight_inputs(parsed):
    """The tensors of weights and of biases, which operators of convolutions and scores read."""
    graph = parsed.subgraphs[0]
    kinds = {
        schema.BuiltinOperator.CONV_2D,
        schema.BuiltinOperator.DEPTHWISE_CONV_2D,
        schema.BuiltinOperator.FULLY_CONNECTED,
    }
    for op in list(graph.operators):
        if parsed.operatorCodes[op.opcodeIndex].builtinCode in kinds:
            yield op


def _in_half_precision(parsed):
    """As TensorFlow's converter with float16: constants of 16 bits behind DEQUANTIZE."""
    graph = parsed.subgraphs[0]
    code = schema.OperatorCodeT()
    code.builtinCode = code.deprecatedBuiltinCode = schema.BuiltinOperator.DEQUANTIZE
    code.version = 2
    parsed.operatorCodes.append(code)
    for op in _weight_inputs(parsed):
        for place in (1, 2):
            old = graph.tensors[op.inputs[place]]
            values = parsed.buffers[old.buffer].data.view(np.float32).astype(np.float16)
            parsed.buffers[old.buffer].data = None
            half, buffer = copy.copy(old), schema.BufferT()
            half.type, half.name = schema.TensorType.FLOAT16, b"half"
            buffer.data, half.buffer = values.view(np.uint8), len(parsed.buffers)
            parsed.buffers.append(buffer)
            widen = schema.OperatorT()
            widen.opcodeIndex = len(parsed.operatorCodes) - 1
            widen.inputs, widen.outputs = [len(graph.tensors)], [op.inputs[place]]
            graph.tensors.append(half)
            graph.operators.insert(graph.operators.index(op), widen)
            old.buffer = 0


def _of_dynamic_range(parsed):
    """As TensorFlow's converter: weights in int8 with a scale for each channel, all else float."""
    graph = parsed.subgraphs[0]
    for op in _weight_inputs(parsed):
        tensor = graph.tensors[op.inputs[1]]
        values = parsed.buffers[tensor.buffer].data.view(np.float32).reshape(tensor.shape)
        depthwise = (
            parsed.operatorCodes[op.opcodeIndex].builtinCode
            == schema.BuiltinOperator.DEPTHWISE_CONV_2D
        )
        axis = 3 if depthwise else 0
        others = tuple(n for n in range(values.ndim) if n != axis)
        scale = np.abs(values).max(axis=others, keepdims=True) / 127
        whole = np.round(values / np.maximum(scale, 1e-12)).astype(np.int8)
        quantisation = schema.QuantizationParametersT()
        quantisation.scale = scale.reshape(-1).astype(np.float32)
        quantisation.zeroPoint = np.zeros(scale.size, np.int64)
        quantisation.quantizedDimension = axis
        tensor.type, tensor.quantization = schema.TensorType.INT8, quantisation
        parsed.buffers[tensor.buffer].data = whole.reshape(-1).view(np.uint8)


def _with_appended_constants(content):
    """As ai-edge-quantizer writes them: behind the graph, which says only where."""
    places, blobs = {}, []

    def move(parsed):
        for number, buffer in enumerate(parsed.buffers):
            if buffer.data is not None and len(buffer.data) > 1000:
                places[number] = len(buffer.data)
                blobs.append(bytes(buffer.data))
                buffer.data = None
                buffer.offset, buffer.size = 2, len(blobs[-1])  # so that the fields are there

    bare = _edited(content, move)
    starts = np.cumsum([len(bare), *places.values()])

    def point(parsed):
        for number, start in zip(places, starts.tolist()):
            parsed.buffers[number].offset = start

    pointed = _edited(bare, point)
    assert len(pointed) == len(bare)
    return pointed + b"".join(blobs)


@pytest.mark.parametrize(
    ("edit", "step"), [(_in_half_precision, 2**-11), (_of_dynamic_range, 0.5 / 127)]
)
@pytest.mark.parametrize("appended", [False, True])
def test_weights_that_a_converter_made_smaller_are_float_again(weights, edit, step, appended):
    """To the half of a step of what they are stored in, relative to the largest of a channel."""
    small = _edited(network(dataclasses.replace(weights, activation="relu")), edit)
    assert len(small) < 0.6 * len(network(weights))
    found = from_float(_with_appended_constants(small) if appended else small)
    assert found.activation == "relu"
    pairs = [*zip(found.convolutions, weights.convolutions)]
    for one, other in pairs:
        axis = 3 if one.depthwise else 0
        others = tuple(n for n in range(4) if n != axis)
        largest = np.abs(other.weights).max(axis=others, keepdims=True)
        assert (np.abs(one.weights - other.weights) <= 1.01 * step * largest + 1e-7).all()
    largest = np.abs(weights.dense).max(axis=1, keepdims=True)
    assert (np.abs(found.dense - weights.dense) <= 1.01 * step * largest).all()
    np.testing.assert_allclose(found.dense_bias, weights.dense_bias, rtol=2**-10, atol=1e-6)


@pytest.mark.parametrize("edit", [_in_half_precision, _of_dynamic_range])
def test_a_converted_yamnet_is_heard_as_the_original(weights, edit, tmp_path):
    floats = network(dataclasses.replace(weights, activation="relu"))
    results = []
    for name, content in (("float", floats), ("small", _edited(floats, edit))):
        (tmp_path / f"{name}.tflite").write_bytes(content)
        assert load_model(tmp_path / f"{name}.tflite").precision == "float32"
        heard = AudioClassifier(tmp_path / f"{name}.tflite", jobs=1).classify(STREET)
        results.append(heard.clip_scores)
    assert np.abs(results[0] - results[1]).max() < 0.05
    assert np.corrcoef(results[0], results[1])[0, 1] > 0.99


def test_constants_that_are_said_to_be_larger_than_the_file_are_refused(weights):
    def lie(parsed):
        for buffer in parsed.buffers:
            if buffer.data is not None and len(buffer.data) > 1000:
                buffer.data, buffer.offset, buffer.size = None, 2, 1 << 40

    with pytest.raises(ModelFormatError, match="larger than the file"):
        from_float(_edited(network(weights), lie))


def test_a_file_of_the_other_kind_is_told(content, weights):
    floats = network(weights)
    with pytest.raises(ModelFormatError, match="a weight is not stored as YAMNet's are"):
        from_int8(floats)
    with pytest.raises(ModelFormatError, match="a weight is not stored as YAMNet's are"):
        from_float(content)


@pytest.mark.parametrize(
    ("kind", "told"),
    [
        ("CONV_2D", "YAMNet has 14 convolutions of this kind, and this 13"),
        ("DEPTHWISE_CONV_2D", "YAMNet has 13 convolutions of this kind, and this 12"),
        ("FULLY_CONNECTED", "YAMNet has one dense layer of scores, and this 0"),
    ],
)
def test_a_float_network_that_lacks_a_layer_is_told(weights, kind, told):
    def remove(parsed):
        graph, number = parsed.subgraphs[0], getattr(schema.BuiltinOperator, kind)
        codes = [code.builtinCode for code in parsed.operatorCodes]
        last = [op for op in graph.operators if codes[op.opcodeIndex] == number][-1]
        graph.operators.remove(last)

    with pytest.raises(ModelFormatError, match=told):
        from_float(_edited(network(weights), remove))


def test_layers_are_mobilenets():
    assert len(LAYERS) == 27
    assert sum(layer.depthwise for layer in LAYERS) == 13
    assert [layer.outputs for layer in LAYERS if not layer.depthwise] == [
        *(32, 64, 128, 128, 256, 256),
        *(512,) * 6,
        *(1024, 1024),
    ]
    # 69.2 million multiply-adds a patch, as published: 96 × 64 shrinks at each stride.
    height, width, products = 96, 64, 1024 * 521
    for layer in LAYERS:
        height, width = -(-height // layer.stride), -(-width // layer.stride)
        products += height * width * int(np.prod(layer.shape))
    assert (height, width) == (3, 2)
    assert round(products / 1e6, 1) == 69.2


def test_shapes_and_how_many(weights):
    assert [c.weights.shape for c in weights.convolutions] == [layer.shape for layer in LAYERS]
    assert [c.stride for c in weights.convolutions] == [layer.stride for layer in LAYERS]
    assert weights.dense.shape == (521, 1024)
    assert weights.classes == 521
    assert weights.activation == "relu6"
    count = sum(c.weights.size + c.bias.size for c in weights.convolutions)
    assert round((count + weights.dense.size + weights.dense_bias.size) / 1e6, 1) == 3.7


def test_weights_of_another_shape_or_not_finite_are_refused(weights):
    narrow = dataclasses.replace(weights.convolutions[3], bias=np.zeros(7, np.float32))
    for wrong in (
        {"convolutions": weights.convolutions[:-1]},
        {"convolutions": (*weights.convolutions[:3], narrow, *weights.convolutions[4:])},
        {"dense": weights.dense.T},
        {"dense": weights.dense.astype(np.float64)},
        {"dense_bias": np.full(521, np.nan, np.float32)},
        {"dense": weights.dense[:0], "dense_bias": weights.dense_bias[:0]},
    ):
        with pytest.raises(ModelFormatError):
            dataclasses.replace(weights, **wrong)
