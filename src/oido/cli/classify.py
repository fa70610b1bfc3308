# SPDX-License-Identifier: Apache-2.0
"""Tell what is heard in recordings, and when.

examples:
  oido classify street.m4a
  oido classify recordings/ -o events.csv
  oido classify recordings/ -o events.csv --csv-cells exact     for programs only
  oido classify 'field/**/*.flac' -o results/ --format csv,raven
  oido classify talk.mp4 -o talk.srt --allow Applause --allow Laughter
  oido classify dawn.flac --allow Animal/ --locale es
  oido classify doorbell.wav --clip --top 10
  oido classify night.wav --windows --format jsonl --hop 0.24 > night.jsonl
  oido classify siren.wav --frames -o scores.npz
  oido classify archive/ -o results/ --resume
  oido classify https://example.org/dawn.flac
  cat clip.ogg | oido classify - --format json

Scores are the model's raw outputs from 0 to 1. They are not probabilities; a calibrated model, such
as `oido train` and `oido calibrate` write, has these beside them.

Rows go to standard output, or with -o to files, which appear under their names only when they are
whole, with a manifest beside them. Exit code: 0 all heard; 1 fatal; 2 wrong usage; 3 some
recordings failed (each is one line on standard error); 130 interrupted.
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING, Any

from oido.cli.arguments import add_command
from oido.cli.options import plan_of, quotes_cells
from oido.cli.terminal import interrupts_held
from oido.errors import OptionError
from oido.messages import tr
from oido.options import OPTIONS

if TYPE_CHECKING:
    from oido.batch.output_files import Sink
    from oido.batch.plan import Plan, Task
    from oido.writers.formats import Format


def add_parser(commands: Any) -> None:
    """Add ``oido classify``."""
    add = add_command(commands, "classify", _run, __doc__)
    add.paths()
    add_output = add.row_output(
        "table (for reading, the default), csv, jsonl, json, parquet, audacity, raven, srt, vtt; "
        "several at once with -o; with --frames also npz, the scores of all labels"
    )
    add_output.csv_cells()
    add_output(
        "--resume",
        "as `oido batch`: Parquet tables in a folder, going on where the last run stopped",
    )
    add_reported = add.reported()
    add_level = add_reported.one_of()
    for name, text in (
        ("events", "stretches of time in which a label is heard (the default)"),
        ("windows", "the best labels of each window, of YAMNet 0.975 s"),
        ("frames", "the best labels of each frame of 0.16 s, where the model gives such scores"),
        ("clip", "the best labels of the whole recording"),
    ):
        level: dict[str, Any] = {"dest": "level", "const": name, "default": "events"}
        add_level(f"--{name}", text, action="store_const", **level)
    add_reported.options("top")
    add.prediction("aggregation", "calibration", "head")


def _run(args: argparse.Namespace) -> int:
    with interrupts_held():
        from oido.cli.run_pool import run_plan
        from oido.writers.formats import format_named

    if args.resume:
        return _resume(args)
    plan = plan_of(args)
    known = _known_formats(args, plan)
    if plan.level == "frames" and _wants_arrays(args):
        return _run_arrays(args, plan)
    names = [name for text in args.format for name in text.split(",")]
    formats = [format_named(name, known) for name in names if name != "table"]
    if formats and "table" in names:
        raise OptionError(
            tr("table is for reading on the screen; leave it out beside other formats")
        )
    return run_plan(args, plan, lambda tasks: _sink(args, plan, tasks, formats))


def _known_formats(args: argparse.Namespace, plan: Plan) -> Sequence[Format]:
    from oido.writers.formats import CALIBRATED_FORMATS, FORMATS, for_spreadsheets

    known = CALIBRATED_FORMATS if plan.calibrated else FORMATS
    return for_spreadsheets(known) if quotes_cells(args) else known


def _wants_arrays(args: argparse.Namespace) -> bool:
    """Whether the scores of all labels are asked for, by format or by the output's name."""
    names = [name.strip().lower() for text in args.format for name in text.split(",")]
    if not names and args.output:
        return bool(args.output.lower().endswith(".npz"))
    if "npz" in names and len(names) > 1:
        raise OptionError(tr("npz has the scores of all labels: write it by itself"))
    return names == ["npz"]


def _run_arrays(args: argparse.Namespace, plan: Plan) -> int:
    """The scores of all labels of all frames, as arrays."""
    from oido.batch.output_files import ResultFiles
    from oido.cli.run_pool import run_plan
    from oido.models.loading import load_model
    from oido.writers.formats import FRAME_FORMAT

    if not args.output:
        raise OptionError(tr("npz is not for the screen: add -o frames.npz"))
    for name in ("top", "threshold", "allow", "deny"):
        if getattr(args, name) not in (None, (), []):
            raise OptionError(tr("npz has the scores of all labels: leave --{name} out", name=name))
    labels = load_model(plan.model, precision=plan.precision).head_named(plan.head).labels
    entry = FRAME_FORMAT._replace(writer=partial(FRAME_FORMAT.writer, labels=labels))
    plan = replace(plan, what="scores")
    return run_plan(
        args,
        plan,
        lambda tasks: ResultFiles(args.output, [entry], plan.table_name, tasks, known=[entry]),
    )


def _resume(args: argparse.Namespace) -> int:
    """The engine of `oido batch`, with this command's options."""
    from oido.cli.batch import run_archive

    if not args.output or args.format:
        raise OptionError(
            tr("--resume is for a folder of Parquet tables: say -o FOLDER/, and leave out --format")
        )
    args.clip_top = args.top or OPTIONS["clip_top"].default
    return run_archive(args)


def _sink(
    args: argparse.Namespace, plan: Plan, tasks: Sequence[Task], formats: list[Format]
) -> Sink:
    from oido.batch.output_files import ResultFiles
    from oido.cli.tables import StandardOutput, Table

    if args.output:
        known = _known_formats(args, plan)
        return ResultFiles(args.output, formats, plan.table_name, tasks, known=known)
    if not formats:
        return Table(
            several=len(tasks) > 1 or plan.channel == "each",
            level=plan.level,
            calibrated=plan.calibrated,
        )
    if len(formats) > 1:
        raise OptionError(tr("several formats need files: add -o FILE or -o FOLDER/"))
    if not formats[0].combined and len(tasks) > 1:
        raise OptionError(
            tr(
                "{name} is one file per recording: give a folder, such as -o results/",
                name=formats[0].name,
            )
        )
    return StandardOutput(formats[0])
