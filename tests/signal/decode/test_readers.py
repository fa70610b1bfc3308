# SPDX-License-Identifier: Apache-2.0
"""Arrays: the scale of each dtype, and what is refused."""

from __future__ import annotations

import array
from collections import deque

import numpy as np
import pytest

from oido.errors import AudioError, EmptyAudioError, InvalidSamplesError
from oido.signal.decode import open_audio
from oido.signal.decode.readers import as_block, is_array, is_chunks
from tests.signal.sounds import noise, read_all

INT16 = np.array([-32768, -16384, -1, 0, 1, 16384, 32767], np.int16)


def test_int16_is_divided_by_32768_exactly():
    decoded = read_all(open_audio(INT16, 16_000))
    expected = np.float32([-1.0, -0.5, -(2.0**-15), 0.0, 2.0**-15, 0.5, 32767 / 32768])
    np.testing.assert_array_equal(decoded[:, 0], expected)


def test_every_int16_value_is_exact():
    values = np.arange(-32768, 32768).astype(np.int16)
    decoded = read_all(open_audio(values, 16_000))[:, 0]
    assert (decoded.astype(np.float64) * 32768.0 == values).all()


def test_int32_is_divided_by_2_to_the_31():
    values = np.array([-(2**31), -(2**30), 0, 2**30, 2**31 - 128], np.int32)
    decoded = read_all(open_audio(values, 16_000))[:, 0]
    np.testing.assert_array_equal(decoded, np.float32([-1.0, -0.5, 0.0, 0.5, 1.0 - 2.0**-24]))


@pytest.mark.parametrize("dtype", [np.float16, np.float32, np.float64, ">f4", "<f8"])
def test_floats_are_taken_as_they_are(dtype):
    samples = noise(1_000).astype(dtype)
    decoded = read_all(open_audio(samples, 44_100))
    np.testing.assert_array_equal(decoded[:, 0], samples.astype(np.float32))


@pytest.mark.parametrize("shape", [(600,), (600, 1), (300, 2), (100, 6), (50, 12)])
def test_shapes(shape):
    samples = noise(600).reshape(shape)
    reader = open_audio(samples, 22_050)
    assert reader.info == ("<array>", 22_050, *((*shape, 1)[1:2]), shape[0], "float32", "array")
    np.testing.assert_array_equal(read_all(reader), samples.reshape(shape[0], -1))


@pytest.mark.parametrize("order", ["F", "strided", "reversed", "read-only"])
def test_memory_layouts(order):
    samples = noise(2_000).reshape(1_000, 2)
    given = {
        "F": np.asfortranarray(samples),
        "strided": np.repeat(samples, 3, axis=0)[::3],
        "reversed": samples[::-1][::-1],
        "read-only": samples.copy(),
    }[order]
    given.setflags(write=False)
    np.testing.assert_array_equal(read_all(open_audio(given, 16_000)), samples)


def test_the_array_given_is_never_changed():
    samples = noise(1_000).reshape(500, 2)
    before = samples.copy()
    for block in open_audio(samples, 16_000).blocks():
        block.fill(0.0)
    np.testing.assert_array_equal(samples, before)


def test_lists_of_floats_are_arrays_too():
    decoded = read_all(open_audio([0.0, 0.5, -0.5], 16_000))
    np.testing.assert_array_equal(decoded[:, 0], np.float32([0.0, 0.5, -0.5]))


@pytest.mark.parametrize("rate", [16_000, 16_000.0, np.int64(16_000), np.float64(16_000)])
def test_a_whole_rate_of_any_type_is_taken(rate):
    assert open_audio(INT16, rate).info.sample_rate_hz == 16_000


@pytest.mark.parametrize(
    "rate", [None, 0, -1, 3, 16_000.5, 10**9, True, float("nan"), float("inf"), "fast", "16000"]
)
def test_a_rate_that_is_none_is_refused(rate):
    with pytest.raises(InvalidSamplesError, match="rate"):
        open_audio(INT16, rate)


@pytest.mark.parametrize(
    "samples",
    [
        pytest.param(np.zeros(9, np.uint8), id="uint8"),
        pytest.param(np.zeros(9, np.int8), id="int8"),
        pytest.param(np.zeros(9, np.int64), id="int64"),
        pytest.param(np.zeros(9, np.complex64), id="complex"),
        pytest.param(np.zeros(9, bool), id="bool"),
        pytest.param(np.array(["a", "b"]), id="text"),
        pytest.param(np.array([object()]), id="object"),
        pytest.param(np.float32(0.5), id="a scalar"),
        pytest.param(np.zeros((3, 3, 3), np.float32), id="three dimensions"),
        pytest.param(np.zeros((2, 16_000), np.float32), id="[channels, samples]"),
        pytest.param([0.5, "loud"], id="a list of anything"),
        pytest.param([[0.5], [0.5, 0.5]], id="a ragged list"),
    ],
)
def test_what_is_no_audio_is_refused(samples):
    with pytest.raises(InvalidSamplesError):
        open_audio(samples, 16_000)


@pytest.mark.parametrize("shape", [(0,), (0, 2), (5, 0)])
def test_empty_arrays(shape):
    with pytest.raises(EmptyAudioError, match="no samples"):
        open_audio(np.zeros(shape, np.float32), 16_000)


def test_an_advice_comes_with_the_refusal():
    with pytest.raises(AudioError, match="astype"):
        open_audio(np.zeros(9, np.int64), 16_000)
    with pytest.raises(AudioError, match="transpose"):
        open_audio(np.zeros((2, 16_000), np.float32), 16_000)
    with pytest.raises(AudioError, match="sample_rate="):
        open_audio(np.zeros(9, np.float32))


@pytest.mark.parametrize("size", [1, 7, 250, 10_000])
def test_chunks_are_the_array(size):
    samples = np.random.default_rng(1).integers(-9_000, 9_000, (1_000, 2), dtype=np.int16)
    chunks = [samples[start : start + size] for start in range(0, 1_000, size)]
    with open_audio(iter([samples[:0], *chunks, samples[:0]]), 22_050) as reader:
        assert reader.info == ("<chunks>", 22_050, 2, None, "samples", "array")
        np.testing.assert_array_equal(read_all(reader), read_all(open_audio(samples, 22_050)))


def test_chunks_may_differ_in_kind():
    kinds = [INT16, INT16.astype(np.int32) * 65_536, INT16 / 32_768, array.array("h", INT16)]
    decoded = read_all(open_audio(kinds, 16_000))[:, 0]
    np.testing.assert_array_equal(decoded, np.tile(np.float32(INT16 / 32_768), 4))


@pytest.mark.parametrize(
    ("source", "is_one"),
    [
        (INT16, True),
        ([1, 2], True),
        ([[1, 2], [3, 4]], True),
        ([], True),
        ([np.float32(1), np.float32(2)], True),
        (array.array("h", [1]), True),
        ([INT16], False),
        ((INT16, INT16), False),
        (iter([INT16]), False),
        (["a.wav"], False),
        (deque([INT16]), False),
    ],
)
def test_what_is_one_array_and_what_are_chunks(source, is_one):
    assert (is_array(source), is_chunks(source)) == (is_one, not is_one)


@pytest.mark.parametrize("source", ["a.wav", b"a", memoryview(b"a"), {1: 2}, {1}, 3, None])
def test_what_is_neither(source):
    assert not is_array(source)
    assert not is_chunks(source)


def test_a_block_is_a_copy():
    samples = np.zeros(4, np.float32)
    block = as_block("a", samples)
    samples += 1
    assert block.tolist() == [[0.0]] * 4


def test_an_array_of_another_library_that_cannot_be_read_is_a_sentence():
    class OnAnotherDevice:
        def __array__(self, dtype=None, copy=None):
            raise RuntimeError("it is on the GPU")

    for read in (
        lambda: open_audio(OnAnotherDevice(), 16_000),
        lambda: as_block("a", OnAnotherDevice()),
    ):
        with pytest.raises(InvalidSamplesError, match="it is on the GPU"):
            read()
