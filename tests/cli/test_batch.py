# SPDX-License-Identifier: Apache-2.0
"""`oido batch` as a user runs it: a real process, the real model, real kills."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile

from oido.cli.main import run
from tests.batch.archives import tables

OIDO = [sys.executable, "-m", "oido"]
ROOT = Path(__file__).parents[2]


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


@pytest.fixture(scope="module")
def archive(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("archive")
    rng = np.random.default_rng(0)
    for number in range(20):
        sound = 0.2 * rng.standard_normal(16_000 * 40) * np.sin(np.arange(16_000 * 40) / 9000)
        soundfile.write(folder / f"{number:02d}.flac", sound, 16_000)
    (folder / "07.flac").write_bytes(b"fLaC of a kind")
    return folder


def test_a_run_is_stopped_and_gone_on_with(archive: Path, tmp_path: Path) -> None:
    calm, out = tmp_path / "calm", tmp_path / "out"
    done = oido("batch", archive, "-o", calm)
    assert done.returncode == 3
    assert "07.flac: not a format that oido can decode" in done.stderr
    assert "1 failed" in done.stderr
    for kill in (signal.SIGKILL, signal.SIGINT):
        more = ["--resume"] if out.exists() else []
        command = [*OIDO, "batch", str(archive), "-o", str(out), "--jobs", "1", *more]
        process = subprocess.Popen(
            command, stderr=subprocess.PIPE, text=True, start_new_session=True
        )
        for _ in range(600):
            if process.poll() is not None or len(list(out.glob("ledger/*.json"))) > len(more):
                break
            time.sleep(0.05)
        time.sleep(0.5)
        os.killpg(process.pid, kill)
        _, errors = process.communicate(timeout=60)
        if kill == signal.SIGINT:
            assert process.returncode == 130, errors
            assert "go on with the same command and --resume" in errors
    again = oido("batch", archive, "-o", out)
    assert again.returncode == 2
    assert "go on with --resume, or choose another folder" in again.stderr
    assert oido("batch", archive, "-o", out, "--resume").returncode == 3
    assert tables(str(out)) == tables(str(calm))


def test_status_tells_what_is_done_and_what_failed(archive: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    oido("batch", archive / "00.flac", archive / "07.flac", "-o", out, "-q")
    shown = oido("batch", "status", out)
    assert shown.returncode == 3
    assert "done     1 recordings" in shown.stdout
    assert "UnknownFormatError" in shown.stdout
    assert "07.flac: not a format" in shown.stdout
    status = json.loads(oido("batch", "status", out, "--json").stdout)
    assert (status["done"], status["failed"], status["left"]) == (1, 1, 0)
    assert status["times_real_time"] > 0


def test_recordings_that_went_or_were_renamed_are_told(archive: Path, tmp_path: Path) -> None:
    """Their rows stay, so that a folder that was renamed counts twice."""
    sounds, out = tmp_path / "site", tmp_path / "out"
    sounds.mkdir()
    for name in ("00.flac", "01.flac"):
        shutil.copy(archive / name, sounds / name)
    assert "not named now" not in oido("batch", sounds, "-o", out).stderr
    assert "not named now" not in oido("batch", sounds, "-o", out, "--resume").stderr
    sounds.rename(tmp_path / "SITE-1")
    again = oido("batch", tmp_path / "SITE-1", "-o", out, "--resume")
    note = "recordings of before that are not named now, and keep their rows: 2"
    assert note in again.stderr
    assert json.loads(oido("batch", "status", out, "--json").stdout)["done"] == 4
    assert note not in oido("batch", tmp_path / "SITE-1", "-o", out, "--resume", "-q").stderr


@pytest.mark.slow
def test_classify_with_resume_is_the_same_engine(archive: Path, tmp_path: Path) -> None:
    one, other = tmp_path / "one", tmp_path / "other"
    files = [archive / "00.flac", archive / "01.flac"]
    options = ["--threshold", "0.2", "--deny", "Music/", "--hop", "0.96"]
    assert oido("classify", *files, "-o", one, "--resume", *options).returncode == 0
    assert oido("batch", *files, "-o", other, *options).returncode == 0
    assert tables(str(one)) == tables(str(other))
    more = oido("classify", *files, archive / "02.flac", "-o", one, "--resume", *options)
    assert more.returncode == 0
    assert "2 of 3 were heard before" in more.stderr
    mixed = oido("classify", *files, "-o", one, "--resume")
    assert mixed.returncode == 2
    assert "was heard with other parameters" in mixed.stderr
    refused = oido("classify", *files, "-o", one, "--resume", "--format", "csv")
    assert "leave out --format" in refused.stderr


@pytest.mark.parametrize(
    ("args", "says"),
    [
        (["x.wav"], "add -o results/"),
        (["x.wav", "-o", "r", "--retry-failed"], "--retry-failed goes with --resume"),
        (["x.wav", "-o", "r", "--floor", "2"], "--floor must be from 0 to 1"),
        (["x.wav", "-o", "r", "--clip-top", "0"], "--clip-top must be 1 or more"),
        (["-", "-o", "r"], "cannot hear standard input"),
        (["status"], "oido batch status FOLDER"),
        (["status", "nowhere"], "no such folder"),
        (["list.csv", "-o", "r"], "no such list"),
        (["x.wav", "-o", "r", "--allow", "Dogg"], "'Dog'"),
    ],
)
def test_wrong_usage_is_one_sentence(args: list[str], says: str, tmp_path: Path) -> None:
    done = oido("batch", *args, cwd=tmp_path)
    assert done.returncode == 2
    assert says in done.stderr
    assert done.stderr.count("\n") == 1
    assert not (tmp_path / "r" / "oido-archive.json").exists()


@pytest.mark.slow
def test_a_full_disk_is_one_sentence_and_nothing_is_lost(archive: Path, tmp_path: Path) -> None:
    resource = pytest.importorskip("resource", reason="needs POSIX")
    out = tmp_path / "out"

    def small_files() -> None:
        resource.setrlimit(resource.RLIMIT_FSIZE, (20_000, 20_000))

    full = oido("batch", archive, "-o", out, "-q", "--embeddings", preexec_fn=small_files)
    assert full.returncode == 1
    (line,) = [text for text in full.stderr.splitlines() if "07.flac" not in text]
    assert "cannot be written: File too large" in line
    assert "go on with the same command and --resume" in line
    assert not list(out.rglob("*.part"))
    assert oido("batch", archive, "-o", out, "-q", "--embeddings", "--resume").returncode == 3
    rows = tables(str(out))
    assert len(rows["recordings"]) == len({r["file"] for r in rows["recordings"]}) == 20
    assert len(rows["embeddings"]) == 19 * 83


@pytest.mark.slow
def test_an_archive_survives_kills(shared_audio: Path, tmp_path: Path) -> None:
    """The fault benchmark, small: every row is there once, every bad file is named."""
    script, result = ROOT / "benchmarks" / "archive_faults.py", tmp_path / "faults.json"
    options = ["--kills", "3", "--files", "40", "--json", result, "--clips", shared_audio]
    done = subprocess.run(
        [sys.executable, str(script), *map(str, options)],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    report = json.loads(result.read_text())
    assert report["groups_killed"] + report["workers_killed"] == 3
    assert report["bad_files"] == 5
    assert report["rows"]["events"]["rows"] > 100


def test_damage_is_said_as_by_classify(tmp_path: Path) -> None:
    """Pieces that could not be decoded cost no recording, but are no secret either."""
    content = bytearray((ROOT / "examples" / "street.flac").read_bytes())
    for place in range(len(content) // 3, len(content), len(content) // 3):
        content[place : place + 600] = b"\xff" * 600
    (tmp_path / "hurt.flac").write_bytes(content)
    classified = oido("classify", "hurt.flac", "--format", "csv", cwd=tmp_path)
    said = [line for line in classified.stderr.splitlines() if "hurt.flac: " in line]
    assert [line for line in said if " damaged piece" in line]
    done = oido("batch", "hurt.flac", "-o", "results", cwd=tmp_path)
    assert done.returncode == classified.returncode == 0
    assert [line for line in done.stderr.splitlines() if "hurt.flac: " in line] == said
    quiet = oido("batch", "hurt.flac", "-o", "again", "-q", cwd=tmp_path)
    assert not quiet.stderr


@pytest.mark.parametrize("is_quiet", [False, True])
def test_a_large_archive_is_told_with_and_without_fast(
    archive: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    is_quiet: bool,
) -> None:
    monkeypatch.setattr("oido.batch.run._LEAST_TO_PLAN_BYTES", 0)
    monkeypatch.setattr("oido.batch.estimate._LEAST_HOURS", 0.0)
    quiet = ["-q"] if is_quiet else []
    words = ["batch", str(archive / "00.flac"), str(archive / "01.flac"), "-o", str(tmp_path / "o")]
    assert run([*words, "--jobs", "1", *quiet]) == 0
    told = "h of sound, about 0.0 h of work for 1 worker, with --fast about 0.0 h (from a minute"
    assert (told in capsys.readouterr().err) is not is_quiet
