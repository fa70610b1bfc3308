# SPDX-License-Identifier: Apache-2.0
"""Run by the Task Library's own environment: what models say of one window, as JSON.

Arguments: a .npy of one window (float32, mono), its rate in Hz, lists of labels as JSON, the
models. Prints a list, by model and by output, of the scores by label. Ends with an error if a
model is refused.
"""

from __future__ import annotations

import json
import sys
from typing import Any

import numpy as np
from tflite_support.task import audio, core, processor


def classify(model: str, window: Any, rate_hz: int, lists: Any) -> list[dict[str, float]]:
    lists = {name.replace("category_", "category_name_"): labels for name, labels in lists.items()}
    classifier = audio.AudioClassifier.create_from_options(
        audio.AudioClassifierOptions(
            base_options=core.BaseOptions(file_name=model, num_threads=1),
            classification_options=processor.ClassificationOptions(max_results=-1, **lists),
        )
    )
    if classifier.required_audio_format.sample_rate != rate_hz:
        raise ValueError(f"the model wants {classifier.required_audio_format.sample_rate} Hz")
    tensor = classifier.create_input_tensor_audio()
    tensor.load_from_array(window[:, None])
    result = classifier.classify(tensor)
    return [
        {c.category_name or str(c.index): float(c.score) for c in head.categories}
        for head in result.classifications
    ]


def main() -> None:
    window, rate_hz, lists, *models = sys.argv[1:]
    given = np.load(window), int(rate_hz), json.loads(lists)
    print(json.dumps([classify(model, *given) for model in models]))


if __name__ == "__main__":
    main()
