# SPDX-License-Identifier: Apache-2.0
"""TLS between machines: a store, and recordings on the web, with certificates of one's own."""

from __future__ import annotations

import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from oido.batch.verify import verify
from oido.cli.main import run
from oido.results import Results
from tests.batch.archives import hear, tables
from tests.batch.conftest import BUCKET
from tests.live.certificates import Authority
from tests.live.servers import Folder, running


@pytest.fixture(scope="module")
def authority(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    return Authority(tmp_path_factory.mktemp("authority"))


@contextmanager
def store_by_tls(authority: Authority) -> Iterator[str]:
    """The https:// address of the store of the fixture ``s3``, which is in this process."""
    from moto.server import DomainDispatcherApplication, create_backend_app
    from werkzeug.serving import make_server

    app = DomainDispatcherApplication(create_backend_app)
    server = make_server("127.0.0.1", 0, app, threaded=True, ssl_context=authority.context())
    threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        yield f"https://127.0.0.1:{server.server_port}"
    finally:
        server.shutdown()
        server.server_close()


@pytest.mark.slow
def test_an_archive_in_a_store_behind_a_certificate_of_ones_own(
    s3: Any,
    archive: Path,
    authority: Authority,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    out = f"{BUCKET}/out"
    hear([str(archive)], str(tmp_path / "local"))
    with store_by_tls(authority) as address:
        monkeypatch.setenv("AWS_ENDPOINT_URL", address)
        monkeypatch.setenv("AWS_CA_BUNDLE", authority.path("ca.pem"))
        assert run(["batch", str(archive), "-o", out, "-q", "--jobs", "1"]) == 3
        assert tables(out) == tables(str(tmp_path / "local"))
        assert verify(out).is_whole
        with Results(out) as results:
            assert results.recordings().num_rows == 6
        capsys.readouterr()
        for ca, words in (
            (None, ["batch", f"{BUCKET}/in", "-o", str(tmp_path / "none"), "-q"]),
            ("plain.pem", ["query", out]),
        ):
            monkeypatch.delenv("AWS_CA_BUNDLE", raising=False)
            if ca is not None:
                monkeypatch.setenv("AWS_CA_BUNDLE", authority.path(ca))
            assert run(words) in (1, 2)
            (line,) = capsys.readouterr().err.splitlines()
            assert "its certificate is refused (" in line
            assert "AWS_CA_BUNDLE=FILE in the environment trusts" in line


def test_recordings_over_https(
    archive: Path, authority: Authority, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pytest.importorskip("aiohttp", reason="needs aiohttp")
    (archive / "list.txt").write_text("0.wav\n")
    with running(Folder(archive, authority.context())) as web:

        def heard(name: str, results: str) -> tuple[int, str]:
            # A process of its own, as aiohttp reads the system's certificates once.
            words = ["batch", f"{web.url}/{name}", "-o", str(tmp_path / results), "-q"]
            command = [sys.executable, "-m", "oido", *words, "--jobs", "1"]
            done = subprocess.run(command, capture_output=True, text=True, check=False)
            return done.returncode, done.stderr

        for ca in (None, "plain.pem"):
            if ca is not None:
                monkeypatch.setenv("SSL_CERT_FILE", authority.path(ca))
            for name, code in (("0.wav", 3), ("list.txt", 2)):
                ended, said = heard(name, f"refused-{ca}")
                assert ended == code
                (line,) = said.splitlines()
                assert "its certificate is refused (" in line
                assert "SSL_CERT_FILE=FILE in the environment trusts" in line
        monkeypatch.setenv("SSL_CERT_FILE", authority.path("ca.pem"))
        assert heard("0.wav", "out") == (0, "")
        assert heard("list.txt", "listed") == (0, "")
    for results in ("out", "listed"):
        (row,) = tables(str(tmp_path / results))["recordings"]
        assert (row["file"], row["duration"]) == (f"{web.url}/0.wav", 2.0)
