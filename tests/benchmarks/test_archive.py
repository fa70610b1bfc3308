# SPDX-License-Identifier: Apache-2.0
"""The benchmarks of archives measure what they say: folders of any size, links as recordings, and
the memory of all processes."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from oido.batch.progress import status_of
from oido.batch.verify import verify
from oido.results import Results

BENCHMARKS = Path(__file__).parents[2] / "benchmarks"

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="the benchmarks are for Linux")


@pytest.fixture
def benchmark(monkeypatch: pytest.MonkeyPatch) -> Callable[[str], Any]:
    monkeypatch.syspath_prepend(str(BENCHMARKS))
    return __import__


def test_a_made_folder_is_one_of_oidos_own(benchmark: Any, tmp_path: Path) -> None:
    benchmark("archive_size").make_results(str(tmp_path / "out"), 105, 10)
    status = status_of(str(tmp_path / "out"))
    assert (status["done"], status["left"]) == (105, 0)
    assert status["rows"] == {"recordings": 105, "events": 315, "windows": 525, "clips": 525}
    assert verify(str(tmp_path / "out")).findings == []
    with Results(str(tmp_path / "out")) as results:
        assert results.sql("SELECT count(DISTINCT file) AS n FROM events")["n"].to_pylist() == [105]


def test_links_of_a_list_are_heard_each(benchmark: Any, tmp_path: Path) -> None:
    archive = benchmark("archive")
    (tmp_path / "one.wav").write_bytes(b"RIFF, but no more")
    listed = archive.make_archive(tmp_path, [tmp_path / "one.wav"], "wav16", 0.5, copied=False)
    assert len(listed.read_text().splitlines()) == 3
    command = ["-c", archive._WITH_LINKS, "batch", str(listed), "-o", str(tmp_path / "out"), "-q"]
    assert subprocess.run([sys.executable, *command], check=False).returncode == 3
    assert status_of(str(tmp_path / "out"))["failed"] == 3


def test_processes_and_their_memory(benchmark: Any) -> None:
    machine = benchmark("machine")
    sleeping = "import subprocess, sys; subprocess.run([sys.executable, '-c', 'input()'])"
    with subprocess.Popen([sys.executable, "-c", sleeping], stdin=subprocess.PIPE) as process:
        for _ in range(600):
            found = machine.children(process.pid)
            if found:
                break
            process.poll()
            machine.time.sleep(0.1)
        assert len(found) == 1
        now, most = (machine.memory_kb(found[0], name) for name in ("VmRSS", "VmHWM"))
        assert 1_000 < now <= most < 1_000_000
        process.communicate(b"\n")
    assert machine.children(process.pid) == []
    assert machine.memory_kb(process.pid, "VmRSS") == 0
