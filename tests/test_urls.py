# SPDX-License-Identifier: Apache-2.0
"""What is an address, and whose file system is behind it."""

from __future__ import annotations

from pathlib import Path

import pytest

from oido.errors import MissingExtraError, OptionError
from oido.urls import filesystem_of, is_address, local_name


def test_an_address_is_what_begins_so_and_is_no_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    assert is_address("https://x.org/a.wav")
    assert is_address("HTTP://x.org")
    for path in ("s3://bucket/a.wav", "http:a.wav", "a/https://x.org/a.wav", "", "file:///a.wav"):
        assert not is_address(path)
    (tmp_path / "http:" / "x.org").mkdir(parents=True)
    (tmp_path / "http:" / "x.org" / "a.wav").touch()
    assert not is_address("http://x.org/a.wav")


def test_protocols_that_nobody_knows() -> None:
    pytest.importorskip("fsspec", reason="addresses need oido[archive]")
    with pytest.raises(OptionError, match="nobody here knows gopher://"):
        filesystem_of("gopher://x/y")
    with pytest.raises(MissingExtraError, match="dropbox:// needs another package"):
        filesystem_of("dropbox://x/y")


def test_streams_are_no_stores_and_stores_may_be_out_of_reach() -> None:
    pytest.importorskip("fsspec", reason="addresses need oido[archive]")
    for url in ("rtsp://camera.local/live", "SRT://x:9000"):
        with pytest.raises(OptionError, match=f"listen to it: oido listen {url}"):
            filesystem_of(url)
    with pytest.raises(OptionError, match=r"ftp://127.0.0.1:1/a: cannot be reached \(.*refused"):
        filesystem_of("ftp://127.0.0.1:1/a")


def test_what_is_written_here_goes_to_no_address() -> None:
    for path in ("a.csv", "/tmp/a.csv", "C:/a.csv", "a:b/c.csv", "./s3:/bucket/a.csv"):
        assert local_name(path) == path
    assert local_name("file:///tmp/a.csv") == "/tmp/a.csv"
    for url in ("s3://bucket/a.csv", "GS://bucket/out/", "https://x.org/a.csv"):
        with pytest.raises(OptionError, match=f"{url}: is an address"):
            local_name(url)
