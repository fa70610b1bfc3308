# SPDX-License-Identifier: Apache-2.0
"""Lists of recordings, whoever wrote them: what they name, and what is none."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from oido.batch.sources import find_recordings, find_sources
from oido.errors import OptionError


def test_names_are_those_of_the_user_and_lists_may_be_of_any_kind(
    archive: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import pyarrow as pa
    import pyarrow.parquet as pq

    monkeypatch.chdir(tmp_path)
    (tmp_path / "a.csv").write_text("id,file\n1,in/0.wav\n2,in/1.wav\n")
    pq.write_table(pa.table({"path": ["in/1.wav", "in/2.wav"]}), tmp_path / "b.parquet")
    (tmp_path / "c.txt").write_text("# mine\n\nin/4.wav\n")
    found = find_sources(["a.csv", "b.parquet", "c.txt", "in/0.wav"])
    assert [s.name for s in found] == ["in/0.wav", "in/1.wav", "in/2.wav", "in/4.wav"]
    (tmp_path / "d.csv").write_text("name\nx\n")
    with pytest.raises(OptionError, match="no column named file or path"):
        find_sources(["d.csv"])


def test_an_address_of_a_file_may_stand_in_a_list_and_name_one(tmp_path: Path) -> None:
    there = [str(tmp_path / name) for name in ("b.wav", "a.FLAC")]
    for path in there:
        Path(path).write_bytes(b"x")
    listed = tmp_path / "list.txt"
    listed.write_text(f"file://{there[0]}\n{there[1]}\n")
    for path in (str(listed), f"file://{listed}"):
        assert [s.location for s in find_sources([path])] == there


@pytest.mark.parametrize(
    ("name", "content", "told"),
    [
        ("a.txt", b"# nothing\n\n", "this list is empty"),
        ("a.csv", b"file\n", "this list is empty"),
        ("a.csv", b"", "has no column named file or path"),
        ("a.csv", b'file\n"' + b"x" * 200_000, "this list cannot be read"),
        ("a.parquet", b"no parquet", "this list cannot be read"),
        ("b.txt", None, "no such list"),
    ],
)
def test_a_list_that_names_nothing_is_one_sentence(
    tmp_path: Path, name: str, content: bytes | None, told: str
) -> None:
    if content is not None:
        (tmp_path / name).write_bytes(content)
    with pytest.raises(OptionError, match=told) as raised:
        find_sources([str(tmp_path / name)])
    assert str(tmp_path / name) in str(raised.value)


LISTED = ("dawn.flac", "site/año.flac")


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("a.txt", "dawn.flac\nsite/año.flac\n"),
        ("a.txt", '"dawn.flac"\n\n  site\\año.flac  \n'),
        ("a.txt", "name\tfile\n1\tdawn.flac\n2\tsite/año.flac\n"),
        ("a.csv", "file;site\ndawn.flac;a\n;\nsite/año.flac;b\n"),
        ("a.csv", "File,Site\ndawn.flac,a\nsite\\año.flac,b\n"),
        ("a.csv", 'sep=;\nx;"PATH"\n1;"dawn.flac"\n2;"site/año.flac"\n'),
        ("a.csv", "dawn.flac\nsite/año.flac\n"),
        ("a.csv", "1;dawn.flac\n2;site/año.flac\n"),
        ("a.tsv", "file\tsite\ndawn.flac\ta\nsite/año.flac\tb\n"),
        ("a.m3u", "#EXTM3U\n#EXTINF:30,Dawn\ndawn.flac\nsite/año.flac\n"),
        ("a.M3U8", "dawn.flac\nsite/a%C3%B1o.flac\n"),
    ],
)
@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16", "cp1252"])
@pytest.mark.parametrize("end", ["\n", "\r\n", "\r"])
def test_lists_of_other_programs(
    tmp_path: Path, name: str, text: str, encoding: str, end: str
) -> None:
    for recording in LISTED:
        (tmp_path / recording).parent.mkdir(exist_ok=True)
        (tmp_path / recording).write_bytes(b"x")
    (tmp_path / name).write_bytes(text.replace("\n", end).encode(encoding))
    found = find_sources([str(tmp_path / name)])
    assert [(s.location, s.size) for s in found] == [(str(tmp_path / n), 1) for n in LISTED]


def test_a_stream_in_an_m3u8_is_no_list(tmp_path: Path) -> None:
    path = tmp_path / "live.m3u8"
    path.write_text("#EXTM3U\n#EXT-X-TARGETDURATION:4\n#EXTINF:4,\na.ts\n")
    assert [s.location for s in find_sources([str(path)])] == [str(path)]


def test_names_in_lists_are_names_first(tmp_path: Path) -> None:
    odd = ("#1.wav", " lead.wav", '"q".wav', "50%20.wav", "a\\b.wav")
    for name in odd:
        (tmp_path / name).write_bytes(b"x")
    (tmp_path / "l.txt").write_text("\n".join([*odd, "# a comment", "#none.wav"]), "utf-8")
    found = find_sources([str(tmp_path / "l.txt")])
    assert [s.location for s in found] == [str(tmp_path / name) for name in odd]


ENTRY = st.text(
    st.characters(exclude_categories=["Cs", "Cc", "Zl", "Zp"], exclude_characters="/"), min_size=1
).filter(lambda name: name.strip(" .") and len(name.encode()) < 200)


@given(ENTRY, st.sampled_from(["utf-8", "utf-8-sig", "utf-16"]))
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_any_name_that_exists_is_that_file_in_a_list(
    tmp_path: Path, name: str, encoding: str
) -> None:
    path = tmp_path / f"{name}.wav"
    path.write_bytes(b"x")
    try:
        (tmp_path / "l.txt").write_bytes(f"{path.name}\ngone [{name}].wav\n".encode(encoding))
        found = find_sources([str(tmp_path / "l.txt")])
        assert (found[0].location, found[0].size) == (os.path.abspath(path), 1)
        assert [s.size for s in found[1:]] in ([], [0]), "gone is a failure or a pattern of none"
        assert find_recordings([str(path)])[0].path == str(path)
    finally:
        path.unlink()
