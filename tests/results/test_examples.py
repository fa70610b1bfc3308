# SPDX-License-Identifier: Apache-2.0
"""Examples cut from recordings: which, how long, and what becomes of recordings that are gone."""

from __future__ import annotations

import io
import os
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile

from oido.errors import OptionError
from oido.results import Results
from oido.results import examples as module
from oido.results.examples import Examples, best_examples
from tests.results.results_folders import FolderMaker, event, recording

RATE = 48_000


def tones(path: Path, seconds: float, channels: int = 2) -> dict[str, Any]:
    """A tone of 100 Hz more in each second, both channels alike; its row of recordings."""
    t = np.arange(round(seconds * RATE)) / RATE
    wave = 0.5 * np.sin(2 * np.pi * (300 + 100 * np.floor(t)) * t)
    path.parent.mkdir(exist_ok=True)
    soundfile.write(path, np.stack([wave] * channels, axis=1), RATE)
    size = path.stat().st_size
    return recording(path.name, seconds, location=str(path), size=size)


def found(maker: FolderMaker, labels: list[str], per_label: int = 3) -> Examples:
    with Results(str(maker.folder)) as results:
        return best_examples(results, labels, per_label)


def pitch(flac: bytes, at: float) -> float:
    """The strongest frequency in the half second around a time."""
    wave, rate = soundfile.read(io.BytesIO(flac), dtype="float32")
    piece = wave[round((at - 0.25) * rate) : round((at + 0.25) * rate)]
    return float(np.abs(np.fft.rfft(piece * np.hanning(len(piece)))).argmax()) * 2


@pytest.mark.parametrize("kind", ["wav", "flac", "ogg"])
def test_a_clip_is_the_sound_of_its_event(tmp_path: Path, kind: str) -> None:
    maker = FolderMaker(tmp_path / "results")
    rows = [tones(tmp_path / "rec" / f"a.{kind}", 20.0)]
    events = [event(f"a.{kind}", 12.0, 13.0, "Dog"), event(f"a.{kind}", 3.0, 19.0, "Owl")]
    maker.commit({"recordings": rows, "events": events})
    examples = found(maker, ["Dog", "Owl"])
    (dog,), (owl,) = examples.of_label["Dog"], examples.of_label["Owl"]
    assert (dog.start_time, dog.end_time, dog.value, dog.clip_start) == (12.0, 13.0, 0.5, 11.75)
    assert soundfile.info(io.BytesIO(dog.flac)).frames == pytest.approx(1.5 * 24_000, abs=2)
    assert soundfile.info(io.BytesIO(dog.flac)).channels == 1
    assert pitch(dog.flac, 0.75) == 1500, "the 13th second"
    assert soundfile.info(io.BytesIO(owl.flac)).duration == pytest.approx(5.0, abs=1e-3)
    assert examples.count == 2
    assert examples.size_bytes == len(dog.flac) + len(owl.flac)
    assert not examples.unreached


def test_the_best_of_different_recordings_come_first(tmp_path: Path) -> None:
    maker = FolderMaker(tmp_path / "results")
    rows = [tones(tmp_path / "rec" / f"{name}.wav", 9.0, 1) for name in "ab"]
    events = [
        event("a.wav", float(n), n + 0.5, "Dog", score) for n, score in enumerate((0.25, 0.75, 0.5))
    ]
    events.append(event("b.wav", 1.0, 1.5, "Dog", 0.375))
    maker.commit({"recordings": rows, "events": events})
    group = found(maker, ["Dog", "Cat"]).of_label["Dog"]
    assert [(e.file, e.value) for e in group] == [("a.wav", 0.75), ("b.wav", 0.375), ("a.wav", 0.5)]
    assert found(maker, ["Dog"], 1).count == 1
    assert found(maker, ["Dog"], 0).count == 0
    assert found(maker, ["Dog"], 9).count == 4
    with pytest.raises(OptionError, match="not -1"):
        found(maker, ["Dog"], -1)


def test_recordings_that_cannot_be_reached_are_counted(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    maker = FolderMaker(tmp_path / "results")
    folder = tmp_path / "rec"
    names = ("good", "changed", "cut", "garbage", "gone")
    rows = {name: tones(folder / f"{name}.wav", 4.0, 1) for name in names}
    tones(folder / "changed.wav", 3.0, 1)
    rows["cut"]["size"] = tones(folder / "cut.wav", 1.0, 1)["size"]
    (folder / "garbage.wav").write_bytes(b"x" * rows["garbage"]["size"])
    os.remove(folder / "gone.wav")
    rows["away"] = recording("away.wav", 4.0, location="s3://bucket/away.wav")
    events = [event(f"{name}.wav", 2.0, 3.0, "Dog", 0.5) for name in rows]
    events += [event(f"{name}.wav", 2.5, 3.0, "Dog", 0.25) for name in rows]
    maker.commit({"recordings": list(rows.values()), "events": events})
    examples = found(maker, ["Dog"], 2)
    assert [e.file for e in examples.of_label["Dog"]] == ["good.wav"] * 2
    assert examples.unreached == {"changed": 2, "unreadable": 1, "missing": 1, "elsewhere": 1}
    (folder / "good.wav").rename(tmp_path / "good.wav")
    monkeypatch.chdir(tmp_path)
    assert found(maker, ["Dog"], 1).count == 1, "by the name that rows call it"


def test_bytes_and_decoding_are_bounded(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    maker = FolderMaker(tmp_path / "results")
    rows = [tones(tmp_path / "rec" / f"a.{kind}", 30.0, 1) for kind in ("wav", "mp3")]
    events = [event(row["file"], 20.0, 21.0, label) for row in rows for label in ("Dog", "Owl")]
    maker.commit({"recordings": rows, "events": events})
    monkeypatch.setattr(module, "_MOST_BYTES", 1)
    examples = found(maker, ["Dog", "Owl"])
    assert (examples.count, examples.left_out) == (1, True)
    monkeypatch.undo()
    monkeypatch.setattr(module, "_MOST_DECODED_SECONDS", 10.0)
    examples = found(maker, ["Dog", "Owl"])
    assert [e.file for e in examples.of_label["Dog"]] == ["a.wav"]
    assert examples.unreached == {"too far in": 1}
    assert not examples.left_out
