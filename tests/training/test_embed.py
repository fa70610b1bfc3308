# SPDX-License-Identifier: Apache-2.0
"""Hearing the clips of a dataset and their changed copies, on made sounds."""

from __future__ import annotations

import shutil
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import oido
from oido.datasets.clip import BACKGROUND, Clip
from oido.training.augment import Augmentation
from oido.training.embed import Embedded, _ClipEmbedder, embed
from oido.training.embeddings import FurtherWindows
from tests.training.taught_sounds import KINDS, make_sounds

OPTIONS = Augmentation(3, background=1.0)


@pytest.fixture(scope="module")
def model() -> oido.AudioModel:
    return oido.load_model("yamnet/classification")


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> oido.Dataset:
    """Three kinds of sounds, of which hiss is called background."""
    folder = make_sounds(tmp_path_factory.mktemp("data") / "sounds", each=2, seconds=1.5)
    (folder / KINDS[-1]).rename(folder / "background")
    return oido.Dataset.from_folder(folder)


@pytest.fixture
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, model: oido.AudioModel) -> Path:
    """An empty cache; ``model`` is loaded before it is empty."""
    monkeypatch.setenv("OIDO_CACHE", str(tmp_path / "cache"))
    return tmp_path / "cache"


def copies(embedded: Embedded) -> FurtherWindows:
    assert embedded.clips.extra is not None
    return embedded.clips.extra


def assert_same(a: Embedded, b: Embedded) -> None:
    assert a.clips.embeddings.tobytes() == b.clips.embeddings.tobytes()
    for name in ("embeddings", "clip_index", "weights", "beside"):
        np.testing.assert_array_equal(getattr(copies(a), name), getattr(copies(b), name))


def test_copies_stand_beside_the_clips(data: oido.Dataset, model: oido.AudioModel) -> None:
    plain = embed(data, model, cache=False)
    assert plain.clips.extra is None
    assert embed(data, model, cache=False, augment=Augmentation(0)).clips.extra is None
    copied = embed(data, model, cache=False, augment=OPTIONS)
    np.testing.assert_array_equal(plain.clips.embeddings, copied.clips.embeddings)
    windows = np.bincount(copied.clips.clip_index)
    np.testing.assert_array_equal(np.bincount(copies(copied).clip_index), 3 * windows)
    originals = {row.tobytes() for row in copied.clips.embeddings}
    assert not originals & {row.tobytes() for row in copies(copied).embeddings}


def test_what_is_behind_a_copy_is_held_out_with_it(
    data: oido.Dataset, model: oido.AudioModel
) -> None:
    clips = embed(data, model, cache=False, augment=OPTIONS).clips
    background = clips.targets[:, clips.classes.index(BACKGROUND)] > 0
    assert background.sum() == 2
    beside = clips.extra.beside if clips.extra else np.zeros(0)
    assert set(beside) == set(clips.groups[background])
    without = clips.subset(~background)
    assert without.extra is not None
    assert len(without.extra.embeddings) == 0


def test_the_same_again_with_the_cache_and_without(
    data: oido.Dataset, model: oido.AudioModel, cache: Path
) -> None:
    first = embed(data, model, augment=OPTIONS, jobs=1)
    files = sorted(cache.rglob("*.npz"))
    assert len(files) == len(data)
    times = [file.stat().st_mtime_ns for file in files]
    assert_same(first, embed(data, model, augment=OPTIONS, jobs=2))
    assert [file.stat().st_mtime_ns for file in files] == times
    assert_same(first, embed(data, model, augment=OPTIONS, cache=False))
    other = embed(data, model, augment=Augmentation(3, seed=1, background=1.0))
    assert copies(other).embeddings.tobytes() != copies(first).embeddings.tobytes()
    assert len(sorted(cache.rglob("*.npz"))) == 2 * len(data)
    files[0].write_bytes(b"damaged")
    assert_same(first, embed(data, model, augment=OPTIONS))


def test_what_is_kept_is_read_by_one_thread_at_a_time(
    data: oido.Dataset, model: oido.AudioModel, cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """CPython 3.11 is not safe where several read the headers of arrays."""
    first = embed(data, model, augment=OPTIONS)
    readers, most, load = 0, 0, np.load

    @contextmanager
    def slowly(*args: Any, **kwargs: Any) -> Iterator[Any]:
        nonlocal readers, most
        readers += 1
        most = max(most, readers)
        time.sleep(0.002)
        with load(*args, **kwargs) as file:
            yield file
        readers -= 1

    monkeypatch.setattr(np, "load", slowly)
    assert_same(first, embed(data, model, augment=OPTIONS, jobs=4))
    assert most == 1


def test_copies_follow_the_content_not_the_name(
    data: oido.Dataset, model: oido.AudioModel, tmp_path: Path
) -> None:
    source = Path(data[0].path).parents[1]
    moved = tmp_path / "elsewhere"
    shutil.copytree(source, moved)
    again = embed(oido.Dataset.from_folder(moved), model, cache=False, augment=OPTIONS)
    assert_same(embed(data, model, cache=False, augment=OPTIONS), again)


def test_a_clip_that_cannot_be_heard_has_no_copies(
    data: oido.Dataset, model: oido.AudioModel, tmp_path: Path
) -> None:
    source = Path(data[0].path).parents[1]
    damaged = tmp_path / "damaged"
    shutil.copytree(source, damaged)
    (damaged / "background" / Path(data[0].path).name).write_bytes(b"RIFF")
    (damaged / KINDS[0] / "empty.wav").write_bytes(b"")
    found = embed(oido.Dataset.from_folder(damaged), model, cache=False, augment=OPTIONS)
    assert len(found.left_out) >= 1
    assert set(copies(found).clip_index) == set(range(len(found.clips)))


def test_an_interruption_does_not_wait_for_the_recordings_that_have_not_begun(
    data: oido.Dataset, model: oido.AudioModel, monkeypatch: pytest.MonkeyPatch
) -> None:
    embedded: list[str] = []
    embed_recording = _ClipEmbedder.embed

    def counting(self: _ClipEmbedder, path: str, clips: list[Clip]) -> object:
        embedded.append(path)
        if len(embedded) > 1:
            time.sleep(1.0)  # the first one's progress comes while others are under way
        return embed_recording(self, path, clips)

    def interrupted(done: int, total: int) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(_ClipEmbedder, "embed", counting)
    with pytest.raises(KeyboardInterrupt):
        embed(data, model, cache=False, jobs=2, progress=interrupted)
    assert 1 <= len(embedded) < len({clip.path for clip in data})
