# SPDX-License-Identifier: Apache-2.0
"""Whether thresholds per class, from how YAMNet scores noises, are better than one number.

    python benchmarks/noise_thresholds.py

Noises of five colours, steady and swelling, noise in four bands, and hums of six pitches are made,
each at three levels. The threshold of a class is what its pooled score reaches in the loudest
hundredth of all stretches of two seconds of them, but 0.2 at the least and 0.8 at the most. The
list of events with these and with 0.2 for all is judged as in events.py, on both halves.
"""

from __future__ import annotations

import json
from collections.abc import Iterator

import numpy as np
from events import COLLARS, HALVES, SETS, judge_module, make_scenes, print_row

import oido
from oido.events.spans import odds_of, pooled

RATE_HZ, SECONDS = 16_000, 30
FRAMES = 12  # of 0.16 s


def coloured(dice: np.random.Generator, exponent: float, low: float, high: float) -> np.ndarray:
    """Noise whose power falls with frequency to this power, between two frequencies in Hz."""
    n = RATE_HZ * SECONDS
    spectrum = np.fft.rfft(dice.normal(size=n))
    frequency = np.fft.rfftfreq(n, 1 / RATE_HZ)
    spectrum *= np.maximum(frequency, 1.0) ** (-exponent / 2)
    spectrum[(frequency < low) | (frequency > high)] = 0
    return np.fft.irfft(spectrum, n)


def noises() -> Iterator[np.ndarray]:
    dice = np.random.default_rng(0)
    time = np.arange(RATE_HZ * SECONDS) / RATE_HZ
    for exponent in (0, 0.5, 1, 1.5, 2):
        noise = coloured(dice, exponent, 0, RATE_HZ / 2)
        for depth in (0, 0.5, 0.9):
            yield noise * (1 - depth * (0.5 + 0.5 * np.sin(2 * np.pi * 0.2 * time)))
    for low, high in ((100, 500), (500, 2_000), (2_000, 6_000), (200, 3_000)):
        yield coloured(dice, 0, low, high)
    for pitch in (50, 60, 100, 120, 200, 400):
        hum = sum(np.sin(2 * np.pi * pitch * k * time + k) / k for k in range(1, 12))
        yield hum + 0.1 * dice.normal(size=len(time))


def thresholds(classifier: oido.AudioClassifier) -> dict[str, float]:
    rows = []
    for noise in noises():
        for peak in (0.3, 0.03, 0.003):
            sound = (noise / np.abs(noise).max() * peak).astype(np.float32)
            odds = odds_of(classifier.classify(sound, RATE_HZ).framewise_scores)
            stretches = range(0, len(odds) - FRAMES, FRAMES)
            rows += [pooled(odds[at : at + FRAMES].mean(axis=0)) for at in stretches]
    reached = np.clip(np.quantile(rows, 0.99, axis=0), 0.2, 0.8)
    raised = {label: float(value) for label, value in zip(classifier.labels, reached)}
    above = {label: f"{value:.2f}" for label, value in raised.items() if value > 0.2}
    print(f"{len(rows)} stretches of noise; raised: {above}")
    return raised


def main() -> None:
    classifier, judge = oido.AudioClassifier(), judge_module()
    raised = thresholds(classifier)
    for half in HALVES:
        for sets in (",".join(SETS), SETS[0]):
            folder = make_scenes(half, sets, 1, 40)
            truth = json.loads((folder / "truth.json").read_text("utf-8"))
            results = [classifier.classify(folder / s["file"]) for s in truth["scenes"]]
            title = f"{sets}, {half}: F1 at a collar of"
            print(f"\n{title:<44}" + "".join(f"{c:>6} s" for c in COLLARS) + "    rows")
            for name, own in (("0.2 for all", None), ("from noises", raised)):
                events = [result.events(thresholds=own) for result in results]
                found = [[(e.start_time, e.end_time, e.label) for e in rows] for rows in events]
                print_row(name, found, truth, judge)


if __name__ == "__main__":
    main()
