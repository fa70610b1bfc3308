# SPDX-License-Identifier: Apache-2.0
"""One recording to rows: by channel, with what was heard before a failure, wherever it lies."""

from __future__ import annotations

import http.server
import json
import shutil
import sys
import threading
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile

import oido
from oido.batch.plan import Plan, Task
from oido.batch.recording import (
    RecordingRun,
    fetch_recording,
    make_classifier,
    open_recording,
    row_maker,
)
from oido.batch.units import Source
from oido.cli.main import run
from oido.errors import AudioError, AudioNotFoundError, UnknownFormatError, UnknownLabelError
from oido.heads import Head, ScoreCalibration, Sigmoid
from oido.models.model import AudioModel
from oido.models.tflite.builder import GraphWriter
from oido.models.tflite.metadata_writer import annotate
from oido.params import Detection
from oido.training.train import train
from oido.types import Row
from tests.batch.archives import record
from tests.batch.conftest import BUCKET
from tests.signal.decode.clocks import film, with_clicks
from tests.signal.decode.wav_bytes import wav
from tests.training.taught_sounds import KINDS, make_sounds

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


@pytest.mark.parametrize(
    ("seconds", "hop"), [(30.0, None), (30.0, 0.24), (7.013, 0.96), (0.5, None), (0.01, None)]
)
def test_rows_of_frames_are_those_of_the_framewise_scores(
    seconds: float, hop: float | None, model: AudioModel, tmp_path: Path
) -> None:
    waveform, rate = soundfile.read(STREET, dtype="float32")
    path = tmp_path / "part.wav"
    soundfile.write(path, waveform[: int(seconds * rate)], rate, subtype="FLOAT")
    _, rows = run_of(path, Plan(level="frames", top=2, hop=hop))
    result = oido.AudioClassifier(model, hop=hop, jobs=1).classify(path)
    expected = []
    for scores, (start, end) in zip(result.framewise_scores, result.frame_times):
        best = np.argsort(-scores, kind="stable")[:2]
        expected += [(start, end, result.labels[n], n, scores[n]) for n in best]
    assert len(expected) == 2 * len(result.frame_times)
    assert [row[2:7] for row in rows] == expected


def test_frames_of_a_model_without_framewise_scores_are_the_cells_of_its_windows(
    tmp_path: Path,
) -> None:
    writer = GraphWriter("loud or not")
    waveform = writer.input("waveform", (1, 16_000))
    weights = np.stack([np.linspace(-1e-3, 1e-3, 16_000), np.zeros(16_000)]).astype(np.float32)
    scores = writer.sigmoid(writer.dense(waveform, weights, np.zeros(2, np.float32)))
    path = tmp_path / "two.tflite"
    head = Head("scores", ("rising", "none"))
    path.write_bytes(annotate(writer.finish([scores]), [head], sample_rate_hz=16_000))
    _, rows = run_of(STREET, Plan(model=str(path), level="frames", top=1))
    result = oido.AudioClassifier(path, jobs=1).classify(STREET)
    assert len(rows) == len(result.scores) > 50
    np.testing.assert_array_equal([row[2:4] for row in rows], result.frame_times)
    np.testing.assert_array_equal([row.score for row in rows], result.scores.max(axis=1))


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


@pytest.fixture(scope="module")
def taught(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """A model of three kinds of made sounds, and a folder with one of them and a street."""
    pytest.importorskip("sklearn")
    folder = tmp_path_factory.mktemp("taught")
    sounds = make_sounds(folder / "sounds")
    train(oido.Dataset.load(sounds)).export(folder / "model.tflite")
    (folder / "heard").mkdir()
    shutil.copy(STREET, folder / "heard")
    shutil.copy(next((sounds / KINDS[0]).iterdir()), folder / "heard" / "known.wav")
    return folder / "model.tflite", folder / "heard"


@pytest.mark.parametrize("jobs", ["1", "2"])
def test_the_manifest_and_the_screen_tell(
    taught: tuple[Path, Path], tmp_path: Path, capsys: pytest.CaptureFixture[str], jobs: str
) -> None:
    model, heard = taught
    for name, expected in (("street.flac", True), ("known.wav", False)):
        assert oido.AudioClassifier(model).classify(heard / name).is_unknown is expected
    hear = ["classify", str(heard), "--model", str(model), "--jobs", jobs]
    assert run([*hear, "-o", str(tmp_path / "rows.csv"), "-q"]) == 0
    manifest = json.loads((tmp_path / "rows.csv.manifest.json").read_text("utf-8"))
    told = {Path(r["name"]).name: r["unknown"] for r in manifest["recordings"]}
    assert told == {"street.flac": True, "known.wav": False}
    capsys.readouterr()
    assert run(hear) == 0
    known, street = capsys.readouterr().out.split("street.flac")
    assert "unlike everything" in street
    assert "unlike everything" not in known


def test_a_model_that_does_not_tell_says_nothing(tmp_path: Path) -> None:
    assert run(["classify", str(STREET), "-o", str(tmp_path / "rows.csv"), "-q"]) == 0
    manifest = json.loads((tmp_path / "rows.csv.manifest.json").read_text("utf-8"))
    assert "unknown" not in manifest["recordings"][0]


def test_an_archive_tells_whole_or_split(taught: tuple[Path, Path], tmp_path: Path) -> None:
    pytest.importorskip("pyarrow")
    import pyarrow.dataset

    from oido.batch.results_folder import read_folder

    model, heard = taught
    events = oido.AudioClassifier(model).classify(heard / "street.flac").events(unknown=True)
    stretches = sum(event.label == "unknown" for event in events)
    assert stretches > 0
    for split in ("3600", "10"):
        results = tmp_path / split
        hear = ["batch", str(heard), "--model", str(model), "-o", str(results), "--split", split]
        assert run([*hear, "-q"]) == 0
        table = pyarrow.dataset.dataset(read_folder(str(results)).parts("recordings")).to_table()
        rows = {Path(row["file"]).name: row for row in table.to_pylist()}
        assert {name: row["unknown"] for name, row in rows.items()} == {
            "street.flac": True,
            "known.wav": False,
        }
        counts = {name: row["unknown_stretches"] for name, row in rows.items()}
        assert counts == {"street.flac": stretches, "known.wav": 0}


def test_the_strongest_events_of_a_calibrated_model_are_the_most_probable(
    model: AudioModel,
) -> None:
    """What has the highest score here is never more probable than 0.6."""
    highest = max(oido.AudioClassifier(model).classify(STREET).events(), key=lambda e: e.score)
    sigmoids = [Sigmoid(0.6 if m == highest.label else 1.0, 8.0, -2.0) for m in model.labels]
    head = replace(model.head, calibration=ScoreCalibration(tuple(sigmoids)))
    classifier = oido.AudioClassifier(replace(model, heads=(head,)), jobs=1)
    blocks = list(classifier.stream(STREET))

    def rows(top: int | None) -> list[Row]:
        maker = row_maker(Plan(top=top), classifier, "street.flac", None)
        made = [row for block in blocks for row in maker.push(block)] + maker.flush(480_000)
        assert all(isinstance(row, Row) for row in made)
        return made  # type: ignore[return-value]

    every = rows(None)
    assert max(every, key=lambda row: row.score).label == highest.label
    for top in (1, 3):
        best = sorted(every, key=lambda row: -(row.probability or 0.0))[:top]
        assert sorted(rows(top)) == sorted(best)


def test_silence_that_was_inserted_and_findings_are_in_the_summary(tmp_path):
    path = tmp_path / "film.mkv"
    stereo = with_clicks(6, 48_000)
    path.write_bytes(film(stereo, 48_000, "matroska", "flac", later=lambda t: 3.0 * (t > 2.0)))
    plan = Plan(level="clip")
    run = RecordingRun(make_classifier(plan), plan, Task(0, str(path), "film.mkv", "film.mkv"))
    assert [rows for rows in run.rows() if rows]
    assert run.summary.gaps_seconds == pytest.approx(3.0, abs=0.01)
    assert run.summary.duration == pytest.approx(9.0, abs=0.05)
    assert (run.summary.damaged_packets, run.summary.findings) == (0, ())

    path = tmp_path / "opposite.wav"
    path.write_bytes(wav(np.concatenate([stereo, -stereo], axis=1), 48_000) + wav(stereo, 48_000))
    run = RecordingRun(make_classifier(plan), plan, Task(0, str(path), "o.wav", "o.wav"))
    assert [rows for rows in run.rows() if rows]
    assert run.summary.notes == ("2 recordings, one behind the other in one file",)


def test_an_address_without_the_extra_fails_that_recording_alone(
    classifier: oido.AudioClassifier, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "fsspec", None)
    recording = RecordingRun(
        classifier, Plan(), Task(0, "https://x.org/a.wav", "https://x.org/a.wav", "a")
    )
    assert list(recording.rows()) == []
    assert recording.summary.failure is not None
    assert recording.summary.failure.kind == "MissingExtraError"
    assert "pip install 'oido[archive]'" in recording.summary.failure.reason


def test_channels_of_an_address_are_fetched_once(
    classifier: oido.AudioClassifier, tmp_path: Path
) -> None:
    pytest.importorskip("aiohttp", reason="addresses need oido[archive]")
    samples, rate = soundfile.read(STREET, frames=16_000 * 2)
    soundfile.write(tmp_path / "three.flac", np.stack([samples] * 3, axis=1), rate)
    fetched: list[str] = []

    class Counting(http.server.SimpleHTTPRequestHandler):
        def __init__(self, *values: Any) -> None:
            super().__init__(*values, directory=str(tmp_path))

        def do_GET(self) -> None:
            fetched.append(self.path)
            super().do_GET()

        def log_message(self, *values: object) -> None: ...

    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Counting) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        url = f"http://127.0.0.1:{server.server_port}/three.flac"
        plan = Plan(channel="each", level="clip", top=1)
        run = RecordingRun(classifier, plan, Task(0, url, url, "three"))
        rows = [row for found in run.rows() for row in found]
        server.shutdown()
    assert [row.channel for row in rows] == [0, 1, 2]
    assert fetched == ["/three.flac"]
