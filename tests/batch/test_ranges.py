# SPDX-License-Identifier: Apache-2.0
"""A long recording heard in ranges gives what it gives in one piece: every row, every bit."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile
from hypothesis import given, settings
from hypothesis import strategies as st

import oido
from oido.batch.engine import InlineEngine
from oido.batch.plan import Plan
from oido.batch.progress import status_of
from oido.batch.ranges import RangeEnd, read_piece
from oido.batch.run import ArchiveRun
from oido.batch.sources import find_sources
from oido.batch.storage import storage_of
from oido.batch.unit_worker import UnitWorker
from oido.batch.units import RunSpec, Unit
from oido.batch.verify import verify
from oido.heads import Head
from oido.inference.block import BATCH_WINDOWS
from oido.models.model import AudioModel
from oido.models.tflite.metadata_writer import annotate
from oido.params import Detection
from oido.signal.decode import open_audio
from oido.signal.resample import Resampler, exact_period
from tests.batch.archives import hear, tables

EXACT = [
    ("wav", 16_000, 1, 100.3, "PCM_16"),
    ("wav", 44_100, 2, 70.77, "PCM_24"),
    ("flac", 44_100, 2, 81.123, "PCM_16"),
    ("flac", 16_000, 1, 75.1, "PCM_24"),
    ("wav", 48_000, 1, 78.01, "FLOAT"),
    ("aiff", 22_050, 1, 76.0, "PCM_16"),
    ("au", 8_000, 1, 80.0, "ULAW"),
]


def sound(rate: int, channels: int, seconds: float) -> Any:
    """Tones, noise and silence that come and go, different in each channel."""
    rng = np.random.default_rng(rate)
    times = np.arange(int(rate * seconds)) / rate
    swell = np.maximum(0, np.sin(2 * np.pi * times / 7)) ** 3
    tone = np.sin(2 * np.pi * (400 + 300 * np.sin(times / 11)) * times)
    mono = 0.4 * swell * tone + 0.02 * rng.standard_normal(len(times))
    return np.stack([np.roll(mono, c * rate * 3) for c in range(channels)], axis=1)


@pytest.fixture(scope="module")
def long_ones(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("long")
    (folder / "stereo").mkdir()
    for ending, rate, channels, seconds, subtype in EXACT:
        path = (
            folder / ("" if channels == 1 else "stereo") / f"{rate}-{channels}-{subtype}.{ending}"
        )
        soundfile.write(path, sound(rate, channels, seconds), rate, subtype=subtype)
    return folder


@pytest.fixture(scope="module", params=["mix", "each"])
def whole(
    request: pytest.FixtureRequest, long_ones: Path, tmp_path_factory: pytest.TempPathFactory
) -> tuple[Plan, dict[str, list[dict[str, Any]]]]:
    out = str(tmp_path_factory.mktemp("whole") / "out")
    plan = Plan(channel=request.param)
    kinds = {o.unit.kind for o in hear([inputs(long_ones, plan)], out, plan, embeddings=True)}
    assert kinds == {"whole"}
    return plan, tables(out)


def inputs(long_ones: Path, plan: Plan) -> str:
    return str(long_ones if plan.channel == "mix" else long_ones / "stereo")


@pytest.mark.parametrize("seconds", [30.0, 55.0])
def test_rows_of_ranges_are_those_of_the_whole(
    whole: tuple[Plan, dict[str, list[dict[str, Any]]]],
    long_ones: Path,
    tmp_path: Path,
    seconds: float,
) -> None:
    plan, expected = whole
    out = str(tmp_path / "out")
    paths = [inputs(long_ones, plan)]
    outcomes = hear(paths, out, plan, embeddings=True, split_seconds=seconds)
    split = [o for o in outcomes if o.unit.kind == "join"]
    if seconds == 30.0:
        assert {o.unit.of for o in split} == {2, 3}
    elif plan.channel == "mix":
        assert {o.unit.of for o in split} == {2}
    found = tables(out)
    assert all(expected.values())
    for name, rows in expected.items():
        assert found[name] == rows, name
    assert not list((tmp_path / "out" / "pieces").glob("*"))


def spoil(path: Path, way: str) -> None:
    if way == "nan":
        samples, rate = soundfile.read(path, dtype="float32")
        samples[len(samples) * 2 // 3] = np.nan
        soundfile.write(path, samples, rate, subtype="FLOAT")
        return
    content = bytearray(path.read_bytes())
    middle = len(content) * 2 // 3
    if way == "cut":
        del content[middle:]
    else:
        content[middle : middle + 3000] = bytes(3000)
    path.write_bytes(bytes(content))


@pytest.mark.parametrize(
    ("name", "way"),
    [("a.flac", "cut"), ("a.flac", "zeros"), ("a.wav", "cut"), ("a.wav", "nan"), ("a.mp3", "")],
)
def test_what_cannot_be_split_exactly_is_heard_whole(tmp_path: Path, name: str, way: str) -> None:
    path = tmp_path / name
    soundfile.write(path, sound(16_000, 1, 100), 16_000)
    if way:
        spoil(path, way)
    hear([str(path)], str(tmp_path / "whole"))
    hear([str(path)], str(tmp_path / "split"), split_seconds=30)
    assert tables(str(tmp_path / "split")) == tables(str(tmp_path / "whole"))
    (row,) = tables(str(tmp_path / "split"))["recordings"]
    assert (row["failure_kind"] is not None) == (way == "nan")


def test_ranges_that_were_heard_are_not_heard_again(tmp_path: Path) -> None:
    path, out = tmp_path / "a.wav", tmp_path / "out"
    soundfile.write(path, sound(16_000, 1, 130), 16_000)
    hear([str(path)], str(tmp_path / "calm"))
    order = RunSpec(Plan(), str(out), split_seconds=30)
    run = ArchiveRun(order, find_sources([str(path)]))
    with InlineEngine(order) as engine:
        run.prepare(engine.start())
        for _ in run.steps(engine):
            if len(list((out / "ledger").iterdir())) == 3:
                break  # the run, and two of four ranges
    del run
    orphan = out / "pieces" / f"{order.run_id}-{'0' * 16}.npy"
    orphan.write_bytes(b"of no commit")
    # Other options of splitting, too: the first run's ranges are gone on with.
    hear([str(path)], str(out), resumes=True, split_seconds=3600)
    assert tables(str(out)) == tables(str(tmp_path / "calm"))
    states = [
        entry["key"].partition(":")[2] or entry["state"]
        for commit in sorted((out / "ledger").iterdir())
        for entry in json.loads(commit.read_text())["units"]
    ]
    assert states == ["0", "1", "2", "3", "done"]
    assert list((out / "pieces").iterdir()) == [orphan]


@pytest.mark.parametrize("damage", ["flipped", "cut", "missing", "without hash"])
def test_a_damaged_piece_is_never_joined(tmp_path: Path, damage: str) -> None:
    path, out = tmp_path / "a.wav", tmp_path / "out"
    soundfile.write(path, sound(16_000, 1, 130), 16_000)
    hear([str(path)], str(tmp_path / "calm"))
    order = RunSpec(Plan(), str(out), split_seconds=30)
    run = ArchiveRun(order, find_sources([str(path)]))
    with InlineEngine(order) as engine:
        run.prepare(engine.start())
        for _ in run.steps(engine):
            if len(list((out / "ledger").iterdir())) == 3:
                break
    del run
    piece = sorted((out / "pieces").iterdir())[0]
    content = bytearray(piece.read_bytes())
    if damage == "flipped":
        content[len(content) // 2] ^= 1
    elif damage == "cut":
        del content[-1000:]
    elif damage == "without hash":  # as a version before wrote it
        del content[-40:]
    piece.write_bytes(content)
    if damage == "missing":
        piece.unlink()
    assert verify(str(out)).is_whole == (damage == "without hash")
    (outcome,) = hear([str(path)], str(out), resumes=True, split_seconds=30)
    assert outcome.unit.kind == ("join" if damage in ("missing", "without hash") else "whole")
    assert tables(str(out)) == tables(str(tmp_path / "calm"))
    assert verify(str(out)).is_whole


@pytest.mark.parametrize("times", [1, 9])
def test_a_recording_that_is_replaced_while_it_is_heard(tmp_path: Path, times: int) -> None:
    """Its rows are of the one that is there at the end, and not of both; or it has failed."""
    path, out = tmp_path / "a.wav", tmp_path / "out"
    soundfile.write(path, sound(16_000, 1, 130), 16_000)
    order = RunSpec(Plan(), str(out), split_seconds=30)
    run = ArchiveRun(order, find_sources([str(path)]))
    with InlineEngine(order) as engine:
        run.prepare(engine.start())
        for step in run.steps(engine):
            unit = step.unit
            if unit and unit.kind == "range" and unit.number == 2 and times:
                times -= 1
                soundfile.write(tmp_path / "b.wav", sound(16_000, 1, 130) * 0.5, 16_000)
                os.utime(tmp_path / "b.wav", (times, times))
                os.replace(tmp_path / "b.wav", path)
    del run
    if times:
        assert "was changed again and again" in status_of(str(out))["failures"][0]["reason"]
        assert len(hear([str(path)], str(out), resumes=True)) == 1
    hear([str(path)], str(tmp_path / "fresh"))
    assert tables(str(out)) == tables(str(tmp_path / "fresh"))
    assert status_of(str(out))["under_way"] == []


def decoded(path: Path, frame: int) -> Any:
    with open_audio(str(path)) as reader:
        assert reader.seek(frame)
        return np.concatenate(list(reader.blocks()))


@pytest.fixture(scope="module")
def samples(long_ones: Path) -> dict[Path, Any]:
    found = {}
    for path in long_ones.rglob("*.*"):
        with open_audio(str(path)) as reader:
            found[path] = np.concatenate(list(reader.blocks()))
    assert len(found) == len(EXACT)
    return found


@settings(max_examples=20)
@given(share=st.floats(0, 1, exclude_max=True))
def test_seeking_is_exact_to_the_sample(samples: dict[Path, Any], share: float) -> None:
    for path, everything in samples.items():
        frame = int(share * len(everything))
        assert np.array_equal(decoded(path, frame), everything[frame:])


@pytest.mark.parametrize("rate", [8_000, 22_050, 44_100, 48_000])
def test_resampling_may_begin_at_any_multiple_of_the_period(rate: int) -> None:
    period = exact_period(rate, 16_000)
    assert period is not None
    rng = np.random.default_rng(1)
    samples = rng.uniform(-1, 1, max(3 * period, 4 * rate)).astype(np.float32)

    def resampled(part: Any) -> Any:
        resampler = Resampler(rate, 16_000)
        return np.concatenate([resampler.push(part), resampler.flush()])

    everything = resampled(samples)
    for start in (period, 2 * period):
        at, settled = start * 16_000 // rate, 8_000
        part = resampled(samples[start:])
        assert np.array_equal(part[settled:], everything[at + settled :])
        # The same, begun a sample later, is not: the test can fail.
        later = resampled(samples[start + 1 :])[settled : settled + 4000]
        assert not np.array_equal(later, everything[at + settled :][: len(later)])


def bursts(path: Path, rate: int, joint_seconds: float, n_ranges: int) -> None:
    """All but silence, and noise in the middle of each range and across every joint."""
    rng = np.random.default_rng(5)
    samples = 1e-4 * rng.standard_normal(int(rate * (n_ranges - 0.2) * joint_seconds))
    for number in range(1, 2 * n_ranges - 1):
        middle = number * joint_seconds / 2
        samples[int((middle - 1.21) * rate) : int((middle + 0.83) * rate)] *= 2000
    soundfile.write(path, samples, rate, subtype="FLOAT")


# A level begins every 20 ms, and at these hops most windows do not.
@pytest.mark.parametrize("hop", [0.48, 0.49, 0.37])
def test_an_event_across_a_joint_is_that_of_the_whole(tmp_path: Path, hop: float) -> None:
    path, joint = tmp_path / "a.wav", BATCH_WINDOWS * hop
    bursts(path, 16_000, joint, 4)
    plan = Plan(hop=hop, detection=Detection(0.1))
    hear([str(path)], str(tmp_path / "whole"), plan)
    outcomes = hear([str(path)], str(tmp_path / "split"), plan, split_seconds=joint)
    assert [(o.unit.kind, o.unit.of) for o in outcomes] == [("join", 4)]
    found = tables(str(tmp_path / "split"))
    assert found == tables(str(tmp_path / "whole"))
    times = [(row["start_time"], row["end_time"]) for row in found["events"]]
    for middle in np.arange(1, 7) * joint / 2:
        assert any(
            abs(start - (middle - 1.21)) <= 0.02 and abs(end - (middle + 0.83)) <= 0.02
            for start, end in times
        ), (middle, times)


@pytest.mark.parametrize(("rate", "hop"), [(16_000, 0.49), (44_100, 0.48)])
def test_the_levels_of_all_ranges_are_those_of_the_whole(
    tmp_path: Path, rate: int, hop: float
) -> None:
    """The last windows of a range reach into the next, whose levels are there once only."""
    path, joint = tmp_path / "a.wav", BATCH_WINDOWS * hop
    bursts(path, rate, joint, 3)
    spec = RunSpec(Plan(hop=hop), str(tmp_path / "out"), split_seconds=joint)
    worker, classifier = UnitWorker(spec), oido.AudioClassifier(hop=hop, jobs=1)
    whole = list(classifier.stream(str(path)))
    (source,) = find_sources([str(path)])
    *_, report = worker.serve(Unit(source))
    assert len(report.ranges) == 3
    blocks = []
    for part in report.ranges:
        *_, end = worker.serve(part)
        (piece,) = end.finished[0].outcomes[0].pieces
        contents = list(read_piece(storage_of(spec.folder), piece, classifier.windowing))
        assert isinstance(contents.pop(), RangeEnd)
        blocks += contents
    for name in ("levels", "framewise", "scores"):
        expected = np.concatenate([getattr(block, name) for block in whole])
        joined = np.concatenate([getattr(block, name) for block in blocks])
        assert len(joined) > 90
        assert np.array_equal(joined, expected), name


def test_ranges_begin_where_a_level_begins_at_any_rate(model: AudioModel, tmp_path: Path) -> None:
    """At 24 kHz a level is 480 samples: three batches of windows, and no fewer, are whole ones."""
    labels = tuple(f"class {n}" for n in range(521))
    file, path = tmp_path / "24.tflite", tmp_path / "a.wav"
    content = annotate(model.path.read_bytes(), [Head("scores", labels)], sample_rate_hz=24_000)
    file.write_bytes(content)
    hop_samples = 47 * 160
    batch_samples = BATCH_WINDOWS * hop_samples
    assert (batch_samples % 480, 3 * batch_samples % 480) == (320, 0)
    bursts(path, 24_000, 3 * batch_samples / 24_000, 2)
    plan = Plan(model=str(file), hop=hop_samples / 24_000, detection=Detection(0.1))
    hear([str(path)], str(tmp_path / "whole"), plan)
    outcomes = hear([str(path)], str(tmp_path / "split"), plan, split_seconds=20)
    assert [(o.unit.kind, o.unit.of) for o in outcomes] == [("join", 2)]
    found = tables(str(tmp_path / "split"))
    assert found == tables(str(tmp_path / "whole"))
    assert found["events"]
