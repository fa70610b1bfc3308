# SPDX-License-Identifier: Apache-2.0
"""Parts of benchmarks/container.py that need neither root nor debootstrap."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from pathlib import Path

import pytest

from tests.deploy.dockerfile import instructions

ROOT = Path(__file__).parents[2]
sys.path[:0] = [str(ROOT / "benchmarks")]

from container import Stage, megabytes, processes_below  # noqa: E402

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="needs Linux")


def test_copy_lays_files_where_an_engine_would(tmp_path: Path) -> None:
    context, root = tmp_path / "context", tmp_path / "root"
    (context / "src" / "vendor").mkdir(parents=True)
    (context / "src" / "a.py").write_text("a")
    for name in ("one.whl", "two.whl", "run.py"):
        (context / name).write_text(name)
    stage = Stage(root, work="/src")
    stage.copy("run.py one.whl ./", context)
    stage.copy("src src", context)
    stage.copy("*.whl /tmp/wheel/", context)
    stage.copy("run.py /opt/started.py", context)
    assert sorted(p.relative_to(root).as_posix() for p in root.rglob("*") if p.is_file()) == [
        "opt/started.py",
        "src/one.whl",
        "src/run.py",
        "src/src/a.py",
        "tmp/wheel/one.whl",
        "tmp/wheel/two.whl",
    ]


def test_the_dockerfiles_have_no_step_that_it_does_not_know() -> None:
    known = {"FROM", "RUN", "COPY", "ENV", "ARG", "WORKDIR", "USER"}
    without_effect_here = {"VOLUME", "EXPOSE", "HEALTHCHECK", "ENTRYPOINT", "CMD"}
    for path in (ROOT / "deploy").rglob("Dockerfile"):
        assert {step.name for step in instructions(path)} <= known | without_effect_here


def test_a_command_is_run_as_the_user_in_the_folder(tmp_path: Path) -> None:
    stage = Stage(tmp_path, {"PATH": "/opt/bin"}, "/data", "999")
    words = stage.command(["oido", "classify", "a b.flac"])
    assert words[:2] == ["unshare", "--mount"], "mounts of its own, which end with it"
    inside = words[words.index("chroot") :]
    assert inside[1:3] == ["--userspec=999:999", str(tmp_path)]
    assert inside[3:6] == ["env", "-i", "PATH=/opt/bin"]
    assert words[-1] == "cd /data && exec oido classify 'a b.flac'"


def test_a_file_with_two_names_weighs_once(tmp_path: Path) -> None:
    (tmp_path / "a").write_bytes(os.urandom(2_000_000))
    before = megabytes(tmp_path)
    os.link(tmp_path / "a", tmp_path / "b")
    assert before == pytest.approx(2, rel=0.1)
    assert megabytes(tmp_path) == before


def test_processes_are_found_with_their_user() -> None:
    child = "import subprocess, sys; subprocess.run([sys.executable, '-c', 'input()'])"
    with subprocess.Popen([sys.executable, "-c", child], stdin=subprocess.PIPE) as process:
        limit = time.monotonic() + 60
        while sum("python" in what for what, _ in processes_below(process.pid)) < 2:
            assert time.monotonic() < limit
            time.sleep(0.05)
        assert {user for _, user in processes_below(process.pid)} == {str(os.geteuid())}
        assert process.stdin is not None
        process.stdin.close()
