# SPDX-License-Identifier: Apache-2.0
"""Count the true events of a label, with an interval, from clips that somebody listened to.

examples:
  oido clips results/ --label Owl --choose stratified -o owls/   listen; yes or no in its verdict
  oido count results/ --label Owl --reviewed owls/clips.csv
  oido count results/ --label Owl --reviewed owls/clips.csv --by site,night -o owls.csv
  oido count results/ --label Owl --reviewed owls/clips.csv --by hour --hours-in Europe/Madrid
  oido count results/ --label Owl --reviewed owls/clips.csv --report owls.html
  oido clips results/ --model owl.tflite --label owl --choose stratified -o sample/
  oido count results/ --model owl.tflite --label owl --reviewed sample/clips.csv --by night

Events of an archive are what a model took for a sound; some are none. From a sample over all scores
this tells how many are true, by site, day, night, hour or file, each with an interval of 95 %, how
many more reviews would halve it, and which groups the sample does not speak for. A label store may
hold other answers too (of `oido review --learn`, of searches): they are left out. What the model
missed altogether, below the threshold of events, is not counted: --of windows counts windows
instead, from clips that were drawn by `oido clips --of windows`, and --model does so by a taught
model, whose scores are made from the embeddings that the archive keeps.
"""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import TYPE_CHECKING, Any

from oido.cli.arguments import add_command, local_path
from oido.cli.options import open_results, require_suffix
from oido.cli.terminal import print_line, print_message
from oido.messages import tr

if TYPE_CHECKING:
    from oido.results.counting import EventCount


def add_parser(commands: Any) -> None:
    """Add ``oido count``."""
    add = add_command(commands, "count", _run, __doc__)
    add.results()
    add("--label LABEL", "events of this label", required=True)
    add(
        "--reviewed FILE",
        "clips.csv with its verdicts, or the label store of `oido review`, such as project.db",
        type=local_path,
        required=True,
    )
    add("--by KEY[,KEY…]", "site (default), day, night, hour, file, or several", default="site")
    add("--where CONDITION", "only events for which this is true, as for `oido clips`")
    add.windows()
    add(
        "--site PATTERN",
        "where the site stands in a name, such as '{site}_*.wav' (default: the first folder that "
        "differs)",
    )
    add("--hours-in ZONE", "the zone of days, nights and hours (default UTC)", default="UTC")
    add_output = add.group("output")
    add_output("-o, --output FILE.csv", "a table", type=local_path)
    add_output("--report FILE.html", "a page with plots and tables", type=local_path)
    add_output.quiet("errors only")
    add.clock()


def _run(args: argparse.Namespace) -> None:
    from oido.results.count_page import count_page
    from oido.results.counting import count_events
    from oido.results.window_scores import open_head
    from oido.writers.atomic import write_text

    require_suffix("-o", args.output, ".csv")
    require_suffix("--report", args.report, ".html")
    by = tuple(key.strip().lower() for key in args.by.split(",") if key.strip())
    with open_results(args, prints_doubts=False) as results:
        head = None if args.model is None else open_head(results, args.model)[1]
        count = count_events(
            results,
            args.label,
            args.reviewed,
            by,
            unit="events" if args.of == "events" and head is None else "windows",
            head=head,
            where=args.where,
            site=args.site,
            zone=args.hours_in,
        )
    if args.output is not None:
        _write(args.output, count)
    if args.report is not None:
        write_text(args.report, count_page(count, str(args.results)))
    _print(count)
    for path in (args.output, args.report):
        if path is not None and not args.quiet:
            print_message(tr("{output} is written", output=path))


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
    from oido.results.count_page import count_sentences, count_warnings, group_name

    for text in count_sentences(count):
        print_line(text)
    groups = count.counted.groups
    if len(groups) > 1:
        print_line("")
        for key, estimate in groups.items():
            hours = count.recorded_hours.get(key)
            rate = tr(", {value:.2f} an hour", value=estimate.value / hours) if hours else ""
            if count.unit == "windows":  # many an hour are of one sound
                rate = f", {estimate.value / count.events[key]:.1%}"
            print_line(
                tr(
                    "  {name}: {value:.0f} ({low:.0f} to {high:.0f}) of {events}{rate}",
                    name=group_name(key),
                    value=estimate.value,
                    low=estimate.low,
                    high=estimate.high,
                    events=count.events[key],
                    rate=rate,
                )
            )
    for text in count_warnings(count):
        print_message(text)
