# SPDX-License-Identifier: Apache-2.0
"""Make the example recordings: a street scene, a stereo smoke alarm, and sounds to teach.

    python examples/make_scenes.py [--out DIR] [--check]

This is a synthesiser, not a field recording. Its constants were tuned by YAMNet's own ear, until
the model named the sounds, so the files show that a pipeline works from end to end. They say
nothing about how accurate a model is on real audio. sounds/ has a folder of short clips for each of
three kinds, as `oido train` takes them, and one of background.

The samples are the same on every run: legacy generators with fixed seeds (`RandomState`, whose
stream NumPy has frozen), float64 throughout, rounded once to 16 bits. Speech alone comes from
outside, from the program espeak-ng, and is as stable as that program's version. Where it is absent
the speech is left out, and so is its entry in the truth; `--check` always skips its stretch.

A sound is float64[n] of peak 1. Exit codes: 0 made, or equal; 1 different.
"""

from __future__ import annotations

import argparse
import io
import json
import shutil
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import soundfile

STREET_RATE_HZ = 16_000
STREET_SECONDS = 30.0
ALARM_RATE_HZ = 44_100
ALARM_SECONDS = 8.0
SMOKE_BEEP_HZ = 3100.0
FLOOR_DB = -78.0  # faint enough to be called silence, and no gap is digital silence
TAUGHT_SECONDS = 1.5
TAUGHT_NAMES = ("amber", "birch", "cedar", "dune", "elder", "fern")  # six recordings, no series
SPEECH_SLOT = (25.4, 29.6)  # a little more than SPOKEN takes
SPOKEN = "Good morning. The train to the city leaves from platform two."

# What YAMNet may call each sound, by its display names: any of them is a right answer.
ACCEPTABLE = {
    "siren": ["Siren", "Civil defense siren", "Ambulance (siren)", "Police car (siren)"],
    "beeps": ["Beep, bleep", "Reversing beeps", "Alarm"],
    "bell": ["Bell", "Church bell", "Chime", "Tubular bells"],
    "rain": ["Rain", "Rain on surface", "Raindrop", "Waterfall"],
    "engine": ["Engine", "Idling", "Medium engine (mid frequency)", "Vehicle"],
    "speech": ["Speech", "Speech synthesizer", "Narration, monologue"],
    "smoke alarm": ["Smoke detector, smoke alarm", "Alarm", "Beep, bleep", "Fire alarm"],
    "hum": ["Mains hum", "Hum"],
}


# One sound in a scene: label, start in seconds, float64[n], gain in every channel.
Placed = tuple[str, float, np.ndarray, tuple[float, ...]]


class Scene(NamedTuple):
    """A scene ready to be written: samples int16[n, channels] and what scenes.json says of it."""

    rate_hz: int
    samples: np.ndarray
    truth: dict[str, Any]


def _faded(sound: np.ndarray, rate_hz: int, in_seconds: float, out_seconds: float) -> np.ndarray:
    """float64[n] with raised-cosine ends: a hard cut is a click, an event of its own."""
    out = sound.copy()
    for view, seconds in ((out, in_seconds), (out[::-1], out_seconds)):
        count = min(round(seconds * rate_hz), len(out))
        view[:count] *= 0.5 - 0.5 * np.cos(np.pi * np.arange(count) / max(count, 1))
    return out


def _scaled(sound: np.ndarray) -> np.ndarray:
    """float64[n] with a peak of 1."""
    return sound / max(float(np.abs(sound).max(initial=0.0)), 1e-12)


def _noise(n: int, rate_hz: int, points: Sequence[tuple[float, float]], seed: int) -> np.ndarray:
    """float64[n]: noise of peak 1 whose spectrum runs through `points` (hertz, decibels)."""
    spectrum = np.fft.rfft(np.random.RandomState(seed).standard_normal(n))
    hz = np.fft.rfftfreq(n, 1 / rate_hz)
    # Straight lines over log frequency, as one draws an equaliser curve.
    at_hz, gain_db = zip(*points, strict=True)
    curve_db = np.interp(np.log(np.maximum(hz, 1.0)), np.log(at_hz), gain_db)
    return _scaled(np.fft.irfft(spectrum * 10 ** (curve_db / 20), n))


def _echoing(sound: np.ndarray, rate_hz: int, decay_seconds: float, wet: float) -> np.ndarray:
    """float64[n]: the sound with reverberation (its impulse response is dying noise)."""
    t = np.arange(round(decay_seconds * rate_hz)) / rate_hz
    room = np.random.RandomState(7).standard_normal(len(t)) * np.exp(-6.9 * t / decay_seconds)
    size = len(sound) + len(room)
    tail = np.fft.irfft(np.fft.rfft(sound, size) * np.fft.rfft(room, size), size)[: len(sound)]
    return (1 - wet) * _scaled(sound) + wet * _scaled(tail)


def siren(seconds: float, rate_hz: int) -> np.ndarray:
    """A wailing siren, float64[n]: a harmonic tone swept between 600 and 1000 Hz every 2.5 s."""
    t = np.arange(round(seconds * rate_hz)) / rate_hz
    phase = 2 * np.pi * np.cumsum(800 - 200 * np.cos(2 * np.pi * t / 2.5)) / rate_hz
    tone = sum(np.sin(k * phase) / k**1.2 for k in range(1, 8))
    tone[t > seconds - 0.3] = 0.0  # the end is left to the echo
    return _scaled(_faded(_echoing(tone, rate_hz, 0.6, 0.1), rate_hz, 0.05, 0.05))


def beeps(
    seconds: float, rate_hz: int, tone_hz: float, on_seconds: float, starts: Sequence[float]
) -> np.ndarray:
    """Electronic beeps, float64[n]: a tone with two weak harmonics, let through at `starts`."""
    t = np.arange(round(on_seconds * rate_hz)) / rate_hz
    harmonics = [(k, gain) for k, gain in ((1, 1.0), (2, 0.1), (3, 0.2)) if k * tone_hz < 8000]
    pulse = sum(gain * np.sin(2 * np.pi * k * tone_hz * t) for k, gain in harmonics)
    pulse = _faded(pulse, rate_hz, 0.004, 0.004)
    out = np.zeros(round(seconds * rate_hz))
    for start in starts:
        at = round(start * rate_hz)
        out[at : at + len(pulse)] = pulse[: len(out) - at]
    return _scaled(out)


def bell(seconds: float, rate_hz: int, strikes: Sequence[float]) -> np.ndarray:
    """A church bell struck at the given seconds, float64[n]: inharmonic partials that die away."""
    # (ratio to the prime of 392 Hz, level, decay in s): hum, prime, tierce, quint, nominal, above.
    partials = ((0.5, 0.5, 7.5), (1.0, 0.7, 5.5), (1.2, 0.8, 4.5), (1.5, 0.4, 3.0), (2.0, 1.0, 3.5),
                (2.51, 0.5, 2.0), (2.66, 0.4, 1.75), (3.01, 0.5, 1.5), (4.17, 0.4, 1.0),
                (5.43, 0.3, 0.75), (6.8, 0.2, 0.5))  # fmt: skip
    out = np.zeros(round(seconds * rate_hz))
    for strike in strikes:
        at = round(strike * rate_hz)
        t = np.arange(len(out) - at) / rate_hz
        for ratio, level, decay in partials:
            # Every partial is a pair, 0.2 % apart: the slow beat of a bell that is not quite round.
            for hz in (392.0 * ratio, 392.8 * ratio):
                out[at:] += level * np.exp(-3 * t / decay) * np.sin(2 * np.pi * hz * t)
        clapper = np.random.RandomState(3).standard_normal(len(t))
        out[at:] += 0.9 * np.exp(-t / 0.004) * clapper
    return _scaled(_faded(_echoing(out, rate_hz, 1.2, 0.3), rate_hz, 0.003, 0.6))


def rain(seconds: float, rate_hz: int) -> np.ndarray:
    """Rain, float64[n]: a bed of steady noise and, over it, 40 drops a second (short bursts)."""
    count = round(seconds * rate_hz)
    bed = _noise(count, rate_hz, [(60, -40), (500, 0), (3000, 0), (8000, -12)], 11)
    rng = np.random.RandomState(12)
    gate = np.zeros(count)
    burst = np.exp(-np.arange(round(0.012 * rate_hz)) / (0.004 * rate_hz))
    for at in (rng.random_sample(round(40 * seconds)) * (count - len(burst))).astype(int):
        gate[at : at + len(burst)] += burst * rng.random_sample() ** 3  # few drops are loud
    drops = gate * _noise(count, rate_hz, [(1000, -24), (2000, 0), (6000, 0)], 13)
    return _scaled(_faded(0.6 * bed + 2.0 * drops, rate_hz, 0.2, 0.2))


def engine(seconds: float, rate_hz: int) -> np.ndarray:
    """An idling engine, float64[n]: 120 firings a second that waver, and exhaust in puffs."""
    t = np.arange(round(seconds * rate_hz)) / rate_hz
    waver = _noise(len(t), rate_hz, [(1, 0), (6, 0), (20, -60)], 21)
    phase = 2 * np.pi * np.cumsum(120 * (1 + 0.03 * waver)) / rate_hz
    rng = np.random.RandomState(22)
    tone = sum(np.sin(k * phase + 2 * np.pi * rng.random_sample()) / k**0.5 for k in range(1, 25))
    tone *= 1 + 0.06 * np.sin(phase / 4)  # four cylinders, of which one is the loudest
    puffs = _noise(len(t), rate_hz, [(50, 0), (300, 0), (6000, -10), (8000, -25)], 23)
    puffs *= 0.4 + 0.6 * np.maximum(np.sin(phase / 2), 0)
    out = (_scaled(tone) + 2 * puffs) * (1 + 0.08 * waver)  # amplitude jitter
    return _scaled(_faded(out, rate_hz, 0.15, 0.15))


def hum(seconds: float, rate_hz: int, f0_hz: float = 100.0) -> np.ndarray:
    """A transformer, float64[n]: forty steady harmonics of twice the mains and a faint hiss."""
    t = np.arange(round(seconds * rate_hz)) / rate_hz
    rng = np.random.RandomState(22)
    out = np.zeros(len(t))
    for k in range(1, 41):
        level, turn = rng.random_sample(2)
        out += level * np.sin(2 * np.pi * (k * f0_hz * t + turn)) / k
    hiss = _noise(len(t), rate_hz, [(30, 0), (300, 0), (8000, -20), (10000, -60)], 23)
    return _scaled(_faded(_scaled(out) + 0.2 * hiss, rate_hz, 0.15, 0.15))


def speech(seconds: float, rate_hz: int, text: str = SPOKEN) -> np.ndarray | None:
    """`text` spoken by espeak-ng, float64[n], cut or padded to `seconds`; None without it."""
    program = shutil.which("espeak-ng")
    if program is None:
        print("no espeak-ng program: street.flac goes without its speech", file=sys.stderr)
        return None
    command = [program, "-v", "en-us", "-s", "150", "--stdout", text]
    wav = subprocess.run(command, capture_output=True, check=True, timeout=60).stdout
    voice, voice_rate_hz = soundfile.read(io.BytesIO(wav), dtype="float64")
    # Band-limited resampling of a whole clip: keep, or drop, the upper end of its spectrum.
    count = round(len(voice) * rate_hz / voice_rate_hz)
    resampled = _scaled(np.fft.irfft(np.fft.rfft(voice)[: count // 2 + 1], count))
    out = np.zeros(round(seconds * rate_hz))
    out[: min(count, len(out))] = resampled[: len(out)]
    return _faded(out, rate_hz, 0.01, 0.05)


def mix(seconds: float, rate_hz: int, sounds: Sequence[Placed]) -> Scene:
    """Add the sounds to a faint noise floor; ValueError where the sum would clip."""
    count, channels = round(seconds * rate_hz), len(sounds[0][3])
    out = 10 ** (FLOOR_DB / 20) * np.random.RandomState(1).standard_normal((count, channels))
    events: list[dict[str, Any]] = []
    for label, start, sound, gains in sounds:
        at = round(start * rate_hz)
        out[at : at + len(sound)] += sound[:, None] * np.array(gains)
        end = round(start + len(sound) / rate_hz, 3)
        events.append({"label": label, "acceptable": ACCEPTABLE[label], "start": start, "end": end})
        if channels > 1:
            events[-1]["channel"] = int(np.argmax(gains))
    if np.abs(out).max() >= 0.99:
        raise ValueError("the scene clips: lower the gains")
    form = {"sample_rate": rate_hz, "channels": channels, "duration": count / rate_hz}
    return Scene(rate_hz, np.rint(out * 32768).astype(np.int16), {**form, "events": events})


def street() -> Scene:
    """16 kHz mono, 30 s: six sounds one after the other, with quiet between them."""
    rate_hz = STREET_RATE_HZ
    sounds: list[Placed] = [
        ("siren", 0.8, siren(5.0, rate_hz), (0.5,)),
        ("beeps", 6.8, beeps(3.1, rate_hz, 2800.0, 0.1, np.arange(16) * 0.2), (0.5,)),
        ("bell", 10.9, bell(4.9, rate_hz, (0.0, 1.2, 2.4, 3.6)), (0.5,)),
        ("rain", 16.9, rain(3.5, rate_hz), (0.1,)),
        ("engine", 21.7, engine(3.0, rate_hz), (0.8,)),
    ]
    start, end = SPEECH_SLOT
    voice = speech(end - start, rate_hz)
    if voice is not None:
        sounds.append(("speech", start, voice, (0.5,)))
    return mix(STREET_SECONDS, rate_hz, sounds)


def alarm() -> Scene:
    """44.1 kHz stereo, 8 s: mains hum on the left, a smoke alarm on the right."""
    rate_hz = ALARM_RATE_HZ
    # Temporal three (ISO 8201): three beeps of 0.5 s, 0.5 s apart, then a pause of 1.5 s.
    three = beeps(2.5, rate_hz, SMOKE_BEEP_HZ, 0.5, (0.0, 1.0, 2.0))
    sounds: list[Placed] = [
        ("hum", 0.0, hum(ALARM_SECONDS, rate_hz), (0.1, 0.0)),
        ("smoke alarm", 0.5, three, (0.0, 0.5)),
        ("smoke alarm", 4.5, three, (0.0, 0.5)),
    ]
    return mix(ALARM_SECONDS, rate_hz, sounds)


def clips_to_teach() -> dict[str, np.ndarray]:
    """Short clips by their path below sounds/, int16[n] at 16 kHz; no two alike."""
    rate_hz, rng = STREET_RATE_HZ, np.random.RandomState(31)
    count = round(TAUGHT_SECONDS * rate_hz)
    t = np.arange(count) / rate_hz
    clips = {}
    for number, name in enumerate(TAUGHT_NAMES):
        pitch, pace = 600 + 1400 * rng.random_sample(), 3 + 6 * rng.random_sample()
        clicks = np.zeros(count)
        clicks[:: round(rate_hz / pace)] = 1.0
        sounds = {
            "beep": np.sin(2 * np.pi * pitch * t) * (np.sin(2 * np.pi * pace * t) > 0),
            "click": clicks,
            "hiss": 0.3 * _noise(count, rate_hz, [(200, -30), (2000, 0), (8000, 0)], 40 + number),
            "background": 0.3 * hum(TAUGHT_SECONDS, rate_hz, 60 + 10 * number),
        }
        for kind, sound in sounds.items():
            quiet = 10 ** (FLOOR_DB / 20) * rng.standard_normal(count)
            level = 0.2 + 0.3 * rng.random_sample()
            samples = np.rint((level * sound + quiet) * 32768).astype(np.int16)
            clips[f"{kind}/{name}.flac"] = samples
    return clips


def different_clips(clips: dict[str, np.ndarray], folder: Path) -> list[str]:
    """Those in `folder` that are not what the code makes; one line for each."""
    found = []
    for name, samples in clips.items():
        path = folder / name
        # Noise is of sines and sums of them, whose last bits are the machine's.
        if not path.is_file():
            found.append(f"sounds/{name}: missing")
        elif np.abs(soundfile.read(path, dtype="int16")[0].astype(int) - samples).max() > 1:
            found.append(f"sounds/{name}: other samples")
    return found


def differences(scenes: dict[str, Scene], folder: Path) -> list[str]:
    """What in `folder` is not what the code makes, speech apart; one line for each."""
    path = folder / "scenes.json"
    truth = json.loads(path.read_text(encoding="utf-8")) if path.is_file() else {}
    found = [] if set(truth) == set(scenes) else [f"scenes.json names {sorted(truth)}"]
    for name, scene in scenes.items():
        # Either side may have been made without espeak-ng, or with another version of it.
        sides = [
            {**side, "events": [e for e in side["events"] if e["label"] != "speech"]}
            for side in (truth.get(name, {"events": []}), scene.truth)
        ]
        if sides[0] != sides[1]:
            found.append(f"scenes.json: another truth for {name}")
        path = folder / name
        if not path.is_file():
            found.append(f"{name}: missing")
            continue
        samples, rate_hz = soundfile.read(path, dtype="int16", always_2d=True)
        if (rate_hz, samples.shape) != (scene.rate_hz, scene.samples.shape):
            found.append(f"{name}: another rate, length or channel count")
            continue
        differs = (samples != scene.samples).any(axis=1)
        if name == "street.flac":
            differs[round(SPEECH_SLOT[0] * rate_hz) : round(SPEECH_SLOT[1] * rate_hz)] = False
        if differs.any():
            found.append(f"{name}: {differs.sum()} samples differ, the first at {differs.argmax()}")
    return found


def main(argv: Sequence[str] | None = None) -> int:
    """Make the files, or with --check compare them; returns the exit code."""
    parser = argparse.ArgumentParser(description="Make the example recordings of oido.")
    parser.add_argument("--out", type=Path, default=Path(__file__).parent, help="folder to use")
    parser.add_argument("--check", action="store_true", help="compare the files, write nothing")
    options = parser.parse_args(argv)
    scenes = {"street.flac": street(), "alarm.flac": alarm()}
    if options.check:
        found = differences(scenes, options.out)
        found += different_clips(clips_to_teach(), options.out / "sounds")
        print("\n".join(found) or "equal")
        return 1 if found else 0

    options.out.mkdir(parents=True, exist_ok=True)
    for name, scene in scenes.items():
        soundfile.write(options.out / name, scene.samples, scene.rate_hz, subtype="PCM_16")
    for name, samples in clips_to_teach().items():
        path = options.out / "sounds" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        soundfile.write(path, samples, STREET_RATE_HZ, subtype="PCM_16")
    text = json.dumps({name: scene.truth for name, scene in scenes.items()}, indent=2) + "\n"
    (options.out / "scenes.json").write_text(text, encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
