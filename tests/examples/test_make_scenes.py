# SPDX-License-Identifier: Apache-2.0
"""The example recordings: what is committed is what the code makes, and sounds as it should."""

from __future__ import annotations

import importlib.util
import json
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest
import soundfile

EXAMPLES = Path(__file__).parents[2] / "examples"
NAMES = ("street.flac", "alarm.flac")


def _load() -> ModuleType:
    spec = importlib.util.spec_from_file_location("make_scenes", EXAMPLES / "make_scenes.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


scenes = _load()
TRUTH = json.loads((EXAMPLES / "scenes.json").read_text(encoding="utf-8"))
EVENTS = [(name, event) for name in NAMES for event in TRUTH[name]["events"]]


def _read(name: str) -> tuple[np.ndarray, int]:
    """Committed samples, int16[n, channels], and their rate."""
    return soundfile.read(EXAMPLES / name, dtype="int16", always_2d=True)


def _strongest_hz(sound: np.ndarray, rate_hz: int) -> float:
    spectrum = np.abs(np.fft.rfft(sound * np.hanning(len(sound))))
    return float(spectrum.argmax() * rate_hz / len(sound))


def _level(samples: np.ndarray) -> float:
    """Root mean square in decibels of full scale."""
    return float(10 * np.log10(np.mean((samples / 32768.0) ** 2) + 1e-20))


def _sounds(rate_hz: int) -> dict[str, np.ndarray]:
    return {
        "siren": scenes.siren(2.0, rate_hz),
        "beeps": scenes.beeps(2.0, rate_hz, 2800.0, 0.1, (0.0, 1.0)),
        "bell": scenes.bell(2.0, rate_hz, (0.0, 1.0)),
        "rain": scenes.rain(2.0, rate_hz),
        "engine": scenes.engine(2.0, rate_hz),
        "hum": scenes.hum(2.0, rate_hz),
    }


def test_committed_files_are_what_the_code_makes(capsys: pytest.CaptureFixture[str]) -> None:
    assert scenes.main(["--check"]) == 0, capsys.readouterr().out


def test_committed_street_holds_every_sound() -> None:
    heard = [event["label"] for event in TRUTH["street.flac"]["events"]]
    assert heard == ["siren", "beeps", "bell", "rain", "engine", "speech"]


@pytest.mark.parametrize(
    ("name", "rate_hz", "channels", "seconds"),
    [("street.flac", 16_000, 1, 30.0), ("alarm.flac", 44_100, 2, 8.0)],
)
def test_form_of_the_files(name: str, rate_hz: int, channels: int, seconds: float) -> None:
    info = soundfile.info(EXAMPLES / name)
    assert (info.format, info.subtype) == ("FLAC", "PCM_16")
    assert (info.samplerate, info.channels) == (rate_hz, channels)
    assert info.frames == round(seconds * rate_hz)
    truth = TRUTH[name]
    assert (truth["sample_rate"], truth["channels"]) == (rate_hz, channels)
    assert truth["duration"] == seconds


def test_files_are_small_enough_to_commit() -> None:
    total_bytes = sum((EXAMPLES / name).stat().st_size for name in (*NAMES, "scenes.json"))
    assert total_bytes < 1_200_000


@pytest.mark.parametrize("name", NAMES)
def test_peak_stays_below_full_scale(name: str) -> None:
    samples, _ = _read(name)
    assert 0.3 < np.abs(samples.astype(float)).max() / 32768 < 0.99


@pytest.mark.parametrize(("name", "event"), EVENTS)
def test_events_are_loud_where_the_truth_says(name: str, event: dict) -> None:
    samples, rate_hz = _read(name)
    assert 0 <= event["start"] < event["end"] <= TRUTH[name]["duration"]
    assert event["acceptable"]
    channel = event.get("channel", 0)
    first, last = round(event["start"] * rate_hz), round(event["end"] * rate_hz)
    assert _level(samples[first:last, channel]) > scenes.FLOOR_DB + 30


def test_quiet_between_the_sounds() -> None:
    samples, rate_hz = _read("street.flac")
    edges = [0.0]
    for event in TRUTH["street.flac"]["events"]:
        edges += [event["start"], event["end"]]
    edges.append(TRUTH["street.flac"]["duration"])
    for end, start in zip(edges[::2], edges[1::2], strict=True):
        gap = samples[round(end * rate_hz) : round(start * rate_hz)]
        assert len(gap) >= 0.4 * rate_hz
        assert _level(gap) == pytest.approx(scenes.FLOOR_DB, abs=1.0)


def test_each_sound_of_the_alarm_is_in_its_channel_alone() -> None:
    samples, rate_hz = _read("alarm.flac")
    beep = slice(round(0.6 * rate_hz), round(0.9 * rate_hz))
    pause = slice(round(3.1 * rate_hz), round(4.4 * rate_hz))
    assert _strongest_hz(samples[beep, 1], rate_hz) == pytest.approx(3100, abs=5)
    assert _level(samples[pause, 1]) == pytest.approx(scenes.FLOOR_DB, abs=1.0)
    # 3100 Hz is also a harmonic of the hum: on the left it must be no louder during a beep.
    rest = slice(round(3.6 * rate_hz), round(3.9 * rate_hz))
    window = np.hanning(beep.stop - beep.start)
    at = round(3100 * len(window) / rate_hz)
    during, between = (abs(np.fft.rfft(samples[s, 0] * window)[at]) for s in (beep, rest))
    assert during == pytest.approx(between, rel=0.2)


def test_truth_uses_the_names_that_the_code_accepts() -> None:
    for _, event in EVENTS:
        assert event["acceptable"] == scenes.ACCEPTABLE[event["label"]]


@pytest.mark.parametrize("rate_hz", [16_000, 44_100])
def test_sounds_are_deterministic_and_of_peak_one(rate_hz: int) -> None:
    again = _sounds(rate_hz)
    for label, sound in _sounds(rate_hz).items():
        assert sound.shape == (2 * rate_hz,), label
        assert sound.dtype == np.float64, label
        assert np.abs(sound).max() == pytest.approx(1.0), label
        np.testing.assert_array_equal(sound, again[label], err_msg=label)


def test_sounds_do_not_touch_the_global_generator() -> None:
    np.random.seed(5)
    expected = np.random.random()
    np.random.seed(5)
    _sounds(16_000)
    assert np.random.random() == expected


@pytest.mark.parametrize("tone_hz", [1000.0, 3100.0])
def test_beep_has_its_pitch_and_its_gaps(tone_hz: float) -> None:
    sound = scenes.beeps(2.0, 16_000, tone_hz, 0.5, (0.0, 1.0))
    assert _strongest_hz(sound[:8000], 16_000) == pytest.approx(tone_hz, abs=3)
    assert not sound[8000:16_000].any()
    np.testing.assert_array_equal(sound[:8000], sound[16_000:24_000])


def test_siren_sweeps_between_600_and_1000_hz() -> None:
    sound = scenes.siren(3.0, 16_000)
    # The sweep is lowest at 0 s and 2.5 s and highest half way, where it also lingers.
    assert _strongest_hz(sound[19_200:20_800], 16_000) == pytest.approx(1000, abs=30)
    assert _strongest_hz(sound[39_200:40_800], 16_000) == pytest.approx(600, abs=30)


def test_bell_rings_its_inharmonic_partials_and_dies_away() -> None:
    sound = scenes.bell(4.0, 16_000, (0.0,))
    spectrum = np.abs(np.fft.rfft(sound[:16_000] * np.hanning(16_000)))  # one bin a hertz
    for ratio in (1.0, 1.2, 2.0):  # prime, tierce (a minor third), nominal
        at = round(392.4 * ratio)
        assert spectrum[at - 3 : at + 4].max() > 10 * np.median(spectrum[at - 60 : at + 60])
    assert np.abs(sound[:4000]).max() > 2 * np.abs(sound[40_000:44_000]).max()


def test_hum_is_made_of_harmonics_of_100_hz() -> None:
    spectrum = np.abs(np.fft.rfft(scenes.hum(2.0, 16_000) * np.hanning(32_000)))  # bins of 0.5 Hz
    strongest = np.argsort(spectrum)[-3:] / 2
    assert np.abs(strongest / 100 - np.round(strongest / 100)).max() < 0.02


def test_engine_is_low_and_rain_is_broad() -> None:
    hz = np.fft.rfftfreq(32_000, 1 / 16_000)
    power = {k: np.abs(np.fft.rfft(v)) ** 2 for k, v in _sounds(16_000).items()}
    half = {k: float(hz[np.searchsorted(np.cumsum(p), p.sum() / 2)]) for k, p in power.items()}
    assert half["engine"] < 1000 < half["rain"]


def test_a_scene_that_clips_is_refused() -> None:
    loud = scenes.siren(1.0, 16_000)
    with pytest.raises(ValueError, match="clips"):
        scenes.mix(2.0, 16_000, [("siren", 0.0, loud, (0.9,)), ("siren", 0.0, loud, (0.9,))])


def test_speech_is_left_out_aloud_without_espeak(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(scenes.shutil, "which", lambda program: None)
    street = scenes.street()
    assert "espeak-ng" in capsys.readouterr().err
    assert "speech" not in [event["label"] for event in street.truth["events"]]
    # The committed files, which have speech, are still the same elsewhere.
    assert scenes.main(["--check"]) == 0


def test_speech_has_the_length_that_was_asked() -> None:
    voice = scenes.speech(4.2, 16_000)
    if voice is None:
        pytest.skip("espeak-ng is not installed")
    assert voice.shape == (67_200,)
    assert np.abs(voice).max() <= 1.0


def test_check_finds_what_differs(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert scenes.main(["--out", str(tmp_path), "--check"]) == 1
    assert "street.flac: missing" in capsys.readouterr().out
    assert scenes.main(["--out", str(tmp_path)]) == 0
    assert scenes.main(["--out", str(tmp_path), "--check"]) == 0

    samples, rate_hz = soundfile.read(tmp_path / "alarm.flac", dtype="int16")
    samples[1234, 1] += 1
    soundfile.write(tmp_path / "alarm.flac", samples, rate_hz, subtype="PCM_16")
    truth = json.loads((tmp_path / "scenes.json").read_text(encoding="utf-8"))
    truth["street.flac"]["events"][0]["end"] += 1
    (tmp_path / "scenes.json").write_text(json.dumps(truth), encoding="utf-8")
    capsys.readouterr()
    assert scenes.main(["--out", str(tmp_path), "--check"]) == 1
    out = capsys.readouterr().out.splitlines()
    assert out == [
        "scenes.json: another truth for street.flac",
        "alarm.flac: 1 samples differ, the first at 1234",
    ]
