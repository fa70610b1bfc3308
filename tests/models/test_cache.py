# SPDX-License-Identifier: Apache-2.0
"""Graphs in the cache: written once, verified each time, and never in the way."""

from __future__ import annotations

from pathlib import Path

import pytest

from oido.models.cache import derived_graph


class Maker:
    def __init__(self) -> None:
        self.made = 0

    def __call__(self) -> bytes:
        self.made += 1
        return b"a graph"


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("OIDO_CACHE", str(tmp_path / "cache"))
    return tmp_path / "cache" / "derived"


def test_it_is_made_once(folder: Path) -> None:
    maker = Maker()
    assert [derived_graph("ab" * 32, "net", maker) for _ in range(3)] == [b"a graph"] * 3
    assert maker.made == 1
    (file,) = folder.iterdir()
    assert file.name.startswith("net-1-" + "ab" * 8)
    derived_graph("cd" * 32, "net", maker)
    derived_graph("ab" * 32, "other", maker)
    assert maker.made == 3


@pytest.mark.parametrize("content", [b"", b"a grap", b"b graph"])
def test_a_damaged_one_is_made_anew(folder: Path, content: bytes) -> None:
    maker = Maker()
    derived_graph("ab" * 32, "net", maker)
    (file,) = folder.iterdir()
    file.write_bytes(content)
    assert derived_graph("ab" * 32, "net", maker) == b"a graph"
    assert maker.made == 2
    assert [path.read_bytes() for path in folder.iterdir()] == [b"a graph"]


def test_a_cache_that_cannot_be_written_is_passed_over(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "cache").write_text("a file where the folder should be")
    monkeypatch.setenv("OIDO_CACHE", str(tmp_path / "cache"))
    maker = Maker()
    assert [derived_graph("ab" * 32, "net", maker) for _ in range(2)] == [b"a graph"] * 2
    assert maker.made == 2
