# SPDX-License-Identifier: Apache-2.0
"""Commits of a ledger in files of many, so that a store is asked for a few files and not for each.

A file of joined commits is these, line by line, as they were written, under the numbers of its
first and its last one; it grows until it is full, under a new name each time. At every moment each
commit is in at least one file: first the copy is written, then the file, and only then what it
replaces is deleted. Two commits are never deleted: the last one, and the first one of each run.
A run that is late meets the first commit of the run that came after it, whose number it would use.
"""

from __future__ import annotations

from collections.abc import Iterator

from oido.batch.commit_log import (
    COPIES,
    LEDGER,
    LedgerSpan,
    commit_name,
    other_run_error,
    spans_of,
    unsealed,
)
from oido.batch.storage import Storage
from oido.messages import tr

_MOST_COMMITS, _MOST_BYTES = 1000, 16 << 20
"""A file that has so many, or is so large, is full."""


def join_commits(storage: Storage, last: int) -> tuple[set[str], int]:
    """Join the commits before the last one, as many as one file takes.

    Returns the paths of all joined files, and how many commits are in none of them. Raises
    OutputError, and OptionError if another run joins there, too.
    """
    spans = spans_of(storage, LEDGER)
    end = max((span.last for span in spans if span.is_joined), default=0)
    partial = spans.covering(end)
    if partial is not None and partial.last - partial.first + 1 >= _MOST_COMMITS:
        partial = None
    first, lines, begins = partial.first if partial else end + 1, list[bytes](), set[int]()
    size, digest = 0, None
    try:
        for number, raw in enumerate(_raws(storage, partial, end, last), start=first):
            # Not a byte is copied that is not as it was written.
            commit, digest = unsealed(raw, number, digest)
            if "run" in commit:
                begins.add(number)
            lines.append(raw)
            size += len(raw)
            if len(lines) >= _MOST_COMMITS or (size >= _MOST_BYTES and number > end):
                break
    except ValueError:
        return spans.joined, last - end  # whoever reads the ledger says what is wrong with it
    until = first + len(lines) - 1
    if until <= end or len(lines) < 2:
        return spans.joined, last - end
    name = f"{first:08d}-{until:08d}.jsonl"
    path, content = f"{LEDGER}/{name}", b"".join(lines)
    storage.replace(f"{COPIES}/{name}", content)
    try:
        storage.write_new(path, content)
    except FileExistsError as error:
        raise other_run_error(storage) from error
    for folder, kept in ((LEDGER, begins), (COPIES, set[int]())):
        storage.delete(
            span.path
            for span in spans_of(storage, folder)
            if first <= span.first
            and span.last <= until
            and span.name != name
            and (span.is_joined or span.first not in kept)
        )
    joined = {span.path for span in spans if span.is_joined and span.first < first}
    return {*joined, path}, last - until


def _raws(storage: Storage, partial: LedgerSpan | None, end: int, last: int) -> Iterator[bytes]:
    """The commits of the file that grows, and those behind it."""
    if partial is not None:
        yield from partial.lines(storage.read(partial.path))
    for number in range(end + 1, last):
        raw = storage.read(f"{LEDGER}/{commit_name(number)}")
        if raw.count(b"\n") != 1 or not raw.endswith(b"\n"):
            raise ValueError(tr("is no line"))  # of an old version, perhaps: it stays as it is
        yield raw
