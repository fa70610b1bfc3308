# SPDX-License-Identifier: Apache-2.0
"""The ring buffer, clips, and the rule that speech is never kept."""

from __future__ import annotations

import io
from dataclasses import replace

import numpy as np
import pytest
import soundfile
from hypothesis import given
from hypothesis import strategies as st

from oido.errors import OptionError
from oido.live.clips import ClipLimits, ClipRecorder, RingBuffer, SpeechWatch
from oido.live.triggers import TriggerState

STATE = TriggerState(0, "dog", "Dog", "on", "Dog", 0.9, None, 5.0, 6.0, "", "", "mic")


def count(n: int) -> np.ndarray:
    """f32[n, 1] whose samples are 0, 1, 2… as 16-bit integers."""
    return (np.arange(n) % 30_000 / 32768.0).astype(np.float32)[:, None]


@given(st.lists(st.integers(1, 300), max_size=20), st.integers(0, 1500), st.integers(0, 1500))
def test_the_ring_gives_back_what_it_still_has(sizes: list[int], start: int, end: int) -> None:
    ring = RingBuffer(100, 2.5)
    total = sum(sizes)
    samples, at = count(max(total, 1)), 0
    for size in sizes:
        ring.push(samples[at : at + size])
        at += size
    began, cut = ring.cut(start / 100, end / 100)
    oldest = max(0, total - 250)
    first = min(max(start, oldest), total)
    assert began == first / 100
    expected = samples[first : max(first, min(end, total)), 0] * 32768
    assert cut.tolist() == expected.astype(int).tolist()


def test_channels_are_mixed_or_chosen_and_loud_ones_clipped() -> None:
    block = np.array([[0.5, -0.5], [3.0, 1.0], [np.nan, 0.25]], np.float32)
    mixed, second = RingBuffer(10, 1), RingBuffer(10, 1, 1)
    mixed.push(block)
    second.push(block)
    assert mixed.cut(0, 1)[1].tolist() == [0, 32767, 0]
    assert second.cut(0, 1)[1].tolist() == [-16384, 32767, 8192]


def recorder(speech: SpeechWatch | None = None, **limits: float) -> ClipRecorder:
    ring = RingBuffer(100, 60)
    ring.push(count(3000))
    return ClipRecorder(ring, ClipLimits(**limits), speech)


def test_a_clip_has_its_pre_roll_and_waits_until_all_of_it_was_heard() -> None:
    clips = recorder(before=2, after=1, most=10)
    clips.open(STATE)
    assert clips.ready(8.0) == []
    off = replace(STATE, state="off", end_time=8.0)
    clips.end(off)
    assert clips.ready(8.9) == []
    ((state, clip),) = clips.ready(9.0)
    assert state is off
    assert clip is not None
    assert (clip.start_time, clip.seconds) == (3.0, 6.0)
    assert clip.samples[0] == 300
    assert clips.ready(30.0) == []


def test_a_sound_without_end_is_cut_and_the_source_may_end() -> None:
    clips = recorder(before=1, after=1, most=4)
    clips.open(STATE)
    ((_, clip),) = clips.ready(10.0)
    assert clip is not None
    assert (clip.start_time, clip.seconds) == (4.0, 6.0)
    clips.open(STATE)
    ((_, rest),) = clips.ready(7.0, at_end=True)
    assert rest is not None
    assert rest.seconds == 3.0


def test_a_second_sound_does_not_take_the_clip_of_the_first() -> None:
    clips = recorder(before=0, after=2, most=60)
    clips.open(STATE)
    clips.end(replace(STATE, state="off", end_time=7.0))
    clips.open(replace(STATE, start_time=8.0, end_time=8.5))
    clips.end(replace(STATE, state="off", start_time=8.0, end_time=10.0))
    lengths = [(c.start_time, c.seconds) for _, c in clips.ready(20.0) if c is not None]
    assert lengths == [(5.0, 4.0), (8.0, 4.0)]


LABELS = ("Dog", "Whispering", "Speech", "Child speech, kid speaking", "Rain")


def watch(column: int, score: float, start: float, end: float) -> SpeechWatch:
    speech = SpeechWatch(LABELS, 100.0)
    scores = np.zeros((2, len(LABELS)), np.float32)
    speech.push(0.0, 1.0, scores)
    scores[1, column] = score
    speech.push(start, end, scores)
    return speech


@pytest.mark.parametrize(
    ("column", "score", "start", "end", "is_kept"),
    [
        (2, 0.5, 6, 7, False),
        (3, 0.1, 6, 7, False),  # a class below speech, and just heard
        (1, 0.5, 6, 7, False),  # whispering is words, too
        (2, 0.09, 6, 7, True),
        (0, 0.9, 6, 7, True),
        (2, 0.9, 2, 3, True),  # before the clip, and touching it: the window ends where it begins
        (2, 0.9, 2.01, 3.01, False),
        (2, 0.9, 8.99, 9.96, False),
        (2, 0.9, 9, 10, True),
    ],
)
def test_speech_in_a_clip_forgets_it(
    column: int, score: float, start: float, end: float, is_kept: bool
) -> None:
    clips = recorder(watch(column, score, start, end), before=2, after=1, most=3)
    clips.open(STATE)
    ((_, clip),) = clips.ready(9.0)
    assert (clip is not None) is is_kept
    assert clips.forgotten == (not is_kept)


def test_a_model_that_cannot_hear_speech_cannot_keep_the_rule() -> None:
    with pytest.raises(OptionError, match="no such class"):
        SpeechWatch(("Dog", "Rain"), 10)


def test_a_clip_is_a_wav_file() -> None:
    clips = recorder()
    clips.open(STATE)
    ((_, clip),) = clips.ready(10.0, at_end=True)
    assert clip is not None
    samples, rate = soundfile.read(io.BytesIO(clip.wav()), dtype="int16")
    assert rate == 100
    assert samples.tolist() == clip.samples.tolist()


@pytest.mark.parametrize("name", ["before", "after", "most"])
def test_limits_are_checked(name: str) -> None:
    with pytest.raises(OptionError, match="must be from 0"):
        ClipLimits(**{name: -1.0})
    with pytest.raises(OptionError, match="must be from 0"):
        ClipLimits(**{name: float("nan")})
