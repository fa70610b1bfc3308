# SPDX-License-Identifier: Apache-2.0
"""A radio station and a camera on loopback: they die, come back, and time goes on."""

from __future__ import annotations

import contextlib
import functools
import http.server
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile

from oido.errors import AudioError
from oido.live import opening
from oido.live.network import BackOff, NetworkReader
from tests.live.certificates import Authority
from tests.live.receiving import EXAMPLES, LOGIN, Listening, wait_for
from tests.live.servers import Camera, Folder, Station, free_port, running


def test_a_station_that_breaks_off_is_heard_again_and_time_goes_on(mp3: bytes) -> None:
    with running(Station(mp3, 30.0)) as station, running(Listening(station.url)) as listening:
        listening.wait_until(1.0)
        station.off_air, station.silence_after = True, 0.0
        wait_for(lambda: listening.said)
        before = listening.seconds
        listening.wait_until(before + 0.6)  # nothing can be opened, and time goes on
        station.silence_after, station.off_air = None, False
        wait_for(lambda: listening.gaps)
        listening.wait_until(before + 2.1)
        # Level with the clock, but for the bursts of two connections and what is under way.
        wait_for(lambda: abs(listening.ahead_seconds) < 1.5)
        (gap,) = listening.gaps
        rate = listening.reader.info.sample_rate_hz
        start, end = (round(gap.start_time * rate), round((gap.start_time + gap.seconds) * rate))
        samples = listening.samples
    assert not samples[start:end].any()
    assert samples[end + rate // 4 :].any()
    assert gap.seconds > 0.5
    assert station.connections == 2
    assert listening.said[0].endswith("trying to open it again")
    assert listening.said[-1].endswith("is back")


@pytest.mark.slow
def test_a_station_that_falls_silent_counts_as_lost(mp3: bytes) -> None:
    with (
        running(Station(mp3, 30.0)) as station,
        running(Listening(station.url, timeout=1.6)) as listening,
    ):
        # Silent only when it is heard: a look at its first seconds may take them all.
        listening.wait_until(1.0)
        station.stalls, station.silence_after = True, 0.0
        wait_for(lambda: listening.said)
        station.silence_after = None
        wait_for(lambda: listening.gaps)
    assert "nothing came in time" in listening.gaps[0].reason
    assert listening.gaps[0].seconds > 1.0


def test_a_camera_gives_its_samples_dies_and_comes_back() -> None:
    samples, rate = soundfile.read(EXAMPLES / "street.flac", dtype="int16")
    port = free_port()
    camera = Camera(samples, rate, port)
    with running(Listening(camera.url)) as listening:
        listening.wait_until(1.0)
        camera.close()
        time.sleep(1.0)
        with running(Camera(samples, rate, port)):
            wait_for(lambda: listening.gaps)
            listening.wait_until(listening.seconds + 0.5)
        got, (gap, *_) = listening.samples, listening.gaps
    first = got[: round(gap.start_time * rate)]
    assert np.array_equal(first, samples[: len(first)] / np.float32(32768))
    again = got[round((gap.start_time + gap.seconds) * rate) :][: rate // 4]
    assert np.array_equal(again, samples[: len(again)] / np.float32(32768))
    assert listening.reader.info.channels == 1


def test_a_recording_ends_where_it_ends(tmp_path: Path) -> None:

    handler = functools.partial(http.server.SimpleHTTPRequestHandler, directory=str(EXAMPLES))
    handler.log_message = lambda *_: None  # type: ignore[attr-defined]
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler)
    threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True).start()
    try:
        url = f"http://127.0.0.1:{server.server_port}"
        with NetworkReader(f"{url}/street.flac") as reader:
            got = np.concatenate(list(reader.blocks()))
        with pytest.raises(AudioError, match="cannot be opened"):
            NetworkReader(f"{url}/nothing.flac")
    finally:
        server.shutdown()
        server.server_close()
    expected, _ = soundfile.read(EXAMPLES / "street.flac", dtype="float32")
    assert np.array_equal(got[:, 0], expected)


def test_a_camera_whose_sound_stops_without_its_picture() -> None:
    samples, rate = soundfile.read(EXAMPLES / "street.flac", dtype="int16")
    with (
        running(Camera(samples, rate, free_port(), lone="stops")) as camera,
        running(Listening(camera.url, timeout=2.0)) as listening,
    ):
        wait_for(lambda: listening.gaps)
        listening.wait_until(listening.seconds + 2.5)
    assert camera.tracks == [1, 2]
    assert len(listening.gaps) == 1


def test_a_pause_shorter_than_the_timeout_is_no_loss(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(opening, "_LONE_TRACK_SECONDS", 1.0)
    samples, rate = soundfile.read(EXAMPLES / "street.flac", dtype="int16")
    with (
        running(Camera(samples, rate, free_port())) as camera,
        running(Listening(camera.url, timeout=20)) as listening,
    ):
        listening.wait_until(0.5)
        camera.sound_seconds = 0.0
        time.sleep(2.5)
        camera.sound_seconds = None
        before = listening.seconds
        listening.wait_until(before + 1.0)
    assert listening.said == []
    assert camera.tracks == [1]


def test_a_picture_that_goes_on_is_no_sound(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(opening, "_LONE_TRACK_SECONDS", 1.5)
    samples, rate = soundfile.read(EXAMPLES / "street.flac", dtype="int16")
    with (
        running(Camera(samples, rate, free_port(), lone="refused")) as camera,
        running(Listening(camera.url, timeout=3.0)) as listening,
    ):
        camera.sound_seconds = 1.0
        wait_for(lambda: listening.said)
        camera.sound_seconds = None
        wait_for(lambda: listening.gaps)
    assert "nothing came in time" in listening.gaps[0].reason


@pytest.mark.parametrize(
    "station",
    [
        {"headers": {"Content-Length": "2147483647", "icy-name": "Köln"}},
        {"headers": {"Content-Length": "2147483647"}},
        {"headers": {"Content-Length": "9000000", "Accept-Ranges": "none"}},
        {"headers": {"icy-br": "64"}, "length": 20_000},
        {"headers": {"Content-Length": "20000", "icy-br": "64"}, "length": 20_000},
        {"headers": {"Content-Length": "20000"}, "length": 20_000},
    ],
    ids=["icy", "huge", "plausible", "ended", "whole-icy", "whole"],
)
def test_a_station_with_a_length_is_opened_again(mp3: bytes, station: dict[str, Any]) -> None:
    with (
        running(Station(mp3, 30.0, **station)) as radio,
        running(Listening(radio.url)) as listening,
    ):
        listening.wait_until(1.0)
        if "length" not in station:
            wait_for(lambda: listening.seconds > 2.0)
            radio.silence_after = 0.0
            wait_for(lambda: listening.said)
            radio.silence_after = None
        wait_for(lambda: listening.gaps)
    assert listening.said[0].endswith("trying to open it again")
    assert listening.error is None


@pytest.mark.slow
@pytest.mark.parametrize("protocol", ["HTTP/1.0", "ICY"])
def test_lengths_with_sound_behind_them_are_not_believed(mp3: bytes, protocol: str) -> None:
    lengths = ("0", "1", "100", "", "-1", "none", "0x10")
    with contextlib.ExitStack() as stack:
        radios = [
            stack.enter_context(
                running(Station(mp3, 30.0, headers={"Content-Length": length}, protocol=protocol))
            )
            for length in lengths
        ]
        with ThreadPoolExecutor(len(radios)) as pool:  # each takes seconds to be opened
            opened = list(pool.map(Listening, [radio.url for radio in radios]))
        for listening in opened:
            stack.enter_context(running(listening))
        both = dict(zip(lengths, zip(radios, opened)))
        for length, (radio, listening) in both.items():
            listening.wait_until(3.0)
            assert (listening.said, listening.gaps, listening.error) == ([], [], None), length
            assert radio.connections <= 3, length  # tried, looked behind its length, and opened
            radio.silence_after = 0.0
        for radio, listening in both.values():
            wait_for(lambda listening=listening: listening.said)
            radio.silence_after = None
        for length, (_, listening) in both.items():
            wait_for(lambda listening=listening: listening.gaps)
            assert listening.said[-1].endswith("is back"), length


def test_a_short_recording_is_read_once_and_to_its_end(tmp_path: Path) -> None:
    samples, rate = soundfile.read(EXAMPLES / "street.flac", dtype="int16", frames=800)
    soundfile.write(tmp_path / "short.wav", samples, rate)
    with running(Folder(tmp_path)) as folder, NetworkReader(f"{folder.url}/short.wav") as reader:
        got = np.concatenate(list(reader.blocks()))[:, 0]
    assert np.array_equal(got, samples / np.float32(32768))


@pytest.mark.parametrize("burst", [60.0, 0.5], ids=["quick", "slow"])
def test_a_recording_without_a_length_of_its_own_is_played_once(mp3: bytes, burst: float) -> None:
    """However slowly it comes, if its server calls it a file; and if it comes quickly, anyhow."""
    headers = {"Content-Length": "24000"}
    if burst < 60:
        headers["Last-Modified"] = "Thu, 01 Jan 2026 00:00:00 GMT"
    with (
        running(Station(mp3, 30.0, burst, headers=headers, length=24_000)) as radio,
        running(Listening(radio.url)) as listening,
    ):
        listening.thread.join(60)
        assert not listening.thread.is_alive()
    assert listening.said == []
    assert 2.5 < listening.seconds < 3.5


def test_titles_between_the_sound_are_no_sound(mp3: bytes) -> None:
    with (
        running(Station(mp3, 30.0, metadata_every=4_000, length=40_000)) as radio,
        running(Station(mp3, 30.0, length=40_000)) as plain,
        running(Listening(radio.url)) as titled,
        running(Listening(plain.url)) as untitled,
    ):
        wait_for(lambda: titled.said and untitled.said)
        got = titled.samples
        expected = untitled.samples[: len(got)]
    assert titled.reader.damaged_packets == 0
    n = min(len(got), len(expected), 4 * titled.reader.info.sample_rate_hz)
    assert np.array_equal(got[:n], expected[:n])


def test_a_refusal_on_the_way_is_news(mp3: bytes, authority: Authority) -> None:
    port = free_port()
    samples, rate = soundfile.read(EXAMPLES / "street.flac", dtype="int16")
    camera = Camera(samples, rate, port)
    with running(Listening(camera.url)) as listening:
        listening.wait_until(0.5)
        camera.close()
        wait_for(lambda: listening.said)
        with running(Camera(samples, rate, port, login=LOGIN)):
            wait_for(lambda: len(listening.said) > 1)
            time.sleep(1.5)  # it tries again meanwhile
        assert len(listening.said) == 2
    assert "wants a user and a password" in listening.said[1]


def test_back_off_doubles_up_to_a_limit() -> None:
    back_off = BackOff(1, 60)
    for attempt, full in ((0, 1), (1, 2), (5, 32), (6, 60), (10_000, 60)):
        waits = [back_off.seconds(attempt) for _ in range(50)]
        assert 0.75 * full <= min(waits) <= max(waits) <= full
        assert len(set(waits)) > 1
