# SPDX-License-Identifier: Apache-2.0
"""The Ray engine on an object store: a real S3 interface on loopback (moto), and a run killed."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile

from oido.batch.progress import status_of
from tests.batch.archives import hear
from tests.batch.ray_runs import hear_by_ray, make_recordings, nobody_left, place_free_tables

pytest.importorskip("ray", reason="needs Ray")
if not sys.platform.startswith("linux"):
    pytest.skip("needs Linux", allow_module_level=True)

pytestmark = pytest.mark.slow

BUCKET = "s3://archive"


@pytest.fixture(scope="module")
def s3(s3_endpoint: str) -> Any:
    import fsspec

    files = fsspec.filesystem("s3", skip_instance_cache=True, use_listings_cache=False)
    files.mkdir(BUCKET)
    return files


@pytest.fixture(scope="module")
def recordings(s3: Any, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """In a local folder, and as they are in the store."""
    folder = make_recordings(tmp_path_factory.mktemp("s3") / "recordings", 12)
    s3.put(str(folder), f"{BUCKET}/in", recursive=True)
    return folder


@pytest.fixture(scope="module")
def local(recordings: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    folder = str(tmp_path_factory.mktemp("s3") / "local")
    hear([str(recordings)], folder, split_seconds=62)
    found = place_free_tables(folder)
    assert len(found["recordings"]) == 13
    return found


def test_both_engines_hear_a_store_as_they_hear_a_folder(s3: Any, local: dict[str, Any]) -> None:
    with nobody_left():
        hear([f"{BUCKET}/in"], f"{BUCKET}/by-processes", split_seconds=62)
        assert place_free_tables(f"{BUCKET}/by-processes") == local
        hear_by_ray([f"{BUCKET}/in"], f"{BUCKET}/by-ray", 2)
        assert place_free_tables(f"{BUCKET}/by-ray") == local


def test_a_run_in_a_store_that_is_killed_goes_on_and_leaves_nobody(
    s3: Any, local: dict[str, Any]
) -> None:
    results = f"{BUCKET}/killed"
    told = "lambda n: print(n, flush=True)"
    script = (
        "from tests.batch.ray_runs import hear_by_ray\n"
        f"hear_by_ray(['{BUCKET}/in'], '{results}', 2, on_step={told})"
    )
    with nobody_left(agents_stay=True):
        run = subprocess.Popen(
            [sys.executable, "-c", script],
            cwd=Path(__file__).parents[2],
            stdout=subprocess.PIPE,
            text=True,
            start_new_session=True,
        )
        assert run.stdout is not None
        for line in run.stdout:
            if int(line) >= 3:
                os.kill(run.pid, signal.SIGKILL)
                break
        run.stdout.close()
        assert run.wait() == -signal.SIGKILL
    before = status_of(results)["done"]
    assert 3 <= before < 12
    again = hear([f"{BUCKET}/in"], results, resumes=True, split_seconds=62)
    assert len(again) <= 13 - before
    assert place_free_tables(results) == local


def test_ctrl_c_ends_a_local_ray_with_everyone_in_it(recordings: Path, tmp_path: Path) -> None:
    long = tmp_path / "long.wav"  # so that a quick machine is not through before it is asked
    soundfile.write(long, np.zeros(45 * 60 * 16_000, np.int16), 16_000)
    command = [sys.executable, "-m", "oido", "batch", str(recordings), str(long)]
    command += ["-v", "--engine", "ray"]
    with nobody_left():
        run = subprocess.Popen(
            [*command, "-o", str(tmp_path / "r"), "--jobs", "1"],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            start_new_session=True,
        )
        assert run.stderr is not None
        run.stderr.readline()  # how far it is
        os.killpg(run.pid, signal.SIGINT)
        output, errors = run.communicate()
    assert run.returncode == 130
    assert output == ""
    assert "go on with the same command and --resume" in errors
    assert "Traceback" not in errors
    status = status_of(str(tmp_path / "r"))
    assert status["left"] > 0
