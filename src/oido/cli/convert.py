# SPDX-License-Identifier: Apache-2.0
"""``oido convert``: a results folder in other formats."""

from __future__ import annotations

import argparse
import sys
from typing import Any

from oido.cli.options import add_clock_options, add_results, clock_of, print_doubts

__all__ = ["add_parser"]

_EPILOG = """\
examples:
  oido convert results/ -o events.csv
  oido convert results/ -o labels/ --format audacity --where "label = 'Dog'"
  oido convert results/ -o raven/ --format raven
  oido convert results/ -o all.selections.txt --format raven --combined
  oido convert results/ -o tables/ --format csv,jsonl --split --table windows

Formats are those of `oido classify`. Tables are one file for all recordings, unless you say
--split; labels and captions are one file for each, in folders like those of the recordings. Raven
can be --combined: one selection table for the recordings in the order of their names, with times
that run on from one to the next. Files appear under their names only when they are whole, and
replace the file that you name with -o. In a folder they replace what oido wrote there, and nothing
that is somebody else's or was changed since. How many were replaced is told.
"""


def add_parser(commands: Any) -> None:
    """Add ``oido convert``."""
    parser = commands.add_parser(
        "convert",
        help="write a results folder in other formats",
        description="Write the rows of a results folder in other formats.",
        epilog=_EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    add_results(parser)
    parser.add_argument(
        "-o", "--output", metavar="FILE-or-FOLDER/", required=True, help="where to write"
    )
    parser.add_argument(
        "--format",
        metavar="FORMAT[,FORMAT…]",
        action="append",
        default=[],
        help="csv, jsonl, json, parquet, audacity, raven, srt, vtt; of embeddings parquet, npz "
        "(default: what the name tells)",
    )
    parser.add_argument("--where", metavar="CONDITION", help="which rows, in SQL (default: all)")
    parser.add_argument(
        "--table",
        metavar="TABLE",
        default="events",
        help="events (the default), windows, clips or embeddings",
    )
    files = parser.add_mutually_exclusive_group()
    files.add_argument(
        "--combined",
        dest="combined",
        action="store_const",
        const=True,
        help="one file for all recordings",
    )
    files.add_argument(
        "--split",
        dest="combined",
        action="store_const",
        const=False,
        help="one file for each recording",
    )
    parser.add_argument("-q", "--quiet", action="store_true", help="errors only")
    add_clock_options(parser)
    parser.set_defaults(run=_run)


def _run(args: argparse.Namespace) -> int:
    from oido.cli.exit_codes import EXIT_OK
    from oido.results import Results
    from oido.results.convert import convert

    formats = [name for text in args.format for name in text.split(",")]
    with Results(args.results, clock_of(args)) as results:
        if args.where and not args.quiet:
            print_doubts(results.doubts)
        done = convert(
            results,
            args.output,
            formats,
            table=args.table,
            where=args.where,
            combined=args.combined,
        )
    if not args.quiet:
        files = str(done.files[0]) if len(done.files) == 1 else f"{len(done.files)} files"
        replaced = f", {done.replaced} of them replaced" if done.replaced else ""
        print(
            f"oido: {done.rows} rows of {done.recordings} recordings in {files}{replaced}",
            file=sys.stderr,
        )
    return EXIT_OK
