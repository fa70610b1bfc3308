# SPDX-License-Identifier: Apache-2.0
"""Tell if new recordings differ from those that a model was calibrated on.

Compare what a model hears in two folders of recordings, and tell in words if thresholds and
calibration made on the first can be trusted on the second.

examples:
  oido drift calibrated-on/ this-month/
  oido drift train/ field/ --model birds.tflite --json drift.json

Both are folders of recordings, searched to the bottom; no labels are needed. Take at least 5
recordings of each, better 30 and more. Exit code 0 tells that the comparison was made, whatever it
found; "shifted" in the JSON file is for programs.
"""

from __future__ import annotations

import argparse
from typing import Any

from oido.cli.arguments import add_command, local_path
from oido.cli.options import fetch_model, require_suffix, require_writable
from oido.cli.terminal import EXIT_FAILED_FILES, EXIT_OK, print_report
from oido.messages import tr


def add_parser(commands: Any) -> None:
    """Add ``oido drift``."""
    add = add_command(commands, "drift", _run, __doc__)
    add("reference REFERENCE", "what the model is known on")
    add("new NEW", "what it is to be used on")
    add.options("model")
    add(
        "--level SHARE",
        "how often a shift may be told where there is none (default 0.05)",
        type=float,
        default=0.05,
    )
    add("--json FILE", "every figure, as .json", type=local_path)
    add.quiet()


def _run(args: argparse.Namespace) -> int:
    from oido.cli.progress import show_progress
    from oido.evaluation.drift import drift
    from oido.writers.atomic import write_text

    require_suffix("--json", args.json, ".json")
    require_writable(args.json)
    model = fetch_model(args.model)
    with show_progress(tr("recordings heard"), args.quiet) as progress:
        report = drift(args.reference, args.new, model, level=args.level, progress=progress)
    if args.json is not None:
        write_text(args.json, report.to_json() + "\n")
    print_report(str(report))
    return EXIT_FAILED_FILES if report.left_out else EXIT_OK
