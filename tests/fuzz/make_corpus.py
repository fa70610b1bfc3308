# SPDX-License-Identifier: Apache-2.0
"""Makes the committed corpus: small inputs of every kind, from which fuzzing begins.

python -m tests.fuzz.make_corpus
"""

from __future__ import annotations

import json
import struct
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from oido.models.model import Notes, Novelty
from tests.fuzz import made_clocks, made_models
from tests.signal.decode.encoding import by_av, by_soundfile
from tests.signal.decode.test_edits import edited
from tests.signal.decode.test_wav_chunks import as_w64
from tests.signal.decode.wav_bytes import chunk, fmt, riff, wav
from tests.signal.sounds import noise

CORPUS = Path(__file__).with_name("corpus")

_PART = {"table": "events", "path": "events/0123456789abcdef-0123456789abcdef.parquet", "rows": 2}
_UNIT = {
    "key": "a" * 16,
    "state": "done",
    "location": "/in/a.wav",
    "name": "a.wav",
    "size": 3,
    "mtime": 1.5,
}
_COMMIT = {
    "commit": 1,
    "created": "2026-01-01T00:00:00+00:00",
    "run": {"oido_version": "0.1.0"},
    "add": [_PART],
    "remove": ["events/old.parquet"],
    "units": [_UNIT, {**_UNIT, "key": "a" * 16 + ":0", "state": "piece"}],
}
_STREAM = {"version": 1, "sample_rate": 16_000, "channels": 2, "encoding": "f32le", "token": "t"}


def made() -> dict[str, dict[str, bytes]]:
    """The inputs of each target, by name."""
    samples = noise(800, level=0.1).reshape(-1, 1)
    sounds = {
        f"{encoding}.wav": wav(samples[:200], 16_000, encoding, extensible=encoding == "s24")
        for encoding in ("u8", "s16", "s24", "f32")
    }
    for container, subtype in (("FLAC", "PCM_16"), ("OGG", "VORBIS"), ("AIFF", "PCM_16")):
        sounds[f"{container}-{subtype}"] = by_soundfile(samples, 16_000, container, subtype)
    for container, codec in (("adts", "aac"), ("mp3", "libmp3lame")):
        sounds[f"{container}-{codec}"] = by_av(samples, 16_000, container, codec)
    sounds |= _kinds(samples)
    notes = Notes({"head0": "max"}, 80, 160, Novelty("head0", 0.2), {"clips": 3})
    options = {"allow": ["Dog", "Animal/"], "threshold": 0.2, "hop": None, "unknown": True}
    return {
        "metadata": {
            "made-tflite": made_models.tflite(),
            "heads-tflite": made_models.tflite(2),
            "bare-tflite": made_models.bare_tflite(),
            "made.pt": made_models.state_dict(),
            "calibration.json": made_models.calibration().encode(),
            "oido.json": notes.text().encode(),
            "thresholds.csv": b'label,threshold\nDog,0.4\n"Domestic animals, pets",0.25\n',
            "calibration.csv": b"1,2,-1\n\n0.5,1e-3,0,0.1",
        },
        "ledger": {
            "header.json": b'{"archive_version": 1, "model": "m", "parameters": {"hop": 0.48}}',
            "commit.json": json.dumps(_COMMIT).encode(),
        },
        "protocol": {
            "header.json": json.dumps(_STREAM).encode(),
            "options.json": json.dumps({**_STREAM, **options, "level": "events"}).encode(),
            "end.json": b'{"type": "end"}',
            "query": b"level=clip&top=3&threshold=0.5&allow=Dog&allow=Cat&channel=each&rollup=true",
        },
        "decode": sounds,
        "clock": {
            "gaps": struct.pack("<hBhBhBhB", 0, 0, 0, 0, 3, 3, 0, 0),
            "back-and-far": struct.pack("<hBhBhBhB", 50, 1, -70, 1, 300, 4, -300, 4),
            "trembling": struct.pack("<hB", 3, 1) * 4 + struct.pack("<hB", -3, 1) * 4,
        },
        "pipe": {
            "joined-wav": 2 * wav(samples[:200], 16_000, "s16"),
            "joined-kinds": b"".join(
                by_soundfile(samples[:200], 16_000, kind) for kind in ("AIFF", "W64", "AU", "CAF")
            ),
            "size-and-list": riff(
                fmt(16_000, 1, "s16"),
                b"data\x2c\0\0\0" + bytes(range(44)),
                chunk(b"LIST", b"INFO" + bytes(30)),
                chunk(b"data", bytes(100)),
            ),
            "late-flv": by_av(samples, 16_000, "flv", "aac"),
        },
        "texts": {
            "list.csv": "\ufeffsep=;\r\nFile;Label\r\nC:\\a\\Überm.wav;Dog\r\n".encode(),
            "utf-16.txt": "0,5\t1,25\tGoose é\r\n".encode("utf-16"),
            "cp1252.csv": "path,start,end,label\nm\xfcll/e\u0301.wav,0:01,2.5,x\n".encode(
                "cp1252", "ignore"
            ),
            "raven.txt": b"Selection\tBegin Time (s)\tEnd Time (s)\tSpecies\n1\t0.5\t1.5\tOwl\n",
            "names": b"20231015_063000.WAV\n20221125_102500-0300.flac\n5D3A2B10.WAV\n",
        },
    }


def _kinds(samples: NDArray[np.float32]) -> dict[str, bytes]:
    """Clocks, sizes and edits of recordings: what has a reader of its own."""
    mp3 = by_av(samples, 16_000, "mp3", "libmp3lame")
    ogg = by_av(samples, 16_000, "ogg", "flac") + by_av(samples[:400], 8_000, "ogg", "flac")
    edited_movie = edited(by_av(samples, 16_000, "mov", "pcm_s16le"), [(0.01, 0), (0.02, None)])
    ds64 = chunk(b"ds64", bytes(28))
    rf64 = riff(ds64, fmt(16_000, 1, "s16"), b"data\xff\xff\xff\xff" + bytes(400))
    waves = chunk(b"data", bytes(200)) + chunk(b"slnt", b"\x90\1\0\0") + chunk(b"data", bytes(200))
    return {
        "wavl": riff(fmt(16_000, 1, "s16"), chunk(b"LIST", b"wavl" + waves)),
        "joined-mp3": mp3 + mp3,
        "joined-tta": 2 * by_av(samples, 16_000, "tta", "tta"),
        "chained-ogg": ogg,
        "edited-mov": edited_movie,
        "avi": by_av(samples, 16_000, "avi", "mp2"),
        "wavpack": by_av(samples, 16_000, "wv", "wavpack"),
        "damaged-mkv": _damaged(by_av(samples, 16_000, "matroska", "pcm_s16le")),
        "clocks-mkv": made_clocks.matroska([0, 100, 700, 800, 300]),
        "rf64": b"RF64\xff\xff\xff\xff" + rf64[8:],
        "bext-w64": as_w64(chunk(b"bext", bytes(400))),
        "behind-lines": b"HTTP/1.1 200 OK\r\n\r\n"
        + by_soundfile(samples, 16_000, "FLAC", "PCM_16"),
    }


def _damaged(content: bytes) -> bytes:
    """With zeros where the head of the last block was."""
    at = content.rindex(b"\xa3") - 40
    return content[:at] + bytes(60) + content[at + 60 :]


def main() -> None:
    for target, inputs in made().items():
        (CORPUS / target).mkdir(parents=True, exist_ok=True)
        for name, content in inputs.items():
            (CORPUS / target / name).write_bytes(content)


if __name__ == "__main__":
    main()
