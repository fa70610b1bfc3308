# SPDX-License-Identifier: Apache-2.0
"""Count the true events of a label, with an interval, from clips that somebody listened to.

examples:
  oido clips results/ --label Owl --count 100 --choose stratified -o owls/
                           listen, and write yes, no or unsure into the column verdict
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
        print_message(f"{args.output} is written")


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
        f"{count.label}: {total.value:.0f} of {counted.n} events are true "
        f"({total.low:.0f} to {total.high:.0f}, 95 %; {share.low:.0%} to {share.high:.0%})"
    )
    print_line(
        f"from {counted.reviewed} reviews; {counted.more_reviews} more would about halve that"
        + (f"; of {count.unsure} nobody was sure" if count.unsure else "")
    )
    if len(counted.groups) > 1:
        occupied, what = counted.occupied, " and ".join(count.keys)
        print_line(
            f"of {len(counted.groups)} by {what} with events, {occupied.value:.0f} have true ones "
            f"({occupied.low:.0f} to {occupied.high:.0f})"
        )
        print_line("")
        for key, estimate in counted.groups.items():
            hours = count.recorded_hours.get(key)
            rate = f", {estimate.value / hours:.2f} an hour" if hours else ""
            name = ", ".join("unknown" if part is None else str(part) for part in key)
            print_line(
                f"  {name}: {estimate.value:.0f} ({estimate.low:.0f} to {estimate.high:.0f}) of "
                f"{count.events[key]}{rate}"
            )
    for key in counted.apart:
        name = ", ".join(map(str, key))
        print_message(
            f"{name}: its reviews differ from the others' at the same scores; review more of it"
        )
    if count.unreviewed and len(counted.groups) > 1:
        names = "; ".join(", ".join(map(str, key)) for key in count.unreviewed[:4])
        more = f" and {len(count.unreviewed) - 4} more" if len(count.unreviewed) > 4 else ""
        print_message(f"no event was reviewed of {names}{more}: their numbers rest on the others")
