# SPDX-License-Identifier: Apache-2.0
"""How commands declare themselves and their options, and what they make of shared ones.

Options of a prediction come from the table in `oido.options`; a command's own are written as its
help shows them: ``add_argument(parser, "-o, --output FILE", "write here")``.
"""

from __future__ import annotations

import argparse
import os
import shutil
import sys
import tempfile
from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from oido.cli.terminal import print_message
from oido.errors import OptionError
from oido.options import FLAG, LABELS, OPTIONS

if TYPE_CHECKING:
    from oido.batch.plan import Plan, Task
    from oido.batch.sources import Recording
    from oido.results import Clock

__all__ = [
    "add_argument",
    "add_clock_options",
    "add_command",
    "add_detection_options",
    "add_label_options",
    "add_options",
    "add_paths",
    "add_prediction_options",
    "add_quiet",
    "add_report_options",
    "add_results",
    "add_row_output_options",
    "adder",
    "clock_of",
    "fetch_model",
    "make_tasks",
    "plan_of",
    "print_doubts",
    "require_suffix",
]

Command = Callable[[argparse.Namespace], int]


def add_command(
    commands: Any, name: str, run: Command | None, text: str
) -> argparse.ArgumentParser:
    """A command and what runs it; None: one of its own subcommands.

    text: its line in the list of commands, its description, and what its help ends with, with an
    empty line between them.
    """
    line, description, epilog = [*text.split("\n\n", 2), "", ""][:3]
    parser: argparse.ArgumentParser = commands.add_parser(
        name,
        help=line,
        description=" ".join(description.split()) or None,
        epilog=epilog or None,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    if run is not None:
        parser.set_defaults(run=run)
    return parser


def add_argument(group: Any, usage: str, text: str | None = None, **more: Any) -> None:
    """An argument as usage shows it: "-o, --output FILE", "--check" (a flag), or "data DATA"."""
    names, _, metavar = usage.replace(", ", ",").partition(" ")
    more["help"] = text
    if metavar:
        more["metavar"] = metavar
    elif not more.keys() & {"action", "choices", "default"}:
        more["action"] = "store_true"
    group.add_argument(*names.split(","), **more)


def adder(group: Any) -> Callable[..., None]:
    """`add_argument` of this parser or group."""
    return partial(add_argument, group)


def add_options(group: Any, *names: str, **more: Any) -> None:
    """Options of the table by their names; more: what one command has otherwise, such as help."""
    for name in names:
        option = OPTIONS[name]
        flag = f"--{name.replace('_', '-')}"
        facts: dict[str, Any] = {"default": option.default, "help": option.help}
        if option.kind is FLAG:
            facts["action"] = "store_true"
        elif option.choices:
            facts["choices"] = option.choices
        elif option.kind is LABELS:
            facts |= {"metavar": option.metavar, "action": "append", "default": []}
        else:
            facts |= {"metavar": option.metavar, "type": partial(option.read, name=flag)}
        group.add_argument(flag, **(facts | more))


def add_quiet(group: Any, text: str = "no progress, errors only") -> None:
    """``-q``."""
    add_argument(group, "-q, --quiet", text)


def add_paths(parser: argparse.ArgumentParser) -> None:
    """The recordings to predict."""
    add_argument(
        parser,
        "paths PATH",
        "a recording or video, a folder (searched to the bottom), a pattern in quotes, "
        "or - for standard input",
        nargs="+",
    )


def add_row_output_options(
    parser: argparse.ArgumentParser, formats: str
) -> argparse._ArgumentGroup:
    """Where rows go, and how much is printed on the way."""
    group = parser.add_argument_group("output")
    add = adder(group)
    add("-o, --output FILE-or-FOLDER/", "write files instead of standard output")
    add("--format FORMAT[,FORMAT…]", formats, action="append", default=[])
    add_quiet(group)
    add("-v, --verbose", "a line per recording, details")
    return group


def add_label_options(group: Any, *, of_allow: str = "") -> None:
    """Which labels, and in which language; of_allow: appended to the help of --allow."""
    lists = group.add_mutually_exclusive_group()
    add_options(lists, "allow", help=OPTIONS["allow"].help + of_allow)
    add_options(lists, "deny")
    add_options(group, "locale", "rollup")


def add_detection_options(group: Any) -> None:
    """How scores become events, but for the thresholds."""
    add_options(group, "off_ratio", "min_duration", "merge_gap")


def add_report_options(parser: argparse.ArgumentParser) -> argparse._ArgumentGroup:
    """Which labels and events are reported."""
    group = parser.add_argument_group("what is reported")
    add_options(group, "threshold", "thresholds")
    add_label_options(group)
    add_detection_options(group)
    return group


def add_prediction_options(parser: argparse.ArgumentParser, *names: str) -> argparse._ArgumentGroup:
    """Model, windows, channels, workers; names: of further options."""
    group = parser.add_argument_group("how it is heard")
    add_options(group, "model", "precision", "hop", "channel", "jobs", *names)
    return group


def fetch_model(name_or_path: str) -> str:
    """Fetch a model by name here and once, so that the workers only read it."""
    from oido.models import fetch
    from oido.models.registry import CATALOG, ENSEMBLE, ENSEMBLE_MEMBERS

    names = ENSEMBLE_MEMBERS if name_or_path == ENSEMBLE else (name_or_path,)
    for entry in CATALOG:
        if entry.name in names:
            fetch.fetch(entry, on_message=print_message)
    return name_or_path


def plan_of(args: argparse.Namespace, **fixed: Any) -> Plan:
    """The plan of a command's options; its model is fetched. Raises OptionError.

    fixed: values of options that the command has not, or means otherwise.
    """
    from oido.batch.plan import make_plan

    calibrated = args.calibration is not None
    if not calibrated and args.model.endswith(".tflite"):
        # An import that the command does without otherwise: it starts sooner.
        from oido.models.loading import is_calibrated

        calibrated = is_calibrated(args.model, args.head)
    model = fetch_model(args.model)
    values = {**vars(args), **fixed}
    return make_plan(values, model=model, precision=args.precision, calibrated=calibrated)


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


def require_suffix(option: str, path: Path | None, *suffixes: str) -> None:
    """Raise OptionError for a file whose name does not end in one of these."""
    if path is not None and path.suffix.lower() not in suffixes:
        raise OptionError(f"{option} needs a name that ends in {suffixes[0]}, not {path}")


def add_results(parser: argparse.ArgumentParser) -> None:
    """The results folder."""
    add_argument(parser, "results RESULTS", "a results folder of `oido batch`, path or URL")


def add_clock_options(parser: argparse.ArgumentParser) -> None:
    """When a recording began."""
    add = adder(parser.add_argument_group("when recordings began"))
    add(
        "--time-pattern PATTERN",
        "where the time stands in a name, such as %%Y%%m%%d_%%H%%M%%S, or in a path, with a "
        "slash (default: what recorders write)",
    )
    add(
        "--time-zone ZONE",
        "of times that do not tell it, such as Europe/Madrid or +02:00 (default UTC)",
        default="UTC",
    )
    add(
        "--time-from SOURCE",
        "name, tags, auto (name, then tags; the default), or modified: when the file was last "
        "written, less its duration",
        default="auto",
    )


def clock_of(args: argparse.Namespace) -> Clock:
    """The clock that these options describe. Raises OptionError."""
    from oido.results import Clock

    return Clock(args.time_pattern, args.time_zone, args.time_from)


_DOUBTS = {
    "ambiguous": "came twice on the recorder's clock, which was set back; the first is taken",
    "impossible": "never came on a clock of that zone, which was set forward; left unknown",
    "not set": "come from a clock that was not set; left unknown",
}


def print_doubts(doubts: Mapping[str, int]) -> None:
    """A line for each kind of doubt about times, on standard error."""
    for doubt, count in doubts.items():
        times = "the time of 1 recording" if count == 1 else f"the times of {count} recordings"
        print_message(f"{times} {_DOUBTS[doubt]}")
