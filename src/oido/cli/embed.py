# SPDX-License-Identifier: Apache-2.0
"""``oido embed``: recordings to vectors."""

from __future__ import annotations

import argparse
from contextlib import ExitStack
from typing import Any

from oido.cli.options import (
    add_inference_options,
    add_output_options,
    add_paths,
    fetch_model,
    make_tasks,
)
from oido.cli.terminal import interrupts_held
from oido.errors import OptionError
from oido.params import available_cores

__all__ = ["add_parser"]

_EPILOG = """\
examples:
  oido embed recordings/ -o embeddings.parquet
  oido embed recordings/ -o clips.npz --clip --l2-normalize
  oido embed 'field/**/*.flac' -o results/ --format parquet,npz

An embedding is the vector of 1024 numbers that the network computes before it names a sound: near
vectors are similar sounds, and new classifiers learn from them. Vectors of different models cannot
be compared; the manifest beside the output names the model.
"""


def add_parser(commands: Any) -> None:
    """Add ``oido embed``."""
    parser = commands.add_parser(
        "embed",
        help="turn recordings into embeddings, for search and for classifiers of your own",
        description="Turn recordings into embeddings, per window or per clip.",
        epilog=_EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    add_paths(parser)
    add_output_options(parser, "parquet or npz, or both (default: what the name of -o tells)")
    group = parser.add_argument_group("what is written")
    group.add_argument(
        "--clip",
        dest="level",
        action="store_const",
        const="clip",
        default="windows",
        help="one vector for each recording (default: one for each window)",
    )
    group.add_argument("--l2-normalize", action="store_true", help="give every vector the length 1")
    add_inference_options(parser)
    parser.set_defaults(run=_run)


def _run(args: argparse.Namespace) -> int:
    with interrupts_held():
        from oido.batch.output_files import ResultFiles
        from oido.batch.plan import Plan
        from oido.batch.process_pool import LocalPool
        from oido.batch.sources import find_recordings
        from oido.cli.exit_codes import EXIT_FAILED_FILES, EXIT_OK
        from oido.cli.run_pool import run_files
        from oido.writers import EMBEDDING_FORMATS, format_named

    if not args.output:
        raise OptionError("embeddings are not for the screen: add -o embeddings.parquet (or .npz)")
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
    recordings = find_recordings(args.paths)
    jobs = args.jobs or available_cores()
    with ExitStack() as stack:
        with interrupts_held():
            pool = stack.enter_context(LocalPool(plan, min(jobs, len(recordings))))
        tasks = make_tasks(recordings, jobs, stack)
        with interrupts_held():
            sink = stack.enter_context(
                ResultFiles(args.output, formats, plan.table_name, tasks, known=EMBEDDING_FORMATS)
            )
        failed = run_files(pool, plan, tasks, sink, quiet=args.quiet, verbose=args.verbose)
    return EXIT_FAILED_FILES if failed else EXIT_OK
