# SPDX-License-Identifier: Apache-2.0
"""Measure MediaPipe's AudioClassifier, used as its guide for Python says.

Audio-clips mode, one `classify` for each file: MediaPipe averages the channels, resamples, cuts
the clip into windows back to back (0.975 s) and runs them one by one. Run it with the interpreter
that `make_envs.py` made; `--help` lists the arguments.
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
    """Open the classifier; it has no setting for threads."""
    from mediapipe.tasks.python import BaseOptions, audio
    from mediapipe.tasks.python.components.containers import AudioData

    settings = audio.AudioClassifierOptions(
        base_options=BaseOptions(model_asset_path=str(options.model)),
        running_mode=audio.RunningMode.AUDIO_CLIPS,
        max_results=options.max_results,
    )
    with audio.AudioClassifier.create_from_options(settings) as classifier:

        def classify(waveform: np.ndarray, rate_hz: int) -> list[Any]:
            results: list[Any] = classifier.classify(AudioData.create_from_array(waveform, rate_hz))
            return results

        yield classify


if __name__ == "__main__":
    sys.exit(run(Peer("mediapipe", load, has_threads=False)))
