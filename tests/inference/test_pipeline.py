# SPDX-License-Identifier: Apache-2.0
"""Source to scores: a stream, whatever its pieces and batches, gives what the one-shot gives."""

from __future__ import annotations

import io
from fractions import Fraction

import numpy as np
import pytest
from ai_edge_litert.interpreter import Interpreter
from hypothesis import given, settings
from hypothesis import strategies as st

import oido
from oido.errors import EmptyAudioError, InvalidSamplesError, OptionError
from oido.inference.block import Block
from oido.inference.pipeline import Pipeline, WindowStream
from oido.inference.predictor import Predictor, PredictorPool
from oido.inference.result import ClassificationResult, Prediction
from oido.params import Windowing
from oido.signal.decode import AudioInfo, AudioReader
from oido.signal.framing import WindowFramer
from oido.signal.resample import Resampler
from tests.signal.decode.encoding import by_av, by_soundfile
from tests.signal.decode.wav_bytes import wav
from tests.signal.sounds import channel_sines, noise

WINDOWING = Windowing(16_000, 15_600, 7_680)


class Pieces(AudioReader):
    """An AudioReader whose blocks are cut as the test wants it."""

    def __init__(self, samples, rate_hz, cuts):
        self.info = AudioInfo("<pieces>", rate_hz, 1, len(samples), "float32", "array")
        self.damaged_packets = 0
        self._pieces = [p[:, None] for p in np.split(samples, list(cuts)) if len(p)]

    def blocks(self):
        return iter(self._pieces)

    def close(self):
        pass


@pytest.fixture(scope="module")
def hear(model):
    predictors = PredictorPool.of(model)

    def hear(samples, rate_hz, cuts=(), *, windowing=WINDOWING, batch=64, workers=1):
        """(scores f32[N, 521], embeddings f32[N, 1024], weights f64[N], loudness f64[N],
        n_samples)"""
        reader = Pieces(samples, rate_hz, cuts)
        pipeline = Pipeline(
            model, reader.info, windowing, batch_windows=batch, measures_loudness=True
        )
        stream = WindowStream(reader, pipeline, predictors, workers=workers)
        blocks = list(stream)
        arrays = [np.concatenate(parts) for parts in zip(*(block[1:6] for block in blocks))]
        assert [b.first_window for b in blocks] == list(
            np.cumsum([0, *(len(b.scores) for b in blocks)])[:-1]
        )
        return *arrays, stream.n_samples

    return hear


def assert_equal(one, other):
    for left, right in zip(one, other):
        np.testing.assert_array_equal(left, right)


@settings(max_examples=40)
@given(
    n_samples=st.integers(0, 50_000),
    rate_hz=st.sampled_from([8_000, 16_000, 22_050, 44_100, 48_000]),
    chunk=st.sampled_from([17, 509, 16_000, 44_100]),
    batch=st.sampled_from([1, 3, 64]),
)
def test_pieces_and_batches_do_not_matter(hear, n_samples, rate_hz, chunk, batch):
    samples = noise(n_samples, level=0.3)
    whole = hear(samples, rate_hz)
    assert_equal(hear(samples, rate_hz, range(chunk, n_samples, chunk), batch=batch), whole)
    assert len(whole[0]) == WINDOWING.count(whole[-1])


@settings(max_examples=30)
@given(n_samples=st.integers(0, 50_000), data=st.data())
def test_cuts_anywhere_do_not_matter(hear, n_samples, data):
    cuts = sorted(data.draw(st.lists(st.integers(0, n_samples), max_size=8)))
    samples = noise(n_samples, seed=1, level=0.3)
    assert_equal(hear(samples, 44_100, cuts), hear(samples, 44_100))


@pytest.mark.parametrize("n_samples", [1, 15_600, 15_601, 23_281])
@pytest.mark.parametrize("rate_hz", [16_000, 44_100])
def test_single_samples_do_not_matter(hear, n_samples, rate_hz):
    samples = noise(n_samples, level=0.3)
    cuts = range(1, n_samples)
    assert_equal(hear(samples, rate_hz, cuts, batch=1), hear(samples, rate_hz))


@settings(max_examples=20)
@given(
    hop_frames=st.sampled_from([3, 10, 33, 48, 96]),
    n_samples=st.integers(0, 50_000),
    batch=st.sampled_from([1, 5, 64]),
)
def test_nor_at_any_hop(hear, hop_frames, n_samples, batch):
    windowing = Windowing(16_000, 15_600, hop_frames * 160)
    samples = noise(n_samples, level=0.3)
    whole = hear(samples, 16_000, windowing=windowing)
    cut = hear(samples, 16_000, range(509, n_samples, 509), windowing=windowing, batch=batch)
    assert_equal(cut, whole)


def test_threads_do_not_matter(hear):
    samples = noise(16_000 * 120, level=0.3)
    assert_equal(hear(samples, 16_000, workers=4, batch=7), hear(samples, 16_000))


def test_a_window_does_not_know_its_neighbours(hear):
    """Each row is what its own 15,600 samples give alone."""
    samples = noise(16_000 * 20, level=0.3)
    scores, embeddings, *_ = hear(samples, 16_000)
    for k in (0, 1, 17, len(scores) - 2):
        alone = hear(samples[k * 7_680 : k * 7_680 + 15_600], 16_000)
        np.testing.assert_array_equal(alone[0][0], scores[k])
        np.testing.assert_array_equal(alone[1][0], embeddings[k])


def test_padding_is_zeros_after_the_last_sample(hear):
    samples = noise(20_000, level=0.3)
    padded = np.concatenate([samples, np.zeros(23_280 - 20_000, np.float32)])
    np.testing.assert_array_equal(hear(samples, 16_000)[0], hear(padded, 16_000)[0])


@pytest.mark.parametrize(
    ("n_samples", "last"), [(1, 1 / 15_600), (7_800, 0.5), (15_600, 1.0), (15_601, 7_921 / 15_600)]
)
def test_the_weight_is_the_share_that_is_not_padding(hear, n_samples, last):
    weights = hear(noise(n_samples), 16_000)[2]
    assert weights[-1] == pytest.approx(last, abs=1e-12)
    assert (weights[:-1] == 1.0).all()


def test_scores_are_those_of_the_whole_untouched_model(model, hear):
    """The cut graph, batched, against the published file run window by window."""
    whole = Interpreter(model_path=str(model.path), num_threads=1)
    whole.allocate_tensors()
    given, made = whole.get_input_details()[0]["index"], whole.get_output_details()[0]["index"]
    samples = np.concatenate(
        [noise(80_000, level=0.3), channel_sines(16_000, 80_000, 1)[:, 0].astype(np.float32)]
    )
    scores = hear(samples, 16_000)[0]
    for k in range(len(scores) - 1):
        whole.set_tensor(given, samples[k * 7_680 : k * 7_680 + 15_600])
        whole.invoke()
        np.testing.assert_array_equal(whole.get_tensor(made).reshape(-1), scores[k])


@pytest.mark.parametrize(
    ("n_samples", "windows"),
    [(16, 1), (15_600, 1), (15_601, 2), (16_000, 2), (23_280, 2), (48_000, 6), (160_000, 20)],
)
def test_windows_and_times_of_a_file(classifier, n_samples, windows):
    result = classifier.classify(wav(noise(n_samples).astype(np.float64), 16_000))
    assert result.scores.shape == (windows, 521)
    assert result.embeddings.shape == (windows, 1_024)
    assert result.duration == n_samples / 16_000
    expected = [[k * 7_680 / 16_000, (k * 7_680 + 15_600) / 16_000] for k in range(windows)]
    assert result.times.tolist() == expected
    assert result.times.dtype == np.float64


def test_times_stay_exact_after_an_hour(classifier):
    """Whole samples divided once: no sum of 0.48 s that drifts."""
    hour = 7_499
    info = classifier.stream(noise(16_000), 16_000).info
    scores, ones = np.zeros((hour, 521), np.float32), np.ones(hour)
    windows = Block(0, scores, scores[:, :1], ones, ones, WINDOWING.times(0, hour))
    prediction = Prediction(info, WINDOWING, 57_600_000, windows, aggregation="mean")
    result = ClassificationResult(prediction, {"scores": classifier.postprocessor}, "scores")
    assert result.times[:, 0].tolist() == [float(Fraction(k * 7_680, 16_000)) for k in range(hour)]
    assert result.times[7_000].tolist() == [3_360.0, 3_360.975]


def test_the_hop_option(model):
    classifier = oido.AudioClassifier(model, hop=0.1, jobs=1)
    result = classifier.classify(noise(48_000, level=0.3), 16_000)
    assert len(result.scores) == 1 + -(-(48_000 - 15_600) // 1_600)
    np.testing.assert_allclose(np.diff(result.times[:, 0]), 0.1, atol=1e-12)


@pytest.mark.parametrize("n_samples", [1, 100, 15_599])
def test_a_short_array_is_one_window(classifier, n_samples):
    result = classifier.classify(noise(n_samples, level=0.3), 16_000)
    assert len(result.scores) == 1
    assert result.padded_share == pytest.approx(1.0 - n_samples / 15_600)


def test_nothing_at_all_is_an_error_and_not_a_silent_window(classifier):
    with pytest.raises(EmptyAudioError):
        classifier.classify(np.zeros(0, np.float32), 16_000)


def test_every_way_in_gives_the_same(classifier, tmp_path):
    values = (noise(60_000, level=0.2) * 32768).astype(np.int16)
    samples = values.astype(np.float64) / 32768.0
    content = wav(samples, 16_000)
    path = tmp_path / "noise.wav"
    path.write_bytes(content)
    expected = classifier.classify(values, 16_000).scores
    ways = [
        path,
        str(path),
        content,
        io.BytesIO(content),
        samples,
        samples.astype(np.float32),
        values[:, None],
        np.stack([values, values], 1),
        by_soundfile(samples, 16_000, "FLAC", "PCM_16"),
        by_av(samples[:, None], 16_000, "matroska", "flac", video="mjpeg"),
        wav(np.stack([samples] * 4, 1), 16_000, "f32"),
    ]
    for way in ways:
        rate = 16_000 if isinstance(way, np.ndarray) else None
        np.testing.assert_array_equal(classifier.classify(way, rate).scores, expected)


def test_one_shot_is_push_everything_then_flush(model, hear):
    """The stages by hand, in the order of the design's one path."""
    predictor = Predictor.of(model)
    samples = noise(100_000, level=0.3)
    resampler, framer = Resampler(44_100, 16_000), WindowFramer(WINDOWING, 4)
    segments = framer.push(resampler.push(samples))
    segments += framer.push(resampler.flush()) + framer.flush()
    scores = [predictor.predict(s.waveform, s.hop_samples).scores for s in segments]
    np.testing.assert_array_equal(np.concatenate(scores), hear(samples, 44_100)[0])


def pipeline_of(model, rate_hz, channels=1, **options):
    info = AudioInfo("<made>", rate_hz, channels, None, "float32", "array")
    return Pipeline(model, info, WINDOWING, **options)


@settings(max_examples=40)
@given(rate_hz=st.sampled_from([8_000, 16_000, 44_100, 48_000]), before=st.integers(0, 60_000))
def test_missing_frames_are_never_too_many(model, rate_hz, before):
    """One frame fewer brings no work: nobody who waits for so many frames waits too long."""
    pipeline = pipeline_of(model, rate_hz)
    pipeline.push(noise(before, level=0.1)[:, None])
    missing = pipeline.missing_frames()
    assert missing >= 1
    assert not pipeline.push(np.zeros((missing - 1, 1), np.float32))


def test_at_the_models_rate_work_comes_with_the_last_missing_frame(model):
    pipeline = pipeline_of(model, 16_000)
    assert pipeline.missing_frames() == 15_600
    (item,) = pipeline.push(np.zeros((15_600, 1), np.float32))
    assert (item.branch, item.segment.first_window, item.segment.n_windows) == (0, 0, 1)
    assert pipeline.missing_frames() == 7_680


@pytest.mark.parametrize(("n_samples", "windows"), [(15_599, 0), (15_600, 1), (20_000, 2)])
def test_what_is_left_of_a_damaged_source_needs_a_whole_window(model, n_samples, windows):
    pipeline = pipeline_of(model, 16_000)
    items = pipeline.push(noise(n_samples)[:, None]) + pipeline.flush(damaged=True)
    assert sum(item.segment.n_windows for item in items) == windows


def test_damage_within_the_samples_is_kept_and_ends_what_is_used(model):
    samples = noise(40_000)[:, None]
    samples[30_000] = np.nan
    pipeline = pipeline_of(model, 16_000)
    pipeline.push(samples)
    assert isinstance(pipeline.damage, InvalidSamplesError)
    assert pipeline.n_samples == 30_000
    assert pipeline.push(noise(40_000)[:, None]) == []


def test_loudness_and_sums_are_measured_only_where_they_are_wanted(model):
    quiet, loud = (pipeline_of(model, 16_000, measures_loudness=wanted) for wanted in (False, True))
    for pipeline in (quiet, loud):
        (item,) = pipeline.push(noise(15_600, level=0.5)[:, None])
        assert pipeline.loudness(item).shape == (1,)
        assert (pipeline.loudness(item) > 0).all() == (pipeline is loud)
        assert pipeline.sums.frames == (15_600 if pipeline is loud else 0)


def test_a_channel_that_is_none_is_told_at_once_and_one_that_is_not_there_with_the_samples(model):
    with pytest.raises(OptionError, match='must be "mix" or a number'):
        pipeline_of(model, 16_000, channel="left")
    with pytest.raises(OptionError, match="no channel 2; it has channels 0 to 1"):
        pipeline_of(model, 16_000, 2, channel=2).push(np.zeros((10, 2), np.float32))
