# SPDX-License-Identifier: Apache-2.0
"""What a Ray actor of an archive does: it holds an Archivist, and reports.

Ray itself is not imported here, and neither is NumPy before an order has come.
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

from oido._version import __version__
from oido.batch.ledger import HEADER
from oido.batch.storage import storage_of
from oido.batch.units import Flush, Order, Report, Unit
from oido.batch.worker import Fatal
from oido.errors import OidoError, OutputError

__all__ = ["RayActor", "Restarted", "Started", "crash_path"]

_REPORT_SECONDS = 2.0
_SHARED_SECONDS = 10.0
"""How long a folder on a network may take to show what another machine has written."""


class Started(NamedTuple):
    """The model is loaded. crash: how the actor's process before this one crashed, if it did."""

    life: str
    model: tuple[str, str]
    host: str
    crash: str


class Restarted(Exception):  # noqa: N818  # no error: it tells that what was held is gone
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
        self._archivist: Any = None
        self._folder, self._sees_folder = "", False

    def _note(self, state: str) -> None:
        self._crash_file.seek(0)
        self._crash_file.truncate()
        self._crash_file.write(f"{state}\n")
        self._crash_file.flush()

    def prepare(self, version: str, order: bytes) -> Started | Fatal:
        """Load the model and hold nothing; the life that begins must be named in ``serve``."""
        host, self._life = socket.gethostname(), ""
        crash, self._crash = self._crash, ""
        if version != __version__:
            return Fatal(
                "OptionError",
                f"node {host} has oido {__version__}, and this is {version}: "
                "install the same version on all nodes",
            )
        if crash and not self._loaded_before:
            return Fatal("OidoError", f"a worker could not start on node {host}: {crash}")
        try:
            from oido.batch.archivist import Archivist

            loaded: Order = pickle.loads(order)
            self._archivist = Archivist(loaded)
        except OidoError as error:
            return Fatal(type(error).__name__, f"node {host}: {error}")
        self._note("loaded")
        self._folder, self._sees_folder = loaded.folder, False
        self._life = uuid.uuid4().hex
        model = self._archivist.model_name, self._archivist.model_sha256
        return Started(self._life, model, host, crash)

    def serve(self, task: Unit | Flush, life: str, header: bytes | None) -> Iterator[Report]:
        """As `Archivist.serve`, with fewer reports. Raises Restarted, OutputError.

        header: of the results, which must be in the folder as this node sees it.
        """
        if life != self._life:
            raise Restarted
        if header is not None and not self._sees_folder:
            self._look_for(header)
        said = time.monotonic()
        for report in self._archivist.serve(task):
            now = time.monotonic()
            is_news = report.finished or report.ranges or report.ends_task
            if is_news or now - said > _REPORT_SECONDS:
                said = now
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
            f"node {socket.gethostname()} does not see the results in {self._folder}: choose a "
            "folder that all nodes share, or an object store (s3://…)"
        )

    def end(self) -> None:
        """Leave nothing on the node."""
        faulthandler.disable()
        self._crash_file.close()
        os.unlink(self._crash_path)
