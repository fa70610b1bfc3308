# SPDX-License-Identifier: Apache-2.0
"""Spans of frames and levels: what each rule does, and that blocks of any size do not matter."""

from __future__ import annotations

from itertools import pairwise
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from oido.events.segmentation import Segmenter
from oido.events.spans import UNKNOWN, Choice, Kinship, Span, Values, odds_of, pooled

FRAME, RATE = 2560, 16_000
"""Samples of a frame, 8 levels; and of a second."""

A, B = 0, 1


class Times:
    def spans(self, first: int, count: int) -> np.ndarray:
        numbers = np.arange(first, first + count)
        return np.stack([numbers, numbers + 1], axis=1) * FRAME


def segmenter(
    n: int = 2,
    least_similarity: float | None = None,
    off: float = 0.1,
    values: Values = lambda scores: scores,
    absences: tuple[int, ...] = (),
) -> Segmenter:
    nobody = tuple(frozenset[int]() for _ in range(n))
    return Segmenter(
        Times(),
        RATE,
        values,
        np.full(n, 0.2, np.float32),
        np.full(n, off, np.float32),
        np.ones(n, bool),
        np.isin(np.arange(n), absences),
        Choice(Kinship(nobody, nobody)),
        least_similarity,
    )


def sound(*parts: tuple[int, float, tuple[float, ...]]) -> tuple[np.ndarray, np.ndarray]:
    """(frames, dB, scores), one after the other → scores f32[T, C] and levels."""
    scores = np.concatenate([np.tile(np.float32(s), (n, 1)) for n, _, s in parts])
    levels = np.concatenate([np.full(8 * n, db, np.float32) for n, db, _ in parts])
    return scores, levels


def spans(scores: np.ndarray, levels: np.ndarray, **options: Any) -> list[tuple[int, int, int]]:
    """(class, first frame, end frame) of what is found."""
    found = segmenter(scores.shape[1], **options)
    done = found.push(scores, levels) + found.flush()
    return sorted((s.index, *divmod(s.start, FRAME)[:1], s.end // FRAME) for s in done)


QUIET = (40, -60.0, (0.0, 0.0))


def test_a_class_has_the_edges_of_the_stretch_whatever_its_frames_say():
    smeared = sound(QUIET, (10, -30, (0.5, 0.1)), (6, -60, (0.5, 0)), QUIET)
    assert spans(*smeared) == [(A, 40, 50)]


def test_evidence_is_the_mean_of_odds():
    scores, levels = sound(QUIET, (2, -30, (0.8, 0.0)), (8, -30, (0.0, 0.0)), QUIET)
    found = segmenter()
    (span,) = found.push(scores, levels) + found.flush()
    assert span.score == pytest.approx(0.8 / 1.8)  # odds 4 in two of ten frames: 0.8
    assert pooled(odds_of(np.float32([0.8, 0.25])).mean()) == pytest.approx(
        (13 / 3 / 2) / (1 + 13 / 6)
    )


def test_weak_evidence_is_no_event():
    assert spans(*sound(QUIET, (10, -30, (0.19, 0.0)), QUIET)) == []
    assert spans(*sound(QUIET, (10, -30, (0.21, 0.0)), QUIET)) == [(A, 40, 50)]


def test_in_a_long_stretch_a_class_that_fills_little_has_its_own_edges():
    scores, levels = sound(
        QUIET, (10, -30, (0.5, 0.0)), (4, -30, (0.5, 0.9)), (12, -30, (0.5, 0.0)), QUIET
    )
    assert spans(scores, levels) == [(A, 40, 66), (B, 50, 54)]
    short = sound(QUIET, (6, -30, (0.5, 0.0)), (4, -30, (0.5, 0.9)), (6, -30, (0.5, 0.0)), QUIET)
    assert spans(*short) == [(A, 40, 56), (B, 40, 56)]


def test_outside_a_run_of_frames_is_an_event_while_it_reaches_the_off_threshold():
    steady = sound(QUIET, (3, -60, (0.15, 0)), (5, -60, (0.6, 0)), (2, -60, (0.12, 0)), QUIET)
    assert spans(*steady) == [(A, 40, 50)]
    assert spans(*sound(QUIET, (5, -60, (0.15, 0)), QUIET)) == []


def test_frames_whose_windows_hear_a_stretch_are_nobodys_evidence():
    """6 frames (0.96 s) before and behind."""
    scores, levels = sound(
        QUIET, (6, -60, (0, 0.9)), (10, -30, (0.9, 0)), (6, -60, (0, 0.9)), QUIET
    )
    assert spans(scores, levels) == [(A, 46, 56)]
    scores, levels = sound(
        QUIET, (7, -60, (0, 0.9)), (10, -30, (0.9, 0)), (7, -60, (0, 0.9)), QUIET
    )
    assert spans(scores, levels) == [(A, 47, 57), (B, 40, 64)]


def test_a_background_goes_on_behind_a_louder_sound():
    rain = (40, -60.0, (0.0, 0.6))
    assert spans(*sound(rain, (10, -30, (0.9, 0.0)), rain)) == [(A, 40, 50), (B, 0, 90)]


def test_it_goes_on_with_a_stretch_of_its_own_class():
    swell = sound(QUIET, (20, -60, (0, 0.6)), (10, -30, (0, 0.9)), (20, -60, (0, 0.6)), QUIET)
    assert spans(*swell) == [(B, 40, 90)]


def test_two_stretches_of_one_class_are_two_events():
    twice = sound(QUIET, (10, -30, (0.9, 0)), (8, -60, (0.3, 0)), (10, -30, (0.9, 0)), QUIET)
    assert spans(*twice) == [(A, 40, 50), (A, 58, 68)]


def test_a_stretch_that_was_cut_is_one_event():
    loud = (100, -30.0, (0.9, 0.0))
    pause = (3, -60.0, (0.9, 0.0))
    assert spans(*sound((70, -60.0, (0, 0)), loud, pause, loud, pause, loud)) == [(A, 70, 376)]


SURE = (0.9, 0.9)


def test_silence_is_nobodys_evidence_whatever_a_network_says_of_it():
    """A taught head's scores share one sum, so one of its classes is always there."""
    muted = (60, -90.0, SURE)
    assert spans(*sound(muted)) == []
    assert spans(*sound(muted, (10, -30, SURE), muted)) == [(A, 60, 70), (B, 60, 70)]


def test_what_is_faint_is_no_silence():
    """Networks that take sound at any level, as BirdNET does, know what is in it."""
    assert spans(*sound((40, -85.0, SURE))) == [(A, 0, 40), (B, 0, 40)]


def test_silence_parts_what_is_before_from_what_is_behind():
    hum = (40, -70.0, SURE)
    assert spans(*sound(hum, (5, -90, SURE), hum))[0] == (A, 0, 40)
    assert spans(*sound(hum, (5, -90, SURE), hum))[1] == (A, 45, 85)
    pause = sound(hum, (3, -90, SURE), hum)
    assert spans(*pause) == [(A, 0, 83), (B, 0, 83)]


def test_edges_beside_silence_are_those_of_levels_within_a_frame():
    scores, levels = sound((80, -70.0, SURE))
    levels[8 * 30 + 3 : 8 * 40 + 5] = -90
    found = segmenter()
    times = [(s.start, s.end) for s in found.push(scores, levels) + found.flush() if s.index == A]
    assert times == [(0, 30 * FRAME + 3 * 320), (40 * FRAME + 5 * 320, 80 * FRAME)]


def test_a_run_does_not_go_on_with_a_sound_behind_a_silence():
    """As it does where the time between them, which belongs to nobody, is not silent."""
    scores, levels = sound((40, -70.0, SURE), (10, -30, SURE), (40, -70, SURE))
    assert spans(scores, levels) == [(A, 0, 90), (B, 0, 90)]
    before, behind = levels.copy(), levels.copy()
    before[8 * 35 : 8 * 40] = -90
    behind[8 * 50 : 8 * 55] = -90
    assert [(s, e) for i, s, e in spans(scores, before) if i == A] == [(0, 34), (40, 90)]
    assert [(s, e) for i, s, e in spans(scores, behind) if i == A] == [(0, 50), (56, 90)]


def test_a_class_that_is_the_absence_of_events_goes_on_in_silence():
    parts = sound((40, -70.0, SURE), (40, -90, SURE), (40, -70, SURE))
    assert spans(*parts, absences=(B,)) == [(A, 0, 40), (A, 80, 120), (B, 0, 120)]


def test_what_a_microphone_that_is_muted_says_is_over_before_it_is_heard_again():
    found, muted = segmenter(), sound((20, -90, SURE))
    assert found.push(*sound((40, -70.0, SURE))) == []
    assert {(s.start, s.end) for s in found.push(*muted)} == {(0, 40 * FRAME)}
    assert found.push(*muted) == found.begun() == []
    for _ in range(100):
        found.push(*muted)
    assert len(found._silence_finder.found()) == 1
    assert found.flush() == []


def test_silences_that_are_over_are_forgotten():
    found = segmenter()
    for _ in range(100):
        found.push(*sound((10, -70.0, SURE), (10, -90, SURE)))
    assert len(found._silence_finder.found()) < 5


def test_what_is_unlike_all_that_was_taught_is_unknown():
    parts = (40, -60.0, (0, 0, 0)), (10, -30.0, (0.9, 0, 0.3)), (40, -60.0, (0.9, 0, 0.3))
    scores, levels = sound(*parts)
    found = segmenter(least_similarity=0.5)
    (span,) = found.push(scores, levels) + found.flush()
    assert (span.index, span.start, span.end) == (UNKNOWN, 40 * FRAME, 50 * FRAME)
    assert list(span.also) == [A]
    scores[:, 2] = 0.6
    known = segmenter(least_similarity=0.5)
    assert {s.index for s in known.push(scores, levels) + known.flush()} == {A}


def test_it_is_told_with_the_first_frame_that_cannot_go_on_with_it():
    """That is 0.96 s behind the stretch, and what is still to come changes nothing."""
    scores, levels = sound(QUIET, (10, -30, (0.9, 0.0)), (7, -60, (0.0, 0.3)), QUIET)
    found = segmenter()
    assert found.push(scores[:56], levels[: 8 * 56]) == []
    (span,) = found.push(scores[56:57], levels[8 * 56 : 8 * 57])
    assert (span.index, span.start, span.end) == (A, 40 * FRAME, 50 * FRAME)


def test_what_has_begun_is_what_is_heard_so_far():
    scores, levels = sound(QUIET, (10, -30, (0.9, 0.0)))
    found = segmenter()
    assert found.push(scores, levels) == []
    (span,) = found.begun()
    assert (span.index, span.start) == (A, 40 * FRAME)


def test_what_goes_on_for_long_is_not_pooled_anew_with_every_block():
    """A stretch of 29 s, in blocks of half a second: rows that are compared with thresholds."""
    scores, levels = sound(QUIET, (180, -30, (0.9, 0.0)), QUIET)
    compared = []

    def values(rows: np.ndarray) -> np.ndarray:
        compared.append(len(rows))
        return rows

    found, blocks = segmenter(values=values), range(0, len(scores), 3)
    for at in blocks:
        found.push(scores[at : at + 3], levels[8 * at : 8 * at + 24])
        found.begun()
    # Every frame once, and with every block some single rows of what is pooled, or still open.
    assert 180 < sum(compared) < len(scores) + 8 * len(blocks)


PARTS = st.tuples(
    st.integers(1, 14),
    st.sampled_from([-90.0, -70.0, -62.0, -45.0, -20.0]),
    st.tuples(*[st.sampled_from([0.0, 0.12, 0.3, 0.9])] * 2),
)


@settings(deadline=None, max_examples=60)
@given(st.lists(PARTS, min_size=1, max_size=25), st.lists(st.integers(1, 40), max_size=20))
def test_the_blocks_do_not_matter_and_rows_are_told_once(parts, sizes):
    scores, levels = sound(*parts)

    def key(span: Span) -> tuple[object, ...]:
        return (span.start, span.end, span.index, round(span.score, 9), sorted(span.also))

    whole = segmenter()
    expected = [*whole.push(scores, levels), *whole.flush()]
    pieces, done, at = segmenter(), [], 0
    for size in sizes:
        end = min(at + size, len(scores))
        done += pieces.push(scores[at:end], levels[8 * at : 8 * end])
        pieces.begun()
        at = end
    done += pieces.push(scores[at:], levels[8 * at :]) + pieces.flush()
    assert sorted(map(key, done)) == sorted(map(key, expected))
    assert all(0 <= s.start < s.end <= len(scores) * FRAME for s in done)
    assert all(s.score >= 0.2 - 1e-6 for s in done)
    for index in (A, B):
        own = sorted((s.start, s.end) for s in done if s.index == index)
        assert all(end <= start for (_, end), (start, _) in pairwise(own))


@settings(deadline=None, max_examples=60)
@given(
    st.lists(PARTS, min_size=1, max_size=20),
    st.lists(st.integers(1, 40), min_size=1, max_size=20),
    st.sampled_from([None, 0.5]),
)
def test_what_has_begun_is_the_same_however_often_it_was_asked_for(parts, sizes, similarity):
    scores, levels = sound(*parts)
    if similarity is not None:
        like = np.random.default_rng(len(scores)).normal(0.6, 0.2, (len(scores), 1))
        scores = np.concatenate([scores, like.astype(np.float32)], axis=1)
    often, at, pushed = segmenter(2, similarity), 0, []
    for size in sizes:
        pushed.append((scores[at : at + size], levels[8 * at : 8 * (at + size)]))
        often.push(*pushed[-1])
        once = segmenter(2, similarity)
        for piece in pushed:
            once.push(*piece)
        assert often.begun() == once.begun()
        at += size


def test_a_background_that_goes_on_for_hours_does_not_keep_all_that_was_heard_over_it():
    found, kept, done = segmenter(), [], 0
    for _ in range(300):
        rain = (20, -60.0, (0.0, 0.6))
        done += len(found.push(*sound(rain, (10, -30, (0.9, 0.0)))))
        kept.append(len(found._recent) + len(found._held))
    assert done > 290
    assert max(kept[10:]) < 10
