# SPDX-License-Identifier: Apache-2.0
"""Where Ray is imported, joined or started: quietly, and with errors that say what to do."""

from __future__ import annotations

import importlib
import os
import socket
from typing import Any

from oido import errors

__all__ = ["connect", "import_ray", "short"]

_OBJECT_STORE_BYTES = 80 << 20
"""Of a Ray of our own: only reports pass through it. Ray takes no less."""

_LOOK_FOR_SECONDS = 10.0


def import_ray() -> Any:
    """The package. Raises MissingExtraError."""
    try:
        return importlib.import_module("ray")
    except ImportError as error:
        raise errors.MissingExtraError(
            "the Ray engine needs Ray; install it with: pip install 'oido[archive,ray]'"
        ) from error


def connect(ray: Any, address: str | None, cpus: int, runtime_env: dict[str, Any] | None) -> None:
    """Join a cluster, or start a Ray here; quietly. Raises OptionError."""
    if address and address.startswith("ray://"):
        raise errors.OptionError(
            f"{address}: start oido on a node of the cluster, with --address auto or by `ray job "
            "submit`; through a Ray client it cannot follow its actors"
        )
    quiet = {"log_to_driver": False, "logging_level": "ERROR", "runtime_env": runtime_env}
    if address and address != "local":
        _look_for(address)
        try:
            ray.init(address, **quiet)
        except (ConnectionError, RuntimeError, ValueError) as error:
            ray.shutdown()  # of what it had begun
            raise errors.OptionError(f"no Ray cluster at {address}: {short(error)}") from error
    else:
        os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
        os.environ.setdefault("RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO", "0")
        ray.init(
            "local",
            num_cpus=cpus,
            object_store_memory=_OBJECT_STORE_BYTES,
            include_dashboard=False,
            **quiet,
        )
    # Its remarks on dead workers would go to standard output; the engine tells what matters.
    ray._private.worker._worker_logs_enabled = False


def _look_for(address: str) -> None:
    """Ray itself tries for minutes before it says that nobody is there. Raises OptionError."""
    host, _, port = address.rpartition(":")
    if host and port.isdigit():
        try:
            socket.create_connection((host, int(port)), _LOOK_FOR_SECONDS).close()
        except OSError as error:
            raise errors.OptionError(f"no Ray cluster at {address}: {error}") from error


def short(error: BaseException) -> str:
    """A message in one line."""
    lines = [line.strip() for line in str(error).strip().splitlines() if line.strip()]
    return " ".join(lines)[-300:] if lines else type(error).__name__
