# SPDX-License-Identifier: Apache-2.0
"""Opening the address of a camera or a station: its certificate, playlist and tracks."""

from __future__ import annotations

import contextlib
import http.client
import time
from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

from oido._version import __version__
from oido.errors import AudioError, OptionError, UnknownFormatError
from oido.live.addresses import (
    FEW_BYTES,
    is_file,
    open_url,
    parts_of,
    playlist_at,
    sends_more,
    why_not,
    without_password,
)
from oido.live.tls import Tls, try_connection, why_refused, why_unreachable
from oido.messages import tr
from oido.signal.decode.pyav_stream import Demuxer

SCHEMES = ("http", "https", "rtsp", "rtsps", "rtmp", "rtmps", "srt", "udp", "rtp", "tcp")
_PROTOCOLS = "http,https,httpproxy,tcp,tls,udp,rtp,rtsp,rtsps,rtmp,rtmps,rtmpt,srt,crypto"
"""What FFmpeg may open by itself: a playlist from the network may name no file of this machine."""
_NO_PARTS = {
    "extension_picky": "1",
    "allowed_extensions": "none",
    "allowed_segment_extensions": "none",
}
"""Options of FFmpeg's for HLS, by which it opens no part of a playlist."""
_QUICK_PROBE_BYTES = "4096"
_LONE_TRACK_SECONDS = 4.0
_PICTURE_MICROSECONDS = "1000000"
_EXPLAIN_SECONDS = 5.0
_MOST_ENTRIES = 5

_LOGIN_ERROR = "HTTPUnauthorizedError"
_HTTP, _RTSP = ("http", "https"), ("rtsp", "rtsps")
_SECURE = ("https", "rtsps", "rtmps")
_PORTS = {"http": 80, "https": 443, "rtsp": 554, "rtsps": 322, "rtmp": 1935, "rtmps": 443}
_HTTP_HELLO = b"HEAD / HTTP/1.0\r\n\r\n"
_RTSP_HELLO = b"OPTIONS * RTSP/1.0\r\nCSeq: 1\r\n\r\n"


class StreamOpener:
    """Opens one address as often as it breaks off, and remembers what it needed.

    name: the address as messages may show it. connected_at: the clock when it was last asked.
    Raises OptionError for what is no address.
    """

    def __init__(self, url: str, timeout: float, tls: Tls | None = None) -> None:
        if _scheme_of(url) not in SCHEMES or not parts_of(url).netloc:
            raise OptionError(
                tr(
                    "{without_password!r} is no address that oido can listen to; it "
                    "must begin with {s}",
                    without_password=without_password(url),
                    s=", ".join(s + "://" for s in SCHEMES),
                )
            )
        self._url, self._timeout, self._tls = url, timeout, tls or Tls()
        self.name, self.connected_at, self._connected_to = without_password(url), 0.0, url
        self._tls_options = self._tls.ffmpeg_options()
        self.wants_all_tracks = self._is_playlist = False
        self._opens_by_itself = self._has_false_length = False
        self._has_encrypted_parts, self._refused_part = False, ""

    def open(self, like: Demuxer | None = None, quickly: bool = False) -> Demuxer:
        """The address, or the first that its playlist names; quickly: as what it was before."""
        if not self._is_playlist:
            try:
                return self._open_url(self._url, like, quickly)
            except AudioError as error:
                entries = self._entries() if _is_answer(error) and like is None else []
                if not entries:
                    raise
        else:
            entries = self._entries()
        failed: AudioError = UnknownFormatError(
            tr("{name}: this playlist cannot be read", name=self.name)
        )
        for entry in entries[:_MOST_ENTRIES]:
            try:
                opened = self._open_url(entry, like, quickly)
            except AudioError as error:
                failed = error
            else:
                self._is_playlist = True
                return opened
        raise failed

    def _entries(self) -> list[str]:
        """The addresses that the playlist names, if it is one and can be read."""
        try:
            entries = playlist_at(self._url, self._tls, self._timeout)
        except (OSError, http.client.HTTPException, ValueError):
            return []
        return [entry for entry in entries if _scheme_of(entry) in SCHEMES]

    def _open_url(self, url: str, like: Demuxer | None, quickly: bool) -> Demuxer:
        try:
            return self._open_tracks(url, like, quickly)
        except AudioError as error:
            # Of what was there before, only a refusal is news.
            if like is None or _scheme_of(url) in _SECURE or cause_of(error) == _LOGIN_ERROR:
                raise self._explained(url, error) from error.__cause__
            raise

    def _explained(self, url: str, error: AudioError) -> AudioError:
        """The error with its true reason, if there is one to be had."""
        parts, scheme = parts_of(url), _scheme_of(url)
        if cause_of(error) == _LOGIN_ERROR:
            reason = tr("user or password is refused")
            if parts.username is None:
                reason = tr(
                    "it wants a user and a password: {scheme}://USER:PASSWORD@HOST/…", scheme=scheme
                )
            return RefusedError(
                tr("{name}: cannot be opened: {reason}", name=self.name, reason=reason)
            )
        # Without the certificate that a server wants, FFmpeg takes the end for a damaged answer.
        if scheme not in _PORTS or (_is_answer(error) and scheme not in _SECURE):
            return self._without_sound(error)
        try:
            try_connection(
                parts.hostname or "",
                parts.port or _PORTS[scheme],
                self._tls if scheme in _SECURE else None,
                min(self._timeout, _EXPLAIN_SECONDS),
                _RTSP_HELLO if scheme == "rtsps" else _HTTP_HELLO,
            )
        except (OSError, UnicodeError) as cause:
            kind = UnknownFormatError if why_refused(cause) is None else RefusedError
            return kind(
                tr(
                    "{name}: cannot be opened: {why_unreachable}",
                    name=self.name,
                    why_unreachable=why_unreachable(cause),
                )
            )
        return self._without_sound(error)

    def _without_sound(self, error: AudioError) -> AudioError:
        """What FFmpeg calls invalid data is mostly a page, and the stream is elsewhere."""
        if cause_of(error) != "InvalidDataError" or self._refused_part:
            return error
        return type(error)(
            tr(
                "{name}: cannot be opened: what it sends is no sound that can be decoded; give the "
                "address of the stream itself, not of a page that plays it",
                name=self.name,
            )
        )

    def _open_tracks(self, url: str, like: Demuxer | None, quickly: bool) -> Demuxer:
        """The sound alone, or, of a camera that gives it only with its picture, all tracks."""
        if _scheme_of(url) not in _RTSP:
            return self._demuxer(url, like, quickly)
        try:
            return self._demuxer(url, like, quickly, all_tracks=self.wants_all_tracks)
        except AudioError as error:
            if cause_of(error) in (_LOGIN_ERROR, "ConnectionRefusedError"):
                raise
        all_tracks = not self.wants_all_tracks
        opened = self._demuxer(url, like, quickly, all_tracks=all_tracks)
        self.wants_all_tracks = all_tracks
        return opened

    def _demuxer(
        self, url: str, like: Demuxer | None, quickly: bool, all_tracks: bool = False
    ) -> Demuxer:
        options = {
            "protocol_whitelist": _PROTOCOLS,
            "user_agent": f"oido/{__version__}",
            "rtsp_flags": "prefer_tcp",  # over UDP, lost packets are lost sound
            **self._tls_options,
        }
        first_timeout = container = None
        if all_tracks:
            options["analyzeduration"] = _PICTURE_MICROSECONDS  # else spent on what is not needed
        else:
            options["allowed_media_types"] = "audio"  # RTSP only: a camera need not send pictures
            if _scheme_of(url) in _RTSP:
                first_timeout = min(self._timeout, _LONE_TRACK_SECONDS)
        if quickly and like is not None:
            container, options["probesize"] = like.container, _QUICK_PROBE_BYTES
        if _scheme_of(url) in _HTTP and not self._has_encrypted_parts:
            return self._demux_http(url, options, like, container)
        return self._demux(url, options, first_timeout, like, container)

    def _demux_http(
        self, url: str, options: dict[str, str], like: Demuxer | None, container: str | None
    ) -> Demuxer:
        """By FFmpeg alone, or, where that knows no better than its headers, through Python."""
        if not self._opens_by_itself:
            # It knows certificates for a playlist (HLS), and would forget them for the parts in it.
            alone = {**options, **_NO_PARTS} if _scheme_of(url) == "https" else options
            try:
                opened = self._demux(url, alone, None, like, container)
            except UnknownFormatError as error:
                if not _is_answer(error) or not self._must_open(url, None):
                    raise
            else:
                if not self._must_open(url, opened):
                    return opened
                opened.close()
        self._refused_part = ""
        by_itself = {**options, "http_persistent": "0", "http_multiple": "0"}
        try:
            opened = self._demux(url, by_itself, None, like, container, self._open_part)
        except AudioError as error:
            if self._has_encrypted_parts:  # which only FFmpeg can read
                return self._demux(url, options, None, like, container)
            if not self._refused_part:
                raise
            reason = tr(
                "{name}: a part of it cannot be opened: {refused_part}",
                name=self.name,
                refused_part=self._refused_part,
            )
            raise type(error)(reason) from error.__cause__
        self._opens_by_itself |= opened.container == "hls"  # the next time, without the attempt
        return opened

    def _demux(
        self,
        url: str,
        options: dict[str, str],
        first_timeout: float | None,
        like: Demuxer | None,
        container: str | None,
        open_part: Callable[..., Any] | None = None,
    ) -> Demuxer:
        self.connected_at, self._connected_to = time.monotonic(), url
        return Demuxer(
            url,
            self.name,
            options=options,
            timeout=self._timeout,
            first_timeout=first_timeout,
            like=like,
            container=container,
            open_part=open_part,
        )

    def _must_open(self, url: str, opened: Demuxer | None) -> bool:
        """Whether FFmpeg cannot do it alone; opened: what it made of this address, if anything."""
        if opened is not None and opened.container == "hls":
            self._opens_by_itself = _scheme_of(url) == "https"
            return self._opens_by_itself
        size = 0 if opened is None else opened.size_bytes
        if size is not None and size < FEW_BYTES:  # and believes it, whatever stands behind them
            with contextlib.suppress(OSError, http.client.HTTPException, ValueError):
                self._has_false_length = sends_more(url, self._tls, self._timeout)
        self._opens_by_itself = self._has_false_length
        return self._opens_by_itself or (opened is None and _scheme_of(url) == "https")

    def _open_part(self, url: str, flags: int, options: dict[str, str]) -> Any:
        """An address, or a part of an HLS stream, for FFmpeg, which wants bytes of it at times."""
        start, end = int(options.get("offset", 0)), int(options.get("end_offset", 0))
        self._has_encrypted_parts |= url.startswith("crypto")
        try:
            part = open_url(url, self._tls, self._timeout, start, end)
        except (OSError, http.client.HTTPException, ValueError) as error:
            # An empty part is passed over; of two errors PyAV would print the first.
            self._refused_part = self._refused_part or why_not(error)
            return SimpleNamespace(read=lambda size: b"", close=lambda: None)
        if self._has_false_length:
            part.length = None
        return SimpleNamespace(read=part.read, close=part.close)  # it can only be read

    def has_an_end(self) -> bool:
        """Of what gave a length: whether it is true, as an HTTP server says; else it is."""
        if _scheme_of(self._connected_to) not in _HTTP:
            return True
        try:
            return is_file(self._connected_to, self._tls, self._timeout)
        except (OSError, http.client.HTTPException, ValueError):
            return False


class RefusedError(AudioError):
    """It is there, and a certificate or a password is the reason; trying again may never help."""


def _scheme_of(url: str) -> str:
    return parts_of(url).scheme


def cause_of(error: AudioError) -> str:
    """The name of the decoder's own error."""
    return type(error.__cause__).__name__


def _is_answer(error: AudioError) -> bool:
    """Whether the server answered, and with something that is no audio."""
    return error.__cause__ is None or isinstance(error.__cause__, ValueError)
