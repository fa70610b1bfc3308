# SPDX-License-Identifier: Apache-2.0
"""One recording to rows: by channel, with what was heard before a failure, wherever it lies."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile

import oido
from oido.batch.plan import Plan, Task
from oido.batch.recording import RecordingRun, fetch_recording, make_classifier, open_recording
from oido.batch.units import Source
from oido.errors import AudioError, AudioNotFoundError, UnknownFormatError, UnknownLabelError
from oido.params import Detection
from tests.batch.archives import record
from tests.batch.conftest import BUCKET

STREET = Path(__file__).parents[2] / "examples" / "street.flac"


def run_of(path: Path, plan: Plan, name: str = "my name") -> tuple[RecordingRun, list[Any]]:
    run = RecordingRun(make_classifier(plan), plan, Task(0, str(path), name, name))
    return run, [row for rows in run.rows() for row in rows]


def test_rows_and_summary_are_those_of_the_classifier(classifier: oido.AudioClassifier) -> None:
    run, rows = run_of(STREET, Plan())
    result = classifier.classify(STREET)
    events = result.events()
    assert [(r.start_time, r.end_time, r.label, r.score) for r in rows] == [
        (e.start_time, e.end_time, e.label, e.score) for e in events
    ]
    s = run.summary
    assert (s.duration, s.windows, s.rows, s.failure) == (30.0, 62, len(rows), None)
    assert (s.channels, s.unknown) == (1, None)
    assert s.padded_share == pytest.approx(result.padded_share, abs=1e-12)
    assert run.info is not None
    assert run.info.sample_rate_hz == 16_000


def test_each_channel_is_a_recording_of_its_own(tmp_path: Path) -> None:
    samples, rate = soundfile.read(STREET, frames=16_000 * 4)
    quiet = np.zeros_like(samples)
    soundfile.write(tmp_path / "both.wav", np.stack([quiet, samples], axis=1), rate)
    soundfile.write(tmp_path / "one.wav", samples, rate)
    run, rows = run_of(tmp_path / "both.wav", Plan(channel="each", level="clip", top=3))
    assert [row.channel for row in rows] == [0, 0, 0, 1, 1, 1]
    _, alone = run_of(tmp_path / "one.wav", Plan(level="clip", top=3))
    assert [row.score for row in rows[3:]] == [row.score for row in alone]
    assert (run.summary.windows, run.summary.duration) == (16, 4.0)
    run, rows = run_of(tmp_path / "both.wav", Plan(channel=2))
    assert rows == []
    assert run.summary.failure is not None
    assert run.summary.failure.reason == ("my name: there is no channel 2; it has channels 0 to 1")


def test_what_comes_before_the_damage_is_kept_and_the_reason_says_how_far(tmp_path: Path) -> None:
    samples, rate = soundfile.read(STREET, dtype="float32", frames=16_000 * 8)
    samples[16_000 * 5] = np.nan
    soundfile.write(tmp_path / "bad.wav", samples, rate, subtype="FLOAT")
    run, rows = run_of(tmp_path / "bad.wav", Plan(level="windows", top=1))
    failure = run.summary.failure
    assert failure is not None
    assert failure.kind == "InvalidSamplesError"
    assert failure.reason.startswith("my name: has NaN or infinite samples, the first at 5.000 s")
    assert failure.reason.endswith("(heard up to 5.0 s; those rows are kept)")
    _, whole = run_of(STREET, Plan(level="windows", top=1))
    assert len(rows) == run.summary.windows >= 8
    assert [row.score for row in rows[:8]] == [row.score for row in whole[:8]]


@pytest.mark.parametrize(
    ("content", "kind"),
    [(b"RIFF, but no more", "UnknownFormatError"), (None, "AudioNotFoundError")],
)
def test_a_recording_that_cannot_be_opened_is_called_as_the_user_did(
    tmp_path: Path, content: bytes | None, kind: str
) -> None:
    if content is not None:
        (tmp_path / "secret-place.wav").write_bytes(content)
    run, rows = run_of(tmp_path / "secret-place.wav", Plan())
    assert (rows, run.info) == ([], None)
    assert run.summary.failure is not None
    assert run.summary.failure.kind == kind
    assert run.summary.failure.reason.startswith("my name: ")
    assert "secret-place" not in run.summary.failure.reason


def test_a_wrong_label_is_an_error_before_the_first_recording() -> None:
    with pytest.raises(UnknownLabelError, match="Dog"):
        make_classifier(Plan(detection=Detection(thresholds=(("Dgo", 0.5),))))


def test_a_remote_recording_is_here_while_it_is_used_and_then_gone(s3: Any, tmp_path: Path) -> None:
    record(tmp_path / "a.wav", 2.0)
    s3.put(str(tmp_path / "a.wav"), f"{BUCKET}/a.wav")
    source = Source(f"{BUCKET}/a.wav", f"{BUCKET}/a.wav", 0, "")
    with fetch_recording(source) as path:
        assert Path(path).read_bytes() == (tmp_path / "a.wav").read_bytes()
        assert path.endswith(".wav")
    assert not Path(path).exists()
    with open_recording(source) as reader:
        assert sum(map(len, reader.blocks())) == 32_000
    with (
        pytest.raises(UnknownFormatError, match=f"^{BUCKET}/a.wav: is odd"),
        fetch_recording(source) as path,
    ):
        raise UnknownFormatError(f"{path}: is odd")


def test_a_store_that_has_it_not_is_an_error_of_the_recording(s3: Any) -> None:
    source = Source("my name", f"{BUCKET}/none.wav", 0, "")
    for opened in (fetch_recording(source), open_recording(source)):
        with pytest.raises(AudioNotFoundError, match="my name: no such file"), opened:
            pytest.fail("there is nothing to open")
    elsewhere = Source("my name", "s3://no-such-bucket-at-all/none.wav", 0, "")
    with pytest.raises(AudioError, match=r"^my name: "), fetch_recording(elsewhere):
        pytest.fail("there is nothing to fetch")


def test_a_local_recording_is_read_where_it_is(tmp_path: Path) -> None:
    path = record(tmp_path / "a.wav")
    with fetch_recording(Source("a", path, 0, "")) as place:
        assert place == path
    assert Path(path).exists()
