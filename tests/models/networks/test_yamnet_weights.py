# SPDX-License-Identifier: Apache-2.0
"""YAMNet's layers and weights: as published, and refused where a shape is another."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest

from oido.errors import ModelFormatError
from oido.models.networks.yamnet_weights import LAYERS
from oido.models.tflite.yamnet_reader import from_int8


@pytest.fixture(scope="module")
def content(model):
    return model.path.read_bytes()


@pytest.fixture(scope="module")
def weights(content):
    return from_int8(content)


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
