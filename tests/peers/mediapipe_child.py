# SPDX-License-Identifier: Apache-2.0
"""Run by MediaPipe's own environment: what models say of one window, as JSON.

Arguments: a .npy of one window (float32, mono), its rate in Hz, lists of labels as JSON, the
models. Prints a list, by model and by output, of the scores by label. Ends with an error if a
model is refused.
"""

from __future__ import annotations

import json
import sys
from typing import Any

import numpy as np
from mediapipe.tasks.python import BaseOptions, audio
from mediapipe.tasks.python.components.containers import AudioData


def classify(model: str, window: Any, rate_hz: int, lists: Any) -> list[dict[str, float]]:
    options = audio.AudioClassifierOptions(
        base_options=BaseOptions(model_asset_path=model),
        running_mode=audio.RunningMode.AUDIO_CLIPS,
        max_results=-1,
        **lists,
    )
    with audio.AudioClassifier.create_from_options(options) as classifier:
        results = classifier.classify(AudioData.create_from_array(window, rate_hz))
    if len(results) != 1:
        raise ValueError(f"one window was given, and {len(results)} came back")
    return [
        {c.category_name or str(c.index): float(c.score) for c in head.categories}
        for head in results[0].classifications
    ]


def main() -> None:
    window, rate_hz, lists, *models = sys.argv[1:]
    given = np.load(window), int(rate_hz), json.loads(lists)
    print(json.dumps([classify(model, *given) for model in models]))


if __name__ == "__main__":
    main()
