# SPDX-License-Identifier: Apache-2.0
"""A disk that becomes read-only in the midst of a run: a file system of its own is aborted.

A file that is open keeps a system from making its disk read-only on request, and oido has its lock
open; but ext4 can be told to behave as it does after an error of its disk.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from oido.batch.verify import verify
from tests.batch.archives import hear, tables

_MOUNT = 'mount -o loop "$1/disk" "$1/mnt"'

_RUN = f"""
{_MOUNT} || exit 77
"$2" -m oido batch "$1/in" -o "$1/mnt/out" -q --jobs 1 --embeddings &
run=$!
while [ ! -e "$1/mnt/out/ledger/00000001.json" ] && kill -0 $run; do sleep 0.01; done
mount -o remount,abort "$1/mnt" || exit 77
! touch "$1/mnt/more" || exit 77
wait $run
echo "code $?"
umount "$1/mnt"
"""

_RESUME = f"""
{_MOUNT} || exit 77
"$2" -m oido batch "$1/in" -o "$1/mnt/out" -q --jobs 1 --embeddings --resume
echo "code $?"
cp -r "$1/mnt/out" "$1/kept"
umount "$1/mnt"
"""


def in_own_mounts(script: str, folder: Path) -> subprocess.CompletedProcess[str]:
    """Run it where its mounts are nobody else's. Skips where that, or a mount, is not allowed."""
    command = ["unshare", "-m", "sh", "-c", script, "sh", str(folder), sys.executable]
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=300)
    if done.returncode == 77 or done.stderr.startswith("unshare:"):
        pytest.skip(f"needs root, and loop devices: {done.stderr.strip()[-200:]}")
    return done


@pytest.mark.slow
def test_a_disk_that_becomes_read_only_is_one_sentence_and_loses_nothing(
    archive: Path, tmp_path: Path
) -> None:
    if any(shutil.which(name) is None for name in ("unshare", "mount", "mkfs.ext4")):
        pytest.skip("needs unshare, mount and mkfs.ext4")
    (tmp_path / "mnt").mkdir()
    with (tmp_path / "disk").open("wb") as disk:
        os.truncate(disk.fileno(), 64 << 20)
    subprocess.run(["mkfs.ext4", "-q", "-F", tmp_path / "disk"], check=True)

    first = in_own_mounts(_RUN, tmp_path)
    assert "code 1" in first.stdout, first
    (sentence,) = [line for line in first.stderr.splitlines() if line.startswith("oido: ")]
    # What the system says, by the step that met the abort: EIO, if that step had begun before it.
    assert "Read-only file system" in sentence or "Input/output error" in sentence
    assert "Traceback" not in first.stderr

    again = in_own_mounts(_RESUME, tmp_path)
    assert "code 3" in again.stdout, again  # one of the recordings is none
    hear([str(archive)], str(tmp_path / "calm"), embeddings=True)
    assert tables(str(tmp_path / "kept")) == tables(str(tmp_path / "calm"))
    assert verify(str(tmp_path / "kept")).is_whole
