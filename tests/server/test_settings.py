# SPDX-License-Identifier: Apache-2.0
"""Where a server may listen, and what nothing may cost."""

from __future__ import annotations

import dataclasses
from typing import Any

import pytest

from oido.errors import OptionError
from oido.server.settings import Limits, Settings, is_loopback

pytest.importorskip("starlette")


@pytest.mark.parametrize(
    ("host", "loopback"),
    [
        ("127.0.0.1", True),
        ("127.9.9.9", True),
        ("::1", True),
        ("localhost", True),
        ("0.0.0.0", False),
        ("::", False),
        ("192.168.1.2", False),
        ("example.org", False),
        ("", False),
    ],
)
def test_an_address_that_others_reach_needs_a_token(host: str, loopback: bool) -> None:
    assert is_loopback(host) == loopback
    assert Settings(host=host, token="long enough".replace(" ", "-")).token == "long-enough"
    if not loopback:
        with pytest.raises(OptionError, match="can be reached by others: give --token"):
            Settings(host=host)


@pytest.mark.parametrize("name", ["body_bytes", "streams", "timeout_seconds"])
def test_limits_are_above_zero(name: str) -> None:
    with pytest.raises(OptionError, match="must be above 0"):
        Limits(**{name: 0})


def test_a_token_is_not_shown() -> None:
    assert "very-secret" not in repr(Settings(token="very-secret"))


@pytest.mark.parametrize(
    ("values", "told"),
    [
        ({"models": ()}, "needs at least one model"),
        ({"workers": 0}, "workers must be 1 or more, not 0"),
        ({"port": 65_536}, "port must be from 0 to 65535, not 65536"),
        ({"key": "key.pem"}, "give --certificate, too"),
        ({"token": "short"}, "8 characters or more"),
        ({"token": "with a space"}, "no space"),
        ({"token": "ñandú-ñandú"}, "ASCII"),
    ],
)
def test_what_cannot_be_is_one_sentence(values: dict[str, Any], told: str) -> None:
    with pytest.raises(OptionError, match=told):
        Settings(**values)


def test_every_limit_is_checked() -> None:
    for name in (entry.name for entry in dataclasses.fields(Limits)):
        for wrong in (0, -1, float("nan")):
            with pytest.raises(OptionError, match=f"^{name} must be above 0"):
                Limits(**{name: wrong})
