# SPDX-License-Identifier: Apache-2.0
"""The worst mistakes come first, and a few seconds of each are to be heard and seen."""

from __future__ import annotations

import io
import math
from pathlib import Path

import numpy as np
import pytest
import soundfile

from oido.datasets.clip import Clip
from oido.evaluation.mistakes import SECONDS, excerpt, worst_mistakes
from tests.evaluation.made_predictions import judged, random_judged

pytest.importorskip("sklearn")
pytest.importorskip("matplotlib")


STREET = Path(__file__).parents[2] / "examples" / "street.flac"


def test_an_excerpt_ends_with_its_clip(tmp_path: Path) -> None:
    tone = 0.3 * np.sin(2 * np.pi * 1_000 * np.arange(48_000 * 2) / 48_000)
    soundfile.write(tmp_path / "tone.wav", np.stack([tone, tone], 1), 48_000)
    found = excerpt(Clip(str(tmp_path / "tone.wav"), start_time=0.5, end_time=1.25), 0.1)
    assert found is not None
    assert (found.start, found.seconds) == (0.5, pytest.approx(0.75))
    assert soundfile.info(io.BytesIO(found.flac)).samplerate == 24_000
    assert found.log_mel.shape == (1 + (12_000 - 400) // 160, 64)
    band = found.log_mel.mean(axis=0).argmax()
    edges = np.linspace(*(1127 * np.log1p(np.array([125, 7_500]) / 700)), 66)
    assert edges[band] < 1127 * np.log1p(1_000 / 700) < edges[band + 2]
    assert excerpt(Clip(str(tmp_path / "gone.wav"))) is None


def test_worst_mistakes_come_first() -> None:
    said = [[0.6, 0.4], [0.1, 0.9], [0.9, 0.1], [0.4, 0.6]]
    found = worst_mistakes(judged([[1, 0]] * 4, said))
    assert [mistake.clip.path for mistake in found] == ["1.wav", "3.wav"]
    assert [mistake.severity for mistake in found] == pytest.approx([0.8, 0.2])
    several = judged([[1, 1], [0, 0]], [[0.9, 0.3], [0.9, 0.1]], multi_label=True)
    first, second = worst_mistakes(several)
    assert (first.clip.path, first.label, first.severity) == ("1.wav", "owl", pytest.approx(0.9))
    assert (first.truth, first.predicted) == ("(no event)", "owl")
    assert (second.truth, second.predicted, second.label) == ("owl, wren", "owl", "wren")
    assert len(worst_mistakes(random_judged(200, skill=0))) == 12


def test_what_nobody_labelled_and_what_is_right_are_no_mistakes() -> None:
    unknown = judged([[np.nan, np.nan], [1, 0], [0, 1]], [[0.9, 0.1], [0.9, 0.1], [0.9, 0.1]])
    [mistake] = worst_mistakes(unknown)
    assert (mistake.clip.path, mistake.severity) == ("2.wav", pytest.approx(0.8))
    partly = judged([[np.nan, 0], [1, np.nan]], [[0.9, 0.8], [0.9, 0.9]], multi_label=True)
    [mistake] = worst_mistakes(partly)
    assert (mistake.label, mistake.value) == ("wren", pytest.approx(0.8))


def test_equal_ones_stay_in_the_order_of_the_clips() -> None:
    found = worst_mistakes(judged([[1, 0]] * 5, [[0.1, 0.9]] * 5), count=3)
    assert [mistake.clip.path for mistake in found] == ["0.wav", "1.wav", "2.wav"]
    assert all(math.isnan(mistake.centre) for mistake in found)  # windows are not known


def test_an_excerpt_is_where_the_class_is_strongest() -> None:
    found = excerpt(Clip(str(STREET)), centre=20.0)
    assert found is not None
    assert (found.start, found.seconds) == (20.0 - SECONDS / 2, SECONDS)
    at_start = excerpt(Clip(str(STREET), start_time=3.0), centre=0.2)
    assert at_start is not None
    assert at_start.start == 3.0  # never before its clip
    unknown = excerpt(Clip(str(STREET)))
    assert unknown is not None
    assert unknown.start == 0.0
