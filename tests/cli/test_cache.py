# SPDX-License-Identifier: Apache-2.0
"""``oido cache``: what is kept is told, and only what was named is deleted."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from oido.cli.main import run
from oido.datasets.clip import Clip
from oido.models.fetch import cache_path, derived_graph, write_whole
from oido.models.registry import CATALOG
from oido.training.embed import ClipWindows, WindowCache, content_keys

MODEL = "models/a-0123456789ab.tflite"
DERIVED = f"derived/b-1-{'0' * 16}-{'f' * 64}.tflite"


@pytest.fixture
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    folder = tmp_path / "cache"
    for name, size in ((MODEL, 2_000_000), (DERIVED, 500_000)):
        (folder / name).parent.mkdir(parents=True)
        (folder / name).write_bytes(bytes(size))
    for number in range(3):
        path = folder / "embeddings" / ("ab12" * 6) / f"{'0' * 39}{number}-None-1.5.npz"
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
    assert files(cache) == {Path(MODEL).name, Path(DERIVED).name}
    assert run(["cache", "clear"]) == 0
    assert files(cache) == {Path(MODEL).name}
    assert run(["cache", "clear", "models"]) == 0
    assert files(cache) == set()
    assert run(["cache", "show"]) == 0
    capsys.readouterr()
    assert run(["cache", "clear", "everything"]) == 2
    assert "must be one of models, derived, embeddings, not 'everything'" in capsys.readouterr().err


def test_what_the_cache_did_not_write_stays(
    cache: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """OIDO_CACHE may name a folder that has folders of these names for other things."""
    mine = ["models/mine.tflite", "models/wav/a.wav", "derived/notes.txt", "embeddings/work.npy"]
    for name in mine:
        (cache / name).parent.mkdir(exist_ok=True)
        (cache / name).write_text("mine")
    (cache / "models" / f".{Path(MODEL).name}.123-0123abcd.part").write_bytes(b"cut off")
    assert run(["cache", "clear", "models", "derived", "embeddings"]) == 0
    assert "2 that are not of oido's cache were left" in capsys.readouterr().out
    assert files(cache) == {Path(name).name for name in mine}


def test_all_that_is_written_there_is_known_by_its_name(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("OIDO_CACHE", str(tmp_path))
    path = cache_path(CATALOG[0])
    write_whole(path, b"a model")
    derived_graph("0123456789abcdef" * 4, "yamnet-float", lambda: b"a graph")
    none = np.zeros((0, 4), np.float32)
    windows = ClipWindows(none, np.zeros(0), none, np.zeros(0), np.zeros(0, np.int64))
    cache = WindowCache("of these windows")
    clip = tmp_path / "a.wav"
    clip.write_bytes(b"RIFF")
    for key in content_keys(str(clip), [Clip(str(clip)), Clip(str(clip), start_time=0.5)]):
        assert key is not None
        cache.write(key, windows)
    assert len(files(tmp_path)) == 5
    assert run(["cache", "clear", "models", "derived", "embeddings"]) == 0
    assert files(tmp_path) == {"a.wav"}
