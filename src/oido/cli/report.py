# SPDX-License-Identifier: Apache-2.0
"""Tell what an archive holds: hours, labels, times of day, gaps, failures.

examples:
  oido report results/
  oido report results/ -o report.html --json report.json
  oido report results/ -o owls.html --label Owl --gap 900
  oido report results/ -o informe.html --locale es --hours-in Europe/Madrid

The page tells the hours covered, events per label, by hour of day and by day, gaps without a
recording, failures, and how it was heard. It is one file, without scripts, and asks the network for
nothing. Times come from names and tags of the recordings; where neither tells one, it stays unknown
and is counted as such.
"""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import TYPE_CHECKING, Any

from oido.cli.options import add_command, open_results, require_suffix
from oido.cli.terminal import print_line, print_message

if TYPE_CHECKING:
    from oido.results.summary import Summary


def add_parser(commands: Any) -> None:
    """Add ``oido report``."""
    add = add_command(commands, "report", _run, __doc__)
    add.results()
    add("-o, --output FILE.html", "the page", type=Path)
    add("--json FILE.json", "every figure", type=Path)
    add("--label LABEL", "one label, day by day and hour by hour")
    add(
        "--gap SECONDS",
        "tell stretches without a recording that are longer (default 3600)",
        type=float,
        default=3600.0,
    )
    add("--hours-in ZONE", "the zone of hours and days, such as Europe/Madrid (default: UTC)")
    add("--locale LANGUAGE", "of the page: en (default) or es", default="en")
    add.quiet("errors only")
    add.clock()


def _run(args: argparse.Namespace) -> None:
    from oido.results.report_page import Words, html_page
    from oido.results.summary import summarize
    from oido.writers.atomic import write_json, write_text

    require_suffix("-o", args.output, ".html", ".htm")
    require_suffix("--json", args.json, ".json")
    Words(args.locale)  # a wrong language is refused before the work
    with open_results(args, prints_doubts=not args.quiet) as results:
        summary = summarize(
            results, zone=args.hours_in or "UTC", gap_seconds=args.gap, label=args.label
        )
    if args.output is not None:
        write_text(args.output, html_page(summary, args.locale))
    if args.json is not None:
        write_json(args.json, summary.to_dict())
    _print(summary)
    for path in (args.output, args.json):
        if path is not None and not args.quiet:
            print_message(f"{path} is written")


def _print(summary: Summary) -> None:
    """The least that anybody wants to know."""
    s, coverage = summary, summary.coverage
    length = f"{s.hours:,.1f} hours" if s.hours >= 1 else f"{s.hours * 3600:,.0f} seconds"
    print(f"{length} in {_count(s.succeeded, 'recording')}; {s.failed:,} failed")
    for kind, count in s.failure_kinds.items():
        print_line(f"  {kind}: {count:,}")
    if coverage.first is not None and coverage.last is not None:
        first, last = (f"{time:%Y-%m-%d %H:%M}" for time in (coverage.first, coverage.last))
        gaps = _count(coverage.gap_count, "gap")
        print(f"from {first} to {last} UTC, {gaps} of more than {s.gap_seconds:g} s")
    if s.with_sound > s.timed:
        print(f"the time of {_count(s.with_sound - s.timed, 'recording')} is not known")
    kind = "probability" if s.calibrated else "score, not a probability"
    print(f"{_count(s.events, 'event')} of {_count(len(s.labels), 'label')}")
    for figures in s.labels[:10]:
        print_line(
            f"  {figures.label}: {_count(figures.events, 'event')} in {figures.share:.1%} of "
            f"recordings, "
            f"{figures.seconds:,.1f} s, highest {kind} {figures.highest:.2f}"
        )


def _count(number: int, what: str) -> str:
    return f"{number:,} {what}" if number == 1 else f"{number:,} {what}s"
