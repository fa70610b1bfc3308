# SPDX-License-Identifier: Apache-2.0
"""The records of an archive: what is classified and how, in which units, with which outcome.

All of it may be pickled, and no NumPy is loaded here: this is what passes between an engine and
its workers, wherever they are.
"""

from __future__ import annotations

import hashlib
import json
import re
import secrets
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from functools import partial
from itertools import chain
from pathlib import Path
from typing import Any, Literal, NamedTuple

from oido.batch.plan import Failure, FileSummary, Plan
from oido.messages import tr

ARCHIVE_VERSION = 1
TABLES = ("recordings", "events", "windows", "clips")
EMBEDDINGS = "embeddings"
SEARCH_INDEX = "search-index"
"""The folder in an archive on this machine where `oido find` keeps the index of embeddings."""

EMBEDDING_MODEL = "embedding_model"
"""The parameter with the name and the hash of another model whose embeddings an archive keeps."""

_NOT_IN_ROWS = ("what", "level", "model", "calibration", "calibrated", "l2_normalize")
"""Of a plan: what does not change an archive's rows, or is a path whose content does."""


@dataclass(frozen=True)
class RunSpec:
    """How every recording of an archive is classified, and where its rows go.

    plan: model, windows, channels, labels, events. folder: the results, a path or URL. floor: the
    lowest score (or probability) of a row of windows. clip_top: labels per clip. embeddings: keep
    them, as float16. embeddings_of: the model whose they are, a name or a path; "": the plan's.
    split_seconds: longer recordings are split, where that is exact. flush_seconds, flush_rows: when
    a worker writes the rows that it holds. run_id: of this run, in the names of all files that it
    writes.
    """

    plan: Plan = field(default_factory=Plan)
    folder: str = ""
    floor: float = 0.1
    clip_top: int = 5
    embeddings: bool = False
    embeddings_of: str = ""
    split_seconds: float = 3600.0
    flush_seconds: float = 5.0
    flush_rows: int = 50_000
    run_id: str = field(default_factory=partial(secrets.token_hex, 8))

    @property
    def embedding_model(self) -> str:
        """Another model than the plan's whose embeddings are kept, or ""."""
        return self.embeddings_of if self.embeddings else ""

    def parameters(self) -> dict[str, Any]:
        """Every parameter that can change a row, as plain values."""
        values = {k: v for k, v in self.plan.parameters().items() if k not in _NOT_IN_ROWS}
        if self.plan.calibration is not None:
            content = Path(self.plan.calibration).read_bytes()
            values["calibration_sha256"] = hashlib.sha256(content).hexdigest()
        values.update(floor=self.floor, clip_top=self.clip_top, embeddings=self.embeddings)
        if self.embedding_model:
            from oido.models.loading import load_model

            model = load_model(self.embedding_model)
            values[EMBEDDING_MODEL] = {"name": model.name, "sha256": model.sha256}
        plain: dict[str, Any] = json.loads(json.dumps(values))  # tuples become lists, as in a file
        return plain


def fingerprint_of(parameters: dict[str, Any], model_sha256: str) -> str:
    """Hex digest of the model and of every parameter that can change a row."""
    text = json.dumps([ARCHIVE_VERSION, model_sha256, parameters], sort_keys=True)
    return hashlib.sha256(text.encode()).hexdigest()


class Source(NamedTuple):
    """One recording of an archive.

    name: what rows call it. location: absolute path or URL. size: bytes, 0 where nobody knows.
    modified: of a local file ISO time (UTC), else its ETag or what the store has instead.
    """

    name: str
    location: str
    size: int
    modified: str

    @property
    def key(self) -> str:
        """The identity of its content: 32 hex digits."""
        text = f"{self.location}\n{self.size}\n{self.modified}"
        return hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()[:32]


@dataclass(frozen=True)
class Unit:
    """One piece of work.

    kind: "whole" recording; "range" of one, of ``windows`` windows from ``first_window`` (None: to
    its end), the ``number``-th of ``of``; "join": the ranges' ``pieces`` to rows; "failed": it
    cannot be done, and this is why; "sample": measured, and nothing kept of it. may_split: a long
    one may come back as ranges. alone: its rows are written by themselves, because a worker died
    over those of several. fetched: where a copy of a remote recording is, "" if there is none.
    """

    source: Source
    kind: Literal["whole", "range", "join", "failed", "sample"] = "whole"
    may_split: bool = True
    first_window: int = 0
    windows: int | None = None
    number: int = 0
    of: int = 1
    pieces: tuple[tuple[str, ...], ...] = ()
    failure: Failure | None = None
    alone: bool = False
    fetched: str = ""

    @property
    def key(self) -> str:
        """The recording's key, with the number of the range."""
        key = self.source.key
        if self.kind == "sample":
            return f"{key}:sample"
        return f"{key}:{self.number}" if self.kind == "range" else key


class LoadedModel(NamedTuple):
    """The model of a run, as the first worker that has loaded it says.

    labels: those of its scores. path: how the run names it, a name of the catalogue or a path.
    """

    name: str
    sha256: str
    labels: tuple[str, ...] = ()
    path: str = ""


class Flush(NamedTuple):
    """To a worker that has nothing to do: write the rows that you hold."""


class Later(NamedTuple):
    """In place of a unit: there will be one soon, and it is not over."""


class Part(NamedTuple):
    """A file of rows of one table; path: below the results folder.

    size: bytes, and their SHA-256; 0 and "" in commits of versions before.
    """

    table: str
    path: str
    rows: int
    size: int = 0
    sha256: str = ""


def _damage(count: int) -> str:
    if count == 1:
        return tr("1 damaged piece was left out")
    return tr("{count} damaged pieces were left out", count=count)


def remarks_of(summary: FileSummary) -> tuple[str, ...]:
    """What people should know of how a recording was read, a sentence each."""
    damaged, gaps = summary.damaged_packets, summary.gaps_seconds
    clock = tr("{gaps:.2f} s of silence stand where its clock goes on without sound", gaps=gaps)
    return (*([_damage(damaged)] if damaged else []), *([clock] if gaps else []), *summary.notes)


@dataclass(frozen=True)
class Outcome:
    """What came of a unit.

    state: "done", "failed" (rows of windows before are kept), or "piece": a range whose
    scores lie in ``pieces``, one file for each channel; "unsplit": a range that cannot be
    classified by itself, or what was replaced meanwhile, so that the whole must be. seconds: the
    time it took. remarks: as of `remarks_of`; not kept in commits.
    """

    unit: Unit
    state: Literal["done", "failed", "piece", "unsplit"]
    duration: float = 0.0
    windows: int = 0
    rows: int = 0
    seconds: float = 0.0
    failure: Failure | None = None
    pieces: tuple[str, ...] = ()
    remarks: tuple[str, ...] = ()

    def entry(self) -> dict[str, Any]:
        """The entry of a commit."""
        source = self.unit.source
        entry: dict[str, Any] = {
            "key": self.unit.key,
            "file": source.name,
            "state": self.state,
            "location": source.location,
            "size": source.size,
            "modified": source.modified,
            "duration": round(self.duration, 6),
            "windows": self.windows,
            "rows": self.rows,
            "seconds": round(self.seconds, 3),
        }
        if self.failure is not None:
            entry["failure"] = asdict(self.failure)
        if self.state == "piece":
            unit = self.unit
            entry["range"] = [unit.number, unit.of, unit.first_window, unit.windows]
            entry["pieces"] = list(self.pieces)
        return entry


class Finished(NamedTuple):
    """Parts that are written, and the units whose rows are in them: one commit makes them count."""

    parts: tuple[Part, ...]
    outcomes: tuple[Outcome, ...]


class Sample(NamedTuple):
    """What was measured of a recording (`oido.batch.estimate`).

    duration: its length in seconds, 0 where that is not known. seconds: of work for each second of
    sound; other_seconds: the same at the other hop, 0 where it would be the same.
    """

    duration: float = 0.0
    seconds: float = 0.0
    other_seconds: float = 0.0


class WorkerReport(NamedTuple):
    """A worker's news while it serves a unit.

    duration: seconds of it done so far. finished: what may be committed now, also of units
    before. ranges: the unit is long; do these instead. ends_task: the unit is over, though its
    rows may still be with the worker. sample: what was measured of a unit of that kind.
    """

    duration: float = 0.0
    finished: tuple[Finished, ...] = ()
    ranges: tuple[Unit, ...] = ()
    ends_task: bool = False
    sample: Sample | None = None


def utf8(text: str) -> str:
    """A text as UTF-8 can hold it; for names there is `escaped_name`."""
    return text.encode("utf-8", "backslashreplace").decode()


_ESCAPE = re.compile(r"\\u(dc(?:[89a-f][0-9a-f]|5c))")
_BACKSLASH = "dc5c"


def escaped_name(name: str) -> str:
    """A path as UTF-8 can hold it, so that `raw_name` gives it back: names may be any bytes.

    A byte 0xE9 that is no UTF-8 becomes ``\\udce9``; a backslash in a name that would be taken for
    the beginning of such a thing becomes ``\\udc5c``.
    """
    return utf8(_ESCAPE.sub(rf"\\u{_BACKSLASH}u\1", name))


def raw_name(name: str) -> str:
    """The path of which `escaped_name` made this."""
    return _ESCAPE.sub(lambda m: "\\" if m[1] == _BACKSLASH else chr(int(m[1], 16)), name)


def apply_parts(live: dict[str, Part], commit: Mapping[str, Any]) -> None:
    """Bring the parts that count, by path, up to this commit."""
    for path in commit["remove"]:
        live.pop(path, None)
    for part in commit["add"]:
        live[part["path"]] = Part(**part)


_FIELDS = {"created": str, "add": list, "remove": list, "units": list}
_UNIT_FIELDS = ("key", "file", "state", "location", "size", "duration", "windows")


def is_commit(commit: Any) -> bool:
    """Whether it has what readers take for granted: commits without a seal may be damaged, too."""
    try:
        apply_parts({}, commit)
        units = [(unit["key"], unit["location"], unit["state"]) for unit in commit["units"]]
        texts = [commit["created"], *chain.from_iterable(units)]
        is_whole = isinstance(commit.get("run", {}), dict) and commit["commit"] > 0
        is_whole &= all(isinstance(commit.get(name), kind) for name, kind in _FIELDS.items())
        fields = {"table", "path", "rows"}
        is_whole &= all(fields <= part.keys() <= set(Part._fields) for part in commit["add"])
        is_whole &= all(name in unit for unit in commit["units"] for name in _UNIT_FIELDS)
        return is_whole and all(isinstance(text, str) for text in texts)
    except (KeyError, TypeError, AttributeError):
        return False
