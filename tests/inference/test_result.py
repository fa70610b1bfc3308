# SPDX-License-Identifier: Apache-2.0
"""What follows from scores: clips, categories and events, on scores made by hand."""

from __future__ import annotations

import numpy as np
import pytest

import oido
from oido.errors import OptionError, UnknownLabelError
from oido.heads import Head
from oido.inference.block import Block
from oido.inference.postprocess import make_postprocessors
from oido.inference.result import ClassificationResult, Prediction
from oido.params import Selection, Windowing
from oido.signal.decode import AudioInfo
from oido.types import Category, Event

LABELS = ("Speech", "Dog", "Music")
SCORES = np.array(
    [[0.5, 0.0, 0.25], [0.5, 0.0, 0.25], [0.0, 0.75, 0.25], [0.0, 0.75, 0.25]], np.float32
)
N_SAMPLES = 38_640 - 3_900
"""A quarter of the last window is padding."""


@pytest.fixture
def make():
    def result(selection=None, aggregation="mean"):
        selection, head = selection or Selection(), Head("scores", LABELS)
        windowing = Windowing(16_000, 15_600, 7_680)
        assert windowing.count(N_SAMPLES) == 4
        windows = Block(
            0,
            SCORES,
            np.zeros((4, 2), np.float32),
            weights=np.array([1.0, 1.0, 1.0, 0.75]),
            loudness=np.array([1.0, 1.0, 1.0, 0.5]),
            times=windowing.times(0, 4),
        )
        info = AudioInfo("made.wav", 16_000, 1, None, "none", "array")
        prediction = Prediction(info, windowing, N_SAMPLES, windows, aggregation=aggregation)
        processors = make_postprocessors((head,), head, selection, locale="en", rolls_up=False)
        return ClassificationResult(prediction, processors, "scores")

    return result


def test_times_duration_and_padding(make):
    result = make()
    assert result.times.tolist() == [[0.0, 0.975], [0.48, 1.455], [0.96, 1.935], [1.44, 2.415]]
    assert result.duration == 34_740 / 16_000
    assert result.padded_share == 0.25
    assert result.damaged_packets == 0


def test_clip_scores_by_each_aggregation(make):
    np.testing.assert_allclose(make().clip_scores, [1.0 / 3.75, 1.3125 / 3.75, 0.25], rtol=1e-6)
    np.testing.assert_allclose(make().clip("max"), [0.5, 0.75, 0.25])
    np.testing.assert_allclose(make().clip("top-k-mean"), [1 / 3, 1.3125 / 3, 0.25], rtol=1e-6)
    np.testing.assert_array_equal(make(aggregation="max").clip_scores, [0.5, 0.75, 0.25])
    np.testing.assert_array_equal(make(aggregation="max").clip("mean"), make().clip_scores)
    with pytest.raises(OptionError, match="mean, max, top-k-mean"):
        make().clip("median")


def test_top(make):
    assert [c.label for c in make().top()] == ["Dog", "Speech", "Music"]
    assert make().top(1, "max") == [Category("Dog", 1, 0.75)]
    assert [c.label for c in make(Selection(max_results=2)).top(3)] == ["Dog", "Speech"]
    assert [c.label for c in make(Selection(score_threshold=0.25)).top()] == [
        "Dog",
        "Speech",
        "Music",
    ]
    assert make().top()[0].probability is None


def test_a_negative_top_is_an_option_error(make):
    with pytest.raises(OptionError):
        make().top(-1)


def test_windows(make):
    windows = make(Selection(score_threshold=0.25)).windows(1)
    assert [(w.start_time, w.end_time) for w in windows] == [
        (0.0, 0.975),
        (0.48, 1.455),
        (0.96, 1.935),
        (1.44, 2.415),
    ]
    assert [[c.label for c in w.categories] for w in windows] == [["Speech"]] * 2 + [["Dog"]] * 2
    assert len(make().windows()[0].categories) == 3


def test_events(make):
    """The cells meet at sample 2 · 7,680 + 3,960; the recording ends at 34,740."""
    border, end = 19_320 / 16_000, 34_740 / 16_000
    two = [Event("Speech", 0, 0.0, border, 0.5), Event("Dog", 1, border, end, 0.75)]
    assert make().events() == [two[0], Event("Music", 2, 0.0, end, 0.25), two[1]]
    assert make().events(0.26) == two
    assert make().events(0.6) == [Event("Dog", 1, border, end, 0.75)]
    assert make().events(0.6, thresholds={"Dog": 0.8, "music": 0.2}) == [
        Event("Music", 2, 0.0, end, 0.25)
    ]
    assert [e.label for e in make().events(min_duration=1.0)] == ["Speech", "Music"]
    assert make().events(1.0) == []


def test_events_follow_the_lists_and_a_threshold_of_their_own_comes_first(make):
    selection = Selection(category_denylist=("Dog",), score_threshold=0.99)
    assert [e.label for e in make(selection).events(0.2)] == ["Speech", "Music"]
    assert make(selection).events() == []


@pytest.mark.parametrize(
    ("options", "error"),
    [
        ({"threshold": 1.5}, OptionError),
        ({"threshold": float("nan")}, OptionError),
        ({"off_ratio": -0.1}, OptionError),
        ({"min_duration": -1}, OptionError),
        ({"merge_gap": float("nan")}, OptionError),
        ({"thresholds": {"Dog": 2}}, OptionError),
        ({"thresholds": {"Dgo": 0.5}}, UnknownLabelError),
    ],
)
def test_wrong_options_of_events(make, options, error):
    with pytest.raises(error):
        make().events(**options)


def test_asking_changes_nothing(make):
    result, before = make(), SCORES.copy()
    result.top(2), result.windows(), result.events(), result.clip("max"), repr(result)
    np.testing.assert_array_equal(result.scores, before)


def test_the_repr_says_what_was_heard(make):
    assert repr(make()).startswith("<made.wav: 2.17 s, 4 windows, Dog 0.35, Speech 0.27")


def test_options_act_on_events_windows_and_top_alike(make):
    """The strongest event, of those that reach the threshold, of the labels that are wanted."""
    every = make().events(0.2)
    assert len({e.label for e in every}) > 1
    chosen = make(Selection(score_threshold=0.2)).events()
    assert chosen == every
    strongest = max(every, key=lambda e: e.score)
    assert make(Selection(max_results=1, score_threshold=0.2)).events() == [strongest]
    assert make(Selection(score_threshold=0.9)).events(0.2) == every  # its own comes first
    [label] = {e.label for e in make(Selection(category_allowlist=["Dog"])).events(0.01)}
    assert label == "Dog"


@pytest.mark.parametrize("name", ["category_allowlist", "category_denylist"])
def test_a_label_where_a_list_is_wanted_is_refused(name):
    with pytest.raises(OptionError, match=rf"{name} is a list of labels, such as \['Dog'\]"):
        oido.AudioClassifier(**{name: "Dog"})
