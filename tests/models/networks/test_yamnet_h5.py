# SPDX-License-Identifier: Apache-2.0
"""yamnet.h5 is read right: on files of the same layout that are made here.

    python test_yamnet_h5.py FILE.h5 MUTANTS

reads damaged copies of a file and prints what each gave (h5py is native code, so the test lets a
process of its own do that).
"""

from __future__ import annotations

import dataclasses
import json
import random
import shutil
import subprocess
import sys
from collections import Counter
from pathlib import Path

import numpy as np
import pytest

from oido.errors import MissingExtraError, ModelFormatError, OidoError
from oido.models.loading import load_model
from oido.models.networks.yamnet import YamNetWeights, network
from oido.models.networks.yamnet_h5 import BATCH_NORM_EPSILON, from_h5
from oido.models.tflite.editor import TfliteGraph
from oido.models.tflite.yamnet_reader import from_int8
from oido.runtime.litert import LiteRtRuntime

h5py = pytest.importorskip("h5py")

OFFICIAL_SIZE_BYTES = 15_296_092
STRIDES = (2, 1, 2, 1, 2, 1, 2, 1, 1, 1, 1, 1, 2, 1)
PARTS = [
    (n, part)
    for n in range(1, 15)
    for part in (("conv",) if n == 1 else ("depthwise_conv", "pointwise_conv"))
]
"""Layer and part of each convolution, in the order of the data."""


def kernel_name(part):
    return "depthwise_kernel" if part == "depthwise_conv" else "kernel"


def keras_kernel(conv):
    """[out, h, w, in] → Keras's [h, w, in, out]; depthwise [1, h, w, ch] → [h, w, ch, 1]."""
    return np.ascontiguousarray(conv.weights.transpose(1, 2, 3, 0))


def keras_layers(weights, norms):
    """What Keras saves, layer by layer: {layer: {weight name: values}}; norms: (beta, mean, var)"""
    layers = {}
    for (n, part), conv, norm in zip(PARTS, weights.convolutions, norms):
        name = f"layer{n}/{part}"
        layers[name] = {f"{name}/{kernel_name(part)}:0": keras_kernel(conv)}
        parts = ("beta", "moving_mean", "moving_variance")
        layers[f"{name}/bn"] = {f"{name}/bn/{k}:0": v for k, v in zip(parts, norm)}
        layers[f"layer{n}/relu" if n == 1 else f"{name}/relu"] = {}
    layers["global_average_pooling2d"] = {}
    layers["logits"] = {
        "logits/kernel:0": np.ascontiguousarray(weights.dense.T),
        "logits/bias:0": weights.dense_bias,
    }
    return layers


def write_h5(path, layers, folder=""):
    """As `Model.save_weights` of Keras 2 does: a group a layer, and the names as attributes."""
    with h5py.File(path, "w") as file:
        root = file.require_group(folder) if folder else file
        root.attrs["layer_names"] = [name.encode() for name in layers]
        root.attrs["backend"] = b"tensorflow"
        root.attrs["keras_version"] = b"2.2.4-tf"
        for name, weights in layers.items():
            group = root.require_group(name)
            group.attrs["weight_names"] = [weight.encode() for weight in weights]
            for weight, values in weights.items():
                group.create_dataset(weight, data=values)
    return path


@pytest.fixture(scope="module")
def int8(model):
    return model.path.read_bytes()


@pytest.fixture(scope="module")
def weights(int8):
    """The retrained network's numbers, with the original's activation."""
    return dataclasses.replace(from_int8(int8), activation="relu")


@pytest.fixture(scope="module")
def identity(weights):
    """Batch norms that do nothing: the variance and epsilon are 1, beta is the bias."""
    one = np.float32(1.0 - BATCH_NORM_EPSILON)
    return [
        (conv.bias, np.zeros_like(conv.bias), np.full_like(conv.bias, one))
        for conv in weights.convolutions
    ]


@pytest.fixture(scope="module")
def h5_path(tmp_path_factory, weights, identity):
    path = tmp_path_factory.mktemp("h5") / "yamnet.h5"
    return write_h5(path, keras_layers(weights, identity))


@pytest.fixture
def refused(weights, identity, tmp_path):
    """Write the layers after an edit, and give the message with which they are refused."""

    def message(edit) -> str:
        layers = keras_layers(weights, identity)
        edit(layers)
        with pytest.raises(ModelFormatError) as caught:
            from_h5(write_h5(tmp_path / "other.h5", layers).read_bytes())
        return str(caught.value)

    return message


def same(a: YamNetWeights, b: YamNetWeights) -> bool:
    pairs = [(a.dense, b.dense), (a.dense_bias, b.dense_bias)]
    for x, y in zip(a.convolutions, b.convolutions):
        pairs += [(x.weights, y.weights), (x.bias, y.bias)]
        assert (x.stride, x.depthwise) == (y.stride, y.depthwise)
    return a.activation == b.activation and all(np.array_equal(x, y) for x, y in pairs)


def test_the_layout_is_as_large_as_the_official_file(h5_path):
    """Not a proof, but with other names, groups or attributes it would be another size."""
    assert abs(h5_path.stat().st_size - OFFICIAL_SIZE_BYTES) < 2_000


@pytest.mark.parametrize("name", ["yamnet.H5", "yamnet.hdf5", "YAMNET.HDF5", "yamnet.hdf"])
def test_it_is_read_by_any_of_its_endings(h5_path, tmp_path, name):
    copy = tmp_path / name
    shutil.copy(h5_path, copy)
    model = load_model(copy)
    assert model.labels == load_model(h5_path).labels
    assert model.precision == "float32"


def test_an_identity_batch_norm_gives_the_weights_back(h5_path, weights):
    assert same(from_h5(h5_path.read_bytes()), weights)


def test_scores_through_h5_equal_those_from_the_int8_file(h5_path, int8, weights):
    projection = TfliteGraph(int8).cut_front_end().projection
    patches = np.random.default_rng(2).uniform(-6.9, 3.0, (5, 96, 64)).astype(np.float32)
    direct = LiteRtRuntime(projection, network(weights)).run(patches)
    through_h5 = LiteRtRuntime(projection, network(from_h5(h5_path.read_bytes()))).run(patches)
    np.testing.assert_array_equal(through_h5.scores, direct.scores)
    np.testing.assert_array_equal(through_h5.embeddings, direct.embeddings)


def _same_convolution(x, kernel, stride, depthwise):
    """Keras's Conv2D and DepthwiseConv2D, padding "same", by their definition in f64."""
    size, edges = kernel.shape[0], [(0, 0)]
    height, width = -(-x.shape[1] // stride), -(-x.shape[2] // stride)
    for side, count in ((x.shape[1], height), (x.shape[2], width)):
        total = max((count - 1) * stride + size - side, 0)
        edges.append((total // 2, total - total // 2))
    x, total = np.pad(x, [*edges, (0, 0)]), 0.0
    for i in range(size):
        for j in range(size):
            part = x[:, i : i + height * stride : stride, j : j + width * stride : stride]
            total = total + (part * kernel[i, j, :, 0] if depthwise else part @ kernel[i, j])
    return total


def keras_forward(layers, patches):
    """Scores f64[N, classes] of the network as yamnet.py builds it, batch norms unfolded."""
    x = patches.astype(np.float64)[..., None]
    for n, part in PARTS:
        name = f"layer{n}/{part}"
        kernel = layers[name][f"{name}/{kernel_name(part)}:0"].astype(np.float64)
        stride = 1 if part == "pointwise_conv" else STRIDES[n - 1]
        x = _same_convolution(x, kernel, stride, part == "depthwise_conv")
        beta, mean, variance = (v.astype(np.float64) for v in layers[f"{name}/bn"].values())
        x = np.maximum((x - mean) / np.sqrt(variance + 1e-4) + beta, 0.0)
    kernel, bias = layers["logits"].values()
    logits = x.mean(axis=(1, 2)) @ kernel.astype(np.float64) + bias
    return 0.5 + 0.5 * np.tanh(logits / 2)


def test_random_batch_norms_are_folded(weights, int8, tmp_path):
    dice = np.random.default_rng(9)
    norms = [
        (
            dice.normal(0.3, 0.3, len(conv.bias)).astype(np.float32),
            dice.normal(0.0, 0.5, len(conv.bias)).astype(np.float32),
            dice.uniform(0.01, 3.0, len(conv.bias)).astype(np.float32),
        )
        for conv in weights.convolutions
    ]
    layers = keras_layers(weights, norms)
    for name, values in layers.items():  # so that activations neither die nor explode
        if name.endswith("conv"):
            (kernel,) = values.values()
            fan_in = 9 if "depthwise" in name else kernel[..., 0].size
            size = kernel.std() * np.float32(np.sqrt(fan_in))
            values.update({k: v / size for k, v in values.items()})
    layers["logits"]["logits/kernel:0"] = dice.normal(0, 0.03, (1024, 521)).astype(np.float32)
    read = from_h5(write_h5(tmp_path / "random.h5", layers).read_bytes())
    patches = dice.uniform(-6.9, 3.0, (3, 96, 64)).astype(np.float32)
    runtime = LiteRtRuntime(TfliteGraph(int8).cut_front_end().projection, network(read))
    expected = keras_forward(layers, patches)
    assert expected.std() > 0.05, "the scores must not all be 0 or 1/2"
    np.testing.assert_allclose(runtime.run(patches).scores, expected, rtol=0, atol=1e-4)


def test_names_are_found_by_their_ends(weights, identity, tmp_path):
    """A saved model has a folder above; a later yamnet.py leaves the dense layer unnamed."""
    layers = keras_layers(weights, identity)
    layers["dense"] = {f"dense/{k[7:]}": v for k, v in layers.pop("logits").items()}
    assert same(from_h5(write_h5(tmp_path / "a.h5", layers, "model_weights").read_bytes()), weights)


def test_a_gamma_is_heeded(weights, identity, tmp_path):
    layers = keras_layers(weights, identity)
    gamma = np.linspace(0.5, 2.0, 32, dtype=np.float32)
    layers["layer1/conv/bn"]["layer1/conv/bn/gamma:0"] = gamma
    read = from_h5(write_h5(tmp_path / "a.h5", layers).read_bytes()).convolutions[0]
    expected = weights.convolutions[0].weights * gamma[:, None, None, None]
    np.testing.assert_allclose(read.weights, expected, rtol=1e-6)


def test_other_networks_are_refused(refused):
    def change(layer, weight, values):
        return lambda layers: layers[layer].update({f"{layer}/{weight}:0": values})

    zeros = np.zeros
    assert "layer1/conv/kernel" in refused(lambda layers: layers.pop("layer1/conv"))
    assert "layer1/conv/bn/beta" in refused(lambda layers: layers.pop("layer1/conv/bn"))
    assert "one dense layer" in refused(lambda layers: layers.pop("logits"))
    assert "one dense layer" in refused(
        lambda layers: layers.update(other={"other/kernel:0": zeros((1024, 3), np.float32)})
    )
    assert "float32[3, 3, 1, 32]" in refused(
        change("layer1/conv", "kernel", zeros((3, 3, 1, 16), np.float32))
    )
    assert "int32" in refused(change("layer1/conv", "kernel", zeros((3, 3, 1, 32), np.int32)))
    assert "variance" in refused(
        change("layer3/pointwise_conv/bn", "moving_variance", np.full(128, -1, np.float32))
    )
    assert "NaN" in refused(change("layer3/pointwise_conv/bn", "beta", np.full(128, np.nan)))
    assert "2 weights named layer1/conv/kernel" in refused(
        lambda layers: layers.update(copy={"x/layer1/conv/kernel:0": zeros(3, np.float32)})
    )


def test_numbers_in_another_file_are_not_fetched(weights, identity, tmp_path):
    """A hostile file may point at any file of the machine."""
    path = write_h5(tmp_path / "a.h5", keras_layers(weights, identity))
    secret = tmp_path / "secret"
    secret.write_bytes(bytes(4 * 32))
    with h5py.File(path, "a") as file:
        name = "layer1/conv/bn/layer1/conv/bn/beta:0"
        del file[name]
        file.create_dataset(name, (32,), np.float32, external=[(str(secret), 0, 128)])
    with pytest.raises(ModelFormatError, match="another file"):
        from_h5(path.read_bytes())


def test_what_is_no_h5_file(int8):
    for content in (b"", b"PK\x03\x04", int8):
        with pytest.raises(ModelFormatError, match="not an HDF5 file"):
            from_h5(content)
    with pytest.raises(ModelFormatError):
        from_h5(b"\x89HDF\r\n\x1a\n")


def test_without_h5py_the_extra_is_named(monkeypatch, h5_path):
    monkeypatch.setitem(sys.modules, "h5py", None)
    with pytest.raises(MissingExtraError, match=r"oido\[h5\]"):
        from_h5(h5_path.read_bytes())


@pytest.mark.parametrize(
    "mutants", [40, pytest.param(2_000, marks=pytest.mark.slow)], ids=["some", "many"]
)
def test_damaged_files_are_refused_with_a_typed_error(h5_path, mutants, capsys):
    child = subprocess.run(
        [sys.executable, __file__, str(h5_path), str(mutants)],
        capture_output=True,
        text=True,
        check=False,
        timeout=900,
    )
    found = [json.loads(line) for line in child.stdout.splitlines()]
    counts = Counter(f["outcome"] for f in found)
    with capsys.disabled():
        print(f"\nyamnet.h5: {len(found)} damaged files: {dict(counts)}")
    assert child.returncode == 0, f"crashed at mutant {len(found)}: {child.stderr[-2_000:]}"
    assert len(found) == mutants
    assert [f for f in found if f["outcome"] == "untyped"] == []
    assert counts["refused"] > mutants // 4


def _raw_data(path) -> list[tuple[int, int]]:
    """Where the numbers stand, start and end: all else is structure."""
    places = []

    def note(_, entry):
        if isinstance(entry, h5py.Dataset):
            start = entry.id.get_offset()
            places.append((start, start + entry.id.get_storage_size()))

    with h5py.File(path, "r") as file:
        file.visititems(note)
    return places


def _mutant(content, structure, seed) -> bytes:
    """A truncation, or changed bits, bytes or runs, most of them in the structure."""
    dice = random.Random(seed)
    if seed % 5 == 0:
        return content[
            : dice.choice([8, 96, 2_048, len(content) - 1, dice.randrange(len(content))])
        ]
    damaged = bytearray(content)
    if seed % 5 == 1:  # a run of zeros or noise anywhere
        length = dice.choice([8, 512, 65_536])
        at = dice.randrange(len(content) - length)
        damaged[at : at + length] = bytes(length) if dice.random() < 0.5 else dice.randbytes(length)
        return bytes(damaged)
    for _ in range(dice.choice([1, 1, 4, 64])):
        at = dice.choice(structure)
        if dice.random() < 0.5:
            damaged[at] ^= 1 << dice.randrange(8)
        else:
            damaged[at] = dice.choice([0, 255, dice.randrange(256)])
    return bytes(damaged)


def _main(path: Path, mutants: int) -> None:
    content = path.read_bytes()
    is_structure = np.ones(len(content), bool)
    for start, end in _raw_data(path):
        is_structure[start:end] = False
    structure = np.flatnonzero(is_structure).tolist()
    for seed in range(mutants):
        detail = ""
        try:
            from_h5(_mutant(content, structure, seed))
            outcome = "sound"
        except OidoError as error:
            outcome = "refused" if isinstance(error, ModelFormatError) else "untyped"
        except BaseException as error:
            outcome, detail = "untyped", f"{type(error).__name__}: {error}"
        print(json.dumps({"seed": seed, "outcome": outcome, "detail": detail}), flush=True)


if __name__ == "__main__":
    _main(Path(sys.argv[1]), int(sys.argv[2]))
