# SPDX-License-Identifier: Apache-2.0
"""What background costs the clips of short sounds, and what the quiet costs and gains.

    python benchmarks/background.py                    YAMNet
    python benchmarks/background.py efficientat/mn04

Applause, snaps and typing (../shared/audio/three-events) are taught beside 60 recordings of
everyday things as background, by three seeds; each clip is judged by a head that has not seen its
source. With and without the noise of quiet rooms (`quiet_waveforms`), and with clips made of all
windows alike in what they tell, or by `telling`.
"""

from __future__ import annotations

import sys
import tempfile
from pathlib import Path

import numpy as np
from unknown import AUDIO, folder_of, rows_of

import oido
from oido.arrays import F32, F64, Bools
from oido.events.aggregation import telling
from oido.training import embed, embeddings
from oido.training.augment import quiet_waveforms

TAUGHT = ("clap", "applau", "snap", "typ", "key", "finger")


def silence_alone(samples: int, sample_rate_hz: int) -> F32:
    return quiet_waveforms(samples, sample_rate_hz)[:1]


def alike(scores: F64, absences: Bools | None) -> F64:
    return telling(scores, None)


def main() -> None:
    model = sys.argv[1] if len(sys.argv) > 1 else "yamnet/classification"
    others = [
        ("background", AUDIO / "everyday" / row["file"])
        for row in rows_of("everyday")
        if not any(word in f"{row['label']} {row['file']}".lower() for word in TAUGHT)
    ][:60]
    print(f"{model}: accuracy of clips, mean of three seeds")
    with tempfile.TemporaryDirectory() as root:
        data = oido.Dataset.load(AUDIO / "three-events").with_background(
            folder_of(Path(root), others) / "background"
        )
        for name, quiet in (
            ("silence alone", silence_alone),
            ("silence and noise", quiet_waveforms),
        ):
            for way, tell in (("background as any", alike), ("background less", telling)):
                embed.quiet_waveforms, embeddings.telling = quiet, tell
                found = [
                    oido.train(data, model=model, seed=seed).report.clip_accuracy
                    for seed in range(3)
                ]
                print(f"{name:18s} {way:18s} {np.mean(found):.3f}", flush=True)


if __name__ == "__main__":
    main()
