# SPDX-License-Identifier: Apache-2.0
"""Recordings at addresses, from a server on loopback that also does what servers should not."""

from __future__ import annotations

import http.server
import threading
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import urlsplit

import numpy as np
import pytest

import oido
from oido.errors import AudioError, AudioNotFoundError, UnknownFormatError
from oido.signal.decode import open_audio
from oido.signal.decode.remote import FetchedFile, fetch

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
