# SPDX-License-Identifier: Apache-2.0
"""Hear a whole archive into Parquet tables; stop and resume at any time.

Hear recordings into a results folder, which `oido query`, `find`, `review` and `report` read.
`oido batch status FOLDER` tells how far it is, `verify` whether every file of it is as it was
written, and `clean` what runs left over that were cut off.

examples:
  oido batch recordings/ -o results/
  oido batch recordings/ -o results/ --resume
  oido batch recordings/ -o results/ --resume --retry-failed
  oido batch status results/
  oido batch verify results/
  oido batch verify results/ --repair
  oido batch clean results/ --older-than 1d
  oido batch clean results/ --older-than 1d --delete
  oido batch files.csv -o results/ --floor 0.3 --embeddings
  oido batch recordings/ -o results/ --embeddings-of efficientat/mn04
  oido batch s3://bucket/2026/ -o s3://bucket/results/ --jobs 16
  oido batch s3://bucket/2026/ -o s3://bucket/results/ --engine ray --address auto

The results are Parquet tables (recordings, events, windows, clips) and a ledger, which says what
counts. Whatever stops a run, --resume goes on from there, and no row is lost or doubled. A
recording that has changed since is heard anew. A repair brings back the ledger from its copies, and
hears only those recordings again whose rows were damaged. Exit codes are those of `oido classify`,
and 4: files of the results are missing or changed.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Sequence
from contextlib import ExitStack
from importlib.util import find_spec
from typing import TYPE_CHECKING, Any

from oido.cli.arguments import add_command
from oido.cli.batch_folder import show_leftovers, show_verification
from oido.cli.options import fetch_model, plan_of
from oido.cli.terminal import (
    EXIT_DAMAGED,
    EXIT_FAILED_FILES,
    EXIT_OK,
    data_output,
    interruptible,
    interrupts_held,
    print_line,
    print_message,
)
from oido.errors import MissingExtraError, OptionError, OutputError
from oido.messages import joined, recognised, tr
from oido.options import OPTIONS
from oido.params import available_cores

if TYPE_CHECKING:
    from oido.batch.engine import Engine
    from oido.batch.estimate import WorkEstimate
    from oido.batch.run import ArchiveRun, Damage
    from oido.batch.units import Outcome, RunSpec, Source


_LARGE_BYTES = 64_000_000
"""Of a recording that more than one worker may be of use for: an hour of WAV is twice as much."""


def add_parser(commands: Any) -> None:
    """Add ``oido batch``."""
    add = add_command(commands, "batch", _run, __doc__)
    add(
        "paths PATH",
        "recordings, folders (searched to the bottom), patterns in quotes, URLs (s3://, "
        "gs://, https://), or lists of these: .txt, .m3u, or .csv, .tsv and .parquet with a column "
        "file or path; or: status FOLDER, verify FOLDER, clean FOLDER",
        nargs="+",
    )
    add_output = add.group("output")
    add_output("-o, --output FOLDER", "the results: a folder or a URL")
    add_output("--resume", "go on with what is in the folder")
    add_output("--retry-failed", "with --resume: hear again what failed")
    add_output.options("floor", "clip_top")
    add_output("--embeddings", "keep the embeddings of all windows, as float16")
    add_output(
        "--embeddings-of MODEL",
        "keep those of another network, in its own windows, such as efficientat/mn04, beside what "
        "--model hears; the sound is decoded once",
    )
    add_output.quiet()
    add_output("-v, --verbose", "a line per recording, details")
    add_output("--json", "of status and verify: as JSON")
    add_output("--repair", "of verify: hear again what was damaged")
    add_output(
        "--older-than AGE",
        "of clean: only files that nobody has written to for so long, such as 12h or 7d "
        "(default 1d)",
    )
    add_output("--delete", "of clean: really delete; without it they are only shown")
    add.reported()
    add_prediction = add.prediction("aggregation", "calibration", "head", "split")
    add_prediction(
        "--engine",
        "processes on this machine, or Ray actors, of one core each, on all nodes of a "
        "cluster (default local)",
        choices=("local", "ray"),
        default="local",
    )
    add_prediction(
        "--address HOST:PORT",
        "of the Ray cluster, or auto (default: RAY_ADDRESS; without it, Ray on this machine)",
    )


def _run(args: argparse.Namespace) -> int:
    action = args.paths[0]
    if action in ("status", "verify", "clean"):
        if len(args.paths) != 2 or args.output:
            raise OptionError(
                tr(
                    "say: oido batch {action} FOLDER (a recording of that name: ./{action})",
                    action=action,
                )
            )
    else:
        action = ""
    for name, actions in _OF_ACTIONS.items():
        if getattr(args, name) and action not in actions:
            raise OptionError(
                tr(
                    "--{name} is for {commands}",
                    name=name.replace("_", "-"),
                    commands=joined(
                        tr(" and "),
                        [tr("`oido batch {action} FOLDER`", action=each) for each in actions],
                    ),
                )
            )
    if action == "status":
        return show_status(args.paths[1], as_json=args.json)
    if action == "verify":
        return show_verification(args, repair)
    if action == "clean":
        return show_leftovers(args)
    if not args.output:
        raise OptionError(tr("an archive needs a folder for its results: add -o results/"))
    if args.retry_failed and not args.resume:
        raise OptionError(tr("--retry-failed goes with --resume"))
    if args.address and args.engine != "ray":
        raise OptionError(tr("--address goes with --engine ray"))
    return run_archive(args)


_OF_ACTIONS = {
    "json": ("status", "verify"),
    "repair": ("verify",),
    "older_than": ("clean",),
    "delete": ("clean",),
}
"""Which options are for what can be done with a folder of results."""


def run_archive(args: argparse.Namespace) -> int:
    """Run the paths of the command line into its folder; the exit code."""
    run: ArchiveRun | None = None
    try:
        for name in _SPEC_NAMES:
            if not hasattr(args, name):
                setattr(args, name, OPTIONS[name].default if name in OPTIONS else None)
        with interrupts_held():
            _need_pyarrow()
            from oido.batch.run import ArchiveRun
            from oido.batch.sources import find_sources
            from oido.batch.units import RunSpec

        spec = RunSpec(
            plan_of(args, level="events", top=None),
            args.output,
            floor=args.floor,
            clip_top=args.clip_top,
            embeddings=bool(args.embeddings or args.embeddings_of),
            embeddings_of=_other_model(args),
            split_seconds=args.split or float("inf"),
        )
        sources = find_sources(args.paths, None if args.quiet else print_message)
        retries_failed = bool(args.retry_failed)
        run = ArchiveRun(spec, sources, resumes=args.resume, retries_failed=retries_failed)
        failed = _run_with_engine(args, run, spec, sources)
    except KeyboardInterrupt as error:
        begun = args.resume or (run is not None and run.is_begun)
        again = (
            _again(args.output) if begun else tr("nothing was committed; give the command again")
        )
        raise KeyboardInterrupt(*error.args, again) from None
    return EXIT_FAILED_FILES if failed else EXIT_OK


def _other_model(args: argparse.Namespace) -> str:
    """Whose embeddings are kept, if not the classifying model's."""
    name = args.embeddings_of
    return "" if name in (None, args.model) else fetch_model(name)


def repair(
    args: argparse.Namespace, spec: RunSpec, sources: Sequence[Source], damage: Damage
) -> int:
    """Hear these again, in the folder that the spec names; the number of those that failed."""
    _need_pyarrow()
    from oido.batch.run import ArchiveRun

    for name in filter(None, (spec.plan.model, spec.embeddings_of)):
        fetch_model(name)
    run = ArchiveRun(spec, sources, resumes=True, retries_failed=True, damage=damage)
    try:
        return _run_with_engine(args, run, spec, sources)
    except KeyboardInterrupt as error:
        again = tr("the same command goes on with the repair")
        raise KeyboardInterrupt(*error.args, again) from None


def _run_with_engine(
    args: argparse.Namespace, run: ArchiveRun, spec: RunSpec, sources: Sequence[Source]
) -> int:
    """The number of recordings that failed."""
    with ExitStack() as stack:
        stack.callback(run.tidy)
        engine = _engine(args, spec, sources, stack)
        with interruptible(engine.interrupt):
            run.prepare(engine.start())
            for path in run.restored:
                print_message(tr("{path} was brought back from its copy", path=path))
            failed = _run_steps(run, engine, spec, quiet=args.quiet, verbose=args.verbose)
        with interruptible(lambda: None):  # all is done, and workers are let go
            stack.close()
    return failed


def _again(folder: str) -> str:
    return tr(
        "go on with the same command and --resume; {folder} keeps what is committed", folder=folder
    )


_SPEC_NAMES = ("floor", "split", "embeddings", "embeddings_of", "retry_failed", "engine", "address")
"""What `oido classify --resume` has no options for."""


def _engine(
    args: argparse.Namespace, spec: RunSpec, sources: Sequence[Source], stack: ExitStack
) -> Engine:
    """The engine, whose workers begin to load; the stack closes it."""
    if args.engine == "ray":
        from oido.batch.ray_engine import RayEngine

        return stack.enter_context(RayEngine(spec, args.jobs, args.address))
    with interrupts_held():
        from oido.batch.engine import LocalEngine

        # One worker runs a small recording; a large one may be split among all.
        useful = sum(1 + source.size // _LARGE_BYTES for source in sources)
        workers = min(args.jobs or available_cores(), max(1, useful))
        return stack.enter_context(LocalEngine(spec, workers))


def _need_pyarrow() -> None:
    if find_spec("pyarrow") is None:
        raise MissingExtraError(
            tr(
                "archives are Parquet tables and need pyarrow; install it with: pip "
                "install 'oido[archive]'"
            )
        )


def _run_steps(
    run: ArchiveRun, engine: Engine, spec: RunSpec, *, quiet: bool, verbose: bool
) -> int:
    from oido.cli.progress import ArchiveProgress

    progress = ArchiveProgress(run.todo, quiet or not run.todo)
    done_before, failed_before = run.n_sources - len(run.todo), run.failed_before
    with progress:
        try:
            if done_before and not quiet:
                again = tr(
                    " ({failed_before} of them failed; --retry-failed hears those again)",
                    failed_before=failed_before,
                )
                more = again if failed_before else ""
                print_message(
                    tr(
                        "{done_before} of {n_sources} were heard before{more}",
                        done_before=done_before,
                        n_sources=run.n_sources,
                        more=more,
                    )
                )
            if run.not_named and not quiet:
                print_message(
                    tr(
                        "recordings of before that are not named now, and keep their rows: "
                        "{not_named}",
                        not_named=run.not_named,
                    )
                )
            for step in run.steps(engine, estimates=not quiet):
                with progress.aside():
                    if step.estimate is not None:
                        _print_estimate(step.estimate, engine.n_workers, spec)
                    _print_outcomes(step.outcomes, quiet, verbose)
                progress.move(step)
        except KeyboardInterrupt:
            done = tr("{done} of {n_todo} were done", done=progress.done, n_todo=len(run.todo))
            raise KeyboardInterrupt(done) from None
        except OutputError as error:
            raise OutputError(
                tr("{error}; {again}", error=error, again=_again(spec.folder))
            ) from error
        progress.conclude()
    return progress.failed + failed_before


def _print_estimate(estimate: WorkEstimate, workers: int, spec: RunSpec) -> None:
    from oido.batch.estimate import estimate_text

    print_message(estimate_text(estimate, workers, is_fast=spec.plan.hop == "window"))


def _print_outcomes(outcomes: Sequence[Outcome], quiet: bool, verbose: bool) -> None:
    """As `oido.cli.run_pool` does of recordings."""
    for outcome in outcomes:
        if outcome.failure is not None:
            print_message(outcome.failure.reason)
        elif verbose:
            print_message(
                tr(
                    "{name}: {duration:.2f} s, {windows} windows, {rows} rows",
                    name=outcome.unit.source.name,
                    duration=outcome.duration,
                    windows=outcome.windows,
                    rows=outcome.rows,
                )
            )
        for remark in () if quiet else outcome.remarks:
            print_message(tr("{name}: {remark}", name=outcome.unit.source.name, remark=remark))


def show_status(url: str, as_json: bool = False) -> int:
    """Print how far the run in a folder is; exit code 3 if recordings failed, 4 if files are
    missing or cut short."""
    from oido.batch.progress import status_of

    status = status_of(url)
    if as_json:
        print(json.dumps(status, ensure_ascii=False, indent=2), file=data_output())
    else:
        for line in _lines(status):
            print_line(line)
    if status["damaged"] or status["damaged_parts"]:
        return EXIT_DAMAGED
    return EXIT_FAILED_FILES if status["failed"] else EXIT_OK


_ROWS = {
    "recordings": tr("recordings"),
    "events": tr("events"),
    "windows": tr("windows"),
    "clips": tr("clips"),
    "embeddings": tr("embeddings"),
}


def _lines(status: dict[str, Any]) -> list[str]:
    from oido.cli.progress import clock_text

    counts = status["rows"].items()
    rows = joined(
        ", ", [tr("{n} {table}", n=n, table=_ROWS.get(table, table)) for table, n in counts]
    )
    lines: list[str] = [
        tr(
            "{folder}  {model}, last written {last_commit}",
            folder=status["folder"],
            model=status["model"],
            last_commit=status["last_commit"],
        ),
        tr(
            "done     {done} recordings, {hours:.2f} h",
            done=status["done"],
            hours=status["audio_seconds"] / 3600,
        ),
        tr("failed   {failed}", failed=status["failed"]),
        tr("left     {left}", left=status["left"]),
        tr("rows     {rows}", rows=rows),
    ]
    if status["damaged"] or status["damaged_parts"]:
        repair = tr("oido batch verify {folder} --repair", folder=status["folder"])
        lines += [tr("damaged  {part}", part=part) for part in status["damaged_parts"]]
        lines.append(
            tr(
                "damaged  {damaged} recordings; say `{repair}`",
                damaged=status["damaged"],
                repair=repair,
            )
        )
    if status["times_real_time"] is not None:
        lines.append(
            tr(
                "speed    {times_real_time:.0f} × real time, {files_per_hour:.0f} files/h",
                times_real_time=status["times_real_time"],
                files_per_hour=status["files_per_hour"],
            )
        )
    if status["eta_seconds"] is not None:
        lines.append(tr("ETA      {left}", left=clock_text(status["eta_seconds"], hours=True)))
    for recording in status["under_way"]:
        lines.append(tr("split    {file}: {heard} of {of}", **recording))
    if status["failures"]:
        width = max(len(failure["kind"]) for failure in status["failures"])
        lines += ["", tr("failed recordings:")]
        lines += [f"  {f['kind']:<{width}}  {recognised(f['reason'])}" for f in status["failures"]]
    return lines
