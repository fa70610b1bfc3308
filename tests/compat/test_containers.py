# SPDX-License-Identifier: Apache-2.0
"""MediaPipe's buffers of samples, and its microphone."""

from __future__ import annotations

import subprocess
import sys
from collections import deque
from pathlib import Path

import numpy as np
import pytest
import soundfile

from oido.compat.containers import AudioData, AudioDataFormat, AudioRecord
from tests.live.servers import running
from tests.live.sound_server import VirtualMicrophone

MEASURE = """
import sys, time
from oido.compat.mediapipe.tasks.python import audio
with audio.AudioClassifier.create_from_model_path("yamnet/classification") as classifier:
    record = classifier.create_audio_record(1, 16_000, 16_000)
    record.start_recording()
    print("ready", flush=True)
    for _ in range(1_200):
        time.sleep(0.05)
        samples = record.read(15_600)
        assert samples.shape == (15_600, 1)
        if abs(samples).max() > 0.1:
            break
    record.stop()
    print(abs(samples).max() > 0.1, samples.dtype)
"""


@pytest.mark.parametrize("channels", [1, 2])
@pytest.mark.parametrize("sizes", [[3, 3, 3], [7, 1], [10], [12, 4], [0, 5, 0]])
def test_a_buffer_keeps_the_last_samples(channels: int, sizes: list[int]) -> None:
    data = AudioData(10, AudioDataFormat(channels, 16_000))
    expected = deque([[0.0] * channels] * 10, maxlen=10)
    source = np.arange(sum(sizes) * channels, dtype=float).reshape(-1, channels)
    for size in sizes:
        piece, source = source[:size], source[size:]
        data.load_from_array(piece)
        expected.extend(piece.tolist())
        assert data.buffer.tolist() == list(expected)
    assert data.buffer.dtype == np.float32
    assert data.buffer_length == 10
    data.clear()
    assert not data.buffer.any()


def test_a_piece_of_an_array() -> None:
    data = AudioData(4)
    data.load_from_array(np.arange(3.0)[:, None], offset=1, size=2)
    assert data.buffer[:, 0].tolist() == [0, 0, 1, 2]
    data.load_from_array(np.arange(9.0)[:, None], offset=5, size=2)
    assert data.buffer[:, 0].tolist() == [3, 4, 5, 6]


def test_the_array_is_copied() -> None:
    source = np.zeros(8, np.float32)
    data = AudioData.create_from_array(source, 16_000)
    source += 1
    assert not data.buffer.any()
    assert (data.audio_format.num_channels, data.audio_format.sample_rate) == (1, 16_000)


@pytest.mark.parametrize("numbers", [(0, 16_000, 100), (1, -1, 100), (1, 16_000, 0)])
def test_a_microphone_without_channels_rate_or_buffer(numbers: tuple[int, int, int]) -> None:
    pytest.importorskip("sounddevice", reason="needs oido[live]", exc_type=(ImportError, OSError))
    with pytest.raises(ValueError, match="must be positive"):
        AudioRecord(*numbers)


@pytest.mark.slow
def test_the_default_microphone_is_recorded(tmp_path: Path) -> None:
    pytest.importorskip("sounddevice", reason="needs oido[live]", exc_type=(ImportError, OSError))
    tone = 0.5 * np.sin(np.arange(32_000) * 0.2)
    soundfile.write(tmp_path / "tone.wav", tone, 16_000)
    with running(VirtualMicrophone(tmp_path)) as microphone:
        command = [sys.executable, "-c", MEASURE]
        with subprocess.Popen(
            command, env=microphone.environment, stdout=subprocess.PIPE, text=True
        ) as process:
            assert process.stdout is not None
            assert process.stdout.readline() == "ready\n"
            microphone.play(tmp_path / "tone.wav")
            assert process.communicate(timeout=120)[0] == "True float32\n"
