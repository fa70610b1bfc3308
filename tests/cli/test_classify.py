# SPDX-License-Identifier: Apache-2.0
"""`oido classify` as a user runs it: a real process, the real model, real sound."""

from __future__ import annotations

import csv
import functools
import http.server
import io
import json
import os
import re
import shutil
import signal
import struct
import subprocess
import sys
import threading
import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile

OIDO = [sys.executable, "-m", "oido"]
EXAMPLES = Path(__file__).parents[2] / "examples"
RECORDINGS = str(EXAMPLES / "*.flac")
STREET, ALARM = EXAMPLES / "street.flac", EXAMPLES / "alarm.flac"


def oido(*args: object, **options: Any) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [*OIDO, *map(str, args)],
        capture_output=True,
        text=True,
        encoding="utf-8",
        timeout=120,
        check=False,
        **options,
    )


def table(text: str) -> list[dict[str, str]]:
    return list(csv.DictReader(io.StringIO(text)))


@pytest.fixture(scope="module")
def street_events() -> list[dict[str, str]]:
    done = oido("classify", STREET, "--format", "csv")
    assert done.returncode == 0, done.stderr
    return table(done.stdout)


def test_events_are_where_the_sounds_are(street_events: list[dict[str, str]]) -> None:
    truth = json.loads((EXAMPLES / "scenes.json").read_text())["street.flac"]["events"]
    for sound in truth:
        found = [
            e
            for e in street_events
            if e["label"] in sound["acceptable"]
            and abs(float(e["start_time"]) - sound["start"]) < 1.0
        ]
        assert found, f"{sound['label']} at {sound['start']} s was not heard"


def test_the_table_is_for_reading() -> None:
    done = oido("classify", STREET)
    assert done.returncode == 0
    assert "not a probability" in done.stdout
    assert "Police car" in done.stdout
    assert re.search(r"30\.0 s of audio in \d+\.\d s$", done.stderr.strip())  # a start is no speed


def test_quiet_says_nothing_beside_the_rows() -> None:
    assert oido("classify", STREET, "-q", "--clip").stderr == ""


def test_python_and_command_line_agree(
    street_events: list[dict[str, str]], classifier: Any
) -> None:
    events = classifier.classify(STREET).events()
    assert len(events) == len(street_events)
    for event, row in zip(events, street_events):
        assert row["label"] == event.label
        assert float(row["start_time"]) == pytest.approx(event.start_time, abs=1e-6)
        assert float(row["end_time"]) == pytest.approx(event.end_time, abs=1e-6)
        assert float(row["score"]) == round(event.score, 8)
        assert row["also"] == "|".join(event.also)


def test_windows_and_clip_agree_with_python(classifier: Any) -> None:
    result = classifier.classify(STREET)
    windows = table(oido("classify", STREET, "--windows", "--top", 1, "--format", "csv").stdout)
    assert [w["label"] for w in windows] == [w.categories[0].label for w in result.windows(1)]
    assert [float(w["start_time"]) for w in windows] == pytest.approx(list(result.times[:, 0]))
    clip = table(oido("classify", STREET, "--clip", "--format", "csv").stdout)
    assert [c["label"] for c in clip] == [c.label for c in result.top(5)]


def test_frames_agree_with_python(classifier: Any) -> None:
    result = classifier.classify(STREET)
    frames = table(oido("classify", STREET, "--frames", "--top", 1, "--format", "csv").stdout)
    best = result.framewise_scores.argmax(axis=1)
    assert [int(row["label_index"]) for row in frames] == best.tolist()
    assert [float(row["start_time"]) for row in frames] == pytest.approx(result.frame_times[:, 0])
    assert [float(row["end_time"]) for row in frames] == pytest.approx(result.frame_times[:, 1])
    shown = oido("classify", STREET, "--frames", "--threshold", 0.9).stdout.splitlines()
    assert shown[0].endswith("frame")
    assert len(shown) - 1 == (result.framewise_scores >= np.float32(0.9)).sum()


def test_frames_as_parquet_are_the_ordinary_table(classifier: Any, tmp_path: Path) -> None:
    parquet = pytest.importorskip("pyarrow.parquet")
    done = oido("classify", STREET, "--frames", "-o", f"{tmp_path}/out/", "--format", "parquet,csv")
    assert done.returncode == 0, done.stderr
    found = parquet.read_table(tmp_path / "out" / "frames.parquet").to_pylist()
    rows = table((tmp_path / "out" / "frames.csv").read_text("utf-8"))
    assert len(found) == len(rows) == 5 * len(classifier.classify(STREET).frame_times)
    assert list(found[0]) == list(rows[0])
    for one, other in zip(found, rows):
        assert one["label"] == other["label"]
        assert one["score"] == pytest.approx(float(other["score"]), abs=1e-8)


@pytest.mark.parametrize("output", [["-o", "out.npz"], ["-o", "out/", "--format", "npz"]])
def test_all_scores_of_frames_are_arrays(
    output: list[str], classifier: Any, tmp_path: Path
) -> None:
    done = oido("classify", STREET, ALARM, "--frames", *output, cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    name = "out.npz" if len(output) == 2 else "out/frames.npz"
    arrays = np.load(tmp_path / name)
    assert sorted(arrays) == ["channels", "files", "labels", "scores", "times"]
    assert arrays["labels"].tolist() == list(classifier.labels)
    assert (arrays["channels"] == -1).all()
    assert arrays["scores"].dtype == np.float32
    for path in (STREET, ALARM):
        result = classifier.classify(path)
        of_file = arrays["files"] == str(path)
        np.testing.assert_array_equal(arrays["scores"][of_file], result.framewise_scores)
        np.testing.assert_array_equal(arrays["times"][of_file], result.frame_times)


@pytest.mark.parametrize(
    ("options", "sentence"),
    [
        (["--frames", "--format", "npz"], "add -o frames.npz"),
        (["--frames", "--format", "npz,csv", "-o", "out/"], "write it by itself"),
        (["--frames", "-o", "out.npz", "--top", "3"], "leave --top out"),
        (["--frames", "-o", "out.npz", "--allow", "Siren"], "leave --allow out"),
        (["--windows", "-o", "out.npz", "--format", "npz"], "there is no format 'npz'"),
    ],
)
def test_arrays_are_of_frames_and_of_all_labels(
    options: list[str], sentence: str, tmp_path: Path
) -> None:
    done = oido("classify", STREET, *options, cwd=tmp_path)
    assert done.returncode == 2
    assert sentence in done.stderr
    assert list(tmp_path.iterdir()) == []


@pytest.mark.slow
def test_fast_is_a_hop_of_a_window() -> None:
    options = ("--format", "csv")
    fast = oido("classify", STREET, "--fast", *options).stdout
    assert fast == oido("classify", STREET, "--hop", "0.96", *options).stdout
    assert fast != oido("classify", STREET, *options).stdout
    windows = table(oido("classify", STREET, "--fast", "--windows", *options).stdout)
    starts = sorted({float(row["start_time"]) for row in windows})
    assert starts[:3] == [0.0, 0.96, 1.92]


def test_each_channel_is_heard_by_itself() -> None:
    done = oido("classify", ALARM, "--channel", "each", "--clip", "--top", 1, "--format", "jsonl")
    left, right = (json.loads(line) for line in done.stdout.splitlines())
    assert (left["channel"], right["channel"]) == (0, 1)
    assert right["label"] == "Smoke detector, smoke alarm"
    assert left["label"] != right["label"]


def test_a_channel_that_is_not_there_fails_that_recording() -> None:
    done = oido("classify", ALARM, STREET, "--channel", 1, "--format", "csv")
    assert done.returncode == 3
    assert "no channel 1; it has one channel, 0" in done.stderr
    assert {row["file"] for row in table(done.stdout)} == {str(ALARM)}


def test_bad_files_are_a_line_each_and_exit_code_3(tmp_path: Path) -> None:
    (tmp_path / "empty.wav").write_bytes(b"")
    (tmp_path / "text.mp3").write_text("this is no sound at all")
    (tmp_path / "cut.flac").write_bytes(STREET.read_bytes()[:5000])
    shutil.copy(STREET, tmp_path / "good é 狗.flac")
    done = oido("classify", tmp_path, tmp_path / "missing.wav", "--format", "csv", "-q")
    assert done.returncode == 3
    lines = done.stderr.splitlines()
    assert all(line.startswith("oido: ") for line in lines)
    for name in ("empty.wav", "text.mp3", "missing.wav"):
        assert sum(name in line for line in lines) == 1
    assert "Traceback" not in done.stderr
    assert str(tmp_path / "good é 狗.flac") in {row["file"] for row in table(done.stdout)}


def test_what_was_heard_before_the_damage_is_kept(tmp_path: Path) -> None:
    sound = soundfile.read(STREET, dtype="float32")[0]
    sound[16_000 * 8 :] = np.nan
    soundfile.write(tmp_path / "nan.wav", sound, 16_000, subtype="FLOAT")
    done = oido("classify", tmp_path / "nan.wav", "--format", "csv")
    assert done.returncode == 3
    assert "NaN" in done.stderr
    (siren, beeps) = table(done.stdout)
    assert (siren["label"], siren["also"].split("|")[-1]) == ("Police car (siren)", "Siren")
    assert (beeps["label"], beeps["end_time"]) == ("Beep, bleep", "7.9")


def test_standard_input_is_a_source() -> None:
    done = subprocess.run(
        [*OIDO, "classify", "-", "--clip", "--top", "1", "--format", "jsonl"],
        input=ALARM.read_bytes(),
        capture_output=True,
        timeout=120,
        check=False,
    )
    assert json.loads(done.stdout)["file"] == "<stdin>"


def test_an_address_is_a_source(street_events: list[dict[str, str]], tmp_path: Path) -> None:
    pytest.importorskip("aiohttp", reason="addresses need oido[archive]")
    handler = functools.partial(http.server.SimpleHTTPRequestHandler, directory=str(EXAMPLES))
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        site = f"http://127.0.0.1:{server.server_port}"
        urls = [f"{site}/street.flac?a=*", f"{site}/none.wav"]
        done = oido("classify", *urls, "-o", "out/", "--format", "csv,srt", cwd=tmp_path)
        server.shutdown()
    assert done.returncode == 3, done.stderr
    assert f"{urls[1]}: no such file" in done.stderr
    rows = table((tmp_path / "out" / "events.csv").read_text(encoding="utf-8"))
    assert {row["file"] for row in rows} == {urls[0]}
    assert [row | {"file": ""} for row in rows] == [row | {"file": ""} for row in street_events]
    assert (tmp_path / "out" / "street.srt").exists()


def test_a_folder_of_results_with_a_manifest(tmp_path: Path) -> None:
    done = oido("classify", RECORDINGS, "-o", f"{tmp_path}/r/", "--format", "csv,parquet,raven,srt")
    assert done.returncode == 0, done.stderr
    assert done.stdout == ""
    assert sorted(p.name for p in (tmp_path / "r").iterdir()) == [
        ".oido-written",
        "alarm.selections.txt",
        "alarm.srt",
        "events.csv",
        "events.parquet",
        "oido-manifest.json",
        "street.selections.txt",
        "street.srt",
    ]
    manifest = json.loads((tmp_path / "r" / "oido-manifest.json").read_text())
    rows = table((tmp_path / "r" / "events.csv").read_text())
    assert manifest["counts"]["rows"] == len(rows)
    assert manifest["counts"]["heard"] == 2
    assert manifest["model"]["sha256"].startswith("10c95ea3eb9a")
    assert manifest["parameters"]["detection"]["threshold"] is None
    assert manifest["interrupted"] is False


def test_the_order_and_the_rows_do_not_depend_on_jobs(tmp_path: Path) -> None:
    one, two = (oido("classify", RECORDINGS, "--jobs", n, "--format", "csv").stdout for n in (1, 2))
    assert one == two


def test_thresholds_of_a_file(tmp_path: Path) -> None:
    path = tmp_path / "thresholds.csv"
    path.write_text('label,threshold\nSiren,0.99\n"Beep, bleep",0.1\n')
    options = ("--format", "csv", "--allow", "Siren", "--allow", "beep, bleep")
    labels = {
        row["label"]
        for row in table(oido("classify", STREET, "--thresholds", path, *options).stdout)
    }
    assert labels == {"Beep, bleep"}


@pytest.mark.parametrize(
    ("args", "message"),
    [
        (["--allow", "Sirren"], "'Siren'"),
        (["--allow", "Siren", "--deny", "Dog"], "not allowed with"),
        (["--threshold", "1.5"], "from 0 to 1"),
        (["--hop", "0.123"], "multiple of 0.01"),
        (["--hop", "0.48", "--fast"], "not allowed with"),
        (["--top", "0"], "1 or more"),
        (["--format", "xml"], "choose from"),
        (["--format", "csv,json"], "add -o"),
        (["--channel", "left"], "mix, each or a number"),
        (["--thresholds", "nowhere.csv"], "nowhere.csv"),
        (["-o", "out.xyz"], "--format"),
    ],
)
def test_wrong_usage_is_one_sentence_and_exit_code_2(args: list[str], message: str) -> None:
    done = oido("classify", STREET, *args)
    assert done.returncode == 2
    assert message in done.stderr
    assert "Traceback" not in done.stderr
    assert done.stdout == ""


def test_a_model_that_does_not_exist_is_fatal() -> None:
    done = oido("classify", STREET, "--model", "yamnet/clasification")
    assert done.returncode == 1
    assert "did you mean 'yamnet/classification'?" in done.stderr


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="this system has no /dev/full")
def test_a_full_disk_leaves_nothing_half_written(tmp_path: Path) -> None:
    script = 'ulimit -f 1; exec "$@"'  # files end at 1 KiB, as on a full disk
    done = subprocess.run(
        ["bash", "-c", f"trap '' XFSZ; {script}", "_", *OIDO, "classify", str(STREET),
         "--windows", "--top", "50", "-o", str(tmp_path / "out.csv")],
        capture_output=True, text=True, timeout=120, check=False,
    )  # fmt: skip
    assert done.returncode == 1
    assert "out.csv cannot be written" in done.stderr
    assert "Traceback" not in done.stderr
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("name", ["SIGINT", "SIGHUP"])
def test_interrupted_it_keeps_what_is_done(tmp_path: Path, name: str) -> None:
    for number in range(40):
        soundfile.write(
            tmp_path / f"{number:02d}.wav", 0.1 * np.ones(16_000 * 60, np.float32), 16_000
        )
    process = subprocess.Popen(
        [*OIDO, "classify", str(tmp_path), "-v", "--clip", "-o", str(tmp_path / "out.csv")],
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )
    assert process.stderr is not None
    assert "00.wav" in process.stderr.readline()
    os.killpg(process.pid, getattr(signal, name))
    _, errors = process.communicate(timeout=30)
    assert process.returncode == 130
    assert "Traceback" not in errors
    assert "of 40 recordings were done; kept in" in errors
    assert not (tmp_path / "out.csv").exists()
    kept = {row["file"] for row in table((tmp_path / "out.partial.csv").read_text())}
    manifest = json.loads((tmp_path / "out.csv.manifest.json").read_text())
    assert manifest["interrupted"] is True
    told = {r["name"] for r in manifest["recordings"]}
    assert 0 < manifest["counts"]["heard"] < 40
    assert kept == told, "rows of a recording that the manifest does not speak of"
    assert manifest["counts"]["not_reached"] == 40 - len(kept)


def test_interrupted_within_a_recording_no_line_is_half_written(tmp_path: Path) -> None:
    path = tmp_path / "long.wav"
    noise = np.random.default_rng(0).uniform(-0.2, 0.2, 16_000 * 600).astype(np.float32)
    soundfile.write(path, noise, 16_000)
    output = tmp_path / "out.csv"
    process = subprocess.Popen(
        [*OIDO, "classify", str(path), "--windows", "--top", "200", "-o", str(output)],
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline:
        parts = list(tmp_path.glob(f".out.csv.{process.pid}-*.part"))
        if parts and parts[0].stat().st_size > 100_000:
            break
        time.sleep(0.005)
    os.killpg(process.pid, signal.SIGINT)
    _, errors = process.communicate(timeout=30)
    assert process.returncode == 130
    assert "Traceback" not in errors
    rows = table((tmp_path / "out.partial.csv").read_text())
    assert rows
    assert all(row["score"] and float(row["score"]) >= 0 for row in rows)
    manifest = json.loads((tmp_path / "out.csv.manifest.json").read_text())
    (recording,) = manifest["recordings"]
    assert recording["failure"]["kind"] == "Interrupted"
    assert recording["rows"] == len(rows)


def test_a_reader_that_has_enough_is_no_error() -> None:
    process = subprocess.Popen(
        [*OIDO, "classify", str(STREET), "--windows", "--top", "400", "--format", "csv"],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    assert process.stdout is not None
    assert process.stderr is not None
    process.stdout.readline()
    process.stdout.close()
    assert "Traceback" not in process.stderr.read()
    assert process.wait(timeout=30) == 0


@pytest.mark.slow
def test_on_a_terminal_there_is_a_bar(tmp_path: Path) -> None:
    pty = pytest.importorskip("pty")
    fcntl, termios = pytest.importorskip("fcntl"), pytest.importorskip("termios")
    noise = np.random.default_rng(0).uniform(-0.1, 0.1, 16_000 * 600).astype(np.float32)
    for number in range(3):  # long enough for a bar to be drawn; silence would be done at once
        soundfile.write(tmp_path / f"{number}.wav", noise, 16_000)
    master, slave = pty.openpty()
    fcntl.ioctl(slave, termios.TIOCSWINSZ, struct.pack("HHHH", 24, 100, 0, 0))
    process = subprocess.Popen(
        [*OIDO, "classify", str(tmp_path), "--clip", "--format", "csv", "--jobs", "1"],
        stdout=subprocess.DEVNULL,
        stderr=slave,
    )
    os.close(slave)
    shown = b""
    deadline = time.monotonic() + 300  # of a machine that does other things beside
    while time.monotonic() < deadline:
        try:
            piece = os.read(master, 65536)
        except OSError:
            break
        shown += piece
    process.wait(timeout=30)
    os.close(master)
    text = shown.decode("utf-8", "replace")
    assert "× real time" in text
    assert "|" in text
    assert "3 recordings" in text


@pytest.mark.skipif(
    sys.platform in ("darwin", "win32"), reason="file systems whose names are always Unicode"
)
def test_a_name_that_is_no_utf8_is_escaped_and_its_output_has_its_own_name(tmp_path: Path) -> None:
    (tmp_path / "in").mkdir()
    shutil.copy(ALARM, tmp_path / "in" / os.fsdecode(b"caf\xe9.flac"))
    done = oido("classify", "in", "-o", "out/", "--format", "srt,csv,json", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert (tmp_path / "out" / os.fsdecode(b"caf\xe9.srt")).exists()
    written = json.loads((tmp_path / "out" / "oido-manifest.json").read_text(encoding="utf-8"))
    assert written["inputs"] == ["in/caf\\udce9.flac"]
    assert "caf\\udce9.srt" in written["outputs"]
    rows = table((tmp_path / "out" / "events.csv").read_text(encoding="utf-8"))
    assert {row["file"] for row in rows} == {"in/caf\\udce9.flac"}
    done = oido("classify", "in", "-o", "o.jsonl", "--quiet", cwd=tmp_path)
    assert (done.returncode, done.stderr) == (0, "")
