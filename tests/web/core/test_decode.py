# SPDX-License-Identifier: Apache-2.0
"""Files, as the browser decodes them, beside what Python decodes."""

from __future__ import annotations

import io
import struct
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile
from numpy.typing import NDArray

from oido.signal.decode import open_audio
from oido.signal.mixing import mono_blocks
from tests.web.core.site import floats

_DECODE = """async ({ rate }) => {
  const { decodeFile } = await import("/core/decode.js");
  const { packed } = await import("/tests/hearing.mjs");
  const bytes = await (await fetch("/sound")).arrayBuffer();
  try {
    const { samples, ...about } = await decodeFile(new File([bytes], "sound"), rate);
    return { samples: packed([samples]), ...about };
  } catch (error) {
    return { kind: error.kind, message: error.message };
  }
}"""

KINDS = ("PCM_U8", "PCM_16", "PCM_24", "PCM_32", "FLOAT", "DOUBLE")


def decoded(core: Any, files: dict[str, bytes | Path], content: bytes, rate: int = 16_000) -> Any:
    files["sound"] = content
    return core.evaluate(_DECODE, {"rate": rate})


def written(
    samples: NDArray[np.float32], rate: int = 16_000, kind: str = "PCM_16", container: str = "WAV"
) -> bytes:
    file = io.BytesIO()
    soundfile.write(file, samples, rate, subtype=kind, format=container)
    return file.getvalue()


def by_python(content: bytes) -> NDArray[np.float32]:
    return np.concatenate(list(mono_blocks(open_audio(content))))


@pytest.mark.parametrize("container", ["WAV", "WAVEX"])
@pytest.mark.parametrize("kind", KINDS)
def test_wav_at_the_models_rate_is_what_python_gets(
    core: Any,
    files: dict[str, bytes | Path],
    street: NDArray[np.float32],
    kind: str,
    container: str,
) -> None:
    for channels in (1, 2, 3):
        pieces = [street[n : n + 5_001] * (0.9 - 0.1 * n) for n in range(channels)]
        content = written(np.stack(pieces, axis=1), kind=kind, container=container)
        found = decoded(core, files, content)
        expected = by_python(content)
        assert np.array_equal(floats(found["samples"], 1)[:, 0], expected)
        assert found["duration"] == 5_001 / 16_000


def test_flac_at_the_models_rate_is_what_python_gets(
    core: Any, files: dict[str, bytes | Path], street: NDArray[np.float32]
) -> None:
    for channels in (1, 2):
        pieces = [street[n : n + 50_001] * (0.9 - 0.1 * n) for n in range(channels)]
        content = written(np.stack(pieces, axis=1), container="FLAC")
        found = floats(decoded(core, files, content)["samples"], 1)[:, 0]
        assert np.array_equal(found, by_python(content))


@pytest.mark.parametrize("size", [0, 0xFFFF_FFFF])
def test_wav_whose_recorder_was_cut_off(
    core: Any, files: dict[str, bytes | Path], street: NDArray[np.float32], size: int
) -> None:
    content = bytearray(written(street[:20_000]))
    at = content.index(b"data") + 4
    content[at : at + 4] = struct.pack("<I", size)
    found = floats(decoded(core, files, bytes(content))["samples"], 1)[:, 0]
    assert np.array_equal(found, street[:20_000])


def test_chunks_before_the_sound_are_passed_over(
    core: Any, files: dict[str, bytes | Path], street: NDArray[np.float32]
) -> None:
    content = written(street[:2_000])
    junk = b"JUNK" + struct.pack("<I", 7) + b"1234567\0"
    found = decoded(core, files, content[:12] + junk + content[12:])
    assert np.array_equal(floats(found["samples"], 1)[:, 0], street[:2_000])


@pytest.mark.parametrize(("container", "kind"), [("FLAC", "PCM_16"), ("OGG", "VORBIS")])
def test_other_formats_are_decoded_by_the_browser(
    core: Any,
    files: dict[str, bytes | Path],
    street: NDArray[np.float32],
    container: str,
    kind: str,
) -> None:
    stereo = np.stack([street[:64_000], street[64_000:128_000]], axis=1)
    content = written(stereo, kind=kind, container=container)
    found = floats(decoded(core, files, content)["samples"], 1)[:, 0]
    expected = by_python(content)
    assert abs(len(found) - len(expected)) <= 1_024
    n = min(len(found), len(expected))
    assert np.abs(found[:n] - expected[:n]).max() < 1e-3


def test_other_rates_are_resampled(core: Any, files: dict[str, bytes | Path]) -> None:
    time = np.arange(44_100) / 44_100
    content = written(0.5 * np.sin(2 * np.pi * 1_000 * time).astype(np.float32), rate=44_100)
    found = floats(decoded(core, files, content)["samples"], 1)[:, 0]
    assert abs(len(found) - 16_000) <= 1
    middle = slice(2_000, 14_000)
    expected = 0.5 * np.sin(2 * np.pi * 1_000 * np.arange(16_000) / 16_000)
    assert np.abs(found[:16_000] - expected[: len(found)])[middle].max() < 0.01


@pytest.mark.parametrize("container", ["WAV", "FLAC"])
@pytest.mark.parametrize("rate", [48_000, 96_000, 192_000])
def test_what_is_above_the_models_nyquist_frequency_is_not_heard(
    core: Any, files: dict[str, bytes | Path], rate: int, container: str
) -> None:
    time = np.arange(rate) / rate
    tone = 0.5 * np.sin(2 * np.pi * 10_000 * time).astype(np.float32)
    found = floats(decoded(core, files, written(tone, rate, container=container))["samples"], 1)
    assert len(found) == 16_000
    assert np.sqrt(np.mean(found[1_000:-1_000] ** 2)) < 0.35e-3  # 60 dB below the tone


@pytest.mark.parametrize("rate", [16_000, 48_000])
@pytest.mark.parametrize("container", ["FLAC", "MP3"])
def test_what_is_cut_off_is_called_damaged(
    core: Any,
    files: dict[str, bytes | Path],
    street: NDArray[np.float32],
    container: str,
    rate: int,
) -> None:
    kind = {"FLAC": "PCM_16", "MP3": "MPEG_LAYER_III"}[container]
    content = written(street[: 10 * rate], rate, kind=kind, container=container)
    assert not decoded(core, files, content)["isDamaged"]
    assert decoded(core, files, content[: len(content) // 2])["isDamaged"]


def test_what_is_no_sound_is_told(core: Any, files: dict[str, bytes | Path]) -> None:
    broken = np.zeros(2_000, np.float32)
    broken[1_600] = np.nan
    loud = np.full(2_000, 3e4, np.float32)
    cases = {
        b"": ("EmptyAudioError", "is empty"),
        b"no sound at all" * 100: ("UnknownFormatError", "cannot decode it"),
        written(np.zeros(3, np.float32)): ("EmptyAudioError", "only 3 samples"),
        written(broken, kind="FLOAT"): ("InvalidSamplesError", "the first at 0.100 s"),
        written(loud, kind="FLOAT"): ("InvalidSamplesError", "belong in [-1, 1]"),
    }
    for content, (kind, part) in cases.items():
        found = decoded(core, files, content)
        assert (found["kind"], part in found["message"]) == (kind, True), found
