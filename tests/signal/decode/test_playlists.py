# SPDX-License-Identifier: Apache-2.0
"""A recording is one file: nothing in it may make a decoder open another file or an address."""

from __future__ import annotations

import io
import socket

import pytest

from oido.errors import AudioError
from oido.signal.decode import open_audio
from tests.signal.decode.encoding import by_av
from tests.signal.decode.wav_bytes import wav
from tests.signal.sounds import channel_sines, read_all

TONE = channel_sines(48_000, 48_000, 1)

HLS = "#EXTM3U\n#EXT-X-TARGETDURATION:1\n#EXTINF:1,\n{}\n#EXT-X-ENDLIST\n"
CONCAT = "ffconcat version 1.0\nfile {}\n"
DASH = (
    '<?xml version="1.0"?><MPD xmlns="urn:mpeg:dash:schema:mpd:2011" type="static" '
    'mediaPresentationDuration="PT1S" profiles="urn:mpeg:dash:profile:isoff-on-demand:2011">'
    '<Period><AdaptationSet mimeType="audio/mp4"><Representation id="1" bandwidth="1">'
    "<BaseURL>{}</BaseURL></Representation></AdaptationSet></Period></MPD>"
)
PLAYLISTS = pytest.mark.parametrize("playlist", [HLS, CONCAT, DASH], ids=["hls", "concat", "dash"])


@PLAYLISTS
@pytest.mark.parametrize("other", ["other.ts", "other.wav", "other.m4a"])
@pytest.mark.parametrize("as_path", [True, False])
def test_no_other_file_is_opened(tmp_path, monkeypatch, playlist, other, as_path):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "other.ts").write_bytes(by_av(TONE, 48_000, "mpegts", "mp2"))
    (tmp_path / "other.wav").write_bytes(wav(TONE, 48_000))
    (tmp_path / "other.m4a").write_bytes(by_av(TONE, 48_000, "mp4", "aac"))
    for name in (other, str(tmp_path / other), f"file:{tmp_path / other}"):
        text = playlist.format(name)
        (tmp_path / "list").write_text(text)
        with pytest.raises(AudioError):
            read_all(open_audio("list" if as_path else io.BytesIO(text.encode())))


@PLAYLISTS
@pytest.mark.parametrize("protocol", ["http", "tcp"])
def test_no_address_is_opened(tmp_path, playlist, protocol):
    with socket.create_server(("127.0.0.1", 0)) as server:
        server.settimeout(0.2)
        port = server.getsockname()[1]
        (tmp_path / "list").write_text(playlist.format(f"{protocol}://127.0.0.1:{port}/other.ts"))
        with pytest.raises(AudioError):
            read_all(open_audio(tmp_path / "list"))
        with pytest.raises(TimeoutError):
            server.accept()
