# SPDX-License-Identifier: Apache-2.0
"""The fixed-point front end: stored numbers bit for bit, the float formula closely, C exactly."""

from __future__ import annotations

import json
import shutil
import subprocess
from pathlib import Path

import numpy as np
import pytest

from oido.errors import OptionError
from oido.mel import student_mel_matrix
from oido.params import FixedPointParams
from oido.signal.fixed_point import FixedPointFrontEnd, FixedPointTables, to_int16
from oido.writers.c_array import c_array
from tests.vectors.fixed_point import FILE, SIGNALS, digest

ROOT = Path(__file__).parents[2]
PARAMS = FixedPointParams()


@pytest.fixture(scope="module")
def front_end() -> FixedPointFrontEnd:
    return FixedPointFrontEnd()


@pytest.mark.parametrize("name", list(SIGNALS))
def test_frames_are_the_stored_ones_bit_for_bit(name: str, front_end: FixedPointFrontEnd) -> None:
    stored = json.loads(FILE.read_text(encoding="utf-8"))["signals"][name]
    samples = SIGNALS[name]()
    assert samples[:8].tolist() == stored["first_samples"]
    frames = front_end.frames(samples)
    assert frames[0].tolist() == stored["first_frame"]
    assert digest(frames) == stored["frames_sha256"]


def test_tables_are_the_stored_ones() -> None:
    stored = json.loads(FILE.read_text(encoding="utf-8"))["tables_sha256"]
    tables = vars(FixedPointTables.of(PARAMS))
    assert {name: digest(values) for name, values in tables.items()} == stored


def float_log_mel(samples: np.ndarray) -> np.ndarray:
    """The same front end in float64, by NumPy's FFT and logarithm, in octaves above silence; the
    window as it is in the table, for its rounding is no louder than that of samples of 16 bits."""
    frames = np.lib.stride_tricks.sliding_window_view(samples, 512)[::320]
    hann = 0.5 - 0.5 * np.cos(2 * np.pi * np.arange(512) / 512)
    window = FixedPointTables.of(PARAMS).window / 32_768
    assert np.abs(window - hann).max() <= 1 / 32_768
    magnitudes = np.abs(np.fft.rfft(frames * window)) * 128
    return np.log2(magnitudes @ student_mel_matrix(PARAMS) + 4096) - 12


@pytest.mark.parametrize("level", [0.9, 0.1, 0.01, 0.001])
def test_it_is_close_to_the_float_formula(level: float, front_end: FixedPointFrontEnd) -> None:
    dice = np.random.default_rng(1)
    time = np.arange(16_000) / 16_000
    sounds = [
        dice.normal(0, level / 4, 16_000),
        level * np.sin(2 * np.pi * 440 * time),
        level * np.sin(2 * np.pi * (200 + 3_000 * time) * time),
        np.where(np.arange(16_000) % 2_000 == 7, level, 0.0),
    ]
    for sound in sounds:
        samples = to_int16(np.clip(sound, -1, 1).astype(np.float32))
        blocks = np.lib.stride_tricks.sliding_window_view(samples, 512)[::320]
        magnitudes = front_end.magnitudes(front_end.spectrum(front_end.windowed(blocks)))
        expected = float_log_mel(samples)
        difference = np.abs(front_end.log_mel(magnitudes) / 4096 - expected)
        assert difference.max() < 0.05  # octaves, beside a loud tone; a step is 0.0625
        assert np.median(difference) < 0.005
        steps = np.clip(16 * expected - 128, -128, 127)
        assert np.abs(front_end.frames(samples) - steps).max() < 1.5


def test_nothing_leaves_its_bits_at_full_scale(front_end: FixedPointFrontEnd) -> None:
    for samples in (
        np.full(512, -32_768),
        np.tile([32_767, -32_768], 256),
        np.sign(np.sin(2 * np.pi * 37 * np.arange(512) / 512) + 0.01).astype(np.int64) * 32_767,
    ):
        windowed = front_end.windowed(samples[None].astype(np.int64))
        assert np.abs(windowed).max() < 1 << 22
        real, imaginary = front_end.spectrum(windowed)
        assert max(np.abs(real).max(), np.abs(imaginary).max()) < 1 << 31
        assert front_end.magnitudes((real, imaginary)).max() < 1 << 31
        assert front_end.frames(samples.astype(np.int64)).shape == (1, 40)


def test_patches_share_frames_and_each_is_what_it_would_be_alone(
    front_end: FixedPointFrontEnd,
) -> None:
    windows = PARAMS.windows
    assert (windows.window_samples, windows.hop_samples) == (15_552, 7_680)
    samples = 2 * windows.hop_samples + windows.window_samples
    waveform = np.random.default_rng(2).normal(0, 0.1, samples).astype(np.float32)
    patches = front_end.patches(waveform, windows.hop_samples)
    assert patches.shape == (3, 48, 40, 1)
    assert patches.dtype == np.int8
    for number, patch in enumerate(patches):
        start = number * windows.hop_samples
        alone = waveform[start : start + windows.window_samples]
        np.testing.assert_array_equal(front_end.patches(alone, windows.hop_samples)[0], patch)


def test_silence_is_the_least_and_samples_are_held_at_the_ends(
    front_end: FixedPointFrontEnd,
) -> None:
    assert (front_end.frames(np.zeros(512, np.int64)) == -128).all()
    assert to_int16(np.array([-2, -1, 0, 0.5, 1, 2], np.float32)).tolist() == [
        *(-32_768, -32_768, 0, 16_384, 32_767, 32_767)
    ]


def test_too_many_bands_are_refused() -> None:
    with pytest.raises(OptionError, match="128 bands are too many for an FFT of 512"):
        FixedPointTables.of(FixedPointParams(bands=128))


def test_the_twin_in_c_gives_the_same_frames(tmp_path: Path, front_end: FixedPointFrontEnd) -> None:
    compiler = shutil.which("cc") or shutil.which("gcc") or shutil.which("clang")
    if compiler is None:
        pytest.skip("there is no C compiler here")
    (tmp_path / "tables.c").write_text(table_declarations())
    (tmp_path / "main.c").write_text(
        "#include <stdint.h>\n#include <stdio.h>\n"
        "void oido_frame(const int16_t *samples, int8_t *features);\n"
        "int main(void) {\n  static int16_t s[512];\n  int8_t f[40];\n"
        "  while (fread(s, 2, 512, stdin) == 512) {\n"
        "    oido_frame(s, f);\n    fwrite(f, 1, 40, stdout);\n  }\n  return 0;\n}\n"
    )
    twin = ROOT / "examples" / "microcontroller" / "front_end.c"
    sources = [str(tmp_path / "main.c"), str(tmp_path / "tables.c"), str(twin)]
    program = str(tmp_path / "front_end")
    flags = ["-std=c99", "-O2", "-Wall", "-Werror"]
    subprocess.run([compiler, *flags, *sources, "-o", program], check=True)
    for name, make in SIGNALS.items():
        samples = make()
        blocks = np.lib.stride_tricks.sliding_window_view(samples, 512)[::320].astype("<i2")
        done = subprocess.run([program], input=blocks.tobytes(), capture_output=True, check=True)
        found = np.frombuffer(done.stdout, np.int8).reshape(-1, 40)
        np.testing.assert_array_equal(found, front_end.frames(samples), err_msg=name)


def table_declarations() -> str:
    """The tables as a student's C file has them."""
    return "#include <stdint.h>\n" + "\n".join(
        c_array(name, kind, values) for name, kind, values in FixedPointTables.of(PARAMS).for_c()
    )
