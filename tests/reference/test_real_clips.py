# SPDX-License-Identifier: Apache-2.0
"""On real recordings, oido's scores are those of the untouched model on the same samples.

The waveform comes from oido's decoder and resampler (they have tests of their own); the windows are
cut here by hand, and run through the published file one by one.
"""

from __future__ import annotations

import csv

import numpy as np
import pytest

from oido.signal.decode import open_audio
from oido.signal.mixing import mono_blocks
from oido.signal.resample import Resampler

FOLDERS = ("esc10", "everyday", "three-events")
LONGEST_SECONDS = 30
"""Of a long recording, only the start is compared."""


def waveform_of(path) -> np.ndarray:
    """f32[n] at 16 kHz, in one piece."""
    with open_audio(path) as reader:
        mono = np.concatenate(list(mono_blocks(reader)))
        resampler = Resampler(reader.info.sample_rate_hz, 16_000)
    return np.concatenate([resampler.push(mono), resampler.flush()])


def compare(shared_audio, folder, every, classifier, untouched, capsys) -> None:
    with open(shared_audio / folder / "clips.csv", encoding="utf-8", newline="") as file:
        paths = [shared_audio / folder / row["file"] for row in csv.DictReader(file)][::every]
    windows = unequal = 0
    largest, faults = 0.0, []
    for path in paths:
        waveform = waveform_of(path)
        expected = untouched.scores(waveform[: LONGEST_SECONDS * 16_000])
        # Of a recording that is cut, the last window has zeros where oido hears sound.
        whole = len(waveform) <= LONGEST_SECONDS * 16_000
        expected = expected if whole else expected[:-1]
        scores = classifier.classify(path).scores
        if whole and len(scores) != len(expected):
            faults.append(f"{path.name}: {len(scores)} windows, not {len(expected)}")
        scores = scores[: len(expected)]
        windows += len(expected)
        unequal += int((scores != expected).any(axis=1).sum())
        largest = max(largest, float(np.abs(scores - expected).max()))
        if not np.array_equal(scores.argmax(axis=1), expected.argmax(axis=1)):
            faults.append(f"{path.name}: another best label")
    with capsys.disabled():
        print(
            f"\n{folder}: {len(paths)} clips, {windows} windows compared with the untouched model, "
            f"{unequal} not exactly equal, largest difference {largest:g}"
        )
    assert not faults
    assert largest <= 1 / 256
    assert windows >= len(paths) > 0


@pytest.mark.parametrize("folder", FOLDERS)
def test_every_sixth_clip(shared_audio, folder, classifier, untouched, capsys):
    compare(shared_audio, folder, 6, classifier, untouched, capsys)


@pytest.mark.slow
@pytest.mark.parametrize("folder", FOLDERS)
def test_every_clip(shared_audio, folder, classifier, untouched, capsys):
    compare(shared_audio, folder, 1, classifier, untouched, capsys)
