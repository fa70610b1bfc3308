# SPDX-License-Identifier: Apache-2.0
"""Files by the names that people give them, and the files of a folder."""

from __future__ import annotations

import os
import tempfile
import unicodedata
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from oido.paths import (
    NameFinder,
    below_passed_over,
    escape_controls,
    is_link_back,
    is_passed_over,
    is_recording,
    respelled_note,
    walk,
)


def plant(root: Path, *names: str) -> Path:
    for name in names:
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(b"x")
    return root


def below(root: Path, folder: str = "") -> list[str]:
    found = walk(os.path.join(root, folder))
    return [Path(path).relative_to(root).as_posix() for path, _ in found.files]


@pytest.mark.parametrize(
    ("path", "expected"),
    [
        ("day one/A.WAV", True),
        ("s3://bucket/a.flac", True),
        ("a.wav.txt", False),
        (".hidden.wav", False),
        ("day/._a.wav", False),  # what macOS leaves beside a file
        ("wav", False),
    ],
)
def test_recordings_are_known_by_their_names(path: str, expected: bool) -> None:
    assert is_recording(path) is expected


@pytest.mark.parametrize(
    "name",
    [
        *("__MACOSX", ".Trash-1000", ".Trashes", "$RECYCLE.BIN", "RECYCLER", "#recycle", "@eaDir"),
        *("System Volume Information", "lost+found", ".git", ".svn", ".stversions", "~snapshot"),
        *(".Spotlight-V100", ".fseventsd", "@Recycle", "LOST.DIR", "__macosx", ".hidden"),
        *("@tmp", "OneDriveTemp", "FOUND.000"),
    ],
)
def test_folders_of_other_programs_are_passed_over(tmp_path: Path, name: str) -> None:
    plant(tmp_path, "a.wav", f"{name}/x.wav", f"b/{name}/deep/y.wav", "b/c.wav")
    assert is_passed_over(name)
    found = walk(str(tmp_path))
    assert below(tmp_path) == ["a.wav", "b/c.wav"]
    assert found.passed_over == sorted([str(tmp_path / name), str(tmp_path / "b" / name)])
    assert below(tmp_path, name) == [f"{name}/x.wav"], "one that is named outright is walked"


@pytest.mark.parametrize("name", ["trash", "Recycling truck", "snapshot", "cvs", "other", "_a"])
def test_labels_that_sound_like_it_are_not(name: str) -> None:
    assert not is_passed_over(name)


def test_what_is_passed_over_in_a_store() -> None:
    assert below_passed_over("bucket/a/.Trash/b/c.wav", "bucket/a") == "bucket/a/.Trash"
    assert below_passed_over("bucket/.a/b.wav", "bucket/.a") is None
    assert below_passed_over("bucket/a/.b.wav", "bucket") is None


def test_links_are_followed_once(tmp_path: Path) -> None:
    plant(tmp_path, "shelf/z/one.wav", "elsewhere/deep/two.wav")
    for link in ("shelf/a", "shelf/b"):
        (tmp_path / link).symlink_to(tmp_path / "elsewhere", target_is_directory=True)
    (tmp_path / "shelf" / "c").symlink_to(tmp_path / "elsewhere/deep", target_is_directory=True)
    (tmp_path / "shelf" / "d").symlink_to(tmp_path / "shelf" / "z", target_is_directory=True)
    found = walk(str(tmp_path / "shelf"))
    assert below(tmp_path, "shelf") == ["shelf/a/deep/two.wav", "shelf/z/one.wav"]
    assert found.repeated == [str(tmp_path / "shelf" / name) for name in "bcd"]


def test_loops_end(tmp_path: Path) -> None:
    plant(tmp_path, "beside.wav", "loop/a.wav", "loop/deep/b.wav")
    for link, target in (("again", "loop"), ("deep/up", "loop"), ("deep/above", "")):
        (tmp_path / "loop" / link).symlink_to(tmp_path / target, target_is_directory=True)
    (tmp_path / "loop" / "itself").symlink_to(tmp_path / "loop" / "itself")
    plant(tmp_path, "far/c.wav")
    (tmp_path / "far" / "back").symlink_to(tmp_path / "loop", target_is_directory=True)
    (tmp_path / "loop" / "far").symlink_to(tmp_path / "far", target_is_directory=True)
    assert below(tmp_path, "loop") == [
        "loop/a.wav",
        "loop/itself",
        "loop/deep/b.wav",
        "loop/far/c.wav",
    ]


def test_a_file_by_two_paths_is_one_and_a_link_to_nothing_stays(tmp_path: Path) -> None:
    plant(tmp_path, "z.wav", "elsewhere/x.wav")
    (tmp_path / "in").mkdir()
    (tmp_path / "in" / "a.wav").symlink_to("../elsewhere/x.wav")
    (tmp_path / "in" / "b.wav").symlink_to("../elsewhere/x.wav")
    (tmp_path / "in" / "gone.wav").symlink_to("nowhere.wav")
    plant(tmp_path, "in/real.wav")
    (tmp_path / "in" / "0.wav").symlink_to("real.wav")
    found = walk(str(tmp_path / "in"))
    assert below(tmp_path, "in") == ["in/a.wav", "in/gone.wav", "in/real.wav"]
    assert found.repeated == [str(tmp_path / "in" / name) for name in ("0.wav", "b.wav")]


FOLDERS = ("in", "in/a", "in/a/b", "in/c", "in/.git", "out", "out/d")


@given(
    st.lists(st.tuples(st.sampled_from(FOLDERS), st.sampled_from("xyz")), max_size=8),
    st.lists(
        st.tuples(st.sampled_from(FOLDERS), st.sampled_from("lmn"), st.sampled_from(FOLDERS)),
        max_size=6,
    ),
)
def test_any_tree_of_folders_and_links_is_walked_once(
    files: list[tuple[str, str]], links: list[tuple[str, str, str]]
) -> None:
    with tempfile.TemporaryDirectory() as folder:
        root = Path(os.path.realpath(folder))
        for name in FOLDERS:
            (root / name).mkdir(exist_ok=True)
        plant(root, *(f"{below}/{name}.wav" for below, name in files))
        for below, name, target in links:
            if not (root / below / name).is_symlink():
                (root / below / name).symlink_to(root / target, target_is_directory=True)
        found = walk(str(root / "in")).files
        places = [real for _, real in found]
        assert len(set(places)) == len(places)
        assert [os.path.realpath(path) for path, _ in found] == places
        own = {str(root / below / f"{name}.wav") for below, name in files if below != "in/.git"}
        assert {path for path in own if path.startswith(f"{root}/in/")} <= {p for p, _ in found}


def test_a_folder_that_cannot_be_read_is_known(tmp_path: Path) -> None:
    found = walk(str(tmp_path / "none"))
    assert (found.files, found.unreadable) == ([], [str(tmp_path / "none")])


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="there are no named pipes")
def test_pipes_and_devices_are_no_recordings(tmp_path: Path) -> None:
    """Nobody may be writing to a pipe: whoever opens it waits for ever."""
    plant(tmp_path, "in/a.wav", "b.wav")
    os.mkfifo(tmp_path / "in" / "pipe.wav")
    for name, target in (("b", "b.wav"), ("none", "none.wav"), ("pipe", "in/pipe.wav")):
        (tmp_path / "in" / f"link-{name}.wav").symlink_to(tmp_path / target)
    (tmp_path / "in" / "zero.wav").symlink_to("/dev/zero")
    assert below(tmp_path, "in") == ["in/a.wav", "in/link-b.wav", "in/link-none.wav"]


def test_links_to_what_stands_beside(tmp_path: Path) -> None:
    plant(tmp_path, "in/owl/a.wav", "in/.store/wren/b.wav", "out/c.wav")
    links = {"again": "in", "copy": "in/owl", "wren": "in/.store/wren", "lark": "out", "up": ""}
    for name, target in links.items():
        (tmp_path / "in" / name).symlink_to(tmp_path / target, target_is_directory=True)
    paths = [str(tmp_path / "in" / name) for name in ("owl", *links)]
    back = [os.path.basename(path) for path in paths if is_link_back(path, paths)]
    assert back == ["again", "copy", "up"]


def test_a_name_is_found_in_another_form_and_case(tmp_path: Path) -> None:
    nfd = unicodedata.normalize("NFD", "niño/mañana.WAV")
    plant(tmp_path, nfd, "case/DAWN.WAV", "two/a.wav", "two/A.wav")
    finder = NameFinder()
    assert finder.find(f"{tmp_path}/niño/mañana.WAV") == f"{tmp_path}/{nfd}"
    assert finder.find(f"{tmp_path}\\Case\\dawn.wav") == f"{tmp_path}/case/DAWN.WAV"
    assert finder.find(f"{tmp_path}/two/A.WAV") is None, "two could be meant"
    assert finder.find(f"{tmp_path}/two/A.wav") == f"{tmp_path}/two/A.wav"
    assert finder.find(f"{tmp_path}/two/b.wav") is None
    assert finder.find("a\0b") is None
    assert list(finder.respelled.values()) == [f"{tmp_path}/{nfd}", f"{tmp_path}/case/DAWN.WAV"]


@pytest.mark.skipif(os.name != "posix", reason="Windows has no spaces at the end of names")
@pytest.mark.parametrize(
    ("there", "named"),
    [
        ("Recording at 6.30.00\u202fAM.m4a", "Recording at 6.30.00 AM.m4a"),
        ("a\xa0b.wav", "a b.WAV"),
        ("dusk.wav ", "dusk.wav"),
        ("dusk .wav", "dusk.wav"),
        ("dusk.wav", " dusk.wav "),
        ("a b/niño.wav", "a%20b/ni%C3%B1o.wav"),
        ("100% owl.wav", "100%25%20owl.wav"),
    ],
)
def test_spaces_of_other_kinds_and_of_addresses(tmp_path: Path, there: str, named: str) -> None:
    plant(tmp_path, there, "dusk 2.wav", "a  b.wav")
    finder = NameFinder()
    assert finder.find(f"{tmp_path}/{named}") == f"{tmp_path}/{there}"
    assert finder.respelled == {f"{tmp_path}/{named}": f"{tmp_path}/{there}"}
    assert "letter case or spacing" in respelled_note(finder.respelled)[0]
    assert NameFinder().find(f"{tmp_path}/a   b.wav") is None, "that is another name"
    plant(tmp_path, named)
    assert NameFinder().find(f"{tmp_path}/{named}") == f"{tmp_path}/{named}"


@pytest.mark.skipif(os.name != "posix", reason="names are bytes on POSIX only")
def test_bytes_that_are_no_utf_8_are_found_by_their_text(tmp_path: Path) -> None:
    raw = os.fsencode(tmp_path) + b"/caf\xe9.wav"
    with open(raw, "wb") as file:
        file.write(b"x")
    assert NameFinder().find(f"{tmp_path}/café.wav") == os.fsdecode(raw)


NAMES = st.text(
    st.characters(exclude_categories=["Cs", "Cc"], exclude_characters="/"), min_size=1, max_size=20
).filter(lambda name: name not in (".", "..") and len(name.encode()) < 200)


@given(NAMES, st.sampled_from(["NFC", "NFD"]), st.sampled_from([str, str.upper, str.lower]))
def test_any_name_that_exists_is_that_file(name: str, form: str, case: object) -> None:
    """And one that differs in its form only is found, if it is the only one."""
    with tempfile.TemporaryDirectory() as folder:
        there = unicodedata.normalize(form, name)
        plant(Path(folder), there, "other [1]*.wav")
        assert NameFinder().find(f"{folder}/{there}") == f"{folder}/{there}"
        for asked in (unicodedata.normalize(f, name) for f in ("NFC", "NFD")):
            assert NameFinder().find(f"{folder}/{asked}") == f"{folder}/{there}"
        asked = case(there)  # type: ignore[operator]
        assert NameFinder().find(f"{folder}/{asked}") in (f"{folder}/{there}", None)


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        (
            "küche 狗 🐕‍🦺 e\u0301 \xa0x",
            "küche 狗 🐕‍🦺 e\u0301 \xa0x",
        ),  # letters of any script stay
        ("\x1b[31mred", r"\x1b[31mred"),
        ("\x1b]0;title\x07", r"\x1b]0;title\x07"),
        ("\x9b2J \x7f \x00 \x08", r"\x9b2J \x7f \x00 \x08"),
        ("a\rb\nc\td\u2028e", r"a\rb\nc\td\u2028e"),
        ("\u202egnp.wav\u2066 \u200bx\ufeff", r"\u202egnp.wav\u2066 \u200bx\ufeff"),
        ("caf\udce9.wav", r"caf\xe9.wav"),  # a byte of a name that is no UTF-8
        ("\ud83d \U000e0041", r"\ud83d \U000e0041"),
        (r"C:\new", r"C:\new"),
    ],
)
def test_control_characters_are_spelled_out(text: str, shown: str) -> None:
    assert escape_controls(text) == shown
    assert escape_controls(shown) == shown
    assert escape_controls(text, kept=text) == text
