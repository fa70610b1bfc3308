# SPDX-License-Identifier: Apache-2.0
"""A clip is its own stretch of its recording, whatever else is cut out of that."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

import oido
from oido.datasets import waveforms
from oido.datasets.clip import Clip
from oido.datasets.waveforms import clip_waveform, clip_waveforms, probe
from oido.signal.decode import open_audio
from oido.signal.mixing import mono_blocks
from oido.signal.resample import Resampler
from tests.datasets.recordings import RATE_HZ, record
from tests.signal.decode.encoding import by_soundfile
from tests.signal.decode.wav_bytes import wav
from tests.signal.sounds import noise

STREET = Path(__file__).parents[2] / "examples" / "street.flac"


def whole(path: Path) -> tuple[np.ndarray, int]:
    with open_audio(path) as reader:
        return np.concatenate(list(mono_blocks(reader))), reader.info.sample_rate_hz


def test_regions_are_cut_at_their_samples() -> None:
    street, rate = whole(STREET)
    times = [(None, None), (0.0, 1.0), (2.5, 2.75), (2.6, 9.0), (20.0, None), (1.0, 1e4)]
    clips = [Clip(str(STREET), start_time=start, end_time=end) for start, end in times]
    found = dict(clip_waveforms(clips))
    assert sorted(found) == list(range(6))
    for number, (start, end) in enumerate(times):
        expected = street[round((start or 0) * rate) : None if end is None else round(end * rate)]
        assert len(expected) > 0
        waveform, its_rate = found[number]
        assert its_rate == rate
        assert waveform.dtype == np.float32
        assert (waveform == expected).all()
        assert (clip_waveform(clips[number])[0] == expected).all()


def test_clips_are_resampled_by_themselves() -> None:
    street, rate = whole(STREET)
    waveform, to_hz = clip_waveform(Clip(str(STREET), start_time=3.0, end_time=4.0), 8_000)
    resampler = Resampler(rate, 8_000)
    expected = [resampler.push(street[3 * rate : 4 * rate]), resampler.flush()]
    assert to_hz == 8_000
    np.testing.assert_array_equal(waveform, np.concatenate(expected))


def test_each_recording_is_decoded_once(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    paths = [str(record(tmp_path / f"{n}.wav", 2.0)) for n in range(2)]
    opened = []
    monkeypatch.setattr(
        waveforms, "open_audio", lambda path: opened.append(path) or open_audio(path)
    )
    clips = [Clip(paths[n % 2], start_time=n / 10, end_time=n / 10 + 0.1) for n in range(10)]
    assert len(list(clip_waveforms(clips))) == 10
    assert opened == paths


def test_a_clip_that_cannot_be_heard_does_not_keep_others_from_it(tmp_path: Path) -> None:
    good = record(tmp_path / "good.wav", 1.0)
    samples = np.zeros(RATE_HZ * 60)
    samples[:RATE_HZ] = 0.1
    samples[RATE_HZ * 50] = np.nan
    bad = tmp_path / "nan.wav"
    bad.write_bytes(wav(samples, RATE_HZ, "f32"))
    clips = [
        Clip(str(good), start_time=5.0),
        Clip(str(good)),
        Clip(str(tmp_path / "gone.wav")),
        Clip(str(bad), end_time=1.0),
        Clip(str(bad), start_time=49.0),
    ]
    found = dict(clip_waveforms(clips))
    assert isinstance(found[0], oido.EmptyAudioError)
    assert "no sample" in str(found[0])
    assert len(found[1][0]) == RATE_HZ
    assert isinstance(found[2], oido.AudioNotFoundError)
    np.testing.assert_allclose(found[3][0], 0.1, rtol=1e-6)
    assert isinstance(found[4], oido.InvalidSamplesError)
    with pytest.raises(oido.AudioNotFoundError):
        clip_waveform(clips[2])


def test_a_guessed_length_is_not_believed(tmp_path):
    """Ten seconds of noise, a minute of silence: by the rate of the first frames, it is short."""
    rate = 16_000
    sound = np.concatenate([noise(10 * rate, level=0.3), np.zeros(60 * rate)])[:, None]
    content = by_soundfile(sound, rate, "MP3", "MPEG_LAYER_III")
    with open_audio(content) as reader:
        assert not reader.has_guessed_length
    # Without the encoder's own first frame, nothing tells how long it is.
    at = content.index(b"Xing") if b"Xing" in content else content.index(b"Info")
    bare = content[content.index(content[:2], at) :]
    path = tmp_path / "night.mp3"
    path.write_bytes(bare)
    with open_audio(path) as reader:
        assert reader.has_guessed_length
    assert probe(str(path)).duration == pytest.approx(70.0, abs=0.3)
