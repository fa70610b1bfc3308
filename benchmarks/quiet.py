# SPDX-License-Identifier: Apache-2.0
"""False events of taught models in a quiet room: faint noise in which nothing is heard.

    python benchmarks/quiet.py                        YAMNet
    python benchmarks/quiet.py --model efficientat/mn04
    python benchmarks/quiet.py --judged 12            other clips, and other noise

Classes of ../shared/audio/esc10 are taught on three folds (1 to 3), with and without background (60
recordings of ../shared/audio/everyday). Then the model hears 20 s each of made noise, of five
slopes (white to brown) at -85 to -40 dB in 16 bits, and the clips of its classes in the two others.
Faint noise can sound like rain, but not like a clock.
"""

from __future__ import annotations

import argparse
import tempfile
from pathlib import Path

import numpy as np
from unknown import ALIKE, AUDIO, folder_of, rows_of

import oido
from oido.arrays import F32

SETS = (
    ("Dog bark", "Rooster", "Baby cry"),
    ("Rain", "Sea waves", "Clock tick"),
    ("Clock tick", "Person sneeze"),
    ("Rain", "Chainsaw"),
    ("all ten",),
)
SECONDS, RATE = 20, 16_000
LEVELS_DB = range(-85, -35, 5)
SLOPES = (0.0, 0.5, 1.0, 1.5, 2.0)


def noise(level_db: float, slope: float, seed: int) -> F32:
    """Its power falls by this slope from 40 Hz on; 16 bits."""
    random = np.random.default_rng(round(seed - level_db + 100 * slope))
    shape = np.maximum(np.fft.rfftfreq(SECONDS * RATE, 1 / RATE), 40.0) ** (slope / 2)
    made = np.fft.irfft(np.fft.rfft(random.standard_normal(SECONDS * RATE)) / shape)
    made *= 10 ** (level_db / 20) / np.sqrt((made**2).mean())
    return np.asarray(np.round(made * 32_768) / 32_768, np.float32)


def false_share(classifier: oido.AudioClassifier, seed: int) -> float:
    """Of the time of all noises, with an event."""
    shares = []
    for level_db in LEVELS_DB:
        for slope in SLOPES:
            events = classifier.classify(noise(level_db, slope, seed), RATE).events()
            shares.append(min(1.0, sum(e.end_time - e.start_time for e in events) / SECONDS))
    return float(np.mean(shares))


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--model", default="yamnet/classification")
    parser.add_argument("--judged", default="45", help="two folds")
    arguments = parser.parse_args()
    model, judged = arguments.model, arguments.judged
    seed = 7 if judged == "45" else 1_000 * int(judged)
    rows = rows_of("esc10")
    others = [
        ("background", AUDIO / "everyday" / row["file"])
        for row in rows_of("everyday")
        if not any(word in f"{row['label']} {row['file']}".lower() for word in (*ALIKE, "clock"))
    ][:60]
    print(f"{model}: time with an event in faint noise | clips with an event of their class")
    for taught in SETS:
        mine = [r for r in rows if r["label"] in taught or taught == ("all ten",)]
        known = [(r["label"], AUDIO / "esc10" / r["file"]) for r in mine if r["fold"] not in judged]
        kept_back = [(r["label"], AUDIO / "esc10" / r["file"]) for r in mine if r["fold"] in judged]
        for more in ([], others):
            with tempfile.TemporaryDirectory() as root:
                folder = folder_of(Path(root), known + more)
                classifier = oido.train(folder, model=model).classifier()
            found = [
                label in {event.label for event in classifier.classify(path).events()}
                for label, path in kept_back
            ]
            beside = "with background" if more else "alone"
            print(
                f"{', '.join(taught):32s} {beside:16s} {false_share(classifier, seed):6.1%} | "
                f"{sum(found)} of {len(found)}",
                flush=True,
            )


if __name__ == "__main__":
    main()
