# SPDX-License-Identifier: Apache-2.0
"""Students in PyTorch, and what LiteRT makes of their weights."""

from __future__ import annotations

import numpy as np
import pytest

torch = pytest.importorskip("torch", reason="needs oido[torch]")

from oido.errors import OptionError  # noqa: E402
from oido.models.networks.student import MOST_WEIGHTS, network  # noqa: E402
from oido.models.tflite.builder import GraphWriter  # noqa: E402
from oido.params import FixedPointParams  # noqa: E402
from oido.runtime.litert import WholeRuntime  # noqa: E402
from oido.torch.student import DistilOptions, StudentNetwork, TaughtFrames, distil  # noqa: E402

PARAMS = FixedPointParams()


def toy(clips: int = 12) -> list[TaughtFrames]:
    """Bands of energy: high for the first class, low for the second, both sorts of loudness."""
    dice = np.random.default_rng(0)
    made = []
    for number in range(clips):
        frames = dice.normal(-90, 8, (80, 40))
        first = number % 2
        frames[:, 5 + 20 * first : 15 + 20 * first] += dice.uniform(60, 120)
        targets = np.tile(np.eye(2, dtype=np.float32)[first], (33, 1))
        clipped = np.clip(frames, -128, 127).astype(np.int8)
        made.append(TaughtFrames(clipped, targets, 1.0, False))
    return made


@pytest.fixture(scope="module")
def trained() -> StudentNetwork:
    """With statistics of batch norms that are not those of the beginning."""
    torch.manual_seed(0)
    student = StudentNetwork(3)
    student.train()
    with torch.no_grad():
        for _ in range(5):
            student(torch.rand(8, 48, 40) * 2)
    return student.eval()


def patches(count: int = 16) -> np.ndarray:
    dice = np.random.default_rng(1)
    return dice.integers(-128, 128, (count, 48, 40, 1)).astype(np.int8)


def test_folded_weights_in_litert_are_the_module(trained: StudentNetwork) -> None:
    x = (patches().astype(np.float32) + 128) / 128
    sound = torch.from_numpy(x[..., 0])
    weights = trained.folded(sound)
    writer = GraphWriter("float twin", batch=False)
    image = writer.input("x", (1, 48, 40, 1))
    for conv in weights.convs:
        image = writer.conv(
            image,
            conv.weights,
            conv.bias,
            stride=conv.stride,
            activation="relu",
            depthwise=conv.depthwise,
        )
    logits = writer.dense(writer.mean(image), weights.head_weights, weights.head_bias)
    found = WholeRuntime(writer.finish([logits])).run(x).scores
    with torch.no_grad():
        expected = trained(sound).numpy()
    np.testing.assert_allclose(found, expected, atol=1e-4)


def test_the_int8_graph_is_near_the_module(trained: StudentNetwork) -> None:
    whole = patches(64)
    sound = torch.from_numpy((whole[..., 0].astype(np.float32) + 128) / 128)
    content = network(trained.folded(sound), PARAMS, "softmax")
    with torch.no_grad():
        expected = torch.softmax(trained(sound), dim=1).numpy()
    found = WholeRuntime(content).run(whole).scores
    assert np.abs(found - expected).mean() < 0.02
    plain = WholeRuntime(content, reference=True).run(whole).scores
    assert np.abs(plain - found).max() <= 2 / 256


def test_a_student_learns_and_has_at_most_a_hundred_thousand_weights() -> None:
    steps: list[tuple[int, int]] = []
    options = DistilOptions(steps=40, batch=16)
    done = distil(
        toy(), "softmax", PARAMS, options=options, progress=lambda n, of, _: steps.append((n, of))
    )
    assert steps == [(n, 40) for n in range(1, 41)]
    assert done.weights.size <= MOST_WEIGHTS
    runtime = WholeRuntime(network(done.weights, PARAMS, "softmax"))
    for number, clip in enumerate(toy()):
        scores = runtime.run(clip.frames[None, :48, :, None]).scores[0]
        assert scores.argmax() == number % 2


def test_the_same_seed_gives_the_same_weights() -> None:
    options = DistilOptions(steps=3, batch=4, seed=5)
    one, other = (distil(toy(), "sigmoid", PARAMS, options=options).weights for _ in range(2))
    for first, second in zip(one.convs, other.convs):
        np.testing.assert_array_equal(first.weights, second.weights)
    assert torch.get_num_threads() >= 1


def test_ctrl_c_keeps_what_was_learnt_once_there_is_something() -> None:
    def stop_at(last: int):
        def progress(step: int, of: int, loss: float) -> None:
            if step == last:
                raise KeyboardInterrupt

        return progress

    options = DistilOptions(steps=20, batch=4)
    assert distil(toy(), "softmax", PARAMS, options=options, progress=stop_at(5)).steps == 5
    with pytest.raises(KeyboardInterrupt):
        distil(toy(), "softmax", PARAMS, options=options, progress=stop_at(1))


def test_minutes_end_it() -> None:
    options = DistilOptions(steps=100_000, batch=2, max_minutes=0.02)
    assert 1 <= distil(toy(), "softmax", PARAMS, options=options).steps < 100_000


def test_what_cannot_be_is_refused() -> None:
    with pytest.raises(OptionError, match="nothing for a student"):
        distil([], "softmax", PARAMS)
    with pytest.raises(OptionError, match=r"a student has \d+ classes at most, not 521"):
        StudentNetwork(521)
    with pytest.raises(OptionError, match="max_minutes must be above 0"):
        DistilOptions(max_minutes=0)
    with pytest.raises(OptionError, match="steps and batch"):
        DistilOptions(steps=0)
