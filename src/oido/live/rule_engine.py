# SPDX-License-Identifier: Apache-2.0
"""Rules, as ``--on CONDITION --do ACTION`` describes them: windows in, changes and actions out."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from datetime import datetime

import numpy as np
from numpy.typing import NDArray

from oido.errors import OptionError
from oido.inference.postprocess import HeadPostprocessor
from oido.live.actions import (
    Action,
    ClipUpload,
    Command,
    Message,
    Runner,
    SaveClip,
    TriggerName,
    Webhook,
)
from oido.live.clips import ClipLimits, ClipRecorder, RingBuffer, SpeechWatch
from oido.live.mqtt import Mqtt
from oido.live.source import OnMessage, ignore, utc_text
from oido.live.tls import Tls
from oido.live.triggers import Change, Condition, Trigger, TriggerParams, TriggerState, slugs
from oido.messages import tr
from oido.params import Windowing
from oido.signal.decode import AudioInfo
from oido.signal.mixing import Channel

_FORMS = tr("webhook:URL, exec:CMD, mqtt://HOST/TOPIC, save:FOLDER or upload:URL")


@dataclass(frozen=True)
class Rule:
    """One condition, and its actions; rules may share an action."""

    condition: Condition
    actions: list[Action] = field(default_factory=list)


def parse_action(text: str, *, off_events: bool = False, tls: Tls | None = None) -> Action:
    """The action that a text names. Raises OptionError, or MissingExtraError.

    off_events: webhooks and programs get "off", too; a broker always is. tls: the certificates of
    https:// and mqtts://.
    """
    kind, colon, what = text.strip().partition(":")
    if kind == "webhook":
        return Webhook(what, wants_off=off_events, tls=tls)
    if kind == "upload":
        return ClipUpload(what, tls=tls)
    if kind == "exec":
        return Command(what, wants_off=off_events)
    if kind == "save" and colon:
        return SaveClip(what)
    if kind in ("mqtt", "mqtts") and what.startswith("//"):
        return Mqtt(text.strip(), tls=tls)
    raise OptionError(
        tr("--do {kind!r}… is no action; there are {forms}", kind=kind + colon, forms=_FORMS)
    )


class RuleEngine:
    """Watches every rule's condition, and runs its actions in threads of their own.

    info: of the source. utc: the time of day of a moment of the stream. on_message: gets
    sentences for the user, from any thread. forget_speech: no clip with speech is kept or sent.
    runner: runs each action.

    ``start`` opens the actions; ``push_audio`` takes the source's blocks, for clips; ``push``
    the windows; ``flush`` at the end; ``close`` ends the actions.
    Raises OptionError or UnknownLabelError.
    """

    def __init__(
        self,
        rules: Sequence[Rule],
        reader: HeadPostprocessor,
        windowing: Windowing,
        info: AudioInfo,
        utc: Callable[[float], datetime],
        *,
        params: TriggerParams | None = None,
        limits: ClipLimits | None = None,
        forget_speech: bool = False,
        channel: Channel = "mix",
        on_message: OnMessage = ignore,
        runner: type[Runner] = Runner,
    ) -> None:
        params, limits = params or TriggerParams(), limits or ClipLimits()
        self._rules, self._reader, self._windowing = rules, reader, windowing
        self._source, self._utc, self._on_message = info.name, utc, on_message
        conditions = [rule.condition for rule in rules]
        self._slugs = slugs(conditions)
        self._triggers = [Trigger(c, reader, windowing, params) for c in conditions]
        self._runners = {
            id(action): runner(action, on_message) for rule in rules for action in rule.actions
        }
        # When each began, as its first state said it: the clock may know better by its end.
        self._began: dict[int, tuple[float, str]] = {}
        self._clips: ClipRecorder | None = None
        self._ring: RingBuffer | None = None
        self._speech: SpeechWatch | None = None
        if any(action.wants_clip for rule in rules for action in rule.actions):
            longest = max(c.for_seconds for c in conditions)
            seconds = limits.buffer_seconds(longest)
            self._ring = RingBuffer(info.sample_rate_hz, seconds, channel)
            if forget_speech:
                self._speech = SpeechWatch(reader.labels, seconds)
            self._clips = ClipRecorder(self._ring, limits, self._speech)
        elif forget_speech:
            SpeechWatch(reader.labels, 0.0)  # a model that cannot keep the rule is an error anyway

    def start(self) -> None:
        """Open every action. Raises an OidoError of one that can never work."""
        for runner in self._runners.values():
            served = [
                TriggerName(slug, rule.condition.text, rule.condition.labels, self._source)
                for slug, rule in zip(self._slugs, self._rules)
                if any(action is runner.action for action in rule.actions)
            ]
            runner.start(served)

    def push_audio(self, block: NDArray[np.float32]) -> None:
        """The source's next samples, f32[n, channels], before their windows."""
        if self._ring is not None:
            self._ring.push(block)

    def push(
        self, window: int, scores: NDArray[np.float32], values: NDArray[np.float32]
    ) -> list[TriggerState]:
        """The next window: its scores f32[C], and what thresholds are compared with, f32[C]."""
        if self._speech is not None:
            start, end = self._windowing.span(window)
            self._speech.push(start, end, np.stack([scores, values]))
        changes = [trigger.push(window, values, scores) for trigger in self._triggers]
        # A clip is complete only when no window to come touches it.
        return self._report(changes, self._windowing.span(window + 1)[0])

    def flush(self, stream_time: float) -> list[TriggerState]:
        """Nothing more will come; every window up to ``stream_time`` seconds is done."""
        return self._report([t.flush() for t in self._triggers], stream_time, at_end=True)

    def close(self, grace_seconds: float) -> None:
        """Give the actions this long to finish what waits."""
        deadline = time.monotonic() + grace_seconds
        waiting = list(self._runners.values())
        try:
            while waiting:
                waiting[0].close(deadline)
                del waiting[0]
        finally:  # of a second Ctrl-C, too: what an action runs must not outlive oido
            for runner in waiting:
                runner.close(time.monotonic())

    @property
    def forgotten(self) -> int:
        """Clips that were not kept because there was speech in them."""
        return 0 if self._clips is None else self._clips.forgotten

    def _report(
        self, changes: Sequence[Change | None], stream_time: float, *, at_end: bool = False
    ) -> list[TriggerState]:
        """Changes, and clips that are complete, to their actions."""
        states = [self._send(n, change) for n, change in enumerate(changes) if change is not None]
        for state, clip in () if self._clips is None else self._clips.ready(stream_time, at_end):
            if clip is not None:
                for runner in self._runners_of(state.number):
                    runner.offer(Message(state, clip))
            elif self.forgotten == 1:
                self._on_message(tr("a clip was not kept, because speech was heard in it"))
        return states

    def _send(self, number: int, change: Change) -> TriggerState:
        rate = self._windowing.sample_rate_hz
        start_time, end_time = change.start / rate, change.end / rate
        began = (start_time, utc_text(self._utc(start_time)))
        if change.is_on:
            self._began[number] = began
        elif self._began.get(number, began)[0] == start_time:
            began = self._began.pop(number, began)
        is_calibrated = self._reader.head.calibration is not None
        state = TriggerState(
            number,
            self._slugs[number],
            self._rules[number].condition.text,
            "on" if change.is_on else "off",
            self._reader.selector.display_names[change.column],
            change.score,
            change.value if is_calibrated else None,
            start_time,
            end_time,
            began[1],
            utc_text(self._utc(end_time)),
            self._source,
        )
        for runner in self._runners_of(number):
            runner.offer(Message(state))
        if self._clips is not None and any(r.action.wants_clip for r in self._runners_of(number)):
            if change.is_on:
                self._clips.open(state)
            else:
                self._clips.end(state)
        return state

    def _runners_of(self, number: int) -> Iterator[Runner]:
        for action in self._rules[number].actions:
            yield self._runners[id(action)]
