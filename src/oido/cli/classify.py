# SPDX-License-Identifier: Apache-2.0
"""``oido classify``: what is heard in recordings."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from contextlib import ExitStack
from typing import TYPE_CHECKING, Any

from oido.cli.options import (
    add_inference_options,
    add_output_options,
    add_paths,
    add_reading_options,
    add_report_options,
    make_plan,
    make_tasks,
)
from oido.cli.terminal import interrupts_held
from oido.errors import OptionError
from oido.params import available_cores

if TYPE_CHECKING:
    from oido.batch.output_files import Sink
    from oido.batch.plan import Plan, Task
    from oido.writers import Format

__all__ = ["add_parser"]

_EPILOG = """\
examples:
  oido classify street.m4a
  oido classify recordings/ -o events.csv
  oido classify 'field/**/*.flac' -o results/ --format csv,raven
  oido classify talk.mp4 -o talk.srt --allow Applause --allow Laughter
  oido classify dawn.flac --allow Animal/ --locale es
  oido classify doorbell.wav --clip --top 10
  oido classify night.wav --windows --format jsonl --hop 0.24 > night.jsonl
  oido classify archive/ -o results/ --resume
  cat clip.ogg | oido classify - --format json

Scores are the model's raw outputs from 0 to 1. They are not probabilities.

Rows go to standard output, or with -o to files, which appear under their names only when they are
whole, with a manifest beside them. Exit code: 0 all heard; 1 fatal; 2 wrong usage; 3 some
recordings failed (each is one line on standard error); 130 interrupted.
"""


def add_parser(commands: Any) -> None:
    """Add ``oido classify``."""
    parser = commands.add_parser(
        "classify",
        help="tell what is heard in recordings, and when",
        description="Tell what is heard in recordings, and when.",
        epilog=_EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    add_paths(parser)
    output = add_output_options(
        parser,
        "table (for reading, the default), csv, jsonl, json, parquet, audacity, raven, srt, vtt; "
        "several at once with -o",
    )
    output.add_argument(
        "--resume",
        action="store_true",
        help="as `oido batch`: Parquet tables in a folder, going on where the last run stopped",
    )
    _add_levels(add_report_options(parser))
    add_reading_options(add_inference_options(parser))
    parser.set_defaults(run=_run)


def _add_levels(group: argparse._ArgumentGroup) -> None:
    level = group.add_mutually_exclusive_group()
    for name, text in (
        ("events", "stretches of time in which a label is heard (the default)"),
        ("windows", "the best labels of each window of 0.975 s"),
        ("clip", "the best labels of the whole recording"),
    ):
        level.add_argument(
            f"--{name}", dest="level", action="store_const", const=name, default="events", help=text
        )
    group.add_argument(
        "--top",
        metavar="N",
        type=int,
        help="at most N labels per window or clip (default 5), or the N strongest events",
    )


def _run(args: argparse.Namespace) -> int:
    with interrupts_held():
        from oido.batch.process_pool import LocalPool
        from oido.batch.sources import find_recordings
        from oido.cli.exit_codes import EXIT_FAILED_FILES, EXIT_OK
        from oido.cli.run_pool import run_files
        from oido.writers import CALIBRATED_FORMATS, FORMATS, format_named

    if args.resume:
        return _resume(args)
    plan = make_plan(args)
    known = CALIBRATED_FORMATS if plan.calibrated else FORMATS
    formats = [
        format_named(name, known)
        for text in args.format
        for name in text.split(",")
        if name != "table"
    ]
    if formats and any("table" in text.split(",") for text in args.format):
        raise OptionError("table is for reading on the screen; leave it out beside other formats")
    recordings = find_recordings(args.paths)
    jobs = args.jobs or available_cores()
    with ExitStack() as stack:
        # First of all, so that the workers load while the rest is prepared.
        with interrupts_held():
            pool = stack.enter_context(LocalPool(plan, min(jobs, len(recordings))))
        tasks = make_tasks(recordings, jobs, stack)
        with interrupts_held():
            sink = stack.enter_context(_sink(args, plan, tasks, formats))
        failed = run_files(pool, plan, tasks, sink, quiet=args.quiet, verbose=args.verbose)
    return EXIT_FAILED_FILES if failed else EXIT_OK


def _resume(args: argparse.Namespace) -> int:
    """The engine of `oido batch`, with this command's options."""
    from oido.cli.batch import run_archive

    if not args.output or args.format:
        raise OptionError(
            "--resume is for a folder of Parquet tables: say -o FOLDER/, and leave out --format"
        )
    args.clip_top = args.top or 5
    args.level, args.top = "events", None
    return run_archive(args)


def _sink(
    args: argparse.Namespace, plan: Plan, tasks: Sequence[Task], formats: list[Format]
) -> Sink:
    from oido.batch.output_files import ResultFiles
    from oido.cli.tables import StandardOutput, Table
    from oido.writers import CALIBRATED_FORMATS, FORMATS

    if args.output:
        known = CALIBRATED_FORMATS if plan.calibrated else FORMATS
        return ResultFiles(args.output, formats, plan.table_name, tasks, known=known)
    if not formats:
        return Table(
            several=len(tasks) > 1 or plan.channel == "each",
            level=plan.level,
            calibrated=plan.calibrated,
        )
    if len(formats) > 1:
        raise OptionError("several formats need files: add -o FILE or -o FOLDER/")
    if not formats[0].combined and len(tasks) > 1:
        raise OptionError(
            f"{formats[0].name} is one file per recording: give a folder, such as -o results/"
        )
    return StandardOutput(formats[0])
