# SPDX-License-Identifier: Apache-2.0
"""Teach a classifier sounds of your own, judge it, and export it.

examples:
  oido train birds/ -o birds.tflite --report birds.html
  oido train clips.csv -o sounds.tflite --model efficientat/mn04
  oido train field-recordings/ -o frogs.tflite            Audacity or Raven labels beside them
  oido train birds/ -o birds.tflite --model ensemble      a head on both networks, in one file
  oido train birds/ --check                               only say what is in the data
  oido train birds/ -o birds.tflite --finetune --minutes 5 --model efficientat/mn04
  oido train birds/ -o small.tflite --student --c-array small.cc    int8, for a microcontroller
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
from typing import TYPE_CHECKING, Any

from oido.cli.arguments import above_zero, add_command, local_path
from oido.cli.options import fetch_model, load_dataset, require_suffix, require_writable
from oido.cli.terminal import EXIT_FAILED_FILES, EXIT_OK, print_line, print_message, print_report
from oido.errors import OptionError, require_packages
from oido.messages import joined, tr

if TYPE_CHECKING:
    from oido.datasets.dataset import Dataset


def add_parser(commands: Any) -> None:
    """Add ``oido train``."""
    add = add_command(commands, "train", _run, __doc__)
    add.dataset("a folder or a table of labelled recordings")
    add(
        "-o, --output FILE",
        "write the classifier here (.tflite, .onnx; of a student .tflite, .cc, .c or .h)",
        type=local_path,
    )
    add("--background FOLDER", "recordings of anything else, as clips without an event")
    add("--report FILE.html", "write what is known of it (.html, .json)", type=local_path)
    add("--check", "only tell what is in the data, and what is wrong")
    add.options("model", help="whose embeddings are built on (default yamnet/classification)")
    add.options("seed")
    add("--keep-base", "keep the base model's own scores as a first output")
    add("--no-unknown", "leave out the output that tells sounds of no taught class")
    add("--thorough", "judge by nested cross-validation: some five times as long")
    add(
        "--augment N",
        "learn from N changed copies of each clip, too: gain, shift, noise, background",
        type=int,
        default=0,
    )
    add(
        "--weak-from S",
        "whole recordings of S seconds and more hold what their label names somewhere: windows "
        "that hold it choose themselves (default 30; inf: learn from all windows)",
        type=float,
    )
    add(
        "--embeddings-only",
        "look at what archives keep, and at no other layers of the network: `oido count` and "
        "`oido adapt` then need no recordings",
    )
    add("--finetune", "train the network itself further (minutes; needs oido[torch])")
    add(
        "--student",
        "distil what is taught into an int8 network of at most 100,000 weights, for "
        "microcontrollers (a minute or two; needs oido[torch])",
    )
    add("--from FILE", "with --student: the taught model to learn from", dest="teacher")
    add("--c-array FILE", "with --student: write it as an array of C, too (.cc)", type=local_path)
    add(
        "--max-minutes, --minutes M",
        "with --finetune or --student: stop after so long",
        type=above_zero,
    )
    add("--no-cache", "hear everything anew, and keep no embeddings")
    add.options("jobs", help="threads that hear (default: cores)")
    add.quiet()
    add.rare("seed", "keep_base", "no_unknown", "thorough", "augment", "max_minutes", "no_cache")
    add.rare("weak_from", "teacher", "c_array")


def _run(args: argparse.Namespace) -> int:
    _require_sense(args)
    _require_outputs(args)
    data = load_dataset(args, prints_notes=False)
    if args.background is not None:
        data = data.with_background(args.background, each_is_a_source=args.each_is_a_source)
    if args.check:
        print(data.check(deep=True))
        return EXIT_OK
    teach = _teacher_of(args)
    known = _print_summary(args, data)
    result = teach(data)
    for item in result.left_out:
        if item.name.partition(" [")[0] not in known and item.name not in known:
            print_message(tr("left out: {name}: {reason}", name=item.name, reason=item.reason))
    is_judged = args.finetune or args.student or result.judged is not None
    if is_judged:
        print_report(str(result.report))
    else:
        print_message(
            tr(
                "NOTHING is known of how good it is: fewer than two classes have two sources, "
                "so nothing could be held back to judge by; record more of each, and do not "
                "rely on it until then"
            )
        )
        if any(clip.is_region for clip in data.clips) and not args.each_is_a_source:
            print_message(
                tr(
                    "--each-is-a-source judges it by other stretches of the same recordings, "
                    "which says less"
                )
            )
    if args.student:
        _export_student(args, result)
    elif args.output is not None:
        print_line(_exported(args, result))
    if args.report is not None and is_judged:
        result.report.save(args.report)
    return EXIT_FAILED_FILES if result.left_out else EXIT_OK


def _require_sense(args: argparse.Namespace) -> None:
    """Raise OptionError for options that do not go together, before anything is read."""
    outputs = (args.output, args.report, args.c_array)
    if not args.check and outputs == (None, None, None):
        raise OptionError(tr("say where to write: -o FILE.tflite, --report FILE.html, or --check"))
    _require_options(args)
    if args.student:
        _require_student_files(args)
    elif args.output is not None and args.output.suffix not in {".tflite", ".onnx"}:
        raise OptionError(
            tr(
                "{output}: a taught classifier is a .tflite or .onnx; name it so",
                output=args.output,
            )
        )
    if args.augment < 0:
        raise OptionError(tr("--augment must be 0 or more, not {augment}", augment=args.augment))


_HEAD_ALONE = ("keep_base", "no_unknown", "thorough", "augment", "embeddings_only")
"""What only a head on a network as it is can have."""

_NEEDS = {"teacher": ("student",), "c_array": ("student",), "max_minutes": ("student", "finetune")}


def _require_options(args: argparse.Namespace) -> None:
    """Raise OptionError for options that would do nothing beside --finetune, --student or none."""
    values = {**vars(args), "weak_from": args.weak_from is not None}
    if args.finetune and args.student:
        raise OptionError(tr("--finetune and --student are two ways: choose one"))
    for way, refused in {"finetune": (*_HEAD_ALONE, "weak_from"), "student": _HEAD_ALONE}.items():
        for name in refused if values[way] else ():
            if values[name]:
                raise OptionError(
                    tr("{option} is not for --{way}: leave it out", option=_option(name), way=way)
                )
    for name, ways in _NEEDS.items():
        if values[name] is not None and not any(values[way] for way in ways):
            raise OptionError(
                tr(
                    "{option} goes with {ways}",
                    option=_option(name),
                    ways=joined(tr(" or "), map(_option, ways)),
                )
            )


def _option(name: str) -> str:
    names = {"teacher": "from", "max_minutes": "minutes"}
    return "--" + names.get(name, name).replace("_", "-")


def _teacher_of(args: argparse.Namespace) -> Callable[[Dataset], Any]:
    """What teaches, by the options."""
    if args.student:
        return partial(_student, args)
    return partial(_finetuned, args) if args.finetune else _trainer(args)


def _require_outputs(args: argparse.Namespace) -> None:
    """Raise for what would fail only after the training: bad names and folders, no packages."""
    require_suffix("--report", args.report, ".html", ".htm", ".json")
    require_writable(args.output, args.report, args.c_array)
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
    data.require_two_classes()  # which the remarks would say, too
    for line in [] if args.quiet else summary.remarks(left_out=False):
        print_message(line)
    return {item.name for item in summary.left_out}


def _trainer(args: argparse.Namespace) -> Callable[[Dataset], Any]:
    """`train` with the options of a command, on a model that is loaded, and fits the output."""
    from oido.cli.progress import show_progress
    from oido.models.joint import as_one_network
    from oido.models.loading import load_model
    from oido.training.head_export import require_addable
    from oido.training.train import train

    model = as_one_network(load_model(fetch_model(args.model)))
    if args.output is not None:
        require_addable(model, keep_base=args.keep_base)

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
                embeddings_only=args.embeddings_only,
                cache=not args.no_cache,
                jobs=args.jobs,
                progress=progress,
                fit_progress=fit_progress,
                **_weak_from(args),
            )
            if result.judged is not None:
                _ = result.report  # which takes fits of its own, and is kept
            return result

    return teach


def _weak_from(args: argparse.Namespace) -> dict[str, Any]:
    return {} if args.weak_from is None else {"weak_from": args.weak_from}


def _finetuned(args: argparse.Namespace, data: Dataset) -> Any:
    from oido.training.finetune import finetune

    return finetune(
        data,
        model=fetch_model(args.model),
        seed=args.seed,
        max_minutes=args.max_minutes,
        cache=not args.no_cache,
        jobs=args.jobs,
        on_message=(lambda _: None) if args.quiet else print_message,
    )


def _require_student_files(args: argparse.Namespace) -> None:
    """Raise OptionError for files that a student cannot be, before anything is taught."""
    from oido.training.student import STUDENT_SUFFIXES

    if args.output is not None and args.output.suffix not in STUDENT_SUFFIXES:
        raise OptionError(
            tr(
                "{output}: a student is a .tflite, or C: .cc, .c or .h; name it so",
                output=args.output,
            )
        )
    require_suffix("--c-array", args.c_array, ".cc", ".c", ".h")


def _student(args: argparse.Namespace, data: Dataset) -> Any:
    from oido.cli.progress import show_progress
    from oido.training.student import train_student

    with show_progress(tr("steps of the student"), args.quiet) as progress:
        return train_student(
            data,
            teacher=None if args.teacher is None else fetch_model(args.teacher),
            model=args.model if args.teacher is not None else fetch_model(args.model),
            seed=args.seed,
            max_minutes=args.max_minutes,
            cache=not args.no_cache,
            jobs=args.jobs,
            on_message=(lambda _: None) if args.quiet else print_message,
            progress=progress,
            **_weak_from(args),
        )


def _export_student(args: argparse.Namespace, result: Any) -> None:
    facts = result.facts
    for path in filter(None, (args.output, args.c_array)):
        size = result.export(path).stat().st_size
        print_line(
            tr(
                "{path}: {size:.0f} kB; {weights:,} weights, an arena of "
                "{bytesofthearena:.0f} kB; reference kernels: {kernels}",
                path=path,
                size=size / 1000.0,
                weights=facts["weights"],
                bytesofthearena=facts["bytes of the arena"] / 1000.0,
                kernels=result.kernels,
            )
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
