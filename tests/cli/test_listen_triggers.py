# SPDX-License-Identifier: Apache-2.0
"""Triggers of `oido listen` from end to end: what is posted, run and kept, and what never is."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import soundfile

from tests.cli.listening import RAW, STREET, listen, records
from tests.live.certificates import Authority
from tests.live.servers import Receiver, running


@pytest.fixture(scope="module")
def pcm() -> bytes:
    """The street, 30 s of it, as raw 16-bit samples at 16 kHz."""
    samples, rate = soundfile.read(STREET, dtype="int16")
    assert rate == 16_000
    return samples.astype("<i2").tobytes()


@pytest.fixture(scope="module")
def authority(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    return Authority(tmp_path_factory.mktemp("authority"))


def test_webhook_clip_and_program(pcm: bytes, tmp_path: Path) -> None:
    with running(Receiver()) as receiver:
        done = listen(
            *RAW,
            "--jsonl",
            *("--on", "Siren>0.6 for 1s", "--do", f"webhook:{receiver.url}"),
            *("--do", f"save:{tmp_path / 'clips'}", "--pre-roll", 0.5, "--post-roll", 0.5),
            *("--on", "Beep, bleep>0.5", "--do", f"exec:sh -c 'cat > {tmp_path}/beep.json'"),
            sound=pcm,
        )
        posts = [json.loads(body) for _, body in receiver.posts]
    assert done.returncode == 0, done.stderr
    assert done.stderr == ""
    told = [r for r in records(done.stdout) if r["type"] == "trigger"]
    siren = [r for r in told if r["id"] == "siren"]
    assert [r["state"] for r in siren] == ["on", "off"]
    assert siren[0]["start_time"] == pytest.approx(0.73, abs=0.01)
    assert siren[0]["end_time"] - siren[0]["start_time"] >= 1.0
    assert posts == [siren[0]]
    assert json.loads((tmp_path / "beep.json").read_text())["label"] == "Beep, bleep"

    (clip,) = (tmp_path / "clips").glob("*.wav")
    samples, rate = soundfile.read(clip, dtype="int16")
    start = round((siren[1]["start_time"] - 0.5) * rate)
    end = round((siren[1]["end_time"] + 0.5) * rate)
    street = np.frombuffer(pcm, "<i2")
    assert rate == 16_000
    assert np.array_equal(samples, street[start:end])
    record = json.loads(clip.with_suffix(".json").read_text())
    assert record["clip_start_time"] == pytest.approx(start / rate, abs=0.001)


def test_clips_with_speech_are_forgotten(pcm: bytes, tmp_path: Path) -> None:
    rules = ("--on", "Siren>0.6", "--on", "Speech>0.5")
    kept: dict[str, list[str]] = {}
    for name, more in (("all", ()), ("quiet", ("--forget-speech",))):
        folder = tmp_path / name
        args = [
            word for rule in (rules[:2], rules[2:]) for word in (*rule, "--do", f"save:{folder}")
        ]
        done = listen(*RAW, "--jsonl", *args, *more, sound=pcm)
        assert done.returncode == 0, done.stderr
        kept[name] = sorted(p.stem.split("_")[1] for p in folder.glob("*.wav"))
        states = [r["id"] for r in records(done.stdout) if r.get("state") == "on"]
        assert states == ["siren", "speech"], "a trigger goes on whether its clip is kept or not"
        assert ("speech was heard" in done.stderr) == bool(more)
    assert kept == {"all": ["siren", "speech"], "quiet": ["siren"]}


@pytest.mark.slow
def test_speech_in_the_pre_roll_forgets_a_clip_too(pcm: bytes, tmp_path: Path) -> None:
    speech, siren = pcm[25 * 32_000 : 29 * 32_000], pcm[: 7 * 32_000]
    sound = speech + siren
    args = ("--on", "Siren>0.6", "--do", f"save:{tmp_path}", "--forget-speech")
    listen(*RAW, *args, "--pre-roll", 4, sound=sound)
    assert list(tmp_path.glob("*")) == []
    listen(*RAW, *args, "--pre-roll", 0, sound=sound)
    assert len(list(tmp_path.glob("*.wav"))) == 1


def test_an_action_that_fails_does_not_stop_hearing(pcm: bytes) -> None:
    args = (
        "--jsonl",
        "--on",
        "Siren>0.6",
        "--do",
        "exec:false",
        "--do",
        "webhook:http://127.0.0.1:9/",
    )
    done = listen(*RAW, *args, sound=pcm)
    assert done.returncode == 0
    assert "exec:false: ended with code 1" in done.stderr
    assert "webhook:http://127.0.0.1:9: cannot be reached" in done.stderr
    events = {r["label"] for r in records(done.stdout) if r["type"] == "event"}
    assert {"Police car (siren)", "Speech"} <= events


def test_certificates_hold_for_actions_too(pcm: bytes, authority: Authority) -> None:
    def told(*options: str) -> tuple[int, str]:
        rule = ("--on", "Siren>0.6", "--do", f"webhook:{receiver.url}")
        done = listen(*RAW, "--jsonl", *rule, *options, sound=pcm)
        return done.returncode, done.stderr

    with running(Receiver(authority.context())) as receiver:
        code, text = told()
        assert (code, len(receiver.posts)) == (0, 0)
        assert "its certificate is refused" in text
        assert told("--tls-ca", authority.path("ca.pem")) == (0, "")
        posts = len(receiver.posts)
        assert posts > 0
        for _ in range(2):  # it is told each time
            code, text = told("--tls-insecure")
            assert code == 0
            assert text.startswith("oido: --tls-insecure: no certificate is checked")
        assert len(receiver.posts) == 3 * posts
    code, text = told("--tls-ca", authority.path("missing.pem"))
    assert code == 2
    assert "missing.pem: cannot be read" in text
    code, text = told("--tls-ca", authority.path("ca.pem"), "--tls-insecure")
    assert code == 2
    assert "give one" in text
