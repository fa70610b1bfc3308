# SPDX-License-Identifier: Apache-2.0
"""One contract for a folder on this machine and one in an object store (a real S3 API, moto)."""

from __future__ import annotations

import errno
import os
import threading
from pathlib import Path

import pytest

from oido.batch.storage import Storage, is_remote, is_written_by, new_path, storage_of
from oido.errors import OptionError, OutputError
from tests.batch.conftest import BUCKET

RUN_ID = "0123456789abcdef"


@pytest.fixture(params=["folder", "file address", "store"])
def storage(request: pytest.FixtureRequest, tmp_path: Path) -> Storage:
    if request.param == "store":
        request.getfixturevalue("s3")
        return storage_of(f"{BUCKET}/out/", RUN_ID)
    before = "file://" if request.param == "file address" else ""
    return storage_of(f"{before}{tmp_path / 'out'}", RUN_ID)


def test_what_is_written_is_there_whole_and_is_never_overwritten(storage: Storage) -> None:
    storage.write_new("a/b", b"1")
    with pytest.raises(FileExistsError):
        storage.write_new("a/b", b"2")
    assert storage.read("a/b") == b"1"
    with storage.open("a/b") as file:
        assert file.read() == b"1"
    assert storage.full("a/b").endswith("/out/a/b")
    with pytest.raises(FileNotFoundError):
        storage.read("a/c")


def test_a_file_that_is_left_with_an_error_never_was(storage: Storage) -> None:
    storage.write_new("a/b", b"1")
    with pytest.raises(ZeroDivisionError), storage.open_new("a/c") as file:
        file.write(bytes(int(1 / (file.tell() * 0))))
    assert storage.names("a") == ["a/b"]
    with storage.open_new("a/c") as file:
        file.write(b"2")
        assert storage.names("a") == ["a/b"] or "a/c" not in storage.names("a")
    assert storage.read("a/c") == b"2"


def test_names_and_entries_are_in_order_and_none_where_nothing_is(storage: Storage) -> None:
    assert (storage.entries(), storage.names("b")) == ([], [])
    for name in ("b/2", "b/1", "b/10", "top"):
        storage.write_new(name, b"")
    assert storage.names("b") == ["b/1", "b/10", "b/2"]
    assert storage.entries() == ["b", "top"]
    assert storage.names("top") in ([], ["top/top"])  # a file is no folder


def test_deleting_passes_over_what_is_gone(storage: Storage) -> None:
    storage.write_new("a/b", b"1")
    storage.write_new("a/c", b"1")
    storage.delete(["a/none", "a/b"])
    assert storage.names("a") == ["a/c"]


def test_new_names_are_known_as_the_runs_own(storage: Storage) -> None:
    names = {new_path(storage, "events", ".parquet") for _ in range(50)}
    assert len(names) == 50
    for name in names:
        assert name.startswith("events/")
        assert is_written_by(name, {RUN_ID})
        assert not is_written_by(name, {"f" * 16})


@pytest.mark.parametrize(
    "name",
    [
        "events/mine.parquet",
        f"events/{RUN_ID}.parquet",
        f"events/{RUN_ID}-{'0' * 15}.parquet",
        f"events/{RUN_ID}-{'0' * 16}.txt",
        f"events/copy of {RUN_ID}-{'0' * 16}.parquet",
        f"ledger/.1.json.{RUN_ID}.part",
        "recordings/download.part",
        "",
    ],
)
def test_nothing_else_is_mistaken_for_a_file_of_the_run(name: str) -> None:
    assert not is_written_by(name, {RUN_ID, ""})


def test_an_unfinished_file_is_the_runs_own_too(tmp_path: Path) -> None:
    storage = storage_of(str(tmp_path), RUN_ID)
    with storage.open_new("a/b.npy"):
        (unfinished,) = storage.names("a")
        assert is_written_by(unfinished, {RUN_ID})
    assert storage.names("a") == ["a/b.npy"]


@pytest.mark.skipif(os.name != "posix", reason="a folder is synchronised on POSIX alone")
def test_a_name_that_the_disk_does_not_confirm_is_not_said_to_be_free(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    sync = os.fsync

    def failing(descriptor: int) -> None:
        if os.path.isdir(f"/proc/self/fd/{descriptor}") or os.path.isdir(f"/dev/fd/{descriptor}"):
            raise OSError(errno.EIO, os.strerror(errno.EIO))
        sync(descriptor)

    monkeypatch.setattr(os, "fsync", failing)
    with pytest.raises(OutputError) as told:
        storage_of(str(tmp_path)).write_new("a", b"content")
    assert str(told.value).endswith(
        "a: the disk does not confirm that it keeps it: Input/output error"
    )
    assert (tmp_path / "a").read_bytes() == b"content"


def test_two_processes_do_not_share_a_folder(tmp_path: Path) -> None:
    one, other = storage_of(str(tmp_path)), storage_of(str(tmp_path))
    one.lock()
    with pytest.raises(OptionError, match="another run is writing there; wait for it"):
        other.lock()


def test_of_many_writers_one_wins(tmp_path: Path) -> None:
    refused = []

    def write(number: int) -> None:
        try:
            storage_of(str(tmp_path), f"{number:016x}").write_new("x/1.json", bytes([number]))
        except FileExistsError:
            refused.append(number)

    threads = [threading.Thread(target=write, args=(n,)) for n in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(refused) == 7
    (winner,) = set(range(8)) - set(refused)
    assert storage_of(str(tmp_path)).read("x/1.json") == bytes([winner])
    assert storage_of(str(tmp_path)).names("x") == ["x/1.json"]


def test_what_cannot_be_a_folder_is_told(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("mine")
    storage = storage_of(str(tmp_path / "file"), RUN_ID)
    with pytest.raises(OptionError, match="cannot be a folder of results"):
        storage.entries()
    with pytest.raises(OutputError, match="cannot be written"):
        storage.write_new("a/b", b"")


def test_addresses_and_stores_that_are_none() -> None:
    assert is_remote("s3://bucket/x")
    assert not is_remote("file:///x")
    assert not is_remote("C:/x")
