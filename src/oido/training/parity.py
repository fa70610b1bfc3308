# SPDX-License-Identifier: Apache-2.0
"""Does the exported file say what was judged? It is run, and compared."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np

from oido.ears import Ear, whole_runtime
from oido.errors import AudioError, ModelFormatError
from oido.models.graph import TfliteGraph
from oido.models.metadata import read_metadata
from oido.models.model import AudioModel, WholeNetwork
from oido.params import Windowing
from oido.signal.framing import WindowFramer, cut_windows
from oido.training.clip import Clip
from oido.training.export import TAUGHT_HEAD
from oido.training.head import Head
from oido.training.heard import clip_waveforms

__all__ = ["Parity", "check_parity"]

_CLIPS = 40
_TOLERANCE = 1e-3


class Parity(NamedTuple):
    """What was written, and by how much a score of it differs at most, over so many windows."""

    path: Path
    size_bytes: int
    windows: int
    largest_difference: float


def check_parity(
    model: AudioModel, head: Head, content: bytes, clips: Sequence[Clip], path: Path
) -> Parity:
    """Run the file by LiteRT, as a whole, on windows of up to 40 clips spread over the data.

    Raises ModelFormatError if a score differs by more than 0.001 from the head that was judged.
    """
    raw = TfliteGraph(content).metadata()
    assert raw is not None
    names = [output.name for output in read_metadata(raw, content).outputs]
    runtime = whole_runtime(WholeNetwork(content, (names.index(TAUGHT_HEAD),)))
    ear, windows = Ear.of(model), model.windows
    windowing = Windowing.from_seconds(windows, None)
    step = max(1, len(clips) // _CLIPS)
    count, worst = 0, 0.0
    for _, waveform in clip_waveforms(clips[::step], windows.sample_rate_hz):
        if isinstance(waveform, AudioError):
            continue
        framer = WindowFramer(windowing, 4)  # the first windows are enough
        segments = framer.push(waveform[0]) or framer.flush()
        for segment in segments[:1]:
            cut = cut_windows(segment.waveform, windows.window_samples, segment.hop_samples)
            expected = head.scores(ear.hear(segment.waveform, segment.hop_samples).embeddings)
            scores = runtime.run(np.ascontiguousarray(cut)).scores
            worst = max(worst, float(np.abs(scores - expected).max()))
            count += len(cut)
    if not worst <= _TOLERANCE:
        raise ModelFormatError(
            f"{path.name} gives other scores than the head that was judged (by up to {worst:.3f}), "
            "so it was not written"
        )
    return Parity(path, len(content), count, worst)
