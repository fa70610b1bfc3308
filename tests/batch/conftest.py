# SPDX-License-Identifier: Apache-2.0
"""A small archive, and a real S3 API on loopback for the tests of object stores."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.batch.archives import record

BUCKET = "s3://recordings"


@pytest.fixture
def archive(tmp_path: Path) -> Path:
    """Six recordings of 2 s to 7 s, of which the fourth is none."""
    folder = tmp_path / "in"
    folder.mkdir()
    for number in range(6):
        record(folder / f"{number}.wav", 2 + number, number)
    (folder / "3.wav").write_bytes(b"RIFF, but no more")
    return folder


@pytest.fixture(scope="module")
def s3_endpoint() -> Iterator[str]:
    """Its address, which the environment names too; empty at first. Skips without moto and s3fs."""
    server = pytest.importorskip("moto.server", reason="needs moto[server]")
    s3fs = pytest.importorskip("s3fs", reason="needs s3fs")
    moto = server.ThreadedMotoServer(ip_address="127.0.0.1", port=0)
    moto.start()
    host, port = moto.get_host_and_port()
    address = f"http://{host}:{port}"
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("AWS_ENDPOINT_URL", address)
        patch.setenv("AWS_ACCESS_KEY_ID", "testing")
        patch.setenv("AWS_SECRET_ACCESS_KEY", "testing")
        patch.setenv("AWS_DEFAULT_REGION", "us-east-1")
        patch.setenv("NO_PROXY", "*")
        s3fs.S3FileSystem.clear_instance_cache()  # clients of a server that was there before
        yield address
        s3fs.S3FileSystem.clear_instance_cache()
    moto.stop()


@pytest.fixture
def s3(s3_endpoint: str) -> Any:
    """Its file system, with an empty bucket."""
    import fsspec

    files = fsspec.filesystem("s3", skip_instance_cache=True, use_listings_cache=False)
    if files.exists(BUCKET):
        files.rm(BUCKET, recursive=True)
    files.mkdir(BUCKET)
    return files
