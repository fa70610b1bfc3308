# SPDX-License-Identifier: Apache-2.0
"""What oido and BirdNET's own programs find in the same recordings, and how it is compared."""

from __future__ import annotations

import json
import math
import subprocess
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
import soundfile
import soxr

import oido
from oido.models.fetch import fetch
from oido.models.registry import BIRDNET, card
from tests.peers.peers import interpreter

RATE, WINDOW_SECONDS = 48_000, 3.0

Found = dict[tuple[float, str], float]
"""Confidence by start and label, of one recording."""


RESAMPLED = 0.05
"""How much a confidence may differ where each program resamples a recording by its own filter."""


def published(shared_audio: Path) -> list[Path]:
    """Birds, at 44.1 and 22.05 kHz."""
    birds = shared_audio / "everyday" / "tuxpaint" / "animals" / "birds"
    return sorted(birds.glob("*.ogg"))


def make_recordings(shared_audio: Path, folder: Path) -> list[Path]:
    """The same as files of 48 kHz: nothing is resampled by who hears them."""
    made = []
    for path in published(shared_audio):
        samples, rate = soundfile.read(path, always_2d=True)
        made.append(folder / f"20260512_063000_{path.stem}.wav")
        waveform = soxr.resample(samples.mean(axis=1), rate, RATE)
        soundfile.write(made[-1], waveform, RATE, subtype="FLOAT")
    return made


def birdnet_files() -> tuple[Path, Path, Path]:
    """BirdNET's network, labels and model of places, as oido fetched them."""
    known = card(BIRDNET)
    network, labels, places = (fetch(each) for each in (known, *known.companions))
    return network, labels, places


def run_child(peer: str, *arguments: object) -> str:
    """What a peer's child, ``{peer}_child.py``, prints; skips without its environment."""
    script = Path(__file__).with_name(f"{peer.replace('-', '_')}_child.py")
    command = [str(interpreter(peer)), str(script), *map(str, arguments)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr[-2_000:]
    return done.stdout


def by_peer(peer: str, recordings: Sequence[Path], *arguments: object) -> list[Found]:
    """What a child finds that prints JSON."""
    lines = run_child(peer, *arguments, *recordings).splitlines()
    found: list[list[tuple[float, float, str, float]]] = json.loads(lines[-1])["found"]
    return [{(start, label): score for start, _, label, score in each} for each in found]


def by_oido(
    recordings: Sequence[Path], hop: float | str, least: float, **options: Any
) -> list[Found]:
    """What oido finds in windows."""
    classifier = oido.AudioClassifier(BIRDNET, hop=hop, score_threshold=least, **options)
    found: list[Found] = []
    for path in recordings:
        windows = classifier.classify(path).windows()
        found.append({(w.start_time, c.label): c.score for w in windows for c in w.categories})
    return found


def in_both(
    found: Sequence[Found], recordings: Sequence[Path], overlap: float, shortest: float
) -> list[Found]:
    """Detections of windows that both programs hear.

    shortest: of what is left of a recording, in seconds, less than which the peer leaves out. With
    overlap, peers also hear windows that begin where another has reached the end.
    """
    kept: list[Found] = []
    for each, path in zip(found, recordings, strict=True):
        left = seconds(path)
        kept.append(
            {
                (start, label): score
                for (start, label), score in each.items()
                if left - start >= shortest and (start == 0 or start + overlap < left)
            }
        )
    return kept


def seconds(path: Path) -> float:
    """How long a recording is."""
    return float(soundfile.info(path).duration)


def sigmoid(logit: float) -> float:
    return 1 / (1 + math.exp(-logit))


def logit(score: float) -> float:
    return math.log(score / (1 - score))


def assert_same(
    ours: Sequence[Found], theirs: Sequence[Found], least: float, within: float = 1e-5
) -> None:
    """The same detections; only what stands on the threshold may be on one side."""
    assert any(theirs)
    assert len(ours) == len(theirs)
    for own, other in zip(ours, theirs):
        for key in own.keys() | other.keys():
            if key in own and key in other:
                assert own[key] == pytest.approx(other[key], abs=within), key
            else:
                assert (own.get(key) or other[key]) == pytest.approx(least, abs=within), key
