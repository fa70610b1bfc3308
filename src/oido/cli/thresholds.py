# SPDX-License-Identifier: Apache-2.0
"""Show or change the thresholds in a model or a calibration.

examples:
  oido thresholds show birds.tflite
  oido thresholds show calibration.json > thresholds.csv
  oido thresholds edit birds.tflite -o birds-2.tflite --set Dog=0.4 --set "Dog, small=0.2"
  oido thresholds edit calibration.json --from thresholds.csv
  oido thresholds edit birds.tflite -o birds-3.tflite --unset Dog

Without -o the file is replaced, and kept as FILE.orig (FILE.orig2, … if there is one already).
"""

from __future__ import annotations

import argparse
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from oido.cli.arguments import add_command, local_path
from oido.cli.options import fetch_model
from oido.cli.terminal import data_output, print_message
from oido.errors import OptionError
from oido.messages import tr

if TYPE_CHECKING:
    from oido.heads import Head


Pairs = tuple[tuple[str, float], ...]


def add_parser(commands: Any) -> None:
    """Add ``oido thresholds``."""
    actions = add_command(commands, "thresholds", None, __doc__).actions()
    add_show = add_command(actions, "show", _show, _show.__doc__)
    add_edit = add_command(actions, "edit", _edit, _edit.__doc__)
    for add in (add_show, add_edit):
        add("model NAME-or-FILE", "a model, or a calibration.json")
        add.options("head")
    add_edit("-o, --output FILE", "write here", type=local_path)
    add_edit(
        "--set LABEL=P",
        "a label's new threshold, 0 to 1 (may be repeated)",
        dest="wanted",
        action="append",
        default=[],
    )
    add_edit(
        "--unset LABEL", "forget a label's threshold (may be repeated)", action="append", default=[]
    )
    add_edit(
        "--from FILE",
        "many new ones, as CSV (label,threshold) or JSON",
        dest="new_file",
        type=local_path,
    )


def _show(args: argparse.Namespace) -> None:
    """Print them, as CSV.

    Print the thresholds as CSV: label,threshold.
    """
    from oido.heads import thresholds_text
    from oido.params import DEFAULT_THRESHOLD

    thresholds = _head(args).thresholds
    data_output().write(thresholds_text(thresholds))
    if not thresholds:
        print_message(
            tr(
                "it has none of its own; events begin at {default_threshold}",
                default_threshold=DEFAULT_THRESHOLD,
            )
        )


def _edit(args: argparse.Namespace) -> None:
    """Change some of them.

    Change thresholds in a .tflite or a calibration.json.
    """
    from oido.calibration.fit import save_model
    from oido.models.loading import load_model

    head = _head(args)
    source, output = Path(args.model), args.output
    if output is None:
        if not source.is_file():
            raise OptionError(
                tr("{model} is no file of yours; say where to write: -o FILE", model=args.model)
            )
        output = source
    thresholds = _edited(head, args)
    if source.suffix == ".json":
        _save_calibration(source, output, thresholds)
    else:
        model = load_model(fetch_model(args.model))
        changed = replace(head, thresholds=thresholds)
        heads = tuple(changed if h.name == head.name else h for h in model.heads)
        save_model(replace(model, heads=heads), output)
    print(output, file=data_output())


def _head(args: argparse.Namespace) -> Head:
    from oido.heads import Head
    from oido.models.calibration_file import Calibration
    from oido.models.loading import load_model

    if Path(args.model).suffix == ".json":
        made = Calibration.read(args.model)
        if args.head not in (None, made.head):
            raise OptionError(
                tr(
                    "{model} is for head {head!r}, not {args_head!r}",
                    model=args.model,
                    head=made.head,
                    args_head=args.head,
                )
            )
        return Head(made.head, made.labels, made.scores, made.thresholds)
    return load_model(fetch_model(args.model)).head_named(args.head)


def _edited(head: Head, args: argparse.Namespace) -> Pairs:
    """The new thresholds, in the order of the labels."""
    from oido.events.thresholds import by_column, read_thresholds
    from oido.models.labels import label_indices

    changes = [] if args.new_file is None else list(read_thresholds(args.new_file))
    by_column(changes, partial(label_indices, head.labels))  # raises
    changes += [_pair(text) for text in args.wanted]
    if not changes and not args.unset:
        raise OptionError(tr("say what to change: --set LABEL=P, --unset LABEL, or --from FILE"))
    table = dict(head.thresholds)
    for label in (head.labels[column] for column in label_indices(head.labels, args.unset)):
        if table.pop(label, None) is None:
            raise OptionError(
                tr("{label!r} has no threshold of its own to be forgotten", label=label)
            )
    columns = label_indices(head.labels, [label for label, _ in changes])
    table.update((head.labels[c], value) for c, (_, value) in zip(columns, changes))
    return tuple((label, table[label]) for label in head.labels if label in table)


def _pair(text: str) -> tuple[str, float]:
    label, equals, value = text.rpartition("=")
    try:
        number = float(value)
    except ValueError:
        number = -1.0
    if not equals or not label.strip() or not 0 <= number <= 1:
        raise OptionError(tr("--set needs LABEL=P, P from 0 to 1, not {text!r}", text=text))
    return label.strip(), number


def _save_calibration(source: Path, output: Path, thresholds: Pairs) -> None:
    from oido.errors import OutputError
    from oido.models.calibration_file import Calibration
    from oido.writers.atomic import keep_original

    if output.suffix != ".json":
        raise OptionError(tr("{output}: a calibration is a .json; name it so", output=output))
    changed = replace(Calibration.read(source), thresholds=thresholds)
    if output.exists() and output.samefile(source):
        try:
            keep_original(output)
        except OSError as error:
            raise OutputError(
                tr(
                    "{output} cannot be kept as .orig: {reason}",
                    output=output,
                    reason=error.strerror,
                )
            ) from error
    changed.save(output)
