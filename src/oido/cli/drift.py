# SPDX-License-Identifier: Apache-2.0
"""``oido drift``: whether new recordings are heard as those that a model was calibrated on."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

from oido.cli.exit_codes import EXIT_FAILED_FILES, EXIT_OK
from oido.cli.options import add_command, add_quiet, adder, fetch_model

__all__ = ["add_parser"]

_EPILOG = """\
examples:
  oido drift calibrated-on/ this-month/
  oido drift train/ field/ --model birds.tflite --json drift.json

Both are folders of recordings, searched to the bottom; no labels are needed. Take at least 5
recordings of each, better 30 and more. Exit code 0 tells that the comparison was made, whatever it
found; "shifted" in the JSON file is for programs.
"""


def add_parser(commands: Any) -> None:
    """Add ``oido drift``."""
    parser = add_command(
        commands,
        "drift",
        _run,
        "tell if new recordings differ from those that a model was calibrated on",
        "Compare what a model hears in two folders of recordings, and tell in words "
        "if thresholds and calibration made on the first can be trusted on the second.",
        _EPILOG,
    )
    add = adder(parser)
    add("reference REFERENCE", "what the model is known on")
    add("new NEW", "what it is to be used on")
    add("--model NAME-or-FILE", "see `oido models`", default="yamnet/classification")
    add(
        "--level SHARE",
        "how often a shift may be told where there is none (default 0.05)",
        type=float,
        default=0.05,
    )
    add("--json FILE", "every figure, as .json", type=Path)
    add_quiet(parser)


def _run(args: argparse.Namespace) -> int:
    from oido.cli.progress import counted
    from oido.errors import OptionError
    from oido.evaluation.drift import drift
    from oido.writers.atomic import AtomicFile

    if args.json is not None and args.json.suffix.lower() != ".json":
        raise OptionError(f"--json needs a name that ends in .json, not {args.json}")
    model = fetch_model(args.model)
    with counted("recordings heard", args.quiet) as progress:
        found = drift(args.reference, args.new, model, level=args.level, progress=progress)
    if args.json is not None:
        file = AtomicFile(args.json)
        with file.guard():
            file.stream.write(found.to_json() + "\n")
        file.commit()
    print(found)
    return EXIT_FAILED_FILES if found.left_out else EXIT_OK
