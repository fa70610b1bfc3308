# SPDX-License-Identifier: Apache-2.0
"""Write the rows of a results folder in other formats.

examples:
  oido convert results/ -o events.csv
  oido convert results/ -o events.csv --csv-cells exact     for programs only
  oido convert results/ -o labels/ --format audacity --where "label = 'Dog'"
  oido convert results/ -o raven/ --format raven
  oido convert results/ -o all.selections.txt --format raven --combined
  oido convert results/ -o tables/ --format csv,jsonl --split --table windows

Formats are those of `oido classify`. Tables are one file for all recordings, unless you say
--split; labels and captions are one file for each, in folders like those of the recordings. Tables
and Raven's end in the column start_at: when each row began, in UTC, where the recording's time is
known. Raven can be --combined: one selection table for the recordings in the order of their names,
with times that run on from one to the next. Files appear under their names only when they are
whole, and replace the file that you name with -o. In a folder they replace what oido wrote there,
and nothing that is somebody else's or was changed since. How many were replaced is told. A
recording whose own file cannot be written is a line on standard error, and exit code 3.
"""

from __future__ import annotations

import argparse
from typing import Any

from oido.cli.arguments import add_command
from oido.cli.options import open_results, quotes_cells
from oido.cli.terminal import EXIT_FAILED_FILES, EXIT_OK, counted, print_message
from oido.messages import tr


def add_parser(commands: Any) -> None:
    """Add ``oido convert``."""
    add = add_command(commands, "convert", _run, __doc__)
    add.results()
    add("-o, --output FILE-or-FOLDER/", "where to write", required=True)
    add(
        "--format FORMAT[,FORMAT…]",
        "csv, jsonl, json, parquet, audacity, raven, srt, vtt; of embeddings parquet, npz "
        "(default: what the name tells)",
        action="append",
        default=[],
    )
    add("--where CONDITION", "which rows, in SQL (default: all)")
    add("--table TABLE", "events (the default), windows, clips or embeddings", default="events")
    add_files = add.one_of()
    add_files(
        "--combined",
        "one file for all recordings",
        dest="combined",
        action="store_const",
        const=True,
    )
    add_files(
        "--split", "one file for each recording", dest="combined", action="store_const", const=False
    )
    add.csv_cells()
    add.quiet("errors only")
    add.clock()


def _run(args: argparse.Namespace) -> int:
    from oido.results.convert import convert

    formats = [name for text in args.format for name in text.split(",")]
    with open_results(args, prints_doubts=not args.quiet) as results:
        done = convert(
            results,
            args.output,
            formats,
            table=args.table,
            where=args.where,
            combined=args.combined,
            quoted=quotes_cells(args),
        )
    if not args.quiet:
        files = (
            str(done.files[0])
            if len(done.files) == 1
            else tr("{n_files} files", n_files=len(done.files))
        )
        replaced = ""
        if done.replaced:
            of_several = tr(", {replaced} of them replaced", replaced=done.replaced)
            replaced = tr(" (replaced)") if len(done.files) == 1 else of_several
        print_message(
            tr(
                "{rows} of {recordings} in {files}{replaced}",
                rows=counted(done.rows, "row"),
                recordings=counted(done.recordings, "recording"),
                files=files,
                replaced=replaced,
            )
        )
    for failure in done.failures:
        print_message(failure)
    return EXIT_FAILED_FILES if done.failures else EXIT_OK
