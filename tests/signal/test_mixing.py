# SPDX-License-Identifier: Apache-2.0
"""Channels to one, and the samples that are refused."""

from __future__ import annotations

import numpy as np
import pytest

from oido.errors import AudioError, EmptyAudioError, InvalidSamplesError, OptionError
from oido.signal.decode import open_audio
from oido.signal.mixing import mono_blocks
from tests.signal.decode.wav_bytes import wav
from tests.signal.sounds import noise, sine

RATE = 16_000


def mono(samples, channel="mix", rate=RATE):
    with open_audio(samples, rate) as reader:
        return np.concatenate(list(mono_blocks(reader, channel)))


@pytest.mark.parametrize("channels", [1, 2, 3, 4, 5, 6, 8, 12])
def test_the_mix_is_the_mean_of_all_channels(channels):
    samples = noise(20_000 * channels).reshape(-1, channels)
    expected = samples.astype(np.float64).mean(axis=1)
    np.testing.assert_allclose(mono(samples), expected, atol=2e-7)


def test_the_mix_of_int16_is_exact_for_two_and_four_channels():
    rng = np.random.default_rng(0)
    for channels in (2, 4):
        values = rng.integers(-32768, 32768, (5_000, channels)).astype(np.int16)
        expected = values.astype(np.int64).sum(axis=1) / (32768.0 * channels)
        np.testing.assert_array_equal(mono(values), expected.astype(np.float32))


def test_opposite_channels_cancel_and_full_scale_ones_do_not_clip():
    tone = sine(440.0, RATE, 5_000).astype(np.float32)
    assert not mono(np.stack([tone, -tone], 1)).any()
    np.testing.assert_array_equal(mono(np.ones((500, 2), np.float32)), np.ones(500, np.float32))


@pytest.mark.parametrize("channels", [1, 2, 6])
def test_a_chosen_channel_is_that_channel(channels):
    samples = noise(60_000).reshape(-1, channels)
    for channel in range(channels):
        np.testing.assert_array_equal(mono(samples, channel), samples[:, channel])


@pytest.mark.parametrize(
    ("channels", "channel", "has"),
    [
        (1, 1, "one channel, 0"),
        (1, -1, "one channel, 0"),
        (2, 2, "channels 0 to 1"),
        (6, 99, "channels 0 to 5"),
        (6, -1, "channels 0 to 5"),
    ],
)
def test_a_channel_that_is_not_there_names_those_that_are(channels, channel, has):
    with pytest.raises(OptionError, match=rf"no channel {channel}; it has {has}"):
        mono(np.zeros((500, channels), np.float32), channel)


@pytest.mark.parametrize("channel", ["left", None, "0", 0.5])
def test_a_channel_that_is_no_number_is_an_option_error(channel):
    with pytest.raises(OptionError):
        mono(np.zeros((500, 2), np.float32), channel)


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
@pytest.mark.parametrize("at", [0, 8_000, 399_999])
@pytest.mark.filterwarnings("ignore:invalid value:RuntimeWarning")
def test_a_sample_that_is_no_number_is_refused_with_its_time(bad, at):
    samples = noise(400_000)
    samples[at] = bad
    with pytest.raises(InvalidSamplesError, match=rf"NaN or infinite .* {at / RATE:.3f} s"):
        mono(samples)


@pytest.mark.parametrize("at", [0, 1, 8_000, 399_999])
def test_what_comes_before_a_bad_sample_is_given_first(at):
    samples = noise(400_000)
    samples[at] = np.nan
    heard = [np.zeros(0, np.float32)]
    with pytest.raises(InvalidSamplesError):  # noqa: PT012 (the loop is what raises)
        for block in mono_blocks(open_audio(samples, RATE)):
            heard.append(block)
    np.testing.assert_array_equal(np.concatenate(heard), samples[:at])


@pytest.mark.filterwarnings("ignore:invalid value:RuntimeWarning")
def test_infinities_that_would_cancel_are_refused_too():
    samples = np.zeros((500, 2), np.float32)
    samples[320] = np.inf, -np.inf
    with pytest.raises(InvalidSamplesError, match=r"0\.020 s"):
        mono(samples)


def test_only_the_chosen_channel_must_be_sound():
    samples = noise(1_000).reshape(-1, 2)
    samples[3, 1] = np.nan
    np.testing.assert_array_equal(mono(samples, 0), samples[:, 0])
    with pytest.raises(InvalidSamplesError):
        mono(samples, 1)


def test_a_bad_sample_in_a_file_is_refused_by_its_name():
    samples = noise(8_000).astype(np.float64)
    samples[4_000] = np.nan
    with pytest.raises(InvalidSamplesError, match=r"<bytes>: .* 0\.250 s"):
        mono(wav(samples, RATE, "f32"), rate=None)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("level", [1_000.0, 32_767.0])
def test_floats_in_the_range_of_int16_are_refused_with_advice(dtype, level):
    samples = (sine(440.0, RATE, RATE, 1.0) * level).astype(dtype)
    with pytest.raises(InvalidSamplesError, match="divide int16 values by 32768"):
        mono(samples)


@pytest.mark.filterwarnings("ignore:overflow:RuntimeWarning")
@pytest.mark.parametrize("value", [1e30, 1e38, 1e300])
def test_enormous_floats_are_refused(value):
    with pytest.raises(InvalidSamplesError):
        mono(np.full(1_000, value, np.float64))


@pytest.mark.parametrize("level", [1.0, 1.5, 4.0])
def test_recorders_that_overshoot_a_little_are_heard(level):
    samples = sine(440.0, RATE, RATE, level).astype(np.float32)
    np.testing.assert_array_equal(mono(samples), samples)


def test_silence_is_heard():
    assert len(mono(np.zeros(RATE, np.float32))) == RATE


@pytest.mark.parametrize("n_samples", [0, 1, 15])
def test_a_file_without_a_millisecond_of_sound_is_empty(n_samples):
    with pytest.raises(EmptyAudioError, match="<bytes>"):
        mono(wav(noise(n_samples), RATE), rate=None)
    assert len(mono(wav(noise(16), RATE), rate=None)) == 16


@pytest.mark.parametrize("shape", [(0,), (0, 2)])
def test_an_empty_array_is_empty(shape):
    with pytest.raises(EmptyAudioError):
        mono(np.zeros(shape, np.float32))


def test_every_refusal_is_an_audio_error_and_names_the_source():
    with pytest.raises(AudioError, match="<array>"):
        mono(np.full(5_000, np.nan, np.float32))
