# SPDX-License-Identifier: Apache-2.0
"""Certificates, for every address of a listener alike, and why an address cannot be reached.

Streams are opened by FFmpeg, which says "Input/output error" of nearly everything: what Python says
of the same address is the reason that a user gets.
"""

from __future__ import annotations

import contextlib
import os
import socket
import ssl
import tempfile
import weakref
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from oido.errors import OptionError
from oido.messages import text_of, tr

_WANTS_CERTIFICATE = ("CERTIFICATE_REQUIRED", "BAD_CERTIFICATE", "UNKNOWN_CA", "HANDSHAKE_FAILURE")
"""Alerts of a server that wants a certificate of the client's, or refuses the one that it got."""

_TRUST_IT = tr("if it is the right one, --tls-ca FILE trusts it, or the authority that signed it")
_OTHER_NAME = tr(
    "use the name that it was made for in the address, or make one that holds this name"
)
_OTHER_TIME = tr("renew it, if this machine's clock is right")
_ADVICE = {62: _OTHER_NAME, 64: _OTHER_NAME, 9: _OTHER_TIME, 10: _OTHER_TIME}
"""By X509_V_ERR of OpenSSL's x509_vfy.h: what --tls-ca cannot mend."""

_ALERT_SECONDS = 0.5


@dataclass(frozen=True)
class Tls:
    """Which certificates count, and which is shown (PEM files).

    ca: of authorities (or of servers themselves) that are trusted beside the system's.
    certificate, key: the client's own, for servers that ask for one; the key may stand in the
    certificate's file. is_insecure: no server's certificate is checked.

    Using it raises OptionError if a file cannot be used.
    """

    ca: str | None = None
    certificate: str | None = None
    key: str | None = None
    is_insecure: bool = False

    @cached_property
    def context(self) -> ssl.SSLContext:
        """For Python's own connections."""
        if self.key is not None and self.certificate is None:
            raise OptionError(tr("--tls-key needs the certificate that it is for: --tls-cert FILE"))
        context = ssl.create_default_context()
        if self.ca is not None:
            try:
                context.load_verify_locations(self.ca)
            except (OSError, ValueError) as error:
                raise OptionError(
                    tr(
                        "--tls-ca {ca}: {why_unusable}",
                        ca=self.ca,
                        why_unusable=_why_unusable(error),
                    )
                ) from error
            # At home, the file is often the server's own certificate, made by hand: what is
            # trusted by name needs no authority above it, and no extension that authorities have.
            context.verify_flags |= ssl.VERIFY_X509_PARTIAL_CHAIN
            context.verify_flags &= ~getattr(ssl, "VERIFY_X509_STRICT", 0)
        if self.certificate is not None:
            self._load_own_certificate(context)
        if self.is_insecure:
            context.check_hostname = False
            context.verify_mode = ssl.CERT_NONE
        return context

    def _load_own_certificate(self, context: ssl.SSLContext) -> None:
        assert self.certificate is not None
        for option, path in (("--tls-cert", self.certificate), ("--tls-key", self.key)):
            if path is not None and not os.access(path, os.R_OK):
                raise OptionError(
                    tr(
                        "{option} {path}: there is no such file, or it may not be read",
                        option=option,
                        path=path,
                    )
                )
        try:
            # Without a password, OpenSSL would ask for one on the terminal.
            context.load_cert_chain(self.certificate, self.key, lambda: b"")
        except (OSError, ValueError) as error:
            files = (
                self.certificate
                if self.key is None
                else tr("{certificate} and {key}", certificate=self.certificate, key=self.key)
            )
            raise OptionError(
                tr(
                    "--tls-cert {files}: hold no certificate with its key, "
                    "unencrypted and in PEM; --tls-key FILE names the key where it "
                    "has a file of its own",
                    files=files,
                )
            ) from error

    def ffmpeg_options(self) -> dict[str, str]:
        """The same for FFmpeg, which by itself checks no certificate."""
        _ = self.context  # FFmpeg says nothing of a file that cannot be used
        options = {"tls_verify": "0" if self.is_insecure else "1"}
        if (authorities := self._authorities) is not None:
            options["ca_file"] = authorities
        if self.certificate is not None:
            options["cert_file"] = self.certificate
            options["key_file"] = self.key or self.certificate
        return options

    @cached_property
    def _authorities(self) -> str | None:
        """A file of all that is trusted. None: the library's own are the system's, and enough."""
        system = ssl.get_default_verify_paths().cafile
        if self.ca is None:
            return system
        parts = [] if system is None else [Path(system).read_text(encoding="latin-1")]
        if system is None:  # they are kept elsewhere, as on Windows
            parts = [ssl.DER_cert_to_PEM_cert(der) for der in self.context.get_ca_certs(True)]
        parts.append(Path(self.ca).read_text(encoding="latin-1"))
        descriptor, path = tempfile.mkstemp(prefix="oido-", suffix=".pem")
        with open(descriptor, "w", encoding="latin-1") as file:
            file.write("\n".join(parts))
        weakref.finalize(self, os.unlink, path)
        return path


def _why_unusable(error: Exception) -> str:
    if isinstance(error, FileNotFoundError | PermissionError | IsADirectoryError):
        return tr("cannot be read ({reason})", reason=error.strerror)
    return tr("holds no certificate in PEM (it begins with -----BEGIN CERTIFICATE-----)")


def why_refused(error: object) -> str | None:
    """A sentence's end, if a certificate is the reason, the server's or the client's."""
    if isinstance(error, ssl.SSLCertVerificationError):
        reason = (getattr(error, "verify_message", "") or str(error)).rstrip(".")
        advice = _ADVICE.get(getattr(error, "verify_code", 0), _TRUST_IT)
        return tr("its certificate is refused ({reason}); {advice}", reason=reason, advice=advice)
    if isinstance(error, ssl.SSLError) and any(
        alert in (getattr(error, "reason", "") or "") for alert in _WANTS_CERTIFICATE
    ):
        return tr(
            "it refuses the certificate of this side, or wants one; --tls-cert "
            "FILE and --tls-key FILE show it"
        )
    return None


def why_unreachable(error: BaseException) -> str:
    """A sentence's end about a connection that does not come about."""
    if (refused := why_refused(error)) is not None:
        return refused
    if isinstance(error, ssl.SSLError):
        return tr(
            "it does not answer as a TLS server does ({getattr})",
            getattr=getattr(error, "reason", "") or error,
        )
    if isinstance(error, socket.gaierror):
        reason: str = tr("no host of this name is known")
    elif isinstance(error, TimeoutError):
        reason = tr("it does not answer")
    else:
        reason = getattr(error, "strerror", None) or text_of(error) or type(error).__name__
    return tr("cannot be reached ({reason})", reason=reason)


def try_connection(host: str, port: int, tls: Tls | None, timeout: float, hello: bytes) -> None:
    """Connect, by TLS if ``tls`` is given, send ``hello``, and wait for a byte. Raises OSError.

    Whether the server wants a certificate, it tells only after the handshake (TLS 1.3), and who
    has written by then reads nothing more: so what it may have to tell is waited for first.
    """
    with socket.create_connection((host, port), timeout) as plain:
        if tls is None:
            return
        with tls.context.wrap_socket(plain, server_hostname=host) as secured:
            secured.settimeout(min(timeout, _ALERT_SECONDS))
            with contextlib.suppress(TimeoutError):
                secured.recv(1)
            secured.settimeout(timeout)
            secured.sendall(hello)
            secured.recv(1)


def why_hung_up(host: str, port: int, tls: Tls, timeout: float, hello: bytes) -> str | None:
    """Why a connection that broke off without a reason did so, if it is a certificate."""
    try:
        try_connection(host, port, tls, timeout, hello)
    except OSError as error:
        return why_refused(error)
    return None
