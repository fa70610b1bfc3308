# SPDX-License-Identifier: Apache-2.0
"""Clips of the last seconds: a ring buffer, and the rule that speech is never kept."""

from __future__ import annotations

import io
import math
import wave
from collections import deque
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from oido.errors import OptionError
from oido.live.triggers import TriggerState
from oido.messages import tr
from oido.models.taxonomy import descendants
from oido.signal.mixing import Channel

SPEECH = (
    "Speech",
    "Shout",
    tr("Children shouting"),
    "Whispering",
    "Singing",
    "Chatter",
    tr("Hubbub, speech noise, speech babble"),
)
"""Classes, with all below them, in which words may be understood or a person known by the voice."""

SPEECH_SCORE = 0.1
"""From this score (or probability) on, one window of speech is enough to forget a clip."""


class RingBuffer:
    """The last ``seconds`` of a source as one channel of 16-bit samples."""

    def __init__(self, rate_hz: int, seconds: float, channel: Channel = "mix") -> None:
        self.rate_hz, self._channel = rate_hz, channel
        self._samples = np.zeros(max(1, math.ceil(seconds * rate_hz)), np.int16)
        self.n_frames = 0
        """Frames pushed so far."""

    def push(self, block: NDArray[np.float32]) -> None:
        """Append f32[n, channels] in [-1, 1]; louder ones are clipped."""
        if self._channel == "mix":
            mono = block.mean(axis=1)
        else:
            mono = block[:, min(self._channel, block.shape[1] - 1)]
        mono = np.nan_to_num(mono) * 32768.0
        samples = np.clip(np.rint(mono), -32768, 32767).astype(np.int16)
        kept = samples[-len(self._samples) :]
        at = (self.n_frames + len(samples) - len(kept)) % len(self._samples)
        first = min(len(kept), len(self._samples) - at)
        self._samples[at : at + first] = kept[:first]
        self._samples[: len(kept) - first] = kept[first:]
        self.n_frames += len(samples)

    def cut(self, start_time: float, end_time: float) -> tuple[float, NDArray[np.int16]]:
        """What is still there between two times (seconds): its own start, and i16[n]."""
        oldest = max(0, self.n_frames - len(self._samples))
        start = min(max(round(start_time * self.rate_hz), oldest), self.n_frames)
        end = min(max(round(end_time * self.rate_hz), start), self.n_frames)
        where = np.arange(start, end) % len(self._samples)
        return start / self.rate_hz, self._samples[where]


class SpeechWatch:
    """Remembers in which windows there was speech.

    labels: of the model, in the order of its columns. Raises OptionError if none of them is speech:
    a model that does not know speech cannot keep the rule.
    """

    def __init__(self, labels: tuple[str, ...], remembered_seconds: float) -> None:
        self._columns = sorted({c for name in SPEECH for c in descendants(name, labels)})
        if not descendants("Speech", labels):
            raise OptionError(
                tr(
                    "--forget-speech needs a model that hears speech, and this one "
                    "has no such class; use a model with the class Speech, such as "
                    "yamnet/classification"
                )
            )
        self._remembered_seconds = remembered_seconds
        self._windows: deque[tuple[float, float]] = deque()

    def push(self, start_time: float, end_time: float, values: NDArray[np.float32]) -> None:
        """One more window; values: f32[…, C], its scores, and the probabilities too if any."""
        if float(values[..., self._columns].max()) >= SPEECH_SCORE:
            self._windows.append((start_time, end_time))
        while self._windows and self._windows[0][1] < end_time - self._remembered_seconds:
            self._windows.popleft()

    def has_speech(self, start_time: float, end_time: float) -> bool:
        """Whether a window with speech touches this stretch."""
        return any(start < end_time and end > start_time for start, end in self._windows)


@dataclass(frozen=True)
class AudioClip:
    """Sound that was kept: i16[n], one channel; start_time: seconds of the stream."""

    start_time: float
    rate_hz: int
    samples: NDArray[np.int16]

    @property
    def seconds(self) -> float:
        return len(self.samples) / self.rate_hz

    def wav(self) -> bytes:
        """As a WAV file."""
        file = io.BytesIO()
        with wave.open(file, "wb") as writer:
            writer.setnchannels(1)
            writer.setsampwidth(2)
            writer.setframerate(self.rate_hz)
            writer.writeframes(self.samples.astype("<i2").tobytes())
        return file.getvalue()


@dataclass(frozen=True)
class ClipLimits:
    """How much is kept around a sound, in seconds.

    A clip begins ``before`` the sound, and ends ``after`` it, or ``most`` after its trigger.
    """

    before: float = 3.0
    after: float = 1.0
    most: float = 60.0

    def __post_init__(self) -> None:
        for name, value, limit in (
            ("--pre-roll", self.before, 600.0),
            ("--post-roll", self.after, 600.0),
            ("--max-clip", self.most, 3600.0),
        ):
            if not 0.0 <= value <= limit:
                raise OptionError(
                    tr(
                        "{name} must be from 0 to {limit:g} s, not {value:g}",
                        name=name,
                        limit=limit,
                        value=value,
                    )
                )

    def buffer_seconds(self, longest_for: float) -> float:
        """Seconds that a ring buffer must hold; longest_for: of any condition."""
        return self.before + longest_for + max(self.most, self.after) + 15.0


class _Pending(NamedTuple):
    state: TriggerState
    start_time: float
    last_time: float


class ClipRecorder:
    """Cuts each trigger's clip once all its windows are done, and discards those with speech.

    speech: None keeps every clip.
    """

    def __init__(self, ring: RingBuffer, limits: ClipLimits, speech: SpeechWatch | None) -> None:
        self._ring, self._limits, self._speech = ring, limits, speech
        self._pending: list[_Pending] = []
        self.forgotten = 0
        """Clips that were not kept because there was speech in them."""

    def open(self, state: TriggerState) -> None:
        """A trigger went on."""
        start = max(0.0, state.start_time - self._limits.before)
        self._pending.append(_Pending(state, start, state.end_time + self._limits.most))

    def end(self, state: TriggerState) -> None:
        """It went off: the clip that it still has under way ends soon."""
        for at, pending in enumerate(self._pending):
            if pending.state.number == state.number and pending.state.state == "on":
                last = min(pending.last_time, state.end_time + self._limits.after)
                self._pending[at] = pending._replace(state=state, last_time=last)

    def ready(
        self, stream_time: float, at_end: bool = False
    ) -> list[tuple[TriggerState, AudioClip | None]]:
        """The clips that are complete, with the last state of each; None: it was forgotten.

        stream_time: seconds up to which every window is done; at_end: nothing more will come.
        """
        done = [p for p in self._pending if at_end or p.last_time <= stream_time]
        self._pending = [p for p in self._pending if p not in done]
        return [(p.state, self._cut(p, min(p.last_time, stream_time))) for p in done]

    def _cut(self, pending: _Pending, end_time: float) -> AudioClip | None:
        start_time, samples = self._ring.cut(pending.start_time, end_time)
        if self._speech is not None and self._speech.has_speech(start_time, end_time):
            self.forgotten += 1
            return None
        return AudioClip(start_time, self._ring.rate_hz, samples)
