# SPDX-License-Identifier: Apache-2.0
"""Options that several commands share, and what they make of them: plan, tasks, model and clock."""

from __future__ import annotations

import argparse
import os
import shutil
import sys
import tempfile
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from typing import TYPE_CHECKING

from oido.params import AGGREGATIONS

if TYPE_CHECKING:
    from oido.batch.plan import Plan, Task
    from oido.batch.sources import Recording
    from oido.results import Clock

__all__ = [
    "add_clock_options",
    "add_inference_options",
    "add_label_options",
    "add_model_options",
    "add_output_options",
    "add_paths",
    "add_reading_options",
    "add_report_options",
    "add_results",
    "clock_of",
    "fetch_model",
    "make_plan",
    "make_tasks",
    "print_doubts",
]


def add_paths(parser: argparse.ArgumentParser) -> None:
    """The recordings to hear."""
    parser.add_argument(
        "paths",
        metavar="PATH",
        nargs="+",
        help="a recording or video, a folder (searched to the bottom), a pattern in quotes, "
        "or - for standard input",
    )


def add_output_options(parser: argparse.ArgumentParser, formats: str) -> argparse._ArgumentGroup:
    """Where rows go, and how much is told on the way."""
    group = parser.add_argument_group("output")
    group.add_argument(
        "-o", "--output", metavar="FILE-or-FOLDER/", help="write files instead of standard output"
    )
    group.add_argument(
        "--format", metavar="FORMAT[,FORMAT…]", action="append", default=[], help=formats
    )
    group.add_argument("-q", "--quiet", action="store_true", help="no progress, errors only")
    group.add_argument("-v", "--verbose", action="store_true", help="a line per recording, details")
    return group


def add_model_options(group: argparse._ArgumentGroup) -> None:
    """The model, and how far its windows are apart."""
    group.add_argument(
        "--model", metavar="NAME-or-FILE", default="yamnet/classification", help="see `oido models`"
    )
    group.add_argument(
        "--precision",
        choices=("int8", "float32"),
        help="float32: a quantised YAMNet's weights with float activations (default: the file's)",
    )
    group.add_argument(
        "--hop",
        metavar="SECONDS",
        type=float,
        help="step between windows, for YAMNet a multiple of 0.01 up to 0.96 (default 0.48)",
    )


def add_label_options(group: argparse._ArgumentGroup, *, of_allow: str = "") -> None:
    """Which labels, and in which language; of_allow: what else the help of --allow says."""
    lists = group.add_mutually_exclusive_group()
    lists.add_argument(
        "--allow",
        metavar="LABEL",
        action="append",
        default=[],
        help=f"only this label (repeat); Animal/ is Animal and all below it{of_allow}",
    )
    lists.add_argument(
        "--deny", metavar="LABEL", action="append", default=[], help="all but this label (repeat)"
    )
    group.add_argument(
        "--locale",
        metavar="LANGUAGE",
        default="en",
        help="language of the labels that are written: en (default) or es",
    )
    group.add_argument(
        "--rollup",
        action="store_true",
        help="give each class the highest score of its own and of those below it",
    )


def add_inference_options(parser: argparse.ArgumentParser) -> argparse._ArgumentGroup:
    """Model, windows, channels, workers."""
    group = parser.add_argument_group("how it is heard")
    add_model_options(group)
    group.add_argument(
        "--channel",
        metavar="mix|each|N",
        type=_channel,
        default="mix",
        help="the mean of all channels (default), each by itself, or channel N from 0",
    )
    group.add_argument(
        "--jobs", metavar="N", type=_jobs, help="worker processes (default: one per core)"
    )
    return group


def fetch_model(name_or_path: str) -> str:
    """Fetch a model by name here and once, so that the workers only read it."""
    from oido.models import fetch
    from oido.models.registry import CATALOG, ENSEMBLE, ENSEMBLE_MEMBERS

    names = ENSEMBLE_MEMBERS if name_or_path == ENSEMBLE else (name_or_path,)
    for entry in CATALOG:
        if entry.name in names:
            fetch.fetch(entry, on_message=lambda line: print(f"oido: {line}", file=sys.stderr))
    return name_or_path


def make_tasks(recordings: Sequence[Recording], jobs: int, stack: ExitStack) -> list[Task]:
    """A task for each recording; standard input becomes a file that lasts as long as the stack."""
    from oido.batch.plan import Task
    from oido.batch.process_pool import share_threads

    names = ["<stdin>" if r.path == "-" else r.path for r in recordings]
    relatives = ["stdin" if r.path == "-" else r.relative for r in recordings]
    paths = [_spooled_input(stack) if r.path == "-" else r.path for r in recordings]
    sizes = [os.path.getsize(path) if os.path.isfile(path) else 0 for path in paths]
    fields = zip(paths, names, relatives, share_threads(sizes, jobs), sizes)
    return [Task(number, *values) for number, values in enumerate(fields)]


def _spooled_input(stack: ExitStack) -> str:
    """Standard input as a file, because many formats cannot be read from a pipe."""
    folder = stack.enter_context(tempfile.TemporaryDirectory(prefix="oido-"))
    path = os.path.join(folder, "stdin")
    with open(path, "wb") as file:
        shutil.copyfileobj(sys.stdin.buffer, file, 1 << 20)
    return path


def _channel(text: str) -> str | int:
    if text in ("mix", "each"):
        return text
    if text.isdecimal():
        return int(text)
    raise argparse.ArgumentTypeError(f"must be mix, each or a number from 0, not {text!r}")


def _jobs(text: str) -> int:
    if text.isdecimal() and int(text) > 0:
        return int(text)
    raise argparse.ArgumentTypeError(f"must be a number from 1, not {text!r}")


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


_DOUBTS = {
    "ambiguous": "came twice on the recorder's clock, which was set back; the first is taken",
    "impossible": "never came on a clock of that zone, which was set forward; left unknown",
    "not set": "come from a clock that was not set; left unknown",
}


def add_results(parser: argparse.ArgumentParser) -> None:
    """The results folder."""
    parser.add_argument(
        "results", metavar="RESULTS", help="a results folder of `oido batch`, path or URL"
    )


def add_clock_options(parser: argparse.ArgumentParser) -> None:
    """When a recording began."""
    group = parser.add_argument_group("when recordings began")
    group.add_argument(
        "--time-pattern",
        metavar="PATTERN",
        help="where the time stands in a name, such as %%Y%%m%%d_%%H%%M%%S, or in a path, with a "
        "slash (default: what recorders write)",
    )
    group.add_argument(
        "--time-zone",
        metavar="ZONE",
        default="UTC",
        help="of times that do not tell it, such as Europe/Madrid or +02:00 (default UTC)",
    )
    group.add_argument(
        "--time-from",
        metavar="SOURCE",
        default="auto",
        help="name, tags, auto (name, then tags; the default), or modified: when the file was last "
        "written, less its duration",
    )


def clock_of(args: argparse.Namespace) -> Clock:
    """What these options say. Raises OptionError."""
    from oido.results import Clock

    return Clock(args.time_pattern, args.time_zone, args.time_from)


def print_doubts(doubts: Mapping[str, int]) -> None:
    """A line for each kind of doubt about times, on standard error."""
    for doubt, count in doubts.items():
        times = "the time of 1 recording" if count == 1 else f"the times of {count} recordings"
        print(f"oido: {times} {_DOUBTS[doubt]}", file=sys.stderr)
