# SPDX-License-Identifier: Apache-2.0
"""Turn recordings into embeddings, for search and for classifiers of your own.

examples:
  oido embed recordings/ -o embeddings.parquet
  oido embed recordings/ -o clips.npz --clip --l2-normalize
  oido embed 'field/**/*.flac' -o results/ --format parquet,npz

An embedding is the vector of 1024 numbers that the network computes before it names a sound: near
vectors are similar sounds, and new classifiers learn from them. Vectors of different models cannot
be compared; the manifest beside the output names the model.
"""

from __future__ import annotations

import argparse
from typing import Any

from oido.cli.arguments import add_command
from oido.cli.options import fetch_model
from oido.cli.terminal import interrupts_held
from oido.errors import OptionError
from oido.messages import tr


def add_parser(commands: Any) -> None:
    """Add ``oido embed``."""
    add = add_command(commands, "embed", _run, __doc__)
    add.paths()
    add.row_output("parquet or npz, or both (default: what the name of -o tells)")
    add_written = add.group("what is written")
    add_written(
        "--clip",
        "one vector for each recording (default: one for each window)",
        dest="level",
        action="store_const",
        const="clip",
        default="windows",
    )
    add_written("--l2-normalize", "give every vector the length 1")
    add.prediction()


def _run(args: argparse.Namespace) -> int:
    with interrupts_held():
        from oido.batch.output_files import ResultFiles
        from oido.batch.plan import Plan
        from oido.cli.run_pool import run_plan
        from oido.writers.formats import EMBEDDING_FORMATS, format_named

    if not args.output:
        raise OptionError(
            tr("embeddings are not for the screen: add -o embeddings.parquet (or .npz)")
        )
    names = [name for text in args.format for name in text.split(",")]
    formats = [format_named(name, EMBEDDING_FORMATS) for name in names]
    plan = Plan(
        what="embeddings",
        model=fetch_model(args.model),
        level=args.level,
        hop=args.hop,
        channel=args.channel,
        l2_normalize=args.l2_normalize,
        precision=args.precision,
    )
    known = EMBEDDING_FORMATS
    return run_plan(
        args,
        plan,
        lambda tasks: ResultFiles(args.output, formats, plan.table_name, tasks, known=known),
    )
