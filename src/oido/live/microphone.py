# SPDX-License-Identifier: Apache-2.0
"""The microphone, through PortAudio (sounddevice; extra ``oido[live]``)."""

from __future__ import annotations

import contextlib
import os
import queue
import tempfile
import threading
import time
from collections.abc import Iterator
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from oido.errors import AudioError, AudioNotFoundError, MissingExtraError
from oido.live.source import OnGap, SourceGap, ignore, silence
from oido.messages import tr
from oido.signal.decode import AudioInfo, AudioReader
from oido.signal.decode.readers import check_shape
from oido.signal.mixing import Channel

_BLOCK_SECONDS = 0.05
_QUEUE_SECONDS = 5.0
_PATIENCE_SECONDS = 5.0
_TICK_SECONDS = 0.1
_CLOCK_SLACK_SECONDS = 0.02
_STDERR = 2


class InputDevice(NamedTuple):
    """An input device; number: as `oido listen mic:NUMBER` takes it."""

    number: int
    name: str
    system: str
    channels: int
    sample_rate_hz: int
    is_default: bool


def load_sounddevice() -> Any:
    """The module sounddevice. Raises MissingExtraError without it or without PortAudio."""
    try:
        import sounddevice
    except (ImportError, OSError) as error:
        needed = tr("sounddevice: pip install 'oido[live]'")
        if isinstance(error, OSError):
            needed = tr("the library PortAudio: on Debian and Ubuntu, apt install libportaudio2")
        raise MissingExtraError(tr("the microphone needs {needed}", needed=needed)) from error
    return sounddevice


def input_devices() -> list[InputDevice]:
    """Every device with inputs, in PortAudio's order. Raises MissingExtraError."""
    sounddevice = load_sounddevice()
    default = sounddevice.default.device[0]
    systems = sounddevice.query_hostapis()
    return [
        InputDevice(
            index,
            str(device["name"]),
            str(systems[device["hostapi"]]["name"]),
            int(device["max_input_channels"]),
            round(device["default_samplerate"]),
            index == default,
        )
        for index, device in enumerate(sounddevice.query_devices())
        if device["max_input_channels"] > 0
    ]


class MicrophoneReader(AudioReader):
    """An input device, at its own rate, with one or two channels (or as many as ``channel`` needs).

    device: a number or a part of a name, as `oido devices` lists them; None is the default.
    Five seconds may wait. What overflows, here or in the sound card, becomes silence of the same
    length, and ``on_gap`` is called.

    Raises MissingExtraError, or AudioNotFoundError if there is no such device.
    """

    def __init__(
        self, device: str | None = None, *, channel: Channel = "mix", on_gap: OnGap = ignore
    ) -> None:
        self.damaged_packets = 0
        self._on_gap = on_gap
        self._sounddevice = load_sounddevice()
        chosen: str | int | None = int(device) if device and device.isdecimal() else device
        found = self._query(chosen)
        self._name = f"mic:{found['name']}"
        most = int(found["max_input_channels"])
        wanted = 2 if channel == "mix" else channel + 1
        channels, rate = max(1, min(most, wanted)), round(found["default_samplerate"])
        check_shape(self._name, rate, channels)
        self.info = AudioInfo(self._name, rate, channels, None, "portaudio float32", "portaudio")
        block = max(1, round(_BLOCK_SECONDS * rate))
        self._queue: queue.Queue[_Block] = queue.Queue(max(1, round(_QUEUE_SECONDS * rate / block)))
        self._missing_frames, self._reason = 0, ""
        self._expected_adc_time = 0.0
        self._ended = threading.Event()
        try:
            with _without_checks():
                self._stream = self._sounddevice.InputStream(
                    device=found["index"],
                    channels=channels,
                    samplerate=rate,
                    blocksize=block,
                    dtype="float32",
                    callback=self._on_samples,
                    finished_callback=self._ended.set,
                )
        except (self._sounddevice.PortAudioError, ValueError) as error:
            raise self._open_error(error) from error

    @property
    def fullness(self) -> float:
        """How much of the five seconds waits, 0..1."""
        return self._queue.qsize() / self._queue.maxsize

    def blocks(self) -> Iterator[NDArray[np.float32]]:
        """Blocks f32[n, channels] of some 50 ms, as they are recorded."""
        try:
            with _without_checks():
                self._stream.start()
        except self._sounddevice.PortAudioError as error:
            raise self._open_error(error) from error
        rate, channels, n_frames = self.info.sample_rate_hz, self.info.channels, 0
        last = time.monotonic()
        while True:
            try:
                samples, missing, reason = self._queue.get(timeout=_TICK_SECONDS)
            except queue.Empty:
                if self._ended.is_set() or time.monotonic() - last > _PATIENCE_SECONDS:
                    raise AudioError(
                        tr(
                            "{name}: no more sound comes from it; is it still plugged in?",
                            name=self._name,
                        )
                    ) from None
                continue
            last = time.monotonic()
            if missing:
                yield from silence(missing, channels, rate)
                self._on_gap(SourceGap(n_frames / rate, missing / rate, reason))
            n_frames += missing + len(samples)
            yield samples

    def close(self) -> None:
        """Stop recording."""
        self._stream.close(ignore_errors=True)

    def _on_samples(
        self, samples: NDArray[np.float32], frames: int, times: Any, flags: Any
    ) -> None:
        """PortAudio's own thread: may neither wait nor keep its buffer."""
        rate = self.info.sample_rate_hz
        if flags.input_overflow:
            # PortAudio does not say how much was lost; the clock of its buffers does.
            late = times.inputBufferAdcTime - self._expected_adc_time
            if self._expected_adc_time > 0.0 and late > _CLOCK_SLACK_SECONDS:
                self._missing_frames += round(late * rate)
                self._reason = tr("the sound card overflowed")
        self._expected_adc_time = times.inputBufferAdcTime + frames / rate
        try:
            self._queue.put_nowait(_Block(samples.copy(), self._missing_frames, self._reason))
        except queue.Full:
            self._missing_frames += frames
            self._reason = tr("hearing is slower than the microphone")
        else:
            self._missing_frames = 0

    def _query(self, device: str | int | None) -> dict[str, Any]:
        try:
            return dict(self._sounddevice.query_devices(device, "input"))
        except (self._sounddevice.PortAudioError, ValueError) as error:
            if device is None:
                raise AudioNotFoundError(
                    tr("there is no microphone here; `oido devices` lists what can be heard")
                ) from error
            name = str(device).lower()
            found = [each.name for each in input_devices() if name in each.name.lower()]
            if len(found) > 1:
                reason = tr(
                    "mic:{device}: stands in several names: {names}; write more of one, or "
                    "its number of `oido devices`",
                    device=device,
                    names=", ".join(found),
                )
            else:
                reason = tr(
                    "mic:{device}: there is no such microphone; `oido devices` lists them",
                    device=device,
                )
            raise AudioNotFoundError(reason) from error

    def _open_error(self, error: Exception) -> AudioNotFoundError:
        return AudioNotFoundError(
            tr(
                "{name}: cannot be opened ({first_line}); is another program using it?",
                name=self._name,
                first_line=_first_line(error),
            )
        )


@contextlib.contextmanager
def _without_checks() -> Iterator[None]:
    """Meanwhile PortAudio's lines about its own source ("Expression 'x' failed in …") are left out
    of standard error; all else that is written there comes out at the end."""
    try:
        written = tempfile.TemporaryFile()  # noqa: SIM115, because it is closed below
        kept = os.dup(_STDERR)
    except OSError:  # there is no place for it, or no standard error
        yield
        return
    with written:
        os.dup2(written.fileno(), _STDERR)
        try:
            yield
        finally:
            os.dup2(kept, _STDERR)
            os.close(kept)
            written.seek(0)
            for line in written:
                if not line.startswith(b"Expression '"):
                    os.write(_STDERR, line)


class _Block(NamedTuple):
    samples: NDArray[np.float32]
    missing_frames: int
    reason: str


def _first_line(error: Exception) -> str:
    return str(error).splitlines()[0] if str(error) else type(error).__name__
