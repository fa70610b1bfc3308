# SPDX-License-Identifier: Apache-2.0
"""The one path as a stream, with the fake network behind the seam: no model file is needed."""

from __future__ import annotations

import threading
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest

from oido.inference.block import BATCH_WINDOWS
from oido.inference.pipeline import Pipeline, WindowStream
from oido.inference.predictor import Predictor, PredictorPool
from oido.params import FrontEndParams, Windowing
from oido.runtime.base import Outputs, joined_outputs
from oido.runtime.fake import FakeRuntime
from oido.signal.decode import AudioInfo, AudioReader, open_audio
from oido.signal.frontend import FrontEnd

PARAMS = FrontEndParams(16_000, 400, 160, 512, 96)
HANN = (0.5 - 0.5 * np.cos(2 * np.pi * np.arange(400) / 400)).astype(np.float32)
DEFAULT = Windowing(16_000, 15_600, 7_680)


class ChunkReader(AudioReader):
    """Samples at 16 kHz in chunks of any size."""

    def __init__(self, samples, chunk):
        self.info = AudioInfo("<chunks>", 16_000, 1, len(samples), "none", "array")
        self.damaged_packets = 0
        self.closed = False
        self._samples, self._chunk = samples, chunk

    def blocks(self):
        for start in range(0, len(self._samples), self._chunk):
            yield self._samples[start : start + self._chunk, None]

    def close(self):
        self.closed = True


def fake_predictors(make_runtime=lambda: FakeRuntime(7, 5)):
    """Predictors with a real front end and a network that is not."""

    def make_predictor():
        runtime = make_runtime()
        front_end = FrontEnd(PARAMS, HANN, (5, 239), runtime.project)
        return Predictor(front_end.patches, runtime)

    return PredictorPool([make_predictor])


def window_stream(reader, predictors, windowing, *, batch_windows=BATCH_WINDOWS, workers=1):
    """The stream of a model with one network."""
    model = SimpleNamespace(network=None)
    pipeline = Pipeline(model, reader.info, windowing, batch_windows=batch_windows)
    adapts = batch_windows == 1
    return WindowStream(reader, pipeline, predictors, workers=workers, adapts_hop=adapts)


@pytest.fixture
def predictors():
    return fake_predictors()


@pytest.fixture(scope="module")
def sound():
    """Noise whose level goes up and down, so that no two windows are alike: f32[n], 70 s."""
    n = 70 * 16_000 + 123
    level = 0.2 + 0.2 * np.sin(np.arange(n) / 50_000)
    noise = np.random.default_rng(3).uniform(-1, 1, n)
    return (noise * level).astype(np.float32)


def together(blocks):
    """Blocks → outputs of all windows, after a check that they are neighbours."""
    first = 0
    for block in blocks:
        assert block.first_window == first
        assert len(block.scores) == len(block.embeddings) == len(block.weights)
        first += len(block.scores)
    return Outputs(
        np.concatenate([b.scores for b in blocks]), np.concatenate([b.embeddings for b in blocks])
    )


def by_hand(samples, hop=7_680):
    """Each window alone through the front end and the fake: no framing, batching or threads."""
    fake = FakeRuntime(7, 5)
    front_end = FrontEnd(PARAMS, HANN, (5, 239), fake.project)
    outputs, start = [], 0
    while True:
        window = np.zeros(15_600, np.float32)
        branch = samples[start : start + 15_600]
        window[: len(branch)] = branch
        outputs.append(fake.run(front_end.frames(window)[None]))
        if start + 15_600 >= len(samples):
            break
        start += hop
    return joined_outputs(outputs)


@pytest.mark.parametrize("batch", [1, 2, 5, BATCH_WINDOWS])
@pytest.mark.parametrize("workers", [1, 2, 5])
def test_windows_are_those_heard_one_by_one(predictors, sound, batch, workers):
    samples = sound[:300_000]
    stream = window_stream(
        ChunkReader(samples, 44_100), predictors, DEFAULT, batch_windows=batch, workers=workers
    )
    blocks = list(stream)
    assert all(len(b.scores) <= batch for b in blocks)
    got, want = together(blocks), by_hand(samples)
    np.testing.assert_array_equal(got.scores, want.scores)
    np.testing.assert_array_equal(got.embeddings, want.embeddings)
    assert stream.n_samples == 300_000


@pytest.mark.parametrize("chunk", [17, 509, 44_100, 10**9])
def test_chunks_change_nothing(predictors, sound, chunk):
    stream = window_stream(ChunkReader(sound, chunk), predictors, DEFAULT)
    got, want = together(list(stream)), by_hand(sound)
    assert len(got.scores) == DEFAULT.count(len(sound)) > 2 * BATCH_WINDOWS
    np.testing.assert_array_equal(got.scores, want.scores)
    np.testing.assert_array_equal(got.embeddings, want.embeddings)


def test_chunks_of_one_sample_change_nothing(predictors, sound):
    samples = sound[:24_000]
    got = together(list(window_stream(ChunkReader(samples, 1), predictors, DEFAULT)))
    np.testing.assert_array_equal(got.scores, by_hand(samples).scores)


@pytest.mark.parametrize("hop_frames", [1, 13, 96])
def test_other_hops(predictors, sound, hop_frames):
    samples = sound[100_000 : 100_000 + 15_600 + 20 * 160 * hop_frames + 11]
    windowing = Windowing(16_000, 15_600, 160 * hop_frames)
    stream = window_stream(ChunkReader(samples, 5_000), predictors, windowing, batch_windows=6)
    got, want = together(list(stream)), by_hand(samples, 160 * hop_frames)
    np.testing.assert_array_equal(got.scores, want.scores)


@pytest.mark.parametrize("n", [1, 399, 15_599, 15_600, 15_601, 23_280, 23_281])
def test_weights_are_the_share_that_is_sound(predictors, sound, n):
    blocks = list(window_stream(ChunkReader(sound[:n], 4_096), predictors, DEFAULT))
    weights = np.concatenate([b.weights for b in blocks])
    assert (weights[:-1] == 1.0).all()
    last_start = (len(weights) - 1) * 7_680
    assert weights[-1] == pytest.approx((n - last_start) / 15_600)


def test_the_real_classifier_streams_what_it_classifies(classifier, sound):
    stream = classifier.stream(sound, 16_000)
    result = classifier.classify(sound, 16_000)
    got = together(list(stream))
    np.testing.assert_array_equal(got.scores, result.scores)
    np.testing.assert_array_equal(got.embeddings, result.embeddings)
    assert stream.info.name == "<array>"
    assert stream.damaged_packets == 0


@pytest.mark.parametrize("workers", [1, 3])
def test_the_source_is_closed_at_the_end_and_on_leaving_early(predictors, sound, workers):
    reader = ChunkReader(sound, 44_100)
    list(window_stream(reader, predictors, DEFAULT, workers=workers))
    assert reader.closed
    reader = ChunkReader(sound, 44_100)
    blocks = iter(window_stream(reader, predictors, DEFAULT, batch_windows=1, workers=workers))
    next(blocks)
    blocks.close()
    assert reader.closed


@pytest.mark.parametrize("workers", [1, 3])
def test_an_error_of_the_network_reaches_the_caller(sound, workers):
    class Failing(FakeRuntime):
        def run(self, patches):
            raise RuntimeError("out of order")

    predictors = fake_predictors(lambda: Failing(7, 5))
    reader = ChunkReader(sound, 44_100)
    with pytest.raises(RuntimeError, match="out of order"):
        list(window_stream(reader, predictors, DEFAULT, workers=workers))
    assert reader.closed


def test_a_long_source_is_not_read_far_ahead(predictors, sound):
    """Memory stays flat: few segments are under way when the first is given."""
    read = []

    class Counting(ChunkReader):
        def blocks(self):
            for block in super().blocks():
                read.append(len(block))
                yield block

    blocks = iter(
        window_stream(Counting(sound, 7_680), predictors, DEFAULT, batch_windows=4, workers=2)
    )
    next(blocks)
    assert sum(read) < 8 * 4 * 7_680 + 15_600 < len(sound)
    blocks.close()


def test_runtimes_are_never_shared_between_threads_and_are_used_again(sound):
    made, busy, lock = [], set(), threading.Lock()

    class Watched(FakeRuntime):
        def run(self, patches):
            with lock:
                assert id(self) not in busy
                busy.add(id(self))
            try:
                return super().run(patches)
            finally:
                with lock:
                    busy.discard(id(self))

    def make():
        made.append(Watched(7, 5))
        return made[-1]

    predictors = fake_predictors(make)
    for _ in range(3):
        list(
            window_stream(
                ChunkReader(sound, 44_100), predictors, DEFAULT, batch_windows=4, workers=3
            )
        )
    assert 1 <= len(made) <= 3


def test_a_stream_is_of_any_source(predictors):
    street = Path(__file__).parents[2] / "examples" / "street.flac"
    stream = window_stream(open_audio(street), predictors, DEFAULT)
    assert len(together(list(stream)).scores) == 62
    assert stream.n_samples == 480_000
    assert stream.info.sample_rate_hz == 16_000
