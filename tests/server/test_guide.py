# SPDX-License-Identifier: Apache-2.0
"""What the guide and the protocol's page say is so."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("starlette")

from oido.options import STREAM_OPTIONS
from oido.server.protocol import CLOSE_OF_STATUS, ENCODINGS, MESSAGE_BYTES, RESULTS
from oido.server.settings import Limits


def test_the_client_of_the_guide_hears_the_alarm(
    server: Any,
    pytestconfig: pytest.Config,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    pytest.importorskip("websockets")
    guide = (pytestconfig.rootpath / "docs/guides/server.md").read_text("utf-8")
    (code,) = re.findall(r"^```py\n(.*?)^```", guide, re.DOTALL | re.M)
    monkeypatch.chdir(pytestconfig.rootpath)

    exec(
        code.replace("http://127.0.0.1:8000", server.address).replace(
            "ws://127.0.0.1:8000", server.stream_address.removesuffix("/v1/stream")
        ),
        {},
    )

    lines = capsys.readouterr().out.splitlines()
    assert len(lines) > 10
    assert lines[2].split()[:3] == ["0.96", "s", "Alarm"]


def test_the_pages_have_the_limits_and_members(pytestconfig: pytest.Config) -> None:
    docs: Path = pytestconfig.rootpath / "docs"
    guide = (docs / "guides/server.md").read_text("utf-8")
    protocol = (docs / "reference/stream-protocol.md").read_text("utf-8")
    limits = Limits()

    assert f"| {limits.body_bytes / 1e6:.0f} MB, {limits.upload_seconds:g} s to arrive |" in guide
    assert f"| {limits.duration_seconds:g} s, {limits.rows:,} rows |" in guide
    assert f"| streams at one time | {limits.streams} |" in guide
    assert f"| streams of one client address | {limits.address_streams}, three quarters" in guide
    assert all(f"`{name}`" in protocol for name in (*STREAM_OPTIONS, *ENCODINGS, *RESULTS))
    assert all(f"| {code} |" in protocol for code in {*CLOSE_OF_STATUS.values(), 1000, 1001})
    assert MESSAGE_BYTES == 1 << 20
    assert "1 MiB" in protocol
