# SPDX-License-Identifier: Apache-2.0
"""A live source that is heard too slowly: a coarser hop, told, and finer again."""

from __future__ import annotations

import itertools
import json
from collections.abc import Iterator
from functools import partial

import numpy as np
import pytest
from numpy.typing import NDArray

import oido
from oido.cli.live_output import JsonLines, Lines
from oido.inference.backpressure import AdaptiveHop
from oido.live.monitor import LiveMonitor
from oido.params import Detection
from oido.signal.decode import AudioInfo, AudioReader


class Clock:
    """Goes on by ``step`` seconds each time that it is read."""

    def __init__(self, step: float) -> None:
        self.now, self.step = 0.0, step

    def __call__(self) -> float:
        self.now += self.step
        return self.now


class Live(AudioReader):
    """Brings a second at a time; of its room, ``full`` is taken while that lasts."""

    def __init__(self, samples: NDArray[np.float32], full: Iterator[float]) -> None:
        self.info = AudioInfo("mic:fake", 16_000, 1, None, "pcm", "fake")
        self.damaged_packets = 0
        self._samples, self._full = samples, full

    @property
    def fullness(self) -> float:
        return next(self._full)

    def blocks(self) -> Iterator[NDArray[np.float32]]:
        for start in range(0, len(self._samples), 16_000):
            yield self._samples[start : start + 16_000, None]

    def close(self) -> None: ...


def test_the_hop_is_doubled_while_it_stays_full_and_halved_when_it_is_calm() -> None:
    coarsening, every = AdaptiveHop(Clock(0.5)), []
    for window, full in enumerate([0.9, 0.2] * 5 + [0.9] * 12 + [0.05] * 200):
        taken = coarsening.selects(window, full)
        assert taken == (window % coarsening.every == 0)
        every.append(coarsening.every)

    assert every[:10] == [1] * 10  # a burst that is soon heard changes nothing
    assert every[10:22] == [1, 1, 1, 2, 2, 2, 4, 4, 4, 8, 8, 8]
    steps = [step for step, _ in itertools.groupby(every[22:])]
    assert steps == [8, 4, 2, 1]


def test_live_windows_are_left_out_told_and_events_go_on(
    classifier: oido.AudioClassifier,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setattr("oido.inference.pipeline.AdaptiveHop", partial(AdaptiveHop, Clock(0.5)))
    classifier = oido.AudioClassifier(classifier.model, category_allowlist=["Silence"], jobs=1)
    samples = np.zeros(16_000 * 20, np.float32)
    full = itertools.chain([0.9] * 7, itertools.repeat(0.3))
    hearing = LiveMonitor(classifier, Live(samples, full), Detection(0.5))
    selector = classifier.postprocessor.selector
    outputs = [JsonLines(selector, 0.48, 1), Lines(selector, 0.48, 1)]
    for output in outputs:
        output.attach("mic:fake", hearing.clock)
    skipped, events = [], []
    for heard in hearing:
        skipped.append(heard.skipped)
        events += heard.events
        for output in outputs:
            output.on_update(heard)
    last = hearing.finish()
    events += last.events

    n_windows = classifier.windowing.count(len(samples))
    assert skipped[:3] == [0, 0, 0]
    assert max(skipped) == 3
    assert len(skipped) + sum(skipped) in range(n_windows - 3, n_windows + 1)
    # Silence, which is an event if it is asked for, from the first sample to the last, whatever
    # was left out.
    (silence,) = [event for event in events if event.label == "Silence"]
    assert (silence.start_time, silence.end_time) == (0.0, 20.0)
    told = capsys.readouterr().out
    hops = [json.loads(line) for line in told.splitlines() if '"type": "hop"' in line]
    assert [hop["hop"] for hop in hops] == [0.96, 1.92]
    assert "a window is heard every 0.96 s now" in told


def test_a_stream_has_its_own_hop_and_times(classifier: oido.AudioClassifier) -> None:
    samples = np.zeros(16_000 * 3, np.float32)
    fine = oido.AudioClassifier(classifier.model, hop=0.1, jobs=1).classify(samples, 16_000)

    blocks = list(classifier.stream(samples, 16_000, hop=0.1, batch_windows=4))

    assert np.array_equal(np.concatenate([b.times for b in blocks]), fine.times)
    assert np.array_equal(np.concatenate([b.scores for b in blocks]), fine.scores)
    assert {b.skipped for b in blocks} == {0}
    with pytest.raises(oido.OptionError, match="hop"):
        classifier.stream(samples, 16_000, hop=3.0)
