# SPDX-License-Identifier: Apache-2.0
"""An authority of one's own, as at home, and what it signed (openssl)."""

from __future__ import annotations

import shutil
import ssl
import subprocess
from pathlib import Path

import pytest


class Authority:
    """``ca.pem`` and, for 127.0.0.1 and localhost, server.pem; client.pem; each with its .key.

    plain.pem is made by hand, as many guides do it: signed by itself, its name in the subject only.
    """

    def __init__(self, folder: Path) -> None:
        if shutil.which("openssl") is None:
            pytest.skip("needs openssl")
        self.folder = folder
        self._run(*self._request("ca", "home"), "-x509", "-days", "30")
        self._run(*self._request("plain", "localhost"), "-x509", "-days", "30")
        for name in ("server", "client"):
            self._run(*self._request(name, name))
            names = folder / "names"
            names.write_text("subjectAltName=DNS:localhost,IP:127.0.0.1\n")
            sign = f"x509 -req -in {name}.pem -CA ca.pem -CAkey ca.key -CAcreateserial -days 30"
            self._run(*sign.split(), "-extfile", "names", "-out", f"{name}.signed")
            (folder / f"{name}.signed").replace(folder / f"{name}.pem")

    def path(self, name: str) -> str:
        return str(self.folder / name)

    def context(self, name: str = "server", *, wants_client: bool = False) -> ssl.SSLContext:
        """Of a server that has this certificate."""
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(self.path(f"{name}.pem"), self.path(f"{name}.key"))
        if wants_client:
            context.load_verify_locations(self.path("ca.pem"))
            context.verify_mode = ssl.CERT_REQUIRED
        return context

    def encrypt_key(self) -> None:
        """client.locked: client.key, behind a password."""
        words = "pkey -in client.key -aes128 -passout pass:secret -out client.locked"
        self._run(*words.split())

    def _request(self, name: str, subject: str) -> list[str]:
        words = f"req -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -keyout {name}.key"
        return [*words.split(), "-out", f"{name}.pem", "-subj", f"/CN={subject}"]

    def _run(self, *words: str) -> None:
        subprocess.run(["openssl", *words], cwd=self.folder, check=True, capture_output=True)
