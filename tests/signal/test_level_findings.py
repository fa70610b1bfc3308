# SPDX-License-Identifier: Apache-2.0
"""What is told of a recording's sound, and what is not told of a sound one."""

from __future__ import annotations

import numpy as np
import pytest

from oido.signal.decode.readers import ArrayReader
from oido.signal.level import SoundSums
from oido.signal.mixing import Mono
from tests.signal.sounds import noise, sine

RATE = 16_000
TONE = sine(440.0, RATE, 4 * RATE)


def findings(samples, block=None, channel="mix"):
    samples = np.asarray(samples, np.float32)
    samples = samples if samples.ndim == 2 else samples[:, None]
    mono = Mono(ArrayReader(samples, RATE).info, channel)
    block = block or len(samples)
    for start in range(0, len(samples), block):
        mono.push(samples[start : start + block])
    return mono.sums.findings(RATE)


SOUND = {
    "tone": TONE,
    "noise": noise(4 * RATE),
    "stereo": np.stack([noise(4 * RATE, 1), noise(4 * RATE, 2)], axis=1),
    "one channel": np.stack([TONE, TONE * 0], axis=1),
    "many channels": np.stack([noise(4 * RATE, seed) for seed in range(16)], axis=1),
    "a full peak": np.where(np.arange(4 * RATE) % RATE == 7, 1.0, TONE),
    "short": np.zeros(100),
}


@pytest.mark.parametrize("name", SOUND)
def test_nothing_is_told_of_what_is_sound(name):
    assert findings(SOUND[name]) == ()


FAULTS = {
    "opposite phase": np.stack([TONE, -TONE], axis=1),
    "clipping": np.clip(TONE * 4, -1.0, 32767 / 32768),
    "DC offset": TONE * 0.5 + 0.04,
    "digital silence": np.concatenate([TONE, np.zeros(3 * RATE)]),
}


@pytest.mark.parametrize("block", [None, 50, 4_099])
@pytest.mark.parametrize("name", FAULTS)
def test_each_fault_is_told_whatever_the_blocks(name, block):
    samples = FAULTS[name]
    found = findings(samples, block)
    assert len(found) == 1
    assert name in found[0]


def test_opposite_channels_are_told_which_option_helps_and_not_of_one_channel():
    assert "--channel 0" in findings(FAULTS["opposite phase"])[0]
    assert findings(FAULTS["opposite phase"], channel=0) == ()


def test_inserted_silence_is_no_digital_silence():
    mono = Mono(ArrayReader(np.zeros(1, np.float32), RATE).info)
    mono.push(np.concatenate([TONE, np.zeros(4 * RATE)]).astype(np.float32)[:, None])
    assert len(mono.sums.findings(RATE)) == 1
    assert mono.sums.findings(RATE, gaps_seconds=4.0) == ()


def test_the_sums_of_parts_are_those_of_the_whole():
    samples = np.stack([TONE, -TONE], axis=1).astype(np.float32)
    parts = []
    for start, stop in ((0, 20_000), (20_000, len(samples))):
        mono = Mono(ArrayReader(samples, RATE).info)
        mono.push(samples[start:stop])
        parts.append(mono.sums)
    added = SoundSums.added(parts)
    assert added.findings(RATE) == findings(samples)
    assert (added.frames, added.channels) == (len(samples), 2)
    assert SoundSums.added([]) == SoundSums()
