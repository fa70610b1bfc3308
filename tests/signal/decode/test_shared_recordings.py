# SPDX-License-Identifier: Apache-2.0
"""Odd files from the wild, against what ffmpeg made of each."""

from __future__ import annotations

import csv
from pathlib import Path

import pytest

from oido.errors import AudioError
from oido.signal.decode import open_audio
from oido.signal.mixing import mono_blocks


@pytest.fixture(scope="module")
def odd_files(shared_audio: Path) -> list[dict[str, str]]:
    with open(shared_audio / "decode" / "clips.csv", encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file))
    assert len(rows) > 100
    return rows


def audio_seconds(path: Path) -> float:
    with open_audio(path) as reader:
        return sum(map(len, mono_blocks(reader))) / reader.info.sample_rate_hz


def test_what_ffmpeg_decodes_is_decoded_to_the_same_length(shared_audio, odd_files):
    problems = []
    for row in odd_files:
        if row["decodable"] != "1":
            continue
        expected = float(row["seconds_by_ffmpeg"])
        try:
            seconds = audio_seconds(shared_audio / "decode" / row["file"])
        except AudioError as error:
            problems.append(f"{row['file']} ({row['codec']}): {error}")
            continue
        if abs(seconds - expected) > max(0.05 * expected, 0.06):
            problems.append(
                f"{row['file']} ({row['codec']}): {seconds:.3f} s and not {expected:.3f}"
            )
    assert not problems, "\n".join(problems)


def test_what_ffmpeg_cannot_decode_fails_cleanly(shared_audio, odd_files):
    problems = []
    for row in odd_files:
        if row["decodable"] == "1":
            continue
        path = shared_audio / "decode" / row["file"]
        try:
            problems.append(f"{row['file']}: gave {audio_seconds(path):.3f} s")
        except AudioError as error:
            reason = str(error).removeprefix(f"{path}: ")
            if reason == str(error) or len(reason) < 10:
                problems.append(f"{row['file']}: the message does not say it: {error}")
    assert not problems, "\n".join(problems)
