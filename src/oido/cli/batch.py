# SPDX-License-Identifier: Apache-2.0
"""``oido batch``: a whole archive, and nothing lost; ``oido batch status``: how far it is."""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Sequence
from contextlib import ExitStack
from typing import TYPE_CHECKING, Any

from oido.cli.options import (
    add_inference_options,
    add_reading_options,
    add_report_options,
    make_plan,
)
from oido.cli.terminal import interruptible, interrupts_held
from oido.errors import OptionError, OutputError
from oido.params import available_cores

if TYPE_CHECKING:
    from oido.batch.engine import Engine
    from oido.batch.run import ArchiveRun
    from oido.batch.units import Outcome, RunSpec, Source

__all__ = ["add_parser", "run_archive", "show_status"]

_LARGE_BYTES = 64_000_000
"""Of a recording that more than one worker may be of use for: an hour of WAV is twice as much."""

_EPILOG = """\
examples:
  oido batch recordings/ -o results/
  oido batch recordings/ -o results/ --resume
  oido batch recordings/ -o results/ --resume --retry-failed
  oido batch status results/
  oido batch files.csv -o results/ --floor 0.3 --embeddings
  oido batch s3://bucket/2026/ -o s3://bucket/results/ --jobs 16
  oido batch s3://bucket/2026/ -o s3://bucket/results/ --engine ray --address auto

The results are Parquet tables (recordings, events, windows, clips) and a ledger, which says what
counts. Whatever stops a run, --resume goes on from there, and no row is lost or doubled. A
recording that has changed since is heard anew. Exit codes are those of `oido classify`.
"""


def add_parser(commands: Any) -> None:
    """Add ``oido batch``."""
    parser = commands.add_parser(
        "batch",
        help="hear a whole archive into Parquet tables; stop and resume at any time",
        description="Hear a whole archive into a folder of Parquet tables; stop and resume at any "
        "time. `oido batch status FOLDER` tells how far it is.",
        epilog=_EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument(
        "paths",
        metavar="PATH",
        nargs="+",
        help="recordings, folders (searched to the bottom), patterns in quotes, URLs (s3://, "
        "gs://, https://), or lists of these: .txt, or .csv and .parquet with a column file or "
        "path; or: status FOLDER",
    )
    group = parser.add_argument_group("output")
    group.add_argument("-o", "--output", metavar="FOLDER", help="the results: a folder or a URL")
    group.add_argument("--resume", action="store_true", help="go on with what is in the folder")
    group.add_argument(
        "--retry-failed", action="store_true", help="with --resume: hear again what failed"
    )
    group.add_argument(
        "--floor",
        metavar="SCORE",
        type=float,
        default=0.1,
        help="lowest score, 0..1, or probability of a calibrated model, of a row in the table of "
        "windows (default 0.1)",
    )
    group.add_argument(
        "--clip-top",
        metavar="N",
        type=int,
        default=5,
        help="labels for each recording in the table of clips (default 5)",
    )
    group.add_argument(
        "--embeddings", action="store_true", help="keep the embeddings of all windows, as float16"
    )
    group.add_argument("-q", "--quiet", action="store_true", help="no progress, errors only")
    group.add_argument("-v", "--verbose", action="store_true", help="a line per recording, details")
    group.add_argument("--json", action="store_true", help="of status: as JSON")
    add_report_options(parser)
    hearing = add_inference_options(parser)
    add_reading_options(hearing)
    hearing.add_argument(
        "--split",
        metavar="SECONDS",
        type=float,
        default=3600.0,
        help="hear longer recordings in ranges on all cores, where that gives the same rows "
        "(default 3600; 0: never)",
    )
    hearing.add_argument(
        "--engine",
        choices=("local", "ray"),
        default="local",
        help="processes on this machine, or Ray actors, of one core each, on all nodes of a "
        "cluster (default local)",
    )
    hearing.add_argument(
        "--address",
        metavar="HOST:PORT",
        help="of the Ray cluster, or auto (default: RAY_ADDRESS; without it, Ray on this machine)",
    )
    parser.set_defaults(run=_run, level="events", top=None)


def _run(args: argparse.Namespace) -> int:
    if args.paths[0] == "status":
        if len(args.paths) != 2 or args.output:
            raise OptionError("say: oido batch status FOLDER (a recording of that name: ./status)")
        return show_status(args.paths[1], as_json=args.json)
    if args.json:
        raise OptionError("--json is for `oido batch status FOLDER`")
    if not args.output:
        raise OptionError("an archive needs a folder for its results: add -o results/")
    if args.retry_failed and not args.resume:
        raise OptionError("--retry-failed goes with --resume")
    if args.address and args.engine != "ray":
        raise OptionError("--address goes with --engine ray")
    return run_archive(args)


def _order(args: argparse.Namespace) -> RunSpec:
    from oido.batch.units import RunSpec

    if not 0.0 <= args.floor <= 1.0:
        raise OptionError(f"--floor must be from 0 to 1, not {args.floor:g}")
    if args.clip_top < 1:
        raise OptionError(f"--clip-top must be 1 or more, not {args.clip_top}")
    if not args.split >= 0:
        raise OptionError(f"--split must be 0 s or more, not {args.split:g}")
    return RunSpec(
        make_plan(args),
        args.output,
        floor=args.floor,
        clip_top=args.clip_top,
        embeddings=args.embeddings,
        split_seconds=args.split or float("inf"),
    )


def run_archive(args: argparse.Namespace) -> int:
    """Hear the paths into the folder; the exit code."""
    for name, value in _DEFAULTS.items():
        if not hasattr(args, name):
            setattr(args, name, value)
    run: ArchiveRun | None = None
    try:
        with interrupts_held():
            _need_pyarrow()
            from oido.batch.run import ArchiveRun
            from oido.batch.sources import find_sources
            from oido.cli.exit_codes import EXIT_FAILED_FILES, EXIT_OK

        order = _order(args)
        sources = find_sources(args.paths)
        run = ArchiveRun(
            order,
            sources,
            resumes=args.resume,
            retries_failed=args.retry_failed,
        )
        with ExitStack() as stack:
            stack.callback(run.tidy)
            engine = _engine(args, order, sources, stack)
            with interruptible(engine):
                run.prepare(engine.start())
                failed = _hear(run, engine, order, quiet=args.quiet, verbose=args.verbose)
    except KeyboardInterrupt as error:
        begun = args.resume or (run is not None and run.is_begun)
        again = _again(args.output) if begun else "nothing was committed; give the command again"
        raise KeyboardInterrupt(*error.args, again) from None
    return EXIT_FAILED_FILES if failed else EXIT_OK


def _again(folder: str) -> str:
    return f"go on with the same command and --resume; {folder} keeps what is committed"


_DEFAULTS = {
    "floor": 0.1,
    "embeddings": False,
    "split": 3600.0,
    "retry_failed": False,
    "engine": "local",
    "address": None,
}
"""What `oido classify --resume` has no options for."""


def _engine(
    args: argparse.Namespace, order: RunSpec, sources: Sequence[Source], stack: ExitStack
) -> Engine:
    """Whose workers begin to load; the stack closes it."""
    if args.engine == "ray":
        from oido.batch.ray_engine import RayEngine

        return stack.enter_context(RayEngine(order, args.jobs, args.address))
    with interrupts_held():
        from oido.batch.engine import LocalEngine

        # A small recording is heard by one; a large one may be split among all.
        useful = sum(1 + source.size // _LARGE_BYTES for source in sources)
        workers = min(args.jobs or available_cores(), max(1, useful))
        return stack.enter_context(LocalEngine(order, workers))


def _need_pyarrow() -> None:
    from importlib.util import find_spec

    from oido.errors import MissingExtraError

    if find_spec("pyarrow") is None:
        raise MissingExtraError(
            "archives are Parquet tables and need pyarrow; install it with: "
            "pip install 'oido[archive]'"
        )


def _hear(run: ArchiveRun, engine: Engine, order: RunSpec, *, quiet: bool, verbose: bool) -> int:
    from oido.cli.progress import ArchiveProgress

    with ArchiveProgress(run.todo, quiet or not run.todo) as progress:
        try:
            _tell_before(run, quiet)
            for step in run.steps(engine):
                with progress.aside():
                    _tell(step.outcomes, verbose)
                progress.moved(step)
        except KeyboardInterrupt:
            done = f"{progress.done} of {len(run.todo)} were done"
            raise KeyboardInterrupt(done) from None
        except OutputError as error:
            raise OutputError(f"{error}; {_again(order.folder)}") from error
        progress.concluded()
    return progress.failed + run.failed_before


def _tell_before(run: ArchiveRun, quiet: bool) -> None:
    """What earlier runs have left to this one."""
    done = run.n_sources - len(run.todo)
    if done and not quiet:
        failed = ""
        if run.failed_before:
            failed = f" ({run.failed_before} of them failed; --retry-failed hears those again)"
        print(f"oido: {done} of {run.n_sources} were heard before{failed}", file=sys.stderr)


def _tell(outcomes: Sequence[Outcome], verbose: bool) -> None:
    for outcome in outcomes:
        if outcome.failure is not None:
            print(f"oido: {outcome.failure.reason}", file=sys.stderr)
        elif verbose:
            print(
                f"oido: {outcome.unit.source.name}: {outcome.duration:.2f} s, "
                f"{outcome.windows} windows, {outcome.rows} rows",
                file=sys.stderr,
            )


def show_status(url: str, as_json: bool = False) -> int:
    """Print it; 0 if all is well, 3 if recordings failed."""
    from oido.batch.progress import status_of
    from oido.cli.exit_codes import EXIT_FAILED_FILES, EXIT_OK

    status = status_of(url)
    if as_json:
        print(json.dumps(status, ensure_ascii=False, indent=2))
    else:
        print("\n".join(_lines(status)))
    return EXIT_FAILED_FILES if status["failed"] else EXIT_OK


def _lines(status: dict[str, Any]) -> list[str]:
    rows = ", ".join(f"{n} {table}" for table, n in status["rows"].items())
    lines = [
        f"{status['folder']}  {status['model']}, last written {status['last_commit']}",
        f"done     {status['done']} recordings, {status['audio_seconds'] / 3600:.2f} h",
        f"failed   {status['failed']}",
        f"left     {status['left']}",
        f"rows     {rows}",
    ]
    if status["times_real_time"] is not None:
        lines.append(
            f"speed    {status['times_real_time']:.0f} × real time, "
            f"{status['files_per_hour']:.0f} files/h"
        )
    if status["eta_seconds"] is not None:
        lines.append(f"ETA      {_clock(status['eta_seconds'])}")
    for recording in status["under_way"]:
        lines.append(f"split    {recording['file']}: {recording['heard']} of {recording['of']}")
    if status["failures"]:
        width = max(len(failure["kind"]) for failure in status["failures"])
        lines += ["", "failed recordings:"]
        lines += [f"  {f['kind']:<{width}}  {f['reason']}" for f in status["failures"]]
    return lines


def _clock(seconds: float) -> str:
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02d}:{rest:02d}"
