# SPDX-License-Identifier: Apache-2.0
"""Keep what people said of sounds: one small database for a project, to which is only added.

examples:
  oido labels add project.db owls/clips.csv --who Ana    the verdicts of clips.csv
  oido labels add project.db night.txt --recording night.wav    an Audacity or Raven track
  oido labels show project.db
  oido labels undo project.db --who Ana                  her last answer counts no more
  oido labels merge project.db from-bo.db                answers of several people
  oido labels export project.db -o labels.csv            for `oido train`; .txt: Raven
  oido labels export project.db -o tracks/               Audacity, a track for each recording
  oido labels export project.db -o hoplite.sqlite        added to a database of perch-hoplite

Every answer stays, with who gave it and when; the latest of a person counts. `oido count` and
`oido adapt` read it, and `oido train` what is exported as .csv: there, names of recordings lead on
from the folder that the table is in.
"""

from __future__ import annotations

import argparse
from collections import Counter
from typing import Any

from oido.cli.arguments import Arguments, add_command, local_path
from oido.cli.terminal import print_line, print_message
from oido.errors import OptionError
from oido.messages import joined, tr
from oido.models.labels import label_text


def add_parser(commands: Any) -> None:
    """Add ``oido labels`` and what it can do."""
    actions = add_command(commands, "labels", None, __doc__).actions()
    add = _with_store(actions, "add", _add)
    add(
        "tables FILE",
        "clips.csv with verdicts, tracks by Audacity, Raven, CSV, or hoplite.sqlite",
        nargs="+",
    )
    add("--who NAME", "who says so", default="")
    add("--recording FILE", "of tracks that name none", default=None)
    _with_store(actions, "show", _show)
    add = _with_store(actions, "undo", _undo)
    add("--who NAME", "whose last answer", default="")
    add = _with_store(actions, "merge", _merge)
    add("others STORE", "other stores", nargs="+")
    add = _with_store(actions, "export", _export)
    add("--label LABEL", "answers to this label only")
    add(
        "-o, --output FILE-or-FOLDER/",
        ".csv, .txt (Raven), .sqlite (perch-hoplite), or a folder (Audacity)",
        required=True,
    )


def _with_store(actions: Any, name: str, run: Any) -> Arguments:
    add = add_command(actions, name, run, run.__doc__)
    add("store STORE", "the database, such as project.db", type=local_path)
    return add


def _add(args: argparse.Namespace) -> None:
    """Add answers from tables or label tracks; the store is made if there is none."""
    from oido.search.label_store import LabelStore
    from oido.search.label_tables import read_answers

    each = {table: read_answers(table, args.who, args.recording) for table in args.tables}
    with LabelStore(args.store) as store:
        for table, answers in each.items():
            store.add(answers)
            print_message(
                tr(
                    "{answers} of {table} in {store}",
                    answers=_counted(len(answers)),
                    table=table,
                    store=args.store,
                )
            )


def _show(args: argparse.Namespace) -> None:
    """How many answers there are, by label and person, and how far people agree."""
    from oido.search.label_store import VERDICTS, LabelStore

    with LabelStore(args.store, is_new_allowed=False) as store:
        answers, agreement = store.answers(), store.agreement()
    counts = Counter((answer.label, answer.who, answer.verdict) for answer in answers)
    for label, who in sorted({(label, who) for label, who, _ in counts}):
        numbers = joined(
            ", ",
            [
                tr("{n} {verdict}", n=counts[label, who, verdict], verdict=_VERDICT_TEXTS[verdict])
                for verdict in VERDICTS
            ],
        )
        print_line(
            tr(
                "{label}{more}: {numbers}",
                label=label_text(label),
                more=tr(" by {who}", who=who) if who else "",
                numbers=numbers,
            )
        )
    if not answers:
        print_line(tr("no answer yet"))
    if agreement.places:
        print_line(
            tr(
                "several people answered {places}, {alike} of them alike",
                places=agreement.places,
                alike=agreement.alike,
            )
        )


def _undo(args: argparse.Namespace) -> None:
    """Take back a person's last answer; it stays in the history."""
    from oido.search.label_store import LabelStore

    with LabelStore(args.store, is_new_allowed=False) as store:
        undone = store.undo(args.who)
    if undone is None:
        whose = tr(" of {who}", who=args.who) if args.who else ""
        raise OptionError(
            tr("{store}: there is no answer{whose} to take back", store=args.store, whose=whose)
        )
    print_line(
        tr(
            "taken back: {verdict} to {label} in {recording} at {start_time:.2f} s",
            verdict=_VERDICT_TEXTS[undone.verdict],
            label=label_text(undone.label),
            recording=undone.recording,
            start_time=undone.start_time,
        )
    )


def _merge(args: argparse.Namespace) -> None:
    """Add what other stores hold; what is here already stays one answer."""
    from oido.search.label_store import LabelStore

    for other in args.others:  # before a store is made that none would be in
        LabelStore(other, is_new_allowed=False).close()
    with LabelStore(args.store) as store:
        for other in args.others:
            print_line(
                tr("{merge} entries of {other} were new", merge=store.merge(other), other=other)
            )


def _export(args: argparse.Namespace) -> None:
    """Write what counts as a table or as label tracks."""
    from oido.search.hoplite import SUFFIX
    from oido.search.label_store import LabelStore
    from oido.search.label_tables import write_answers

    path = local_path(args.output)
    is_folder = args.output.endswith("/") or path.is_dir()
    kinds = {".csv": "csv", ".txt": "raven", SUFFIX: "hoplite"}
    if not is_folder and path.suffix.lower() not in kinds:
        raise OptionError(
            tr(
                "{path}: end the name in .csv, .txt (Raven), .sqlite (perch-hoplite) "
                "or / (Audacity)",
                path=path,
            )
        )
    with LabelStore(args.store, is_new_allowed=False) as store:
        answers = list(store.decided(args.label).values())
    sure = sum(answer.verdict != "unsure" for answer in answers)
    if not sure:
        of = "" if args.label is None else tr(" to {label}", label=label_text(args.label))
        raise OptionError(
            tr("{store}: there is no yes or no{of} to be written", store=args.store, of=of)
        )
    write_answers(answers, path, "audacity" if is_folder else kinds[path.suffix.lower()])
    print_message(tr("{answers} in {path}", answers=_counted(sure), path=path))


_VERDICT_TEXTS = {"yes": tr("yes"), "no": tr("no"), "unsure": tr("unsure")}


def _counted(number: int) -> str:
    return tr("1 answer") if number == 1 else tr("{number} answers", number=number)
