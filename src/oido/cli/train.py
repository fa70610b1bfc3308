# SPDX-License-Identifier: Apache-2.0
"""Teach a classifier sounds of your own, judge it, and export it.

examples:
  oido train birds/ -o birds.tflite --report birds.html
  oido train clips.csv -o sounds.tflite --model efficientat/mn04
  oido train field-recordings/ -o frogs.tflite            Audacity or Raven labels beside them
  oido train birds/ --check                               only say what is in the data
  oido train birds/ -o birds.tflite --finetune --minutes 5 --model efficientat/mn04
  oido classify dawn.flac --model birds.tflite

DATA is a folder with a folder of recordings for each class, a table (file,label and perhaps
start_time,end_time,fold,group), or a folder of recordings with label tracks beside them. Folders
background, noise, other and silence hold no event; -Dog is known to be without a dog; A,B both.
Recordings of one source never stand on both sides of a split.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from oido.cli.options import (
    add_command,
    fetch_model,
    load_dataset,
    require_suffix,
    require_writable,
)
from oido.cli.terminal import EXIT_FAILED_FILES, EXIT_OK, print_line, print_message, print_report
from oido.errors import OptionError, require_packages
from oido.messages import tr

if TYPE_CHECKING:
    from oido.datasets.dataset import Dataset


def add_parser(commands: Any) -> None:
    """Add ``oido train``."""
    add = add_command(commands, "train", _run, __doc__)
    add.dataset("a folder or a table of labelled recordings")
    add("-o, --output FILE", "write the classifier here (.tflite, .onnx)", type=Path)
    add("--background FOLDER", "recordings of anything else, as clips without an event")
    add("--report FILE.html", "write what is known of it (.html, .json)", type=Path)
    add("--check", "only tell what is in the data, and what is wrong")
    add.options("model", help="whose embeddings are built on (default yamnet/classification)")
    add("--seed N", "of all chance (default 0)", type=int, default=0)
    add("--keep-base", "keep the base model's own scores as a first output")
    add("--no-unknown", "leave out the output that tells sounds of no taught class")
    add("--thorough", "judge by nested cross-validation: some five times as long")
    add(
        "--augment N",
        "learn from N changed copies of each clip, too: gain, shift, noise, background",
        type=int,
        default=0,
    )
    add("--finetune", "train the network itself further (minutes; needs oido[torch])")
    add("--max-minutes, --minutes M", "with --finetune: stop after so long", type=float)
    add("--no-cache", "hear everything anew, and keep no embeddings")
    add.options("jobs", help="threads that hear (default: cores)")
    add.quiet()
    add.rare("seed", "keep_base", "no_unknown", "thorough", "augment", "max_minutes", "no_cache")


def _run(args: argparse.Namespace) -> int:
    if args.output is None and not args.check and args.report is None:
        raise OptionError(tr("say where to write: -o FILE.tflite, --report FILE.html, or --check"))
    if args.output is not None and args.output.suffix not in {".tflite", ".onnx"}:
        raise OptionError(
            tr(
                "{output}: a taught classifier is a .tflite or .onnx; name it so",
                output=args.output,
            )
        )
    if args.augment < 0:
        raise OptionError(tr("--augment must be 0 or more, not {augment}", augment=args.augment))
    _require_outputs(args)
    data = load_dataset(args, prints_notes=False)
    if args.background is not None:
        data = data.with_background(args.background, each_is_a_source=args.each_is_a_source)
    if args.check:
        print(data.check(deep=True))
        return EXIT_OK
    teach = partial(_finetuned, args) if args.finetune else _trainer(args)
    known = _print_summary(args, data)
    result = teach(data)
    for item in result.left_out:
        if item.name.partition(" [")[0] not in known and item.name not in known:
            print_message(tr("left out: {name}: {reason}", name=item.name, reason=item.reason))
    is_judged = args.finetune or result.judged is not None
    if is_judged:
        print_report(str(result.report))
    else:
        print_message(
            tr(
                "NOTHING is known of how good it is: no class has two sources, so "
                "none could be held back to judge by; record more of each, and do "
                "not rely on it until then"
            )
        )
    if args.output is not None:
        print_line(_exported(args, result))
    if args.report is not None and is_judged:
        result.report.save(args.report)
    return EXIT_FAILED_FILES if result.left_out else EXIT_OK


def _require_outputs(args: argparse.Namespace) -> None:
    """Raise for what would fail only after the training: bad names and folders, no packages."""
    require_suffix("--report", args.report, ".html", ".htm", ".json")
    require_writable(args.output, args.report)
    if args.output is not None and args.output.suffix == ".onnx":
        needed = tr("an .onnx needs onnx and onnxruntime; run: pip install 'oido[onnx]'")
        require_packages(needed, "onnx", "onnxruntime")
    if args.report is not None and args.report.suffix != ".json":
        needed = tr("a report needs Matplotlib and Jinja2; run: pip install 'oido[train]'")
        require_packages(needed, "matplotlib", "jinja2")


def _print_summary(args: argparse.Namespace, data: Dataset) -> set[str]:
    """What ``--check`` says of the data, without the table; gives what is left out already."""
    summary = data.check()
    for item in summary.left_out:
        print_message(tr("left out: {name}: {reason}", name=item.name, reason=item.reason))
    for line in [] if args.quiet else summary.remarks(left_out=False):
        print_message(line)
    return {item.name for item in summary.left_out}


def _trainer(args: argparse.Namespace) -> Callable[[Dataset], Any]:
    """`train` with the options of a command, on a model that is loaded, and fits the output."""
    from oido.cli.progress import show_progress
    from oido.models.loading import load_model
    from oido.models.registry import ENSEMBLE, ENSEMBLE_MEMBERS
    from oido.training.head_export import require_addable
    from oido.training.train import train

    if args.output is not None and args.model == ENSEMBLE:  # before its two files are fetched
        members = " or ".join(ENSEMBLE_MEMBERS)
        raise OptionError(
            tr(
                "{ensemble} is two networks, and no one file; take --model {members}",
                ensemble=ENSEMBLE,
                members=members,
            )
        )
    model = load_model(fetch_model(args.model))
    if args.output is not None:
        require_addable(model)

    def teach(data: Dataset) -> Any:
        embedding = show_progress(tr("recordings heard"), args.quiet)
        fitting = show_progress(tr("fits done"), args.quiet)
        with embedding as progress, fitting as fit_progress:
            result = train(
                data,
                model=model,
                seed=args.seed,
                thorough=args.thorough,
                augment=args.augment,
                cache=not args.no_cache,
                jobs=args.jobs,
                progress=progress,
                fit_progress=fit_progress,
            )
            if result.judged is not None:
                _ = result.report  # which takes fits of its own, and is kept
            return result

    return teach


def _finetuned(args: argparse.Namespace, data: Dataset) -> Any:
    from oido.training.finetune import finetune

    if args.keep_base or args.no_unknown or args.thorough:
        raise OptionError(tr("--keep-base, --no-unknown and --thorough are not for --finetune"))
    return finetune(
        data,
        model=fetch_model(args.model),
        seed=args.seed,
        max_minutes=args.max_minutes,
        on_message=(lambda _: None) if args.quiet else print_message,
    )


def _exported(args: argparse.Namespace, result: Any) -> str:
    """What is to be said of the file that is written."""
    if args.finetune:
        made = result.export(args.output)
        windows = tr("; on {checked_windows} windows its", checked_windows=made.checked_windows)
    else:
        made = result.export(args.output, keep_base=args.keep_base, unknown=not args.no_unknown)
        windows = tr(
            ", {n_classes} classes; on {windows} windows of the data its",
            n_classes=len(result.classes),
            windows=made.windows,
        )
    return tr(
        "{path}: {size_bytes:.1f} MB{windows} scores differ by at most "
        "{largest_difference:.1g} from those that were judged",
        path=made.path,
        size_bytes=made.size_bytes / 1e6,
        windows=windows,
        largest_difference=made.largest_difference,
    )
