# SPDX-License-Identifier: Apache-2.0
"""One suite over every runtime: what `oido.runtime.base.Runtime` promises."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from typing import NamedTuple

import numpy as np
import pytest

from oido.runtime.fake import FakeRuntime
from oido.runtime.litert import LiteRtRuntime

FRAMES, BANDS, BINS = 96, 64, 235


class Kind(NamedTuple):
    """How to make a runtime, and the sizes of what it must give."""

    make: object
    classes: int
    dim: int


@pytest.fixture(params=["fake", "fake-small", "litert"])
def kind(request):
    if request.param == "fake":
        return Kind(lambda: FakeRuntime(521, 1024), 521, 1024)
    if request.param == "fake-small":
        return Kind(lambda: FakeRuntime(3), 3, 16)
    graph = request.getfixturevalue("model").network.graph
    return Kind(lambda: LiteRtRuntime(graph.projection, graph.network), 521, 1024)


@pytest.fixture
def runtime(kind):
    return kind.make()


def patches_of(n: int, seed: int = 0) -> np.ndarray:
    """f32[n, 96, 64] like log-mel ones: loud, soft and very different from each other."""
    random = np.random.default_rng(seed)
    levels = random.uniform(-6.9, 3.0, (n, 1, 1))
    return (levels + random.standard_normal((n, FRAMES, BANDS)) * 1.5).astype(np.float32)


@pytest.mark.parametrize("n", [1, 2, 7, 64])
def test_shapes_dtypes_and_range(kind, runtime, n):
    scores, embeddings, _ = runtime.run(patches_of(n))
    assert scores.shape == (n, kind.classes)
    assert embeddings.shape == (n, kind.dim)
    assert scores.dtype == embeddings.dtype == np.float32
    assert scores.min() >= 0.0
    assert scores.max() <= 1.0
    assert np.isfinite(embeddings).all()


@pytest.mark.parametrize("n", [2, 7, 64])
def test_a_batch_gives_exactly_what_its_patches_give_one_by_one(runtime, n):
    patches = patches_of(n, seed=n)
    batch = runtime.run(patches)
    alone = [runtime.run(patch[None]) for patch in patches]
    np.testing.assert_array_equal(batch.scores, np.concatenate([a.scores for a in alone]))
    np.testing.assert_array_equal(batch.embeddings, np.concatenate([a.embeddings for a in alone]))


def test_outputs_follow_the_order_of_the_patches(runtime):
    patches = patches_of(9)
    order = np.random.default_rng(1).permutation(9)
    there, shuffled = runtime.run(patches), runtime.run(patches[order])
    np.testing.assert_array_equal(shuffled.scores, there.scores[order])
    np.testing.assert_array_equal(shuffled.embeddings, there.embeddings[order])


def test_different_patches_give_different_outputs(runtime):
    scores, embeddings, _ = runtime.run(patches_of(5))
    assert len(np.unique(scores, axis=0)) == 5
    assert len(np.unique(embeddings, axis=0)) == 5


def test_frames_and_bands_are_not_confused(runtime):
    """A patch whose loudness rises in time is not one whose loudness rises in frequency."""
    in_time = np.broadcast_to(np.linspace(-6, 3, FRAMES)[:, None], (FRAMES, BANDS))
    in_frequency = np.broadcast_to(np.linspace(-6, 3, BANDS), (FRAMES, BANDS))
    outputs = runtime.run(np.stack([in_time, in_frequency]).astype(np.float32))
    assert not np.array_equal(outputs.scores[0], outputs.scores[1])


def test_overlapping_views_are_accepted(runtime):
    """The front end gives a view in which patches share frames and axes are swapped."""
    frames = patches_of(3).reshape(-1, BANDS)
    view = np.lib.stride_tricks.sliding_window_view(frames, FRAMES, axis=0)
    view = view[::48].transpose(0, 2, 1)
    assert not view.flags.c_contiguous
    assert len(view) == 5
    expected = runtime.run(np.ascontiguousarray(view))
    got = runtime.run(view)
    np.testing.assert_array_equal(got.scores, expected.scores)
    np.testing.assert_array_equal(got.embeddings, expected.embeddings)


def test_every_other_patch_of_an_array_is_accepted(runtime):
    patches = patches_of(6)
    expected = runtime.run(patches[::2].copy())
    np.testing.assert_array_equal(runtime.run(patches[::2]).scores, expected.scores)


def test_inputs_are_left_as_they_were(runtime):
    patches = patches_of(4)
    magnitudes = np.random.default_rng(2).uniform(0, 20, (10, BINS)).astype(np.float32)
    before = patches.copy(), magnitudes.copy()
    patches.flags.writeable = magnitudes.flags.writeable = False
    runtime.run(patches)
    runtime.project(magnitudes)
    np.testing.assert_array_equal(patches, before[0])
    np.testing.assert_array_equal(magnitudes, before[1])


def test_outputs_stay_when_the_runtime_goes_on(runtime):
    first = runtime.run(patches_of(3, seed=1))
    kept = first.scores.copy(), first.embeddings.copy()
    runtime.run(patches_of(3, seed=2))
    np.testing.assert_array_equal(first.scores, kept[0])
    np.testing.assert_array_equal(first.embeddings, kept[1])


@pytest.mark.parametrize("frames", [1, 2, 7, 96, 192])
def test_projection_gives_each_frame_the_same_alone(runtime, frames):
    random = np.random.default_rng(frames)
    magnitudes = (random.uniform(0, 1, (frames, BINS)) ** 4 * 30).astype(np.float32)
    together = runtime.project(magnitudes)
    assert together.shape == (frames, BANDS)
    assert together.dtype == np.float32
    alone = np.concatenate([runtime.project(row[None]) for row in magnitudes])
    np.testing.assert_array_equal(together, alone)


def test_projection_of_nothing_is_the_logarithm_of_the_offset(runtime):
    silence = runtime.project(np.zeros((2, BINS), np.float32))
    np.testing.assert_allclose(silence, np.log(0.001), rtol=1e-6)


def test_projection_hears_more_where_more_is(runtime):
    low = np.zeros((1, BINS), np.float32)
    low[0, 5:20] = 10.0
    bands = runtime.project(low)[0]
    assert bands[:16].max() > bands[48:].max() + 3


def test_two_runtimes_in_two_threads_agree_with_one(kind):
    batches = [patches_of(n, seed=100 + n) for n in (1, 5, 16, 3, 8, 2, 16, 1)]
    alone = kind.make()
    expected = [alone.run(batch) for batch in batches]

    def work(_: int) -> list:
        own = kind.make()
        return [own.run(batch) for batch in batches for _ in range(2)][::2]

    with ThreadPoolExecutor(2) as pool:
        for outputs in pool.map(work, range(2)):
            for got, want in zip(outputs, expected, strict=True):
                np.testing.assert_array_equal(got.scores, want.scores)
                np.testing.assert_array_equal(got.embeddings, want.embeddings)
