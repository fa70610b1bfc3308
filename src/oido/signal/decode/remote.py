# SPDX-License-Identifier: Apache-2.0
"""Recordings that lie at an address: fetched whole, then read as any file (fsspec)."""

from __future__ import annotations

import contextlib
import io
import os
import tempfile
from collections.abc import Iterator

from oido.errors import AudioNotFoundError, OidoError
from oido.messages import tr
from oido.paths import filesystem_of, refused_certificate, trouble_with

_FETCHED_BYTES = 1 << 20
_MOST_UNANNOUNCED_BYTES = 4 << 30
"""Of a recording whose server does not say how long it is, and perhaps never ends."""

_NOT_THERE = (404, 410)


def fetch(url: str, path: str, name: str, size: int | None = None) -> None:
    """Copy what is at a URL to a file. Raises AudioNotFoundError, which calls it ``name``.

    size: in bytes, 0 where nobody knows, or None: to be asked for.
    """
    files = filesystem_of(url)
    with store_errors(name, url):
        if size is None:
            size = files.info(url).get("size")
        if size:
            files.get_file(url, path)
            return
        with files.open(url, "rb") as remote, open(path, "wb") as local:
            # fsspec's stream of a web server keeps its answer as ``r``.
            headers = getattr(getattr(remote, "r", None), "headers", {})
            if any(header.lower().startswith("icy-") for header in headers):
                raise AudioNotFoundError(
                    tr(
                        "{name}: is a radio station, which has no end; listen to it: oido listen",
                        name=name,
                    )
                )
            while piece := remote.read(_FETCHED_BYTES):
                local.write(piece)
                if local.tell() > _MOST_UNANNOUNCED_BYTES:
                    most = tr(
                        "{most_unannounced_bytes} GiB",
                        most_unannounced_bytes=_MOST_UNANNOUNCED_BYTES >> 30,
                    )
                    raise AudioNotFoundError(
                        tr(
                            "{name}: has no announced length, and more than {most}; "
                            "save it to a file first",
                            name=name,
                            most=most,
                        )
                    )


@contextlib.contextmanager
def store_errors(name: str, url: str) -> Iterator[None]:
    """Any error of a store becomes one of the recording, which it calls ``name``."""
    try:
        yield
    except OidoError:
        raise
    except Exception as error:
        # fsspec calls whatever a web server says that a file is not found.
        cause = error
        if isinstance(error, FileNotFoundError) and isinstance(error.__cause__, Exception):
            cause = error.__cause__
        status = getattr(cause, "status", None)
        is_missing = isinstance(cause, FileNotFoundError) and refused_certificate(error) is None
        if is_missing or status in _NOT_THERE:
            raise AudioNotFoundError(tr("{name}: no such file", name=name)) from error
        reason = trouble_with(url, cause)
        if status is not None:
            reason = f"{status} {getattr(cause, 'message', '')}".strip()
        raise AudioNotFoundError(
            tr("{name}: cannot be fetched ({reason})", name=name, reason=reason)
        ) from error


class FetchedFile(io.FileIO):
    """A recording from an address, on disk until it is closed. Raises AudioNotFoundError."""

    def __init__(self, url: str) -> None:
        self._folder = tempfile.TemporaryDirectory(prefix="oido-")
        path = os.path.join(self._folder.name, "recording")
        try:
            fetch(url, path, url)
            super().__init__(path)
        except BaseException:
            self._folder.cleanup()
            raise

    def close(self) -> None:
        """Remove it, too."""
        super().close()
        self._folder.cleanup()
