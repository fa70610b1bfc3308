# SPDX-License-Identifier: Apache-2.0
"""Makes the committed corpus: small inputs of every kind, from which fuzzing begins.

python -m tests.fuzz.make_corpus
"""

from __future__ import annotations

import json
from pathlib import Path

from oido.models.model import Notes, Novelty
from tests.fuzz import made_models
from tests.signal.decode.encoding import by_av, by_soundfile
from tests.signal.decode.wav_bytes import wav
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
    }


def main() -> None:
    for target, inputs in made().items():
        (CORPUS / target).mkdir(parents=True, exist_ok=True)
        for name, content in inputs.items():
            (CORPUS / target / name).write_bytes(content)


if __name__ == "__main__":
    main()
