# SPDX-License-Identifier: Apache-2.0
"""A radio station and a camera on loopback: they die, come back, and time goes on."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest
import soundfile

from oido.errors import AudioError, OptionError
from oido.live.network import BackOff, NetworkReader, without_password
from oido.live.source import SourceGap
from tests.live.servers import Camera, Station, as_mp3, free_port, running

EXAMPLES = Path(__file__).parents[2] / "examples"
QUICK = BackOff(0.2, 0.4)


@pytest.fixture(scope="module")
def mp3() -> bytes:
    return as_mp3(EXAMPLES / "street.flac")


def wait_for(condition: Callable[[], object]) -> None:
    limit = time.monotonic() + 60
    while not condition():
        assert time.monotonic() < limit
        time.sleep(0.02)


class Listening:
    """Reads in a thread, as the one that hears does; keeps the samples and when they came."""

    def __init__(self, url: str, timeout: float = 10.0) -> None:
        self.began = time.monotonic()
        self.gaps: list[SourceGap] = []
        self.said: list[str] = []
        self.reader = NetworkReader(
            url,
            timeout=timeout,
            back_off=QUICK,
            on_gap=self.gaps.append,
            on_message=self.said.append,
        )
        self.blocks: list[np.ndarray] = []
        self.error: BaseException | None = None
        self.thread = threading.Thread(target=self._read, daemon=True)
        self.thread.start()

    def _read(self) -> None:
        try:
            for block in self.reader.blocks():
                self.blocks.append(block)
        except AudioError as error:
            self.error = error

    @property
    def seconds(self) -> float:
        return sum(map(len, self.blocks)) / self.reader.info.sample_rate_hz

    @property
    def samples(self) -> np.ndarray:
        return np.concatenate(self.blocks)[:, 0]

    @property
    def ahead_seconds(self) -> float:
        """By how much the samples are ahead of the clock."""
        return self.seconds - (time.monotonic() - self.began)

    def wait_until(self, seconds: float) -> None:
        wait_for(lambda: self.seconds >= seconds)

    def close(self) -> None:
        self.reader.close()


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
    import functools
    import http.server

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


@pytest.fixture
def playlist() -> Iterator[str]:
    """The address of a playlist that names a file of this machine."""
    import http.server

    text = f"#EXTM3U\n#EXT-X-TARGETDURATION:9\n#EXTINF:9,\nfile://{EXAMPLES}/street.flac\n"

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(200)
            self.send_header("Content-Type", "application/vnd.apple.mpegurl")
            self.end_headers()
            self.wfile.write((text + "#EXT-X-ENDLIST\n").encode())

        def log_message(self, *_: object) -> None: ...

    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True).start()
    yield f"http://127.0.0.1:{server.server_port}/list.m3u8"
    server.shutdown()
    server.server_close()


def test_a_playlist_from_the_network_opens_no_file_of_this_machine(playlist: str) -> None:
    with pytest.raises(AudioError):
        NetworkReader(playlist, timeout=5)


@pytest.mark.parametrize("url", ["file:///etc/passwd", "concat:a|b", "pipe:0", "http://", "x://y"])
def test_what_is_no_address(url: str) -> None:
    with pytest.raises(OptionError, match="no address"):
        NetworkReader(url)


def test_passwords_are_never_shown() -> None:
    port = free_port()
    with pytest.raises(AudioError) as raised:
        NetworkReader(f"rtsp://me:secret@127.0.0.1:{port}/cam?token=secret", timeout=5)
    assert "secret" not in str(raised.value)
    assert f"rtsp://me:…@127.0.0.1:{port}/cam" in str(raised.value)
    assert without_password("http://radio.example/live.mp3") == "http://radio.example/live.mp3"


def test_back_off_doubles_up_to_a_limit() -> None:
    back_off = BackOff(1, 60)
    for attempt, full in ((0, 1), (1, 2), (5, 32), (6, 60), (10_000, 60)):
        waits = [back_off.seconds(attempt) for _ in range(50)]
        assert 0.75 * full <= min(waits) <= max(waits) <= full
        assert len(set(waits)) > 1
