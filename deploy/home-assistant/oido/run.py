# SPDX-License-Identifier: Apache-2.0
"""The add-on: the page behind Home Assistant's ingress, and a listener with the user's options."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
import urllib.request
from collections.abc import Mapping
from pathlib import Path
from typing import Any
from urllib.parse import quote

OPTIONS = Path("/data/options.json")
SUPERVISOR = "http://supervisor/services/mqtt"
SERVED = {"HOME": "/var/lib/oido", "OIDO_CACHE": "/var/lib/oido/cache"}
WRONG_USAGE = 2
PAUSE_SECONDS = 10.0


def listen_arguments(options: Mapping[str, Any], broker: str | None) -> list[str]:
    """The arguments of `oido listen`; broker: what the action "mqtt" stands for."""
    arguments = ["--jsonl"]
    for name, value in options.items():
        flag = "--" + name.replace("_", "-")
        if name in ("source", "triggers") or value in (None, ""):
            continue
        if isinstance(value, bool):  # before 0 and 1 as numbers, which equal them
            arguments += [flag] * value
        else:
            for each in value if isinstance(value, list) else [value]:
                arguments.append(f"{flag}={each}")
    for trigger in options.get("triggers", []):
        arguments.append(f"--on={trigger['condition']}")
        for action in trigger.get("actions", []):
            if action == "mqtt" and broker is None:
                raise SystemExit(
                    "the action mqtt needs a broker: install the add-on Mosquitto broker, or write "
                    "mqtt://USER:PASSWORD@HOST/TOPIC"
                )
            arguments.append(f"--do={broker if action == 'mqtt' else action}")
    return [*arguments, "--", options.get("source") or "mic"]


def broker_address(service: Mapping[str, Any]) -> str:
    """The address of Home Assistant's broker, as the Supervisor describes it."""
    scheme = "mqtts" if service.get("ssl") else "mqtt"
    login = ":".join(
        quote(str(service.get(key) or ""), safe="") for key in ("username", "password")
    )
    login = "" if login == ":" else login + "@"
    # The container's own name changes; the sensors' ids must not.
    return f"{scheme}://{login}{service['host']}:{service['port']}/oido?machine=home-assistant"


def find_broker() -> str | None:
    """The broker that the Supervisor knows; None if there is none."""
    headers = {"Authorization": f"Bearer {os.environ.get('SUPERVISOR_TOKEN', '')}"}
    try:
        with urllib.request.urlopen(
            urllib.request.Request(SUPERVISOR, headers=headers), timeout=10
        ) as answer:
            return broker_address(json.load(answer)["data"])
    except (OSError, ValueError, KeyError):
        return None


def main() -> int:
    """Run until the Supervisor ends it, or an option is wrong, or the page cannot be served."""
    options = json.loads(OPTIONS.read_text(encoding="utf-8"))
    command = ["oido", "listen", *listen_arguments(options, find_broker())]
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))
    served = [
        subprocess.Popen(["oido", "serve"], user="oido", env={**os.environ, **SERVED}),
        subprocess.Popen(["nginx", "-c", "/opt/oido/nginx.conf"]),
    ]
    listener = subprocess.Popen(command)
    began_again = time.monotonic()
    try:
        while all(process.poll() is None for process in served):
            if listener.poll() == WRONG_USAGE:
                return WRONG_USAGE
            if listener.poll() is not None and time.monotonic() - began_again > PAUSE_SECONDS:
                listener, began_again = subprocess.Popen(command), time.monotonic()
            time.sleep(0.5)
        return 1
    finally:
        for process in (listener, *served):
            if process.poll() is None:
                process.terminate()
        for process in (listener, *served):
            process.wait()


if __name__ == "__main__":
    sys.exit(main())
