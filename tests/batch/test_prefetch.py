# SPDX-License-Identifier: Apache-2.0
"""Remote recordings are on disk before their workers ask: bounded, cancelled, and nothing left."""

from __future__ import annotations

import http.server
import os
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from oido.batch.prefetch import Prefetch
from oido.batch.units import Later, Source, Unit
from tests.batch.archives import hear, record, tables
from tests.batch.conftest import BUCKET
from tests.batch.test_run_remote import FaultyProxy

LONG = 60.0


class Store:
    """A file system whose files arrive when the test wants it, a byte at a time."""

    def __init__(self) -> None:
        self.begun: list[str] = []
        self.allowed = threading.Semaphore(0)
        self.broken: set[str] = set()

    def get_file(self, url: str, path: str, callback: Any) -> None:
        self.begun.append(url)
        with open(path, "wb") as file:
            file.write(b"x")
            while not self.allowed.acquire(timeout=0.02):
                callback.relative_update(1)
            if url in self.broken:
                raise OSError("the store has a bad day")
            file.write(b"x" * 9)


@pytest.fixture
def store(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Store:
    store = Store()
    monkeypatch.setattr("oido.batch.prefetch.filesystem_of", lambda url: store)
    (tmp_path / "scratch").mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path / "scratch"))
    return store


@pytest.fixture
def prefetch(store: Store, tmp_path: Path) -> Iterator[Prefetch]:
    prefetch = Prefetch(lambda: None, LONG)
    yield prefetch
    prefetch.close()
    assert os.listdir(tmp_path / "scratch") == []


def remote(name: str, size: int = 10, **more: Any) -> Unit:
    return Unit(Source(name, f"s3://b/{name}", size, ""), **more)


def wait_for(is_so: Callable[[], object]) -> None:
    end = time.monotonic() + LONG
    while not is_so():
        assert time.monotonic() < end
        time.sleep(0.01)


def arrived(prefetch: Prefetch, next_unit: Callable[[], Unit | None]) -> Unit:
    end = time.monotonic() + LONG
    while isinstance(unit := prefetch.next(next_unit), Later):
        assert time.monotonic() < end
        time.sleep(0.01)
    assert unit is not None
    return unit


def test_what_is_on_this_machine_comes_as_it_is_and_no_folder_is_made(
    prefetch: Prefetch, tmp_path: Path
) -> None:
    units = iter([Unit(Source("a", "/in/a.wav", 10, ""))])
    take = lambda: next(units, None)  # noqa: E731
    assert prefetch.next(take) == Unit(Source("a", "/in/a.wav", 10, ""))
    assert prefetch.next(take) is None
    assert os.listdir(tmp_path / "scratch") == []


def test_a_unit_is_handed_out_when_its_copy_is_whole(prefetch: Prefetch, store: Store) -> None:
    units = iter([remote("a.wav"), remote("b.flac")])
    take = lambda: next(units, None)  # noqa: E731
    assert isinstance(prefetch.next(take), Later)
    wait_for(lambda: len(store.begun) == 2)
    assert isinstance(prefetch.next(take), Later)
    store.allowed.release()
    first = arrived(prefetch, take)
    assert Path(first.fetched).read_bytes() == b"x" * 10
    assert Path(first.fetched).suffix == Path(first.source.name).suffix
    store.allowed.release()
    second = arrived(prefetch, take)
    assert {first.source.name, second.source.name} == {"a.wav", "b.flac"}
    assert prefetch.next(take) is None
    prefetch.release(first)
    assert not Path(first.fetched).exists()
    assert Path(second.fetched).exists()


def test_only_so_many_recordings_and_bytes_are_ahead(
    prefetch: Prefetch, store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("oido.batch.prefetch._MOST_RECORDINGS", 5)
    asked: list[Unit] = []

    def take() -> Unit:
        asked.append(remote(f"{len(asked)}.wav"))
        return asked[-1]

    prefetch.next(take)
    prefetch.next(take)
    assert len(asked) == 5
    monkeypatch.setattr("oido.batch.prefetch._MOST_RECORDINGS", 500)
    prefetch._most_bytes = 70
    prefetch.next(take)
    assert len(asked) == 8  # 70 bytes and one recording more


@pytest.mark.parametrize(
    "unit",
    [
        remote("unknown length.wav", 0),
        remote("larger than all that may be ahead.wav", 1 << 40, may_split=False),
        remote("rather read in ranges.wav", int(LONG * 32_000) + 1),
        remote("range.wav", kind="range"),
        remote("join.wav", kind="join"),
        remote("failed.wav", kind="failed"),
    ],
    ids=lambda unit: unit.source.name,
)
def test_what_a_worker_reads_by_itself_is_not_fetched(
    prefetch: Prefetch, store: Store, unit: Unit
) -> None:
    assert prefetch.next(iter([unit]).__next__) == unit
    assert store.begun == []


def test_what_cannot_be_fetched_is_left_to_the_worker(
    prefetch: Prefetch, store: Store, tmp_path: Path
) -> None:
    store.broken = {"s3://b/a.wav"}
    store.allowed.release(2)
    short = remote("short.wav", 99)  # it was another one when it was listed
    units = iter([remote("a.wav"), short])
    found = [arrived(prefetch, lambda: next(units, None)) for _ in range(2)]
    assert [unit.fetched for unit in found] == ["", ""]
    (folder,) = (tmp_path / "scratch").iterdir()
    assert list(folder.iterdir()) == []


def test_a_unit_that_comes_back_is_fetched_again(prefetch: Prefetch, store: Store) -> None:
    store.allowed.release(2)
    units = [remote("a.wav")]
    take = lambda: units.pop() if units else None  # noqa: E731
    before = arrived(prefetch, take)
    prefetch.release(before)
    units.append(before)
    again = arrived(prefetch, take)
    assert again.fetched != before.fetched
    assert Path(again.fetched).exists()
    gone = remote("0", 0, fetched=before.fetched)
    assert prefetch.next(iter([gone]).__next__) == remote("0", 0)


def test_a_store_that_stands_still_is_left_to_the_worker_and_its_clock(
    prefetch: Prefetch, store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Also those behind it have their turn, however many threads it holds."""
    names = [f"{number}.wav" for number in range(20)]
    units = iter([remote(name) for name in names])
    assert isinstance(prefetch.next(lambda: next(units, None)), Later)
    wait_for(lambda: len(store.begun) == 8)
    assert isinstance(prefetch.next(lambda: None), Later)
    monkeypatch.setattr("oido.batch.prefetch._STALL_SECONDS", 0.0)
    found = [arrived(prefetch, lambda: None) for _ in names]
    assert sorted(unit.source.name for unit in found) == sorted(names)
    assert {unit.fetched for unit in found} == {""}
    assert prefetch.next(lambda: None) is None


def test_closing_stops_what_is_under_way(store: Store, tmp_path: Path) -> None:
    prefetch = Prefetch(lambda: None, LONG)
    prefetch.next(iter([remote(f"{n}.wav") for n in range(40)]).__next__)
    wait_for(lambda: store.begun)
    prefetch.close()
    assert os.listdir(tmp_path / "scratch") == []
    assert not any(thread.is_alive() for thread in prefetch._threads)


class SlowProxy(FaultyProxy):
    """Each answer of the store is 50 ms late."""

    likely = (1, 0, 0, 0)

    def answer(self) -> None:
        time.sleep(0.05)
        FaultyProxy.do_GET(self)


for method in ("GET", "PUT", "POST", "HEAD", "DELETE"):
    setattr(SlowProxy, f"do_{method}", SlowProxy.answer)


class _Web(http.server.ThreadingHTTPServer):
    daemon_threads = True

    def handle_error(self, *_: object) -> None:
        """Clients that are interrupted are part of the test."""


@pytest.fixture
def far_store(s3: Any, s3_endpoint: str, monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    SlowProxy.store = s3_endpoint.removeprefix("http://")
    with _Web(("127.0.0.1", 0), SlowProxy) as web:
        threading.Thread(target=web.serve_forever, daemon=True).start()
        monkeypatch.setenv("AWS_ENDPOINT_URL", f"http://127.0.0.1:{web.server_address[1]}")
        yield s3
        web.shutdown()


def test_an_archive_far_away_has_the_rows_of_a_local_one(
    far_store: Any, archive: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """One that is none fails as ever; none of the messages names a copy."""
    scratch = tmp_path / "scratch"
    scratch.mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(scratch))
    far_store.put(str(archive), f"{BUCKET}/in", recursive=True)
    outcomes = hear([f"{BUCKET}/in"], str(tmp_path / "far"), workers=2)
    assert all(outcome.unit.fetched for outcome in outcomes)
    assert os.listdir(scratch) == []
    hear([str(archive)], str(tmp_path / "local"))
    far, local = tables(str(tmp_path / "far")), tables(str(tmp_path / "local"))
    for name in ("events", "windows", "clips"):
        for rows in (far[name], local[name]):
            for row in rows:
                row["file"] = Path(row["file"]).name
        assert far[name] == local[name] != []
    (failure,) = [r["failure_reason"] for r in far["recordings"] if r["failure_kind"]]
    assert failure.startswith("s3://recordings/in/3.wav: ")
    assert "oido-" not in failure


@pytest.mark.slow
def test_ctrl_c_leaves_no_copies_and_no_half_written_part(far_store: Any, tmp_path: Path) -> None:
    (tmp_path / "in").mkdir()
    for number in range(30):
        record(tmp_path / "in" / f"{number:02d}.wav", 40, number)
    far_store.put(str(tmp_path / "in"), f"{BUCKET}/in", recursive=True)
    scratch, out = tmp_path / "scratch", tmp_path / "out"
    scratch.mkdir()
    command = [sys.executable, "-m", "oido", "batch", f"{BUCKET}/in", "-o", str(out)]
    process = subprocess.Popen(
        command,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
        env={**os.environ, "TMPDIR": str(scratch)},
    )
    wait_for(lambda: process.poll() is not None or list(scratch.glob("oido-*/*")))
    os.killpg(process.pid, signal.SIGINT)
    _, errors = process.communicate(timeout=LONG)
    assert process.returncode == 130, errors
    assert list(scratch.glob("oido-*")) == []
    assert [path for path in out.rglob("*") if path.name.endswith(".part")] == []
    again = subprocess.run([*command, "--resume"], check=False, capture_output=True, timeout=600)
    assert again.returncode == 0, again.stderr
    assert len(tables(str(out))["recordings"]) == 30
