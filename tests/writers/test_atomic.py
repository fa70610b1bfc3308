# SPDX-License-Identifier: Apache-2.0
"""Files that appear under their name only when they are whole, whatever goes wrong."""

from __future__ import annotations

import errno
import gc
import os
import threading
from pathlib import Path

import pytest

from oido.errors import OutputError
from oido.writers.atomic import (
    AtomicFile,
    free_path,
    keep_original,
    write_atomically,
    write_json,
    write_text,
)


class TestAtomicFile:
    def test_nothing_is_there_before_commit(self, tmp_path: Path) -> None:
        path = tmp_path / "new" / "out.csv"
        file = AtomicFile(path)
        file.stream.write("x")
        assert not path.exists()
        file.commit()
        assert path.read_text() == "x"
        assert list(path.parent.iterdir()) == [path]

    def test_discard_leaves_nothing_and_keeps_the_old(self, tmp_path: Path) -> None:
        path = tmp_path / "out.csv"
        path.write_text("old")
        file = AtomicFile(path)
        file.stream.write("new")
        file.discard()
        file.discard()
        assert path.read_text() == "old"
        assert list(tmp_path.iterdir()) == [path]

    def test_one_that_nobody_holds_is_discarded(self, tmp_path: Path) -> None:
        AtomicFile(tmp_path / "out.csv")
        assert list(tmp_path.iterdir()) == []

    @pytest.mark.parametrize("step", ["open", "mkdir"])
    def test_a_ctrl_c_while_it_begins_leaves_nothing(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, step: str
    ) -> None:
        whole = getattr(Path, step)

        def interrupted(path: Path, *words: object, **options: object) -> None:
            whole(path, *words, **options)
            raise KeyboardInterrupt

        monkeypatch.setattr(Path, step, interrupted)
        with pytest.raises(KeyboardInterrupt):
            write_text(tmp_path / "out.csv", "x")
        monkeypatch.undo()
        gc.collect()
        assert list(tmp_path.iterdir()) == []

    def test_a_link_stays_one_and_its_file_gets_the_content(self, tmp_path: Path) -> None:
        (tmp_path / "2026").mkdir()
        (tmp_path / "2026" / "out.csv").write_text("old")
        link = tmp_path / "latest.csv"
        link.symlink_to(Path("2026", "out.csv"))
        write_text(link, "new")
        assert link.is_symlink()
        assert (tmp_path / "2026" / "out.csv").read_text() == "new"
        assert len(list(tmp_path.rglob("*"))) == 3

    @pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="there are no named pipes")
    def test_a_pipe_is_written_to_and_not_replaced(self, tmp_path: Path) -> None:
        """So is /dev/null, which all programs of a machine would miss."""
        pipe = tmp_path / "out.csv"
        os.mkfifo(pipe)
        read: list[str] = []
        reader = threading.Thread(target=lambda: read.append(pipe.read_text()), daemon=True)
        reader.start()
        write_text(pipe, "a,b\n" * 40_000)
        reader.join(30)
        assert read == ["a,b\n" * 40_000]
        assert pipe.is_fifo()
        assert list(tmp_path.iterdir()) == [pipe]

    def test_a_full_disk_is_an_output_error(self, tmp_path: Path) -> None:
        full = Path("/dev/full")
        if not full.exists():
            pytest.skip("this system has no /dev/full")
        path = tmp_path / "out.csv"
        file = AtomicFile(path)
        file.stream.close()
        file.stream = full.open("w")
        with pytest.raises(OutputError, match=r"out\.csv.*No space left"), file.guard():
            file.stream.write("x" * 100_000)
        assert list(tmp_path.iterdir()) == []

    def test_a_folder_that_cannot_be_made_is_an_output_error(self, tmp_path: Path) -> None:
        (tmp_path / "file").write_text("")
        with pytest.raises(OutputError, match=r"out\.csv"):
            AtomicFile(tmp_path / "file" / "out.csv")

    def test_a_block_gives_the_name_and_an_error_in_it_leaves_nothing(self, tmp_path: Path) -> None:
        path = tmp_path / "clip.wav"
        with write_atomically(path, binary=True, new=True) as file:
            file.stream.write(b"one")
            assert not path.exists()
        with pytest.raises(FileExistsError), write_atomically(path, True, new=True) as file:
            file.stream.write(b"two")
        with pytest.raises(KeyboardInterrupt), write_atomically(path, True) as file:
            raise KeyboardInterrupt
        assert path.read_bytes() == b"one"
        assert [p.name for p in tmp_path.iterdir()] == ["clip.wav"]
        with write_atomically(path, True) as file:
            file.stream.write(b"three")
        assert path.read_bytes() == b"three"


def test_what_was_kept_before_stays(tmp_path: Path) -> None:
    path = tmp_path / "model.tflite"
    kept = []
    for content in ("one", "two", "three"):
        path.write_text(content)
        kept.append(keep_original(path))
    names = ["model.tflite.orig", "model.tflite.orig2", "model.tflite.orig3"]
    assert [each.name for each in kept] == names
    assert [each.read_text() for each in kept] == ["one", "two", "three"]


@pytest.mark.skipif(os.name == "nt", reason="needs links")
def test_a_link_to_nothing_has_its_name_too(tmp_path: Path) -> None:
    (tmp_path / "a").symlink_to(tmp_path / "nowhere")
    assert free_path(lambda number: tmp_path / f"a{number}") == tmp_path / "a2"
    with pytest.raises(FileExistsError), write_atomically(tmp_path / "a", new=True) as file:
        file.stream.write("x")
    assert not (tmp_path / "nowhere").exists()


@pytest.mark.parametrize("number", [errno.EPERM, errno.ENOTSUP])
def test_a_disk_without_links_is_renamed_on_and_still_overwrites_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, number: int
) -> None:
    def no_links(*_: object) -> None:
        raise OSError(number, os.strerror(number))

    monkeypatch.setattr(os, "link", no_links)
    path = tmp_path / "a.txt"
    with write_atomically(path, new=True) as file:
        file.stream.write("one")
    with pytest.raises(FileExistsError), write_atomically(path, new=True) as file:
        file.stream.write("two")
    assert path.read_text() == "one"
    assert list(tmp_path.iterdir()) == [path]


def test_a_link_that_fails_for_another_reason_is_told(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_: object) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(os, "link", full)
    with (
        pytest.raises(OutputError, match=r"a\.txt cannot be written: No space left"),
        write_atomically(tmp_path / "a.txt", new=True) as file,
    ):
        file.stream.write("one")
    assert list(tmp_path.iterdir()) == []


def test_texts_and_json_are_utf8_and_have_no_other_line_ends(tmp_path: Path) -> None:
    write_text(tmp_path / "a.txt", "nächte\n")
    assert (tmp_path / "a.txt").read_bytes() == "nächte\n".encode()
    write_json(tmp_path / "a.json", {"ñ": [1, None]})
    assert (tmp_path / "a.json").read_bytes() == '{\n  "ñ": [\n    1,\n    null\n  ]\n}\n'.encode()
