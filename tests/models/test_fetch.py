# SPDX-License-Identifier: Apache-2.0
"""The cache: what is found without a network, what is checked, and that writing it is atomic."""

from __future__ import annotations

import errno
import os
import subprocess
import sys
from pathlib import Path

import pytest

from oido.errors import ModelHashError, ModelNotFoundError, OutputError
from oido.models import fetch
from oido.models.registry import UrlSource

CHILD = """
import os, signal, sys
from oido.models import fetch
from oido.models.registry import ModelCard, UrlSource
url, sha256, size, mode = sys.argv[1:]
card = ModelCard("pretended/model", "", ("pretended.tflite",), int(size), sha256,
                 (UrlSource(url),), "", "")
if mode == "killed":
    os.fsync = lambda _: os.kill(os.getpid(), signal.SIGKILL)
if mode == "full":
    import resource
    resource.setrlimit(resource.RLIMIT_FSIZE, (4096, 4096))
try:
    print(fetch.fetch(card))
except Exception as error:
    print(type(error).__name__, error)
    sys.exit(3)
"""


def child(card, mode="plain"):
    return subprocess.Popen(
        [sys.executable, "-c", CHILD, card.sources[0].url, card.sha256, str(card.size_bytes), mode],
        stdout=subprocess.PIPE,
        text=True,
    )


def files_in(folder):
    return [p for p in folder.rglob("*") if p.is_file()] if folder.exists() else []


def test_two_processes_may_fetch_at_once(site, cache, make_card, content):
    card = make_card(UrlSource(site.url("right")))
    children = [child(card) for _ in range(3)]
    answers = [c.communicate(timeout=60)[0].strip() for c in children]
    assert [c.returncode for c in children] == [0, 0, 0]
    assert set(answers) == {str(fetch.cache_path(card))}
    assert files_in(cache) == [fetch.cache_path(card)]
    assert fetch.cache_path(card).read_bytes() == content


@pytest.mark.skipif(os.name == "nt", reason="POSIX signals")
def test_a_process_killed_while_writing_leaves_no_file_of_that_name(site, cache, make_card):
    card = make_card(UrlSource(site.url("right")))
    process = child(card, "killed")
    process.communicate(timeout=60)
    assert process.returncode < 0
    assert not fetch.cache_path(card).exists()
    assert fetch.find(card) is None
    fetch.fetch(card)
    assert fetch.verify(card) == fetch.cache_path(card)


@pytest.mark.skipif(os.name == "nt", reason="POSIX limits")
def test_a_disk_that_fills_up_is_told_and_cleaned(site, cache, make_card):
    process = child(make_card(UrlSource(site.url("right"))), "full")
    answer, _ = process.communicate(timeout=60)
    assert process.returncode == 3, answer
    assert answer.startswith("OutputError")
    assert "OIDO_CACHE" in answer
    assert files_in(cache) == []


@pytest.mark.parametrize("error", [KeyboardInterrupt(), OSError(errno.ENOSPC, "No space left")])
def test_an_interrupted_write_leaves_nothing(site, cache, make_card, monkeypatch, error):
    def fail(_: int) -> None:
        raise error

    monkeypatch.setattr(fetch.os, "fsync", fail)
    expected = OutputError if isinstance(error, OSError) else KeyboardInterrupt
    with pytest.raises(expected):
        fetch.fetch(make_card(UrlSource(site.url("right"))))
    assert files_in(cache) == []


def test_a_cache_that_cannot_be_made_is_an_output_error(site, tmp_path, make_card, monkeypatch):
    blocked = tmp_path / "a-file"
    blocked.write_text("not a folder")
    monkeypatch.setenv("OIDO_CACHE", str(blocked / "cache"))
    with pytest.raises(OutputError, match="OIDO_CACHE"):
        fetch.fetch(make_card(UrlSource(site.url("right"))))


@pytest.mark.skipif(os.name == "nt", reason="POSIX modes")
def test_the_cached_file_may_be_read_by_whom_the_umask_lets(site, cache, make_card):
    """A model fetched by root while an image is built is read by another user later."""
    before = os.umask(0o022)
    try:
        path = fetch.fetch(make_card(UrlSource(site.url("right"))))
    finally:
        os.umask(before)
    assert oct(path.stat().st_mode & 0o777) == oct(0o644)


def test_a_damaged_copy_in_the_cache_is_fetched_anew(site, cache, make_card, content):
    card = make_card(UrlSource(site.url("right")))
    path = fetch.fetch(card)
    path.write_bytes(content[:-1] + b"!")
    assert fetch.find(card) is None
    with pytest.raises(ModelHashError, match="SHA-256"):
        fetch.verify(card)
    assert fetch.fetch(card).read_bytes() == content


def test_verify_tells_an_absent_model(cache, make_card):
    with pytest.raises(ModelNotFoundError, match="oido models fetch pretended/model"):
        fetch.verify(make_card())


def test_a_file_that_the_user_brings_is_verified_and_kept(cache, make_card, content, tmp_path):
    file = tmp_path / "any name.bin"
    file.write_bytes(content)
    card = make_card()
    path = fetch.install(card, file)
    assert path == fetch.cache_path(card)
    file.unlink()
    assert fetch.fetch(card).read_bytes() == content


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (lambda c: c[:-1], r"10,239 bytes, not the published 10,240"),
        (lambda c: c + b"\0", "10,241 bytes"),
        (lambda c: b"\1" + c[1:], "SHA-256"),
        (lambda _: b"", "0 bytes"),
    ],
)
def test_a_wrong_file_from_the_user_is_refused(cache, make_card, content, tmp_path, change, said):
    file = tmp_path / "pretended.tflite"
    file.write_bytes(change(content))
    with pytest.raises(ModelHashError, match=said) as raised:
        fetch.install(make_card(), file)
    assert str(file) in str(raised.value)
    assert files_in(cache) == []


@pytest.mark.parametrize("what", ["absent", "folder"])
def test_a_file_from_the_user_that_cannot_be_read(cache, make_card, tmp_path, what):
    path = tmp_path if what == "folder" else tmp_path / "absent.tflite"
    with pytest.raises(ModelNotFoundError, match="cannot be read"):
        fetch.install(make_card(), path)


@pytest.mark.skipif(not Path("/dev/zero").exists(), reason="no file without an end")
def test_a_file_without_an_end_is_refused(cache, make_card, tmp_path, monkeypatch):
    with pytest.raises(ModelHashError, match="its size is 10,241 bytes"):
        fetch.install(make_card(), Path("/dev/zero"))
    large = tmp_path / "pretended.tflite"
    with large.open("wb") as file:
        file.truncate(50 << 30)  # sparse: more than the memory of most machines
    with pytest.raises(ModelHashError, match="its size is 53,687,091,200 bytes"):
        fetch.install(make_card(), large)
    monkeypatch.setenv("OIDO_MODEL_PATH", str(tmp_path))
    assert fetch.find(make_card()) is None


class TestModelPath:
    """OIDO_MODEL_PATH: folders searched by published file name and SHA-256."""

    @pytest.fixture
    def folders(self, cache, tmp_path, monkeypatch):
        made = [tmp_path / "first", tmp_path / "second"]
        for folder in made:
            folder.mkdir()
        monkeypatch.setenv("OIDO_MODEL_PATH", os.pathsep.join(map(str, made)))
        return made

    @pytest.mark.parametrize("name", ["pretended.tflite", "other-name.tflite"])
    @pytest.mark.parametrize("place", [0, 1])
    def test_found_by_any_published_name_in_any_folder(
        self, folders, make_card, content, cache, name, place
    ):
        file = folders[place] / name
        file.write_bytes(content)
        assert fetch.fetch(make_card()) == file
        assert files_in(cache) == [], "a file that is here is not copied"

    def test_a_wrong_file_of_that_name_is_passed_over(self, folders, make_card, content):
        (folders[0] / "pretended.tflite").write_bytes(content[:-1] + b"!")
        (folders[0] / "other-name.tflite").write_bytes(b"")
        assert fetch.find(make_card()) is None
        (folders[1] / "pretended.tflite").write_bytes(content)
        assert fetch.find(make_card()) == folders[1] / "pretended.tflite"

    def test_another_name_is_not_searched(self, folders, make_card, content):
        (folders[0] / "model.tflite").write_bytes(content)
        assert fetch.find(make_card()) is None

    def test_comes_before_the_cache_and_the_network(self, folders, make_card, content, site):
        card = make_card(UrlSource(site.url("right")))
        fetch.fetch(card)
        file = folders[1] / "pretended.tflite"
        file.write_bytes(content)
        site.asked.clear()
        assert fetch.fetch(card) == file
        assert site.asked == []

    def test_folders_that_are_absent_or_empty_names_do_no_harm(
        self, cache, make_card, monkeypatch, tmp_path
    ):
        parts = ["", str(tmp_path / "absent"), "", str(Path(__file__)), ""]
        monkeypatch.setenv("OIDO_MODEL_PATH", os.pathsep.join(parts))
        assert fetch.find(make_card()) is None

    @pytest.mark.skipif(not Path("/proc/self/mem").exists(), reason="a file that no one can read")
    def test_a_file_that_cannot_be_read_is_passed_over(self, folders, make_card, content):
        (folders[0] / "pretended.tflite").symlink_to("/proc/self/mem")
        (folders[1] / "pretended.tflite").write_bytes(content)
        assert fetch.find(make_card()) == folders[1] / "pretended.tflite"
