# SPDX-License-Identifier: Apache-2.0
"""MediaPipe's containers, options and microphone, by their own names."""

from __future__ import annotations

import enum
import threading
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from oido.arrays import F32


class AudioTaskRunningMode(enum.Enum):
    """Clips, each by itself, or blocks of one stream."""

    AUDIO_CLIPS = "AUDIO_CLIPS"
    AUDIO_STREAM = "AUDIO_STREAM"


@dataclass
class BaseOptions:
    """The model: its file (or a name of `oido models list`), or else its bytes.

    delegate: is accepted, and everything runs on the processor.
    """

    class Delegate(enum.IntEnum):
        """What MediaPipe would run it on."""

        DEFAULT, CPU, GPU = range(3)

    model_asset_path: str | None = None
    model_asset_buffer: bytes | None = None
    delegate: Delegate | None = None


@dataclass
class AudioDataFormat:
    """Channels, and the rate in Hz."""

    num_channels: int = 1
    sample_rate: float | None = None


class AudioData:
    """A buffer of float32 samples in [-1, 1], f32[n, channels] or f32[n]."""

    def __init__(self, buffer_length: int, audio_format: AudioDataFormat | None = None) -> None:
        self.audio_format = audio_format or AudioDataFormat()
        self.buffer: F32 = np.zeros((buffer_length, self.audio_format.num_channels), np.float32)

    @property
    def buffer_length(self) -> int:
        """Samples per channel."""
        return len(self.buffer)

    def clear(self) -> None:
        """Fill it with zeros."""
        self.buffer.fill(0)

    def load_from_array(self, src: NDArray[Any], offset: int = 0, size: int = -1) -> None:
        """Append ``size`` samples of an array from ``offset`` on; the oldest leave the buffer.

        Of an array that could fill the buffer, what stands before them comes with them.
        """
        channels = self.audio_format.num_channels
        if (src.shape[1] if src.ndim > 1 else 1) != channels:
            raise ValueError(
                f"the array must have {channels} channel(s), not the shape {src.shape}"
            )
        end, length = offset + (len(src) if size < 0 else size), len(self.buffer)
        if end > len(src):
            raise ValueError(f"offset {offset} + size {size} is beyond the array's {len(src)}")
        start = max(0, end - length) if len(src) >= length else offset
        piece = src[start:end].astype(np.float32)
        if len(piece) < length:
            piece = piece.reshape(len(piece), *self.buffer.shape[1:])
            piece = np.concatenate([self.buffer[len(piece) :], piece])
        self.buffer = piece

    @classmethod
    def create_from_array(cls, src: NDArray[Any], sample_rate: float | None = None) -> AudioData:
        """Of an array [n] or [n, channels]."""
        data = cls(len(src), AudioDataFormat(1 if src.ndim == 1 else src.shape[1], sample_rate))
        data.load_from_array(src)
        return data


@dataclass
class Category:
    """A class and its score: a probability where the model is calibrated, else its raw output."""

    index: int | None = None
    score: float | None = None
    display_name: str | None = None
    category_name: str | None = None


@dataclass
class Classifications:
    """What one head says, best first."""

    categories: list[Category]
    head_index: int
    head_name: str | None = None


@dataclass
class ClassificationResult:
    """What all heads say of one window, and when it begins."""

    classifications: list[Classifications]
    timestamp_ms: int | None = None


@dataclass
class Embedding:
    """The embedding of one window: floats, or uint8 if it is quantized."""

    embedding: NDArray[Any]
    head_index: int | None = None
    head_name: str | None = None


@dataclass
class EmbeddingResult:
    """The embedding of one window, in a list, and when it begins."""

    embeddings: list[Embedding]
    timestamp_ms: int | None = None


@dataclass
class AudioClassifierOptions:
    """As MediaPipe's: names that the model does not have are ignored in the two lists."""

    base_options: BaseOptions
    running_mode: AudioTaskRunningMode = AudioTaskRunningMode.AUDIO_CLIPS
    display_names_locale: str | None = None
    max_results: int | None = None
    score_threshold: float | None = None
    category_allowlist: list[str] | None = None
    category_denylist: list[str] | None = None
    result_callback: Callable[[ClassificationResult, int], object] | None = None


@dataclass
class AudioEmbedderOptions:
    """As MediaPipe's of versions 0.10: quantize makes uint8 of vectors whose length is 1."""

    base_options: BaseOptions
    running_mode: AudioTaskRunningMode = AudioTaskRunningMode.AUDIO_CLIPS
    l2_normalize: bool | None = None
    quantize: bool | None = None
    result_callback: Callable[[EmbeddingResult, int], object] | None = None


class AudioRecord:
    """The last ``buffer_size`` samples of the default microphone (extra ``oido[live]``)."""

    def __init__(self, channels: int, sampling_rate: int, buffer_size: int) -> None:
        from oido.live.microphone import load_sounddevice

        if min(channels, sampling_rate, buffer_size) <= 0:
            raise ValueError("channels, sampling_rate and buffer_size must be positive")
        self.channels, self.sampling_rate, self.buffer_size = channels, sampling_rate, buffer_size
        self._data = AudioData(buffer_size, AudioDataFormat(channels, sampling_rate))
        self._lock = threading.Lock()
        self._stream = load_sounddevice().InputStream(
            channels=channels, samplerate=sampling_rate, dtype="float32", callback=self._on_samples
        )

    def _on_samples(self, samples: F32, *_: object) -> None:
        with self._lock:
            self._data.load_from_array(samples)

    def start_recording(self) -> None:
        """Forget what was recorded, and record."""
        self._data.clear()
        self._stream.start()

    def stop(self) -> None:
        """Record no more."""
        self._stream.stop()

    def read(self, size: int) -> F32:
        """The latest samples, f32[size, channels]."""
        if not 0 < size <= self.buffer_size:
            raise ValueError(f"size must be from 1 to the buffer's {self.buffer_size}, not {size}")
        with self._lock:
            return self._data.buffer[self.buffer_size - size :].copy()
