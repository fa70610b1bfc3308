# SPDX-License-Identifier: Apache-2.0
"""A long recording takes no more memory than a short one."""

from __future__ import annotations

import subprocess
import sys

import numpy as np
import pytest
import soundfile

from tests.signal.decode.encoding import by_av
from tests.signal.sounds import channel_sines

RATE = 16_000

# On Linux the peak comes from /proc: getrusage's also counts the parent that was forked from.
PRINT_PEAK = """
import resource, sys
from pathlib import Path
from oido.params import Windowing
from oido.signal.decode import open_audio
from oido.signal.framing import WindowFramer
from oido.signal.mixing import mono_blocks
from oido.signal.resample import Resampler

with open_audio(sys.argv[1]) as reader:
    framer = WindowFramer(Windowing(16_000, 15_600, 7_680), 64)
    resampler = Resampler(reader.info.sample_rate_hz, 16_000)
    for mono in mono_blocks(reader):
        framer.push(resampler.push(mono))
    framer.push(resampler.flush())
status = Path("/proc/self/status")
if status.exists():
    peak = next(l.split()[1] for l in status.read_text().splitlines() if l.startswith("VmHWM"))
else:
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    peak = peak // 1024 if sys.platform == "darwin" else peak
print(framer.n_samples, peak)
"""


def heard_and_peak_megabytes(path):
    result = subprocess.run(
        [sys.executable, "-c", PRINT_PEAK, str(path)],
        capture_output=True,
        text=True,
        timeout=300,
        check=True,
    )
    samples, kilobytes = result.stdout.split()
    return int(samples), int(kilobytes) / 1024


def write_long(path, seconds, channels, **options):
    second = channel_sines(RATE, RATE, channels) + np.random.default_rng(0).normal(
        0.0, 0.01, (RATE, channels)
    )
    with soundfile.SoundFile(path, "w", RATE, channels, **options) as file:
        for _ in range(seconds):
            file.write(second)


@pytest.mark.skipif(sys.platform == "win32", reason="needs the resource module")
@pytest.mark.parametrize(
    "options",
    [
        pytest.param({"format": "FLAC", "subtype": "PCM_16"}, id="flac", marks=pytest.mark.slow),
        pytest.param({"format": "WAV", "subtype": "PCM_16"}, id="wav"),
    ],
)
def test_an_hour_takes_no_more_than_ten_seconds(tmp_path, options):
    write_long(tmp_path / "short", 10, 1, **options)
    write_long(tmp_path / "long", 3_600, 1, **options)
    short_samples, short_peak = heard_and_peak_megabytes(tmp_path / "short")
    long_samples, long_peak = heard_and_peak_megabytes(tmp_path / "long")
    assert (short_samples, long_samples) == (10 * RATE, 3_600 * RATE)
    # An hour as float32 would be 220 MB more; a few blocks are 4 MB.
    assert long_peak < short_peak + 24, (short_peak, long_peak)


@pytest.mark.slow
@pytest.mark.skipif(sys.platform == "win32", reason="needs the resource module")
def test_a_long_film_takes_no_more_than_a_short_one(tmp_path):
    for name, seconds in (("short", 10), ("long", 120)):
        samples = channel_sines(48_000, 48_000 * seconds, 2)
        (tmp_path / name).write_bytes(by_av(samples, 48_000, "matroska", "libopus"))
    short_samples, short_peak = heard_and_peak_megabytes(tmp_path / "short")
    long_samples, long_peak = heard_and_peak_megabytes(tmp_path / "long")
    assert (short_samples, long_samples) == (10 * RATE, 120 * RATE)
    # All of it as float32 would be 44 MB more.
    assert long_peak < short_peak + 16, (short_peak, long_peak)
