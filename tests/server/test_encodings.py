# SPDX-License-Identifier: Apache-2.0
"""Compressed forms of the page's files, and which of them a browser may get."""

from __future__ import annotations

import gzip
from pathlib import Path

import pytest

from oido.server.encodings import accepted, encoded, encoded_files

_TEXT = b"a line that comes again\n" * 200


@pytest.mark.parametrize(
    ("header", "expected"),
    [
        ("gzip, deflate, br", ["br", "gzip"]),
        ("GZIP", ["gzip"]),
        ("br;q=0, gzip", ["gzip"]),
        ("br; q=0.5 , gzip;q=1.0", ["br", "gzip"]),
        ("*", ["br", "gzip"]),
        ("*;q=0", []),
        ("identity", []),
        ("gzip;q=much", []),
        ("", []),
    ],
)
def test_what_a_browser_accepts(header: str, expected: list[str]) -> None:
    assert accepted(header) == expected


def test_text_is_compressed_and_comes_back() -> None:
    made = encoded("app.js", _TEXT, "gzip")
    assert made is not None
    assert gzip.decompress(made) == _TEXT
    assert made == encoded("app.js", _TEXT, "gzip"), "the same each time"
    assert encoded("app.js", _TEXT, "br") is None


@pytest.mark.parametrize(
    ("url", "content"), [("icon.png", _TEXT), ("a.js", b"short"), ("LICENSE", _TEXT)]
)
def test_what_would_save_nothing_is_left_as_it_is(url: str, content: bytes) -> None:
    assert encoded(url, content, "gzip") is None


def test_what_lies_beside_a_file_is_served(tmp_path: Path) -> None:
    path = tmp_path / "runtime.wasm"
    path.write_bytes(_TEXT)
    assert [name for name, _ in encoded_files("runtime.wasm", path)] == ["runtime.wasm.gz"]
    (tmp_path / "runtime.wasm.br").write_bytes(b"made before")
    (tmp_path / "runtime.wasm.gz").write_bytes(b"also made before")
    assert list(encoded_files("vendor/runtime.wasm", path)) == [
        ("vendor/runtime.wasm.br", b"made before"),
        ("vendor/runtime.wasm.gz", b"also made before"),
    ]
