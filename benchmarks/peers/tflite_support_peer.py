# SPDX-License-Identifier: Apache-2.0
"""Measure the TensorFlow Lite Task Library's AudioClassifier, window by window.

The library takes one window (15,600 samples at 16 kHz, mono) at a time and does not resample, so
the files must have the model's rate. The windows are cut back to back and the last one is padded
with zeros, which is what MediaPipe does inside. Run it with the interpreter that `make_envs.py`
made; `--help` lists the arguments.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from harness import Classify, Options, Peer, run

if TYPE_CHECKING:
    import numpy as np


@contextmanager
def load(options: Options) -> Iterator[Classify]:
    """Open the classifier, with one input buffer that serves every window."""
    from tflite_support.task import audio, core, processor

    classifier = audio.AudioClassifier.create_from_options(
        audio.AudioClassifierOptions(
            base_options=core.BaseOptions(
                file_name=str(options.model), num_threads=options.threads
            ),
            classification_options=processor.ClassificationOptions(max_results=options.max_results),
        )
    )
    tensor = classifier.create_input_tensor_audio()
    rate_needed_hz = classifier.required_audio_format.sample_rate
    size = classifier.required_input_buffer_size

    def classify(waveform: np.ndarray, rate_hz: int) -> list[Any]:
        if rate_hz != rate_needed_hz or waveform.ndim != 1:
            raise ValueError(
                f"tflite-support does not resample: give it mono files at {rate_needed_hz} Hz "
                f"(this one has {rate_hz} Hz, shape {waveform.shape})"
            )
        column = _padded(waveform, size)[:, None]  # f32[windows * size, 1]
        results = []
        for start in range(0, len(column), size):
            tensor.load_from_array(column[start : start + size])
            results.append(classifier.classify(tensor))
        return results

    yield classify


def _padded(waveform: np.ndarray, size: int) -> np.ndarray:
    """Add zeros so that the length is a multiple of `size`."""
    import numpy as np

    return np.pad(waveform, (0, -len(waveform) % size))


if __name__ == "__main__":
    sys.exit(run(Peer("tflite-support", load, has_threads=True)))
