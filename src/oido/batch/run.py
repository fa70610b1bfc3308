# SPDX-License-Identifier: Apache-2.0
"""A run over an archive: what is still to be done goes to an engine, results to the commit log.

The order of things is what makes it exact: parts are whole before the commit that names them, a
unit is done when that commit exists, and everything else may be lost at any moment.
"""

from __future__ import annotations

import contextlib
from collections import deque
from collections.abc import Iterator, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any, NamedTuple

from oido.batch.commit_log import PIECES, CommitLog
from oido.batch.engine import Engine, Lost
from oido.batch.joined_commits import join_commits
from oido.batch.plan import Failure
from oido.batch.progress import History, missing_or_cut
from oido.batch.sources import source_now
from oido.batch.units import Finished, LoadedModel, Outcome, RunSpec, Sample, Source, Unit
from oido.errors import DamagedResultsError, OptionError
from oido.messages import tr

if TYPE_CHECKING:
    from oido.batch.estimate import WorkEstimate

_MOST_CRASHES, _MOST_KILLS = 2, 10
"""Deaths of workers over one unit, by itself or from outside, before it counts as the cause."""

_MOST_CHANGES = 3
"""So often a recording is begun again that is another one when it was heard."""


_LEAST_TO_PLAN_BYTES = 200_000_000
"""Smaller archives are done within half an hour, whatever their format."""


class Progressed(NamedTuple):
    """What happened: units that are committed now, or the seconds done of one under way.

    estimate: of all that is to be done, once, when it is known.
    """

    unit: Unit | None
    duration: float
    outcomes: tuple[Outcome, ...]
    estimate: WorkEstimate | None = None


class Damage(NamedTuple):
    """What a repair knows to be damaged: paths of parts, and the recordings with rows in them,
    by their locations."""

    parts: tuple[str, ...] = ()
    locations: tuple[str, ...] = ()


class ArchiveRun:
    """One run over the sources of an archive; ``steps`` does it.

    resumes: a folder with results is wanted, rather than a mistake. retries_failed: try again
    what failed. damage: of which the rows do not count any more; the recordings are heard again
    if they are among the sources. After ``prepare``: todo, what is to be done; failed_before: of
    the others, those that failed in earlier runs; not_named: recordings of earlier runs that are
    not among the sources, and keep their rows. Raises OptionError if the folder cannot be used for
    this.
    """

    def __init__(
        self,
        spec: RunSpec,
        sources: Sequence[Source],
        *,
        resumes: bool = False,
        retries_failed: bool = False,
        damage: Damage = Damage(),  # noqa: B008 (frozen)
    ) -> None:
        self._spec, self._sources = spec, sources
        self._retries_failed, self._damage = retries_failed, damage
        self._log = CommitLog(spec.folder, spec.run_id, join_commits)
        if not self._log.is_new and not resumes:
            raise OptionError(
                tr(
                    "{folder} holds results already: go on with --resume, or choose "
                    "another folder with -o",
                    folder=spec.folder,
                )
            )
        self._log.storage.lock()
        self._history = History(self._log.storage)
        self._waiting: deque[Unit] = deque()
        self._ranges: dict[str, dict[int, tuple[str, ...]]] = {}
        self._whole: set[str] = set()
        self._deaths: dict[str, list[int]] = {}
        self._changes: dict[str, int] = {}
        self._idle_kills = 0
        self.todo: list[Source] = []
        self.failed_before = 0
        self.not_named = 0

    @property
    def n_sources(self) -> int:
        """Recordings that were named, done or not."""
        return len(self._sources)

    @property
    def restored(self) -> list[str]:
        """Files of the ledger that were damaged, and brought back from their copies."""
        return self._log.restored

    @property
    def is_begun(self) -> bool:
        """Whether the folder has a header by now: whoever gives the command again must resume."""
        return not self._log.is_new

    def prepare(self, model: LoadedModel) -> None:
        """Compare the folder with what is asked, clean it, and find what is to be done.

        Raises OptionError if its results are of other parameters.
        """
        parameters = self._spec.parameters()
        model = model._replace(path=self._spec.plan.model)
        self._log.begin(parameters, model, calibrated=self._spec.plan.calibrated)
        for commit in self._log.commits():
            self._history.add(commit)
        self._refuse_damage()
        for source in self._sources:
            state = self._history.state(source)
            if source.location in self._damage.locations:
                state = "damaged"
            is_retried = state == "failed" and self._retries_failed
            if state in (None, "damaged", "stalled") or is_retried:
                self.todo.append(source)
            else:
                self.failed_before += state == "failed"
        self.not_named = self._history.not_among(self._sources)
        wanted = {source.key for source in self.todo}
        self._history.forget_pieces(lambda key: key not in wanted)
        self._history.forget_missing_pieces(self._log.storage.files(PIECES))
        more: dict[str, Any] = {}
        if self._damage.locations:
            more["damaged"] = list(self._damage.locations)
        # Before anything is written: from this commit on, no other run can make its parts count.
        commit = self._log.commit(
            remove=self._damage.parts,
            **more,
            run={
                "id": self._spec.run_id,
                "recordings": len(self._sources),
                "bytes": sum(source.size for source in self._sources),
                "todo": len(self.todo),
                "todo_bytes": sum(source.size for source in self.todo),
            },
        )
        self._history.add(commit)

    def _refuse_damage(self) -> None:
        """Raise DamagedResultsError if parts are missing or cut short: nobody would notice."""
        troubles = missing_or_cut(self._log.storage, self._history.live.values())
        found = [f"{p} {t}" for p, t in troubles.items() if p not in self._damage.parts]
        if found:
            url = self._log.storage.url
            more = tr(" (and {n_found} more)", n_found=len(found) - 1) if len(found) > 1 else ""
            raise DamagedResultsError(
                tr(
                    "{url}: {found}{more}; say `oido batch verify {url} --repair`, "
                    "which hears the recordings again whose rows were there",
                    url=url,
                    found=found[0],
                    more=more,
                )
            )

    def steps(self, engine: Engine, *, estimates: bool = False) -> Iterator[Progressed]:
        """Do everything; what happened, as it happens. Raises OutputError, KeyboardInterrupt.

        estimates: of a large archive, measure first how long it takes.
        """
        waiting = iter(self.todo)
        if estimates:
            self._waiting.extend(self._sample_units())
        unmeasured = {unit.source.key for unit in self._waiting if unit.kind == "sample"}
        samples: dict[str, Sample] = {}

        def next_unit() -> Unit | None:
            while True:
                if self._waiting:
                    unit = self._waiting.popleft()
                    if unit.kind == "range" and unit.source.key in self._whole:
                        continue
                    return unit
                source = next(waiting, None)
                if source is None:
                    return None
                self._waiting.extend(self._units_of(source))

        for unit, message in engine.run(next_unit):
            if isinstance(message, Lost):
                self._recover(message)
                if message.under_way is not None and message.under_way.kind == "sample":
                    unmeasured.discard(message.under_way.source.key)
                continue
            if unit is not None and message.sample is not None:
                samples[unit.source.key] = message.sample
                if samples.keys() == unmeasured:
                    yield Progressed(None, 0.0, (), self._estimate(samples, engine.n_workers))
                continue
            self._waiting.extendleft(reversed(message.ranges))
            done: list[Outcome] = []
            for finished in message.finished:
                done += self._commit(finished)
            yield Progressed(unit, message.duration, tuple(done))
        self._log.join()
        self._log.require_whole(all_of_it=True)
        self._refuse_damage()
        self._log.sweep(self._history.live)

    def tidy(self) -> None:
        """Delete what killed workers were writing: after the engine was closed, whatever happened.

        Never more than that: a commit of which this run does not know, because the disk failed
        under it, may name any part that is whole.
        """
        with contextlib.suppress(OSError):  # the disk may be why the run is over
            self._log.sweep_unfinished()

    def _sample_units(self) -> list[Unit]:
        if sum(source.size for source in self.todo) < _LEAST_TO_PLAN_BYTES:
            return []
        from oido.batch.estimate import drawn

        return [Unit(source, "sample") for source in dict.fromkeys(drawn(self.todo))]

    def _estimate(self, samples: dict[str, Sample], workers: int) -> WorkEstimate | None:
        from oido.batch.estimate import estimated

        return estimated(self.todo, samples, workers)

    def _units_of(self, source: Source) -> list[Unit]:
        """A recording as a unit, or as the ranges that an earlier run has left to do."""
        source = self._history.unique_source(source)
        pieces = self._history.pieces(source)
        if not pieces:
            return [Unit(source)]
        ranges = {n: entry["range"] for n, entry in pieces.items()}
        of, each = next((r[1], r[3]) for r in ranges.values() if r[3] is not None or r[1] == 1)
        for number, entry in pieces.items():
            self._ranges.setdefault(source.key, {})[number] = tuple(entry["pieces"])
        if len(pieces) == of:
            return [self._join(source, of)]
        return [
            Unit(source, "range", True, n * each, each if n < of - 1 else None, n, of)
            for n in range(of)
            if n not in pieces
        ]

    def _commit(self, finished: Finished) -> list[Outcome]:
        """Make it count. Returns the outcomes of recordings."""
        pieces = [o for o in finished.outcomes if o.unit.kind == "range"]
        for outcome in pieces:
            self._commit_range(outcome)
        for outcome in finished.outcomes:
            if outcome.unit.kind != "range" and outcome.state == "unsplit":
                self._queue_whole(outcome.unit.source)
        done = [o for o in finished.outcomes if o.unit.kind != "range" and o.state != "unsplit"]
        if not done:
            return []
        add, remove, replaces = self._history.plan_replacement([o.unit.source for o in done])
        more = {"replaces": replaces} if replaces else {}
        entries = [outcome.entry() for outcome in done]
        self._history.add(self._log.commit([*finished.parts, *add], remove, entries, **more))
        joined = [path for o in done for paths in o.unit.pieces for path in paths]
        self._log.storage.delete([*remove, *joined])
        for outcome in done:
            self._ranges.pop(outcome.unit.source.key, None)
            self._deaths.pop(f"{outcome.unit.key} {outcome.unit.kind}", None)
        return done

    def _commit_range(self, outcome: Outcome) -> None:
        source = outcome.unit.source
        if source.key in self._whole:
            return
        if outcome.state == "unsplit":
            # Damaged, or not what its header says: only the whole shows what is in it.
            self._queue_whole(source)
            return
        self._history.add(self._log.commit(units=[outcome.entry()]))
        done = self._ranges.setdefault(source.key, {})
        done[outcome.unit.number] = outcome.pieces
        if len(done) == outcome.unit.of:
            self._waiting.appendleft(self._join(source, outcome.unit.of))

    def _queue_whole(self, source: Source) -> None:
        """Have a recording done again that is damaged, or is not the one any more that it was."""
        self._whole.add(source.key)
        self._ranges.pop(source.key, None)
        now = source_now(source.name, source.location)
        if now is None or now.key == source.key:
            self._waiting.appendleft(Unit(source, may_split=False))
            return
        changes = self._changes[source.location] = self._changes.get(source.location, 0) + 1
        if changes <= _MOST_CHANGES:
            self._waiting.appendleft(Unit(now))
            return
        reason = tr("{name}: was changed again and again while it was heard; ", name=source.name)
        failure = Failure("CorruptAudioError", reason + tr("when its writer is done, say --resume"))
        self._waiting.appendleft(Unit(source, "failed", failure=failure, may_split=False))

    def _join(self, source: Source, of: int) -> Unit:
        done = self._ranges[source.key]
        return Unit(source, "join", of=of, pieces=tuple(done[number] for number in range(of)))

    def _recover(self, lost: Lost) -> None:
        """Have done again what a dead worker had; a unit that kills workers has failed."""
        unit, others = lost.under_way, lost.others
        self._idle_kills += unit is None and lost.killed
        if unit is None and (not lost.killed or self._idle_kills > _MOST_CRASHES):
            # It died over rows of several: the one whose rows they were is found one by one.
            others = tuple(replace(other, alone=True) for other in others)
        self._waiting.extendleft(reversed(others))
        if unit is None or unit.kind == "sample":
            return
        deaths = self._deaths.setdefault(f"{unit.key} {unit.kind}", [0, 0])
        deaths[lost.killed] += 1
        if deaths[0] < _MOST_CRASHES and deaths[1] < _MOST_KILLS:
            self._waiting.appendleft(unit)
            return
        if unit.kind == "failed":
            # Even the row of its failure kills: the ledger alone can say that it failed.
            self._commit(Finished((), (Outcome(unit, "failed", failure=unit.failure),)))
            return
        failure = Failure(
            "CorruptAudioError", tr("{name}: {reason}", name=unit.source.name, reason=lost.reason)
        )
        if unit.kind == "range":
            self._whole.add(unit.source.key)
        self._waiting.appendleft(
            replace(Unit(unit.source), kind="failed", failure=failure, may_split=False)
        )
