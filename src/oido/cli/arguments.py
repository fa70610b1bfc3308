# SPDX-License-Identifier: Apache-2.0
"""How commands declare themselves and their options.

The docstring of a command's module is its help. Options of a prediction come from the table in
`oido.options`; a command's own are written as its help shows them.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable
from functools import partial
from inspect import cleandoc
from pathlib import Path
from typing import Any

from oido.cli.place import add_place
from oido.cli.terminal import EXIT_OK
from oido.messages import tr
from oido.options import FLAG, LABELS, OPTIONS
from oido.urls import local_name

Command = Callable[[argparse.Namespace], int | None]
"""What runs a command; returns its exit code, or None: all is well."""


class Arguments:
    """The arguments of a command, or a group of them: each call declares one as its help shows it.

    add("-o, --output FILE", "write here") takes a value, add("--check", …) is a flag, and
    add("data DATA", …) has its place; more: as ``add_argument`` of argparse.
    """

    def __init__(self, container: Any) -> None:
        self._container = container

    def __call__(self, usage: str, text: str | None = None, **more: Any) -> None:
        names, _, metavar = usage.replace(", ", ",").partition(" ")
        more["help"] = text
        if metavar:
            more["metavar"] = metavar
        elif not more.keys() & {"action", "choices", "default"}:
            more["action"] = "store_true"
        self._container.add_argument(*names.split(","), **more)

    def group(self, title: str) -> Arguments:
        """Arguments below a heading of their own."""
        return Arguments(self._container.add_argument_group(title))

    def one_of(self) -> Arguments:
        """Arguments that exclude each other."""
        return Arguments(self._container.add_mutually_exclusive_group())

    def actions(self, required: bool = True) -> Any:
        """For `add_command`: subcommands of this command, one of which must be given."""
        return self._container.add_subparsers(dest="action", metavar="ACTION", required=required)

    def options(self, *names: str, **more: Any) -> None:
        """Options of the table by their names; more: what one command has otherwise."""
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
            self._container.add_argument(flag, **(facts | more)).is_rare = option.is_rare

    def rare(self, *names: str) -> None:
        """Only ``--help-all`` shows these of the arguments that there are."""
        for action in self._container._actions:
            action.is_rare = getattr(action, "is_rare", False) or action.dest in names

    def quiet(self, text: str = "no progress, errors only") -> None:
        """``-q``."""
        self("-q, --quiet", text)

    def paths(self) -> None:
        """The recordings to predict."""
        self(
            "paths PATH",
            "a recording or video, a folder (searched to the bottom), a pattern in quotes, "
            "or - for standard input",
            nargs="+",
        )

    def dataset(self, text: str, **more: Any) -> None:
        """Labelled recordings, and what counts as a source of theirs."""
        self("data DATA", text, **more)
        self(
            "--each-is-a-source",
            "take each file for a source of its own, though names such as x-1 and x-2 look like "
            "parts of one; and each labelled stretch of a recording",
        )

    def label_map(self) -> None:
        """What the model calls the data's labels."""
        self(
            "--map FILE",
            "the model's names for labels of the data: a table of two columns, such as "
            '"Baby_cry","Baby cry, infant cry"',
            type=local_path,
            dest="label_map",
        )

    def row_output(self, formats: str) -> Arguments:
        """Where rows go, and how much is printed on the way."""
        add = self.group("output")
        add("-o, --output FILE-or-FOLDER/", "write files instead of standard output")
        add("--format FORMAT[,FORMAT…]", formats, action="append", default=[])
        add.quiet()
        add("-v, --verbose", "a line per recording, details")
        return add

    def labels(self, *, of_allow: str = "") -> None:
        """Which labels, and in which language; of_allow: appended to the help of --allow."""
        lists = self.one_of()
        lists.options("allow", help=OPTIONS["allow"].help + of_allow)
        lists.options("deny")
        self.options("locale", "labels_file", "rollup")
        add_place(self, ", or from-file: those in the recordings' names")

    def reported(self) -> Arguments:
        """Which labels and events are reported."""
        add = self.group("what is reported")
        add.options("threshold", "thresholds", "labels")
        add.labels()
        add.options("off_ratio", "min_duration", "merge_gap", "unknown")
        return add

    def prediction(self, *names: str) -> Arguments:
        """Model, windows, channels, workers; names: of further options."""
        add = self.group("how it is heard")
        add.options("model", "precision")
        either = add.one_of()
        either.options("hop")
        either(
            "--fast",
            "half the work: windows that do not overlap (as --hop window); few events change",
            action="store_const",
            const="window",
            dest="hop",
        )
        add.options("channel", "jobs", *names)
        return add

    def csv_cells(self) -> None:
        """Whether spreadsheets or programs read the CSV."""
        self(
            "--csv-cells quoted|exact",
            "texts that a spreadsheet would run, as =1+1: with ' before them (quoted, the default "
            "in files) or as they are (exact, the default on standard output)",
            choices=("quoted", "exact"),
        )

    def embedding_model(self) -> None:
        """The file of an archive's model, where the archive's name for it says nothing."""
        self(
            "--model FILE",
            "the model whose embeddings the archive keeps, if it is one of your own",
            type=local_path,
        )

    def results(self) -> None:
        """The results folder."""
        self("results RESULTS", "a results folder of `oido batch`, path or URL")
        self(
            "--unchecked",
            "read files of it as they are, without comparing them with what was written",
            action="store_true",
        )

    def windows(self) -> None:
        """--of and --model: windows in the place of events, by whose scores."""
        self(
            "--of WHAT",
            "events (default), or windows: also those below the threshold of events",
            choices=("events", "windows"),
            default="events",
        )
        self(
            "--model FILE.tflite",
            "windows, by the scores of a model that `oido train --embeddings-only` taught, made "
            "from the embeddings that the archive keeps",
        )

    def clock(self) -> None:
        """When a recording began."""
        add = self.group("when recordings began")
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


def add_command(commands: Any, name: str, run: Command | None, text: str | None) -> Arguments:
    """A command and what runs it; None: one of its own subcommands.

    text: a sentence, which is its line in the list of commands; after an empty line its
    description, unless that is the same sentence; and what its help ends with, from "examples:" on.
    An action without examples shows those of its command's that are of it.
    """
    # Docstrings are texts of commands, and Python may be run without them.
    line, *rest = cleandoc(text or "").strip().split("\n\n")
    description = line
    if rest and not rest[0].startswith("examples:"):
        description = rest.pop(0)
    parser = commands.add_parser(
        name,
        help=line[:1].lower() + line[1:].removesuffix("."),
        description=" ".join(description.split()) or None,
        epilog="\n\n".join(rest) or None,
    )
    if run is not None:
        parser.set_defaults(run=lambda args: run(args) or EXIT_OK)
    return Arguments(parser)


def local_path(text: str) -> Path:
    """A type of arguments: a file or folder of this computer, and no address. OptionError."""
    return Path(local_name(text))


def above_zero(text: str) -> float:
    """A type of arguments: a number above 0."""
    try:
        value = float(text)
    except ValueError as error:
        raise argparse.ArgumentTypeError(tr("must be a number, not {text!r}", text=text)) from error
    if not value > 0.0:
        raise argparse.ArgumentTypeError(tr("must be above 0, not {text}", text=text))
    return value
