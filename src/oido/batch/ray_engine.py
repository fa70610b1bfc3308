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
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

from oido import errors
from oido._version import __version__
from oido.batch.commit_log import HEADER
from oido.batch.engine import Lost, NextUnit
from oido.batch.process_pool import STALL_SECONDS
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
from oido.batch.units import Flush, RunSpec, Unit, WorkerReport
from oido.batch.worker import Fatal
from oido.params import available_cores

__all__ = ["ActorHandle", "RayEngine"]


class ActorHandle:
    """An actor, and what it was given and has not handed over.

    pending: what it will say next; None: it has nothing to do. is_ready: it has loaded the model.
    life: of the process that has, because Ray starts the actor again by itself.
    """

    def __init__(self, actor_class: Any, order: bytes) -> None:
        self._name = uuid.uuid4().hex
        self.actor, self._order = actor_class.remote(self._name), order
        self.pending: Any = None
        self.is_ready = self.stalled = False
        self.life = ""
        self.unit: Unit | None = None
        self.given: dict[str, Unit] = {}
        self.heard_at = time.monotonic()
        self.died_at: float | None = None

    @property
    def is_busy(self) -> bool:
        """Something of a unit is still to come of it."""
        return self.died_at is not None or (self.is_ready and self.pending is not None)

    def prepare(self) -> None:
        """Have it load the model; Ray holds this back until the actor has a place."""
        self.is_ready = False
        prepare = self.actor.prepare.options(max_task_retries=-1)
        self.pending = prepare.remote(__version__, self._order)

    def forget(self) -> None:
        """Remove what an actor that was on this machine left behind when it was killed."""
        with contextlib.suppress(OSError):
            crash_path(self._name).unlink()

    def settle(self, report: WorkerReport) -> None:
        """What it has handed over is not with it any more."""
        if report.ranges and self.unit is not None:
            self.given.pop(self.unit.key, None)
        for finished in report.finished:
            for outcome in finished.outcomes:
                self.given.pop(outcome.unit.key, None)
        if report.ends_task:
            self.pending = None


_LOOK_SECONDS = 0.5
_GROW_SECONDS = 5.0
_BACK_SECONDS = 15.0
"""How long an actor that died may take to come back and say why; after that nobody knows."""

_FLUSH_SECONDS_PER_ACTOR, _MOST_FLUSH_SECONDS = 0.5, 300.0
"""Many actors write their rows more seldom, so that one ledger can follow all of them."""


class RayEngine:
    """Workers are Ray actors of one CPU each; see `oido.batch.engine.Engine`.

    workers: actors; those that find no place yet wait for it and hold nobody up. None: as many as
    there are CPUs, also on nodes that join later. address: of a cluster ("auto", "host:port");
    None: RAY_ADDRESS if that is set, else a Ray of its own on this machine, which ends with
    ``close``. A Ray to which this process is connected already is used, and left running.
    runtime_env: what Ray is to bring to the nodes, as ``ray.init`` takes it.

    The order's folder must be one that every node sees. Raises MissingExtraError without Ray.
    """

    def __init__(
        self,
        order: RunSpec,
        workers: int | None = None,
        address: str | None = None,
        *,
        runtime_env: dict[str, Any] | None = None,
        stall_seconds: float = STALL_SECONDS,
    ) -> None:
        self._ray = import_ray()
        self._order = _absolute(order)
        self._workers, self._stall_seconds = workers, stall_seconds
        self._hands: list[ActorHandle] = []
        self._model: tuple[str, str] | None = None
        self._header: bytes | None = None
        self._interrupted = False
        self._grown = time.monotonic()
        self._is_ours = not self._ray.is_initialized()
        if self._is_ours:
            address = address or os.environ.get("RAY_ADDRESS")
            connect(self._ray, address, workers or available_cores(), runtime_env)
        self._actor_class = self._ray.remote(num_cpus=1, max_restarts=-1, max_task_retries=0)(
            RayActor
        )
        for _ in range(workers or max(1, self._cpus())):
            self._add_hand()

    def start(self) -> tuple[str, str]:
        """As `Engine.start`; returns as soon as one actor is there."""
        while self._model is None:
            for _ in self._messages():
                pass
        return self._model

    def run(self, next_unit: NextUnit) -> Iterator[tuple[Unit | None, WorkerReport | Lost]]:
        """As `Engine.run`."""
        try:
            self._header = storage_of(self._order.folder).read(HEADER)
        except FileNotFoundError:
            self._header = None
        while True:
            for hand in self._hands:
                if hand.is_ready and hand.pending is None:
                    self._give(hand, next_unit)
            if any(h.is_ready for h in self._hands) and not any(h.is_busy for h in self._hands):
                return
            self._grow()
            yield from self._messages()

    def interrupt(self) -> None:
        """As `Engine.interrupt`."""
        self._interrupted = True

    def close(self) -> None:
        """As `Engine.close`; a Ray that was started here ends, too."""
        if not self._ray.is_initialized():
            return
        idle = [h.actor.end.remote() for h in self._hands if h.is_ready and h.pending is None]
        if idle:
            self._ray.wait(idle, num_returns=len(idle), timeout=2.0)
        for hand in self._hands:
            self._ray.kill(hand.actor)
            hand.forget()
        self._hands = []
        if self._is_ours:
            self._ray.shutdown()

    def __enter__(self) -> RayEngine:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _cpus(self) -> int:
        return int(self._ray.cluster_resources().get("CPU", 0))

    def _add_hand(self) -> None:
        at_most = max(len(self._hands) + 1, self._workers or 0)
        seconds = min(_MOST_FLUSH_SECONDS, _FLUSH_SECONDS_PER_ACTOR * at_most)
        order = replace(self._order, flush_seconds=max(self._order.flush_seconds, seconds))
        hand = ActorHandle(self._actor_class, pickle.dumps(order))
        self._hands.append(hand)
        hand.prepare()

    def _grow(self) -> None:
        """Use nodes that have joined, if there is work for them."""
        if self._workers is not None or time.monotonic() - self._grown < _GROW_SECONDS:
            return
        self._grown = time.monotonic()
        if all(hand.is_busy for hand in self._hands):
            for _ in range(self._cpus() - len(self._hands)):
                self._add_hand()

    def _give(self, hand: ActorHandle, next_unit: NextUnit) -> None:
        unit = next_unit()
        if unit is not None:
            hand.given[unit.key] = unit
        elif not hand.given:
            return
        hand.unit, hand.heard_at = unit, time.monotonic()
        serve = hand.actor.serve.options(num_returns="streaming")
        hand.pending = serve.remote(unit or Flush(), hand.life, self._header)

    def _messages(self) -> Iterator[tuple[Unit | None, WorkerReport | Lost]]:
        """What has come by now; waits a little for something to come."""
        if self._interrupted:
            raise KeyboardInterrupt
        waiting = {id(h.pending): h for h in self._hands if h.pending is not None}
        pending = [hand.pending for hand in waiting.values()]
        ready, _ = self._ray.wait(pending, num_returns=1, timeout=_LOOK_SECONDS)
        if ready and len(pending) > 1:
            ready, _ = self._ray.wait(pending, num_returns=len(pending), timeout=0)
        for one in ready:
            yield from self._taken(waiting[id(one)])
        for hand in self._hands:
            now = time.monotonic()
            if hand.is_busy and hand.is_ready and now - hand.heard_at > self._stall_seconds:
                hand.stalled = True
                self._ray.kill(hand.actor, no_restart=False)
                self._mourn(hand)
            elif hand.died_at is not None and now - hand.died_at > _BACK_SECONDS:
                yield self._lost(hand, "")

    def _taken(self, hand: ActorHandle) -> Iterator[tuple[Unit | None, WorkerReport | Lost]]:
        """One message of a hand."""
        exceptions = self._ray.exceptions
        try:
            one = hand.pending
            message = self._ray.get(next(one) if hand.is_ready else one)
        except exceptions.RayTaskError as error:
            if not isinstance(error.cause, Restarted):
                raise _told(error) from error
            self._mourn(hand)
        except exceptions.RayActorError as error:
            if not hand.is_ready and isinstance(error, exceptions.ActorDiedError):
                raise errors.OidoError(f"a Ray actor could not start: {short(error)}") from error
            self._mourn(hand)
        except exceptions.RayError:
            self._mourn(hand)  # what it said is lost with its node
        else:
            hand.heard_at = time.monotonic()
            if isinstance(message, WorkerReport):
                hand.settle(message)
                yield hand.unit, message
            elif isinstance(message, Fatal):
                raise getattr(errors, message.kind, errors.OidoError)(message.reason)
            else:
                self._welcome(hand, message)
                if hand.died_at is not None:
                    yield self._lost(hand, message.crash)

    def _welcome(self, hand: ActorHandle, started: Started) -> None:
        hand.life, hand.is_ready, hand.pending = started.life, True, None
        self._model = self._model or started.model
        if started.model != self._model:
            raise errors.OptionError(
                f"node {started.host} has another file for the model {self._model[0]} (SHA-256 "
                f"{started.model[1][:12]}, not {self._model[1][:12]}): put the same one on all"
            )

    def _mourn(self, hand: ActorHandle) -> None:
        """It died, or cannot be reached. It comes back with nothing of what it held."""
        hand.died_at = hand.died_at or time.monotonic()
        hand.prepare()

    def _lost(self, hand: ActorHandle, crash: str) -> tuple[Unit | None, Lost]:
        """All that the hand had before it died."""
        unit, given = hand.unit, hand.given
        under_way = given.pop(unit.key, None) if unit else None
        if hand.stalled:
            reason = f"hearing it made no progress for {self._stall_seconds:g} s, so it was stopped"
        elif crash:
            reason = f"the decoder crashed ({crash}); the file is damaged"
        else:
            reason = "its Ray actor or node died while it was heard, again and again"
        lost = Lost(under_way, tuple(given.values()), reason, not crash and not hand.stalled)
        hand.unit, hand.given, hand.died_at, hand.stalled = None, {}, None, False
        return unit, lost


def _absolute(order: RunSpec) -> RunSpec:
    """With paths that do not depend on where a process was started."""
    plan = order.plan
    if os.path.exists(plan.model):
        plan = replace(plan, model=os.path.abspath(plan.model))
    if plan.calibration is not None:
        plan = replace(plan, calibration=os.path.abspath(plan.calibration))
    return replace(order, plan=plan, folder=storage_of(order.folder).url)


def _told(error: Any) -> errors.OidoError:
    """What went wrong in an actor, as an error of ours."""
    if isinstance(error.cause, errors.OidoError):
        return error.cause
    text = str(error)
    if "No module named 'oido" in text:
        return errors.OptionError(
            f"oido is not installed on every node: install oido[archive,ray]=={__version__} there, "
            "or have Ray bring it with a runtime_env"
        )
    return errors.OidoError(f"a Ray actor failed: {short(error)}")
