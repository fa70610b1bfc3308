# SPDX-License-Identifier: Apache-2.0
"""`oido listen` as a user runs it: a real process, the real model, sound as it comes."""

from __future__ import annotations

import argparse
import contextlib
import io
import json
import os
import re
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import soundfile

from oido.cli.main import build_parser, run
from oido.errors import OptionError
from tests.cli.listening import OIDO, RAW, STREET, Live, Page, listen, records
from tests.live.servers import Station, as_mp3, running
from tests.live.sound_server import VirtualMicrophone


@pytest.fixture(scope="module")
def pcm() -> bytes:
    """The street, 30 s of it, as raw 16-bit samples at 16 kHz."""
    samples, rate = soundfile.read(STREET, dtype="int16")
    assert rate == 16_000
    return samples.astype("<i2").tobytes()


def test_the_same_events_as_of_the_recording(pcm: bytes, classifier: Any) -> None:
    done = listen(*RAW, "--jsonl", sound=pcm)
    assert done.returncode == 0, done.stderr
    assert done.stderr == ""
    lines = records(done.stdout)
    heard = [r for r in lines if r["type"] == "event"]
    begun = [r for r in lines if r["type"] == "began"]
    # What begins is told once, and before its event; of some it turns out that they are none.
    first = {(r["label"], r["start_time"]): n for n, r in reversed([*enumerate(lines)])}
    assert len(begun) == len({(r["label"], r["start_time"]) for r in begun}) > len(heard)
    for record in heard:
        assert lines[first[record["label"], record["start_time"]]]["type"] == "began"
    got = {(r["label"], r["start_time"], r["end_time"], r["score"]) for r in heard}
    expected = classifier.classify(STREET).events()
    assert got == {
        (e.label, round(e.start_time, 6), round(e.end_time, 6), round(e.score, 8)) for e in expected
    }
    assert len(heard) == len(expected) == 7
    also = {r["label"]: r["also"] for r in heard}
    assert also == {e.label: list(e.also) for e in expected}
    assert also["Police car (siren)"] == ["Emergency vehicle", "Alarm", "Siren"]
    ends = [r["end_time"] for r in heard]
    assert ends == sorted(ends), "an event was not written as soon as it was over"
    assert "began" in {r["type"] for r in lines[lines.index(heard[0]) :]}
    assert all(re.fullmatch(r"20\d\d-.*T.*\.\d{3}Z", r["start_utc"]) for r in heard)
    assert {r["source"] for r in heard} == {"<stdin>"}


def test_events_come_while_the_pipe_is_open_and_ctrl_c_ends_cleanly(pcm: bytes) -> None:
    args = ("--jsonl", "--allow", "Siren", "--on", "Siren>0.6")
    with running(Live(*RAW, *args)) as live:
        live.send(pcm[: 4 * 32_000])  # into the midst of the siren
        trigger = live.wait_for("trigger", "Siren")
        assert trigger["state"] == "on"
        time.sleep(0.3)
        out, errors = live.interrupt()
        assert live.process.returncode == 130
    event, off = sorted(records(out), key=lambda r: str(r["type"]))
    assert (event["type"], event["label"]) == ("event", "Siren")
    assert event["end_time"] <= 4.0
    assert (off["type"], off["state"]) == ("trigger", "off")
    assert errors.strip() == "oido: interrupted"


@pytest.mark.parametrize("name", ["SIGTERM", "SIGHUP"])
def test_services_and_closed_terminals_end_it_as_cleanly(pcm: bytes, name: str) -> None:
    with running(Live(*RAW, "--jsonl", "--on", "Siren>0.6")) as live:
        live.send(pcm[: 4 * 32_000])
        live.wait_for("trigger", "Siren")
        out, _ = live.interrupt(getattr(signal, name))
        assert live.process.returncode == 130
    assert "off" in [r.get("state") for r in records(out)]


def test_a_reader_that_has_enough(pcm: bytes) -> None:
    with running(Live(*RAW, "--jsonl")) as live:
        live.send(pcm[: 18 * 32_000])
        live.wait_for("event", "")
        assert live.process.stdout is not None
        live.process.stdout.close()
        with contextlib.suppress(BrokenPipeError):
            live.send(pcm[18 * 32_000 :] * 2)
        live.process.stdout = None
        with contextlib.suppress(BrokenPipeError):
            live.process.stdin.close()
        live.process.stdin = None
        _, errors = live.process.communicate(timeout=60)
        assert live.process.returncode == 0
    assert errors == b""


def test_windows_locale_and_lists(pcm: bytes) -> None:
    done = listen(
        *RAW, "--jsonl", "--windows", "--top", 2, "--locale", "es", "--hop", 0.96, sound=pcm
    )
    lines = records(done.stdout)
    windows = [r for r in lines if r["type"] == "window"]
    assert len(windows) == 32
    assert windows[1]["start_time"] == 0.96
    assert all(len(r["categories"]) == 2 for r in windows)
    assert "Vehículo policial (sirena)" in {r["label"] for r in lines if r["type"] == "event"}
    only = listen(*RAW, "--plain", "--allow", "Siren", "--threshold", 0.5, sound=pcm)
    (line,) = only.stdout.splitlines()
    assert re.fullmatch(r"\d\d:\d\d:\d\d +\d\.\d\d s  0\.\d\d  Siren", line)


@pytest.mark.parametrize(
    ("container", "codec"),
    [("ogg", "libopus"), pytest.param("mpegts", "aac", marks=pytest.mark.slow)],
)
def test_containers_on_the_pipe(tmp_path: Path, container: str, codec: str) -> None:
    import av

    path = tmp_path / "street"
    samples, rate = soundfile.read(STREET, dtype="int16")
    with av.open(str(path), "w", format=container) as file:
        stream: Any = file.add_stream(codec, rate=rate, layout="mono")
        for start in range(0, len(samples), rate):
            piece = samples[None, start : start + rate]
            frame = av.AudioFrame.from_ndarray(piece, format="s16", layout="mono")
            frame.sample_rate, frame.pts = rate, start
            file.mux(stream.encode(frame))
        file.mux(stream.encode(None))
    done = listen("-", "--jsonl", sound=path.read_bytes())
    assert done.returncode == 0, done.stderr
    events = [r for r in records(done.stdout) if r["type"] == "event"]
    (speech,) = [r for r in events if r["label"] == "Speech"]
    assert speech["score"] > 0.9
    assert speech["start_time"] == pytest.approx(25.4, abs=0.1)
    assert speech["end_time"] == pytest.approx(29.42, abs=0.1)


def test_a_station_on_the_network() -> None:
    with (
        running(Station(as_mp3(STREET), 30.0, burst_seconds=8.0)) as station,
        running(Live(station.url, "--jsonl", "--allow", "Siren")) as live,
    ):
        event = live.wait_for("event", "Siren")
        live.interrupt()
        assert live.process.returncode == 130
    assert event["start_time"] == pytest.approx(0.8, abs=0.6)
    assert event["source"] == station.url


@pytest.mark.skipif(sys.platform == "win32", reason="needs a pseudo-terminal")
def test_the_view_fits_and_leaves_the_terminal_as_it_was(pcm: bytes) -> None:
    with running(Page(*RAW, "--on", "Siren>0.6")) as page:
        page.live.send(pcm[: 7 * 32_000])
        limit = time.monotonic() + 60
        event = re.compile(r"\d s  0\.\d\d  Police car \(siren\)$")
        while "OFF" not in page.text or not any(map(event.search, page.lines)):
            assert time.monotonic() < limit, page.text[-2000:]
            page.live.send(bytes(3_200))
            time.sleep(0.05)
        lines = page.lines
        _, errors = page.live.interrupt()
        page._thread.join(5)
        assert page.live.process.returncode == 130
        text = page.text
    assert len(lines) <= 24
    assert max(map(len, lines)) < 80
    assert lines[0].startswith("oido  <stdin>  yamnet/classification")
    assert re.search(r"[█·]+ +-\d+ dB  peak", lines[1])
    assert any(re.fullmatch(r"[█·]+ 0\.\d\d  .*\w", line) for line in lines)
    assert any(map(event.search, lines))
    assert any("ON   Siren>0.6" in line for line in lines)
    assert text.startswith("\x1b[?1049h\x1b[?25l")
    assert "\x1b[?25h\x1b[?1049l" in text
    assert text.rindex("\x1b[?1049l") > text.rindex("\x1b[H")
    assert errors.strip() == "oido: interrupted"


@pytest.mark.parametrize("n_bytes", [0, 200_000])
def test_ctrl_c_while_a_container_brings_nothing(n_bytes: int) -> None:
    with running(Live("-", "--jsonl", "--allow", "Siren")) as live:
        live.send(STREET.read_bytes()[:n_bytes])
        if n_bytes:
            live.wait_for("began", "Siren")
        else:
            live.wait_for_decoder()
            time.sleep(0.5)  # until it waits for its first bytes; sooner does no harm
        _, errors = live.interrupt()
        assert live.process.returncode == 130
    assert errors.splitlines()[-1] == "oido: interrupted"
    assert "Traceback" not in errors


@pytest.fixture
def virtual_microphone(tmp_path: Path) -> Iterator[VirtualMicrophone]:
    pytest.importorskip("sounddevice", reason="needs oido[live]", exc_type=(ImportError, OSError))
    with running(VirtualMicrophone(tmp_path)) as it:
        yield it


@pytest.mark.slow
def test_a_microphone(virtual_microphone: VirtualMicrophone, tmp_path: Path) -> None:
    environment = virtual_microphone.environment
    listed = subprocess.run(
        [*OIDO, "devices", "--json"], env=environment, capture_output=True, text=True, check=True
    )
    devices = json.loads(listed.stdout)
    assert any(device["is_default"] for device in devices)
    wav = tmp_path / "siren.wav"
    samples, rate = soundfile.read(STREET, frames=7 * 16_000, dtype="int16")
    soundfile.write(wav, samples, rate)
    args = ("mic", "--jsonl", "--windows", "--allow", "Siren", "--allow", "Silence")
    with running(Live(*args, env=environment)) as live:
        live.wait_for("window", "")
        began = time.time()
        virtual_microphone.play(wav)
        event = live.wait_for("event", "Siren")
        assert event["score"] > 0.8
        assert event["end_time"] - event["start_time"] == pytest.approx(4.8, abs=1.0)
        # The time of day is right: the siren begins 0.8 s after the recording began to play.
        from datetime import datetime

        heard = datetime.fromisoformat(event["start_utc"].replace("Z", "+00:00")).timestamp()
        assert -0.5 < heard - began - 0.8 < 2.5
        virtual_microphone.close()  # the device goes away
        _, errors = live.process.communicate(timeout=60)
        assert live.process.returncode == 1
    assert "no more sound comes from it" in errors.decode()


@pytest.mark.parametrize(
    ("args", "code", "told"),
    [
        (["street.wav"], 2, "`oido classify`"),
        (["-", "--encoding", "f32le"], 2, "--rate"),
        (["mic", "--rate", "16000"], 2, "for raw samples on a pipe"),
        ([*RAW, "--do", "exec:true"], 2, "before any --on"),
        ([*RAW, "--on", "Dgo>0.5"], 2, "'Dog'"),
        ([*RAW, "--on", "Dog>0.5", "--do", "mail:me"], 2, "is no action"),
        ([*RAW, "--on", "Dog>0.5", "--do", "exec:no-such-program"], 2, "no such program"),
        ([*RAW, "--on", "Dog>0.5 for 2"], 2, "such as 2s"),
        ([*RAW, "--forget-speech"], 2, "--do save:FOLDER"),
        ([*RAW, "--hop", "0.123"], 2, "the nearest is"),
        (["-"], 1, "<stdin>: is empty"),
        (["http://127.0.0.1:9/live"], 1, "Connection refused"),
        (["gopher://example/"], 2, "is no address"),
    ],
)
def test_what_is_wrong_is_one_sentence(
    args: list[str],
    code: int,
    told: str,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO()))
    assert run(["listen", *args]) == code
    out, errors = capsys.readouterr()
    assert told in errors
    assert errors.startswith("oido: ")
    assert len(errors.splitlines()) == 1
    assert out == ""


def test_devices_without_any() -> None:
    pytest.importorskip("sounddevice", reason="needs oido[live]", exc_type=(ImportError, OSError))
    done = subprocess.run([*OIDO, "devices"], capture_output=True, text=True, check=False)
    assert done.returncode == 0
    assert done.stdout.strip()
    assert "ALSA lib" not in done.stderr
    assert shutil.which("pactl") is None or "Traceback" not in done.stderr


def parsed(*words: str) -> argparse.Namespace:
    return build_parser().parse_args(["listen", *words])


def test_rules_stand_in_the_order_in_which_they_were_given() -> None:
    words = [
        "--on",
        "A>0.5",
        "--do",
        "exec:x",
        "--do",
        "save:y",
        "--on",
        "B",
        "--cool-down",
        "3",
        "--do",
        "webhook:http://z",
    ]
    args = parsed(*words)
    assert args.rules == [
        ("on", "A>0.5"),
        ("do", "exec:x"),
        ("do", "save:y"),
        ("on", "B"),
        ("do", "webhook:http://z"),
    ]
    assert args.cool_down == 3.0


def test_without_anything_it_hears_the_microphone() -> None:
    args, again = parsed(), parsed()
    assert (args.source, args.rules, args.rate, args.timeout) == ("mic", [], None, 10.0)
    defaults = (args.cool_down, args.off_after, args.pre_roll, args.post_roll, args.max_clip)
    assert defaults == (30.0, 2.0, 3.0, 1.0, 60.0)
    parsed("--on", "A")
    assert again.rules == [], "the list of one command line is not that of another"


def test_a_channel_is_the_mean_or_a_number() -> None:
    assert parsed("--channel", "mix").channel == "mix"
    assert parsed("--channel", "1").channel == 1
    for wrong, told in (("each", "must be mix or a number from 0, not 'each'"), ("left", "left")):
        with pytest.raises(OptionError, match=told):
            parsed("--channel", wrong)


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("soon", "must be a number of seconds, not 'soon'"),
        ("0", "must be above 0 and at most 3600, not 0"),
        ("-1", "must be above 0"),
        ("3601", "at most 3600"),
        ("nan", "must be above 0"),
        ("inf", "at most 3600"),
    ],
)
def test_a_timeout_that_is_none_is_told(text: str, told: str) -> None:
    with pytest.raises(OptionError, match=told):
        parsed(f"--timeout={text}")


_VANISHING = """
import os, sys, threading
from oido.live import microphone
from tests.live.test_microphone import Sounddevice
from oido.cli.main import run

class Vanishing(Sounddevice):
    def start(self):
        def vanish():
            self.play(1)
            os.write(2, b"ALSA lib pcm_hw.c:1829: snd_pcm_hw_readi failed\\n")
            os.write(2, b"Expression 'err' failed in 'pa_linux_alsa.c', line: 3339\\n")
            self.options["finished_callback"]()
        threading.Timer(0.2, vanish).start()

    def close(self, ignore_errors=True):
        os.write(2, b"ALSA lib pcm.c:1567: (snd_pcm_close) no such device\\n")

card = Vanishing()
microphone.load_sounddevice = lambda: card
sys.exit(run(["listen", "mic", "--plain", *sys.argv[1:]]))
"""


def test_a_microphone_that_is_gone_is_one_sentence_of_ours() -> None:
    for options in [], ["-v"]:
        done = subprocess.run(
            [sys.executable, "-c", _VANISHING, *options],
            check=False,
            cwd=Path(__file__).parents[2],
            env={**os.environ, "OIDO_LOCALE": "es"},
            capture_output=True,
            text=True,
            timeout=120,
        )
        assert done.returncode == 1
        lines = done.stderr.splitlines()
        ours = "oido: mic:USB microphone: ya no llega sonido de él; ¿sigue conectado?"
        assert [line for line in lines if line.startswith("oido: ")] == [ours]
        foreign = [line for line in lines if line.startswith(("ALSA lib", "Expression '"))]
        if options:
            assert any("snd_pcm_hw_readi" in line for line in foreign)
        else:
            assert lines == [ours]
