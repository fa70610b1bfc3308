# SPDX-License-Identifier: Apache-2.0
"""Learning a sound from few answers: what is asked, what is judged by what, and when to stop."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from oido.arrays import F32, I64
from oido.evaluation.bootstrap import Bootstrap
from oido.training.active import (
    OURS,
    AnswersFit,
    AskingRule,
    JudgedAnswers,
    LearntPoint,
    Unanswered,
    archive_shares,
    calibrated,
    choose_next,
    is_enough,
    lacking,
    learning_curve,
    weighted_precision,
)
from oido.training.embeddings import EmbeddedClips

SIZE = 24


def answers(
    vectors: F32, yes: NDArray[np.bool_], groups: I64, clip_index: I64 | None = None
) -> EmbeddedClips:
    """A clip for each vector, unless clip_index says otherwise."""
    count = len(yes)
    return EmbeddedClips(
        vectors.astype(np.float32),
        np.arange(count) if clip_index is None else clip_index,
        np.ones(len(vectors)),
        yes[:, None].astype(np.float32),
        ("Owl",),
        groups.astype(np.int64),
        np.full(count, -1),
        multi_label=True,
    )


def windows(count: int, share: float, seed: int, apart: float = 6.0) -> tuple[F32, I64]:
    """f32[n, SIZE] of eight other sounds and, in a share of them, one that is looked for."""
    random = np.random.default_rng(seed)
    others = np.random.default_rng(99).normal(0, 1, (8, SIZE))
    has_it = random.permutation(count) < round(share * count)
    kinds = random.integers(0, 8, count)
    rows = 6 + others[kinds] + random.normal(0, 0.6, (count, SIZE))
    rows[has_it, 0] += apart
    return np.maximum(rows, 0).astype(np.float32), has_it.astype(np.int64)


def no_windows(count: int = 0) -> F32:
    return np.zeros((count, SIZE), np.float32)


def near_itself(number: int) -> I64:
    return np.array([number])


@given(
    seed=st.integers(0, 10_000),
    count=st.integers(1, 12),
    blocked=st.integers(0, 60),
    rule=st.sampled_from([OURS, AskingRule(0, 0, 10, 0), AskingRule(0, 10, 0, 1.0)]),
)
def test_only_places_that_are_left_are_asked_and_each_once(
    seed: int, count: int, blocked: int, rule: AskingRule
) -> None:
    random = np.random.default_rng(seed)
    logits = random.normal(size=60).astype(np.float32)
    rows = random.normal(size=(60, 4)).astype(np.float32)
    askable = np.ones(60, np.bool_)
    askable[random.permutation(60)[:blocked]] = False
    before = askable.copy()

    def near(number: int) -> I64:
        return np.arange(max(0, number - 1), min(60, number + 2))

    chosen = choose_next(
        logits,
        askable,
        count,
        vectors=lambda numbers: rows[numbers],
        near=near,
        dice=np.random.default_rng(seed),
        rule=rule,
    )
    assert before[chosen].all()
    assert (askable == before).all(), "what may be asked is the caller's"
    assert len(chosen) <= count
    gaps = np.abs(chosen[:, None] - chosen[None])[~np.eye(len(chosen), dtype=bool)]
    assert not len(gaps) or gaps.min() > 1, "neighbours are one place"
    assert len(chosen) or not before.any()


def chosen_by(rule: AskingRule, logits: F32, rows: F32, count: int) -> list[int]:
    found = choose_next(
        logits,
        np.ones(len(logits), np.bool_),
        count,
        vectors=lambda numbers: rows[numbers],
        near=near_itself,
        dice=np.random.default_rng(0),
        rule=rule,
    )
    return found.tolist()


def test_top_margin_and_random_are_what_their_names_say() -> None:
    logits = np.linspace(-5, 5, 101).astype(np.float32)
    rows = no_windows(101)
    assert chosen_by(AskingRule(10, 0, 0, 0.0), logits, rows, 3) == [100, 99, 98]
    assert {*chosen_by(AskingRule(0, 10, 0, 0.0), logits, rows, 3)} == {49, 50, 51}
    random = chosen_by(AskingRule(0, 0, 10, 0.0), logits, rows, 30)
    assert min(random) < 40
    assert max(random) > 60
    both = chosen_by(AskingRule(5, 5, 0, 0.0), logits, rows, 4)
    assert sum(number > 90 for number in both) == 2


def test_what_is_alike_is_not_asked_in_one_round() -> None:
    rows = np.concatenate([np.tile(np.eye(3)[0], (10, 1)), np.eye(3)[1:]]).astype(np.float32)
    logits = np.array([9.0] * 10 + [8.5, 8.4], np.float32)
    assert {10, 11} & {*chosen_by(AskingRule(10, 0, 0, 1.0), logits, rows, 3)}
    assert max(chosen_by(AskingRule(10, 0, 0, 0.0), logits, rows, 3)) < 10


@given(seed=st.integers(0, 10_000), count=st.integers(1, 40), size=st.integers(50, 500))
def test_answers_speak_for_the_whole_archive(seed: int, count: int, size: int) -> None:
    random = np.random.default_rng(seed)
    archive = random.normal(size=size).astype(np.float32)
    shares = archive_shares(random.choice(archive, count), archive)
    assert shares.min() >= 1
    assert size - 1e-6 <= shares.sum() <= size + count


def test_answers_at_the_top_speak_for_few_windows_and_those_below_for_many() -> None:
    archive = np.arange(1000, dtype=np.float32)
    answered = np.array([999, 998, 997, 996, 995, 500, 499, 498, 497, 496], np.float32)
    shares = archive_shares(answered, archive)
    # Half-way between 995 and 500: 252 windows above, 748 below, of five answers each.
    assert shares[:5] == pytest.approx(252 / 5)
    assert shares[5:] == pytest.approx(748 / 5)


def test_the_weighted_precision_is_that_of_scikit_learn() -> None:
    metrics = pytest.importorskip("sklearn.metrics")
    random = np.random.default_rng(3)
    yes = random.random(60) < 0.4
    clips = answers(random.random((60, SIZE)), yes, np.arange(60) // 3)
    scores = (random.random(60) + 0.5 * yes).astype(np.float32)
    shares = random.integers(1, 500, 60).astype(np.float64)
    held = JudgedAnswers(scores, np.zeros(60, np.int64))
    found = weighted_precision(clips, held, shares, Bootstrap(clips.groups, 1, 0))
    expected = metrics.average_precision_score(yes, scores, sample_weight=shares)
    assert found.value == pytest.approx(expected, abs=1e-6)
    assert found.low < found.value < found.high


def test_an_answer_is_judged_by_a_head_that_has_not_seen_its_recording() -> None:
    """Each recording has a sign of its own, and whether it is a yes is chance: only who has seen
    it knows."""
    random = np.random.default_rng(5)
    groups = np.repeat(np.arange(20), 4)
    signs = random.normal(0, 4, (20, SIZE))
    vectors = 20 + signs[groups] + random.normal(0, 0.1, (80, SIZE))
    yes = (random.permutation(20) < 10)[groups]
    fit = AnswersFit(answers(vectors, yes, groups), Unanswered(no_windows(), no_windows()))
    folds = fit.folds()
    assert folds is not None
    assert all(len(np.unique(folds[groups == g])) == 1 for g in range(20))
    held = fit.held_out(folds)
    assert held is not None
    right = ((held.probabilities > 0.5) == yes).mean()
    seen = ((fit.head.scores(vectors.astype(np.float32))[:, 0] > 0.5) == yes).mean()
    assert seen == 1.0
    assert right < 0.75


def test_background_and_an_example_are_enough_to_begin_with() -> None:
    """Four answers of no, one example: among the first ten there are thirty times as many."""
    archive, has_it = windows(3000, 0.01, seed=1)
    absent = np.flatnonzero(has_it == 0)
    example, _ = windows(1, 1.0, seed=2)
    clips = answers(archive[absent[:4]], np.zeros(4, np.bool_), np.arange(4))
    fit = AnswersFit(clips, Unanswered(archive[absent[100:500]], example))
    logits = fit.head.logits(archive)[:, 0]
    assert has_it[np.argsort(-logits)[:10]].mean() >= 0.3
    assert lacking(clips) == (5, 1, 2)
    assert fit.folds() is None
    assert learning_curve(fit, np.ones(4)) == []


def asked(rule: AskingRule, rounds: int, seed: int = 0) -> tuple[AnswersFit, F32, F32, I64]:
    """The fit after so many rounds of five; logits, vectors and truth of the archive."""
    archive, has_it = windows(4000, 0.01, seed=seed, apart=4.0)
    example, _ = windows(1, 1.0, seed=seed + 50, apart=4.0)
    dice = np.random.default_rng(seed)
    background = archive[dice.permutation(4000)[:400]]
    logits = -np.linalg.norm(archive - example, axis=1)
    numbers: list[int] = []
    for _ in range(rounds):
        askable = ~np.isin(np.arange(4000), numbers)
        numbers += choose_next(
            logits, askable, 5, vectors=lambda n: archive[n], near=near_itself, dice=dice, rule=rule
        ).tolist()
        clips = answers(archive[numbers], has_it[numbers] > 0, np.array(numbers) // 20)
        fit = AnswersFit(clips, Unanswered(background, example), rule)
        logits = fit.head.logits(archive)[:, 0]
    return fit, logits, archive, has_it


def test_fifty_answers_find_more_than_chance_would() -> None:
    fit, logits, _, has_it = asked(OURS, rounds=10)
    assert fit.clips.targets.sum() > 12, "chance finds one in two draws"
    assert has_it[np.argsort(-logits)[:40]].mean() > 0.7


def test_the_curve_is_judged_on_all_answers_and_ends_with_all() -> None:
    fit, logits, _archive, _has_it = asked(OURS, rounds=12)
    best = fit.head.logits(fit.clips.embeddings)[:, 0]
    curve = learning_curve(fit, archive_shares(best, logits))
    assert [point.answers for point in curve][-2:] == [30, 60]
    assert all(0 <= point.average_precision <= 1 for point in curve)
    assert curve == learning_curve(fit, archive_shares(best, logits)), "the same each time"
    metrics = pytest.importorskip("sklearn.metrics")
    fresh, truth = windows(4000, 0.01, seed=777, apart=4.0)
    true = metrics.average_precision_score(truth, fit.head.logits(fresh)[:, 0])
    assert curve[-1].average_precision == pytest.approx(true, abs=0.25)


def test_probabilities_are_what_comes_true_and_keep_the_order() -> None:
    fit, _, archive, has_it = asked(OURS, rounds=16)
    folds = fit.folds()
    assert folds is not None
    found = calibrated(fit, folds)
    assert found is not None
    head, held = found
    yes = fit.clips.targets[:, 0]
    assert held.probabilities.mean() == pytest.approx(yes.mean(), abs=0.1)
    before, after = fit.head.logits(archive)[:, 0], head.logits(archive)[:, 0]
    assert np.corrcoef(before, after)[0, 1] > 0.9999
    assert np.polyfit(before, after, 1)[0] > 0
    # Answers are no fair sample, but their scores decide which they are: sums hold for all.
    assert head.scores(archive)[:, 0].sum() == pytest.approx(has_it.sum(), rel=0.6)


def test_an_answer_of_several_windows_is_one() -> None:
    rows, _ = windows(120, 0.0, seed=4)
    index = np.repeat(np.arange(40), 3)
    yes = np.arange(40) % 4 == 0
    rows[yes[index], 0] += 5
    clips = answers(rows, yes, np.arange(40), index)
    fit = AnswersFit(clips, Unanswered(no_windows(), no_windows()))
    folds = fit.folds()
    assert folds is not None
    held = fit.held_out(folds)
    assert held is not None
    assert held.probabilities.shape == (40,)
    assert ((held.probabilities > 0.5) == yes).mean() > 0.9


def point(answered: int, value: float) -> LearntPoint:
    return LearntPoint(answered, value, math.nan, math.nan)


@pytest.mark.parametrize(
    ("curve", "positives", "expected"),
    [
        ([], 30, False),
        ([point(60, 0.9)], 30, False),
        ([point(30, 0.9), point(60, 0.91)], 30, True),
        ([point(30, 0.9), point(60, 0.91)], 9, False),
        ([point(15, 0.9), point(30, 0.9)], 30, False),
        ([point(30, 0.7), point(60, 0.8)], 30, False),
        ([point(30, 0.9), point(60, 0.85)], 30, True),
    ],
)
def test_asking_may_stop(curve: list[LearntPoint], positives: int, expected: bool) -> None:
    assert is_enough(curve, positives) is expected


def test_where_one_recording_has_nearly_every_yes_nothing_can_be_held_back() -> None:
    random = np.random.default_rng(0)
    yes = np.array([True] * 6 + [False] * 10)
    groups = np.array([0] * 6 + list(range(1, 11)))
    fit = AnswersFit(
        answers(random.random((16, SIZE)), yes, groups), Unanswered(no_windows(), no_windows())
    )
    assert lacking(fit.clips) == (0, 0, 1)
    assert fit.folds() is None
