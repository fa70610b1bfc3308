# SPDX-License-Identifier: Apache-2.0
"""The mn04 graph against the layers written out in NumPy, and against the original's own values.

mn10 and the other widths are the same layers with more or fewer channels.
"""

from __future__ import annotations

import numpy as np
import pytest
from ai_edge_litert.interpreter import Interpreter

from oido.errors import ModelFormatError, OptionError
from oido.models.networks.mn04 import EMBEDDING_SIZE, LABEL_COUNT, name_of, network
from oido.models.networks.torch_file import read_state_dict
from oido.params import MnFrontEndParams
from oido.signal.frontend import MnFrontEnd
from tests.signal.test_frontend_mn04 import golden_clips, models_folder

# MobileNetV3-large: kernel, expanded channels, channels out, squeeze, hard-swish, stride
TABLE = [
    (3, 16, 16, False, False, 1),
    (3, 64, 24, False, False, 2),
    (3, 72, 24, False, False, 1),
    (5, 72, 40, True, False, 2),
    (5, 120, 40, True, False, 1),
    (5, 120, 40, True, False, 1),
    (3, 240, 80, False, True, 2),
    (3, 200, 80, False, True, 1),
    (3, 184, 80, False, True, 1),
    (3, 184, 80, False, True, 1),
    (3, 480, 112, True, True, 1),
    (3, 672, 112, True, True, 1),
    (5, 672, 160, True, True, 2),
    (5, 960, 160, True, True, 1),
    (5, 960, 160, True, True, 1),
]


def channels(of_width_1, width=0.4):
    """A multiple of 8, never more than a tenth below (MobileNet's `make_divisible`)."""
    exact = of_width_1 * width
    rounded = max(8, int(exact + 4) // 8 * 8)
    return rounded + 8 if rounded < 0.9 * exact else rounded


def rows(width=0.4):
    """The table at a width, and the channels that come in."""
    before = channels(16, width)
    for kernel, expanded, out, squeeze, hard, stride in TABLE:
        inside, after = channels(expanded, width), channels(out, width)
        yield before, (kernel, inside, after, squeeze, hard, stride)
        before = after


def random_state(seed=0, width=0.4):
    """Weights of mn04's names and shapes, scaled so that signals neither vanish nor explode."""
    rng, state = np.random.default_rng(seed), {}

    def conv(name, *shape):
        fan_in = np.prod(shape[1:])
        state[f"{name}.0.weight"] = rng.standard_normal(shape) * np.sqrt(2.0 / fan_in)
        state[f"{name}.1.weight"] = rng.uniform(0.5, 1.5, shape[0])
        state[f"{name}.1.bias"] = rng.standard_normal(shape[0]) * 0.3
        state[f"{name}.1.running_mean"] = rng.standard_normal(shape[0]) * 0.3
        state[f"{name}.1.running_var"] = rng.uniform(1.0, 3.0, shape[0])

    def linear(name, out, into):
        state[f"{name}.weight"] = rng.standard_normal((out, into)) / np.sqrt(into)
        state[f"{name}.bias"] = rng.standard_normal(out) * 0.1

    conv("features.0", channels(16, width), 1, 3, 3)
    for number, (before, row) in enumerate(rows(width), start=1):
        kernel, expanded, out, squeeze, _, _ = row
        name, part = f"features.{number}.block", 0
        if expanded != before:
            conv(f"{name}.{part}", expanded, before, 1, 1)
            part += 1
        conv(f"{name}.{part}", expanded, 1, kernel, kernel)
        part += 1
        if squeeze:
            inside = channels(expanded // 4, 1.0)
            linear(f"{name}.{part}.conc_se_layers.0.fc1", inside, expanded)
            linear(f"{name}.{part}.conc_se_layers.0.fc2", expanded, inside)
            part += 1
        conv(f"{name}.{part}", out, expanded, 1, 1)
    embedded = 6 * channels(160, width)
    conv("features.16", embedded, channels(160, width), 1, 1)
    linear("classifier.2", channels(1280, width), embedded)
    linear("classifier.5", LABEL_COUNT, channels(1280, width))
    return {name: values.astype(np.float32) for name, values in state.items()}


def sigmoid(x):
    return 1.0 / (1.0 + np.exp(-x))


def hard_swish(x):
    return x * np.clip(x + 3.0, 0.0, 6.0) / 6.0


def relu(x):
    return np.maximum(x, 0.0)


def last_image(state, patch, width=0.4, strides=None):
    """What is before the mean, f64[D, bands, frames] of one image f[128, frames], layer by layer.

    strides: of each block, over bands and over frames; None: the table's.
    """
    state = {name: values.astype(np.float64) for name, values in state.items()}
    strides = strides or [(row[-1], row[-1]) for row in TABLE]

    def conv(x, name, stride=(1, 1)):
        """PyTorch's Conv2d (groups where the weights say so) and BatchNorm2d; f64[c, h, w]."""
        weights = state[f"{name}.0.weight"]
        kernel = weights.shape[2]
        side = (kernel - 1) // 2
        padded = np.pad(x, ((0, 0), (side, side), (side, side)))
        views = np.lib.stride_tricks.sliding_window_view(padded, (kernel, kernel), axis=(1, 2))
        views = views[:, :: stride[0], :: stride[1]]
        each = weights.shape[1] == 1 and len(x) > 1
        sums = "chwij,cij->chw" if each else "chwij,ocij->ohw"
        y = np.einsum(sums, views, weights[:, 0] if each else weights, optimize=True)
        norm = {
            part: state[f"{name}.1.{part}"][:, None, None]
            for part in ("weight", "bias", "running_mean", "running_var")
        }
        y = (y - norm["running_mean"]) / np.sqrt(norm["running_var"] + 0.001)
        return y * norm["weight"] + norm["bias"]

    def linear(x, name):
        return state[f"{name}.weight"] @ x + state[f"{name}.bias"]

    x = hard_swish(conv(patch[None].astype(np.float64), "features.0", (2, 2)))
    for number, (before, (_, expanded, out, squeeze, hard, _)) in enumerate(rows(width), start=1):
        stride = strides[number - 1]
        activation = hard_swish if hard else relu
        name, part, y = f"features.{number}.block", 0, x
        if expanded != before:
            y = activation(conv(y, f"{name}.{part}"))
            part += 1
        y = activation(conv(y, f"{name}.{part}", stride))
        part += 1
        if squeeze:
            gate = relu(linear(y.mean((1, 2)), f"{name}.{part}.conc_se_layers.0.fc1"))
            gate = sigmoid(linear(gate, f"{name}.{part}.conc_se_layers.0.fc2"))
            y = y * gate[:, None, None]
            part += 1
        y = conv(y, f"{name}.{part}")
        x = x + y if stride == (1, 1) and out == before else y
    return hard_swish(conv(x, "features.16"))


def reference(state, patch, width=0.4):
    """Scores f64[527] and the embedding of one image f[128, frames]."""

    def linear(x, name):
        return state[f"{name}.weight"].astype(np.float64) @ x + state[f"{name}.bias"]

    embedding = last_image(state, patch, width).mean((1, 2))
    hidden = hard_swish(linear(embedding, "classifier.2"))
    return sigmoid(linear(hidden, "classifier.5")), embedding


def run(content, patches):
    """Scores f32[N, 527], embeddings f32[N, 384] of f32[N, 128, frames, 1], by LiteRT."""
    interpreter = Interpreter(model_content=content, num_threads=1)
    interpreter.resize_tensor_input(interpreter.get_input_details()[0]["index"], patches.shape)
    interpreter.allocate_tensors()
    interpreter.set_tensor(interpreter.get_input_details()[0]["index"], patches)
    interpreter.invoke()
    scores, embeddings = (
        interpreter.get_tensor(d["index"]) for d in interpreter.get_output_details()
    )
    return scores, embeddings


@pytest.fixture(scope="module")
def state():
    return random_state()


@pytest.mark.parametrize("frames", [1, 2, 31, 33, 64, 100])
def test_equals_the_layers_in_numpy(state, frames):
    rng = np.random.default_rng(frames)
    patches = rng.standard_normal((2, 128, frames, 1)).astype(np.float32)
    scores, embeddings = run(network(state, frames), patches)
    assert scores.shape == (2, LABEL_COUNT)
    assert embeddings.shape == (2, EMBEDDING_SIZE)
    for k, patch in enumerate(patches):
        expected_scores, expected_embedding = reference(state, patch[:, :, 0])
        np.testing.assert_allclose(scores[k], expected_scores, atol=1e-5, rtol=0)
        np.testing.assert_allclose(embeddings[k], expected_embedding, atol=1e-5, rtol=1e-5)


@pytest.mark.parametrize("width", [0.1, 0.2, 0.5, 1.0])
def test_other_widths(width):
    """mn01, mn02, mn05 and mn10: the width shows by the tensors."""
    wide = random_state(2, width)
    patches = np.random.default_rng(7).standard_normal((2, 128, 33, 1)).astype(np.float32)
    content = network(wide, 33)
    assert name_of(wide) == f"mn{round(10 * width):02}"
    scores, embeddings = run(content, patches)
    assert embeddings.shape == (2, 6 * channels(160, width))
    for k, patch in enumerate(patches):
        expected_scores, expected_embedding = reference(wide, patch[:, :, 0], width)
        np.testing.assert_allclose(scores[k], expected_scores, atol=1e-5, rtol=0)
        np.testing.assert_allclose(embeddings[k], expected_embedding, atol=1e-4, rtol=1e-4)


def test_scores_may_be_of_one_class_out_of_all(state):
    few = {
        **state,
        **{f"classifier.5.{n}": state[f"classifier.5.{n}"][:6] for n in ("weight", "bias")},
    }
    patches = np.random.default_rng(3).standard_normal((2, 128, 40, 1)).astype(np.float32)
    scores, embeddings = run(network(few, 40, "softmax"), patches)
    for k, patch in enumerate(patches):
        sigmoids, expected_embedding = reference(few, patch[:, :, 0])
        odds = sigmoids / (1.0 - sigmoids)  # e to the power of the logits
        np.testing.assert_allclose(scores[k], odds / odds.sum(), atol=1e-5, rtol=0)
        np.testing.assert_allclose(embeddings[k], expected_embedding, atol=1e-5, rtol=1e-5)


def test_a_patch_in_a_batch_is_what_it_is_alone(state):
    patches = np.random.default_rng(1).standard_normal((5, 128, 50, 1)).astype(np.float32)
    content = network(state, 50)
    scores, embeddings = run(content, patches)
    for k in range(5):
        alone = run(content, patches[k : k + 1])
        np.testing.assert_allclose(scores[k], alone[0][0], atol=1e-6, rtol=0)
        np.testing.assert_allclose(embeddings[k], alone[1][0], atol=1e-5, rtol=0)


@pytest.mark.parametrize(
    "name",
    [
        "features.0.0.weight",
        "features.1.block.1.1.running_var",
        "features.4.block.2.conc_se_layers.0.fc1.bias",
        "classifier.5.weight",
    ],
)
def test_wrong_tensors_are_refused(state, name):
    missing = {n: v for n, v in state.items() if n != name}
    with pytest.raises(ModelFormatError, match=f"{name} is missing"):
        network(missing, 100)
    for wrong in (state[name][:-1], state[name][None], state[name].astype(np.int32)):
        with pytest.raises(ModelFormatError, match=f"not the weights of mn04_as: {name} is"):
            network({**state, name: wrong}, 100)
    infinite = state[name].copy()
    infinite.flat[0] = np.nan
    with pytest.raises(ModelFormatError, match="not finite"):
        network({**state, name: infinite}, 100)


def test_a_negative_variance_is_refused(state):
    name = "features.2.block.0.1.running_var"
    with pytest.raises(ModelFormatError, match="negative"):
        network({**state, name: -state[name] - 1.0}, 100)


def test_no_frames_are_refused(state):
    with pytest.raises(OptionError, match="at least 1 frame"):
        network(state, 0)


def test_equals_the_original(shared_audio, capsys):
    """Within 1e-3 in logits, embedding and the ten best scores; what it was is printed."""
    weights = read_state_dict((models_folder() / "mn04_as_mAP_432.pt").read_bytes())
    largest = {"logits": 0.0, "embedding": 0.0, "scores": 0.0}
    for waveform, values in golden_clips(shared_audio):
        front_end = MnFrontEnd(MnFrontEndParams(window_samples=len(waveform)))
        patches = front_end.patches(waveform, 320)
        scores, embeddings = run(network(weights, patches.shape[2]), patches)
        best = np.sort(scores[0])[::-1][:10]
        exact = scores[0].astype(np.float64)
        logits = np.log(exact / (1.0 - exact))
        expected = {
            "logits": (logits[:8], values["logits_first8"]),
            "embedding": (embeddings[0, :8], values["embedding_first8"]),
            "scores": (best, [score for _, score in values["top10"]]),
        }
        for what, (ours, theirs) in expected.items():
            largest[what] = max(largest[what], float(np.abs(ours - np.array(theirs)).max()))
        norm = float(np.linalg.norm(embeddings[0]))
        assert norm == pytest.approx(values["embedding_norm"], abs=1e-3)
    with capsys.disabled():
        told = ", ".join(f"{what} {value:.1e}" for what, value in largest.items())
        print(f"\nmn04, largest difference from the original: {told}")
    assert max(largest.values()) < 1e-3
