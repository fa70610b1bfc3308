# SPDX-License-Identifier: Apache-2.0
"""What every command that hears recordings has in common: its options, its model, its tasks."""

from __future__ import annotations

import argparse
import os
import shutil
import sys
import tempfile
from collections.abc import Sequence
from contextlib import ExitStack
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from oido.batch.inputs import Recording
    from oido.batch.plan import Task

__all__ = [
    "add_hearing_options",
    "add_model_options",
    "add_output_options",
    "add_paths",
    "fetch_model",
    "make_tasks",
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


def add_hearing_options(parser: argparse.ArgumentParser) -> argparse._ArgumentGroup:
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
            fetch.fetch(entry, say=lambda line: print(f"oido: {line}", file=sys.stderr))
    return name_or_path


def make_tasks(recordings: Sequence[Recording], jobs: int, stack: ExitStack) -> list[Task]:
    """A task for each recording; standard input becomes a file that lasts as long as the stack."""
    from oido.batch.local import share_threads
    from oido.batch.plan import Task

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
