# SPDX-License-Identifier: Apache-2.0
"""How far an archive is, by its ledger alone: which recordings are done, where their rows are.

A run reads it to know what is left; `oido batch status` reads it while a run is writing. Little
memory is used for it, however large the archive.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from datetime import datetime
from typing import Any

from oido.batch.commit_log import LEDGER, ResultsFolder, apply_parts, read_folder
from oido.batch.storage import Storage, storage_of
from oido.batch.units import Part, Source, escaped_name
from oido.batch.worker_process import is_stall


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
            commit = json.loads(self._storage.read(f"{LEDGER}/{number:08d}.json"))
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
    folder = read_folder(url)
    damaged_parts = missing_or_cut(storage_of(url), folder.live)
    recordings = [e for e in folder.units.values() if e["state"] != "piece"]
    pieces = [e for e in folder.units.values() if e["state"] == "piece"]
    failed = [e for e in recordings if e["state"] == "failed"]
    damaged = [e for e in recordings if e["state"] == "damaged"]
    status: dict[str, Any] = {
        "folder": folder.url,
        "created": folder.header["created"],
        "last_commit": folder.last_commit,
        "model": folder.header["model"]["name"],
        "runs": len(folder.runs),
        "recordings": folder.runs[-1]["recordings"] if folder.runs else len(recordings),
        "done": len(recordings) - len(failed) - len(damaged),
        "failed": len(failed),
        "audio_seconds": round(sum(e["duration"] for e in recordings), 3),
        "windows": sum(e["windows"] for e in recordings),
        "rows": {
            table: sum(part.rows for part in folder.live if part.table == table)
            for table in folder.header["tables"]
        },
        "under_way": _under_way(pieces),
        "failures": [{"file": e["file"], **e["failure"]} for e in failed],
        "damaged": len(damaged),
        "damaged_parts": [f"{path} {trouble}" for path, trouble in damaged_parts.items()],
    }
    return {**status, **_speed(folder)}


def missing_or_cut(storage: Storage, live: Iterable[Part]) -> dict[str, str]:
    """What is wrong with the parts, as far as a list of names and sizes shows it, by path."""
    parts = list(live)
    facts = {
        path: fact
        for folder in dict.fromkeys(part.path.rpartition("/")[0] for part in parts)
        for path, fact in storage.files(folder).items()
    }
    troubles = {}
    for part in parts:
        fact = facts.get(part.path)
        if fact is None:
            troubles[part.path] = "is missing"
        elif part.sha256 and fact.size != part.size:
            troubles[part.path] = f"has {fact.size} bytes and not {part.size}"
    return troubles


def _under_way(pieces: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Long recordings of which some ranges are done."""
    recordings: dict[str, dict[str, Any]] = {}
    for entry in pieces:
        start = {"file": entry["file"], "heard": 0, "of": entry["range"][1]}
        recordings.setdefault(entry["location"], start)["heard"] += 1
    return list(recordings.values())


def _speed(folder: ResultsFolder) -> dict[str, Any]:
    speed: dict[str, Any] = {
        "left": 0,
        "times_real_time": None,
        "files_per_hour": None,
        "eta_seconds": None,
    }
    if not folder.runs:
        return speed
    run, number = folder.runs[-1], len(folder.runs)
    entries = folder.units.values()
    of_run = [e for e in entries if e["state"] != "piece" and e["run"] == number]
    left = speed["left"] = run["todo"] - len(of_run)
    begun, ended = map(datetime.fromisoformat, (run["created"], folder.last_commit))
    seconds = (ended - begun).total_seconds()
    if of_run and seconds > 0:
        speed["times_real_time"] = round(sum(e["duration"] for e in of_run) / seconds, 2)
        speed["files_per_hour"] = round(len(of_run) * 3600 / seconds, 1)
        n_bytes = sum(e["size"] for e in of_run)
        if left and n_bytes:
            speed["eta_seconds"] = round(seconds * (run["todo_bytes"] / n_bytes - 1), 1)
    return speed
