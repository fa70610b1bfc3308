# SPDX-License-Identifier: Apache-2.0
"""Webhooks, programs and files: what each gets, and what is told before anything is heard."""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import soundfile

from oido.errors import OptionError
from oido.live import actions
from oido.live.actions import Message
from oido.live.rule_engine import parse_action
from tests.live.acting import CLIP, OFF, ON, Running
from tests.live.servers import Receiver, free_port, running


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    with running(Receiver()) as it:
        yield it


@pytest.fixture(autouse=True)
def _short_pauses(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(actions, "_RETRY_SECONDS", (0.02, 0.02, 0.02))


def test_a_webhook_gets_the_record(receiver: Receiver) -> None:
    url = receiver.url.replace("http://", "http://me:s%40crét@")
    with running(Running(parse_action(f"webhook:{url}"))) as it:
        it.runner.offer(Message(ON))
        ((headers, body),) = receiver.wait_for(1)
    assert json.loads(body) == ON.record()
    assert headers["Content-Type"] == "application/json"
    assert headers["Authorization"].startswith("Basic ")
    assert it.said == []


def test_off_is_told_on_request(receiver: Receiver) -> None:
    for wanted in (False, True):
        with running(Running(parse_action(f"webhook:{receiver.url}", off_events=wanted))) as it:
            it.runner.offer(Message(OFF))
            it.runner.offer(Message(ON))
    states = [json.loads(body)["state"] for _, body in receiver.posts]
    assert states == ["on", "off", "on"]


def test_nobody_there() -> None:
    with running(Running(parse_action(f"webhook:http://127.0.0.1:{free_port()}/"))) as it:
        it.runner.offer(Message(ON))
    assert "cannot be reached" in it.said[0]


def test_an_upload_is_the_clip(receiver: Receiver, tmp_path: Path) -> None:
    with running(Running(parse_action(f"upload:{receiver.url}"))) as it:
        it.runner.offer(Message(ON))  # not for this action
        it.runner.offer(Message(ON, CLIP))
        ((headers, body),) = receiver.wait_for(1)
    assert headers["Content-Type"] == "audio/wav"
    record = json.loads(headers["Oido-Trigger"])
    assert record["source"] == "mic:küche"
    assert record["clip_start_time"] == 0.5
    (tmp_path / "clip.wav").write_bytes(body)
    samples, rate = soundfile.read(tmp_path / "clip.wav", dtype="int16")
    assert (rate, samples.tolist()) == (8_000, CLIP.samples.tolist())


def script(tmp_path: Path, code: str) -> str:
    path = tmp_path / "act.py"
    path.write_text(code)
    return f"exec:'{sys.executable}' '{path}' 'two words'"


def test_a_program_gets_words_environment_and_input_and_no_shell(tmp_path: Path) -> None:
    code = (
        "import json, os, sys\n"
        f"json.dump([sys.argv[1:], {{k: v for k, v in os.environ.items() if k[:5] == 'OIDO_'}},"
        f" json.load(sys.stdin)], open({str(tmp_path / 'out.json')!r}, 'w'))\n"
    )
    with running(Running(parse_action(script(tmp_path, code)))) as it:
        it.runner.offer(Message(ON))
    words, environment, record = json.loads((tmp_path / "out.json").read_text())
    assert words == ["two words"]
    assert environment["OIDO_LABEL"] == "Dog; rm -rf $HOME"
    assert environment["OIDO_TRIGGER"] == "Dog>0.5"
    assert environment["OIDO_STATE"] == "on"
    assert environment["OIDO_SOURCE"] == "mic:küche"
    assert record == ON.record()
    assert it.said == []


def test_a_program_that_fails_is_told_with_its_last_words_and_not_run_again(
    tmp_path: Path,
) -> None:
    runs = str(tmp_path / "runs")
    code = f"import sys; open({runs!r}, 'a').write('x'); sys.exit('no \\x1b[31mway')"
    with running(Running(parse_action(script(tmp_path, code)))) as it:
        it.runner.offer(Message(ON))
    assert "ended with code 1 (no [31mway)" in it.said[0]
    assert (tmp_path / "runs").read_text() == "x"


def test_a_program_that_hangs_is_ended_with_its_children(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from oido.live import builtin_actions

    monkeypatch.setattr(builtin_actions, "_COMMAND_SECONDS", 0.5)
    with running(Running(parse_action("exec:sh -c 'sleep 60 & wait'"))) as it:
        began = time.monotonic()
        it.runner.offer(Message(ON))
        while not it.said:
            assert time.monotonic() - began < 20
            time.sleep(0.02)
    assert "was ended" in it.said[0]


def test_a_clip_is_a_file_with_its_record_beside_it(tmp_path: Path) -> None:
    folder = tmp_path / "new" / "clips"
    with running(Running(parse_action(f"save:{folder}"))) as it:
        it.runner.offer(Message(ON, CLIP))
    assert sorted(p.name for p in folder.iterdir()) == [
        "20260501T120305.120Z_dog.json",
        "20260501T120305.120Z_dog.wav",
    ]
    samples, rate = soundfile.read(folder / "20260501T120305.120Z_dog.wav", dtype="int16")
    assert (rate, samples.tolist()) == (8_000, CLIP.samples.tolist())
    record = json.loads((folder / "20260501T120305.120Z_dog.json").read_text())
    assert (record["label"], record["clip_seconds"]) == (ON.label, 0.5)


def test_a_clip_never_takes_the_name_of_another(tmp_path: Path) -> None:
    with running(Running(parse_action(f"save:{tmp_path}"))) as it:
        for number in (1, 2):
            it.runner.offer(Message(ON, CLIP))
            while len(list(tmp_path.glob("*.json"))) < number:
                time.sleep(0.01)
    names = sorted(path.name for path in tmp_path.iterdir())
    stem = names[0].removesuffix("-2.json")
    assert names == [f"{stem}{end}" for end in ("-2.json", "-2.wav", ".json", ".wav")]
    assert json.loads((tmp_path / names[0]).read_text())["clip"] == names[1]


def test_what_cannot_work_is_told_before_anything_is_heard(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    for text in ("exec:no-such-program-at-all", f"save:{tmp_path}/file/clips"):
        action: Any = parse_action(text)
        with pytest.raises(OptionError):
            action.open([], print)
