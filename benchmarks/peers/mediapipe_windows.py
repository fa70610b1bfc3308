# SPDX-License-Identifier: Apache-2.0
"""What MediaPipe says of each window of some recordings, for benchmarks/events.py.

    .bench/mediapipe/bin/python benchmarks/peers/mediapipe_windows.py yamnet.tflite out.npz a.wav …

Run it with the interpreter that `make_envs.py` made. For each recording, by its place in the list,
out.npz has times_0, f64[windows] (starts in s, as MediaPipe gives them), and scores_0,
f32[windows, classes]; and `labels` once.
"""

from __future__ import annotations

import sys
from typing import Any

import numpy as np
import soundfile
from mediapipe.tasks.python import BaseOptions, audio
from mediapipe.tasks.python.components.containers import AudioData


def main() -> None:
    model, out, *recordings = sys.argv[1:]
    settings = audio.AudioClassifierOptions(
        base_options=BaseOptions(model_asset_path=model), running_mode=audio.RunningMode.AUDIO_CLIPS
    )
    arrays: dict[str, Any] = {}
    labels: dict[int, str] = {}
    with audio.AudioClassifier.create_from_options(settings) as classifier:
        for number, path in enumerate(recordings):
            waveform, rate_hz = soundfile.read(path, dtype="float32")
            results = classifier.classify(AudioData.create_from_array(waveform, rate_hz))
            rows = [result.classifications[0].categories for result in results]
            labels |= {category.index: category.category_name for row in rows for category in row}
            scores = np.zeros((len(rows), len(labels)), np.float32)
            for window, row in enumerate(rows):
                for category in row:
                    scores[window, category.index] = category.score
            arrays[f"times_{number}"] = np.array([result.timestamp_ms / 1000 for result in results])
            arrays[f"scores_{number}"] = scores
    arrays["labels"] = np.array([labels[index] for index in sorted(labels)])
    np.savez(out, **arrays)


if __name__ == "__main__":
    main()
