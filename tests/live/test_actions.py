# SPDX-License-Identifier: Apache-2.0
"""Actions off the thread that hears: tried again, told of once, and never in the way."""

from __future__ import annotations

import errno
import json
import os
import select
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import soundfile

from oido.errors import OptionError
from oido.live import actions
from oido.live.actions import Action, ActionError, Message
from oido.live.rule_engine import parse_action
from oido.live.tls import Tls
from tests.live.acting import CLIP, OFF, ON, Running
from tests.live.certificates import Authority
from tests.live.servers import Receiver, free_port, running


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    with running(Receiver()) as it:
        yield it


@pytest.fixture(autouse=True)
def _short_pauses(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(actions, "_RETRY_SECONDS", (0.02, 0.02, 0.02))


@pytest.mark.parametrize(("answers", "posts"), [([503], 2), ([429, 500, 502], 4), ([404], 1)])
def test_what_may_pass_is_tried_again(receiver: Receiver, answers: list[int], posts: int) -> None:
    receiver.answers = list(answers)
    with running(Running(parse_action(f"webhook:{receiver.url}"))) as it:
        it.runner.offer(Message(ON))
        receiver.wait_for(posts)
    assert len(receiver.posts) == posts
    assert bool(it.said) == (answers == [404])


def test_a_failure_is_told_once_and_its_end_too(receiver: Receiver) -> None:
    receiver.answers = [404, 301, 403]
    with running(Running(parse_action(f"webhook:{receiver.url}"))) as it:
        for _ in range(5):
            it.runner.offer(Message(ON))
        receiver.wait_for(5)
    assert len(it.said) == 2
    assert "answered 404" in it.said[0]
    assert "works again; 3 message(s) were lost" in it.said[1]
    assert "/hook" not in "".join(it.said)  # a path may be a key


def test_a_full_disk_is_told_once_and_leaves_nothing_half_written(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    sync = os.fsync
    full = True

    def fsync(descriptor: int) -> None:
        if full:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        sync(descriptor)

    monkeypatch.setattr(os, "fsync", fsync)
    with running(Running(parse_action(f"save:{tmp_path}"))) as it:
        for _ in range(3):
            it.runner.offer(Message(ON, CLIP))
        began = time.monotonic()
        while it.runner.failed < 3:
            assert time.monotonic() - began < 20
            time.sleep(0.01)
        assert list(tmp_path.iterdir()) == []
        full = False
        it.runner.offer(Message(ON, CLIP))
    assert len(it.said) == 2
    assert "No space left" in it.said[0]
    assert "3 message(s) were lost" in it.said[1]
    assert len(list(tmp_path.iterdir())) == 2


class Stuck(Action):
    name = "stuck"

    def __init__(self, wants_clip: bool = False) -> None:
        self.wants_clip = wants_clip
        self.done, self.release = 0, threading.Event()

    def do(self, message: Message) -> None:
        self.release.wait(20)
        self.done += 1


@pytest.mark.parametrize(("message", "room"), [(Message(ON), 64), (Message(ON, CLIP), 4)])
def test_an_action_that_hangs_holds_nobody_back(message: Message, room: int) -> None:
    action = Stuck(message.clip is not None)
    it = Running(action)
    giver = threading.Thread(target=lambda: [it.runner.offer(message) for _ in range(1000)])
    giver.start()
    giver.join(20)
    assert not giver.is_alive(), "offering a message waited for the action"
    assert 1000 - room - 1 <= it.runner.dropped <= 1000 - room
    assert [s for s in it.said if "too slow" in s] == it.said
    assert len(it.said) == 1
    it.runner.close(time.monotonic() + 0.1)
    assert "did not end in time" in it.said[-1]
    action.release.set()


def test_an_unexpected_error_does_not_end_the_thread() -> None:
    class Odd(Action):
        name, done = "odd", 0

        def do(self, message: Message) -> None:
            self.done += 1
            if self.done == 1:
                raise ZeroDivisionError("strange")

    odd = Odd()
    with running(Running(odd)) as it:
        it.runner.offer(Message(ON))
        it.runner.offer(Message(ON))
    assert odd.done == 2
    assert "ZeroDivisionError: strange" in it.said[0]
    assert "works again" in it.said[1]


def test_closing_does_not_wait_for_pauses(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(actions, "_RETRY_SECONDS", (60.0, 60.0, 60.0))

    class Away(Action):
        name, done = "away", 0

        def do(self, message: Message) -> None:
            self.done += 1
            raise ActionError("is away", retry=True)

    away = Away()
    it = Running(away)
    it.runner.offer(Message(ON))
    while not away.done:
        time.sleep(0.01)
    it.runner.close(time.monotonic() + 30)
    assert not it.runner._thread.is_alive()
    assert "is away" in it.said[0]


def test_a_webhook_gets_the_record(receiver: Receiver) -> None:
    url = receiver.url.replace("http://", "http://me:s%40crét@")
    with running(Running(parse_action(f"webhook:{url}/niño?sala=de estar"))) as it:
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


def test_certificate_password_and_dead_host_are_three_sentences(authority: Authority) -> None:
    def said(url: str, tls: Tls | None, *answers: int) -> list[str]:
        receiver.answers = list(answers)
        with running(Running(parse_action(f"webhook:{url}", tls=tls))) as it:
            it.runner.offer(Message(ON))
        return list(it.said)

    ca, pem, key = (authority.path(n) for n in ("ca.pem", "client.pem", "client.key"))
    with running(Receiver(authority.context())) as receiver:
        (refused,) = said(receiver.url, None)
        assert "its certificate is refused" in refused
        assert "--tls-ca FILE" in refused
        assert receiver.posts == []
        (wrong,) = said(receiver.url, Tls(ca), 401)
        assert "user or password is refused (401 Unauthorized)" in wrong
        (dead,) = said(f"https://127.0.0.1:{free_port()}/", Tls(ca))
        assert "cannot be reached (Connection refused)" in dead
        (nowhere,) = said("https://nowhere.invalid/", Tls(ca))
        assert "cannot be reached (no host of this name is known)" in nowhere
        assert said(receiver.url, Tls(ca)) == said(receiver.url, Tls(is_insecure=True)) == []
    with running(Receiver(authority.context("plain"))) as receiver:
        (other,) = said(receiver.url, Tls(authority.path("plain.pem")))
        assert "use the name that it was made for" in other
        named = receiver.url.replace("127.0.0.1", "localhost")
        assert said(named, Tls(authority.path("plain.pem"))) == []
    with running(Receiver(authority.context(wants_client=True))) as receiver:
        (wanted,) = said(receiver.url, Tls(ca))
        assert "wants one; --tls-cert FILE" in wanted
        assert said(receiver.url, Tls(ca, pem, key)) == []
        assert len(receiver.posts) == 1


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


def test_a_program_that_fails_is_told_with_its_last_words_and_not_run_again(tmp_path: Path) -> None:
    runs = str(tmp_path / "runs")
    code = f"import sys; open({runs!r}, 'a').write('x'); sys.exit('no \\x1b[31mway')"
    with running(Running(parse_action(script(tmp_path, code)))) as it:
        it.runner.offer(Message(ON))
    assert "ended with code 1 (no [31mway)" in it.said[0]
    assert (tmp_path / "runs").read_text() == "x"


def test_a_program_that_hangs_is_ended_with_its_children(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(actions, "_COMMAND_SECONDS", 0.5)
    with running(Running(parse_action("exec:sh -c 'sleep 60 & wait'"))) as it:
        began = time.monotonic()
        it.runner.offer(Message(ON))
        while not it.said:
            assert time.monotonic() - began < 20
            time.sleep(0.02)
    assert "was ended" in it.said[0]


def test_a_program_does_not_outlive_oido(tmp_path: Path) -> None:
    alive = tmp_path / "alive"  # at its end when none of the programs has it open
    os.mkfifo(alive)
    it = Running(parse_action(f"exec:sh -c 'exec 3>{alive}; sleep 60 & wait'"))
    it.runner.offer(Message(ON))
    it.runner.offer(Message(ON))
    with open(alive, "rb", buffering=0) as pipe:
        it.runner.close(time.monotonic() + 0.1)
        assert select.select([pipe], [], [], 20)[0], "a program still runs"
        assert pipe.read() == b""
    it.runner._thread.join(20)
    assert it.said == ["exec:sh: did not end in time; 2 message(s) may be lost"]


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
