# SPDX-License-Identifier: Apache-2.0
"""Ray itself, and the actor that works through units of an archive there.

A cluster is joined or started quietly, and with errors that say what to do. Ray is imported only
when that is asked for, and NumPy is loaded only when an actor's first order has come.
"""

from __future__ import annotations

import faulthandler
import os
import pickle
import socket
import tempfile
import time
import uuid
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

from oido import errors
from oido._version import __version__
from oido.batch.archive_header import HEADER
from oido.batch.storage import storage_of
from oido.batch.units import Flush, LoadedModel, RunSpec, Unit, WorkerReport
from oido.batch.worker import Fatal
from oido.errors import OidoError, OutputError
from oido.messages import tr

_REPORT_SECONDS = 2.0
_SHARED_SECONDS = 10.0
"""How long a folder on a network may take to show what another machine has written."""


class Started(NamedTuple):
    """The model is loaded. crash: how the actor's process before this one crashed, if it did."""

    life: str
    model: LoadedModel
    host: str
    crash: str


class Restarted(Exception):  # noqa: N818  # no error: what was held is gone
    """The actor is not the process that was meant."""


def crash_path(name: str) -> Path:
    """Where the actor of this name writes how it crashed."""
    return Path(tempfile.gettempdir(), f"oido-{name}.crash")


class RayActor:
    """One unit at a time, and rows to the results folder.

    Ray does not tell a crash from a kill. So the process leaves a file on its node, into which a
    crash is written; the process after it, if it is on the same node, finds it there. name: of the
    actor, for that file.
    """

    def __init__(self, name: str) -> None:
        self._crash_path = crash_path(name)
        self._crash = ""
        self._loaded_before = True
        if self._crash_path.exists():
            state, _, text = self._crash_path.read_text(errors="replace").partition("\n")
            self._loaded_before = state == "loaded"
            self._crash = text.partition("\n")[0].removeprefix("Fatal Python error: ")
        self._crash_file = self._crash_path.open("w")
        self._note("loading")
        faulthandler.enable(self._crash_file, all_threads=False)
        self._life = ""
        self._worker: Any = None
        self._folder, self._sees_folder = "", False

    def _note(self, state: str) -> None:
        self._crash_file.seek(0)
        self._crash_file.truncate()
        self._crash_file.write(f"{state}\n")
        self._crash_file.flush()

    def prepare(self, version: str, spec: bytes) -> Started | Fatal:
        """Load the model and hold nothing; the life that begins must be named in ``serve``."""
        host, self._life = socket.gethostname(), ""
        crash, self._crash = self._crash, ""
        if version != __version__:
            return Fatal(
                "OptionError",
                tr(
                    "node {host} has oido {version}, and this is {version_2}: "
                    "install the same version on all nodes",
                    host=host,
                    version=__version__,
                    version_2=version,
                ),
            )
        if crash and not self._loaded_before:
            return Fatal(
                "OidoError",
                tr("a worker could not start on node {host}: {crash}", host=host, crash=crash),
            )
        try:
            from oido.batch.unit_worker import UnitWorker

            loaded: RunSpec = pickle.loads(spec)
            self._worker = UnitWorker(loaded)
        except OidoError as error:
            return Fatal(type(error).__name__, tr("node {host}: {error}", host=host, error=error))
        self._note("loaded")
        self._folder, self._sees_folder = loaded.folder, False
        self._life = uuid.uuid4().hex
        worker = self._worker
        model = LoadedModel(worker.model_name, worker.model_sha256, worker.labels)
        return Started(self._life, model, host, crash)

    def serve(self, task: Unit | Flush, life: str, header: bytes | None) -> Iterator[WorkerReport]:
        """As `UnitWorker.serve`, with fewer reports. Raises Restarted, OutputError.

        header: of the results, which must be in the folder as this node sees it.
        """
        if life != self._life:
            raise Restarted
        if header is not None and not self._sees_folder:
            self._look_for(header)
        reported_at = time.monotonic()
        for report in self._worker.serve(task):
            now = time.monotonic()
            is_news = report.finished or report.ranges or report.ends_task
            if is_news or now - reported_at > _REPORT_SECONDS:
                reported_at = now
                yield report

    def _look_for(self, header: bytes) -> None:
        for _ in range(int(_SHARED_SECONDS)):
            try:
                if storage_of(self._folder).read(HEADER) == header:
                    self._sees_folder = True
                    return
            except FileNotFoundError:
                pass
            time.sleep(1.0)
        raise OutputError(
            tr(
                "node {gethostname} does not see the results in {folder}: choose a "
                "folder that all nodes share, or an object store (s3://…)",
                gethostname=socket.gethostname(),
                folder=self._folder,
            )
        )

    def end(self) -> None:
        """Leave nothing on the node."""
        faulthandler.disable()
        self._crash_file.close()
        os.unlink(self._crash_path)


_OBJECT_STORE_BYTES = 80 << 20
"""Of a Ray of our own: only reports pass through it. Ray takes no less."""

_LOOK_FOR_SECONDS = 10.0


def import_ray() -> Any:
    """The package. Raises MissingExtraError."""
    message = tr("the Ray engine needs Ray; install it with: pip install 'oido[archive,ray]'")
    with errors.needs_extra(message):
        import ray
    return ray


def connect(ray: Any, address: str | None, cpus: int, runtime_env: dict[str, Any] | None) -> None:
    """Join a cluster, or start a Ray here; quietly. Raises OptionError."""
    if address and address.startswith("ray://"):
        raise errors.OptionError(
            tr(
                "{address}: start oido on a node of the cluster, with --address auto "
                "or by `ray job submit`; through a Ray client it cannot follow its "
                "actors",
                address=address,
            )
        )
    quiet = {"log_to_driver": False, "logging_level": "ERROR", "runtime_env": runtime_env}
    if address and address != "local":
        _look_for(address)
        try:
            ray.init(address, **quiet)
        except (ConnectionError, RuntimeError, ValueError) as error:
            ray.shutdown()  # of what it had begun
            raise errors.OptionError(
                tr("no Ray cluster at {address}: {short}", address=address, short=short(error))
            ) from error
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
    # Its remarks on dead workers would go to standard output; the engine reports what matters.
    ray._private.worker._worker_logs_enabled = False


def _look_for(address: str) -> None:
    """Ray itself tries for minutes before it says that nobody is there. Raises OptionError."""
    host, _, port = address.rpartition(":")
    if host and port.isdigit():
        try:
            socket.create_connection((host, int(port)), _LOOK_FOR_SECONDS).close()
        except OSError as error:
            raise errors.OptionError(
                tr("no Ray cluster at {address}: {error}", address=address, error=error)
            ) from error


def short(error: BaseException) -> str:
    """A message in one line."""
    lines = [line.strip() for line in str(error).strip().splitlines() if line.strip()]
    return " ".join(lines)[-300:] if lines else type(error).__name__
