# SPDX-License-Identifier: Apache-2.0
"""Rules: texts to actions, windows to changes, and clips to those that want them."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import datetime, timedelta, timezone
from typing import Any

import numpy as np
import pytest

from oido.errors import OidoError, OptionError, UnknownLabelError
from oido.heads import Head, ScoreCalibration, Sigmoid
from oido.inference.postprocess import make_postprocessors
from oido.live.actions import Action, Message, TriggerName
from oido.live.clips import ClipLimits
from oido.live.rule_engine import Rule, RuleEngine, parse_action
from oido.live.triggers import TriggerState, parse_condition
from oido.params import Selection, Windowing
from oido.signal.decode import AudioInfo


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("", "is no action"),
        ("mail:me", "there are webhook:URL"),
        ("webhook:", "must be an address"),
        ("webhook:ftp://x/", "http://"),
        ("webhook:http://x:99999/", "no address"),
        ("exec:", "needs a command"),
        ("exec:'unclosed", "quote"),
        ("save:", "needs a folder"),
        ("mqtt:", "is no action"),
    ],
)
def test_what_is_no_action(text: str, told: str) -> None:
    with pytest.raises(OptionError, match=told):
        parse_action(text)


@pytest.mark.parametrize(
    ("text", "kind"),
    [
        ("webhook:http://x/y", "Webhook"),
        (" exec:true ", "Command"),
        ("save:clips", "SaveClip"),
        ("upload:https://x/y", "ClipUpload"),
    ],
)
def test_a_text_names_its_action(text: str, kind: str) -> None:
    action = parse_action(text)
    assert type(action).__name__ == kind
    assert action.wants_clip == (kind in ("SaveClip", "ClipUpload"))


@pytest.mark.parametrize(
    ("url", "name"),
    [
        ("https://me:secret@x/key", "webhook:https://x"),
        ("http://me:secret@x:8123/key?k=v", "webhook:http://x:8123"),
        ("http://[::1]:8123/", "webhook:http://[::1]:8123"),
    ],
)
def test_a_webhook_is_called_by_its_host_and_port_without_secrets(url: str, name: str) -> None:
    assert parse_action(f"webhook:{url}").name == name


SECOND = Windowing(16_000, 16_000, 16_000)
"""Windows of one second, side by side: window k is the second k."""


class Keeps(Action):
    """Keeps its messages, and the triggers that it serves."""

    name, wants_off = "keeps", True

    def __init__(self, wants_clip: bool = False) -> None:
        self.wants_clip = wants_clip
        self.messages: list[Message] = []
        self.served: list[str] = []

    def open(self, triggers: Sequence[TriggerName], on_message: Callable[[str], None]) -> None:
        self.served = [trigger.slug for trigger in triggers]

    def do(self, message: Message) -> None:
        self.messages.append(message)


def engine_of(
    *rules: tuple[str, list[Action]],
    calibration: ScoreCalibration | None = None,
    labels: tuple[str, ...] = ("Dog", "Speech"),
    **options: Any,
) -> RuleEngine:
    """Of two labels, on a source of 16 kHz that began on the first of May."""
    head = Head("sounds", labels, calibration)
    reader = make_postprocessors((head,), head, Selection(), locale="en", rolls_up=False)["sounds"]
    began = datetime(2026, 5, 1, 12, 0, tzinfo=timezone.utc)
    engine = RuleEngine(
        [Rule(parse_condition(condition), actions) for condition, actions in rules],
        reader,
        SECOND,
        AudioInfo("mic", 16_000, 1, None, "pcm", "stream"),
        lambda seconds: began + timedelta(seconds=seconds),
        **options,
    )
    engine.start()
    return engine


def heard(engine: RuleEngine, rows: list[tuple[float, float]]) -> list[TriggerState]:
    """What changes while these seconds are heard, to the end."""
    states = []
    for window, row in enumerate(rows):
        scores = np.array(row, np.float32)
        engine.push_audio(np.full((16_000, 1), window / 100, np.float32))
        states += engine.push(window, scores, scores)
    states += engine.flush(float(len(rows)))
    engine.close(20)
    return states


def test_changes_have_the_rule_the_label_and_the_time_of_day() -> None:
    keeps = Keeps()
    engine = engine_of(("Dog>0.5", [keeps]), ("Dog|Speech>0.8", []))
    rows = [(0.1, 0.0), (0.9, 0.0), (0.1, 0.0), (0.1, 0.0), (0.0, 0.0)]
    states = heard(engine, rows)
    assert [(s.number, s.state, s.label) for s in states] == [
        (0, "on", "Dog"),
        (1, "on", "Dog"),
        (0, "off", "Dog"),
        (1, "off", "Dog"),
    ]
    first = states[0]
    assert (first.condition, first.source, first.probability) == ("Dog>0.5", "mic", None)
    assert first.score == np.float32(0.9)
    assert (first.start_time, first.start_utc) == (1.0, "2026-05-01T12:00:01.000Z")
    assert [message.state for message in keeps.messages] == [states[0], states[2]]


def test_a_trigger_has_one_beginning_though_the_clock_learns() -> None:
    """The moment of a live sample is known better later on; what was sent stays as it was."""
    engine = engine_of(("Dog>0.5", []))
    late = [0.5]
    before = engine._utc
    engine._utc = lambda seconds: before(seconds + late[0])
    levels = [0.9, 0.0, 0.0, 0.0, 0.0]
    rows = [np.array((level, 0.0), np.float32) for level in levels]
    states = engine.push(0, rows[0], rows[0])
    late[0] = 0.2
    for window, row in enumerate(rows[1:], 1):
        states += engine.push(window, row, row)
    states += engine.flush(5.0)
    on, off = states
    assert (on.state, off.state) == ("on", "off")
    assert on.start_time == off.start_time == 0.0
    assert on.start_utc == off.start_utc == "2026-05-01T12:00:00.500Z"
    engine.close(20)


def test_a_calibrated_model_has_its_probability_beside_the_score() -> None:
    calibration = ScoreCalibration((Sigmoid(1.0, 4.0, -1.0), None))
    engine = engine_of(("Dog>0.5", []), calibration=calibration)
    scores, values = (np.array(row, np.float32) for row in ((0.4, 0.0), (0.75, 0.0)))
    (state,) = engine.push(0, scores, values)
    assert (state.score, state.probability) == (np.float32(0.4), 0.75)
    engine.close(20)


def test_an_action_of_two_rules_is_opened_once_for_both() -> None:
    shared, other = Keeps(), Keeps()
    engine = engine_of(("Dog>0.5", [shared, other]), ("Speech>0.5", [shared]))
    assert (shared.served, other.served) == (["dog", "speech"], ["dog"])
    engine.close(20)


def test_a_clip_goes_to_those_that_want_it_and_has_the_sound_of_its_time() -> None:
    clips, plain = Keeps(wants_clip=True), Keeps()
    limits = ClipLimits(before=1.0, after=1.0)
    engine = engine_of(("Dog>0.5", [clips, plain]), limits=limits)
    rows = [(0.0, 0.0)] * 3 + [(0.9, 0.0)] + [(0.0, 0.0)] * 6
    heard(engine, rows)
    assert [message.clip for message in plain.messages] == [None, None]
    (clip,) = [message.clip for message in clips.messages if message.clip is not None]
    assert clip.start_time <= 2.0
    start = round(clip.start_time)
    assert clip.samples[100] == pytest.approx(start / 100 * 32_768, abs=2)


def test_a_clip_with_speech_is_forgotten_and_that_is_told_once() -> None:
    clips, told = Keeps(wants_clip=True), []
    engine = engine_of(("Dog>0.5", [clips]), forget_speech=True, on_message=told.append)
    quiet: list[tuple[float, float]] = [(0.0, 0.0)] * 8
    heard(engine, [*quiet, (0.9, 0.9), *quiet, *quiet, *quiet, *quiet, *quiet, (0.9, 0.9), *quiet])
    assert [message.clip for message in clips.messages if message.clip is not None] == []
    assert engine.forgotten == 2
    assert told == ["a clip was not kept, because speech was heard in it"]


def test_speech_cannot_be_forgotten_by_a_model_that_does_not_know_it() -> None:
    with pytest.raises(OidoError, match=r"[Ss]peech"):
        engine_of(("Dog>0.5", []), labels=("Dog", "Cat"), forget_speech=True)


def test_a_label_that_is_none_names_the_nearest() -> None:
    with pytest.raises(UnknownLabelError, match="'Dog'"):
        engine_of(("Dgo>0.5", []))


def test_a_second_ctrl_c_while_actions_finish_still_closes_each() -> None:
    closed: list[str] = []

    class Closes(Keeps):
        def __init__(self, name: str) -> None:
            super().__init__()
            self.name = name

        def close(self) -> None:
            closed.append(self.name)
            if closed == ["first"]:
                raise KeyboardInterrupt

    engine = engine_of(("Dog>0.5", [Closes("first"), Closes("second")]))
    with pytest.raises(KeyboardInterrupt):
        engine.close(20)
    assert closed == ["first", "first", "second"]
