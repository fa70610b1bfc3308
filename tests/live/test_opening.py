# SPDX-License-Identifier: Apache-2.0
"""Addresses on loopback: cameras of all kinds, playlists, certificates, and refusals."""

from __future__ import annotations

import http.server
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import av
import numpy as np
import pytest
import soundfile

from oido.errors import AudioError, OptionError
from oido.live import opening
from oido.live.network import NetworkReader
from oido.live.opening import without_password
from oido.live.tls import Tls
from tests.live.certificates import Authority
from tests.live.receiving import EXAMPLES, LOGIN, Listening, wait_for
from tests.live.servers import Camera, Folder, Station, free_port, running


@pytest.mark.parametrize("lone", ["silent", "refused", "hangs up"])
def test_a_camera_that_gives_its_sound_only_with_its_picture(
    lone: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(opening, "_LONE_TRACK_SECONDS", 1.5)
    samples, rate = soundfile.read(EXAMPLES / "street.flac", dtype="int16")
    camera = Camera(samples, rate, port := free_port(), lone=lone)
    with running(Listening(camera.url)) as listening:
        listening.wait_until(1.0)
        camera.close()
        wait_for(lambda: listening.said)
        with running(Camera(samples, rate, port, lone=lone)) as again:
            wait_for(lambda: listening.gaps)
        got, gap = listening.samples, listening.gaps[0]
    assert camera.tracks == [1, 2]
    assert again.tracks == [2]  # what it wants is remembered
    first = got[: round(gap.start_time * rate)]
    assert len(first) > rate // 2
    assert np.array_equal(first, samples[: len(first)] / np.float32(32768))


def test_a_camera_that_knows_no_tcp() -> None:
    samples, rate = soundfile.read(EXAMPLES / "street.flac", dtype="int16")
    with (
        running(Camera(samples, rate, free_port(), only_udp=True)) as camera,
        running(Listening(camera.url)) as listening,
    ):
        listening.wait_until(1.0)
        got = listening.samples
    assert np.array_equal(got[: rate // 2], samples[: rate // 2] / np.float32(32768))


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("a.m3u", "#EXTM3U\n#EXTINF:-1,Radio\n{dead}\n{alive}\n"),
        ("b.m3u", "\ufeff{alive}\r\n"),
        ("c.m3u8", "#EXTM3U\n/elsewhere\n"),
        ("d.pls", "[playlist]\r\nNumberOfEntries=2\r\nFile1={dead}\r\nFile2={alive}\r\n"),
        ("e.txt", "file:///etc/passwd\n{alive}\n"),
    ],
)
def test_a_playlist_of_stations(mp3: bytes, tmp_path: Path, name: str, text: str) -> None:
    dead = f"http://127.0.0.1:{free_port()}/"
    with running(Station(mp3, 30.0)) as radio, running(Folder(tmp_path)) as folder:
        folder.elsewhere = radio.url
        (tmp_path / name).write_text(text.format(dead=dead, alive=radio.url), encoding="utf-8")
        with running(Listening(f"{folder.url}/{name}")) as listening:
            listening.wait_until(1.0)
            radio.silence_after = 0.0
            wait_for(lambda: listening.said)
            radio.silence_after = None
            wait_for(lambda: listening.gaps)  # found by its playlist once more
        assert listening.reader.info.name == f"{folder.url}/{name}"
        assert listening.said[-1].endswith("is back")
        assert folder.asked.count(f"/{name}") >= 2


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("[playlist]\nFile1=file:///etc/passwd\n", "no audio"),
        ("<html>http://a</html>", "give the address of the stream itself"),
    ],
)
def test_a_page_or_a_playlist_of_files_is_no_audio(tmp_path: Path, text: str, told: str) -> None:
    (tmp_path / "radio").write_text(text)
    with running(Folder(tmp_path)) as folder, pytest.raises(AudioError) as raised:
        NetworkReader(f"{folder.url}/radio")
    assert told in str(raised.value)


def test_a_redirect_is_followed_each_time(mp3: bytes, tmp_path: Path) -> None:
    with running(Station(mp3, 30.0)) as radio, running(Folder(tmp_path)) as folder:
        folder.elsewhere = radio.url
        with running(Listening(f"{folder.url}/elsewhere")) as listening:
            listening.wait_until(1.0)
            radio.silence_after = 0.0
            wait_for(lambda: listening.said)
            radio.silence_after = None
            wait_for(lambda: listening.gaps)
        assert len(folder.asked) >= 2


def hls(folder: Path, **more: str) -> None:
    """``live.m3u8`` of five seconds of the street."""
    samples, rate = soundfile.read(EXAMPLES / "street.flac", dtype="float32", frames=80_000)
    options = {"hls_time": "2", "hls_playlist_type": "vod", **more}
    with av.open(str(folder / "live.m3u8"), "w", format="hls", options=options) as out:
        stream: Any = out.add_stream("aac", rate=rate, layout="mono")
        frame = av.AudioFrame.from_ndarray(samples[None], format="fltp", layout="mono")
        frame.sample_rate = rate
        out.mux(stream.encode(frame))
        out.mux(stream.encode(None))


def test_hls_and_each_of_its_parts_by_certificates_of_ones_own(
    authority: Authority, tmp_path: Path
) -> None:
    hls(tmp_path)
    tls = Tls(authority.path("ca.pem"), authority.path("client.pem"), authority.path("client.key"))
    with running(Folder(tmp_path, authority.context(wants_client=True))) as folder:
        with NetworkReader(f"{folder.url}/live.m3u8", tls=tls) as reader:
            got = np.concatenate(list(reader.blocks()))
        with pytest.raises(AudioError, match="--tls-cert"):
            NetworkReader(f"{folder.url}/live.m3u8", tls=Tls(authority.path("ca.pem")))
    assert 80_000 <= len(got) < 84_000
    assert np.abs(got).max() > 0.1


def test_parts_of_hls_are_verified_as_their_playlist_is(
    authority: Authority, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Without any option: the system's authorities, here the one of SSL_CERT_FILE, are trusted."""
    parts, playlist = tmp_path / "parts", tmp_path / "playlist"
    parts.mkdir()
    playlist.mkdir()
    hls(parts)
    lines = (parts / "live.m3u8").read_text().splitlines()
    monkeypatch.setenv("SSL_CERT_FILE", authority.path("ca.pem"))
    with (
        running(Folder(playlist, authority.context())) as trusted,
        running(Folder(parts, authority.context())) as good,
        running(Folder(parts, authority.context("plain"))) as foreign,
    ):
        for name, folder in (("good", good), ("foreign", foreign)):
            named = [x if x.startswith("#") else f"{folder.url}/{x}" for x in lines]
            (playlist / f"{name}.m3u8").write_text("\n".join(named) + "\n")
        with NetworkReader(f"{trusted.url}/good.m3u8") as reader:
            got = np.concatenate(list(reader.blocks()))
        with pytest.raises(AudioError, match=r"a part of it cannot be opened: its cert"):
            NetworkReader(f"{trusted.url}/foreign.m3u8")
        assert foreign.asked == []  # nobody got beyond its certificate
        with NetworkReader(f"{trusted.url}/foreign.m3u8", tls=Tls(is_insecure=True)) as reader:
            assert len(np.concatenate(list(reader.blocks()))) == len(got)
    assert 80_000 <= len(got) < 84_000


def test_encrypted_parts_of_hls(authority: Authority, tmp_path: Path) -> None:
    (tmp_path / "key").write_bytes(bytes(range(16)))
    (tmp_path / "info").write_text(f"key\n{tmp_path}/key\n")
    hls(tmp_path, hls_key_info_file=str(tmp_path / "info"))
    assert "METHOD=AES-128" in (tmp_path / "live.m3u8").read_text()
    with running(Folder(tmp_path, authority.context())) as folder:
        for tls in (Tls(authority.path("ca.pem")), Tls(is_insecure=True)):
            with NetworkReader(f"{folder.url}/live.m3u8", tls=tls) as reader:
                got = np.concatenate(list(reader.blocks()))
            assert 80_000 <= len(got) < 84_000
            assert np.abs(got).max() > 0.1


@pytest.fixture(params=["https", "rtsps"])
def secured(request: pytest.FixtureRequest, mp3: bytes, authority: Authority) -> Iterator[str]:
    """A station or a camera with a certificate of one's own, and a password."""
    server: Any
    if request.param == "https":
        server = Station(mp3, 30.0, login=LOGIN, tls=authority.context())
    else:
        samples, rate = soundfile.read(EXAMPLES / "street.flac", dtype="int16")
        server = Camera(samples, rate, free_port(), login=LOGIN, tls=authority.context())
    with running(server):
        yield server.url


def test_certificate_password_and_dead_host_are_three_sentences(
    secured: str, authority: Authority
) -> None:
    trusted = Tls(authority.path("ca.pem"))
    login = secured.replace("://", "://me:secret@")

    def why(url: str, tls: Tls | None) -> str:
        with pytest.raises(AudioError) as raised:
            NetworkReader(url, timeout=10, tls=tls)
        assert "secret" not in str(raised.value)
        return str(raised.value)

    assert "its certificate is refused" in why(login, None)
    assert "--tls-ca FILE" in why(login, None)
    assert "user or password is refused" in why(login.replace("secret", "other"), trusted)
    assert "wants a user and a password" in why(secured, trusted)
    dead = secured.split("://", maxsplit=1)[0] + f"://127.0.0.1:{free_port()}/x"
    assert "cannot be reached (Connection refused)" in why(dead, trusted)
    nowhere = secured.split("://", maxsplit=1)[0] + "://nowhere.invalid/x"
    assert "no host of this name" in why(nowhere, trusted)
    for tls in (trusted, Tls(authority.path("server.pem")), Tls(is_insecure=True)):
        with running(Listening(login, tls=tls)) as listening:
            listening.wait_until(0.5)


def test_a_certificate_made_by_hand_and_one_of_another_name(
    mp3: bytes, authority: Authority
) -> None:
    by_hand = Tls(authority.path("plain.pem"))
    with running(Station(mp3, 30.0, tls=authority.context("plain"))) as radio:
        named = radio.url.replace("127.0.0.1", "localhost")
        with running(Listening(named, tls=by_hand)) as listening:
            listening.wait_until(0.5)
        with pytest.raises(AudioError, match="use the name that it was made for") as raised:
            NetworkReader(radio.url, tls=by_hand)
    assert "--tls-ca" not in str(raised.value)


def test_a_plain_server_at_a_secured_address(mp3: bytes) -> None:
    with running(Station(mp3, 30.0)) as radio, pytest.raises(AudioError, match="as a TLS server"):
        NetworkReader(radio.url.replace("http:", "https:"))


@pytest.mark.parametrize("kind", ["https", "rtsps"])
def test_a_certificate_of_the_clients(kind: str, mp3: bytes, authority: Authority) -> None:
    context, server = authority.context(wants_client=True), None
    if kind == "https":
        server = Station(mp3, 30.0, tls=context)
    else:
        samples, rate = soundfile.read(EXAMPLES / "street.flac", dtype="int16")
        server = Camera(samples, rate, free_port(), tls=context)
    ca, pem, key = (authority.path(n) for n in ("ca.pem", "client.pem", "client.key"))
    with running(server):
        with pytest.raises(AudioError, match="wants one; --tls-cert"):
            NetworkReader(server.url, tls=Tls(ca))
        with running(Listening(server.url, tls=Tls(ca, pem, key))) as listening:
            listening.wait_until(0.5)


@pytest.fixture
def playlist() -> Iterator[str]:
    """The address of a playlist that names a file of this machine."""

    text = f"#EXTM3U\n#EXT-X-TARGETDURATION:9\n#EXTINF:9,\nfile://{EXAMPLES}/street.flac\n"

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(200)
            self.send_header("Content-Type", "application/vnd.apple.mpegurl")
            self.end_headers()
            self.wfile.write((text + "#EXT-X-ENDLIST\n").encode())

        def log_message(self, *_: object) -> None: ...

    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True).start()
    yield f"http://127.0.0.1:{server.server_port}/list.m3u8"
    server.shutdown()
    server.server_close()


def test_a_playlist_from_the_network_opens_no_file_of_this_machine(playlist: str) -> None:
    with pytest.raises(AudioError):
        NetworkReader(playlist, timeout=5)


@pytest.mark.parametrize("url", ["file:///etc/passwd", "concat:a|b", "pipe:0", "http://", "x://y"])
def test_what_is_no_address(url: str) -> None:
    with pytest.raises(OptionError, match="no address"):
        NetworkReader(url)


def test_passwords_are_never_shown() -> None:
    port = free_port()
    with pytest.raises(AudioError) as raised:
        NetworkReader(f"rtsp://me:secret@127.0.0.1:{port}/cam?token=secret", timeout=5)
    assert "secret" not in str(raised.value)
    assert f"rtsp://me:…@127.0.0.1:{port}/cam" in str(raised.value)
    assert without_password("http://radio.example/live.mp3") == "http://radio.example/live.mp3"
