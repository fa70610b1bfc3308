# SPDX-License-Identifier: Apache-2.0
"""`oido listen FILE --replay`: the triggers of a live source, rehearsed on a recording."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile

from oido.cli.main import run
from oido.signal.resample import resample
from tests.cli.listening import RAW, STREET, listen, records
from tests.live.servers import Receiver, running

RULES = ("--on", "Siren>0.6 for 1s", "--on", "Beep, bleep>0.5", "--cool-down", 5)


def in_stream_time(text: str) -> list[dict[str, Any]]:
    """What was written, without the source and the time of day.

    What `began` is told as it looks with the sound that was there, and a pipe brings more at once.
    """
    lines = [r for r in records(text) if r["type"] != "began"]
    lines = [{k: v for k, v in r.items() if k != "source"} for r in lines]
    return [{k: v for k, v in r.items() if not k.endswith("_utc")} for r in lines]


def test_the_same_lines_as_live() -> None:
    samples, _ = soundfile.read(STREET, dtype="int16")
    live = listen(*RAW, "--jsonl", *RULES, sound=samples.astype("<i2").tobytes())
    replayed = listen(STREET, "--replay", "--jsonl", *RULES)
    assert (live.returncode, replayed.returncode) == (0, 0)
    assert in_stream_time(replayed.stdout) == in_stream_time(live.stdout)
    assert [r["state"] for r in records(replayed.stdout) if r["type"] == "trigger"].count("on") == 2


def test_actions_are_named_and_not_done(tmp_path: Path) -> None:
    with running(Receiver()) as receiver:
        done = listen(
            *(STREET, "--replay", "--on", "Siren>0.6 for 1s", "--do", f"webhook:{receiver.url}"),
            *("--do", f"save:{tmp_path / 'clips'}", "--do", f"exec:touch {tmp_path / 'done'}"),
            *("--do", "mqtt://homeassistant.invalid/oido"),
        )
        assert receiver.posts == []
    assert done.returncode == 0
    assert list(tmp_path.iterdir()) == []
    named = [line for line in done.stderr.splitlines() if "would get" in line]
    assert [line.split(": would get ")[0] for line in named if " on for " in line] == [
        f"oido: webhook:{receiver.url.removesuffix('/hook')}",
        "oido: exec:touch",
        "oido: mqtt://homeassistant.invalid:1883/oido",
    ]
    assert sum("s of sound from" in line for line in named) == 1
    assert sum(" off for " in line for line in named) == 1, "only a broker is told of the end"
    # Nobody said when it was: lines show where in the recording.
    assert "its times count from midnight" in done.stderr
    assert done.stdout.startswith("00:00:00  ON   Siren>0.6")


def test_with_act_they_are_done(tmp_path: Path) -> None:
    """Also of a recording whose decoder gives blocks that are longer than what clips remember."""
    samples, rate = soundfile.read(STREET, dtype="float32")
    slow = resample(samples, rate, 8_000)
    recording = tmp_path / "20260501_120305.wav"
    soundfile.write(recording, np.concatenate([np.zeros(8_000 * 60, np.float32), slow]), 8_000)
    with running(Receiver()) as receiver:
        done = listen(
            *(recording, "--replay", "--act", "--jsonl", "--on", "Siren>0.6"),
            *("--do", f"webhook:{receiver.url}", "--do", f"save:{tmp_path / 'clips'}"),
        )
        (post,) = [json.loads(body) for _, body in receiver.posts]
    assert done.returncode == 0
    assert done.stderr == ""
    assert post["start_time"] == pytest.approx(60.73, abs=0.3)
    assert post["start_utc"].startswith("2026-05-01T12:04:0"), "the time in the recording's name"
    (clip,) = (tmp_path / "clips").glob("20260501T12040*_siren.wav")
    kept, rate = soundfile.read(clip, dtype="float32")
    start = round(json.loads(clip.with_suffix(".json").read_text())["clip_start_time"] * 8_000)
    whole, _ = soundfile.read(recording, dtype="float32")
    assert rate == 8_000
    np.testing.assert_allclose(kept, whole[start : start + len(kept)], atol=1 / 32_000)


def test_what_cannot_be_rehearsed(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    def refused(*words: object) -> str:
        assert run(["listen", *map(str, words)]) in (1, 2)
        return capsys.readouterr().err

    assert "oido listen FILE --replay" in refused("--replay")
    assert "oido listen FILE --replay" in refused("-", "--replay")
    assert "--act is for --replay" in refused("mic", "--act")
    assert "--replay" in refused(STREET)
    assert "missing.wav" in refused(tmp_path / "missing.wav", "--replay")


def test_damage_is_an_error_after_what_was_before_it(tmp_path: Path) -> None:
    path = tmp_path / "nan.wav"
    samples, rate = soundfile.read(STREET, dtype="float32")
    samples[12 * rate :] = np.nan
    soundfile.write(path, samples, rate, subtype="FLOAT")
    done = listen(path, "--replay", "--jsonl", "--on", "Siren>0.6")
    assert done.returncode == 1
    assert "NaN" in done.stderr or "nan" in done.stderr
    assert [r["state"] for r in records(done.stdout) if r["type"] == "trigger"] == ["on", "off"]
    shutil.rmtree(tmp_path)
