# SPDX-License-Identifier: Apache-2.0
"""Tell how good a model is, on labelled recordings.

examples:
  oido evaluate birds.tflite held-out/
  oido evaluate birds.tflite held-out/clips.csv --report birds.html --json birds.json
  oido evaluate yamnet/classification labelled-tracks/ --events
  oido evaluate yamnet/classification sounds/ --map names.csv    Baby_cry,"Baby cry, infant cry"

The recordings are labelled as for training: folders by class, a table, or label tracks. Take some
that the model was not trained on. What is a label of theirs must be one of the model, or be given
the model's name by --map.
"""

from __future__ import annotations

import argparse
from typing import Any

from oido.cli.arguments import add_command, local_path
from oido.cli.options import (
    fetch_model,
    load_dataset,
    offering_a_map,
    require_suffix,
    require_writable,
)
from oido.cli.terminal import EXIT_FAILED_FILES, EXIT_OK, print_report
from oido.messages import shown, tr


def add_parser(commands: Any) -> None:
    """Add ``oido evaluate``."""
    add = add_command(commands, "evaluate", _run, __doc__)
    add("model NAME-or-FILE", "see `oido models list`")
    add.dataset("a folder of class folders or label tracks, or a table")
    add.label_map()
    add.options("head")
    add(
        "--report FILE",
        "the report as one page, .html, with pictures and the worst mistakes to hear",
        type=local_path,
    )
    add("--json FILE", "every figure, as .json", type=local_path)
    add(
        "--events",
        "judge events too, by their times: collars, 1 s segments, PSDS (needs oido[evaluate])",
    )
    add.quiet()


def _run(args: argparse.Namespace) -> int:
    from oido.cli.progress import show_progress
    from oido.evaluation.evaluate import evaluate
    from oido.writers.atomic import write_json

    require_suffix("--report", args.report, ".html", ".htm")
    require_suffix("--json", args.json, ".json")
    require_writable(args.report, args.json)
    data = load_dataset(args)
    model = fetch_model(args.model)
    events = None
    with offering_a_map(), show_progress(tr("clips heard"), args.quiet) as progress:
        if args.events:  # first, because it is refused where no label has times
            from oido.evaluation.event_metrics import judge_events

            events = judge_events(model, data, head=args.head, progress=progress)
        report = evaluate(model, data, head=args.head, progress=progress)
    figures = report.to_dict()
    if events is not None:
        print(shown(tr("{events}\n", events=events)))
        figures["events"] = events.to_dict()
    if args.report is not None:
        report.save(args.report)
    if args.json is not None:
        write_json(args.json, figures)
    print_report(str(report))
    return EXIT_FAILED_FILES if report.left_out else EXIT_OK
