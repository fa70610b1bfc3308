# SPDX-License-Identifier: Apache-2.0
"""Teach a classifier sounds of your own, judge it, and export it.

examples:
  oido train birds/ -o birds.tflite --report birds.html
  oido train clips.csv -o sounds.tflite --model efficientat/mn04
  oido train field-recordings/ -o frogs.tflite            Audacity or Raven labels beside them
  oido train birds/ --check                               only say what is in the data
  oido train birds/ -o birds.tflite --finetune --model efficientat/mn04
  oido classify dawn.flac --model birds.tflite

DATA is a folder with a folder of recordings for each class, a table (file,label and perhaps
start_time,end_time,fold,group), or a folder of recordings with label tracks beside them. Folders
background, noise, other and silence hold no event; -Dog is known to be without a dog; A,B both.
Recordings of one source never stand on both sides of a split.
"""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import TYPE_CHECKING, Any

from oido.cli.options import add_command, fetch_model
from oido.cli.terminal import EXIT_FAILED_FILES, EXIT_OK, print_line, print_message
from oido.errors import OptionError

if TYPE_CHECKING:
    from oido.datasets.dataset import Dataset


def add_parser(commands: Any) -> None:
    """Add ``oido train``."""
    add = add_command(commands, "train", _run, __doc__)
    add("data DATA", "a folder or a table of labelled recordings")
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
    add("--max-minutes M", "with --finetune: stop after so long", type=float)
    add("--no-cache", "hear everything anew, and keep no embeddings")
    add.options("jobs", help="threads that hear (default: cores)")
    add.quiet()
    add.rare("seed", "keep_base", "no_unknown", "thorough", "augment", "max_minutes", "no_cache")


def _run(args: argparse.Namespace) -> int:
    from oido.datasets.dataset import Dataset

    if args.output is None and not args.check and args.report is None:
        raise OptionError("say where to write: -o FILE.tflite, --report FILE.html, or --check")
    if args.output is not None and args.output.suffix not in {".tflite", ".onnx"}:
        raise OptionError(f"{args.output}: a taught classifier is a .tflite or .onnx; name it so")
    if args.augment < 0:
        raise OptionError(f"--augment must be 0 or more, not {args.augment}")
    data = Dataset.load(args.data)
    if args.background is not None:
        data = data.with_background(args.background)
    if args.check:
        print(data.check(deep=True))
        return EXIT_OK
    result = _finetuned(args, data) if args.finetune else _trained(args, data)
    for item in result.left_out:
        print_message(f"left out: {item.name}: {item.reason}")
    if data.skipped and not args.quiet:
        print_message(f"{len(data.skipped)} files are no recordings")
    if not args.finetune and result.judged is None:
        print("oido: too few sources to hold any back: nothing is known of how good it is")
    else:
        print(result.report)
        if args.report is not None:
            result.report.save(args.report)
    if args.output is not None:
        print_line(_exported(args, result))
    return EXIT_FAILED_FILES if result.left_out else EXIT_OK


def _trained(args: argparse.Namespace, data: Dataset) -> Any:
    from oido.cli.progress import show_progress
    from oido.training.train import train

    with show_progress("recordings heard", args.quiet) as progress:
        return train(
            data,
            model=fetch_model(args.model),
            seed=args.seed,
            thorough=args.thorough,
            augment=args.augment,
            cache=not args.no_cache,
            jobs=args.jobs,
            progress=progress,
        )


def _finetuned(args: argparse.Namespace, data: Dataset) -> Any:
    from oido.training.finetune import finetune

    if args.keep_base or args.no_unknown or args.thorough:
        raise OptionError("--keep-base, --no-unknown and --thorough are not for --finetune")
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
        windows = f"; on {made.checked_windows} windows its"
    else:
        made = result.export(args.output, keep_base=args.keep_base, unknown=not args.no_unknown)
        windows = f", {len(result.classes)} classes; on {made.windows} windows of the data its"
    return (
        f"{made.path}: {made.size_bytes / 1e6:.1f} MB{windows} scores differ by at most "
        f"{made.largest_difference:.1g} from those that were judged"
    )
