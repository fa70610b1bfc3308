# SPDX-License-Identifier: Apache-2.0
"""Limits of requests and streams, and the settings of a server."""

from __future__ import annotations

import ipaddress
from dataclasses import dataclass, field, fields

from oido.errors import OptionError
from oido.messages import tr
from oido.models.model import Precision
from oido.models.registry import DEFAULT_MODEL
from oido.params import available_cores

_SHORTEST_TOKEN = 8


@dataclass(frozen=True)
class Limits:
    """What a request or a stream may cost. All of it must be above zero.

    body_bytes: of one upload. upload_seconds: from its first byte to its last. pause_seconds:
    without a byte of it. uploads_bytes: of all uploads that are here at one time. answers_bytes: of
    all large answers that are not sent yet. duration_seconds: of a recording. timeout_seconds: that
    a worker may be busy with one. rows: of one answer. waiting: requests that wait for a worker.
    streams: at one time. stream_seconds: of sound in one. address_connections: of one client
    address, beside so many streams. header_seconds: until a request or a stream has said what it
    wants. idle_seconds: without a message from a stream's client. send_seconds: that a message, or
    64 KiB of an answer, may take to be sent. drain_seconds: for the end of all, when the server is
    stopped. worker_bytes: address space of a worker, where the system can limit it.
    """

    body_bytes: int = 100 << 20
    upload_seconds: float = 120.0
    pause_seconds: float = 30.0
    uploads_bytes: int = 1 << 30
    answers_bytes: int = 1 << 30
    duration_seconds: float = 3600.0
    timeout_seconds: float = 120.0
    rows: int = 200_000
    waiting: int = 32
    streams: int = 64
    stream_seconds: float = 86_400.0
    address_connections: int = 256
    header_seconds: float = 10.0
    idle_seconds: float = 60.0
    send_seconds: float = 30.0
    drain_seconds: float = 15.0
    worker_bytes: int = 4 << 30

    @property
    def address_streams(self) -> int:
        """Of one client address: a quarter of the streams is left to others."""
        return self.streams - self.streams // 4

    def __post_init__(self) -> None:
        for name in (entry.name for entry in fields(self)):
            if not getattr(self, name) > 0:
                value = getattr(self, name)
                raise OptionError(tr("{name} must be above 0, not {value}", name=name, value=value))


@dataclass(frozen=True)
class Settings:
    """Where a server listens, and what it serves.

    models: names or paths; the first is heard unless a request names another. calibrations: paths
    of calibration.json files, each for the model that it was made for. labels_files: paths of
    labels in another language, each for the models whose labels they are. port: 0 is any free
    one. token: what clients must show; None: nothing. workers: processes that hear uploads, and
    threads that hear streams. certificate, key: files in PEM, for TLS; the key may be in the
    certificate's file. Raises OptionError for an address that others reach without a token.
    """

    models: tuple[str, ...] = (DEFAULT_MODEL,)
    precision: Precision | None = None
    calibrations: tuple[str, ...] = ()
    labels_files: tuple[str, ...] = ()
    host: str = "127.0.0.1"
    port: int = 8000
    token: str | None = field(default=None, repr=False)
    workers: int = field(default_factory=available_cores)
    limits: Limits = field(default_factory=Limits)
    certificate: str | None = None
    key: str | None = None

    def __post_init__(self) -> None:
        if not self.models:
            raise OptionError(tr("a server needs at least one model"))
        if self.workers < 1:
            raise OptionError(tr("workers must be 1 or more, not {workers}", workers=self.workers))
        if self.key is not None and self.certificate is None:
            raise OptionError(
                tr("a key is of no use without its certificate: give --certificate, too")
            )
        if not 0 <= self.port <= 65_535:
            raise OptionError(tr("port must be from 0 to 65535, not {port}", port=self.port))
        if self.token is None and not is_loopback(self.host):
            raise OptionError(
                tr(
                    "{host} can be reached by others: give --token, which they must "
                    "know, or leave the host at 127.0.0.1",
                    host=self.host,
                )
            )
        if self.token is not None and (
            len(self.token) < _SHORTEST_TOKEN or not self.token.isascii() or " " in self.token
        ):
            raise OptionError(
                tr(
                    "a token has {shortest_token} characters or more, all of them "
                    "ASCII and no space",
                    shortest_token=_SHORTEST_TOKEN,
                )
            )


def is_loopback(host: str) -> bool:
    """Whether only this machine reaches a server on this address."""
    try:
        return ipaddress.ip_address(host.strip("[]")).is_loopback
    except ValueError:
        return host.lower().removesuffix(".") == "localhost"
