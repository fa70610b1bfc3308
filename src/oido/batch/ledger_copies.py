# SPDX-License-Identifier: Apache-2.0
"""The copies of a ledger: what is missing or damaged of it, and how it is brought back.

A commit that was changed, exchanged or taken out is always seen, because each ends in its own
SHA-256 and names that of the one before. Commits of versions before have neither that nor copies;
the first sealed one after them holds a digest of them all.
"""

from __future__ import annotations

import json
import re
from typing import Any, NamedTuple

from oido.batch.commit_log import COPIES, HEADER, LEDGER, digest_of_header, unsealed
from oido.batch.storage import Storage


class LedgerFile(NamedTuple):
    """A commit, or the header, with what is wrong with it and with its copy ("": nothing).

    raw, content: from whichever is whole; None where neither is.
    """

    path: str
    copy_path: str
    raw: bytes | None
    content: dict[str, Any] | None
    trouble: str = ""
    copy_trouble: str = ""


def ledger_files(storage: Storage) -> list[LedgerFile]:
    """The header and every commit of which there is a trace. Reads all of them twice."""
    names = {n.rsplit("/", 1)[-1] for f in (LEDGER, COPIES) for n in storage.names(f)}
    last = max((int(n[:-5]) for n in names if re.fullmatch(r"\d{8,}\.json", n)), default=0)
    header = _header(storage)
    found = [header]
    digest = None if header.raw is None else digest_of_header(header.raw)
    for number in range(1, last + 1):
        name = f"{number:08d}.json"
        paths = f"{LEDGER}/{name}", f"{COPIES}/{name}"
        raws = [_read(storage, path) for path in paths]
        whole: list[tuple[bytes, dict[str, Any], str]] = []
        troubles = []
        for raw in raws:
            trouble = "is missing" if raw is None else ""
            try:
                if raw is not None:
                    whole.append((raw, *unsealed(raw, number, digest)))
            except ValueError as error:
                known = str(error) if type(error) is ValueError else "is not as it was written"
                trouble = known
            troubles.append(trouble)
        if whole:
            raw, content, digest = whole[0]
            is_old = "sha256" not in content  # versions before wrote no copies
            copy_trouble = "" if is_old and raws[1] is None else troubles[1]
            found.append(LedgerFile(*paths, raw, content, troubles[0], copy_trouble))
        else:
            digest = None
            found.append(LedgerFile(*paths, None, None, *troubles))
    return found


def _header(storage: Storage) -> LedgerFile:
    paths = HEADER, f"{COPIES}/{HEADER}"
    raws = [_read(storage, path) for path in paths]
    wanted = None
    for folder in (LEDGER, COPIES):
        first = _read(storage, f"{folder}/00000001.json")
        try:
            wanted = unsealed(first or b"", 1, None)[0].get("previous")
        except ValueError:
            continue
        break
    troubles = []
    whole: list[tuple[bytes, dict[str, Any]]] = []
    for raw in raws:
        trouble = "is missing" if raw is None else ""
        try:
            content = None if raw is None else json.loads(raw)
        except ValueError:
            content = None
        if raw is not None and (
            not isinstance(content, dict) or wanted not in (None, digest_of_header(raw))
        ):
            trouble = "is not as it was written"
        elif raw is not None:
            whole.append((raw, content or {}))
        troubles.append(trouble)
    if not whole:
        return LedgerFile(*paths, None, None, *troubles)
    copy_trouble = "" if wanted is None and raws[1] is None else troubles[1]
    return LedgerFile(*paths, *whole[0], troubles[0], copy_trouble)


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
