# SPDX-License-Identifier: Apache-2.0
"""Make probabilities of scores, and choose thresholds, by labelled recordings.

examples:
  oido calibrate yamnet/classification garden/ -o garden.tflite --target precision=0.95
  oido calibrate birds.tflite labelled/clips.csv -o calibration.json --target recall=0.9
  oido calibrate birds.tflite labelled/ -o alarms.tflite --target false-alarms-per-hour=1
  oido calibrate birds.tflite labelled/ -o safe.tflite --guarantee fnr=0.1 --confidence 0.9
  oido calibrate birds.tflite --from sigmoids.csv --transformation LOG -o birds2.tflite

The recordings are labelled as for training, and should be such that the model was not trained on.
Probabilities hold for recordings in which sounds are as frequent as in these. Where they are worse
than the scores as they are, nothing is written (exit code 1) but with --force.
"""

from __future__ import annotations

import argparse
from typing import TYPE_CHECKING, Any

from oido.cli.arguments import add_command, local_path
from oido.cli.options import (
    fetch_model,
    load_dataset,
    offering_a_map,
    require_suffix,
    require_writable,
)
from oido.cli.terminal import EXIT_FAILED_FILES, EXIT_FATAL, EXIT_OK, print_line, print_message
from oido.errors import OptionError
from oido.messages import tr

if TYPE_CHECKING:
    from oido.models.model import AudioModel


def add_parser(commands: Any) -> None:
    """Add ``oido calibrate``."""
    add = add_command(commands, "calibrate", _run, __doc__)
    add("model NAME-or-FILE", "see `oido models list`")
    add.dataset("a folder of class folders or label tracks, or a table", nargs="?")
    add(
        "-o, --output FILE",
        "the model with its calibration, .tflite; the calibration alone, .json; or the Task "
        "Library's calibration file, .csv (repeat for several)",
        type=local_path,
        action="append",
        default=[],
    )
    add("--force", "write it even if probabilities are worse than the scores as they are")
    add_purpose = add.one_of()
    add_purpose(
        "--target AIM",
        "what thresholds are for: precision=P, recall=R, f1 (default), or false-alarms-per-hour=N",
    )
    add_purpose(
        "--guarantee KIND=RATE",
        "thresholds that keep a bound: fnr=RATE of misses, or false-alarms=RATE of clips",
    )
    add(
        "--confidence C", "of the guarantee, between 0 and 1 (default 0.9)", type=float, default=0.9
    )
    add.options("head")
    add.label_map()
    add("--json FILE", "every figure, as .json", type=local_path)
    add.options("seed", help="of folds (default 0)")
    add_existing = add.group("a calibration that you have, in place of DATA")
    add_existing(
        "--from FILE",
        "the Task Library's file, a line scale,slope,offset[,min_score] per label, or a .json",
        dest="existing",
        type=local_path,
    )
    add_existing(
        "--transformation",
        "which the file's sigmoids are of (default IDENTITY)",
        choices=("IDENTITY", "LOG", "INVERSE_LOGISTIC"),
        default="IDENTITY",
    )
    add_existing(
        "--default-score P", "of labels with an empty line (default 0)", type=float, default=0.0
    )
    add.rare("guarantee", "confidence", "seed", "transformation", "default_score")
    add.quiet()


def _run(args: argparse.Namespace) -> int:
    from oido.calibration.fit import write_calibration
    from oido.models.loading import load_model

    for path in args.output:
        if path.suffix not in {".tflite", ".json", ".csv", ".txt"}:
            raise OptionError(tr("{path}: name it .tflite, .json, or .csv", path=path))
    require_suffix("--json", args.json, ".json")
    require_writable(*args.output, args.json)
    if (args.data is None) == (args.existing is None):
        raise OptionError(tr("give labelled recordings, or a calibration that you have by --from"))
    model = load_model(fetch_model(args.model))
    if args.existing is not None:
        if not args.output:
            raise OptionError(tr("say where to write: -o FILE"))
        calibration, code = _existing_calibration(args, model), EXIT_OK
    else:
        calibration, code = _new_calibration(args, model)
    if calibration is None:
        names = ", ".join(str(path) for path in args.output)
        print_message(
            tr(
                "{names} not written: the calibration makes it worse, as said above; "
                "give more recordings, or --force",
                names=names,
            )
        )
        return EXIT_FATAL
    for path in args.output:
        write_calibration(model, calibration, path)
        note, scores = "", calibration.scores
        if path.suffix in {".csv", ".txt"}:  # what the Task Library's file itself leaves out
            note = tr(
                ": for transformation {name}, default score {default_score:g}, "
                "which stand in the metadata; thresholds are not in this file",
                name=scores.transformation.name,
                default_score=scores.default_score,
            )
        print_line(tr("{path}{note}", path=path, note=note))
    return code


def _new_calibration(args: argparse.Namespace, model: AudioModel) -> tuple[Any, int]:
    """The calibration, None if it is not to be written, and the exit code."""
    from oido.calibration.fit import calibrate
    from oido.calibration.risk_control import Guarantee
    from oido.cli.progress import show_progress
    from oido.writers.atomic import write_text

    guarantee = args.guarantee and Guarantee.parse(args.guarantee, args.confidence)
    data = load_dataset(args)
    with offering_a_map(), show_progress(tr("clips heard"), args.quiet) as progress:
        result = calibrate(
            model,
            data,
            target=args.target,
            guarantee=guarantee or None,
            head=args.head,
            seed=args.seed,
            progress=progress,
        )
    print(result.report)
    if args.json is not None:
        write_text(args.json, result.report.json())
    worse = bool(args.output) and result.report.is_worse and not args.force
    code = EXIT_FAILED_FILES if result.left_out else EXIT_OK
    return None if worse else result.calibration, code


def _existing_calibration(args: argparse.Namespace, model: AudioModel) -> Any:
    from oido.heads import ScoreTransformation
    from oido.models.calibration_file import Calibration, read_sigmoids

    if args.existing.suffix == ".json":
        return Calibration.read(args.existing)
    head = model.head_named(args.head)
    transformation = ScoreTransformation[args.transformation]
    scores = read_sigmoids(args.existing, len(head.labels), transformation, args.default_score)
    return Calibration.of(model, head, scores=scores, facts={"from": args.existing.name})
