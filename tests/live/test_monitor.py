# SPDX-License-Identifier: Apache-2.0
"""The whole live path in Python: events, triggers and clips, with an action that hangs."""

from __future__ import annotations

import io
import threading
import time
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

import pytest
import soundfile

from oido.errors import UnknownLabelError
from oido.live.actions import Action, Message
from oido.live.monitor import LiveMonitor, UtcClock
from oido.live.pipe import PcmReader
from oido.live.rule_engine import Rule, RuleEngine
from oido.live.source import utc_text
from oido.live.triggers import parse_condition
from oido.params import Detection

STREET = Path(__file__).parents[2] / "examples" / "street.flac"


class Keeps(Action):
    """Keeps its messages; hangs until it is released."""

    name, wants_off = "keeps", True

    def __init__(self, wants_clip: bool = False, hangs: bool = False) -> None:
        self.wants_clip = wants_clip
        self.messages: list[Message] = []
        self.release = threading.Event()
        if not hangs:
            self.release.set()

    def do(self, message: Message) -> None:
        self.release.wait(30)
        self.messages.append(message)


def hearing(classifier: Any, *rules: Rule, seconds: int = 30, **options: Any) -> LiveMonitor:
    samples, rate = soundfile.read(STREET, frames=seconds * 16_000, dtype="int16")
    reader = PcmReader(io.BytesIO(samples.tobytes()), rate)
    heard = LiveMonitor(classifier, reader, Detection())
    heard.rule_engine = RuleEngine(
        rules,
        classifier.postprocessor,
        classifier.windowing,
        reader.info,
        heard.clock.at,
        **options,
    )
    return heard


def test_an_action_that_hangs_never_holds_hearing_back(classifier: Any) -> None:
    stuck, keen = Keeps(hangs=True), Keeps()
    condition = parse_condition("Siren>0.6 cool-down 0s")
    live = hearing(classifier, Rule(condition, [stuck, keen]))
    assert live.rule_engine is not None
    live.rule_engine.start()
    states = [s.state for heard in live for s in heard.triggers]
    states += [s.state for s in live.finish().triggers]
    assert states == ["on", "off"]  # all was heard while the action hung
    assert stuck.messages == []
    live.rule_engine.close(0.2)
    assert [m.state.state for m in keen.messages] == ["on", "off"]
    stuck.release.set()


def test_leaving_in_the_middle_finishes_what_is_under_way(classifier: Any) -> None:
    clips = Keeps(wants_clip=True)
    live = hearing(classifier, Rule(parse_condition("Siren>0.6"), [clips]))
    assert live.rule_engine is not None
    live.rule_engine.start()
    for heard in live:
        if heard.end_time > 3.0:
            break
    last = live.finish()
    live.rule_engine.close(10)
    assert [s.state for s in last.triggers] == ["off"]
    (siren,) = last.events
    assert siren.label == "Police car (siren)"
    assert "Siren" in siren.also
    assert siren.end_time <= heard.end_time
    ((state, clip),) = clips.messages
    assert (state.state, state.label) == ("off", "Siren")
    assert clip is not None
    assert clip.start_time == 0.0
    assert clip.seconds == pytest.approx(last.end_time, abs=0.01)


def test_a_rule_for_a_general_label_holds_though_its_event_has_a_specific_one(
    classifier: Any,
) -> None:
    """Rules go by the scores of windows, and not by what is told of a sound."""
    labels = ("Alarm", "Siren", "Water", "Engine")
    rules = [Rule(parse_condition(f"{label}>0.5"), [Keeps()]) for label in labels]
    live = hearing(classifier, *rules)
    events, states = [], []
    for heard in (*live, live.finish()):
        events += heard.events
        states += [(s.label, s.state) for s in heard.triggers]
    assert {label for label, state in states if state == "on"} == set(labels)
    assert not {event.label for event in events} & set(labels)
    stand_for = {name: event.label for event in events for name in event.also}
    assert {name: stand_for[name] for name in ("Siren", "Engine")} == {
        "Siren": "Police car (siren)",
        "Engine": "Idling",
    }


def test_a_sound_that_others_follow_closely_is_over_all_the_same(classifier: Any) -> None:
    """Twice the same half minute: two sirens, the first of which is told long before the second."""
    samples, rate = soundfile.read(STREET, dtype="int16")
    reader = PcmReader(io.BytesIO(2 * samples.tobytes()), rate)
    live = LiveMonitor(classifier, reader, Detection())
    found = [
        (event.start_time, event.end_time, heard.end_time)
        for heard in live
        for event in heard.events
        if event.label == "Police car (siren)"
    ]
    assert found[0][:2] == (0.8, 5.76)
    assert found[0][2] < 20
    assert len(found) == 2
    assert found[1][0] == pytest.approx(30.8, abs=0.05)
    assert found[1][1] == pytest.approx(35.8, abs=0.05)


def test_one_action_may_serve_two_rules(classifier: Any) -> None:
    shared = Keeps()
    rules = [Rule(parse_condition(f"{label}>0.6"), [shared]) for label in ("Siren", "Speech")]
    live = hearing(classifier, *rules)
    assert live.rule_engine is not None
    live.rule_engine.start()
    for _ in live:
        pass
    live.finish()
    live.rule_engine.close(10)
    assert [m.state.slug for m in shared.messages] == ["siren", "siren", "speech", "speech"]
    began = time.monotonic()
    live.rule_engine.close(10)  # a second time does nothing
    assert time.monotonic() - began < 10


def test_a_wrong_label_is_told_before_anything_is_heard(classifier: Any) -> None:
    with pytest.raises(UnknownLabelError, match="'Siren'"):
        hearing(classifier, Rule(parse_condition("Sirene>0.6")))


NOON = datetime(2026, 5, 1, 12, tzinfo=timezone.utc).timestamp()


def test_the_samples_that_came_soonest_tell() -> None:
    clock = UtcClock()
    for stream, late in ((0.05, 0.3), (0.10, 0.02), (0.15, 1.5)):
        clock.update(stream, NOON + stream + late)
    assert utc_text(clock.at(0.0)) == "2026-05-01T12:00:00.020Z"
    assert utc_text(clock.at(61.5)) == "2026-05-01T12:01:01.520Z"


def test_a_sound_card_that_is_slow_is_followed() -> None:
    clock = UtcClock()
    for second in range(36_000):  # it counts 100 ppm too few
        clock.update(second * 0.9999, NOON + second)
    assert abs(clock.at(36_000 * 0.9999).timestamp() - NOON - 36_000) < 0.01


def test_a_clock_that_is_set_is_followed_within_a_minute() -> None:
    for step in (3_600.0, -3_600.0):
        clock = UtcClock()
        for second in range(200):
            clock.update(second, NOON + second + (step if second >= 100 else 0.0))
        assert clock.at(200).timestamp() == NOON + 200 + step
