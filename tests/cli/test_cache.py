# SPDX-License-Identifier: Apache-2.0
"""``oido cache``: what is kept is told, and only what was named is deleted."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np
import pytest

from oido.cli.main import run
from oido.datasets.clip import Clip
from oido.models.cache import derived_graph, trim_cache, write_whole
from oido.models.fetch import cache_path
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


def test_without_an_action_it_is_shown(cache: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["cache"]) == 0
    shown = capsys.readouterr().out
    assert run(["cache", "show"]) == 0
    assert capsys.readouterr().out == shown
    assert "at most 2,000 MB (OIDO_CACHE_LIMIT)" in shown


def test_the_longest_unused_go_beyond_the_limit_and_nothing_else(
    cache: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    mine = cache / "embeddings" / "mine.npz"
    mine.write_bytes(bytes(5_000_000))
    links = cache / "embeddings" / ("ab12" * 6) / f"{'1' * 40}-None-1.5.npz"
    outside = cache.parent / "outside.npz"
    outside.write_bytes(bytes(1_000_000))
    links.symlink_to(outside)
    kept = sorted((cache / "embeddings").rglob("0*.npz"))
    for age, path in enumerate([*kept, cache / DERIVED, cache / MODEL, mine], start=1):
        os.utime(path, (1000 - 10 * age, 1000 - 10 * age))  # the last is the longest unused
    monkeypatch.setenv("OIDO_CACHE_LIMIT", "250 kB")
    assert run(["cache"]) == 0
    shown = capsys.readouterr().out
    assert "at most 0.25 MB" in shown
    assert (cache / DERIVED).exists()  # showing deletes nothing
    assert trim_cache() == 600_000
    assert not (cache / DERIVED).exists()
    assert [path.exists() for path in kept] == [True, True, False]
    assert mine.exists()
    assert outside.exists()
    assert links.is_symlink()
    assert (cache / MODEL).exists()
    for wrong in ("much", "-1", "1 GBB"):
        monkeypatch.setenv("OIDO_CACHE_LIMIT", wrong)
        assert run(["cache"]) == 2
        assert "OIDO_CACHE_LIMIT is a size such as" in capsys.readouterr().err


def test_what_is_read_is_used_and_what_is_written_trims(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("OIDO_CACHE", str(tmp_path / "cache"))
    content = derived_graph("0" * 64, "kind", lambda: b"a graph")
    (graph,) = (tmp_path / "cache" / "derived").iterdir()
    os.utime(graph, (5, 5))
    assert derived_graph("0" * 64, "kind", lambda: b"never made") == content
    assert graph.stat().st_atime > 1e9
    windows = WindowCache("kind")
    none = np.zeros((0, 9), np.float32), np.zeros(0), np.zeros(0, np.int64)
    for number in range(3):
        key = f"{number}" * 40 + "-None-None"
        windows.write(key, ClipWindows(np.zeros((9, 9), np.float32), np.ones(9), *none))
    paths = sorted((tmp_path / "cache" / "embeddings").rglob("*.npz"))
    for path in paths:
        os.utime(path, (5, 5))
    assert windows.read("1" * 40 + "-None-None") is not None
    size = paths[0].stat().st_size
    monkeypatch.setenv("OIDO_CACHE_LIMIT", str(size + len(content)))
    assert trim_cache() == 2 * size
    assert [path.exists() for path in paths] == [False, True, False]
    assert graph.exists()
