# SPDX-License-Identifier: Apache-2.0
"""What commands make of the options that they share: plans, tasks, data, results."""

from __future__ import annotations

import argparse
import os
import shutil
import sys
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from oido.cli.place import limited, place_by_week
from oido.cli.terminal import print_message
from oido.errors import OptionError, UnknownLabelError
from oido.messages import tr

if TYPE_CHECKING:
    from oido.batch.plan import Plan, Task
    from oido.batch.sources import Recording
    from oido.datasets.dataset import Dataset
    from oido.results import Results


def quotes_cells(args: argparse.Namespace) -> bool:
    """Whether texts of CSV that a spreadsheet would run are quoted."""
    return args.csv_cells == "quoted" or (args.csv_cells is None and bool(args.output))


def table_format(args: argparse.Namespace) -> str:
    """The format of a table that is asked for, by name or by the ending of the file."""
    from oido.writers.query_tables import FORMATS, format_named

    if args.format is not None and args.format != "table":
        return format_named(args.format)
    if args.output is None:
        return "table"
    suffix = args.output.suffix.lower().lstrip(".")
    if args.format == "table" or suffix not in FORMATS:
        raise OptionError(
            tr(
                "{output}: the name does not tell the format; end it with {name}, or add --format",
                output=args.output,
                name=", ".join("." + name for name in FORMATS),
            )
        )
    return str(suffix)


def fetch_model(name_or_path: str, verbose: bool = False) -> str:
    """Fetch a model by name here and once, so that the workers only read it.

    verbose: say where it comes from.
    """
    from oido.models import fetch
    from oido.models.registry import CATALOG, ENSEMBLE, ENSEMBLE_MEMBERS

    names = ENSEMBLE_MEMBERS if name_or_path == ENSEMBLE else (name_or_path,)
    for entry in CATALOG:
        if entry.name in names:
            fetch.require_reader(entry)
            on_source = print_message if verbose else (lambda _: None)
            fetch.fetch(entry, on_source, on_start=print_message)
    return name_or_path


def load_dataset(args: argparse.Namespace, *, prints_notes: bool = True) -> Dataset:
    """The labelled recordings of a command's DATA. Raises OptionError.

    prints_notes: what people should know of them, on standard error.
    """
    from oido.datasets.dataset import Dataset

    data = Dataset.load(args.data, each_is_a_source=args.each_is_a_source)
    if (names := getattr(args, "label_map", None)) is not None:
        from oido.datasets.tables import read_label_map

        data = data.relabel(read_label_map(names))
    for note in data.notes if prints_notes and not args.quiet else ():
        print_message(note)
    return data


@contextmanager
def offering_a_map() -> Iterator[None]:
    """Labels that a model does not have are refused with what helps."""
    try:
        yield
    except UnknownLabelError as error:
        text = tr(
            "{error}; --map FILE says what the model calls the labels of the data: background, "
            "where it has none",
            error=error,
        )
        raise UnknownLabelError(text) from error


def plan_of(args: argparse.Namespace, **fixed: Any) -> Plan:
    """The plan of a command's options; its model is fetched. Raises OptionError.

    fixed: values of options that the command has not, or means otherwise.
    """
    from oido.batch.plan import make_plan

    calibrated = args.calibration is not None
    if not calibrated and args.model.lower().endswith(".tflite"):
        # An import that the command does without otherwise: it starts sooner.
        from oido.models.loading import is_calibrated

        calibrated = is_calibrated(args.model, args.head)
    values = {**vars(args), **fixed}
    if args.place is not None:
        values |= {"allow": limited(args), "deny": (), "place_by_week": place_by_week(args)}
    elif args.date is not None or args.place_threshold is not None:
        raise OptionError(tr("--date and --place-threshold go with --place LAT,LON"))
    model = fetch_model(args.model, getattr(args, "verbose", False))
    plan = make_plan(values, model=model, precision=args.precision, calibrated=calibrated)
    return _with_labels_of_the_model(plan)


def _with_labels_of_the_model(plan: Plan) -> Plan:
    """A plan of AudioSet's classes with these by their own names, in whatever language they were
    typed: so a manifest and an archive are the same."""
    from oido.models.registry import CATALOG, ENSEMBLE

    chosen, events = plan.selection, plan.detection
    audioset = {ENSEMBLE, *(card.name for card in CATALOG if card.is_audioset)}
    has_labels = chosen.category_allowlist or chosen.category_denylist or events.thresholds
    if plan.model not in audioset or not has_labels:
        return plan
    from oido.models.labels import label_named

    def own(name: str) -> str:
        below = "/" if name.endswith("/") else ""
        known = label_named(name.removesuffix("/"))
        return name if known is None else known + below

    return replace(
        plan,
        selection=replace(
            chosen,
            category_allowlist=tuple(map(own, chosen.category_allowlist)),
            category_denylist=tuple(map(own, chosen.category_denylist)),
        ),
        detection=replace(
            events, thresholds=tuple((own(name), value) for name, value in events.thresholds)
        ),
    )


def make_tasks(recordings: Sequence[Recording], jobs: int, stack: ExitStack) -> list[Task]:
    """A task for each recording; standard input becomes a file that lasts as long as the stack."""
    from oido.batch.plan import Task
    from oido.batch.process_pool import share_threads
    from oido.batch.units import escaped_name

    names = ["<stdin>" if r.path == "-" else escaped_name(r.path) for r in recordings]
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
        raise OptionError(
            tr(
                "{option} needs a name that ends in {suffixes}, not {path}",
                option=option,
                suffixes=suffixes[0],
                path=path,
            )
        )


def require_writable(*paths: Path | None) -> None:
    """Raise OptionError for files that could not be written: better now than after the work."""
    for path in paths:
        if path is None:
            continue
        if path.is_dir():
            raise OptionError(tr("{path} is a folder; name a file in it", path=path))
        folder = next(parent for parent in path.absolute().parents if os.path.lexists(parent))
        if not folder.is_dir() or not os.access(folder, os.W_OK | os.X_OK):
            what = tr("may not be written to") if folder.is_dir() else tr("is no folder")
            raise OptionError(
                tr("{path} cannot be written: {folder} {what}", path=path, folder=folder, what=what)
            )


_DOUBTS = {
    "ambiguous": tr("came twice on the recorder's clock, which was set back; the first is taken"),
    "impossible": tr("never came on a clock of that zone, which was set forward; left unknown"),
    "not set": tr("came from a clock that was not set; left unknown"),
    "two readings": tr("can be read in two ways; the likelier is taken"),
}


def open_results(args: argparse.Namespace, *, prints_doubts: bool) -> Results:
    """The results folder, with the clock that the options describe. Raises OptionError.

    prints_doubts: prints a line for each kind of doubt about times, on standard error.
    """
    from oido.results import Clock, Results

    clock = Clock(args.time_pattern, args.time_zone, args.time_from)
    results = Results(args.results, clock, is_checked=not args.unchecked)
    if results.damaged:
        print_message(
            tr(
                "rows of {damaged} recordings are missing, because they were "
                "damaged; say `oido batch verify {results} --repair`",
                damaged=results.damaged,
                results=args.results,
            )
        )
    for doubt, count in results.doubts.items() if prints_doubts else ():
        times = (
            tr("the time of 1 recording")
            if count == 1
            else tr("the times of {count} recordings", count=count)
        )
        example = ""
        if doubt == "two readings" and results.two_readings is not None:
            file, reading = results.two_readings
            other = (
                tr("of no time of day")
                if reading.other is None
                else tr("of {other}", other=reading.other)
            )
            example = tr(
                ": {file} is of {at}, or {other}; --time-pattern says which",
                file=file,
                at=reading.at,
                other=other,
            )
        print_message(
            tr("{times} {doubts}{example}", times=times, doubts=_DOUBTS[doubt], example=example)
        )
    return results
