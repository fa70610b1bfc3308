# SPDX-License-Identifier: Apache-2.0
"""YAMNet in PyTorch gives what LiteRT gives, from all its files, and its weights back."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest

import oido
import oido.torch
from oido.errors import InvalidSamplesError, ModelFormatError, ModelNotFoundError
from oido.heads import Head
from oido.models.model import AudioModel
from oido.models.networks.yamnet import YamNetWeights, network
from oido.models.tflite.front_end import whole_graph
from oido.models.tflite.metadata_writer import annotate
from oido.models.tflite.yamnet_reader import from_int8
from oido.runtime.litert import LiteRtRuntime

torch = pytest.importorskip("torch", reason="needs PyTorch: pip install 'oido[torch]'")
YamNet = oido.torch.YamNet


@pytest.fixture(scope="module")
def module():
    return YamNet.from_pretrained("yamnet/classification")


@pytest.fixture(scope="module")
def litert(model):
    """The same weights run by LiteRT in float32."""
    return oido.AudioClassifier(model.path, precision="float32", jobs=1)


@torch.inference_mode()
def heard(module, waveform):
    scores, embeddings = module(torch.from_numpy(np.array(waveform)))
    return scores.numpy(), embeddings.numpy()


def patches(n):
    """Like log-mel: between ln 0.001 and a loud sound's."""
    return np.random.default_rng(5).uniform(-6.9, 3.0, (n, 96, 64)).astype(np.float32)


class Largest:
    """The largest differences so far; embeddings relative to the largest of their clip."""

    def __init__(self):
        self.scores = self.embeddings = 0.0

    def see(self, ours, theirs):
        for a, b in zip(ours, theirs):
            assert a.shape == b.shape
        self.scores = max(self.scores, float(np.abs(ours[0] - theirs[0]).max()))
        reach = float(np.abs(theirs[1]).max()) or 1.0
        self.embeddings = max(self.embeddings, float(np.abs(ours[1] - theirs[1]).max()) / reach)

    def __str__(self):
        return f"scores {self.scores:.1e}, embeddings {self.embeddings:.1e} of the largest"


def test_equals_litert_on_real_clips(module, litert, real_clips, tell):
    largest = Largest()
    for path in real_clips:
        result = litert.classify(path)
        waveform = litert.stream(path).waveform()
        largest.see(heard(module, waveform), (result.scores, result.embeddings))
    tell(f"YAMNet, torch against LiteRT, {len(real_clips)} real clips: {largest}")
    assert largest.scores < 1e-4
    assert largest.embeddings < 1e-4


def test_equals_litert_on_synthetic_sound(module, litert, sounds, tell):
    largest = Largest()
    for waveform in sounds(16_000).values():
        result = litert.classify(waveform, 16_000)
        largest.see(heard(module, waveform), (result.scores, result.embeddings))
    tell(f"YAMNet, torch against LiteRT, synthetic sound: {largest}")
    assert largest.scores < 1e-4
    assert largest.embeddings < 1e-4


def test_waveform_and_patches_agree(module, sounds):
    waveform = torch.from_numpy(sounds(16_000)["noise"])
    with torch.inference_mode():
        from_waveform, from_patches = module(waveform), module(module.patches(waveform))
        logits = module.logits(waveform)
    assert from_waveform.scores.shape == (4, 521)
    assert from_waveform.embeddings.shape == (4, module.embedding_dim)
    assert torch.equal(from_waveform.scores, from_patches.scores)
    assert torch.equal(from_waveform.embeddings, from_patches.embeddings)
    assert torch.equal(torch.sigmoid(logits), from_waveform.scores)


def test_a_batch_of_waveforms(module, sounds):
    one = sounds(16_000)["noise"]
    batch = np.stack([one, one[::-1], 0.1 * one]).astype(np.float32)
    scores, embeddings = heard(module, batch)
    assert scores.shape == (3, 4, 521)
    assert embeddings.shape == (3, 4, 1024)
    for k, waveform in enumerate(batch):
        alone = heard(module, waveform)
        np.testing.assert_allclose(scores[k], alone[0], rtol=0, atol=1e-6)
        np.testing.assert_allclose(embeddings[k], alone[1], rtol=0, atol=1e-5)


def same(a: YamNetWeights, b: YamNetWeights) -> bool:
    pairs = [(a.dense, b.dense), (a.dense_bias, b.dense_bias)]
    for x, y in zip(a.convolutions, b.convolutions):
        pairs += [(x.weights, y.weights), (x.bias, y.bias)]
        assert (x.stride, x.depthwise) == (y.stride, y.depthwise)
    return a.activation == b.activation and all(np.array_equal(x, y) for x, y in pairs)


def test_the_weights_come_back_as_they_were(module, model):
    assert same(module.weights(), from_int8(model.path.read_bytes()))


def test_changed_weights_run_in_litert(model):
    """What training changes arrives in the graph: in every convolution and in a head of 3."""
    module = YamNet.from_pretrained(model.path)
    module.new_head(3)
    before = module.weights()
    generator = torch.Generator().manual_seed(0)
    with torch.no_grad():
        for parameter in module.parameters():
            scale = 1 + 0.05 * torch.randn(parameter.shape, generator=generator)
            parameter.mul_(scale)
    weights = module.weights()
    assert not any(
        np.array_equal(a.weights, b.weights)
        for a, b in zip(before.convolutions, weights.convolutions)
    )
    outputs = LiteRtRuntime(None, network(weights)).run(patches(3))
    scores, embeddings = heard(module, patches(3))
    assert scores.shape == (3, 3)
    np.testing.assert_allclose(scores, outputs.scores, rtol=0, atol=1e-4)
    np.testing.assert_allclose(
        embeddings, outputs.embeddings, rtol=0, atol=1e-4 * outputs.embeddings.max()
    )


def test_weights_that_are_no_numbers_are_not_given_back(model):
    module = YamNet.from_pretrained(model.path)
    with torch.no_grad():
        module.dense.bias[7] = float("nan")
    with pytest.raises(ModelFormatError, match="NaN"):
        module.weights()


def test_h5_in_torch_equals_h5_in_litert(model, tmp_path, sounds, tell):
    """A file of the original's layout, with batch norms that do something."""
    pytest.importorskip("h5py")
    from oido.models.networks.yamnet_h5 import from_h5
    from tests.models.networks.test_yamnet_h5 import keras_layers, write_h5

    rng = np.random.default_rng(0)
    weights = dataclasses.replace(from_int8(model.path.read_bytes()), activation="relu")
    norms = [
        (
            conv.bias,
            rng.normal(0.0, 0.02, len(conv.bias)).astype(np.float32),
            rng.uniform(0.9, 1.2, len(conv.bias)).astype(np.float32),
        )
        for conv in weights.convolutions
    ]
    path = write_h5(tmp_path / "yamnet.h5", keras_layers(weights, norms))
    module = YamNet.from_pretrained(path)
    assert module.activation == "relu"
    assert same(module.weights(), from_h5(path.read_bytes()))
    largest = Largest()
    runtime = LiteRtRuntime(None, network(from_h5(path.read_bytes())))
    outputs = runtime.run(patches(4))
    largest.see(heard(module, patches(4)), outputs)
    classifier = oido.AudioClassifier(path, jobs=1)
    for waveform in sounds(16_000).values():  # the whole way, front end included
        result = classifier.classify(waveform, 16_000)
        assert result.scores.std() > 1e-3
        largest.see(heard(module, waveform), (result.scores, result.embeddings))
    tell(f"YAMNet from .h5, torch against LiteRT: {largest}")
    assert largest.scores < 1e-4
    assert largest.embeddings < 1e-4


def test_whoever_does_not_fit_is_refused(module):
    for wrong in (torch.zeros(2, 96, 63), torch.zeros(64, 96, 1), torch.zeros(1, 2, 3, 96, 64)):
        with pytest.raises(InvalidSamplesError, match=r"96, 64\]"):
            module(wrong)
    with pytest.raises(InvalidSamplesError, match="divide int16 by 32768"):
        module(torch.zeros(16_000, dtype=torch.int16))
    with pytest.raises(InvalidSamplesError):
        module(torch.tensor(0.5))


def test_of_a_taught_model_it_is_said_what_a_network_begins_from(tmp_path, model: AudioModel):
    graph = whole_graph(model, model.path.read_bytes())
    weights = np.random.default_rng(0).normal(0, 0.1, (2, 1024)).astype(np.float32)
    scores = graph.writer.softmax(
        graph.writer.dense(graph.embedding, weights, np.zeros(2, np.float32))
    )
    path = tmp_path / "own.tflite"
    heads = [Head("scores", ("Dog", "Owl"))]
    path.write_bytes(annotate(graph.writer.finish([scores]), heads, sample_rate_hz=16_000))
    with pytest.raises(ModelFormatError) as caught:
        YamNet.from_pretrained(path)
    assert str(caught.value) == (
        f"{path}: its operators are not those of a quantised YAMNet; a network for PyTorch begins "
        "from the weights of 'yamnet/classification': a taught model does not become one again"
    )


def test_other_files_are_refused(tmp_path, model: AudioModel):
    with pytest.raises(ModelNotFoundError, match="no such model file"):
        YamNet.from_pretrained(tmp_path / "none.tflite")
    with pytest.raises(ModelNotFoundError, match="no model 'yamnett'"):
        YamNet.from_pretrained("yamnett")
    with pytest.raises(ModelFormatError, match=r"come from \.tflite or \.h5, not from \.pt"):
        YamNet.from_pretrained("efficientat/mn04")
    content = model.path.read_bytes()
    for damaged in (b"", b"PK", content[:2_000], content[:-400_000], bytes(len(content))):
        path = tmp_path / "damaged.tflite"
        path.write_bytes(damaged)
        with pytest.raises(ModelFormatError, match=r"damaged\.tflite: "):
            YamNet.from_pretrained(path)
