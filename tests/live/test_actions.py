# SPDX-License-Identifier: Apache-2.0
"""Actions off the thread that hears: tried again, told of once, and never in the way."""

from __future__ import annotations

import errno
import os
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from oido.live import actions
from oido.live.actions import Action, ActionError, Message
from oido.live.rule_engine import parse_action
from tests.live.acting import CLIP, ON, Running
from tests.live.servers import Receiver, running


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
