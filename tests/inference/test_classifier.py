# SPDX-License-Identifier: Apache-2.0
"""The classifier: every kind of source, its options, jobs and threads."""

from __future__ import annotations

import io
import pickle
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest
import soundfile

import oido
from oido.inference.classifier import available_cores

STREET = Path(__file__).parents[2] / "examples" / "street.flac"


@pytest.fixture(scope="module")
def street():
    """int16[480000] at 16 kHz."""
    samples, rate = soundfile.read(STREET, dtype="int16")
    assert rate == 16_000
    return samples


@pytest.fixture(scope="module")
def expected(classifier):
    return classifier.classify(STREET)


def same(result, expected):
    np.testing.assert_array_equal(result.scores, expected.scores)
    np.testing.assert_array_equal(result.embeddings, expected.embeddings)
    np.testing.assert_array_equal(result.times, expected.times)
    np.testing.assert_array_equal(result.weights, expected.weights)
    assert result.duration == expected.duration


def test_shapes_and_types(expected):
    assert expected.scores.shape == (62, 521)
    assert expected.embeddings.shape == (62, 1024)
    assert expected.times.shape == (62, 2)
    assert expected.scores.dtype == expected.embeddings.dtype == np.float32
    assert expected.times.dtype == expected.weights.dtype == np.float64
    assert 0 <= expected.scores.min() < expected.scores.max() <= 1
    assert expected.probabilities is None
    assert expected.clip_probabilities is None
    assert expected.duration == 30.0


class TestSources:
    def test_path_bytes_and_file_objects_agree(self, classifier, expected):
        same(classifier.classify(str(STREET)), expected)
        content = STREET.read_bytes()
        for source in (content, bytearray(content), memoryview(content), io.BytesIO(content)):
            same(classifier.classify(source), expected)
        with open(STREET, "rb") as file:
            same(classifier.classify(file), expected)

    def test_a_file_object_is_read_from_where_it_stands(self, classifier, expected):
        file = io.BytesIO(b"header to skip" + STREET.read_bytes())
        file.seek(len(b"header to skip"))
        same(classifier.classify(file), expected)

    def test_a_pipe_without_seeking_is_read_too(self, classifier, expected):
        class Pipe(io.RawIOBase):
            def __init__(self, content):
                self._file = io.BytesIO(content)

            def readable(self):
                return True

            def readinto(self, buffer):
                return self._file.readinto(buffer)

        same(classifier.classify(Pipe(STREET.read_bytes())), expected)

    @pytest.mark.parametrize(
        "convert",
        [
            lambda s: s,
            lambda s: s.astype(np.int32) * 65_536,
            lambda s: (s / 32_768).astype(np.float32),
            lambda s: s / 32_768,
            lambda s: s[:, None],
            lambda s: np.stack([s, s], axis=1),
            lambda s: np.asfortranarray(np.stack([s, s], axis=1)),
            lambda s: np.repeat(s, 2)[::2],
            lambda s: (s / 32_768).astype(np.float32).astype(">f4"),
        ],
        ids=[
            "int16",
            "int32",
            "float32",
            "float64",
            "column",
            "two-channels",
            "fortran",
            "strided",
            "big-endian",
        ],
    )
    def test_arrays_of_every_kind_agree(self, classifier, street, expected, convert):
        same(classifier.classify(convert(street), 16_000), expected)

    def test_channels_are_averaged_or_picked(self, classifier, street, expected):
        both = np.stack([street, np.zeros_like(street)], axis=1)
        same(classifier.classify(both, 16_000, channel=0), expected)
        half = classifier.classify((street / 65_536).astype(np.float32), 16_000)
        np.testing.assert_array_equal(classifier.classify(both, 16_000).scores, half.scores)
        silent = classifier.classify(both, 16_000, channel=1)
        assert [c.label for c in silent.top(1)] == ["Silence"]

    def test_the_array_is_left_as_it_was(self, classifier, street):
        samples = street[:20_000] / np.float32(32_768)
        before = samples.copy()
        samples.flags.writeable = False
        classifier.classify(samples, 16_000)
        np.testing.assert_array_equal(samples, before)

    @pytest.mark.parametrize("rate", [8_000, 22_050, 44_100, 48_000])
    def test_a_tone_is_a_tone_at_every_rate(self, classifier, rate):
        t = np.arange(3 * rate) / rate
        result = classifier.classify(0.3 * np.sin(2 * np.pi * 700 * t), rate)
        assert result.scores.shape == (6, 521)
        assert result.duration == pytest.approx(3.0, abs=1e-4)
        at_16k = classifier.classify(
            0.3 * np.sin(2 * np.pi * 700 * np.arange(48_000) / 16_000), 16_000
        )
        assert result.top(1)[0].label == at_16k.top(1)[0].label


class TestRefused:
    @pytest.mark.parametrize("kind", ["u1", "u2", "i1", "i8", "?", "c8", "O", "U3", "M8[s]"])
    def test_a_dtype_that_is_not_audio(self, classifier, kind):
        with pytest.raises(oido.InvalidSamplesError, match="int16, int32 or float"):
            classifier.classify(np.zeros(16_000, kind), 16_000)

    @pytest.mark.parametrize("shape", [(), (2, 3, 4), (2, 16_000)])
    def test_a_shape_that_is_not_audio(self, classifier, shape):
        with pytest.raises(oido.InvalidSamplesError):
            classifier.classify(np.zeros(shape, np.float32), 16_000)

    @pytest.mark.parametrize("samples", [[], [[]], np.zeros((0, 2), np.float32)])
    def test_no_samples(self, classifier, samples):
        with pytest.raises(oido.AudioError):
            classifier.classify(np.asarray(samples, np.float32), 16_000)

    def test_rows_of_different_length(self, classifier):
        with pytest.raises(oido.OidoError):
            classifier.classify([[0.0, 1.0], [0.0]], 16_000)

    @pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf, 1e30])
    def test_samples_that_are_not_finite_or_absurd(self, classifier, bad):
        samples = np.zeros(40_000, np.float32)
        samples[30_000] = bad
        with pytest.raises(oido.InvalidSamplesError):
            classifier.classify(samples, 16_000)

    @pytest.mark.parametrize(
        "rate", [None, 0, -16_000, 999, 10**7, 16_000.5, True, "16000", "fast", np.nan, np.inf]
    )
    def test_a_rate_that_is_none(self, classifier, rate):
        with pytest.raises(oido.InvalidSamplesError):
            classifier.classify(np.zeros(16_000, np.float32), rate)

    def test_a_rate_beside_a_file(self, classifier):
        with pytest.raises(oido.InvalidSamplesError, match="only for arrays"):
            classifier.classify(STREET, 16_000)

    @pytest.mark.parametrize("channel", [1, -1, 99, "left", 0.5, None])
    def test_a_channel_that_is_not_there(self, classifier, channel):
        with pytest.raises(oido.OptionError):
            classifier.classify(np.zeros(16_000, np.float32), 16_000, channel=channel)

    @pytest.mark.parametrize("source", [None, 3, object(), {"a": 1}])
    def test_what_is_no_source(self, classifier, source):
        with pytest.raises(oido.InvalidSamplesError, match="path, bytes"):
            classifier.classify(source)

    def test_files_that_are_no_audio(self, classifier, tmp_path):
        with pytest.raises(oido.AudioNotFoundError):
            classifier.classify(tmp_path / "absent.wav")
        with pytest.raises(oido.UnknownFormatError):
            classifier.classify(b"this is no audio, whatever it is called" * 10)
        with pytest.raises(oido.EmptyAudioError):
            classifier.classify(b"")


class TestLengths:
    @pytest.mark.parametrize(
        ("samples", "windows"),
        [(1, 1), (15_600, 1), (15_601, 2), (16_000, 2), (23_280, 2), (48_000, 6), (160_000, 20)],
    )
    def test_windows_of_a_recording(self, classifier, samples, windows):
        result = classifier.classify(np.zeros(samples, np.int16), 16_000)
        assert result.scores.shape == (windows, 521)
        starts = np.arange(windows) * 0.48
        np.testing.assert_allclose(result.times[:, 0], starts, atol=1e-12)
        np.testing.assert_allclose(result.times[:, 1], starts + 0.975, atol=1e-12)
        assert result.duration == samples / 16_000

    @pytest.mark.parametrize("samples", [1, 100, 8_000, 15_599])
    def test_a_short_recording_is_padded_with_zeros_at_its_end(self, classifier, street, samples):
        padded = np.zeros(15_600, np.int16)
        padded[:samples] = street[:samples]
        short = classifier.classify(street[:samples], 16_000)
        np.testing.assert_array_equal(short.scores, classifier.classify(padded, 16_000).scores)
        assert short.weights[0] == pytest.approx(samples / 15_600)
        assert short.padded_share == pytest.approx(1 - samples / 15_600)
        np.testing.assert_allclose(short.clip_scores, short.scores[0], rtol=1e-6)

    @pytest.mark.parametrize("rate", [44_100, 192_000, 768_000])
    def test_a_single_sample_at_a_high_rate_gives_no_nan(self, classifier, rate):
        """Resampled, it is less than one sample long; it is silence, or it is refused."""
        try:
            result = classifier.classify(np.ones(1, np.float32), rate)
        except oido.AudioError:
            return
        assert np.isfinite(result.clip_scores).all()

    @pytest.mark.parametrize(("hop", "windows"), [(None, 5), (0.48, 5), (0.96, 3), (0.1, 17)])
    def test_hop(self, model, street, expected, hop, windows):
        samples = street[: 15_600 + 25_000]
        result = oido.AudioClassifier(model, hop=hop, jobs=1).classify(samples, 16_000)
        assert len(result.scores) == windows
        step = 0.48 if hop is None else hop
        np.testing.assert_allclose(np.diff(result.times[:, 0]), step, atol=1e-12)
        np.testing.assert_array_equal(result.scores[0], expected.scores[0])


class TestOptions:
    def test_lists_threshold_and_limit_choose_what_is_reported_not_scores(self, model, expected):
        options = oido.AudioClassifier(
            model,
            max_results=2,
            score_threshold=0.05,
            category_allowlist=["siren", "Speech", "Music"],
            jobs=1,
        )
        result = options.classify(STREET)
        np.testing.assert_array_equal(result.scores, expected.scores)
        top = result.top()
        assert 1 <= len(top) <= 2
        assert {c.label for c in top} <= {"Siren", "Speech", "Music"}
        assert all(c.score >= 0.05 for c in top)
        events = result.events(0.0)
        assert len(events) == 2
        assert {e.label for e in events} <= {"Siren", "Speech", "Music"}

    @pytest.mark.parametrize(
        ("options", "error"),
        [
            ({"max_results": 0}, oido.OptionError),
            ({"jobs": 0}, oido.OptionError),
            ({"jobs": -2}, oido.OptionError),
            ({"hop": 0.005}, oido.OptionError),
            ({"aggregation": "median"}, oido.OptionError),
            ({"category_allowlist": ["Speech"], "category_denylist": ["Dog"]}, oido.OptionError),
            ({"category_allowlist": ["Speach"]}, oido.UnknownLabelError),
            ({"category_denylist": ["Dogg"]}, oido.UnknownLabelError),
        ],
    )
    def test_wrong_options_are_told_at_once(self, model, options, error):
        with pytest.raises(error):
            oido.AudioClassifier(model, **options)

    def test_labels_and_their_columns(self, classifier):
        assert len(classifier.labels) == 521
        assert classifier.label_indices(["Silence", "speech"]) == [494, 0]

    def test_a_model_by_path_or_loaded_is_the_same(self, model, street, classifier):
        want = classifier.classify(street[:30_000], 16_000).scores
        for given in (model, str(model.path), model.path):
            made = oido.AudioClassifier(given, jobs=1)
            np.testing.assert_array_equal(made.classify(street[:30_000], 16_000).scores, want)

    @pytest.mark.parametrize("name", ["max", "top-k-mean"])
    def test_the_aggregation_is_the_one_of_clip_scores(self, model, expected, name):
        result = oido.AudioClassifier(model, aggregation=name, jobs=1).classify(STREET)
        np.testing.assert_array_equal(result.clip_scores, expected.clip(name))
        assert not np.array_equal(result.clip_scores, expected.clip_scores)


class TestWork:
    @pytest.mark.parametrize("jobs", [2, 3, 8])
    def test_jobs_change_nothing(self, model, classifier, street, jobs):
        """Two and a half minutes: several segments of 64 windows."""
        long = np.concatenate([street] * 5)
        parallel = oido.AudioClassifier(model, jobs=jobs)
        same(parallel.classify(long, 16_000), classifier.classify(long, 16_000))

    def test_many_threads_may_share_one_classifier(self, model, street, classifier):
        shared = oido.AudioClassifier(model, jobs=2)
        pieces = [street[k * 40_000 : (k + 2) * 40_000] for k in range(10)]
        alone = [classifier.classify(piece, 16_000) for piece in pieces]
        with ThreadPoolExecutor(4) as pool:
            for got, want in zip(pool.map(lambda p: shared.classify(p, 16_000), pieces), alone):
                same(got, want)

    def test_sent_to_another_process_it_is_the_same(self, model):
        # What a pool of processes does with its function, and joblib, Dask and Ray, too.
        original = oido.AudioClassifier(model, max_results=3, display_names_locale="es")
        copied = pickle.loads(pickle.dumps(original))
        got, want = copied.classify(STREET), original.classify(STREET)
        same(got, want)
        assert got.top() == want.top()
        assert len(got.top()) == 3
        assert got.events() == want.events() != []
        embedder = pickle.loads(pickle.dumps(oido.AudioEmbedder(model)))
        np.testing.assert_array_equal(embedder.embed(STREET).embeddings, want.embeddings)

    def test_an_error_leaves_the_classifier_sound(self, model, street, expected):
        classifier = oido.AudioClassifier(model, jobs=2)
        bad = np.concatenate([street.astype(np.float32) / 32_768, [np.float32(np.nan)]])
        for _ in range(3):
            with pytest.raises(oido.InvalidSamplesError):
                classifier.classify(bad, 16_000)
        same(classifier.classify(STREET), expected)

    def test_cores_are_those_that_may_be_used(self, model):
        assert available_cores() >= 1
        assert oido.AudioClassifier(model).jobs == available_cores()


def test_log_mel_frames_are_those_of_the_windows(classifier):
    frames = classifier.log_mel(STREET)
    windows = len(classifier.classify(STREET).scores)
    assert frames.shape == (96 + 48 * (windows - 1), 64)
    assert frames.dtype == np.float32
    # The floor of noise, and nothing below the offset: ln(0.001).
    assert frames.min() >= np.log(np.float32(0.001)) - 1e-6


def test_log_mel_of_a_tone_is_highest_at_its_band(classifier):
    tone = 0.5 * np.sin(2 * np.pi * 1_000 * np.arange(16_000) / 16_000)
    frames = classifier.log_mel(tone.astype(np.float32), sample_rate=16_000)
    mel = classifier.model.network.graph.mel
    assert frames[10].argmax() == mel[:, 32].argmax(), "1 kHz is bin 32"


@pytest.mark.parametrize("name", ["batch_windows", "jobs"])
@pytest.mark.parametrize("value", [0, -1, 1.5])
def test_a_stream_of_no_windows_or_threads_is_refused(classifier, name, value):
    with pytest.raises(oido.OptionError, match=f"{name} must be 1 or more, not {value}"):
        classifier.stream(np.zeros(16_000, np.float32), 16_000, **{name: value})


@pytest.mark.parametrize("count", [0, 1.5, "3"])
def test_the_best_are_a_whole_number(classifier, count):
    result = classifier.classify(np.zeros(16_000, np.float32), 16_000)
    with pytest.raises(oido.OptionError, match="there is no best"):
        result.top(count)
