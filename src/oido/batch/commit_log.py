# SPDX-License-Identifier: Apache-2.0
"""The ledger of a results folder: a commit for each step, and only what it names counts.

A unit's rows count from the moment when the commit that names them exists, all of them at once.
Whatever else lies in the folder is left over from a run that was cut off.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timezone
from itertools import chain
from typing import Any

from oido._version import __version__
from oido.batch.storage import Storage, is_written_by, storage_of
from oido.batch.units import ARCHIVE_VERSION, EMBEDDINGS, TABLES, Part, fingerprint_of
from oido.errors import OptionError

HEADER = "oido-archive.json"
_LEDGER = "ledger"
PIECES = "pieces"
_PASSED_OVER = {"lock", ".DS_Store", "Thumbs.db", "desktop.ini"}
"""What a folder may hold and still be empty, beside a header that was never finished: our lock, and
what systems put into every folder."""
_NEW_RULES = "selection.labels"
"""A parameter that no version had whose events were runs of windows."""
_NAMED = 4
"""Names of other things that a refusal shows."""


@dataclass(frozen=True)
class ResultsFolder:
    """What counts of a results folder.

    header: of the archive. live: (table, path, rows) of every part, in the order of the commits.
    units: for each key the latest entry; entries of ranges have the recording's key, ":" and a
    number, and ``run`` is the number of its run. runs: what each run recorded when it began.
    """

    url: str
    header: dict[str, Any]
    live: tuple[Part, ...]
    units: dict[str, dict[str, Any]]
    runs: tuple[dict[str, Any], ...] = ()
    last_commit: str = ""

    def parts(self, table: str) -> list[str]:
        """Full paths or URLs of a table's parts, in the order of the commits; maybe none."""
        storage = storage_of(self.url)
        return [storage.full(part.path) for part in self.live if part.table == table]


def read_folder(url: str) -> ResultsFolder:
    """Read a results folder. Raises OptionError if it is none."""
    storage = storage_of(url)
    header = _read_header(storage)
    live: dict[str, Part] = {}
    units: dict[str, dict[str, Any]] = {}
    located: dict[str, str] = {}
    runs: list[dict[str, Any]] = []
    created = ""
    for commit in commits(storage):
        apply_parts(live, commit)
        created = commit["created"]
        if "run" in commit:
            runs.append({"created": created, **commit["run"]})
        for entry in commit["units"]:
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
    return ResultsFolder(storage.url, header, tuple(live.values()), units, tuple(runs), created)


def apply_parts(live: dict[str, Part], commit: Mapping[str, Any]) -> None:
    """Bring the parts that count, by path, up to this commit."""
    for path in commit["remove"]:
        live.pop(path, None)
    for part in commit["add"]:
        live[part["path"]] = Part(part["table"], part["path"], part["rows"])


def commits(storage: Storage) -> Iterator[dict[str, Any]]:
    """The commits in order. Raises OptionError if one is missing or cannot be read."""
    names = [n for n in storage.names(_LEDGER) if n.endswith(".json") and "/." not in n]
    for number, name in enumerate(names, start=1):
        try:
            commit: dict[str, Any] = json.loads(storage.read(name))
        except (ValueError, RecursionError) as error:
            raise _broken_log_error(storage, name) from error
        if not _is_commit(commit) or commit["commit"] != number:
            raise _broken_log_error(storage, name)
        yield commit


def _is_commit(commit: Any) -> bool:
    """Whether it has what readers take for granted."""
    try:
        apply_parts({}, commit)
        units = [(unit["key"], unit["location"], unit["state"]) for unit in commit["units"]]
        texts = [commit["created"], *chain.from_iterable(units)]
        is_mapping = isinstance(commit.get("run", {}), dict) and commit["commit"] > 0
        return is_mapping and all(isinstance(text, str) for text in texts)
    except (KeyError, TypeError, AttributeError):
        return False


def _broken_log_error(storage: Storage, name: str) -> OptionError:
    return OptionError(
        f"{storage.url}: its ledger is not whole at {name}; bring back the files that are missing"
    )


def _read_header(storage: Storage) -> dict[str, Any]:
    try:
        header: dict[str, Any] = json.loads(storage.read(HEADER))
    except FileNotFoundError as error:
        raise OptionError(
            f"{storage.url}: is not a results folder of `oido batch` (it has no {HEADER})"
        ) from error
    except (OSError, ValueError, RecursionError) as error:
        raise OptionError(f"{storage.url}: {HEADER} cannot be read ({error})") from error
    version = header.get("archive_version") if isinstance(header, dict) else None
    if version != ARCHIVE_VERSION:
        raise OptionError(
            f"{storage.url}: its {HEADER} is of version {version}, which this oido does not know"
        )
    return header


class CommitLog:
    """Writes a results folder: claims it, and appends commits. One process at a time.

    A folder is used if it is new, empty, or has our header; in any other nothing is written, and
    nothing deleted. Raises OptionError.
    """

    def __init__(self, folder: str, run_id: str) -> None:
        self.storage = storage_of(folder, run_id)
        self._last = 0
        self._run_ids = {run_id}
        entries = self.storage.entries()
        self.is_new = HEADER not in entries
        if not self.is_new:
            _read_header(self.storage)
            return
        ours = f".{HEADER}."
        others = [n for n in entries if n not in _PASSED_OVER and not n.startswith(ours)]
        if others:
            named = ", ".join(others[:_NAMED])
            more = f" and {len(others) - _NAMED} more" if len(others) > _NAMED else ""
            raise OptionError(
                f"{self.storage.url} holds other things than results of `oido batch` "
                f"({named}{more}): give a new or an empty folder, such as -o results/"
            )

    def begin(
        self, parameters: dict[str, Any], model: tuple[str, str], *, calibrated: bool
    ) -> None:
        """Write the header of a new folder, or compare that of an old one. Raises OptionError."""
        name, sha256 = model
        fingerprint = fingerprint_of(parameters, sha256)
        if not self.is_new:
            header = _read_header(self.storage)
            if header["fingerprint"] != fingerprint:
                raise _parameters_error(self.storage.url, header, parameters, sha256)
            return
        tables = [*TABLES, EMBEDDINGS] if parameters["embeddings"] else [*TABLES]
        header = {
            "archive_version": ARCHIVE_VERSION,
            "oido_version": __version__,
            "created": utc_now(),
            "fingerprint": fingerprint,
            "model": {"name": name, "sha256": sha256},
            "parameters": parameters,
            "calibrated": calibrated,
            "tables": tables,
        }
        self._write(HEADER, header)
        self.is_new = False

    def commits(self) -> Iterator[dict[str, Any]]:
        """Those that are there; to be read before the first of one's own."""
        for commit in commits(self.storage):
            self._last = commit["commit"]
            self._run_ids.add(commit.get("run", {}).get("id", ""))
            yield commit

    def commit(
        self,
        add: Sequence[Part] = (),
        remove: Iterable[str] = (),
        units: Sequence[dict[str, Any]] = (),
        **more: Any,
    ) -> dict[str, Any]:
        """Append a commit; when this returns, it counts and is safe on disk."""
        content = {
            "commit": self._last + 1,
            "created": utc_now(),
            "add": [part._asdict() for part in add],
            "remove": list(remove),
            "units": list(units),
            **more,
        }
        self._write(f"{_LEDGER}/{self._last + 1:08d}.json", content)
        self._last += 1
        return content

    def _write(self, name: str, values: Any) -> None:
        text = json.dumps(values, ensure_ascii=False, indent=None) + "\n"
        try:
            self.storage.write_new(name, text.encode("utf-8", "backslashreplace"))
        except FileExistsError as error:
            raise OptionError(
                f"{self.storage.url}: another run is writing there; let it finish, "
                "then say --resume"
            ) from error

    def sweep(self, live: Iterable[str], pieces: Iterable[str]) -> int:
        """Delete what a run of this folder wrote and no commit names; how many files that were.

        A run's id is in a commit before the run writes anything, and in the names of all that it
        writes: a file whose name has none of these ids is somebody else's, and stays.
        """
        known = {*live, *pieces}
        return self._delete(self._run_ids, lambda name: name not in known)

    def sweep_unfinished(self) -> int:
        """Delete what this run was writing when a worker was killed; how many files that were.

        Only when no worker is left.
        """
        return self._delete({self.storage.run_id}, lambda name: name.endswith(".part"))

    def _delete(self, run_ids: set[str], is_orphan: Callable[[str], bool]) -> int:
        folders = (*TABLES, EMBEDDINGS, PIECES, _LEDGER)
        names = [n for f in folders for n in self.storage.names(f) if is_orphan(n)]
        orphans = [n for n in names if is_written_by(n, run_ids)]
        self.storage.delete(orphans)
        return len(orphans)


def utc_now() -> str:
    """This moment in UTC, as ISO 8601."""
    return datetime.now(timezone.utc).isoformat(timespec="milliseconds")


def _parameters_error(
    url: str, header: Mapping[str, Any], parameters: Mapping[str, Any], sha256: str
) -> OptionError:
    old, new = dict(_flatten(header["parameters"])), dict(_flatten(parameters))
    if _NEW_RULES in new and _NEW_RULES not in old:
        return OptionError(
            f"{url} was heard by oido {header['oido_version']}, whose events followed other rules; "
            "choose another folder for the new ones"
        )
    old["model sha256"], new["model sha256"] = header["model"]["sha256"][:12], sha256[:12]
    differing = [
        f"{name} was {_text_of(old.get(name))}, now {_text_of(new.get(name))}"
        for name in [*old, *(n for n in new if n not in old)]
        if old.get(name) != new.get(name)
    ]
    return OptionError(
        f"{url} was heard with other parameters: {'; '.join(differing)}. "
        "Say --resume with those of before, or choose another folder for the new ones"
    )


def _flatten(values: Mapping[str, Any], before: str = "") -> Iterator[tuple[str, Any]]:
    for name, value in values.items():
        if isinstance(value, Mapping):
            yield from _flatten(value, f"{before}{name}.")
        else:
            yield before + name, value


def _text_of(value: Any) -> str:
    return "not set" if value is None else json.dumps(value, ensure_ascii=False)
