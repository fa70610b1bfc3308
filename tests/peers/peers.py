# SPDX-License-Identifier: Apache-2.0
"""Other libraries that load our models, each run in an environment of its own."""

from __future__ import annotations

import json
import os
import subprocess
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest
import soundfile
from numpy.typing import NDArray

from oido.models.tflite.editor import TfliteGraph
from oido.models.tflite.metadata import read_metadata

ROOT = Path(__file__).parents[2]
CHILDREN = {"mediapipe": "mediapipe_child.py", "tflite-support": "tflite_support_child.py"}

Audio = Path | NDArray[np.float32]
"""A file (.wav, .flac, ... mono, at the model's rate), a .npy, or an array; float32[n]."""

Scores = list[dict[str, float]]
"""By output: scores by label (by index, as text, of an output without labels).

Categories that the peer leaves out are absent."""


class PeerRefusedError(Exception):
    """The peer did not load or run a model; the message has its last words."""


def interpreter(peer: str) -> Path:
    """The Python of a peer's environment; skips the test if there is none."""
    folder = Path(os.environ.get("OIDO_TEST_PEERS") or ROOT / ".bench")
    python = folder / peer / "bin" / "python"
    if not python.exists():
        pytest.skip(
            f"{peer} is not here: `python benchmarks/peers/make_envs.py --only {peer}` makes its "
            "environment (OIDO_TEST_PEERS names another folder)"
        )
    return python


def run_peer(
    peer: str, models: Sequence[Path], audio: Audio, scratch: Path, **lists: Sequence[str]
) -> list[Scores]:
    """What the peer says of the first window of the audio, model by model, in one process.

    The audio is cut, or padded with zeros, to the window that the models take, which must be of
    one rate and length. scratch is a folder for that window; lists: category_allowlist or
    category_denylist, as the peers call them. Raises PeerRefusedError.
    """
    python = interpreter(peer)
    ((rate_hz, samples),) = {_input(model.read_bytes()) for model in models}
    window = scratch / "window.npy"
    np.save(window, _first_window(audio, samples, rate_hz))
    script = Path(__file__).with_name(CHILDREN[peer])
    words = [str(window), str(rate_hz), json.dumps(lists), *map(str, models)]
    command = [str(python), str(script), *words]
    done = subprocess.run(command, capture_output=True, text=True, timeout=120, check=False)
    if done.returncode != 0:
        names = ", ".join(model.name for model in models)
        raise PeerRefusedError(f"{peer} does not run {names}:\n{done.stderr[-2000:]}")
    answers: list[Scores] = json.loads(done.stdout)
    return answers


def _input(content: bytes) -> tuple[int | None, int]:
    """Rate and window of a model."""
    graph = TfliteGraph(content)
    metadata = graph.metadata()
    assert metadata is not None, "peers need a model with metadata"
    rate_hz = read_metadata(metadata, content).inputs[0].sample_rate_hz
    return rate_hz, graph.waveform_shape()[0]


def _first_window(audio: Audio, samples: int, rate_hz: int | None) -> NDArray[np.float32]:
    if isinstance(audio, Path) and audio.suffix != ".npy":
        waveform, file_rate_hz = soundfile.read(audio, dtype="float32", frames=samples)
        assert file_rate_hz == rate_hz, f"{audio.name} must be at {rate_hz} Hz"
    else:
        waveform = np.load(audio) if isinstance(audio, Path) else audio
    assert waveform.ndim == 1, "audio must be mono"
    waveform = waveform[:samples].astype(np.float32)
    return np.pad(waveform, (0, samples - len(waveform)))
