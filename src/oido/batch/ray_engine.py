# SPDX-License-Identifier: Apache-2.0
"""The Ray engine: actors that hold the model, on this machine or on a cluster.

Ray places the actors, starts them again where they or their nodes have died, and carries the
reports. What is left to do here is to give each actor its next unit, and to know what it holds.
"""

from __future__ import annotations

import contextlib
import os
import pickle
import time
import uuid
from dataclasses import replace
from typing import Any

from oido import errors
from oido._version import __version__
from oido.batch.archive_header import HEADER
from oido.batch.engine import Assigned, Engine, Lost, Messages, NextUnit
from oido.batch.process_pool import STALL_SECONDS, Ticks
from oido.batch.ray_actor import (
    RayActor,
    Restarted,
    Started,
    connect,
    crash_path,
    import_ray,
    short,
)
from oido.batch.storage import storage_of
from oido.batch.units import LoadedModel, RunSpec, Unit, WorkerReport
from oido.batch.worker import Fatal
from oido.batch.worker_process import CRASHED, STALLED
from oido.messages import tr
from oido.params import available_cores


class ActorHandle:
    """An actor, and the units that it was assigned and has not handed over.

    pending: its next report; None: it has nothing to do. is_ready: it has loaded the model. life:
    of the process that has, because Ray starts the actor again by itself.
    """

    def __init__(self, actor_class: Any, spec: bytes, ticks: Ticks) -> None:
        self._name = uuid.uuid4().hex
        self.actor, self._spec = actor_class.remote(self._name), spec
        self.pending: Any = None
        self.is_ready = self.stalled = False
        self.life = ""
        self.unit: Unit | None = None
        self.assigned = Assigned()
        self.last_report_at = ticks.now()
        self.died_at: float | None = None

    @property
    def is_busy(self) -> bool:
        """Something of a unit is still to come of it."""
        return self.died_at is not None or (self.is_ready and self.pending is not None)

    def prepare(self) -> None:
        """Have it load the model; Ray holds this back until the actor has a place."""
        self.is_ready = False
        prepare = self.actor.prepare.options(max_task_retries=-1)
        self.pending = prepare.remote(__version__, self._spec)

    def forget(self) -> None:
        """Remove what an actor that was on this machine left behind when it was killed."""
        with contextlib.suppress(OSError):
            crash_path(self._name).unlink()


_LOOK_SECONDS = 0.5
_GROW_SECONDS = 5.0
_BACK_SECONDS = 15.0
"""How long an actor that died may take to come back and say why; after that nobody knows."""

_FLUSH_SECONDS_PER_ACTOR, _MOST_FLUSH_SECONDS = 0.5, 300.0
"""Many actors write their rows more seldom, so that one ledger can follow all of them."""


class RayEngine(Engine):
    """Workers are Ray actors of one CPU each; see `oido.batch.engine.Engine`.

    workers: actors; those that find no place yet wait for it and hold nobody up. None: as many as
    there are CPUs, also on nodes that join later. address: of a cluster ("auto", "host:port");
    None: RAY_ADDRESS if that is set, else a Ray of its own on this machine, which ends with
    ``close``. A Ray to which this process is connected already is used, and left running.
    runtime_env: what Ray is to bring to the nodes, as ``ray.init`` takes it.

    The spec's folder must be one that every node sees. Raises MissingExtraError without Ray.
    """

    def __init__(
        self,
        spec: RunSpec,
        workers: int | None = None,
        address: str | None = None,
        *,
        runtime_env: dict[str, Any] | None = None,
        stall_seconds: float = STALL_SECONDS,
    ) -> None:
        self._ray = import_ray()
        self._spec = _with_absolute_paths(spec)
        self._workers, self._stall_seconds = workers, stall_seconds
        self._handles: list[ActorHandle] = []
        self._model: LoadedModel | None = None
        self._header: bytes | None = None
        self._interrupted = False
        self._grown = time.monotonic()
        self._ticks = Ticks()
        self._is_ours = not self._ray.is_initialized()
        if self._is_ours:
            address = address or os.environ.get("RAY_ADDRESS")
            connect(self._ray, address, workers or available_cores(), runtime_env)
        self._actor_class = self._ray.remote(num_cpus=1, max_restarts=-1, max_task_retries=0)(
            RayActor
        )
        for _ in range(workers or max(1, self._cpus())):
            self._add_handle()

    @property
    def n_workers(self) -> int:
        return max(1, sum(handle.is_ready for handle in self._handles))

    def start(self) -> LoadedModel:
        """As `Engine.start`; returns as soon as one actor is there."""
        while self._model is None:
            for _ in self._messages():
                pass
        return self._model

    def run(self, next_unit: NextUnit) -> Messages:
        try:
            self._header = storage_of(self._spec.folder).read(HEADER)
        except FileNotFoundError:
            self._header = None
        while True:
            for handle in self._handles:
                if handle.is_ready and handle.pending is None:
                    self._assign(handle, next_unit)
            if any(h.is_ready for h in self._handles) and not any(h.is_busy for h in self._handles):
                return
            self._grow()
            yield from self._messages()

    def interrupt(self) -> None:
        self._interrupted = True

    def close(self) -> None:
        """As `Engine.close`; a Ray that was started here ends, too."""
        if not self._ray.is_initialized():
            return
        idle = [h.actor.end.remote() for h in self._handles if h.is_ready and h.pending is None]
        if idle:
            self._ray.wait(idle, num_returns=len(idle), timeout=2.0)
        for handle in self._handles:
            self._ray.kill(handle.actor)
            handle.forget()
        self._handles = []
        if self._is_ours:
            self._ray.shutdown()

    def _cpus(self) -> int:
        return int(self._ray.cluster_resources().get("CPU", 0))

    def _add_handle(self) -> None:
        at_most = max(len(self._handles) + 1, self._workers or 0)
        seconds = min(_MOST_FLUSH_SECONDS, _FLUSH_SECONDS_PER_ACTOR * at_most)
        spec = replace(self._spec, flush_seconds=max(self._spec.flush_seconds, seconds))
        handle = ActorHandle(self._actor_class, pickle.dumps(spec), self._ticks)
        self._handles.append(handle)
        handle.prepare()

    def _grow(self) -> None:
        """Use nodes that have joined, if there is work for them."""
        if self._workers is not None or time.monotonic() - self._grown < _GROW_SECONDS:
            return
        self._grown = time.monotonic()
        if all(handle.is_busy for handle in self._handles):
            for _ in range(self._cpus() - len(self._handles)):
                self._add_handle()

    def _assign(self, handle: ActorHandle, next_unit: NextUnit) -> None:
        task = handle.assigned.next(next_unit)
        if task is None:
            return
        handle.unit = task if isinstance(task, Unit) else None
        handle.last_report_at = self._ticks.now()
        serve = handle.actor.serve.options(num_returns="streaming")
        handle.pending = serve.remote(task, handle.life, self._header)

    def _messages(self) -> Messages:
        """What has come by now; waits a little for something to come."""
        if self._interrupted:
            raise KeyboardInterrupt
        waiting = {id(h.pending): h for h in self._handles if h.pending is not None}
        pending = [handle.pending for handle in waiting.values()]
        ready, _ = self._ray.wait(pending, num_returns=1, timeout=_LOOK_SECONDS)
        if ready and len(pending) > 1:
            ready, _ = self._ray.wait(pending, num_returns=len(pending), timeout=0)
        for one in ready:
            yield from self._receive(waiting[id(one)])
        for handle in self._handles:
            now = time.monotonic()
            if (
                handle.is_busy
                and handle.is_ready
                and self._ticks.now() - handle.last_report_at > self._stall_seconds
            ):
                handle.stalled = True
                self._ray.kill(handle.actor, no_restart=False)
                self._restart(handle)
            elif handle.died_at is not None and now - handle.died_at > _BACK_SECONDS:
                yield self._report_lost(handle, "")

    def _receive(self, handle: ActorHandle) -> Messages:
        """One message of an actor."""
        exceptions = self._ray.exceptions
        try:
            one = handle.pending
            message = self._ray.get(next(one) if handle.is_ready else one)
        except exceptions.RayTaskError as error:
            if not isinstance(error.cause, Restarted):
                raise _actor_error(error) from error
            self._restart(handle)
        except exceptions.RayActorError as error:
            if not handle.is_ready and isinstance(error, exceptions.ActorDiedError):
                raise errors.OidoError(
                    tr("a Ray actor could not start: {short}", short=short(error))
                ) from error
            self._restart(handle)
        except exceptions.RayError:
            self._restart(handle)  # its report is lost with its node
        else:
            handle.last_report_at = self._ticks.now()
            if isinstance(message, WorkerReport):
                handle.assigned.settle(handle.unit, message)
                if message.ends_task:
                    handle.pending = None
                yield handle.unit, message
            elif isinstance(message, Fatal):
                raise message.error()
            else:
                self._on_started(handle, message)
                if handle.died_at is not None:
                    yield self._report_lost(handle, message.crash)

    def _on_started(self, handle: ActorHandle, started: Started) -> None:
        handle.life, handle.is_ready, handle.pending = started.life, True, None
        self._model = self._model or started.model
        if started.model != self._model:
            raise errors.OptionError(
                tr(
                    "node {host} has another file for the model {name} (SHA-256 "
                    "{sha256}, not {sha257}): put the same one on all",
                    host=started.host,
                    name=self._model.name,
                    sha256=started.model.sha256[:12],
                    sha257=self._model.sha256[:12],
                )
            )

    def _restart(self, handle: ActorHandle) -> None:
        """It died, or cannot be reached. It comes back with nothing of what it held."""
        handle.died_at = handle.died_at or time.monotonic()
        handle.prepare()

    def _report_lost(self, handle: ActorHandle, crash: str) -> tuple[Unit | None, Lost]:
        """All that the actor had before it died."""
        if handle.stalled:
            reason = STALLED.format(self._stall_seconds)
        elif crash:
            reason = CRASHED.format(crash)
        else:
            reason = tr("its Ray actor or node died while it was heard, again and again")
        unit = handle.unit
        lost = handle.assigned.lose(unit, reason, not crash and not handle.stalled)
        handle.unit, handle.assigned, handle.died_at, handle.stalled = None, Assigned(), None, False
        return unit, lost


def _with_absolute_paths(spec: RunSpec) -> RunSpec:
    """With paths that do not depend on where a process was started."""
    plan = spec.plan
    if os.path.exists(plan.model):
        plan = replace(plan, model=os.path.abspath(plan.model))
    if plan.calibration is not None:
        plan = replace(plan, calibration=os.path.abspath(plan.calibration))
    return replace(spec, plan=plan, folder=storage_of(spec.folder).url)


def _actor_error(error: Any) -> errors.OidoError:
    """What went wrong in an actor, as an error of ours."""
    if isinstance(error.cause, errors.OidoError):
        return error.cause
    text = str(error)
    if "No module named 'oido" in text:
        return errors.OptionError(
            tr(
                "oido is not installed on every node: install "
                "oido[archive,ray]=={version} there, or have Ray bring it with a "
                "runtime_env",
                version=__version__,
            )
        )
    return errors.OidoError(tr("a Ray actor failed: {short}", short=short(error)))
