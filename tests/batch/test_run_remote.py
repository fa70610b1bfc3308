# SPDX-License-Identifier: Apache-2.0
"""Archives in an object store: a real S3 interface on loopback (moto), and plain HTTP."""

from __future__ import annotations

import contextlib
import functools
import http.client
import http.server
import random
import threading
import time
from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile

from oido.batch.commit_log import CommitLog
from oido.batch.recording import fetch_recording
from oido.batch.results_folder import commits, read_folder
from oido.batch.sources import find_sources
from oido.batch.units import LoadedModel
from oido.batch.verify import delete_leftovers, leftovers, verify
from oido.errors import AudioNotFoundError, OidoError, OptionError
from tests.batch.archives import hear, tables
from tests.batch.conftest import BUCKET


@pytest.fixture
def recordings(tmp_path: Path) -> Path:
    folder = tmp_path / "recordings"
    (folder / "day one").mkdir(parents=True)
    rng = np.random.default_rng(0)
    for name, seconds in (("a.wav", 3), ("b.flac", 70), ("day one/c.wav", 130)):
        sound = 0.1 * rng.standard_normal(seconds * 22_050)
        soundfile.write(folder / name, sound, 22_050)
    (folder / "bad.wav").write_bytes(b"RIFF nothing")
    return folder


def test_an_archive_in_s3_has_the_rows_of_a_local_one(
    s3: Any, recordings: Path, tmp_path: Path
) -> None:
    s3.put(str(recordings), f"{BUCKET}/in", recursive=True)
    hear([str(recordings)], str(tmp_path / "local"))
    hear([f"{BUCKET}/in"], f"{BUCKET}/out", split_seconds=62, workers=2)
    local, remote = tables(str(tmp_path / "local")), tables(f"{BUCKET}/out")
    assert all(local.values())
    for name in local:
        ours = [{**r, "file": Path(r["file"]).name} for r in local[name]]
        theirs = [{**r, "file": Path(r["file"]).name} for r in remote[name]]
        if name == "recordings":
            place = ("location", "modified", "key", "failure_reason")
            for row in (*ours, *theirs):
                assert row["failure_kind"] is None or "bad.wav" in row["failure_reason"]
                for column in place:
                    row.pop(column)
        assert ours == theirs
    assert [r["file"] for r in remote["recordings"] if r["failure_kind"]] == [
        "s3://recordings/in/bad.wav"
    ]
    assert not s3.glob(f"{BUCKET}/out/pieces/*")


def test_an_s3_archive_is_resumed_and_sees_what_has_changed(s3: Any, recordings: Path) -> None:
    s3.put(str(recordings), f"{BUCKET}/in", recursive=True)
    hear([f"{BUCKET}/in"], f"{BUCKET}/out")
    assert hear([f"{BUCKET}/in"], f"{BUCKET}/out", resumes=True) == []
    s3.put(str(recordings / "b.flac"), f"{BUCKET}/in/a.wav")
    again = hear([f"{BUCKET}/in"], f"{BUCKET}/out", resumes=True)
    assert [o.unit.source.location for o in again] == [f"{BUCKET}/in/a.wav"]
    rows = {r["file"]: r["duration"] for r in tables(f"{BUCKET}/out")["recordings"]}
    assert rows[f"{BUCKET}/in/a.wav"] == rows[f"{BUCKET}/in/b.flac"] == 70.0


def test_of_two_runs_in_a_store_only_one_can_commit(s3: Any) -> None:
    one, other = (CommitLog(f"{BUCKET}/out", digit * 16) for digit in "01")
    one.begin({"embeddings": False}, LoadedModel("m", "0" * 64), calibrated=False)
    other.is_new = False
    other.begin({"embeddings": False}, LoadedModel("m", "0" * 64), calibrated=False)
    one.commit(units=[])
    with pytest.raises(OptionError, match="another run is writing"):
        other.commit(units=[])
    assert len(list(commits(one.storage))) == 1


@pytest.mark.parametrize("out", [f"{BUCKET}/out", BUCKET])
@pytest.mark.parametrize("resumes", [False, True])
def test_a_place_of_somebody_else_in_a_store_is_refused(
    s3: Any, recordings: Path, out: str, resumes: bool
) -> None:
    mine = ["embeddings/work.npy", "events/mine.parquet", "recordings/download.part"]
    for name in mine:
        s3.pipe_file(f"{out}/{name}", b"mine")
    with pytest.raises(OptionError, match=r"holds other things .*\(embeddings, events, recordings"):
        hear([str(recordings)], out, resumes=resumes)
    assert all(s3.cat_file(f"{out}/{name}") == b"mine" for name in mine)
    assert len(s3.find(out)) == len(mine)


def test_of_a_store_only_what_a_run_wrote_is_cleaned(
    s3: Any, recordings: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    out = f"{BUCKET}/out"
    s3.pipe_file(f"{out}/", b"")  # the folder itself, as some tools make it
    hear([str(recordings / "a.wav")], out)
    part = s3.ls(f"{out}/events", detail=False)[0].rsplit("/", 1)[-1]
    ours = f"{part.split('-')[0]}-{'0' * 16}.parquet"
    for name in ("mine.parquet", f"{'1' * 16}-{'0' * 16}.parquet", ours):
        s3.pipe_file(f"{out}/events/{name}", b"mine")
    s3.pipe_file(f"{out}/embeddings/work.npy", b"mine")
    hear([str(recordings / "a.wav"), str(recordings / "b.flac")], out, resumes=True)
    assert verify(out).is_whole
    assert leftovers(out, 3600) == {}
    assert list(leftovers(out, 0)) == [f"events/{ours}"]
    with pytest.raises(OptionError, match="a store cannot tell whether a run is writing"):
        delete_leftovers(out, 60)
    assert delete_leftovers(out, 3600) == {}
    later = time.time() + 7200
    monkeypatch.setattr("oido.batch.verify.time.time", lambda: later)
    assert list(delete_leftovers(out, 3600)) == [f"events/{ours}"]
    left = {name.rsplit("/", 1)[-1] for name in s3.ls(f"{out}/events", detail=False)}
    assert ours not in left
    assert {part, "mine.parquet", f"{'1' * 16}-{'0' * 16}.parquet"} < left
    assert s3.cat_file(f"{out}/embeddings/work.npy") == b"mine"


def test_a_folder_of_a_store_without_results_is_none(s3: Any) -> None:
    with pytest.raises(OptionError, match="no such folder"):
        read_folder(f"{BUCKET}/nothing")
    s3.pipe_file(f"{BUCKET}/texts/a.txt.old", b"1")
    with pytest.raises(OptionError, match="no recordings there"):
        find_sources([f"{BUCKET}/texts"])


class _Quiet(http.server.SimpleHTTPRequestHandler):
    def log_message(self, *args: Any) -> None: ...


def test_recordings_over_http(recordings: Path, tmp_path: Path) -> None:
    pytest.importorskip("aiohttp", reason="needs aiohttp")
    handler = functools.partial(_Quiet, directory=str(recordings))
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler) as web:
        threading.Thread(target=web.serve_forever, daemon=True).start()
        base = f"http://127.0.0.1:{web.server_address[1]}"
        urls = [f"{base}/a.wav", f"{base}/day%20one/c.wav", f"{base}/none.wav"]
        (tmp_path / "list.txt").write_text("\n".join(["# a comment", *urls, ""]))
        hear([str(tmp_path / "list.txt")], str(tmp_path / "results"))
        web.shutdown()
    rows = tables(str(tmp_path / "results"))["recordings"]
    assert {r["file"]: r["duration"] for r in rows} == dict(zip(urls, [3.0, 130.0, 0.0]))
    assert {r["file"]: r["failure_reason"] for r in rows if r["failure_kind"]} == {
        urls[2]: f"{urls[2]}: no such file"
    }


class _Unannounced(http.server.BaseHTTPRequestHandler):
    """Sends without a length, as programs do that make what they send."""

    protocol_version = "HTTP/1.1"
    content = b""

    def do_HEAD(self) -> None:
        self.send_response(200)
        self.send_header("Transfer-Encoding", "chunked")
        self.end_headers()

    def do_GET(self) -> None:
        self.do_HEAD()
        with contextlib.suppress(ConnectionError):
            self.wfile.write(b"%x\r\n%s\r\n0\r\n\r\n" % (len(self.content), self.content))

    def log_message(self, *args: Any) -> None: ...


class FaultyProxy(http.server.BaseHTTPRequestHandler):
    """Passes requests on to a store; now and then it answers 500, or loses or cuts the answer.

    likely: how often it passes one on, and each of the faults. dropped: a header that it omits.
    """

    protocol_version = "HTTP/1.1"
    store, chance, faults = "", random.Random(0), Counter[str]()
    likely, dropped = (20, 1, 1, 1), ""

    def do_GET(self) -> None:
        content = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        fault = self.chance.choices(["", "500", "lost", "cut"], self.likely)[0]
        self.faults[fault] += 1
        self.close_connection = bool(fault)
        if fault == "500":
            self.send_response(500)
            self.send_header("Content-Length", "0")
            self.end_headers()
            return
        connection = http.client.HTTPConnection(self.store, timeout=30)
        headers = {name: value for name, value in self.headers.items() if name != self.dropped}
        connection.request(self.command, self.path, content, headers)
        answer = connection.getresponse()
        body = answer.read()
        connection.close()
        if fault == "lost":
            return
        self.send_response(answer.status)
        for name, value in answer.getheaders():
            if name.lower() not in ("transfer-encoding", "connection", "content-length"):
                self.send_header(name, value)
        length = answer.getheader("Content-Length") if self.command == "HEAD" else len(body)
        self.send_header("Content-Length", str(length or 0))
        self.end_headers()
        self.wfile.write(body[: len(body) // 2] if fault == "cut" else body)

    def log_message(self, *args: Any) -> None: ...


def test_an_address_without_a_length(
    recordings: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It is fetched as a whole, and told when it is more than can be expected."""
    pytest.importorskip("aiohttp", reason="needs aiohttp")
    handler = type("Handler", (_Unannounced,), {"content": (recordings / "a.wav").read_bytes()})
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler) as web:
        threading.Thread(target=web.serve_forever, daemon=True).start()
        url = f"http://127.0.0.1:{web.server_address[1]}/a.wav"
        hear([url], str(tmp_path / "results"))
        (source,) = find_sources([url])
        monkeypatch.setattr("oido.signal.decode.remote._MOST_UNANNOUNCED_BYTES", 1000)
        with (
            pytest.raises(AudioNotFoundError, match=r"no announced length.*save it to a file"),
            fetch_recording(source),
        ):
            pass
        web.shutdown()
    (row,) = tables(str(tmp_path / "results"))["recordings"]
    assert (row["failure_reason"], row["duration"]) == (None, 3.0)


for method in ("PUT", "POST", "HEAD", "DELETE"):
    setattr(FaultyProxy, f"do_{method}", FaultyProxy.do_GET)


@pytest.mark.slow
def test_a_store_with_faults_loses_and_doubles_nothing(
    s3: Any, s3_endpoint: str, recordings: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    FaultyProxy.store = s3_endpoint.removeprefix("http://")
    FaultyProxy.faults.clear()
    paths = [str(recordings / name) for name in ("a.wav", "b.flac")]
    hear(paths, str(tmp_path / "calm"), flush_seconds=0)
    out, runs = f"{BUCKET}/faulty", 0
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), FaultyProxy) as web:
        web.daemon_threads = True
        threading.Thread(target=web.serve_forever, daemon=True).start()
        proxy = f"http://127.0.0.1:{web.server_address[1]}"
        while True:
            runs += 1
            assert runs < 30, "it is never done"
            with monkeypatch.context() as patch, contextlib.suppress(OidoError):
                patch.setenv("AWS_ENDPOINT_URL", proxy)
                hear(paths, out, resumes=True, flush_seconds=0)
                break
        web.shutdown()
    assert sum(count for fault, count in FaultyProxy.faults.items() if fault) > 0
    assert tables(out) == tables(str(tmp_path / "calm"))
    assert verify(out).is_whole
