# SPDX-License-Identifier: Apache-2.0
"""Addresses: what is one and no file, the file system behind one, and why that refuses.

An address of the web is what begins as one and is no file. What has another protocol, such as
``s3://``, is fsspec's; ``file://`` stands for a path.
"""

from __future__ import annotations

import os
import re
from collections.abc import Callable
from typing import Any
from urllib.parse import unquote

from oido.errors import MissingExtraError, OptionError, needs_extra
from oido.messages import tr

ADDRESS = re.compile("https?://", re.IGNORECASE)
"""How an address of the web begins."""


STORE = re.compile(r"[a-z][a-z0-9+.-]+://", re.IGNORECASE)
"""How an address of any protocol begins, such as ``s3://``."""

STREAMS = frozenset({"rtsp", "rtsps", "rtmp", "rtmps", "srt", "udp", "rtp", "tcp"})
"""Protocols of what has no end, and is listened to."""


def is_address(path: str) -> bool:
    """Whether this is an address of the web; what exists under that name is a file."""
    return ADDRESS.match(path) is not None and not os.path.exists(path)


def without_scheme(path: str, is_there: Callable[[str], bool]) -> str:
    """The path that a ``file://`` address stands for; others as they are."""
    if not path.startswith("file://"):
        return path
    plain = path.removeprefix("file://")
    return plain if is_there(plain) else percent_decoded(plain, is_there)


def local_name(path: str) -> str:
    """The path of a file that is on this computer or will be; of ``file://`` what that stands for.

    Raises OptionError for another address: as a path, ``s3://bucket/x.csv`` would be a file in a
    folder ``s3:`` of this computer.
    """
    name = without_scheme(path, os.path.exists)
    if STORE.match(name):
        raise OptionError(
            tr(
                "{url}: is an address, and this must be a file or folder of this computer; copy it "
                "to that address, or from it, yourself",
                url=path,
            )
        )
    return name


def percent_decoded(path: str, is_there: Callable[[str], bool]) -> str:
    """The path without the signs of addresses, such as %20 for a space, if that is there."""
    decoded = unquote(path)
    return decoded if decoded != path and is_there(decoded) else path


def filesystem_of(url: str) -> Any:
    """The fsspec file system of a URL. Raises MissingExtraError or OptionError."""
    protocol = url.split("://", 1)[0].lower()
    if protocol in STREAMS:
        raise OptionError(
            tr("{url}: is a stream, which has no end; listen to it: oido listen {url}", url=url)
        )
    with needs_extra(tr("URLs need fsspec; install it with: pip install 'oido[archive]'")):
        from fsspec.core import url_to_fs
    try:
        # Not cached: a store that was listed once must be seen as it is now.
        known = protocol + url[len(protocol) :]
        return url_to_fs(known, skip_instance_cache=True, use_listings_cache=False)[0]
    except ImportError as error:
        cure = tr("; pip install 'oido[archive]'") if protocol in ("http", "https") else ""
        raise MissingExtraError(
            tr(
                "{protocol}:// needs another package: {error}{cure}",
                protocol=protocol,
                error=error,
                cure=cure,
            )
        ) from error
    except ValueError as error:
        raise OptionError(
            tr(
                "{url}: nobody here knows {protocol}:// ({error})",
                url=url,
                protocol=protocol,
                error=error,
            )
        ) from error
    except Exception as error:  # of a store that is connected to before anything is asked of it
        reason = trouble_with(url, error)
        raise OptionError(
            tr("{url}: cannot be reached ({reason})", url=url, reason=reason)
        ) from error


def trouble_with(url: str, error: Exception) -> str:
    """Why a store or a web server did not do what it was asked, for a sentence."""
    reason = refused_certificate(error)
    if reason is None:
        # aiohttp keeps the system's error beside texts of its own.
        refused = getattr(error, "os_error", None)
        if refused is not None and (refused.errno or 0) > 0:
            return os.strerror(refused.errno)
        return getattr(refused or error, "strerror", None) or str(error) or type(error).__name__
    variable = "AWS_CA_BUNDLE" if url.startswith("s3") else "SSL_CERT_FILE"
    return tr(
        "its certificate is refused ({reason}); if it is the right one, "
        "{variable}=FILE in the environment trusts the authority in that file",
        reason=reason,
        variable=variable,
    )


def refused_certificate(error: Exception) -> str | None:
    """Why, if a certificate is behind an error that may say that there is no such file."""
    cause: BaseException | None = error
    while cause is not None:
        if (found := _CERTIFICATE.search(str(cause))) is not None:
            return found[1]
        cause = cause.__cause__ or cause.__context__
    return None


_CERTIFICATE = re.compile(
    r"CERTIFICATE_VERIFY_FAILED\] certificate verify failed: ([^(\n]*[^(\n ])"
)
