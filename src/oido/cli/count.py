# SPDX-License-Identifier: Apache-2.0
"""Count the true events of a label, with an interval, from clips that somebody listened to.

examples:
  oido clips results/ --label Owl --choose stratified -o owls/   listen; yes or no in its verdict
  oido count results/ --label Owl --reviewed owls/clips.csv
  oido count results/ --label Owl --reviewed owls/clips.csv --by site,night -o owls.csv
  oido count results/ --label Owl --reviewed owls/clips.csv --by hour --hours-in Europe/Madrid

Events of an archive are what a model took for a sound; some are none. From a sample over all scores
this tells how many are true, by site, day, night, hour or file, each with an interval of 95 %, how
many more reviews would halve it, and which groups the sample does not speak for. What the model
missed altogether, below the threshold of events, is not counted.
"""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import TYPE_CHECKING, Any

from oido.cli.options import add_command, open_results, require_suffix
from oido.cli.terminal import print_line, print_message
from oido.messages import joined, tr

if TYPE_CHECKING:
    from oido.results.counting import EventCount


def add_parser(commands: Any) -> None:
    """Add ``oido count``."""
    add = add_command(commands, "count", _run, __doc__)
    add.results()
    add("--label LABEL", "events of this label", required=True)
    add("--reviewed FILE.csv", "clips.csv with its verdicts", type=Path, required=True)
    add("--by KEY[,KEY…]", "site (default), day, night, hour, file, or several", default="site")
    add("--where CONDITION", "only events for which this is true, as for `oido clips`")
    add(
        "--site PATTERN",
        "where the site stands in a name, such as '{site}_*.wav' (default: the first folder that "
        "differs)",
    )
    add("--hours-in ZONE", "the zone of days, nights and hours (default UTC)", default="UTC")
    add_output = add.group("output")
    add_output("-o, --output FILE.csv", "a table", type=Path)
    add_output.quiet("errors only")
    add.clock()


def _run(args: argparse.Namespace) -> None:
    from oido.results.counting import count_events

    require_suffix("-o", args.output, ".csv")
    by = tuple(key.strip().lower() for key in args.by.split(",") if key.strip())
    with open_results(args, prints_doubts=False) as results:
        count = count_events(
            results,
            args.label,
            args.reviewed,
            by,
            where=args.where,
            site=args.site,
            zone=args.hours_in,
        )
    if args.output is not None:
        _write(args.output, count)
    _print(count)
    if args.output is not None and not args.quiet:
        print_message(tr("{output} is written", output=args.output))


def _write(path: Path, count: EventCount) -> None:
    import csv

    from oido.writers.atomic import write_atomically
    from oido.writers.base import quote_cell

    rows = list(count.rows())
    with write_atomically(path) as file:
        writer = csv.writer(file.stream, lineterminator="\n")
        writer.writerow(rows[0])
        writer.writerows([quote_cell(value) for value in row.values()] for row in rows)


def _print(count: EventCount) -> None:
    counted = count.counted
    total, share = counted.total, counted.share
    print_line(
        tr(
            "{label}: {value:.0f} of {n} events are true ({low:.0f} to {high:.0f}, "
            "95 %; {share_low:.0%} to {share_high:.0%})",
            label=count.label,
            n=counted.n,
            **total._asdict(),
            share_low=share.low,
            share_high=share.high,
        )
    )
    reviews = (
        tr("from 1 review")
        if counted.reviewed == 1
        else tr("from {reviewed} reviews", reviewed=counted.reviewed)
    )
    print_line(
        tr(
            "{reviews}; {more_reviews} more would about halve that",
            reviews=reviews,
            more_reviews=counted.more_reviews,
        )
        + (tr("; of {unsure} nobody was sure", unsure=count.unsure) if count.unsure else "")
    )
    if len(counted.groups) > 1:
        occupied, what = counted.occupied, joined(tr(" and "), count.keys)
        print_line(
            tr(
                "of {n_groups} by {what} with events, {value:.0f} have true ones "
                "({low:.0f} to {high:.0f})",
                n_groups=len(counted.groups),
                what=what,
                **occupied._asdict(),
            )
        )
        print_line("")
        for key, estimate in counted.groups.items():
            hours = count.recorded_hours.get(key)
            rate = tr(", {value:.2f} an hour", value=estimate.value / hours) if hours else ""
            name = joined(", ", (tr("unknown") if part is None else str(part) for part in key))
            print_line(
                tr(
                    "  {name}: {value:.0f} ({low:.0f} to {high:.0f}) of {events}{rate}",
                    name=name,
                    **estimate._asdict(),
                    events=count.events[key],
                    rate=rate,
                )
            )
    for key in counted.apart:
        name = joined(", ", map(str, key))
        print_message(
            tr(
                "{name}: its reviews differ from the others' at the same scores; review more of it",
                name=name,
            )
        )
    if count.unreviewed and len(counted.groups) > 1:
        names = "; ".join(", ".join(map(str, key)) for key in count.unreviewed[:4])
        more = (
            tr(" and {n_unreviewed} more", n_unreviewed=len(count.unreviewed) - 4)
            if len(count.unreviewed) > 4
            else ""
        )
        print_message(
            tr(
                "no event was reviewed of {names}{more}: their numbers rest on the others",
                names=names,
                more=more,
            )
        )
