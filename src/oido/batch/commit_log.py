# SPDX-License-Identifier: Apache-2.0
"""The ledger of a results folder: a commit for each step, and only what it names counts.

A unit's rows count from the moment when the commit that names them exists, all of them at once.
Whatever else lies in the folder is left over from a run that was cut off.

Of many commits all but the last ones are joined, line by line as they were written, so that a
reader asks a store for one file and not for a thousand (`oido.batch.joined_commits`).
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import re
from bisect import bisect_right
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from datetime import datetime, timezone
from io import BytesIO
from itertools import accumulate, islice
from typing import Any, NamedTuple

from oido.batch.archive_header import HEADER, is_archive, new_header, read_header, require_same
from oido.batch.storage import Storage, is_written_by, storage_of
from oido.batch.units import EMBEDDINGS, TABLES, LoadedModel, Part, is_commit
from oido.errors import DamagedResultsError, OptionError, OutputError
from oido.messages import tr

LEDGER, COPIES = "ledger", "ledger-copy"

_SEAL = re.compile(rb'(.*), "sha256": "([0-9a-f]{64})"\}\n', re.DOTALL)
_WITHOUT_SEAL = {"commit", "created", "add", "remove", "units", "run", "replaces"}
"""All that a commit without a seal may hold: a damaged seal is none that was never there."""
JOIN_EVERY = 16
"""So many commits beyond those that are joined are joined, too, when one more is written."""
PIECES = "pieces"


def digest_of_header(header: bytes) -> str:
    """What the first commit follows."""
    return hashlib.sha256(header).hexdigest()


def sealed(content: Mapping[str, Any], previous: str) -> tuple[bytes, str]:
    """A commit as it is written, and its digest; previous: that of the commit before."""
    text = json.dumps({**content, "previous": previous}, ensure_ascii=False)
    body = text.encode("utf-8", "backslashreplace")[:-1]
    digest = hashlib.sha256(body).hexdigest()
    return body + f', "sha256": "{digest}"}}\n'.encode(), digest


def unsealed(raw: bytes, number: int, previous: str | None) -> tuple[dict[str, Any], str]:
    """The commit of this number and its digest; previous: None if nobody knows it any more.

    Raises ValueError if it is not whole, or does not follow the one before.
    """
    content = json.loads(raw)
    if not isinstance(content, dict) or content.get("commit") != number:
        raise ValueError(tr("is another commit"))
    seal = _SEAL.fullmatch(raw)
    if seal is None:
        if not content.keys() <= _WITHOUT_SEAL:
            raise ValueError(tr("its seal is damaged"))
        return content, hashlib.sha256((previous or "").encode() + raw).hexdigest()
    digest = seal[2].decode()
    if hashlib.sha256(seal[1]).hexdigest() != digest:
        raise ValueError(tr("is not as it was written"))
    if previous is not None and content["previous"] != previous:
        raise ValueError(tr("does not follow the one before"))
    return content, digest


class LedgerSpan(NamedTuple):
    """A file of the ledger, with the commits from ``first`` to ``last``: one, or many joined."""

    first: int
    last: int
    path: str

    @property
    def name(self) -> str:
        return self.path.rsplit("/", 1)[-1]

    @property
    def is_joined(self) -> bool:
        return self.last > self.first

    def lines(self, raw: bytes, start: int = 0) -> Iterator[bytes]:
        """Each commit of the file as it was written, from that of the number ``start`` on.

        Raises ValueError if some are missing.
        """
        if not self.is_joined:
            yield raw
            return
        if raw.count(b"\n") != self.last - self.first + 1 or not raw.endswith(b"\n"):
            raise ValueError(tr("is not as it was written"))
        yield from islice(BytesIO(raw), max(0, start - self.first), None)


def commit_name(number: int) -> str:
    """Of a commit that is not joined."""
    return f"{number:08d}.json"


_COMMITS = re.compile(r"(\d{8,})(?:\.json|-(\d{8,})\.jsonl)")


def is_commit_name(name: str) -> bool:
    """Whether a file of the ledger is called so."""
    return _COMMITS.fullmatch(name) is not None


class LedgerSpans(tuple[LedgerSpan, ...]):
    """The files with commits in a folder, in order."""

    def __init__(self, spans: Iterable[LedgerSpan]) -> None:
        self._firsts = [span.first for span in self]
        # Of the files up to each one, that which goes furthest.
        self._furthest: list[LedgerSpan] = list(accumulate(self, _further))

    @property
    def last(self) -> int:
        """The number of the last commit; 0 if there is none."""
        return self._furthest[-1].last if self else 0

    def covering(self, number: int) -> LedgerSpan | None:
        """The file to read a commit from: of those that have it, the one with the most behind."""
        place = bisect_right(self._firsts, number) - 1
        found = self._furthest[place] if place >= 0 else None
        return found if found is not None and found.last >= number else None

    def after(self, number: int) -> LedgerSpan | None:
        """The next file that begins behind a commit."""
        place = bisect_right(self._firsts, number)
        return self[place] if place < len(self) else None

    @property
    def joined(self) -> set[str]:
        """The paths of those with many commits."""
        return {span.path for span in self if span.is_joined}


def _further(one: LedgerSpan, other: LedgerSpan) -> LedgerSpan:
    return one if one.last >= other.last else other


def spans_of(storage: Storage, folder: str) -> LedgerSpans:
    """The files of the ledger in a folder; what somebody else has put there is none."""
    found = []
    for path in storage.names(folder):
        match = _COMMITS.fullmatch(path.rsplit("/", 1)[-1])
        if match is not None:
            first = int(match[1])
            span = LedgerSpan(first, int(match[2] or first), path)
            if span.is_joined or not match[2]:
                found.append(span)
    return LedgerSpans(sorted(found))


def require_no_parts(storage: Storage) -> None:
    """A run writes no part before its first commit: where one is, the ledger was deleted."""
    if any(name.endswith(".parquet") for table in TABLES for name in storage.names(table)):
        raise broken_log_error(storage, f"{LEDGER}/{commit_name(1)}")


def broken_log_error(storage: Storage, name: str) -> DamagedResultsError:
    """A commit is missing or damaged."""
    return DamagedResultsError(
        tr(
            "{url}: its ledger is not whole at {name}; say `oido batch verify {url} "
            "--repair`, or bring back the files that are missing",
            url=storage.url,
            name=name,
        )
    )


Join = Callable[[Storage, int], tuple[set[str], int]]
"""With the number of the last commit: the paths of all joined files, and how many commits are in
none of them."""


class CommitLog:
    """Writes a results folder: claims it, and appends commits. One process at a time.

    A folder is used if it is new, empty, or has our header; in any other nothing is written, and
    nothing deleted. join: joins the commits before this one, if there are many
    (`oido.batch.joined_commits`). Raises OptionError.
    """

    def __init__(self, folder: str, run_id: str, join: Join | None = None) -> None:
        self.storage, self._join_commits = storage_of(folder, run_id), join
        self._last, self._digest, self._raw = 0, "", b""
        self._joined: set[str] = set()
        self._n_loose = 0
        self.restored: list[str] = []
        """Files of the ledger that were brought back from their copies."""
        self.is_new = not is_archive(self.storage)

    def begin(self, parameters: dict[str, Any], model: LoadedModel, *, calibrated: bool) -> None:
        """Write the header of a new folder, or compare that of an old one. Raises OptionError."""
        if not self.is_new:
            require_same(self.storage.url, read_header(self.storage), parameters, model)
            return
        header = new_header(parameters, model, calibrated, utc_now())
        text = (json.dumps(header, ensure_ascii=False) + "\n").encode("utf-8", "backslashreplace")
        self._write(HEADER, text)
        self._digest, self._raw = digest_of_header(text), text
        self.storage.replace(f"{COPIES}/{HEADER}", text)
        self.is_new = False

    def commits(self) -> Iterator[dict[str, Any]]:
        """Those that are there; to be read before the first of one's own.

        One that is missing or damaged is brought back from its copy (``restored``); where that is
        no help, raises DamagedResultsError.
        """
        storage, self._digest = self.storage, digest_of_header(self.storage.read(HEADER))
        copies, spans = spans_of(storage, COPIES), spans_of(storage, LEDGER)
        self._joined = spans.joined
        while self._last < max(spans.last, copies.last):
            own, copy = spans.covering(self._last + 1), copies.covering(self._last + 1)
            span, whole = own, self._whole(own)
            if whole is None:
                span, whole = copy, self._whole(copy)
                fits = span and (not own or (span.first <= own.first and own.last <= span.last))
                if span is None or whole is None or not fits:
                    named = own.path if own else f"{LEDGER}/{commit_name(self._last + 1)}"
                    raise broken_log_error(storage, named)
                if own and own.name != span.name:  # a run was cut off while it joined
                    n_lines = own.last - own.first + 1
                    whole = b"".join(islice(span.lines(whole, own.first), n_lines))
                    span = own
                self.restored.append(f"{LEDGER}/{span.name}")
                storage.replace(self.restored[-1], whole)
                self._joined |= {self.restored[-1]} if span.is_joined else set()
            elif copy is None and span and (span.is_joined or _SEAL.fullmatch(whole)):
                # The power failed in between.
                storage.replace(f"{COPIES}/{span.name}", whole)
            assert span is not None
            for raw in span.lines(whole, self._last + 1):
                commit, self._digest = unsealed(raw, self._last + 1, self._digest)
                self._last, self._raw = self._last + 1, raw
                yield commit
            self._n_loose = 0 if span.is_joined else self._n_loose + 1
        if not self._last:
            require_no_parts(storage)

    def _whole(self, span: LedgerSpan | None) -> bytes | None:
        """The content of a file that is whole, and follows what was read before it."""
        if span is None:
            return None
        number, digest, is_of_ours = self._last, self._digest, True
        try:
            content = self.storage.read(span.path)
            for raw in span.lines(content, number + 1):
                number += 1
                commit, digest = unsealed(raw, number, digest)
                is_of_ours &= is_commit(commit)
        except (OSError, ValueError, RecursionError):
            return None
        if not is_of_ours:
            raise broken_log_error(self.storage, span.path)
        return content

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
        name = commit_name(self._last + 1)
        raw, digest = sealed(content, self._digest)
        self.require_whole(all_of_it=False)
        self._write(f"{LEDGER}/{name}", raw)
        self._last, self._digest, self._raw = self._last + 1, digest, raw
        self.storage.replace(f"{COPIES}/{name}", raw)
        self._n_loose += 1
        if self._n_loose > JOIN_EVERY:
            with contextlib.suppress(OutputError):  # the next commit says so, or tries again
                self._join()
        return content

    def join(self) -> None:
        """At the end of a run: join what is not yet, if the ledger is so long that some is."""
        while self._joined and self._n_loose > 1:
            before = self._n_loose
            self._join()
            if self._n_loose == before:
                break

    def _join(self) -> None:
        # What is deleted under us is found before the next commit, and at the end.
        with contextlib.suppress(FileNotFoundError):
            if self._join_commits is not None:
                self._joined, self._n_loose = self._join_commits(self.storage, self._last)

    def require_whole(self, *, all_of_it: bool) -> None:
        """Raise DamagedResultsError if somebody has deleted the ledger under this run.

        all_of_it: look at every commit, and not only at the last.
        """
        last = f"{LEDGER}/{commit_name(self._last)}" if self._last else HEADER
        spans = spans_of(self.storage, LEDGER) if all_of_it else LedgerSpans(())
        gone = HEADER if all_of_it and not self.storage.exists(HEADER) else ""
        there = None if gone else self._read(last)
        if there is None and not gone and spans_of(self.storage, LEDGER).covering(self._last):
            raise other_run_error(self.storage)  # which has joined it with those before it
        if there is None:
            gone = gone or last
        elif self._raw and there != self._raw:
            # The store let another run overwrite it; that run goes on, and this one must not.
            raise other_run_error(self.storage)
        if not gone and not spans.joined <= self._joined:
            raise other_run_error(self.storage)
        number = 0
        while span := spans.covering(number + 1):
            number = span.last
        if not gone and all_of_it and number < self._last:
            gone = LEDGER
        if gone:
            raise DamagedResultsError(
                tr(
                    "{url}: {gone} was deleted while the run was writing there, so "
                    "what it has written does not count any more; say `oido batch "
                    "verify {url} --repair`, which brings the ledger back from its "
                    "copies if they are there, or begin a new folder",
                    url=self.storage.url,
                    gone=gone,
                )
            )

    def _write(self, name: str, content: bytes) -> None:
        try:
            self.storage.write_new(name, content)
        except FileExistsError as error:
            raise other_run_error(self.storage) from error

    def _read(self, path: str) -> bytes | None:
        try:
            return self.storage.read(path)
        except FileNotFoundError:
            return None

    def sweep(self, live: Iterable[str]) -> int:
        """Delete what this run wrote and no commit names; how many files that were.

        Only when no worker is left that could still write. The run's id is in the names of all
        that it writes: a file whose name has not this id stays, even if it is another run's.
        """
        known = set(live)
        return self._delete(lambda name: name not in known)

    def sweep_unfinished(self) -> int:
        """Delete what this run was writing when a worker was killed; how many files that were.

        Only when no worker is left.
        """
        return self._delete(lambda name: name.endswith(".part"))

    def _delete(self, is_orphan: Callable[[str], bool]) -> int:
        folders = (*TABLES, EMBEDDINGS, PIECES, LEDGER, COPIES)
        names = [n for f in folders for n in self.storage.names(f) if is_orphan(n)]
        orphans = [n for n in names if is_written_by(n, {self.storage.run_id})]
        self.storage.delete(orphans)
        return len(orphans)


def other_run_error(storage: Storage) -> OptionError:
    """Somebody else writes there."""
    return OptionError(
        tr("{url}: another run is writing there; let it finish, then say --resume", url=storage.url)
    )


def utc_now() -> str:
    """This moment in UTC, as ISO 8601."""
    return datetime.now(timezone.utc).isoformat(timespec="milliseconds")
