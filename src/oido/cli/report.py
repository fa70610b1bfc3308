# SPDX-License-Identifier: Apache-2.0
"""Tell what an archive holds: hours, labels, times of day, gaps, failures.

examples:
  oido report results/
  oido report results/ -o report.html --json report.json
  oido report results/ -o summary.csv --by site,day
  oido report results/ -o summary.xlsx                  a sheet each by label, file, site, hour, day
  oido report results/ --by site --site '{site}_*.wav'
  oido report results/ -o owls.html --label Owl --gap 900
  oido report results/ -o informe.html --locale es --hours-in Europe/Madrid

The page tells the hours covered, events per label, by site, hour of day and day, gaps without a
recording, failures, and how it was heard. It is one file, without scripts, and asks the network for
nothing. Tables have a row for each file, site, hour, day or label, or for each combination that you
name, with events per recorded hour and the hours that were recorded. Times come from names and tags
of the recordings; where neither tells one, it stays unknown and is counted as such.
"""

from __future__ import annotations

import argparse
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from oido.cli.arguments import add_command, local_path
from oido.cli.options import open_results, require_suffix
from oido.cli.terminal import counted, print_line, print_message
from oido.errors import OptionError
from oido.messages import language, shown, tr

if TYPE_CHECKING:
    from oido.results.report_page import Words
    from oido.results.summary import Summary

Tables = Mapping[tuple[str, ...], Any]
"""Tables of pyarrow by what is counted together."""

_SCREEN_ROWS = 50


def add_parser(commands: Any) -> None:
    """Add ``oido report``."""
    add = add_command(commands, "report", _run, __doc__)
    add.results()
    add("-o, --output FILE", "the page (.html), or tables (.csv, .xlsx)", type=local_path)
    add(
        "--by KEY[,KEY…]",
        "what is counted together, one or several of file, site, day, hour, label: the table that "
        "is written, or shown (default of .csv: label; of .xlsx: a sheet for each)",
    )
    add(
        "--site PATTERN",
        "where the site stands in a name, such as '{site}_*.wav', or in a path, with a slash, such "
        "as '{site}/*/*.wav'; or a regular expression (default: the first folder that differs)",
    )
    add("--json FILE.json", "every figure", type=local_path)
    add("--label LABEL", "one label, day by day and hour by hour; in tables, no other")
    add(
        "--examples N",
        "how many events of each of the ten most frequent labels can be heard in the page, cut "
        "from the recordings where these can be reached (default 3; 0: none)",
        type=int,
        default=3,
    )
    add(
        "--gap SECONDS",
        "tell stretches without a recording that are longer (default 3600)",
        type=float,
        default=3600.0,
    )
    add("--hours-in ZONE", "the zone of hours and days, such as Europe/Madrid (default: UTC)")
    add("--locale LANGUAGE", "of the page and its labels: en or es (default: as messages)")
    add.quiet("errors only")
    add.clock()


def _run(args: argparse.Namespace) -> None:
    from oido.results.examples import MOST_LABELS, best_examples
    from oido.results.report_page import Words, html_page
    from oido.results.summary import summarize
    from oido.results.tallies import KEYS, read_keys, tally
    from oido.writers.atomic import write_atomically, write_json, write_text

    kind = _kind(args.output)
    require_suffix("--json", args.json, ".json")
    # Tables for programs are in English unless another language is named. What is wrong is refused
    # before the work.
    locale = args.locale or ("en" if kind in (".csv", ".xlsx") else language())
    words, by = Words(locale), read_keys(args.by)
    if kind == ".xlsx":
        from oido.writers.workbook import require_workbooks

        require_workbooks()
    wanted = [by] if by else {".csv": [("label",)], ".xlsx": [(key,) for key in KEYS]}.get(kind, [])
    zone = args.hours_in or "UTC"
    with open_results(args, prints_doubts=not args.quiet) as results:
        summary = summarize(
            results, zone=zone, gap_seconds=args.gap, label=args.label, site=args.site
        )
        tables = {
            each: _in_language(
                tally(results, each, zone=zone, site=args.site, label=summary.label), words
            )
            for each in wanted
        }
        examples = None
        if kind == ".html":
            labels = [figures.label for figures in summary.labels]
            labels = [label for label in labels if summary.label in (None, label)][:MOST_LABELS]
            examples = best_examples(results, labels, args.examples)
    if kind == ".html":
        write_text(args.output, html_page(summary, locale, tables, examples))
    elif args.output is not None:
        with write_atomically(args.output, binary=kind == ".xlsx") as file:
            write = _write_workbook if kind == ".xlsx" else _write_csv
            write(file.stream, summary, tables)
    if args.json is not None:
        write_json(args.json, summary.to_dict())
    _print(summary, with_labels=not by or args.output is not None)
    if by and args.output is None:
        _show(tables[by], words, args)
    inside = ""
    if examples is not None and examples.count:
        clips, size = counted(examples.count, "clip"), examples.size_bytes / 1e6
        inside = tr(
            ", with {clips} of the recordings in it ({size:.1f} MB; --examples 0: none)",
            clips=clips,
            size=size,
        )
    for path, more in ((args.output, inside), (args.json, "")):
        if path is not None and not args.quiet:
            print_message(tr("{path} is written{more}", path=path, more=more))


def _kind(output: Path | None) -> str:
    """The ending of the file that is wanted, "" for none. Raises OptionError."""
    suffix = "" if output is None else output.suffix.lower()
    suffix = ".html" if suffix == ".htm" else suffix
    if output is not None and suffix not in (".html", ".csv", ".xlsx"):
        raise OptionError(
            tr("-o needs a name that ends in .html, .csv or .xlsx, not {output}", output=output)
        )
    return suffix


def _in_language(table: Any, words: Words) -> Any:
    """A table with labels as they are shown."""
    if "label" not in table.column_names or not table.num_rows:
        return table
    labels = [words.label(label) for label in table["label"].to_pylist()]
    return table.set_column(table.column_names.index("label"), table.field("label"), [labels])


def _write_csv(stream: Any, summary: Summary, tables: Tables) -> None:
    from oido.writers.query_tables import write_table

    (table,) = tables.values()
    write_table(table.to_reader(), "csv", stream, quoted=True)


def _write_workbook(stream: Any, summary: Summary, tables: Tables) -> None:
    from oido.results.summary import about
    from oido.results.tallies import little_recorded
    from oido.writers.query_tables import plain_rows
    from oido.writers.workbook import Sheet, write_workbook

    sheets = [
        Sheet(
            f"by {', '.join(by)}",
            table.column_names,
            [row for batch in table.to_batches() for row in plain_rows(batch, days=True)],
            little_recorded(table.to_pylist(), by),
        )
        for by, table in tables.items()
    ]
    write_workbook(stream, [*sheets, Sheet("about", ("what", "value"), about(summary))])


def _show(table: Any, words: Words, args: argparse.Namespace) -> None:
    from oido.cli.tables import show_table
    from oido.results.report_page import column_head

    shown = table.drop_columns(["threshold"]).slice(0, _SCREEN_ROWS)  # it is told above
    show_table(shown, every_column=True, head=lambda name: column_head(name, words))
    if not args.quiet and shown.num_rows < table.num_rows:
        print_message(
            tr("the first {screen_rows} rows; -o summary.csv has all", screen_rows=_SCREEN_ROWS)
        )


def _print(summary: Summary, *, with_labels: bool) -> None:
    """The least that anybody wants to know."""
    from oido.models.labels import label_text
    from oido.results.summary import failure_text

    s, coverage = summary, summary.coverage
    length = (
        tr("{hours:,.1f} hours", hours=s.hours)
        if s.hours >= 1
        else tr("{hours:,.0f} seconds", hours=s.hours * 3600)
    )
    print(
        shown(
            tr(
                "{length} in {count}; {failed:,} failed",
                length=length,
                count=counted(s.succeeded, "recording"),
                failed=s.failed,
            )
        )
    )
    for kind, count in s.failure_kinds.items():
        print_line(
            tr("  {text} ({kind}): {count:,}", text=failure_text(kind), kind=kind, count=count)
        )
    if coverage.first is not None and coverage.last is not None:
        first, last = (f"{time:%Y-%m-%d %H:%M}" for time in (coverage.first, coverage.last))
        some, sites = coverage.sites_with_gaps, len(coverage.sites)
        where = ""
        if some and sites > 1:
            where = tr(", at {some:,} of {sites:,} sites", some=some, sites=sites)
        elif not coverage.gap_count and sites > 1:
            where = tr(" between the first and the last recording of a site")
        text = tr(
            "from {first} to {last} UTC, {gaps} of more than {gap_seconds:g} s{where}",
            first=first,
            last=last,
            gaps=counted(coverage.gap_count, "gap"),
            gap_seconds=s.gap_seconds,
            where=where,
        )
        print(shown(text))
    if s.with_sound > s.timed:
        print(
            shown(
                tr(
                    "the time of {count} is not known",
                    count=counted(s.with_sound - s.timed, "recording"),
                )
            )
        )
    if s.copies.recordings:
        file, first = s.copies.files[0]
        text = tr(
            "copies of others: {copies}, with {events} that count again, such as {file} of {first}",
            copies=counted(s.copies.recordings, "recording"),
            events=counted(s.copies.events, "event"),
            file=file,
            first=first,
        )
        print_line(text)
    if s.unlike:
        text = tr(
            "unlike everything that the model was taught: {unlike:,} of {compared:,} recordings",
            unlike=s.unlike,
            compared=s.compared,
        )
        print(shown(text))
    if s.is_mostly_unlike:
        print(shown(tr("  such a model says little of what is in them")))
    least = tr("the model's own threshold") if s.threshold is None else f"{s.threshold:g}"
    others: str = ""
    if s.label_thresholds:
        others = tr(", {labels} otherwise", labels=counted(len(s.label_thresholds), "label"))
    value, caveat = (
        (tr("probability"), "") if s.calibrated else (tr("score"), tr(" (no probability)"))
    )
    print(
        shown(
            tr(
                "{count} of {count_2}, with a {value}{caveat} of at least {least}{others}",
                count=counted(s.events, "event"),
                count_2=counted(len(s.labels), "label"),
                value=value,
                caveat=caveat,
                least=least,
                others=others,
            )
        )
    )
    asked = [figures for figures in s.labels if s.label in (None, figures.label)]
    if with_labels and s.label is not None and not asked:
        print_line(tr("  {label}: no event", label=label_text(s.label)))
    for figures in asked[: 10 * with_labels]:
        print_line(
            tr(
                "  {label}: {count} in {share:.1%} of recordings, {seconds:,.1f} s, "
                "highest {highest:.2f}",
                label=label_text(figures.label),
                count=counted(figures.events, "event"),
                share=figures.share,
                seconds=figures.seconds,
                highest=figures.highest,
            )
        )
