# SPDX-License-Identifier: Apache-2.0
"""Two machines on one store that has no conditional writes: who writes last has overwritten."""

from __future__ import annotations

import http.server
import os
import shutil
import subprocess
import sys
import threading
from pathlib import Path
from typing import Any

import pytest

from oido.batch.verify import verify
from tests.batch.archives import hear, record, tables
from tests.batch.conftest import BUCKET
from tests.batch.test_run_remote import FaultyProxy


def machine(folder: Path, proxy: str) -> subprocess.Popen[str]:
    """A run in a folder of its own, of the recordings in ``in``; as root, on a host of its name."""
    (folder / "tmp").mkdir()
    command = [sys.executable, "-m", "oido", "batch", "in", "-o", f"{BUCKET}/out", "-q"]
    command += ["--jobs", "1", "--resume"]
    if shutil.which("unshare") and os.geteuid() == 0:
        named = f'hostname {folder.name} && exec "$@"'
        command = ["unshare", "--uts", "sh", "-c", named, "sh", *command]
    environment = {**os.environ, "AWS_ENDPOINT_URL": proxy, "TMPDIR": str(folder / "tmp")}
    return subprocess.Popen(command, cwd=folder, env=environment, stderr=subprocess.PIPE, text=True)


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(2))
def test_of_two_machines_no_row_is_lost_or_doubled(
    s3: Any, s3_endpoint: str, tmp_path: Path, seed: int
) -> None:
    store = {"store": s3_endpoint.removeprefix("http://"), "likely": (1, 0, 0, 0)}
    unconditional = type("Handler", (FaultyProxy,), {**store, "dropped": "If-None-Match"})
    folders = [tmp_path / "one", tmp_path / "other"]
    for number, folder in enumerate(folders):
        (folder / "in").mkdir(parents=True)
        for k in range(8):
            record(folder / "in" / f"{number}-{k}.wav", 2 + k % 3, 10 * number + k + seed)
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), unconditional) as web:
        web.daemon_threads = True
        threading.Thread(target=web.serve_forever, daemon=True).start()
        proxy = f"http://127.0.0.1:{web.server_address[1]}"
        ends = []
        for _ in range(10):  # both at once, until nobody is told to come again
            runs = [machine(folder, proxy) for folder in folders]
            said = [run.communicate()[1] for run in runs]
            ends += [(run.returncode, words) for run, words in zip(runs, said)]
            for folder in folders:
                shutil.rmtree(folder / "tmp")
            if all(run.returncode == 0 for run in runs):
                break
        else:
            pytest.fail(f"it is never done: {ends}")
        web.shutdown()
    for code, words in ends:
        assert code == 0 or (code in (2, 4) and words.count("\n") == 1), (code, words)
    calm = str(tmp_path / "calm")
    hear([str(folder / "in") for folder in folders], calm)
    found, expected = tables(f"{BUCKET}/out"), tables(calm)
    for name, rows in expected.items():
        assert by_base(found[name]) == by_base(rows), name
    assert verify(f"{BUCKET}/out").is_whole


def by_base(rows: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Rows with the last part of their file's name, in its order, without what is of a place."""
    places = ("location", "modified", "key")
    named = [{**row, "file": Path(row["file"]).name} for row in rows]
    kept = [{k: v for k, v in row.items() if k not in places} for row in named]
    return sorted(kept, key=lambda row: str(row["file"]))
