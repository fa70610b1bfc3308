# SPDX-License-Identifier: Apache-2.0
"""What counts of a results folder: its ledger read from the first commit to the last.

A run may be writing there, and joining commits, meanwhile.
"""

from __future__ import annotations

import contextlib
import json
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from oido.batch.archive_header import HEADER, read_header
from oido.batch.commit_log import (
    COPIES,
    LEDGER,
    broken_log_error,
    commit_name,
    digest_of_header,
    require_no_parts,
    spans_of,
    unsealed,
)
from oido.batch.storage import Storage, storage_of
from oido.batch.units import Part, apply_parts, is_commit


@dataclass(frozen=True)
class ResultsFolder:
    """What counts of a results folder.

    header: of the archive. live: (table, path, rows) of every part, in the order of the commits.
    units: for each key the latest entry; entries of ranges have the recording's key, ":" and a
    number, and ``run`` is the number of its run. runs: what each run recorded when it began.
    damaged: recordings with damaged rows that have not been heard again.
    """

    url: str
    header: dict[str, Any]
    live: tuple[Part, ...]
    units: dict[str, dict[str, Any]]
    runs: tuple[dict[str, Any], ...] = ()
    last_commit: str = ""
    damaged: int = 0

    def parts(self, table: str) -> list[str]:
        """Full paths or URLs of a table's parts, in the order of the commits; maybe none."""
        storage = storage_of(self.url)
        return [storage.full(part.path) for part in self.live if part.table == table]


def read_folder(url: str, *, with_units: bool = True) -> ResultsFolder:
    """Read a results folder. Raises OptionError if it is none.

    with_units: False leaves ``units`` empty, and so little memory is used, however many there are.
    """
    storage = storage_of(url)
    header = read_header(storage)
    live: dict[str, Part] = {}
    units: dict[str, dict[str, Any]] = {}
    located: dict[str, str] = {}
    damaged: set[str] = set()
    runs: list[dict[str, Any]] = []
    created = ""
    for commit in commits(storage):
        apply_parts(live, commit)
        created = commit["created"]
        damaged |= set(commit.get("damaged", ()))
        for location in commit.get("damaged", ()):
            key = located.get(location)
            if key in units:
                units[key] = {**units[key], "state": "damaged"}
        if "run" in commit:
            runs.append({"created": created, **commit["run"]})
        for entry in commit["units"]:
            if entry["state"] != "piece":
                damaged.discard(entry["location"])
            if not with_units:
                continue
            if entry["state"] != "piece":
                # A recording with another content is done anew: its old entry does not count.
                before = located.get(entry["location"])
                if before not in (None, entry["key"]):
                    units.pop(before, None)
                located[entry["location"]] = entry["key"]
            units[entry["key"]] = {**entry, "run": len(runs)}
    for key, entry in list(units.items()):
        if entry["state"] == "piece" and entry["location"] in located:
            del units[key]  # joined since, or classified whole
    parts = tuple(live.values())
    return ResultsFolder(storage.url, header, parts, units, tuple(runs), created, len(damaged))


_MOST_LOOKS = 5
"""So often a ledger is listed again of which files went because a run has joined them."""


def commits(storage: Storage) -> Iterator[dict[str, Any]]:
    """The commits in order. Raises DamagedResultsError if one is missing or not as written."""
    # The copies first: a run that is writing there writes each after its commit.
    last_copy = spans_of(storage, COPIES).last
    spans = spans_of(storage, LEDGER)
    number, digest, looks = 0, digest_of_header(storage.read(HEADER)), 0
    while True:
        span, beyond = spans.covering(number + 1), spans.after(number)
        if span is None and beyond is None and number >= last_copy:
            break
        gone = beyond.path if beyond else f"{LEDGER}/{commit_name(number + 1)}"
        if span is not None:
            try:
                for raw in span.lines(storage.read(span.path), number + 1):
                    commit, digest = unsealed(raw, number + 1, digest)
                    if not is_commit(commit):
                        raise broken_log_error(storage, span.path)
                    yield commit
                    number += 1
                continue
            except FileNotFoundError:
                gone = span.path
            except (OSError, ValueError, RecursionError) as error:
                raise broken_log_error(storage, span.path) from error
        before, spans, looks = spans, spans_of(storage, LEDGER), looks + 1
        if spans == before or looks > _MOST_LOOKS:
            raise broken_log_error(storage, gone)
    if not number:
        require_no_parts(storage)


def read_commit(storage: Storage, number: int) -> dict[str, Any]:
    """One commit, by its number. Raises DamagedResultsError."""
    for _ in range(_MOST_LOOKS):
        span = spans_of(storage, LEDGER).covering(number)
        if span is None:
            break
        with contextlib.suppress(FileNotFoundError):  # joined at this moment
            raw = next(span.lines(storage.read(span.path), number))
            commit: dict[str, Any] = json.loads(raw)
            return commit
    raise broken_log_error(storage, f"{LEDGER}/{commit_name(number)}")
