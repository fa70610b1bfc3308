# SPDX-License-Identifier: Apache-2.0
"""A recording in the place of a live source: short blocks, its own clock, actions that wait."""

from __future__ import annotations

import signal
import threading
import time
from datetime import datetime, timezone

import numpy as np
import pytest

from oido.live.actions import Action, Message
from oido.live.replay import DryRunner, RecordingClock, ReplayReader, WaitingRunner
from oido.live.triggers import TriggerState
from oido.signal.decode import open_audio

ON = TriggerState(0, "dog", "Dog", "on", "Dog", 0.9, None, 1.0, 2.0, "2026Z", "2026Z", "x")


@pytest.mark.parametrize("rate", [8_000, 44_100])
def test_its_blocks_are_short_and_all_of_it(rate: int) -> None:
    samples = np.random.default_rng(0).uniform(-0.5, 0.5, (3 * rate + 17, 2)).astype(np.float32)
    with ReplayReader(open_audio(samples, rate)) as reader:
        blocks = list(reader.blocks())
    assert max(map(len, blocks)) <= rate // 20
    assert np.array_equal(np.concatenate(blocks), samples)
    assert reader.info.sample_rate_hz == rate
    assert reader.fullness == 0.0, "no window of a recording is left out"


def test_its_time_of_day_is_its_own() -> None:
    clock = RecordingClock(datetime(2026, 5, 1, 12, 0, tzinfo=timezone.utc))
    clock.update(3.0)
    assert clock.at(90.5).isoformat() == "2026-05-01T12:01:30.500000+00:00"


class Slow(Action):
    """Does nothing before it may."""

    name, wants_off = "slow", True

    def __init__(self) -> None:
        self.may, self.done = threading.Event(), 0

    def do(self, message: Message) -> None:
        self.may.wait(60)
        self.done += 1


def test_no_message_is_lost_where_an_action_is_slower() -> None:
    action, notes = Slow(), []
    runner = WaitingRunner(action, notes.append)
    runner.start([])
    offering = threading.Thread(target=lambda: [runner.offer(Message(ON)) for _ in range(200)])
    offering.start()
    offering.join(0.2)
    assert offering.is_alive(), "the recording waits"
    action.may.set()
    offering.join(60)
    runner.close(1e9)
    assert (action.done, runner.dropped, notes) == (200, 0, [])


@pytest.mark.skipif(not hasattr(signal, "pthread_kill"), reason="needs signals of a thread")
def test_an_interrupt_ends_the_waiting_for_good() -> None:
    action, notes = Slow(), []
    runner = WaitingRunner(action, notes.append)
    runner.start([])
    main = threading.main_thread().ident
    assert main is not None

    def interrupt() -> None:
        while not runner._waiting.full():
            time.sleep(0.01)
        time.sleep(0.2)
        signal.pthread_kill(main, signal.SIGINT)

    def offer_many() -> None:
        for _ in range(200):
            runner.offer(Message(ON))

    thread = threading.Thread(target=interrupt)
    thread.start()
    with pytest.raises(KeyboardInterrupt):
        offer_many()
    thread.join()
    runner.offer(Message(ON))  # returns
    assert runner.dropped == 1
    action.may.set()
    runner.close(1e9)
    assert action.done < 100


def test_a_dry_run_names_what_the_action_would_get_and_nothing_else() -> None:
    action, notes = Slow(), []
    action.wants_off = False
    runner = DryRunner(action, notes.append)
    runner.start([])
    runner.offer(Message(ON))
    runner.offer(Message(ON.__class__(**{**vars(ON), "state": "off"})))
    runner.close(0.0)
    assert notes == ["slow: would get on for 'Dog' at 1.00 s"]
    assert action.done == 0
