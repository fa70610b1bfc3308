# SPDX-License-Identifier: Apache-2.0
"""The picture of a recording shows what is known of it, and needs no window."""

from __future__ import annotations

import builtins
import shutil
from pathlib import Path

import numpy as np
import pytest
import soundfile

import oido

matplotlib = pytest.importorskip("matplotlib", reason="needs oido[plot]")

ROOT = Path(__file__).parents[2]


@pytest.fixture(scope="module")
def street(classifier):
    return classifier.classify(ROOT / "examples" / "street.flac")


def drawn(figure):
    """The bars of the events: row, start, end."""
    axes = figure.axes[2]
    paths = [path for bars in axes.collections for path in bars.get_paths()]
    boxes = [path.get_extents() for path in paths]
    return sorted((round((box.y0 + box.y1) / 2), box.x0, box.x1) for box in boxes)


def test_events_scores_and_spectrogram_are_those_of_the_result(street):
    figure = street.plot()
    sound, scores, events, _ = figure.axes
    names = [tick.get_text() for tick in events.get_yticklabels()]
    assert names == list(dict.fromkeys(event.label for event in street.events()))
    expected = sorted((names.index(e.label), e.start_time, e.end_time) for e in street.events())
    np.testing.assert_allclose(drawn(figure), expected)
    columns = [street.labels.index(name) for name in names]
    [mesh] = scores.collections
    np.testing.assert_array_equal(
        mesh.get_array().reshape(len(columns), -1), street.framewise_scores[:, columns].T
    )
    [image] = sound.images
    assert image.get_extent() == [0.0, 30.0, 0.0, 8.0]
    assert events.get_xlim() == (0.0, 30.0)
    assert "street.flac" in sound.get_title("left")


def test_the_spectrogram_shows_a_tone_where_it_is(classifier):
    time = np.arange(48_000) / 16_000
    tone = 0.3 * np.sin(2 * np.pi * 3_000 * time).astype(np.float32)
    tone[:24_000] = 0
    result = classifier.classify(tone, 16_000)
    [image] = result.plot(tone, 16_000).axes[0].images
    decibels = image.get_array()
    bins, columns = decibels.shape
    loudest = decibels[:, int(0.8 * columns)].argmax() / (bins - 1) * 8_000
    assert loudest == pytest.approx(3_000, abs=20)
    assert decibels[:, int(0.2 * columns)].max() < decibels.max() - 60


def test_without_the_sound_its_level_is_drawn(classifier):
    samples, rate = soundfile.read(ROOT / "examples" / "alarm.flac")
    result = classifier.classify(samples, rate)
    figure = result.plot()
    assert not figure.axes[0].images
    assert figure.axes[0].get_ylabel() == "level, dB"
    assert result.plot(samples, rate).axes[0].images


def test_a_file_that_is_gone_or_changed_is_no_error(classifier, tmp_path):
    path = tmp_path / "street.flac"
    shutil.copy(ROOT / "examples" / "street.flac", path)
    result = classifier.classify(path)
    path.write_text("no sound any more")
    assert not result.plot().axes[0].images
    path.unlink()
    assert not result.plot().axes[0].images
    with pytest.raises(oido.AudioNotFoundError):
        result.plot(path)


def test_what_is_long_is_drawn_by_its_level(classifier, monkeypatch):
    monkeypatch.setattr("oido.inference.result_plot._MOST_SECONDS", 10.0)
    result = classifier.classify(ROOT / "examples" / "street.flac")
    assert not result.plot().axes[0].images


def test_labels_and_options(street):
    figure = street.plot(labels=["Speech", "Dog"], threshold=0.4)
    names = [tick.get_text() for tick in figure.axes[2].get_yticklabels()]
    assert names == ["Speech", "Dog"]
    assert [row for row, _, _ in drawn(figure)] == [0]
    for labels in ("Speech", []):
        with pytest.raises(oido.OptionError, match="labels is a list of labels"):
            street.plot(labels=labels)
    with pytest.raises(oido.UnknownLabelError, match="Dog"):
        street.plot(labels=["Dgo"])


def test_without_any_event_the_highest_are_shown(street):
    figure = street.plot(threshold=1.0)
    assert drawn(figure) == []
    assert len(figure.axes[2].get_yticks()) == 5
    assert "no event" in figure.axes[2].get_title()


@pytest.mark.parametrize("n", [1, 400, 16_000])
def test_short_sounds(classifier, n):
    samples = np.random.default_rng(0).uniform(-0.3, 0.3, n)
    figure = classifier.classify(samples, 16_000).plot(samples, 16_000)
    assert figure._repr_png_().startswith(b"\x89PNG")


def test_names_are_no_formulas_and_no_state_is_left(street, tmp_path):
    before = dict(matplotlib.rcParams)
    path = tmp_path / "a $x$ _ ^.flac"
    shutil.copy(ROOT / "examples" / "alarm.flac", path)
    figure = oido.AudioClassifier(jobs=1).classify(path).plot()
    figure.savefig(tmp_path / "a.png", dpi=40)
    assert (tmp_path / "a.png").stat().st_size > 1_000
    assert figure._repr_png_().startswith(b"\x89PNG")
    assert dict(matplotlib.rcParams) == before


def test_without_matplotlib_the_extra_is_named(street, monkeypatch):
    real = builtins.__import__

    def without(name, *args, **options):
        if name.startswith("matplotlib"):
            raise ImportError(name)
        return real(name, *args, **options)

    monkeypatch.setattr(builtins, "__import__", without)
    with pytest.raises(oido.MissingExtraError, match=r"pip install 'oido\[plot\]'"):
        street.plot()
