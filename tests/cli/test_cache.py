# SPDX-License-Identifier: Apache-2.0
"""``oido cache``: what is kept is told, and only what was named is deleted."""

from __future__ import annotations

from pathlib import Path

import pytest

from oido.cli.main import run


@pytest.fixture
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    folder = tmp_path / "cache"
    for name, size in (("models/a.tflite", 2_000_000), ("derived/b.tflite", 500_000)):
        (folder / name).parent.mkdir(parents=True)
        (folder / name).write_bytes(bytes(size))
    for number in range(3):
        path = folder / "embeddings" / "kind" / f"{number}.npz"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(bytes(100_000))
    monkeypatch.setenv("OIDO_CACHE", str(folder))
    return folder


def files(folder: Path) -> set[str]:
    return {path.name for path in folder.rglob("*") if path.is_file()}


def test_it_tells_what_is_kept(cache: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["cache", "show"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[0] == str(cache)
    assert [line.split()[:4] for line in lines[1:]] == [
        ["models", "2.0", "MB", "1"],
        ["derived", "0.5", "MB", "1"],
        ["embeddings", "0.3", "MB", "3"],
    ]


def test_models_stay_unless_they_are_named(cache: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["cache", "clear", "embeddings"]) == 0
    assert "embeddings: 0.3 MB deleted" in capsys.readouterr().out
    assert files(cache) == {"a.tflite", "b.tflite"}
    assert run(["cache", "clear"]) == 0
    assert files(cache) == {"a.tflite"}
    assert run(["cache", "clear", "models"]) == 0
    assert files(cache) == set()
    assert run(["cache", "show"]) == 0
    with pytest.raises(SystemExit, match="2"):
        run(["cache", "clear", "everything"])
