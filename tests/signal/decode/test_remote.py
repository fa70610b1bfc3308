# SPDX-License-Identifier: Apache-2.0
"""Recordings at addresses, from a server on loopback that also does what servers should not."""

from __future__ import annotations

import http.server
import io
import threading
import time
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from urllib.parse import urlsplit

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import oido
from oido.errors import AudioError, AudioNotFoundError, UnknownFormatError
from oido.signal.decode import open_audio
from oido.signal.decode.remote import AheadFile, FetchedFile, fetch, open_in_place

ROOT = Path(__file__).parents[3]
STREET = (ROOT / "examples" / "street.flac").read_bytes()

pytest.importorskip("aiohttp", reason="addresses need oido[archive]")


class _Odd(http.server.BaseHTTPRequestHandler):
    """Answers by the name of what is asked for."""

    def do_HEAD(self) -> None:
        self._answer()

    def do_GET(self) -> None:
        self.wfile.write(self._answer())

    def _answer(self) -> bytes:
        path, content = urlsplit(self.path).path, STREET
        errors = {"/none.wav": 404, "/gone.wav": 410, "/forbidden.wav": 403, "/broken.wav": 500}
        if path in errors:
            self.send_error(errors[path])
            return b""
        if path == "/page.wav":
            content = b"<!doctype html><title>Not found</title>"
        self.send_response(200)
        if path == "/radio.mp3":
            self.send_header("icy-name", "a station")
        elif path != "/without-length.flac":
            self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        return content[:2_000] if path == "/cut-off.flac" else content

    def log_message(self, *values: object) -> None: ...


@pytest.fixture(scope="module")
def site() -> Iterator[str]:
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), _Odd)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield f"http://127.0.0.1:{server.server_port}"
    server.shutdown()
    server.server_close()


@pytest.mark.parametrize(
    "name", ["street.flac", "a%20b.flac?token=1&x=*", "without-length.flac", "no-suffix"]
)
def test_an_address_is_a_recording(site: str, name: str, classifier: oido.AudioClassifier) -> None:
    expected = classifier.classify(STREET)
    result = classifier.classify(f"{site}/{name}")
    np.testing.assert_array_equal(result.scores, expected.scores)
    assert result.info.name == f"{site}/{name}"
    assert result.events() == expected.events()


def test_every_front_door_reads_it(site: str, classifier: oido.AudioClassifier) -> None:
    url = site.replace("http", "HTTP", 1) + "/street.flac"
    stream = classifier.stream(url)
    assert sum(len(block.scores) for block in stream) == 62
    embeddings = oido.AudioEmbedder(classifier.model).embed(url).embeddings
    assert embeddings.shape == (62, 1024)


@pytest.mark.parametrize(
    ("name", "error", "sentence"),
    [
        ("none.wav", AudioNotFoundError, "no such file$"),
        ("gone.wav", AudioNotFoundError, "no such file$"),
        ("forbidden.wav", AudioNotFoundError, r"cannot be fetched \(403 Forbidden\)$"),
        ("broken.wav", AudioNotFoundError, r"cannot be fetched \(500 Internal Server Error\)$"),
        ("page.wav", UnknownFormatError, "is a web page"),
        ("radio.mp3", AudioNotFoundError, "is a radio station, .*oido listen"),
        ("cut-off.flac", AudioNotFoundError, "cannot be fetched"),
    ],
)
def test_refusals_are_a_sentence(
    site: str, name: str, error: type[AudioError], sentence: str
) -> None:
    with pytest.raises(error, match=f"^{site}/{name}: .*{sentence}"):
        open_audio(f"{site}/{name}")


@pytest.mark.parametrize(
    "url", ["http://127.0.0.1:1/a.wav", "http://nowhere.invalid/a.wav", "https://", "http:///a"]
)
def test_where_nobody_answers(url: str) -> None:
    with pytest.raises(AudioNotFoundError, match=rf"^{url}: cannot be fetched \("):
        open_audio(url)


def test_a_file_of_that_name_is_a_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "http:" / "here").mkdir(parents=True)
    (tmp_path / "http:" / "here" / "street.flac").write_bytes(STREET)
    with open_audio("http://here/street.flac") as reader:
        assert reader.info.frames == 480_000


def test_what_was_fetched_is_gone_when_it_is_closed(site: str) -> None:
    file = FetchedFile(f"{site}/street.flac")
    path = Path(str(file.name))
    assert path.read_bytes() == file.read() == STREET
    file.close()
    assert not path.exists()
    assert not path.parent.exists()


def test_a_copy_of_unknown_size_is_whole(site: str, tmp_path: Path) -> None:
    fetch(f"{site}/without-length.flac", str(tmp_path / "a"), "a", size=0)
    assert (tmp_path / "a").read_bytes() == STREET


def test_a_recording_without_end_is_given_up(
    site: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("oido.signal.decode.remote._MOST_UNANNOUNCED_BYTES", 1_000)
    with pytest.raises(AudioNotFoundError, match="has no announced length"):
        fetch(f"{site}/without-length.flac", str(tmp_path / "a"), "a")


class _Store(io.BytesIO):
    """Notes what is asked for, and answers when it may."""

    def __init__(self, content: bytes) -> None:
        super().__init__(content)
        self.asked: list[tuple[int, int]] = []
        self.may_answer, self.is_broken = threading.Event(), False
        self.may_answer.set()

    def read(self, n_bytes: int | None = -1) -> bytes:
        self.asked.append((self.tell(), n_bytes or 0))
        assert self.may_answer.wait(60)
        if self.is_broken:
            raise OSError("the store has a bad day")
        return super().read(n_bytes)


CONTENT = np.random.default_rng(0).bytes(3_000_000)


def ahead(store: io.BytesIO) -> io.BufferedReader:
    return io.BufferedReader(AheadFile(store, len(CONTENT)))


@given(st.lists(st.tuples(st.integers(0, 3_100_000), st.integers(-1, 700_000)), max_size=8))
def test_reading_ahead_reads_the_same(steps: list[tuple[int, int]]) -> None:
    plain = io.BytesIO(CONTENT)
    with ahead(_Store(CONTENT)) as file:
        for place, n_bytes in steps:
            assert file.seek(place) == plain.seek(place)
            assert file.read(n_bytes) == plain.read(n_bytes)
            assert file.read(17) == plain.read(17)
        assert file.seek(-9, io.SEEK_END) == plain.seek(-9, io.SEEK_END)
        assert file.read() == plain.read()


def test_the_next_piece_comes_while_one_is_read_and_jumps_cost_little() -> None:
    store = _Store(CONTENT)
    with ahead(store) as file:
        assert file.read(1000) == CONTENT[:1000]
        assert store.asked == [(0, 1 << 18)]  # a header, and not what is behind it
        file.read(1 << 16)
        deadline = time.monotonic() + 60
        while len(store.asked) < 2:
            assert time.monotonic() < deadline, "nothing was asked for ahead"
            time.sleep(0.01)
        assert store.asked[1] == (1 << 18, 1 << 19)
        file.seek(2_000_000)
        assert file.read(10) == CONTENT[2_000_000:2_000_010]
        assert store.asked[2:] == [(2_000_000, 1 << 18)]


def test_errors_ahead_are_raised_where_the_bytes_are_wanted() -> None:
    store = _Store(CONTENT)
    with ahead(store) as file:
        store.may_answer.clear()
        threading.Timer(0.1, store.may_answer.set).start()
        file.read(1 << 17)  # the next piece is asked for
        store.is_broken = True
        assert file.read(1 << 16) == CONTENT[1 << 17 : 3 << 16]
        file.seek(1 << 19)
        with pytest.raises(OSError, match="a bad day"):
            list(iter(partial(file.read, 1 << 16), b""))
        store.is_broken = False
        file.seek(1 << 19)
        assert file.read() == CONTENT[1 << 19 :]


def test_closing_does_not_wait_for_a_store_that_stands_still() -> None:
    store = _Store(CONTENT)
    file = ahead(store)
    file.read(1000)
    store.may_answer.clear()
    file.read(1 << 16)
    file.close()
    assert not store.closed  # it is still asked
    store.may_answer.set()
    deadline = time.monotonic() + 60
    while not store.closed:
        assert time.monotonic() < deadline, "it was never closed"
        time.sleep(0.01)


def test_a_server_without_a_length_cannot_be_read_in_place(site: str) -> None:
    with pytest.raises(AudioNotFoundError, match="mine: cannot be read in parts"):
        open_in_place(f"{site}/without-length.flac", "mine")


def test_an_address_of_any_protocol_is_fetched() -> None:
    import fsspec

    with fsspec.open("memory://bucket/street.flac", "wb") as file:
        file.write(STREET)
    result = oido.AudioClassifier(jobs=1).classify("memory://bucket/street.flac")
    assert result.duration == 30.0
    with pytest.raises(AudioNotFoundError, match=r"memory://bucket/b.flac: no such file"):
        open_audio("memory://bucket/b.flac")


def test_a_server_that_refuses_is_named_by_the_systems_own_word() -> None:
    with pytest.raises(AudioNotFoundError, match=r"cannot be fetched \(Connection refused\)$"):
        open_audio("http://127.0.0.1:1/a.wav")
