# SPDX-License-Identifier: Apache-2.0
"""The microphone: gaps against an interface like sounddevice's; all else in test_listen.py."""

from __future__ import annotations

import os
import sys
import threading
from collections import deque
from collections.abc import Iterator
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from oido.errors import AudioError, AudioNotFoundError, MissingExtraError
from oido.live import microphone
from oido.live.microphone import MicrophoneReader, input_devices
from oido.live.source import SourceGap

RATE = 8_000
BLOCK = RATE // 20


class PortAudioError(Exception):
    pass


class Sounddevice:
    """As much of sounddevice as oido uses, with two devices; ``play`` does what PortAudio does."""

    PortAudioError = PortAudioError
    default = SimpleNamespace(device=(1, 0))

    def __init__(self) -> None:
        self.devices = [
            self._device(0, "Speakers", 0),
            self._device(1, "USB microphone", 1),
            self._device(2, "Array", 6),
        ]
        self.busy = False
        self.started = threading.Event()
        self.options: dict[str, Any] = {}
        self.adc_time = 100.0

    @staticmethod
    def _device(index: int, name: str, inputs: int) -> dict[str, Any]:
        return {
            "index": index,
            "name": name,
            "hostapi": 0,
            "max_input_channels": inputs,
            "default_samplerate": float(RATE),
        }

    def query_hostapis(self) -> list[dict[str, Any]]:
        return [{"name": "ALSA"}]

    def query_devices(self, device: Any = None, kind: str | None = None) -> Any:
        if kind is None:
            return self.devices
        if not self.devices:
            raise PortAudioError("Error querying device -1")
        if device is None:
            return self.devices[1]
        found = [d for d in self.devices if device in (d["index"], d["name"])]
        if isinstance(device, str):
            found = [d for d in self.devices if device in d["name"]]
        if len(found) != 1:
            raise ValueError(f"No input device matching {device!r}\nand a second line")
        return found[0]

    def InputStream(self, **options: Any) -> Sounddevice:  # noqa: N802
        os.write(2, b"ALSA lib pcm.c:1: a device is missing\n")
        if self.busy:
            os.write(2, b"Expression 'ret' failed in 'src/pa_linux_alsa.c', line: 1736\n")
            raise PortAudioError("Device unavailable [PaErrorCode -9985]")
        self.options = options
        return self

    def start(self) -> None:
        self.started.set()

    def close(self, ignore_errors: bool = True) -> None:
        self.started.clear()

    def play(self, first: int, *, overflow: bool = False, lost: int = 0) -> None:
        """One block whose samples count from ``first``, after ``lost`` frames were lost."""
        self.adc_time += lost / RATE
        samples = np.full((BLOCK, self.options["channels"]), first, np.float32) / 1024
        self.options["callback"](
            samples,
            BLOCK,
            SimpleNamespace(inputBufferAdcTime=self.adc_time),
            SimpleNamespace(input_overflow=overflow),
        )
        samples[:] = np.nan  # PortAudio uses its buffer again
        self.adc_time += BLOCK / RATE


@pytest.fixture
def card(monkeypatch: pytest.MonkeyPatch) -> Sounddevice:
    card = Sounddevice()
    monkeypatch.setattr(microphone, "load_sounddevice", lambda: card)
    return card


def read(blocks: Iterator[np.ndarray]) -> np.ndarray:
    """Everything up to the device's end."""
    came: list[np.ndarray] = []
    with pytest.raises(AudioError, match="no more sound"):
        deque(map(came.append, blocks))
    return np.concatenate(came)


def test_what_the_card_lost_becomes_silence_of_its_length(card: Sounddevice) -> None:
    told: list[SourceGap] = []
    reader = MicrophoneReader(on_gap=told.append)
    card.play(1)
    card.play(2)
    card.play(3, overflow=True, lost=1_000)
    card.play(4)
    card.options["finished_callback"]()
    samples = read(reader.blocks())[:, 0] * 1024
    expected = [1] * BLOCK + [2] * BLOCK + [0] * 1_000 + [3] * BLOCK + [4] * BLOCK
    assert samples.tolist() == expected
    assert told == [SourceGap(0.1, 0.125, "the sound card overflowed")]


def test_an_overflow_without_loss_is_none(card: Sounddevice) -> None:
    told: list[SourceGap] = []
    reader = MicrophoneReader(on_gap=told.append)
    card.play(1, overflow=True)
    card.play(2, overflow=True)
    card.options["finished_callback"]()
    assert len(read(reader.blocks())) == 2 * BLOCK
    assert told == []


def test_a_slow_listener_loses_time_to_silence_and_not_memory(card: Sounddevice) -> None:
    told: list[SourceGap] = []
    reader = MicrophoneReader(on_gap=told.append)
    for number in range(130):  # six and a half seconds; five may wait
        card.play(number)
    assert reader._queue.qsize() == 100
    stream = reader.blocks()
    first = next(stream)
    card.play(130)
    card.options["finished_callback"]()
    samples = np.concatenate([first, read(stream)])[:, 0] * 1024
    assert len(samples) == 131 * BLOCK  # not a sample more or less than time went by
    assert samples[99 * BLOCK] == 99
    assert not samples[100 * BLOCK : 130 * BLOCK].any()
    assert samples[130 * BLOCK] == 130
    assert told == [SourceGap(5.0, 1.5, "hearing is slower than the microphone")]


def test_a_device_that_falls_silent_is_told(
    card: Sounddevice, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(microphone, "_PATIENCE_SECONDS", 0.2)
    reader = MicrophoneReader()
    card.play(1)
    assert len(read(reader.blocks())) == BLOCK


@pytest.mark.parametrize(
    ("device", "channel", "name", "channels"),
    [
        (None, "mix", "mic:USB microphone", 1),
        ("1", "mix", "mic:USB microphone", 1),
        ("USB", "mix", "mic:USB microphone", 1),
        ("Array", "mix", "mic:Array", 2),
        ("2", 3, "mic:Array", 4),
    ],
)
def test_devices_and_channels(
    card: Sounddevice, device: str | None, channel: Any, name: str, channels: int
) -> None:
    with MicrophoneReader(device, channel=channel) as reader:
        assert reader.info.name == name
        assert reader.info.channels == card.options["channels"] == channels
        assert reader.info.sample_rate_hz == RATE


def test_what_cannot_be_opened_is_told_in_one_line(card: Sounddevice) -> None:
    with pytest.raises(AudioNotFoundError, match=r"mic:nothing: .*oido devices") as raised:
        MicrophoneReader("nothing")
    assert "\n" not in str(raised.value)
    card.busy = True
    with pytest.raises(AudioNotFoundError, match="another program"):
        MicrophoneReader()
    card.devices = []
    with pytest.raises(AudioNotFoundError, match="no microphone here"):
        MicrophoneReader()


def test_the_list_has_only_what_can_be_heard(card: Sounddevice) -> None:
    listed = [(d.number, d.name, d.system, d.channels, d.is_default) for d in input_devices()]
    assert listed == [(1, "USB microphone", "ALSA", 1, True), (2, "Array", "ALSA", 6, False)]


def test_without_sounddevice_the_extra_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "sounddevice", None)
    with pytest.raises(MissingExtraError, match=r"oido\[live\]"):
        input_devices()


def test_what_portaudio_says_of_its_source_is_left_out_and_nothing_else(
    card: Sounddevice, capfd: pytest.CaptureFixture[str]
) -> None:
    card.busy = True
    with pytest.raises(AudioNotFoundError, match="cannot be opened"):
        MicrophoneReader()
    os.write(2, b"and after it\n")
    assert capfd.readouterr().err == "ALSA lib pcm.c:1: a device is missing\nand after it\n"
    card.busy = False
    MicrophoneReader()
    assert "a device is missing" in capfd.readouterr().err
