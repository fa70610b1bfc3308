# SPDX-License-Identifier: Apache-2.0
"""Golden scores: what the untouched yamnet/classification says of known signals.

    python tests/reference/make_golden.py            writes golden.json beside this file
    python tests/reference/make_golden.py --check    tells whether it would be written again so

Nothing of oido's signal path or graph editing is used: the published .tflite is run whole by
LiteRT, a window of 15,600 samples at a time. The signals are int16, so that a last bit of some
machine's sine cannot matter. Scores of this model are whole multiples of 1/256, and are kept as
such integers.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import soundfile
from ai_edge_litert.interpreter import Interpreter
from numpy.typing import NDArray

from oido.models.fetch import fetch
from oido.models.registry import card

HERE = Path(__file__).parent
GOLDEN = HERE / "golden.json"
STREET = HERE.parents[1] / "examples" / "street.flac"

RATE_HZ, WINDOW_SAMPLES, HOP_SAMPLES, TOP = 16_000, 15_600, 7_680, 10


class Untouched:
    """The published file in LiteRT, as any other program would run it."""

    def __init__(self, path: Path) -> None:
        self._interpreter = Interpreter(model_path=str(path), num_threads=1)
        self._interpreter.allocate_tensors()
        self._input = self._interpreter.get_input_details()[0]["index"]
        self._output = self._interpreter.get_output_details()[0]["index"]

    def window(self, samples: NDArray[np.float32]) -> NDArray[np.float32]:
        """f32[15600] → scores f32[521]."""
        self._interpreter.set_tensor(self._input, samples)
        self._interpreter.invoke()
        return self._interpreter.get_tensor(self._output)[0]

    def scores(self, waveform: NDArray[np.float32], hop: int = HOP_SAMPLES) -> NDArray[np.float32]:
        """f32[n] → scores of its windows f32[N, 521]; zeros after the end."""
        return np.stack([self.window(window) for window in windows_of(waveform, hop)])


def windows_of(
    waveform: NDArray[np.float32], hop: int = HOP_SAMPLES
) -> Iterator[NDArray[np.float32]]:
    """Windows of 15,600 samples, one each hop, until one reaches the end; zeros after it."""
    start = 0
    while True:
        window = np.zeros(WINDOW_SAMPLES, np.float32)
        part = waveform[start : start + WINDOW_SAMPLES]
        window[: len(part)] = part
        yield window
        if start + WINDOW_SAMPLES >= len(waveform):
            return
        start += hop


def signals() -> dict[str, tuple[str, NDArray[np.int16]]]:
    """Name → (its formula, int16[n] at 16 kHz)."""
    t = np.arange(2 * RATE_HZ) / RATE_HZ
    noise = np.random.RandomState(521).uniform(-1, 1, 3 * RATE_HZ)
    clicks = np.zeros(2 * RATE_HZ)
    clicks[::1600] = 1.0
    made: dict[str, tuple[str, NDArray[np.float64]]] = {
        "silence": ("0, 1 s", np.zeros(RATE_HZ)),
        "empty-but-one": ("a single sample of 0.5", np.full(1, 0.5)),
        "one-window": ("0.3 sin(2π·700 t), 15,600 samples", 0.3 * _sine(700.0, t[:15_600])),
        "one-sample-more": ("the same, 15,601 samples", 0.3 * _sine(700.0, t[:15_601])),
        "sine-440": ("0.5 sin(2π·440 t), 2 s", 0.5 * _sine(440.0, t)),
        "sine-1000-soft": ("0.01 sin(2π·1000 t), 2 s", 0.01 * _sine(1000.0, t)),
        "sine-5000": ("0.9 sin(2π·5000 t), 2 s", 0.9 * _sine(5000.0, t)),
        "noise": ("0.2 RandomState(521).uniform(−1, 1), 3 s", 0.2 * noise),
        "noise-loud": ("RandomState(521).uniform(−1, 1), 3 s", noise),
        "noise-bursts": ("the noise · 0.5, on and off every 0.25 s, 2 s", _bursts(noise, t)),
        "chirp": (
            "0.5 sin(2π (100 t + (7900 − 100) t² / 4)), 2 s: 100 to 7900 Hz",
            0.5 * np.sin(2 * np.pi * (100.0 * t + 7800.0 * t * t / 4.0)),
        ),
        "clicks": ("1 at every 1600th sample, else 0, 2 s", clicks),
    }
    result = {
        name: (formula, np.round(wave * 32767.0).astype(np.int16))
        for name, (formula, wave) in made.items()
    }
    samples, rate = soundfile.read(STREET, dtype="int16")
    if rate != RATE_HZ or samples.ndim != 1:
        raise SystemExit(f"{STREET} must be mono at {RATE_HZ} Hz")
    result["street"] = ("examples/street.flac", samples)
    return result


def _sine(hz: float, t: NDArray[np.float64]) -> NDArray[np.float64]:
    return np.asarray(np.sin(2 * np.pi * hz * t))


def _bursts(noise: NDArray[np.float64], t: NDArray[np.float64]) -> NDArray[np.float64]:
    return 0.5 * noise[: len(t)] * (np.arange(len(t)) // 4_000 % 2 == 0)


def as_integers(scores: NDArray[np.float32]) -> NDArray[np.uint16]:
    """Scores as multiples of 1/256. ValueError if they are not."""
    scaled = scores * 256.0
    if not np.array_equal(scaled, np.round(scaled)):
        raise ValueError("scores are not multiples of 1/256")
    return scaled.astype(np.uint16)


def summary(scores: NDArray[np.float32]) -> dict[str, Any]:
    """What golden.json keeps of f32[N, 521]; ties go to the lower class."""
    whole = as_integers(scores)
    order = np.argsort(-whole.astype(int), axis=1, kind="stable")[:, :TOP]
    return {
        "windows": len(whole),
        "argmax": order[:, 0].tolist(),
        "top": [
            [[int(c), int(row[c])] for c in best] for row, best in zip(whole, order, strict=True)
        ],
        "sha256": hashlib.sha256(whole.astype("<u2").tobytes()).hexdigest(),
    }


def golden() -> dict[str, Any]:
    """All of golden.json, made anew."""
    entry = card("yamnet/classification")
    model = Untouched(fetch(entry))
    made: dict[str, Any] = {"model_sha256": entry.sha256, "unit": "1/256", "signals": {}}
    for name, (formula, samples) in signals().items():
        made["signals"][name] = {
            "formula": formula,
            "samples_sha256": hashlib.sha256(samples.astype("<i2").tobytes()).hexdigest(),
            **summary(model.scores(samples.astype(np.float32) / np.float32(32768))),
        }
    return made


def _json(made: dict[str, Any]) -> str:
    signals = ",\n".join(
        f"    {json.dumps(name)}: {json.dumps(entry, ensure_ascii=False, separators=(',', ':'))}"
        for name, entry in made["signals"].items()
    )
    head = json.dumps({k: v for k, v in made.items() if k != "signals"}, indent=2)[:-2]
    return f'{head},\n  "signals": {{\n{signals}\n  }}\n}}\n'


def main() -> int:
    """Write golden.json, or with --check compare; 1 if it differs."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--check", action="store_true", help="compare, do not write")
    text = _json(golden())
    if parser.parse_args().check:
        same = GOLDEN.is_file() and GOLDEN.read_text(encoding="utf-8") == text
        print("golden.json is", "as this machine makes it" if same else "NOT what it would be here")
        return 0 if same else 1
    GOLDEN.write_text(text, encoding="utf-8", newline="\n")
    print(f"{GOLDEN}: {len(text):,} bytes")
    return 0


if __name__ == "__main__":
    sys.exit(main())
