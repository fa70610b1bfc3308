# SPDX-License-Identifier: Apache-2.0
"""Streams that are pushed from plain Python equal `classify`, and refuse what is no sound."""

from __future__ import annotations

import array
import threading
from pathlib import Path

import numpy as np
import pytest
import soundfile

import oido
from oido.inference.live_stream import _MOST_KEPT

ROOT = Path(__file__).parents[2]
SILENCE = np.zeros(16_000, np.float32)


@pytest.fixture(scope="module")
def street():
    samples, rate = soundfile.read(ROOT / "examples" / "street.flac", dtype="int16")
    assert rate == 16_000
    return samples


@pytest.fixture(scope="module")
def whole(classifier, street):
    return classifier.classify(street, 16_000)


def cut(samples, chunk):
    return [samples[start : start + chunk] for start in range(0, len(samples), chunk)]


def by_time(events):
    return sorted(events, key=lambda event: (event.start_time, event.label_index))


def pushed(live, chunks):
    """All windows and events of a stream that is pushed to its end."""
    windows, events = [], []
    for chunk in chunks:
        windows += live.push(chunk)
        events += live.events()
    windows += live.flush()
    return windows, by_time(events + live.events())


def same_windows(windows, result):
    np.testing.assert_array_equal(np.stack([w.scores for w in windows]), result.scores)
    np.testing.assert_array_equal(np.stack([w.embedding for w in windows]), result.embeddings)
    assert [[w.start_time, w.end_time] for w in windows] == result.times.tolist()


@pytest.mark.parametrize("chunk", [509, 7_680, 44_100, 10**9])
def test_chunks_of_any_size_give_what_classify_gives(classifier, street, whole, chunk):
    with classifier.live(sample_rate=16_000) as live:
        windows, events = pushed(live, cut(street, chunk))
    same_windows(windows, whole)
    assert events == whole.events()
    assert len(events) > 3


@pytest.mark.parametrize("n", [1, 17, 15_599, 15_600, 15_601, 23_281])
def test_a_stream_of_any_length(classifier, street, n):
    result = classifier.classify(street[:n], 16_000)
    with classifier.live(16_000) as live:
        windows, events = pushed(live, cut(street[:n], 4_000))
    same_windows(windows, result)
    assert events == result.events()


def test_another_rate_channels_hop_and_options(classifier):
    path = ROOT / "examples" / "alarm.flac"
    samples, rate = soundfile.read(path, dtype="float32")
    assert samples.shape[1] == 2
    fine = oido.AudioClassifier(classifier.model, hop=0.24, jobs=1)
    result = fine.classify(samples, rate, channel=1)
    options = {"threshold": 0.1, "merge_gap": 0.5, "thresholds": {"Alarm": 0.9}}
    with classifier.live(rate, 2, hop=0.24, channel=1, **options) as live:
        windows, events = pushed(live, cut(samples, 3_001))
    same_windows(windows, result)
    assert events == result.events(**options)
    assert {round(w.hop, 3) for w in windows} == {0.24}


def test_the_ensemble(mn04_is_here, street):
    both = oido.AudioClassifier("ensemble", jobs=1)
    result = both.classify(street[:160_000], 16_000)
    with both.live(16_000) as live:
        windows, events = pushed(live, cut(street[:160_000], 5_000))
    same_windows(windows, result)
    assert events == result.events()


def test_a_window_comes_with_its_last_sample(classifier, street):
    with classifier.live(16_000) as live:
        assert live.push(street[:15_599]) == []
        [window] = live.push(street[15_599:15_600])
        assert (window.start_time, window.end_time, window.skipped) == (0.0, 0.975, 0)
        assert window.top(1)[0].score == window.scores.max()


def test_begun_tells_each_once_before_it_is_over(classifier, street):
    begun, over = [], []
    with classifier.live(16_000) as live:
        for chunk in cut(street, 4_000):
            live.push(chunk)
            over += live.events()
            new = live.begun()
            assert not {(e.label, e.start_time) for e in new} & {
                (e.label, e.start_time) for e in over
            }
            begun += new
    assert any(event.label == "Siren" for event in begun)
    assert live.begun() == []


def test_lists_arrays_of_numbers_and_empty_chunks_are_chunks(classifier):
    with classifier.live(16_000) as live:
        for chunk in ([0.1, 0.2], [], array.array("h", [1, 2]), np.zeros((3, 1), np.int32)):
            assert live.push(chunk) == []
        [window] = live.flush()
    assert window.end_time == 0.975


def test_the_chunk_may_be_used_again(classifier, street):
    buffer = np.empty(4_000, np.int16)
    windows = []
    with classifier.live(16_000) as live:
        for chunk in cut(street[:40_000], 4_000):
            buffer[:] = chunk
            windows += live.push(buffer)
            buffer[:] = 0
        windows += live.flush()
    same_windows(windows, classifier.classify(street[:40_000], 16_000))


def test_events_that_nobody_asks_for_do_not_grow_without_end(classifier):
    live = classifier.live(16_000)
    assert live._output._over.maxlen == live._output._begun.maxlen == _MOST_KEPT


NO_SOUND = {
    "bytes": (b"\0\1", "not bytes; of 16-bit PCM: numpy.frombuffer"),
    "memoryview": (memoryview(b"\0\1"), "not bytes"),
    "text": ("a.wav", r"not a name \(a.wav\)"),
    "int64": (np.zeros(9, np.int64), r"not int64; convert them, e.g. samples.astype\('int16'\)"),
    "uint8": (np.zeros(9, np.uint8), "not uint8"),
    "bool": (np.zeros(9, bool), "not bool"),
    "complex": (np.zeros(9, complex), "not complex128"),
    "strings": (np.array(["a"]), "int16, int32 or float"),
    "stereo": (np.zeros((9, 2)), r"\[n, 1\], as the stream has, not \(9, 2\)"),
    "turned": (np.zeros((1, 9)), "transpose it"),
    "cube": (np.zeros((1, 2, 3)), "samples must be"),
    "number": (np.float32(3), "samples must be"),
    "nan": (np.full(9, np.nan), "NaN or infinite samples, the first at 1.000 s"),
    "loud": (np.full(9, 9_000.0), "divide int16 values by 32768"),
    "beyond float32": (np.full(9, 1e300), "infinite"),
    "none": (None, "not of type NoneType"),
    "generator": ((SILENCE for _ in range(2)), "push one after the other"),
    "list of arrays": ([SILENCE, SILENCE], "push one after the other"),
    "ragged": ([[0.0], [0.0, 1.0]], "must be"),
    "dict": ({}, "not of type dict"),
}


@pytest.mark.parametrize("name", NO_SOUND)
def test_what_is_no_sound_is_a_sentence_and_leaves_the_stream_as_it_was(classifier, street, name):
    chunk, sentence = NO_SOUND[name]
    with classifier.live(16_000) as live:
        windows = live.push(street[:16_000])
        with pytest.raises(oido.InvalidSamplesError, match=sentence):
            live.push(chunk)
        windows += live.push(street[16_000:40_000]) + live.flush()
    same_windows(windows, classifier.classify(street[:40_000], 16_000))


def test_after_the_end(classifier):
    with classifier.live(16_000) as live:
        live.push(SILENCE)
        live.flush()
        for call in (lambda: live.push(SILENCE), live.flush):
            with pytest.raises(oido.OptionError, match="has ended; begin another"):
                call()
    with classifier.live(16_000) as live:
        pass
    for call in (lambda: live.push(SILENCE), live.flush):
        with pytest.raises(oido.OptionError, match="is closed; begin another"):
            call()
    assert live.events() == []


def test_nothing_pushed_is_no_window(classifier):
    with classifier.live(16_000) as live:
        assert live.flush() == []
        assert live.events() == []


@pytest.mark.parametrize(
    ("options", "error", "sentence"),
    [
        ({"sample_rate": None}, oido.InvalidSamplesError, "say sample_rate"),
        ({"sample_rate": 0}, oido.InvalidSamplesError, "sample rate of 0 Hz"),
        ({"sample_rate": "16000"}, oido.InvalidSamplesError, "not '16000'"),
        ({"channels": 0}, oido.InvalidSamplesError, "whole number from 1"),
        ({"channels": True}, oido.InvalidSamplesError, "whole number from 1"),
        ({"channels": 2, "channel": 2}, oido.OptionError, "no channel 2"),
        ({"channel": "left"}, oido.OptionError, "channel must be"),
        ({"hop": 5}, oido.OptionError, "hop must be"),
        ({"threshold": 4}, oido.OptionError, "threshold must be"),
        ({"thresholds": {"Dgo": 0.2}}, oido.UnknownLabelError, "Dog"),
    ],
)
@pytest.mark.parametrize("kind", ["live", "live_queue"])
def test_wrong_options_are_told_at_once(classifier, kind, options, error, sentence):
    before = threading.active_count()
    call = (lambda window, time: None,) if kind == "live_queue" else ()
    with pytest.raises(error, match=sentence):
        getattr(classifier, kind)(*call, **{"sample_rate": 16_000, **options})
    assert threading.active_count() == before


@pytest.mark.parametrize("kind", [list, tuple, iter, lambda chunks: (c for c in chunks)])
def test_classify_and_stream_read_chunks(classifier, street, whole, kind):
    chunks = cut(street, 5_000)
    result = classifier.classify(kind(chunks), 16_000)
    np.testing.assert_array_equal(result.scores, whole.scores)
    assert result.events() == whole.events()
    assert (result.info.name, result.duration) == ("<chunks>", 30.0)
    blocks = list(classifier.stream(kind(chunks), 16_000))
    np.testing.assert_array_equal(np.concatenate([b.scores for b in blocks]), whole.scores)


def test_an_iterator_is_read_as_it_comes_and_closed(classifier, street):
    read, closed = [], []

    def coming():
        try:
            for chunk in cut(street, 4_000):
                read.append(len(chunk))
                yield chunk
        finally:
            closed.append(True)

    blocks = iter(classifier.stream(coming(), 16_000, batch_windows=1))
    next(blocks)
    assert sum(read) < 40_000
    blocks.close()
    assert closed == [True]


def test_its_own_error_is_raised_as_it_is(classifier):
    def broken():
        yield SILENCE
        raise LookupError("the microphone is gone")

    with pytest.raises(LookupError, match="microphone is gone"):
        classifier.classify(broken(), 16_000)


def test_numbers_in_lists_stay_one_array(classifier):
    numbers = [0.0, 0.5] * 8_000
    result = classifier.classify(numbers, 16_000)
    assert result.info.name == "<array>"
    np.testing.assert_array_equal(
        result.scores, classifier.classify(np.array(numbers), 16_000).scores
    )


async def asynchronous():
    yield SILENCE


@pytest.mark.parametrize(
    ("source", "rate", "sentence"),
    [
        (lambda: iter([SILENCE]), None, "<chunks>: say sample_rate"),
        (lambda: iter([]), 16_000, "no samples came"),
        (lambda: ["a.wav", "b.wav"], None, "classified one by one"),
        (lambda: iter([b"12"]), None, r"of a file, join them, b''\.join"),
        (lambda: iter([0.1, 0.2]), 16_000, "not of type float"),
        (lambda: [SILENCE, SILENCE.astype(int)], 16_000, "number 1: .* not int64"),
        (lambda: [SILENCE[:, None], np.zeros((9, 2))], 16_000, r"number 1: .*\[n, 1\]"),
        (lambda: [np.zeros((2, 800))], 16_000, "transpose it"),
        (lambda: [SILENCE, np.full(9, np.nan)], 16_000, "the first at 1.000 s"),
        (asynchronous, 16_000, "AsyncAudioClassifier"),
        (lambda: {1, 2}, 16_000, "not set"),
    ],
)
def test_what_is_wrong_is_a_true_sentence(classifier, source, rate, sentence):
    with pytest.raises(oido.AudioError, match=sentence):
        classifier.classify(source(), rate)


def test_it_calls_back_with_what_classify_gives(classifier, street, whole):
    windows, times, events, threads = [], [], [], set()

    def show(window, timestamp_ms):
        windows.append(window)
        times.append(timestamp_ms)
        threads.add(threading.current_thread())

    with classifier.live_queue(show, 16_000, on_event=events.append) as live:
        for number, chunk in enumerate(cut(street, 4_000)):
            live.classify_async(chunk, 1_000 + 250 * number)
    same_windows(windows, whole)
    assert by_time(events) == whole.events()
    assert times == [1_000 + 480 * number for number in range(62)]
    assert len(threads) == 1
    assert threading.current_thread() not in threads


def test_times_are_those_of_whoever_pushes(classifier):
    times = []
    with classifier.live_queue(lambda window, ms: times.append(ms), 16_000) as live:
        live.classify_async(SILENCE)
        live.classify_async(SILENCE, 60_000)  # half of the samples were lost on the way
        live.classify_async(SILENCE)
    assert times == [0, 480, 960, 60_440, 60_920, 61_400]


@pytest.mark.parametrize("timestamp", [5, 4, -1, "7", 2.5, True, float("nan")])
def test_times_must_grow(classifier, timestamp):
    with classifier.live_queue(lambda window, ms: None, 16_000) as live:
        live.classify_async(SILENCE, 5)
        with pytest.raises(oido.OptionError, match="timestamp_ms must"):
            live.classify_async(SILENCE, timestamp)
        live.classify_async(SILENCE, 6)


def test_what_is_no_sound_is_refused_where_it_is_pushed(classifier):
    windows = []
    with classifier.live_queue(lambda window, ms: windows.append(window), 16_000) as live:
        live.classify_async(SILENCE)
        with pytest.raises(oido.InvalidSamplesError, match=r"the first at 1\.000 s"):
            live.classify_async(np.full(9, np.nan))
        live.classify_async(SILENCE)
    assert [w.start_time for w in windows] == [0.0, 0.48, 0.96, 1.44]


def test_an_error_of_a_callback_is_raised_and_ends_it(classifier):
    def broken(window, timestamp_ms):
        raise LookupError("mine")

    live = classifier.live_queue(broken, 16_000)
    minutes = np.zeros(16_000 * 120, np.float32)  # more than may wait
    live.classify_async(minutes)
    with pytest.raises(LookupError, match="mine"):
        live.classify_async(minutes)
    with pytest.raises(LookupError, match="mine"):
        live.close()
    live.close()
    with pytest.raises(oido.OptionError, match="closed"):
        live.classify_async(SILENCE)


def test_a_callback_cannot_wait_for_itself(classifier):
    errors = []

    def impatient(window, timestamp_ms):
        for call in (live.close, lambda: live.classify_async(SILENCE)):
            try:
                call()
            except oido.OptionError as error:
                errors.append(str(error))

    with classifier.live_queue(impatient, 16_000) as live:
        live.classify_async(SILENCE[:15_600])
    assert len(errors) == 2
    assert all("wait for itself" in error for error in errors)


def test_leaving_with_an_error_drops_what_waits_and_ends_the_thread(classifier):
    before = set(threading.enumerate())

    def interrupted():
        with classifier.live_queue(lambda window, ms: None, 16_000) as live:
            live.classify_async(np.zeros(16_000 * 20, np.float32))
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        interrupted()
    assert set(threading.enumerate()) <= before
    with classifier.live_queue(lambda window, ms: None, 16_000):
        pass  # nothing pushed
    assert set(threading.enumerate()) <= before


def test_a_callback_must_be_one(classifier):
    with pytest.raises(oido.OptionError, match="on_window must be a function, not None"):
        classifier.live_queue(None, 16_000)
    with pytest.raises(oido.OptionError, match="on_event must be a function, not 3"):
        classifier.live_queue(lambda window, ms: None, 16_000, on_event=3)
