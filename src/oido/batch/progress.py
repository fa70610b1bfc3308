# SPDX-License-Identifier: Apache-2.0
"""How far an archive is, by its ledger alone: which recordings are done, where their rows are.

A run reads it to know what is left; `oido batch status` reads it while a run is writing. Little
memory is used for it, however large the archive.
"""

from __future__ import annotations

import hashlib
from array import array
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from datetime import datetime
from typing import Any, NamedTuple

from oido.batch.archive_header import read_header
from oido.batch.results_folder import commits, read_commit
from oido.batch.storage import Storage, storage_of
from oido.batch.units import Part, Source, apply_parts, escaped_name
from oido.batch.worker_process import is_stall
from oido.messages import tr


class History:
    """Folds commits; a recording is found by its location, and known again by its key.

    live: the parts that count, by path.
    """

    def __init__(self, storage: Storage) -> None:
        self._storage = storage
        self.live: dict[str, Part] = {}
        # By a digest of the location: key, state, and the number of the commit with its rows.
        self._known: dict[bytes, tuple[str, str, int]] = {}
        self._names: dict[bytes, bytes] = {}
        self._parts: dict[int, list[str]] = {}
        self._shared: set[int] = set()
        self._pieces: dict[str, dict[int, dict[str, Any]]] = {}
        self._names_of: tuple[int, dict[str, str]] = (0, {})

    def add(self, commit: Mapping[str, Any]) -> None:
        """Fold the next commit."""
        apply_parts(self.live, commit)
        number: int = commit["commit"]
        replaced = commit.get("replaces", {})
        for earlier in self._parts.values() if replaced else ():
            earlier[:] = [replaced.get(path, path) for path in earlier]
        own = [p["path"] for p in commit["add"] if p["path"] not in replaced.values()]
        if own:
            self._parts[number] = own
        if len(commit["units"]) > 1:
            self._shared.add(number)
        for location in commit.get("damaged", ()):
            damaged = self._known.get(_digest(location))
            if damaged is not None:
                self._known[_digest(location)] = damaged[0], "damaged", damaged[2]
        for entry in commit["units"]:
            key: str = entry["key"]
            if entry["state"] == "piece":
                recording, _, place = key.rpartition(":")
                self._pieces.setdefault(recording, {})[int(place)] = entry
                continue
            place_digest = _digest(entry["location"])
            state = entry["state"]
            if state == "failed" and is_stall(entry.get("failure", {}).get("reason", "")):
                state = "stalled"
            self._known[place_digest] = key, state, number
            self._names[_digest(entry["file"])] = place_digest
            self._pieces.pop(key, None)

    def state(self, source: Source) -> str | None:
        """ "done", "failed", "damaged" (its rows are), "stalled", or None: not done as it is."""
        key, state, _ = self._known.get(_digest(source.location), ("", None, 0))
        return state if key == source.key else None

    def not_among(self, sources: Iterable[Source]) -> int:
        """How many recordings with an entry these do not name."""
        return len(self._known.keys() - {_digest(source.location) for source in sources})

    def unique_source(self, source: Source) -> Source:
        """The source under a name that no other recording has."""
        owner = self._names.get(_digest(source.name))
        if owner is not None and owner != _digest(source.location):
            return source._replace(name=escaped_name(source.location))
        return source

    def pieces(self, source: Source) -> dict[int, dict[str, Any]]:
        """The entries of its ranges that are done, by their number."""
        return self._pieces.get(source.key, {})

    def forget_pieces(self, is_past: Callable[[str], bool]) -> None:
        """Of recordings that are not to be done any more."""
        for key in [key for key in self._pieces if is_past(key)]:
            del self._pieces[key]

    def forget_missing_pieces(self, there: Collection[str]) -> None:
        """Those ranges are done again of which a piece is not among these files."""
        for ranges in self._pieces.values():
            for number, entry in list(ranges.items()):
                if not all(path in there for path in entry["pieces"]):
                    del ranges[number]

    def piece_paths(self) -> list[str]:
        """The files of all ranges that are done, and not joined yet."""
        entries = [e for ranges in self._pieces.values() for e in ranges.values()]
        return [path for entry in entries for path in entry["pieces"]]

    def plan_replacement(
        self, sources: Sequence[Source]
    ) -> tuple[list[Part], list[str], dict[str, str]]:
        """What a commit of these recordings does to the rows that they have by now.

        Parts to add, paths to remove, and which added path stands for which removed one: a part
        with rows of others, too, is written again without theirs.
        """
        remove: list[str] = []
        leaving: dict[str, set[str]] = {}
        names: set[str] = set()
        for source in sources:
            known = self._known.get(_digest(source.location))
            if known is None:
                continue
            paths = [p for p in self._parts.get(known[2], []) if p in self.live]
            if known[2] not in self._shared:
                remove += paths
                continue
            names.add(self._name_in(known[2], source.location))
            for path in paths:
                leaving.setdefault(path, set()).add(source.location)
        add: list[Part] = []
        replaces: dict[str, str] = {}
        if leaving:
            from oido.batch.parquet_parts import rewrite_parts

            for old, part in rewrite_parts(self._storage, self.live, leaving, names):
                remove.append(old)
                if part is not None:
                    add.append(part)
                    replaces[old] = part.path
        return add, remove, replaces

    def _name_in(self, number: int, location: str) -> str:
        """What the rows of a recording are called that this commit added."""
        if self._names_of[0] != number:
            commit = read_commit(self._storage, number)
            names = {entry["location"]: entry["file"] for entry in commit["units"]}
            self._names_of = number, names
        return self._names_of[1][location]


def _digest(text: str) -> bytes:
    return hashlib.blake2b(text.encode("utf-8", "surrogatepass"), digest_size=16).digest()


def status_of(url: str) -> dict[str, Any]:
    """Counts, failures, speed and the time that is left, as plain values.

    done, failed, left: recordings; left counts those of the last run. damaged: those of which rows
    were found to be; damaged_parts: parts that are missing or cut short, with the reason.
    audio_seconds: in all. speed: times real time, and recordings per hour, of the last run
    that has done something; eta_seconds: by bytes, None where nothing is left or nothing is known.
    Raises OptionError: not a results folder.
    """
    storage = storage_of(url)
    header = read_header(storage)
    tally = _Tally()
    for commit in commits(storage):
        tally.add(commit)
    counts = tally.counts()
    damaged_parts = missing_or_cut(storage, tally.live.values())
    status: dict[str, Any] = {
        "folder": storage.url,
        "created": header["created"],
        "last_commit": tally.last_commit,
        "model": header["model"]["name"],
        "runs": len(tally.runs),
        "recordings": tally.runs[-1]["recordings"] if tally.runs else counts.recordings,
        "done": counts.recordings - len(tally.failures) - counts.damaged,
        "failed": len(tally.failures),
        "audio_seconds": round(counts.duration, 3),
        "windows": counts.windows,
        "rows": {
            table: sum(part.rows for part in tally.live.values() if part.table == table)
            for table in header["tables"]
        },
        "under_way": counts.under_way,
        "failures": [{"file": e["file"], **e["failure"]} for e in tally.failures.values()],
        "damaged": counts.damaged,
        "damaged_parts": [
            tr("{path} {trouble}", path=path, trouble=trouble)
            for path, trouble in damaged_parts.items()
        ],
    }
    return {**status, **_speed(tally, counts)}


class _Counts(NamedTuple):
    """Of the latest entry of each recording. of_run: of those of the last run, how many, their
    seconds and their bytes."""

    recordings: int
    duration: float
    windows: int
    damaged: int
    under_way: list[dict[str, Any]]
    of_run: tuple[int, float, int]


class _Tally:
    """Folds commits to sums: some forty bytes for each recording, and texts only of failures."""

    def __init__(self) -> None:
        self.live: dict[str, Part] = {}
        self.runs: list[dict[str, Any]] = []
        self.failures: dict[str, dict[str, Any]] = {}
        self.last_commit = ""
        # An item for each entry of a recording: of the same one, only the last counts.
        self._places, self._durations = array("Q"), array("d")
        self._windows, self._sizes, self._runs = array("q"), array("q"), array("q")
        self._damaged: dict[str, int] = {}
        self._pieces: dict[str, dict[str, dict[str, Any]]] = {}

    def add(self, commit: Mapping[str, Any]) -> None:
        """Fold the next commit."""
        apply_parts(self.live, commit)
        self.last_commit = commit["created"]
        if "run" in commit:
            self.runs.append({"created": commit["created"], **commit["run"]})
        for location in commit.get("damaged", ()):
            self._damaged[location] = len(self._places)
            self.failures.pop(location, None)
        for entry in commit["units"]:
            location = entry["location"]
            if entry["state"] == "piece":
                self._pieces.setdefault(location, {})[entry["key"]] = entry
                continue
            self._places.append(_place(location))
            self._durations.append(entry["duration"])
            self._windows.append(entry["windows"])
            self._sizes.append(entry["size"])
            self._runs.append(len(self.runs))
            self._pieces.pop(location, None)
            self._damaged.pop(location, None)
            before = self.failures.get(location)
            if before is not None and (entry["state"] != "failed" or before["key"] != entry["key"]):
                del self.failures[location]
            if entry["state"] == "failed":
                self.failures[location] = entry

    def counts(self) -> _Counts:
        """Of all that was folded."""
        import numpy as np

        # From behind, the first of each place is its latest entry.
        known, latest = np.unique(np.asarray(self._places)[::-1], return_index=True)
        latest = len(self._places) - 1 - latest
        durations = np.asarray(self._durations)[latest]
        sizes = np.asarray(self._sizes)[latest]
        of_run = np.asarray(self._runs)[latest] == len(self.runs)

        def is_known(locations: Iterable[str]) -> list[bool]:
            places = np.array([_place(location) for location in locations], np.uint64)
            return list(np.isin(places, known))

        under_way = []
        for entries, is_whole in zip(self._pieces.values(), is_known(self._pieces)):
            first = next(iter(entries.values()))
            if not is_whole:
                n_done, of = len(entries), first["range"][1]
                under_way.append({"file": first["file"], "heard": n_done, "of": of})
        return _Counts(
            len(known),
            float(durations.sum()),
            int(np.asarray(self._windows)[latest].sum()),
            sum(is_known(self._damaged)),
            under_way,
            (int(of_run.sum()), float(durations[of_run].sum()), int(sizes[of_run].sum())),
        )


def _place(location: str) -> int:
    return int.from_bytes(_digest(location)[:8], "little")


def missing_or_cut(storage: Storage, live: Iterable[Part]) -> dict[str, str]:
    """What is wrong with the parts, as far as a list of names and sizes shows it, by path."""
    parts = list(live)
    facts = {
        path: fact
        for folder in dict.fromkeys(part.path.rpartition("/")[0] for part in parts)
        for path, fact in storage.files(folder).items()
    }
    troubles: dict[str, str] = {}
    for part in parts:
        fact = facts.get(part.path)
        if fact is None:
            troubles[part.path] = tr("is missing")
        elif part.sha256 and fact.size != part.size:
            troubles[part.path] = tr(
                "has {size} bytes and not {part_size}", size=fact.size, part_size=part.size
            )
    return troubles


def _speed(tally: _Tally, counts: _Counts) -> dict[str, Any]:
    speed: dict[str, Any] = {
        "left": 0,
        "times_real_time": None,
        "files_per_hour": None,
        "eta_seconds": None,
    }
    if not tally.runs:
        return speed
    run = tally.runs[-1]
    n_done, duration, n_bytes = counts.of_run
    left = speed["left"] = run["todo"] - n_done
    begun, ended = map(datetime.fromisoformat, (run["created"], tally.last_commit))
    seconds = (ended - begun).total_seconds()
    if n_done and seconds > 0:
        speed["times_real_time"] = round(duration / seconds, 2)
        speed["files_per_hour"] = round(n_done * 3600 / seconds, 1)
        if left and n_bytes:
            speed["eta_seconds"] = round(seconds * (run["todo_bytes"] / n_bytes - 1), 1)
    return speed
