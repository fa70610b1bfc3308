# SPDX-License-Identifier: Apache-2.0
"""Find rows in a results folder, sorted by file, channel and time, or ask it in SQL.

examples:
  oido query results/ "label = 'Dog' and score > 0.5"
  oido query results/ "label in ('Siren', 'Alarm')" -o alarms.csv
  oido query results/ "score > 0.9" -o sure.csv --csv-cells exact
  oido query results/ "start_at >= '2023-10-15' and hour(start_at) < 6" --format jsonl
  oido query results/ --table recordings --where "failure_kind is not null" --format csv
  oido query results/ --sql "select label, count(*) from events group by label"
  oido query s3://bucket/results "score > 0.9" --table windows -o sure.parquet

A condition is SQL (DuckDB's) over the columns of one table: file, channel, start_time, end_time,
label, label_index, score, probability (calibrated models), and start_at, when the row began, in
UTC, where the recording's time is known. Recordings have recorded_at and time_from. With --sql the
tables are events, windows, clips, embeddings and recordings. Nothing is ever changed: a query is a
single SELECT, and reads nothing but the results. A folder that is still being written gives what
is committed. Scores are the model's raw outputs, not probabilities.
"""

from __future__ import annotations

import argparse
import sys
from typing import TYPE_CHECKING, Any

from oido.cli.arguments import add_command, local_path
from oido.cli.options import open_results, quotes_cells, table_format
from oido.cli.terminal import counted, data_output, print_message, use_utf8
from oido.errors import OptionError
from oido.messages import tr
from oido.models.labels import label_text

if TYPE_CHECKING:
    from oido.results import Results


_SCREEN_ROWS = 50
_SCREEN_COLUMNS = ("file", "recorded_at", "duration", "channels", "windows", "failure_reason")
"""Of recordings, which have too many for a screen."""


def add_parser(commands: Any) -> None:
    """Add ``oido query``."""
    add = add_command(commands, "query", _run, __doc__)
    add.results()
    add("condition CONDITION", "which rows, in SQL, right after RESULTS (default: all)", nargs="?")
    add("--where CONDITION", "the same, anywhere")
    add("--sql SELECT", "a whole query instead of a condition")
    add("--table TABLE", "events (the default), windows, clips, embeddings or recordings")
    add("--columns NAME[,NAME…]", "which columns, in this order")
    add(
        "--limit N",
        f"at most N rows; 0: all (default: all, on the screen {_SCREEN_ROWS})",
        type=int,
    )
    add_output = add.group("output")
    add_output("-o, --output FILE", "write a file", type=local_path)
    add_output(
        "--format FORMAT",
        "table (for reading, the default), csv, jsonl, json, parquet; a file's name tells it",
    )
    add_output.csv_cells()
    add_output.quiet("errors only")
    add.clock()


def _run(args: argparse.Namespace) -> None:
    from oido.writers.atomic import write_atomically
    from oido.writers.query_tables import write_table

    format_name = table_format(args)
    _refuse_contradictions(args)
    if args.limit is None and format_name == "table":
        args.limit = _SCREEN_ROWS
    is_binary = format_name == "parquet"
    with open_results(args, prints_doubts=not args.quiet) as results:
        reader = _reader(args, results, format_name)
        if args.output is not None:
            with write_atomically(args.output, is_binary) as file:
                quoted = quotes_cells(args)
                rows = write_table(reader, format_name, file.stream, quoted=quoted)
            if not args.quiet:
                print_message(
                    tr("{rows} in {output}", rows=counted(rows, "row"), output=args.output)
                )
        elif format_name == "table":
            _show(reader, args, results)
        else:
            if not is_binary:
                use_utf8(newline="")
            stream = sys.stdout.buffer if is_binary else data_output()
            write_table(reader, format_name, stream, quoted=quotes_cells(args))


def _refuse_contradictions(args: argparse.Namespace) -> None:
    if args.condition is not None:
        if args.where is not None:
            raise OptionError(tr("say the condition once: after RESULTS, or with --where"))
        args.where = args.condition
    if args.sql is not None:
        for name, value in (
            (tr("a condition"), args.where),
            ("--table", args.table),
            ("--columns", args.columns),
        ):
            if value is not None:
                raise OptionError(
                    tr("--sql is a whole query: leave out {name}, or --sql", name=name)
                )
    if args.limit is not None and args.limit < 0:
        raise OptionError(
            tr("--limit is 1 row or more, or 0 for all, not {limit}", limit=args.limit)
        )


def _reader(args: argparse.Namespace, results: Results, format_name: str) -> Any:
    """The rows that are asked for; on the screen one more than are shown, to tell of the rest."""
    limit = args.limit or None
    if limit is not None and format_name == "table":
        limit += 1
    if args.sql is None:
        table = args.table or "events"
        columns = [c.strip() for c in args.columns.split(",")] if args.columns else None
        if columns is None and format_name == "table" and table == "recordings":
            columns = list(_SCREEN_COLUMNS)
        elif columns is None and format_name == "table":  # what fits a line
            columns = [name for name in results.columns(table) if name != "also"]
        return results.batches(table, args.where, columns=columns, limit=limit)
    reader = results.sql_batches(args.sql)
    return reader if limit is None else _first(reader, limit)


def _first(reader: Any, limit: int) -> Any:
    """No more than so many rows of a reader."""

    def batches() -> Any:
        left = limit
        for batch in reader:
            if left <= 0:
                break
            yield batch.slice(0, left)
            left -= batch.num_rows

    return type(reader).from_batches(reader.schema, batches())


def _show(reader: Any, args: argparse.Namespace, results: Results) -> None:
    from oido.cli.tables import show_table
    from oido.results.query_text import quoted

    table = reader.read_all()
    shown = table.slice(0, args.limit) if args.limit else table
    show_table(shown, every_column=args.sql is not None or args.columns is not None)
    if not args.quiet and shown.num_rows < table.num_rows:
        print_message(tr("the first {limit} rows; --limit 0 shows all", limit=args.limit))
    if not args.quiet and not table.num_rows and args.where is not None:
        for label, count in results.among_others(args.table or "events", args.where).items():
            rows = tr("1 row stands") if count == 1 else tr("{count} rows stand", count=count)
            print_message(
                tr(
                    "{rows} for {label} under a closer label: also like {quoted}",
                    rows=rows,
                    label=label_text(label),
                    quoted=quoted(f"%{label}%"),
                )
            )
        for name, file in results.longer_names(args.where).items():
            where = tr("file like {quoted}", quoted=quoted(f"%{name}"))
            print_message(
                tr("names of files are whole, such as {file}: {where}", file=file, where=where)
            )
