# SPDX-License-Identifier: Apache-2.0
"""Is a results folder as it was written? Every file is read and compared with the ledger.

A repair brings commits back from their copies, lets damaged parts count no more, and has the
recordings heard again whose rows were there. It deletes nothing; leftovers of runs that were cut
off go only on request, and by their age.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any, Literal, NamedTuple

from oido.batch.archive_header import HEADER, PASSED_OVER
from oido.batch.commit_log import COPIES, LEDGER, PIECES, broken_log_error, is_commit_name
from oido.batch.ledger_copies import ledger_files, restore
from oido.batch.parquet_parts import CHANGED, trouble_of
from oido.batch.plan import Plan
from oido.batch.ranges import piece_is_whole
from oido.batch.results_folder import read_folder
from oido.batch.run import Damage
from oido.batch.sources import source_now
from oido.batch.storage import FileFacts, Storage, is_remote, is_written_by, storage_of
from oido.batch.units import (
    EMBEDDING_MODEL,
    EMBEDDINGS,
    SEARCH_INDEX,
    TABLES,
    Part,
    RunSpec,
    Source,
    apply_parts,
)
from oido.errors import OptionError, OutputError
from oido.messages import tr
from oido.params import Detection, Selection

Kind = Literal["damaged", "missing", "left over", "foreign"]


class Finding(NamedTuple):
    """A file with what is wrong with it.

    kind: "damaged" or "missing" need a repair; "left over" is what a run wrote that was cut off;
    "foreign" is somebody else's.
    """

    kind: Kind
    path: str
    reason: str


@dataclass
class Verification:
    """What was found.

    without_hash: parts and commits of versions before, which were only read. lost: recordings
    with damaged rows that are not there any more. damage, sources: for a repair.
    """

    folder: str
    commits: int = 0
    parts: int = 0
    size: int = 0
    without_hash: int = 0
    findings: list[Finding] = field(default_factory=list)
    lost: list[str] = field(default_factory=list)
    damage: Damage = field(default_factory=Damage)
    sources: list[Source] = field(default_factory=list)

    @property
    def is_whole(self) -> bool:
        """Whether nothing needs a repair."""
        is_damaged = any(f.kind in ("damaged", "missing") for f in self.findings)
        return not (is_damaged or self.lost or self.sources)

    def plain(self) -> dict[str, Any]:
        """As plain values."""
        return {
            "folder": self.folder,
            "whole": self.is_whole,
            "commits": self.commits,
            "parts": self.parts,
            "bytes": self.size,
            "without_hash": self.without_hash,
            "findings": [finding._asdict() for finding in self.findings],
            "lost": self.lost,
            "to_hear": [source.name for source in self.sources],
        }


@dataclass
class _Contents:
    """What the commits name, as far as they can be read."""

    live: dict[str, Part] = field(default_factory=dict)
    origins: dict[str, int] = field(default_factory=dict)
    latest: dict[str, tuple[int, dict[str, Any]]] = field(default_factory=dict)
    pieces: dict[str, dict[str, Any]] = field(default_factory=dict)
    damaged: set[str] = field(default_factory=set)
    set_aside: set[str] = field(default_factory=set)
    run_ids: set[str] = field(default_factory=set)

    def add(self, commit: dict[str, Any]) -> None:
        """Fold the next commit."""
        number: int = commit["commit"]
        apply_parts(self.live, commit)
        before = {new: old for old, new in commit.get("replaces", {}).items()}
        for part in commit["add"]:
            path = part["path"]
            self.origins[path] = self.origins.get(before.get(path, ""), number)
        self.run_ids.add(commit.get("run", {}).get("id", ""))
        if "damaged" in commit:
            self.damaged |= set(commit["damaged"])
            self.set_aside |= set(commit["remove"])
        for entry in commit["units"]:
            if entry["state"] == "piece":
                self.pieces.update(dict.fromkeys(entry["pieces"], entry))
                continue
            self.latest[entry["location"]] = number, entry
            self.damaged.discard(entry["location"])
            joined = [p for p, e in self.pieces.items() if e["location"] == entry["location"]]
            for path in joined:
                del self.pieces[path]


def verify(url: str, on_file: Callable[[str], object] = lambda _: None) -> Verification:
    """Read every file of a results folder. Raises OptionError if it is none.

    on_file: called with each path before it is read.
    """
    storage = storage_of(url)
    found = Verification(storage.url)
    contents = _read_ledger(storage, found)
    troubles: dict[str, tuple[Kind, str]] = {}
    facts = {path: fact for folder in _FOLDERS for path, fact in storage.files(folder).items()}
    for part in contents.live.values():
        on_file(part.path)
        found.parts += 1
        found.size += facts[part.path].size if part.path in facts else 0
        found.without_hash += not part.sha256
        trouble = tr("is missing") if part.path not in facts else trouble_of(storage, part)
        if trouble:
            troubles[part.path] = _kind(trouble), trouble
    for path in contents.pieces:
        on_file(path)
        trouble = "" if piece_is_whole(storage, path) else CHANGED
        trouble = trouble if path in facts else tr("is missing")
        if trouble:
            troubles[path] = _kind(trouble), trouble
    if troubles:
        contents = _only_what_counts_still(storage, contents, troubles)
    found.findings += [Finding(kind, p, why) for p, (kind, why) in troubles.items()]
    found.findings += _others(storage, contents, facts)
    _plan_repair(found, contents, troubles)
    return found


_LEAST_AGE_IN_STORES = 3600.0
"""A part is named by a commit soon after it was written, and never so late."""

_FOLDERS = (*TABLES, EMBEDDINGS, PIECES, LEDGER, COPIES)


def _kind(trouble: str) -> Kind:
    return "missing" if trouble == "is missing" else "damaged"


def _read_ledger(storage: Storage, found: Verification) -> _Contents:
    """Fold what can be read of the ledger, and tell what cannot."""
    contents = _Contents()
    files = ledger_files(storage)
    if files[0].raw is None and len(files) == 1:
        read_folder(storage.url)  # says that this is no results folder
    for file in files:
        if file.trouble:
            found.findings.append(Finding(_kind(file.trouble), file.path, file.trouble))
        if file.copy_trouble and file.raw is not None:
            kind = _kind(file.copy_trouble)
            found.findings.append(Finding(kind, file.copy_path, file.copy_trouble))
        for content in file.contents or ():
            found.commits += 1
            found.without_hash += "sha256" not in content
            contents.add(content)
    if len(files) == 1 and any(storage.names(table) for table in TABLES):
        path = f"{LEDGER}/00000001.json"
        found.findings.append(Finding("missing", path, tr("is missing, and all after it")))
    return contents


def _only_what_counts_still(
    storage: Storage, contents: _Contents, troubles: dict[str, tuple[Kind, str]]
) -> _Contents:
    """Forget troubles of files that a run has replaced while they were read."""
    again = _Contents()
    for file in ledger_files(storage):
        for content in file.contents or ():
            again.add(content)
    for path in [p for p in troubles if p not in again.live and p not in again.pieces]:
        del troubles[path]
    return again


def _others(storage: Storage, contents: _Contents, facts: dict[str, Any]) -> Iterator[Finding]:
    """Files that no commit names."""
    known = {*contents.live, *contents.pieces}
    # What a repair has set aside stays, until every recording with rows in it was heard again.
    known |= contents.set_aside if contents.damaged else set()
    for path in sorted(facts.keys() - known):
        folder, _, name = path.partition("/")
        if folder in (LEDGER, COPIES) and is_commit_name(name):
            continue
        if path == f"{COPIES}/{HEADER}" or name in PASSED_OVER:
            continue
        if is_written_by(path, contents.run_ids):
            yield Finding(
                "left over", path, tr("is of a run that was cut off, or was set aside by a repair")
            )
        else:
            yield Finding("foreign", path, tr("is not of oido"))
    for name in storage.entries():
        is_known = name in (*_FOLDERS, HEADER, SEARCH_INDEX, *PASSED_OVER)
        if not is_known and not name.startswith(f".{HEADER}."):
            yield Finding("foreign", name, tr("is not of oido"))


def _plan_repair(
    found: Verification, contents: _Contents, troubles: dict[str, tuple[Kind, str]]
) -> None:
    """Which parts are to count no more, and which recordings are to be heard again for it."""
    by_commit: dict[int, list[dict[str, Any]]] = {}
    for number, entry in contents.latest.values():
        by_commit.setdefault(number, []).append(entry)
    entries: dict[str, dict[str, Any]] = {}
    parts: list[str] = []
    locations: set[str] = set()
    lost: set[str] = set()
    for path, (_, trouble) in troubles.items():
        if path in contents.pieces:
            entry = contents.pieces[path]
            entries[entry["location"]] = entry
            continue
        of_part = {e["location"]: e for e in by_commit.get(contents.origins[path], ())}
        gone = [e["file"] for e in of_part.values() if _source(e) is None]
        lost |= set(gone)
        # Most rows of a part with one flipped bit are good, and nobody could make them again.
        if not gone or trouble != CHANGED:
            parts.append(path)
            locations |= of_part.keys()
            entries |= of_part
    for location in contents.damaged & contents.latest.keys():
        entries[location] = contents.latest[location][1]
    for entry in entries.values():
        source = _source(entry)
        if source is not None:
            found.sources.append(source)
        elif entry["state"] != "piece":
            lost.add(entry["file"])
    found.lost = sorted(lost)
    found.damage = Damage(tuple(parts), tuple(sorted(locations)))


def _source(entry: dict[str, Any]) -> Source | None:
    return source_now(entry["file"], entry["location"])


def leftovers(url: str, older_than_seconds: float) -> dict[str, FileFacts]:
    """What runs of this folder left that were cut off, and nobody has written to for so long.

    By path: what a run wrote by its name, and no commit names. Raises OptionError.
    """
    storage = storage_of(url)
    # The files first: what a run commits meanwhile is named when the ledger is read.
    facts = {path: fact for folder in _FOLDERS for path, fact in storage.files(folder).items()}
    contents = _Contents()
    read_folder(url)  # raises what there is to say of a damaged ledger
    for file in ledger_files(storage):
        for content in file.contents or ():
            contents.add(content)
    now = time.time()
    found = {}
    for finding in _others(storage, contents, facts):
        fact = facts.get(finding.path)
        if finding.kind != "left over" or fact is None or fact.modified is None:
            continue
        if now - fact.modified >= older_than_seconds:
            found[finding.path] = fact
    return found


def delete_leftovers(url: str, older_than_seconds: float) -> dict[str, FileFacts]:
    """Delete them; which ones. Raises OptionError while a run is writing there."""
    storage = storage_of(url)
    if is_remote(url) and older_than_seconds < _LEAST_AGE_IN_STORES:
        raise OptionError(
            tr(
                "{url}: a store cannot tell whether a run is writing there, so only "
                "what is older than an hour is deleted: say --older-than 1h or more",
                url=url,
            )
        )
    storage.lock()
    try:
        found = leftovers(url, older_than_seconds)
        storage.delete(found)
        kept = [path for path in found if storage.exists(path)]
    finally:
        storage.unlock()
    if kept:
        raise OutputError(
            tr(
                "{url}: {kept} cannot be deleted ({n_kept} files are left)",
                url=storage.url,
                kept=kept[0],
                n_kept=len(kept),
            )
        )
    return found


def mend_ledger(url: str) -> list[str]:
    """Bring back the files of the ledger from their copies; which ones. Raises OptionError."""
    storage = storage_of(url)
    storage.lock()
    try:
        restored = restore(storage, with_header=True)
        for file in ledger_files(storage):
            if file.raw is None:
                raise broken_log_error(storage, file.path)
        return restored
    finally:
        storage.unlock()


def spec_of(
    url: str, model: str | None, calibration: str | None, embeddings_of: str | None = None
) -> RunSpec:
    """How a folder's recordings were classified, from its header.

    model, calibration, embeddings_of: where these files are, if a model is none of the catalogue.
    Raises OptionError if they are needed.
    """
    from oido.models.registry import is_named

    header = read_folder(url).header
    values = dict(header["parameters"])
    name = header["model"]["name"]
    if model is None:
        if not is_named(name):
            raise OptionError(
                tr(
                    "{url} was heard by the model {name}: say --model and its file",
                    url=url,
                    name=name,
                )
            )
        model = name
    if values.pop("calibration_sha256", None) is not None and calibration is None:
        raise OptionError(
            tr("{url} was heard with a calibration: say --calibration and its file", url=url)
        )
    if (others := values.pop(EMBEDDING_MODEL, None)) is not None and embeddings_of is None:
        embeddings_of = others["name"]
        if not is_named(embeddings_of):
            raise OptionError(
                tr(
                    "{url} holds embeddings of the model {name}: say --embeddings-of and its file",
                    url=url,
                    name=embeddings_of,
                )
            )
    own = {name: values.pop(name) for name in ("floor", "clip_top", "embeddings")}
    plan = Plan(
        **{
            **values,
            "model": model,
            "calibration": calibration,
            "calibrated": bool(header["calibrated"]),
            "detection": Detection(**_with_tuples(values["detection"])),
            "selection": Selection(**_with_tuples(values["selection"])),
        }
    )
    return RunSpec(plan, url, **own, embeddings_of=embeddings_of or "")


def _with_tuples(values: dict[str, Any]) -> dict[str, Any]:
    """Lists as they were before they were JSON."""

    def frozen(value: Any) -> Any:
        return tuple(map(frozen, value)) if isinstance(value, list) else value

    return {name: frozen(value) for name, value in values.items()}
