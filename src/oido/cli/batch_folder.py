# SPDX-License-Identifier: Apache-2.0
"""What `oido batch` does with a folder of results that is there: verify, repair, clean."""

from __future__ import annotations

import argparse
import json
import re
from typing import TYPE_CHECKING

from oido.cli.terminal import EXIT_DAMAGED, EXIT_OK, print_line, print_message
from oido.errors import OptionError
from oido.messages import tr
from oido.options import OPTIONS

if TYPE_CHECKING:
    from collections.abc import Callable

    from oido.batch.run import Damage
    from oido.batch.units import RunSpec, Source
    from oido.batch.verify import Verification

    Repair = Callable[[argparse.Namespace, RunSpec, list[Source], Damage], int]

_SECONDS = {"s": 1, "m": 60, "h": 3600, "d": 86_400, "w": 604_800}
_DEFAULT_AGE = "1d"
_SHOWN = 20


def show_verification(args: argparse.Namespace, repair: Repair) -> int:
    """Print what is wrong with a folder, and repair it; exit code 4 if something is wrong still.

    repair: hears recordings again.
    """
    from oido.batch.verify import mend_ledger, spec_of, verify

    url = args.paths[1]
    found = verify(url)
    if args.repair and not found.is_whole:
        if not args.json:
            _show(found)
        for path in mend_ledger(url):
            print_message(tr("{path} was brought back from its copy", path=path))
            found = verify(url)
        if found.damage.parts or found.sources:
            model = None if args.model == OPTIONS["model"].default else args.model
            spec = spec_of(url, model, args.calibration, args.embeddings_of)
            repair(args, spec, found.sources, found.damage)
        found = verify(url)
    if args.json:
        print(json.dumps(found.plain(), ensure_ascii=False, indent=2))
    else:
        _show(found)
    return EXIT_OK if found.is_whole else EXIT_DAMAGED


def _show(found: Verification) -> None:
    for line in _lines(found):
        print_line(line)


def _lines(found: Verification) -> list[str]:
    lines: list[str] = [
        tr(
            "{folder}  {commits} commits, {parts} parts, {size:.1f} MB were read",
            folder=found.folder,
            commits=found.commits,
            parts=found.parts,
            size=found.size / 1e6,
        )
    ]
    if found.without_hash:
        lines.append(
            tr(
                "no hash   {without_hash} files of a version before, which were only read",
                without_hash=found.without_hash,
            )
        )
    for kind in (tr("missing"), tr("damaged"), tr("left over"), tr("foreign")):
        of_kind = [finding for finding in found.findings if finding.kind == kind]
        lines += [
            tr("{kind:<9} {path}: {reason}", kind=kind, path=each.path, reason=each.reason)
            for each in of_kind[:_SHOWN]
        ]
        if len(of_kind) > _SHOWN:
            lines.append(
                tr(
                    "{kind:<9} and {n_of_kind} more (--json shows all)",
                    kind=kind,
                    n_of_kind=len(of_kind) - _SHOWN,
                )
            )
    lines += [
        tr(
            "lost      {name}: its rows are damaged, and the recording is not there any more",
            name=name,
        )
        for name in found.lost
    ]
    if found.is_whole:
        lines.append(tr("whole     every file that counts is as it was written"))
    elif found.sources:
        lines.append(
            tr("to hear   {n_sources} recordings again: add --repair", n_sources=len(found.sources))
        )
    elif found.lost:
        lines.append(tr("bring these recordings back to where they were, then add --repair"))
    else:
        lines.append(tr("to repair add --repair"))
    return lines


def show_leftovers(args: argparse.Namespace) -> int:
    """Print what runs left that were cut off, or delete it."""
    from oido.batch.verify import delete_leftovers, leftovers

    seconds = _seconds(args.older_than or _DEFAULT_AGE)
    found = (delete_leftovers if args.delete else leftovers)(args.paths[1], seconds)
    for path, facts in found.items():
        print_line(tr("{size:>12}  {path}", size=facts.size, path=path))
    total = sum(facts.size for facts in found.values()) / 1e6
    done = tr("deleted") if args.delete else tr("left over; --delete deletes them")
    print_message(
        tr("{n_found} files, {total:.1f} MB: {done}", n_found=len(found), total=total, done=done)
        if found
        else tr("nothing is left over")
    )
    return EXIT_OK


def _seconds(age: str) -> float:
    """An age such as 12h or 7d."""
    found = re.fullmatch(r"(\d+(?:\.\d+)?)([smhdw])", age.strip())
    if found is None:
        raise OptionError(
            tr("--older-than is a number with s, m, h, d or w, such as 1d, not {age!r}", age=age)
        )
    return float(found[1]) * _SECONDS[found[2]]
