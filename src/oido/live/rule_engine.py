# SPDX-License-Identifier: Apache-2.0
"""All rules together: windows go in, changes come out, actions and clips are set going."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from datetime import datetime

import numpy as np
from numpy.typing import NDArray

from oido.inference.postprocess import HeadPostprocessor
from oido.live.actions import Action, Message, Runner, TriggerName
from oido.live.clips import ClipLimits, ClipRecorder, RingBuffer, SpeechWatch
from oido.live.rules import Rule
from oido.live.source import OnMessage, no_words, utc_text
from oido.live.triggers import Change, Trigger, TriggerParams, TriggerState, slugs
from oido.params import Windowing
from oido.signal.decode import AudioInfo
from oido.signal.mixing import Channel

__all__ = ["RuleEngine"]


class RuleEngine:
    """Watches every rule's condition, and runs its actions off the thread that hears.

    info: of the source. utc: the time of day of a moment of the stream. say: gets sentences for the
    user, from any thread. forget_speech: clips in which speech is heard are never kept nor sent.

    ``start`` opens the actions; ``show`` takes the source's blocks, for clips; ``push`` takes the
    windows; ``flush`` at the end; ``close`` ends the actions.
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
        on_message: OnMessage = no_words,
    ) -> None:
        params, limits = params or TriggerParams(), limits or ClipLimits()
        self._rules, self._reader, self._windowing = rules, reader, windowing
        self._source, self._utc, self._on_message = info.name, utc, on_message
        conditions = [rule.condition for rule in rules]
        self._slugs = slugs(conditions)
        self._triggers = [Trigger(c, reader, windowing, params) for c in conditions]
        self._runners = {
            id(action): Runner(action, on_message) for rule in rules for action in rule.actions
        }
        self._clips: ClipRecorder | None = None
        self._ring: RingBuffer | None = None
        self._speech: SpeechWatch | None = None
        if any(action.wants_clip for rule in rules for action in rule.actions):
            longest = max(c.for_seconds for c in conditions)
            room = limits.room(longest)
            self._ring = RingBuffer(info.sample_rate_hz, room, channel)
            if forget_speech:
                self._speech = SpeechWatch(reader.labels, room)
            self._clips = ClipRecorder(self._ring, limits, self._speech)
        elif forget_speech:
            SpeechWatch(reader.labels, 0.0)  # a model that cannot keep the rule is told anyway

    def start(self) -> None:
        """Open every action. Raises an OidoError of one that can never work."""
        for runner in self._runners.values():
            served = [
                TriggerName(slug, rule.condition.text, rule.condition.labels)
                for slug, rule in zip(self._slugs, self._rules)
                if _has(rule, runner.action)
            ]
            runner.start(served)

    def show(self, block: NDArray[np.float32]) -> None:
        """The source's next samples, f32[n, channels], before they are heard."""
        if self._ring is not None:
            self._ring.push(block)

    def push(
        self, window: int, scores: NDArray[np.float32], values: NDArray[np.float32]
    ) -> list[TriggerState]:
        """The next window: its scores f32[C], and what thresholds are compared with, f32[C]."""
        if self._speech is not None:
            start, end = self._span(window)
            self._speech.push(start, end, np.stack([scores, values]))
        told = []
        for number, trigger in enumerate(self._triggers):
            change = trigger.push(window, values, scores)
            if change is not None:
                told.append(self._tell(number, change))
        # Only what no window to come will touch has been heard to its end.
        self._keep(self._span(window + 1)[0], at_end=False)
        return told

    def flush(self, stream_time: float) -> list[TriggerState]:
        """Nothing more will come; every window was heard up to ``stream_time`` seconds."""
        changes = [(n, trigger.flush()) for n, trigger in enumerate(self._triggers)]
        told = [self._tell(n, change) for n, change in changes if change is not None]
        self._keep(stream_time, at_end=True)
        return told

    def close(self, grace_seconds: float) -> None:
        """Give the actions this long to finish what waits."""
        deadline = time.monotonic() + grace_seconds
        for runner in self._runners.values():
            runner.close(deadline)

    @property
    def forgotten(self) -> int:
        """Clips that were not kept because speech was heard in them."""
        return 0 if self._clips is None else self._clips.forgotten

    def _tell(self, number: int, change: Change) -> TriggerState:
        rate = self._windowing.sample_rate_hz
        start_time, end_time = change.start / rate, change.end / rate
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
            utc_text(self._utc(start_time)),
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

    def _keep(self, stream_time: float, *, at_end: bool) -> None:
        if self._clips is None:
            return
        for state, clip in self._clips.ready(stream_time, at_end=at_end):
            if clip is None:
                if self._clips.forgotten == 1:
                    self._on_message("a clip was not kept, because speech was heard in it")
                continue
            for runner in self._runners_of(state.number):
                runner.offer(Message(state, clip))

    def _runners_of(self, number: int) -> Iterator[Runner]:
        for action in self._rules[number].actions:
            yield self._runners[id(action)]

    def _span(self, window: int) -> tuple[float, float]:
        start = window * self._windowing.hop_samples
        rate = self._windowing.sample_rate_hz
        return start / rate, (start + self._windowing.window_samples) / rate


def _has(rule: Rule, action: Action) -> bool:
    return any(own is action for own in rule.actions)
