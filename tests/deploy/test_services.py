# SPDX-License-Identifier: Apache-2.0
"""The compose file and the systemd unit: their commands are commands of oido."""

from __future__ import annotations

import re
import shlex
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from oido.cli.main import build_parser
from oido.live.rule_engine import parse_action
from oido.live.triggers import parse_condition

DEPLOY = Path(__file__).parents[2] / "deploy"
UNIT = DEPLOY / "systemd" / "oido-listen@.service"


@pytest.fixture(scope="module")
def services() -> dict[str, Any]:
    yaml = pytest.importorskip("yaml", reason="needs PyYAML")
    return dict(yaml.safe_load((DEPLOY / "compose.yaml").read_text(encoding="utf-8"))["services"])


def test_the_services_are_a_broker_a_camera_and_the_page(services: dict[str, Any]) -> None:
    assert set(services) == {"broker", "camera", "page"}
    assert all(service["restart"] == "unless-stopped" for service in services.values())
    for name in ("camera", "page"):
        build = services[name]["build"]
        assert (DEPLOY / build["context"] / build["dockerfile"]).resolve() == DEPLOY / "Dockerfile"


def test_the_commands_are_commands_of_oido(services: dict[str, Any]) -> None:
    words = [
        re.sub(r"\$\{CAMERA:\?.*\}", "rtsp://camera/live", w) for w in services["camera"]["command"]
    ]
    args = build_parser().parse_args(words)
    assert args.source == "rtsp://camera/live"
    pytest.importorskip("paho.mqtt", reason="needs oido[live]")
    for kind, text in args.rules:
        parse_condition(text) if kind == "on" else parse_action(text)
    brokers = {text for kind, text in args.rules if text.startswith("mqtt:")}
    assert all(text.startswith("mqtt://broker/") for text in brokers), "the service's name"
    assert all("machine=" in text for text in brokers), "a container's own name changes"
    page = build_parser().parse_args(services["page"]["command"])
    assert page.host == "0.0.0.0"
    assert "OIDO_SERVE_TOKEN" in services["page"]["environment"]


def test_what_must_be_said_is_asked_for(services: dict[str, Any]) -> None:
    text = (DEPLOY / "compose.yaml").read_text(encoding="utf-8")
    assert set(re.findall(r"\$\{(\w+):\?", text)) == {"CAMERA", "OIDO_SERVE_TOKEN"}
    assert not re.findall(r"\$\{\w+\}", text)


def test_systemd_takes_the_unit() -> None:
    if shutil.which("systemd-analyze") is None:
        pytest.skip("needs systemd-analyze")
    done = subprocess.run(
        ["systemd-analyze", "verify", str(UNIT)], capture_output=True, text=True, check=False
    )
    assert UNIT.name not in done.stderr
    assert done.returncode == 0


@pytest.mark.parametrize(
    "arguments",
    [
        """rtsp://me:pa$$word@camera.local/live?channel=1&subtype=0 --on "Dog|Bark>0.5 for 2s" """
        "--do mqtt://localhost/oido\n",
        "# the one in the garden\nrtsp://me:pa$$word@camera.local/live?channel=1&subtype=0\n"
        "--on 'Dog|Bark>0.5 for 2s'\n    --do mqtt://localhost/oido  # tell the house\n",
    ],
)
def test_the_unit_reads_the_words_of_its_file(tmp_path: Path, arguments: str) -> None:
    """Its command, with what systemd puts in: the folder of credentials."""
    text = UNIT.read_text(encoding="utf-8")
    (command,) = re.findall(r"^ExecStart=(.*)$", text, re.M)
    assert not re.search(r"\$|%(?!d/)|\\", command), "systemd would read it"
    oido = tmp_path / "oido"
    oido.write_text('#!/bin/sh\nfor word in "$@"; do echo "<$word>"; done\n', encoding="utf-8")
    oido.chmod(0o755)
    (tmp_path / "arguments").write_text(arguments, encoding="utf-8")
    ran = command.replace("%d", str(tmp_path)).replace("/opt/oido/bin/python", sys.executable)
    ran = ran.replace("/opt/oido/bin/oido", str(oido))
    done = subprocess.run(shlex.split(ran), capture_output=True, text=True, check=True)
    words = [line[1:-1] for line in done.stdout.splitlines()]
    args = build_parser().parse_args(words)
    assert args.source == "rtsp://me:pa$$word@camera.local/live?channel=1&subtype=0"
    assert args.rules == [("on", "Dog|Bark>0.5 for 2s"), ("do", "mqtt://localhost/oido")]


def test_the_unit_is_nobody_and_ends_as_oido_does() -> None:
    lines = UNIT.read_text(encoding="utf-8").splitlines()
    for line in ("DynamicUser=yes", "NoNewPrivileges=yes", "ProtectSystem=strict"):
        assert line in lines
    assert "SuccessExitStatus=130" in lines, "SIGTERM ends oido listen with 130"
    assert "RestartPreventExitStatus=2" in lines, "wrong arguments stay wrong"
