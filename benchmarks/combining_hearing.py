# SPDX-License-Identifier: Apache-2.0
"""YAMNet and mn04 on the same recordings, window by window: what `combining.py` studies."""

from __future__ import annotations

import pickle
import subprocess
import sys
import time
from collections import defaultdict
from pathlib import Path
from typing import NamedTuple

import numpy as np
import precision
from mn04_windowing import Ear as MnEar
from mn04_windowing import Recordings
from numpy.typing import NDArray
from precision import ROOT, Clip, waveform_of

from oido.models.labels import audioset_labels, yamnet_labels
from oido.models.loading import load_model
from oido.models.networks.torch_file import read_state_dict
from oido.params import Windowing
from oido.signal.decode import open_audio
from oido.signal.mixing import mono_blocks

CACHE = ROOT / ".bench" / "combining"
LABELS = yamnet_labels()
COLUMNS = np.array([audioset_labels().index(label) for label in LABELS])
"""mn04's columns for YAMNet's labels."""
HOP = 7_680
"""Of YAMNet's windows, in samples, as oido has it: 0.48 s."""
FILLING = "repeated with 2 s between"
MN04_WAYS = {"10 s": (10, 10), "5 s": (5, 5), "5 s repeated to 10 s": (5, 10), "3 s": (3, 3)}
"""Seconds of sound and of patch; windows overlap by half."""
HOPS = {"hop 0.24 s": 3_840, "hop 0.96 s": 15_360, "short clips tiled": 0}
"""Other hearings by YAMNet, in samples."""


Scores = NDArray[np.float64]


class Heard(NamedTuple):
    """A recording's N windows: what is not padding, f64[N], mean square, f64[N], scores of each
    precision, f64[N, 521]; and mn04's, by its ways, on the same windows."""

    weights: NDArray[np.float64]
    power: NDArray[np.float64]
    scores: dict[str, Scores]
    mn04: dict[str, Scores]

    def loudness(self, exponent: float = 0.3) -> NDArray[np.float64]:
        """Power to an exponent; 0.3 is loudness by Stevens's law. All silent: 1."""
        return self.power**exponent if self.power.any() else np.ones_like(self.power)


class Listener:
    """Both models."""

    def __init__(self, weights: Path) -> None:
        self.model = load_model("yamnet/classification").path
        self._yamnet = precision.Ear(self.model.read_bytes())
        state = read_state_dict(weights.read_bytes())
        self._mn04 = {s: MnEar(state, s * 32_000) for s in (3, 5, 10)}
        self.seconds: defaultdict[str, float] = defaultdict(float)
        """Of the processor, by "YAMNet" and by mn04's ways."""

    def hear(self, wave16: NDArray[np.float32], wave32: NDArray[np.float32], hop: int) -> Heard:
        """Waveforms at 16 and 32 kHz, not empty; hop 0 is 0.48 s, a short clip filling its window
        by repetition. mn04 is heard at the hop of 0.48 s only."""
        if not hop:
            wave16 = np.resize(wave16, max(len(wave16), precision.PARAMS.patch_samples))
        windowing = Windowing(16_000, precision.PARAMS.patch_samples, hop or HOP)
        padded = np.pad(wave16, (0, windowing.padded_samples(len(wave16))))
        patches = self._yamnet._front_end.patches(padded, windowing.hop_samples)
        started = time.process_time()
        int8 = self._yamnet.scores("int8", patches).astype(np.float64)
        self.seconds["YAMNet"] += time.process_time() - started
        float32 = self._yamnet.scores("float32", patches).astype(np.float64)
        starts = np.arange(len(patches)) * windowing.hop_samples
        cut = [padded[s : s + windowing.window_samples].astype(np.float64) for s in starts]
        beyond = np.maximum(0, starts + windowing.window_samples - len(wave16))
        weights = 1.0 - beyond / windowing.window_samples if len(patches) > 1 else np.ones(1)
        centres = np.minimum(starts + windowing.window_samples / 2, len(wave16) - 1) / 16_000
        mn04 = {w: self._mn04_at(centres, wave32, w) for w in MN04_WAYS} if hop == HOP else {}
        power = np.array([np.mean(x * x) for x in cut])
        return Heard(weights, power, {"int8": int8, "float32": float32}, mn04)

    def _mn04_at(
        self, centres: NDArray[np.float64], waveform: NDArray[np.float32], way: str
    ) -> Scores:
        """The mean over mn04's windows that cover each centre (seconds), f64[N, 521]."""
        started = time.process_time()
        sound, patch = MN04_WAYS[way]
        window, hop = sound * 32_000, sound * 16_000
        ear = self._mn04[patch]
        if sound == patch:
            rows = ear.scores(waveform, FILLING)[0]
        else:
            count = Windowing(32_000, window, hop).count(len(waveform))
            pieces = [waveform[k * hop : k * hop + window] for k in range(count)]
            rows = np.concatenate([ear.scores(piece, FILLING)[0] for piece in pieces])
        begins = np.arange(len(rows)) * (sound / 2)
        covers = (begins <= centres[:, None]) & (centres[:, None] < begins + sound)  # bool[N, M]
        self.seconds[way] += time.process_time() - started
        shares = covers / covers.sum(axis=1, keepdims=True)
        return np.asarray(shares @ rows[:, COLUMNS].astype(np.float64))


def hear(name: str, recordings: Recordings, listener: Listener) -> dict[int, list[Heard]]:
    """Every recording, by hop."""
    heard: dict[int, list[Heard]] = {hop: [] for hop in (HOP, *HOPS.values())}
    for number, (clip, wave32) in enumerate(zip(recordings.clips, recordings.waveforms)):
        print(f"\r{name}: {number + 1}/{len(recordings.clips)} ", end="", file=sys.stderr)
        wave16 = waveform_of(clip.path)
        for hop, rows in heard.items():
            rows.append(listener.hear(wave16, wave32, hop))
    print(file=sys.stderr)
    return heard


PEER = ROOT / ".bench/mediapipe/bin/python"
"""As benchmarks/peers/make_envs.py makes it."""
MEDIAPIPE = """
import pickle, sys, numpy as np
from mediapipe.tasks.python import BaseOptions, audio
from mediapipe.tasks.python.components.containers import AudioData
options = audio.AudioClassifierOptions(base_options=BaseOptions(model_asset_path=sys.argv[1]),
    running_mode=audio.RunningMode.AUDIO_CLIPS)
rows = []
with audio.AudioClassifier.create_from_options(options) as classifier:
    for waveform, rate_hz in pickle.load(sys.stdin.buffer):
        results = classifier.classify(AudioData.create_from_array(waveform, rate_hz))
        row = np.zeros(521, np.float32)
        for category in (c for r in results for c in r.classifications[0].categories):
            row[category.index] += category.score / len(results)
        rows.append(row)
with open(sys.argv[2], "wb") as file:
    pickle.dump(rows, file)
"""
"""Run by the interpreter that has MediaPipe."""


def mediapipe(clips: list[Clip], model: Path) -> list[NDArray[np.float32]]:
    """MediaPipe's clip scores, the mean over its windows."""
    out = CACHE / "mediapipe.pickle"
    sounds = []
    for clip in clips:
        with open_audio(clip.path) as reader:
            waveform = np.concatenate(list(mono_blocks(reader)))
            sounds.append((waveform, reader.info.sample_rate_hz))
    command = [str(PEER), "-c", MEDIAPIPE, str(model), str(out)]
    done = subprocess.run(command, input=pickle.dumps(sounds), capture_output=True, check=False)
    if done.returncode:
        raise RuntimeError(done.stderr.decode())
    rows: list[NDArray[np.float32]] = pickle.loads(out.read_bytes())
    return rows
