# SPDX-License-Identifier: Apache-2.0
"""Fitting heads."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pytest

from oido.errors import OptionError
from oido.training.embeddings import EmbeddedClips, FurtherWindows, clip_probabilities
from oido.training.fit import PRIOR_CLIPS, LinearOptions, MlpOptions, fit_linear, fit_mlp
from oido.training.head import EmbeddingHead
from tests.training.embedded_sounds import SILENCE, made_clips, made_tags


def right(head: EmbeddingHead, seed: int = 9) -> float:
    clips = made_clips(20, seed=seed)
    probabilities = clip_probabilities(head.scores(clips.embeddings), clips, head.output)
    return float((probabilities.argmax(axis=1) == clips.labels).mean())


def test_heads_learn_what_classes_sound_like() -> None:
    clips = made_clips(12)
    assert right(fit_linear(clips)) >= 0.95
    assert right(fit_mlp(clips)) >= 0.95


def test_two_clips_a_class_are_enough_to_begin_with() -> None:
    assert right(fit_linear(made_clips(2))) >= 0.9


def test_feature_that_never_moves_does_no_harm() -> None:
    clips = made_clips(8)
    still = clips.embeddings.copy()
    still[:, 30:] = 0.25
    changed = replace(clips, embeddings=still, quiet=still[:1])
    head = fit_linear(changed)
    assert np.isfinite(head.layers[0].weights).all()
    scores = head.scores(still)
    assert (clip_probabilities(scores, changed, "softmax").argmax(axis=1) == clips.labels).all()


def test_the_quiet_is_of_no_class() -> None:
    clips = made_clips(12)
    head = fit_linear(clips)
    of_silence = head.scores(SILENCE[None])
    np.testing.assert_allclose(of_silence / of_silence.sum(), 1 / 3, atol=0.05)
    named = replace(clips, classes=("class 0", "Background", "class 2"))
    assert fit_linear(named).scores(SILENCE[None])[0, 1] > 0.45
    tags = made_tags()
    assert fit_linear(tags, LinearOptions(quiet=1.0)).scores(SILENCE[None]).max() < 0.3


def fit_hidden(clips: EmbeddedClips) -> EmbeddingHead:
    return fit_mlp(clips)


@pytest.mark.parametrize("fit", [fit_linear, fit_hidden])
def test_the_quiet_has_a_logit_of_its_own_that_leaves_the_classes_as_they_are(
    fit: Callable[[EmbeddedClips], EmbeddingHead],
) -> None:
    clips, test = made_clips(12, silent=0), made_clips(6, silent=0, seed=5)
    head = fit(clips)
    assert head.scores(SILENCE[None]).sum() < 0.3
    assert head.scores(test.embeddings).sum(axis=1).mean() > 0.9
    without = replace(head, quiet=None)
    shares = head.scores(test.embeddings)
    shares = shares / shares.sum(axis=1, keepdims=True)
    np.testing.assert_allclose(shares, without.scores(test.embeddings), atol=1e-6)
    np.testing.assert_array_equal(
        head.scaled(2).logits(SILENCE[None]), 2 * head.logits(SILENCE[None])
    )


def test_nothing_else_has_a_logit_of_the_quiet() -> None:
    clips = made_clips(12)
    assert fit_linear(clips).quiet is not None
    for other in (made_tags(), replace(clips, quiet=None), clips_with("Background")):
        assert fit_linear(other).quiet is None
    assert fit_linear(clips, LinearOptions(quiet=0.0)).quiet is None


def clips_with(name: str) -> EmbeddedClips:
    return replace(made_clips(12), classes=("class 0", name, "class 2"))


def test_linear_head_is_the_same_as_scikit_learns() -> None:
    linear_model = pytest.importorskip("sklearn.linear_model")
    clips = made_clips(10, windows=1, silent=0, noise=1.0)
    head = fit_linear(clips, LinearOptions(3.0, quiet=0.0, square_root=False))
    variance = clips.embeddings.var(axis=0)
    drawn = (30 * variance + PRIOR_CLIPS * variance.mean()) / (30 + PRIOR_CLIPS)
    x = (clips.embeddings - clips.embeddings.mean(axis=0)) / drawn**0.25
    x = x / np.sqrt((x**2).sum(axis=1).mean())
    other = linear_model.LogisticRegression(C=3.0, max_iter=1000).fit(x, clips.labels)
    np.testing.assert_allclose(head.scores(clips.embeddings), other.predict_proba(x), atol=0.01)


def test_rare_class_weighs_as_much_as_common_ones() -> None:
    clips = made_clips(20, 2, noise=2.0, windows=1, silent=0)
    few = clips.subset(np.r_[0:20, 20:23])
    shares = {
        balance: fit_linear(few, LinearOptions(0.1, balance=balance))
        .scores(clips.embeddings)
        .mean(axis=0)
        for balance in (True, False)
    }
    assert shares[True][1] > shares[False][1] + 0.1


def test_tags_are_heard_each_by_itself_also_where_some_are_not_known() -> None:
    head = fit_linear(made_tags(80, unknown=0.3))
    test = made_tags(50, seed=5)
    assert head.output == "sigmoid"
    found = clip_probabilities(head.scores(test.embeddings), test, "sigmoid") >= 0.5
    assert (found == (test.targets > 0)).mean() >= 0.95


def test_unknown_targets_teach_nothing() -> None:
    clips = made_tags(60)
    targets = clips.targets.copy()
    targets[30:, 1] = np.nan
    hidden = fit_linear(replace(clips, targets=targets), LinearOptions(square_root=False))
    random = np.random.default_rng(0)
    wrong = clips.targets.copy()
    wrong[30:, 1] = random.integers(0, 2, 30)
    misled = fit_linear(replace(clips, targets=wrong), LinearOptions(square_root=False))
    test = made_tags(60, seed=3)
    errors = [
        np.abs(
            clip_probabilities(h.scores(test.embeddings), test, "sigmoid")[:, 1]
            - test.targets[:, 1]
        ).mean()
        for h in (hidden, misled)
    ]
    assert errors[0] < 0.6 * errors[1]


def test_square_root_is_for_embeddings_that_are_never_negative() -> None:
    clips = made_clips(3)
    assert fit_linear(clips).square_root
    below = replace(clips, embeddings=clips.embeddings - 1)
    assert not fit_linear(below).square_root


def test_fits_repeat_bit_for_bit() -> None:
    clips = made_clips(6)
    for fit in (lambda: fit_linear(clips), lambda: fit_mlp(clips, seed=3)):
        a, b = fit(), fit()
        for x, y in zip(a.layers, b.layers):
            assert x.weights.tobytes() == y.weights.tobytes()
            assert x.bias.tobytes() == y.bias.tobytes()
    other = fit_mlp(clips, seed=4).layers[0].weights
    assert other.tobytes() != fit_mlp(clips, seed=3).layers[0].weights.tobytes()


def test_options_that_make_no_sense_are_refused() -> None:
    with pytest.raises(OptionError, match="strength"):
        LinearOptions(strength=0)
    with pytest.raises(OptionError, match="hidden"):
        MlpOptions(hidden=0)


def with_copies() -> EmbeddedClips:
    """Clips of class 0 were recorded in another place than the others; their copies anywhere."""
    clips = made_clips(6, noise=0.2)
    place = (clips.labels[clips.clip_index] == 0).astype(np.float32)
    moved = clips.embeddings.copy()
    random = np.random.default_rng(0)
    moved[:, 20:] += random.random((len(moved), 1), np.float32)
    rows = clips.embeddings.copy()
    rows[:, 20:] += place[:, None]
    nothing_beside = np.full(len(moved), -1, np.int64)
    extra = FurtherWindows(moved, clips.clip_index, np.ones(len(moved)), nothing_beside)
    return replace(clips, embeddings=rows, extra=extra)


def test_copies_teach_what_does_not_matter() -> None:
    """Recorded anywhere, sounds are told better by heads whose copies were recorded anywhere."""
    clips, new = with_copies(), made_clips(20, seed=9)
    anywhere = new.embeddings.copy()
    anywhere[:, 20:] += np.random.default_rng(1).random((len(anywhere), 1), np.float32)
    right = []
    for share in (0.0, 0.5):
        head = fit_linear(clips, LinearOptions(copies=share))
        p = clip_probabilities(head.scores(anywhere), new, head.output)
        right.append(float((p.argmax(axis=1) == new.labels).mean()))
    assert right[1] >= right[0] + 0.05


def test_copies_count_nothing_at_a_share_of_none() -> None:
    clips = with_copies()
    for fit, options in (
        (fit_linear, LinearOptions(copies=0.0)),
        (fit_mlp, MlpOptions(copies=0.0)),
    ):
        with_them, without = fit(clips, options), fit(replace(clips, extra=None), options)
        for a, b in zip(with_them.layers, without.layers):
            assert a.weights.tobytes() == b.weights.tobytes()


@pytest.mark.parametrize("options", [LinearOptions, MlpOptions])
def test_share_of_copies_is_from_none_to_all(
    options: type[LinearOptions] | type[MlpOptions],
) -> None:
    for wrong in (-0.1, 1.1, float("nan")):
        with pytest.raises(OptionError, match="copies is a share"):
            options(copies=wrong)


def test_one_thread_is_for_scipys_products_too() -> None:
    """In a process that has not loaded SciPy yet, as the command line's."""
    script = """
import sys
from oido.training.fit import one_thread
assert "scipy" not in sys.modules
with one_thread():
    from scipy.optimize import minimize
    from threadpoolctl import threadpool_info
    print([pool["num_threads"] for pool in threadpool_info() if pool["user_api"] == "blas"])
"""
    environment = {k: v for k, v in os.environ.items() if not k.endswith("_NUM_THREADS")}
    done = subprocess.run(
        [sys.executable, "-c", script],
        capture_output=True,
        text=True,
        check=False,
        env={**environment, "OPENBLAS_NUM_THREADS": "2"},
    )
    assert not done.stderr
    threads = json.loads(done.stdout)
    assert threads
    assert set(threads) == {1}


def test_clips_of_one_label_have_the_weaker_penalty() -> None:
    """As it was chosen on sets of one label each; tags keep the other."""
    for clips, strength, other in ((made_clips(6), 30.0, 10.0), (made_tags(), 10.0, 30.0)):
        default = fit_linear(clips).layers[0].weights
        same = fit_linear(clips, LinearOptions(strength=strength)).layers[0].weights
        np.testing.assert_array_equal(default, same)
        different = fit_linear(clips, LinearOptions(strength=other)).layers[0].weights
        assert not np.allclose(default, different, rtol=1e-2)
