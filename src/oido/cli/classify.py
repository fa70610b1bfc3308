# SPDX-License-Identifier: Apache-2.0
"""``oido classify``: what is heard in recordings."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from contextlib import ExitStack
from typing import TYPE_CHECKING, Any

from oido.cli.interrupting import interrupts_held
from oido.cli.recordings import (
    add_hearing_options,
    add_label_options,
    add_output_options,
    add_paths,
    fetch_model,
    make_tasks,
)
from oido.errors import OptionError
from oido.params import AGGREGATIONS, available_cores

if TYPE_CHECKING:
    from oido.batch.plan import Plan, Task
    from oido.batch.results import Sink
    from oido.writers import Format

__all__ = ["add_parser", "add_reading_options", "add_report_options", "make_plan"]

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
    add_reading_options(add_hearing_options(parser))
    parser.set_defaults(run=_run)


def add_reading_options(group: argparse._ArgumentGroup) -> None:
    """How scores are read."""
    group.add_argument(
        "--aggregation",
        choices=AGGREGATIONS,
        help=f"how windows become a clip (default: the model's own, or {AGGREGATIONS[0]})",
    )
    group.add_argument(
        "--calibration",
        metavar="FILE.json",
        help="what `oido calibrate` made for this model: probabilities and thresholds",
    )
    group.add_argument(
        "--head", metavar="NAME", help="of a model with several: which one (default: the last)"
    )


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


def add_report_options(parser: argparse.ArgumentParser) -> argparse._ArgumentGroup:
    """Which labels and events are reported."""
    group = parser.add_argument_group("what is reported")
    group.add_argument(
        "--threshold",
        metavar="SCORE",
        type=float,
        help="lowest score, 0..1, or probability of a calibrated model (default for events: the "
        "model's own, or 0.3; else 0)",
    )
    group.add_argument(
        "--thresholds",
        metavar="FILE",
        help="thresholds per label for events: CSV lines label,threshold, or a JSON object",
    )
    add_label_options(group)
    group.add_argument(
        "--off-ratio",
        metavar="R",
        type=float,
        default=0.5,
        help="an event lasts while its score is at least R × threshold (default 0.5)",
    )
    group.add_argument(
        "--min-duration",
        metavar="SECONDS",
        type=float,
        default=0.0,
        help="drop shorter events (default 0)",
    )
    group.add_argument(
        "--merge-gap",
        metavar="SECONDS",
        type=float,
        default=0.0,
        help="join events of one label this close (default 0)",
    )
    return group


def make_plan(args: argparse.Namespace) -> Plan:
    from oido.batch.plan import Plan
    from oido.params import Detection, Selection

    thresholds: tuple[tuple[str, float], ...] = ()
    if args.thresholds:
        from oido.events.thresholds import read_thresholds

        thresholds = read_thresholds(args.thresholds)
    is_events = args.level == "events"
    limited = args.top is not None or args.threshold is not None
    detection = Detection(
        args.threshold if is_events else None,
        args.off_ratio,
        args.min_duration,
        args.merge_gap,
        thresholds,
    )
    return Plan(
        model=fetch_model(args.model),
        level=args.level,
        hop=args.hop,
        channel=args.channel,
        aggregation=args.aggregation,
        locale=args.locale,
        rollup=args.rollup,
        precision=args.precision,
        head=args.head,
        calibrated=args.calibration is not None or _is_calibrated(args.model, args.head),
        calibration=args.calibration,
        detection=detection,
        selection=Selection(
            max_results=args.top,
            score_threshold=None if is_events else args.threshold,
            category_allowlist=tuple(args.allow),
            category_denylist=tuple(args.deny),
        ),
        top=args.top if is_events or limited else 5,
    )


def _is_calibrated(model: str, head: str | None) -> bool:
    if not model.endswith(".tflite"):
        return False
    # Imports that the command does without otherwise: it starts sooner.
    from oido.models.loading import is_calibrated

    return is_calibrated(model, head)


def _run(args: argparse.Namespace) -> int:
    with interrupts_held():
        from oido.batch.inputs import find_recordings
        from oido.batch.local import LocalPool
        from oido.cli.hearing import hear_all
        from oido.cli.main import EXIT_FAILED_FILES, EXIT_OK
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
        failed = hear_all(pool, plan, tasks, sink, quiet=args.quiet, verbose=args.verbose)
    return EXIT_FAILED_FILES if failed else EXIT_OK


def _resume(args: argparse.Namespace) -> int:
    """The engine of `oido batch`, with this command's options."""
    from oido.cli.batch import hear_archive

    if not args.output or args.format:
        raise OptionError(
            "--resume is for a folder of Parquet tables: say -o FOLDER/, and leave out --format"
        )
    args.clip_top = args.top or 5
    args.level, args.top = "events", None
    return hear_archive(args)


def _sink(
    args: argparse.Namespace, plan: Plan, tasks: Sequence[Task], formats: list[Format]
) -> Sink:
    from oido.batch.results import ResultFiles
    from oido.cli.screen import StandardOutput, Table
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
