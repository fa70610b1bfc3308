# SPDX-License-Identifier: Apache-2.0
"""The copies of a ledger: what is missing or damaged of it, and how it is brought back.

A commit that was changed, exchanged or taken out is always seen, because each ends in its own
SHA-256 and names that of the one before. Commits of versions before have neither that nor copies;
the first sealed one after them holds a digest of them all.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Sequence
from typing import Any, NamedTuple

from oido.batch.archive_header import HEADER
from oido.batch.commit_log import (
    COPIES,
    LEDGER,
    LedgerSpan,
    LedgerSpans,
    commit_name,
    digest_of_header,
    spans_of,
    unsealed,
)
from oido.batch.storage import Storage
from oido.messages import text_of, tr


class LedgerFile(NamedTuple):
    """A file of commits, or the header, with what is wrong with it and its copy ("": nothing).

    raw, contents: from whichever is whole; None where neither is. A file whose commits others have
    as well has no contents, and is its own copy.
    """

    path: str
    copy_path: str
    raw: bytes | None
    contents: tuple[dict[str, Any], ...] | None
    trouble: str = ""
    copy_trouble: str = ""


def ledger_files(storage: Storage) -> list[LedgerFile]:
    """The header and every commit of which there is a trace. Reads all of them twice."""
    own, copies = spans_of(storage, LEDGER), spans_of(storage, COPIES)
    header = _header(storage)
    found = [header]
    digest = None if header.raw is None else digest_of_header(header.raw)
    number = 0
    while number < max(own.last, copies.last):
        span = own.covering(number + 1) or copies.covering(number + 1)
        if span is None:
            span = LedgerSpan(number + 1, number + 1, commit_name(number + 1))
        file, digest = _compared(storage, span, number, digest)
        found.append(file)
        if file.raw is not None:
            if file.copy_trouble == "is missing" and _is_in(storage, copies, span, file.raw):
                found[-1] = file._replace(copy_trouble="")  # a run was cut off while it joined
            found += _repeated(storage, [*own, *copies], span, list(span.lines(file.raw)))
        number = span.last
    return found


def _compared(
    storage: Storage, span: LedgerSpan, number: int, digest: str | None
) -> tuple[LedgerFile, str | None]:
    """A file and its copy, and the digest of its last commit; number, digest: of the one before."""
    paths = f"{LEDGER}/{span.name}", f"{COPIES}/{span.name}"
    troubles: list[str] = []
    whole: list[tuple[bytes, tuple[dict[str, Any], ...], str | None]] = []
    for raw in (_read(storage, path) for path in paths):
        troubles.append(tr("is missing") if raw is None else "")
        try:
            if raw is not None:
                whole.append((raw, *_unsealed(span, raw, number, digest)))
        except ValueError as error:
            troubles[-1] = text_of(error) if type(error) is ValueError else _CHANGED
    if not whole:
        return LedgerFile(*paths, None, None, *troubles), None
    raw, contents, digest = whole[0]
    # Versions before wrote no copies.
    is_old = contents and "sha256" not in contents[-1] and troubles[1] == "is missing"
    return LedgerFile(*paths, raw, contents, troubles[0], "" if is_old else troubles[1]), digest


def _unsealed(
    span: LedgerSpan, raw: bytes, number: int, digest: str | None
) -> tuple[tuple[dict[str, Any], ...], str | None]:
    contents = []
    for line in span.lines(raw, number + 1):
        number += 1
        content, digest = unsealed(line, number, digest)
        contents.append(content)
    return tuple(contents), digest


def _is_in(storage: Storage, spans: LedgerSpans, span: LedgerSpan, raw: bytes) -> bool:
    """Whether other files have all of these commits, too."""
    lines = []
    for number in range(span.first, span.last + 1):
        other = spans.covering(number)
        content = _read(storage, other.path) if other else None
        if other is None or content is None:
            return False
        try:
            lines.append(next(other.lines(content, number)))
        except ValueError:
            return False
    return b"".join(lines) == raw


def _repeated(
    storage: Storage, spans: Iterable[LedgerSpan], span: LedgerSpan, lines: Sequence[bytes]
) -> Iterator[LedgerFile]:
    """Other files with commits of this one: they say the same, or are damaged."""
    for other in spans:
        if other.name == span.name or not (span.first <= other.first and other.last <= span.last):
            continue
        wanted = b"".join(lines[other.first - span.first : other.last + 1 - span.first])
        if _read(storage, other.path) not in (wanted, None):
            yield LedgerFile(other.path, other.path, wanted, (), _CHANGED)


_CHANGED = tr("is not as it was written")


def _header(storage: Storage) -> LedgerFile:
    paths = HEADER, f"{COPIES}/{HEADER}"
    raws = [_read(storage, path) for path in paths]
    wanted = None
    for folder in (LEDGER, COPIES):
        try:
            span = spans_of(storage, folder).covering(1)
            raw = span and _read(storage, span.path)
            first = next(span.lines(raw)) if span and raw else b""
            wanted = unsealed(first, 1, None)[0].get("previous")
        except ValueError:
            continue
        break
    troubles = []
    whole: list[bytes] = []
    for raw in raws:
        trouble = tr("is missing") if raw is None else ""
        try:
            content = None if raw is None else json.loads(raw)
        except ValueError:
            content = None
        if raw is not None and (
            not isinstance(content, dict) or wanted not in (None, digest_of_header(raw))
        ):
            trouble = _CHANGED
        elif raw is not None:
            whole.append(raw)
        troubles.append(trouble)
    if not whole:
        return LedgerFile(*paths, None, None, *troubles)
    copy_trouble = "" if wanted is None and raws[1] is None else troubles[1]
    return LedgerFile(*paths, whole[0], (), troubles[0], copy_trouble)


def _read(storage: Storage, path: str) -> bytes | None:
    try:
        return storage.read(path)
    except OSError:
        return None


def restore(storage: Storage, *, with_header: bool) -> list[str]:
    """Bring back what is missing or damaged from its copy, or the copy from it; which paths."""
    restored: list[str] = []
    for file in ledger_files(storage):
        if file.raw is None or (file.path == HEADER and not with_header):
            continue
        for path, trouble in ((file.path, file.trouble), (file.copy_path, file.copy_trouble)):
            if trouble:
                storage.replace(path, file.raw)
                restored.append(path)
    return restored
