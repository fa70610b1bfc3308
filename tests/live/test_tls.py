# SPDX-License-Identifier: Apache-2.0
"""Certificates and keys that can be used, and a sentence for each that cannot."""

from __future__ import annotations

import ssl
from pathlib import Path

import pytest

from oido.errors import OptionError
from oido.live.tls import Tls, why_unreachable
from tests.live.certificates import Authority


def test_an_authority_is_trusted_beside_the_systems(authority: Authority) -> None:
    tls = Tls(authority.path("ca.pem"))
    assert (
        tls.context.cert_store_stats()["x509"]
        == 1 + (ssl.create_default_context().cert_store_stats()["x509"])
    )
    options = tls.ffmpeg_options()
    bundle = Path(options["ca_file"])
    text = bundle.read_text(encoding="latin-1")
    own = Path(authority.path("ca.pem")).read_text()
    assert own in text
    if (system := ssl.get_default_verify_paths().cafile) is not None:
        assert Path(system).read_text(encoding="latin-1") in text
    assert options["tls_verify"] == "1"
    del tls, options
    assert not bundle.exists()  # nothing is left behind


def test_without_options_every_certificate_is_checked() -> None:
    assert Tls().ffmpeg_options()["tls_verify"] == "1"
    assert Tls().context.verify_mode == ssl.CERT_REQUIRED
    assert Tls().context.check_hostname
    assert Tls(is_insecure=True).ffmpeg_options()["tls_verify"] == "0"
    assert Tls(is_insecure=True).context.verify_mode == ssl.CERT_NONE


def test_a_key_may_stand_in_the_certificates_file(authority: Authority, tmp_path: Path) -> None:
    both = tmp_path / "both.pem"
    files = (authority.path("client.pem"), authority.path("client.key"))
    both.write_text("".join(Path(file).read_text() for file in files))
    options = Tls(certificate=str(both)).ffmpeg_options()
    assert options["cert_file"] == options["key_file"] == str(both)


def test_files_that_cannot_be_used(authority: Authority, tmp_path: Path) -> None:
    authority.encrypt_key()
    pem, key, ca = (authority.path(n) for n in ("client.pem", "client.key", "ca.pem"))
    empty = tmp_path / "empty.pem"
    empty.write_text("")
    missing = str(tmp_path / "missing.pem")
    for tls, told in (
        (Tls(ca=missing), "--tls-ca .*missing.pem: cannot be read"),
        (Tls(ca=str(tmp_path)), "--tls-ca .*: "),
        (Tls(ca=str(empty)), "holds no certificate in PEM"),
        (Tls(ca=key), "holds no certificate in PEM"),
        (Tls(key=key), "--tls-key needs the certificate"),
        (Tls(certificate=missing), "--tls-cert .*missing.pem: there is no such file"),
        (Tls(certificate=pem, key=missing), "--tls-key .*missing.pem: there is no such file"),
        (Tls(certificate=pem), "--tls-key FILE names the key"),
        (Tls(certificate=ca, key=key), "hold no certificate with its key"),
        (Tls(certificate=pem, key=authority.path("client.locked")), "unencrypted"),
    ):
        with pytest.raises(OptionError, match=told):
            tls.ffmpeg_options()


def test_a_certificate_of_another_time_needs_no_trust() -> None:
    error = ssl.SSLCertVerificationError(1, "expired")
    assert "--tls-ca FILE" in why_unreachable(error)
    error.verify_code, error.verify_message = 10, "certificate has expired"
    assert why_unreachable(error) == (
        "its certificate is refused (certificate has expired); "
        "renew it, if this machine's clock is right"
    )


def test_what_is_no_error_of_certificates() -> None:
    assert why_unreachable(TimeoutError()) == "cannot be reached (it does not answer)"
    assert "TLS server" in why_unreachable(ssl.SSLError(1, "[SSL: WRONG_VERSION_NUMBER]"))
    assert why_unreachable(OSError(113, "No route")) == "cannot be reached (No route)"
