# SPDX-License-Identifier: Apache-2.0
"""The run itself: messages of the pool to the sink, to the progress, and to the user."""

from __future__ import annotations

import argparse
from collections.abc import Callable, Sequence
from contextlib import ExitStack

from oido.batch.output_files import Sink, manifest
from oido.batch.plan import Failure, FileSummary, Plan, Task
from oido.batch.process_pool import LocalPool
from oido.batch.sources import find_recordings
from oido.batch.units import remarks_of
from oido.batch.worker import Done, Rows
from oido.cli.options import make_tasks
from oido.cli.progress import Progress
from oido.cli.terminal import (
    EXIT_FAILED_FILES,
    EXIT_OK,
    interruptible,
    interrupts_held,
    print_message,
)
from oido.messages import tr
from oido.params import available_cores
from oido.writers.atomic import write_json


def run_plan(
    args: argparse.Namespace, plan: Plan, open_sink: Callable[[Sequence[Task]], Sink]
) -> int:
    """Run the plan over the recordings of the command line; the exit code."""
    recordings = find_recordings(args.paths, None if args.quiet else print_message)
    jobs = args.jobs or available_cores()
    with ExitStack() as stack:
        # First of all, so that the workers load while the rest is prepared.
        with interrupts_held():
            pool = stack.enter_context(LocalPool(plan, min(jobs, len(recordings))))
        tasks = make_tasks(recordings, jobs, stack)
        with interrupts_held():
            sink = stack.enter_context(open_sink(tasks))
        failed = _run_tasks(args, pool, plan, tasks, sink)
        with interruptible(pool.close):  # all is done: an interrupt only hastens the end
            stack.close()
    return EXIT_FAILED_FILES if failed else EXIT_OK


def _run_tasks(
    args: argparse.Namespace, pool: LocalPool, plan: Plan, tasks: Sequence[Task], sink: Sink
) -> int:
    """Run every task into the sink; return how many recordings failed.

    Interrupted, it saves what is done, and raises KeyboardInterrupt with what to print of it.
    """
    summaries: list[FileSummary] = []
    under_way: FileSummary | None = None

    def save_manifest(interrupted: bool) -> None:
        if sink.manifest_path is not None:
            content = manifest(
                plan,
                model_name=pool.model_name,
                model_sha256=pool.model_sha256,
                inputs=[task.name for task in tasks],
                summaries=summaries,
                outputs=sink.written,
                interrupted=interrupted,
            )
            write_json(sink.manifest_path, content)

    sizes = [task.size_bytes for task in tasks]
    with interruptible(pool.interrupt), Progress(sizes, args.quiet) as progress:
        try:
            for task, message in pool.run(tasks):
                with progress.aside():
                    if isinstance(message, Done):
                        summary = sink.end(task, message.summary) or message.summary
                        summaries.append(summary)
                        under_way = None
                        _print_summary(summary, args.quiet, args.verbose)
                    else:
                        sink.write(task, message.rows)
                        under_way = _partial_summary(task, message, under_way)
                progress.advance(task, message)
            sink.commit()
            save_manifest(interrupted=False)
        except KeyboardInterrupt:
            pool.close()
            done = len(summaries)
            if under_way is not None and under_way.rows:
                summaries.append(under_way)
            sink.save_partial()
            save_manifest(interrupted=True)
            kept = ", ".join(str(path) for path in sink.written)
            raise KeyboardInterrupt(
                tr(
                    "{done} of {n_tasks} recordings were done{kept}",
                    done=done,
                    n_tasks=len(tasks),
                    kept=tr("; kept in {kept}", kept=kept) if kept else "",
                )
            ) from None
        progress.conclude(summaries)
    return sum(summary.failure is not None for summary in summaries)


def _partial_summary(task: Task, message: Rows, before: FileSummary | None) -> FileSummary:
    """The manifest's entry of a recording if the run is interrupted now."""
    rows = (before.rows if before else 0) + len(message.rows)
    reason = tr(
        "{name}: interrupted (heard up to {duration:.1f} s; those rows are kept)",
        name=task.name,
        duration=message.duration,
    )
    failure = Failure("Interrupted", reason)
    return FileSummary(task.name, duration=message.duration, rows=rows, failure=failure)


def _print_summary(summary: FileSummary, quiet: bool, verbose: bool) -> None:
    """A failure is one line, always; other things are printed on request."""
    if summary.failure is not None:
        print_message(summary.failure.reason)
    elif verbose:
        padded = (
            tr(", last window {padded_share:.0%} padding", padded_share=summary.padded_share)
            if summary.padded_share
            else ""
        )
        print_message(
            tr(
                "{name}: {duration:.2f} s, {channels} channel(s), {windows} "
                "windows{padded}, {rows} rows",
                name=summary.name,
                duration=summary.duration,
                channels=summary.channels,
                windows=summary.windows,
                padded=padded,
                rows=summary.rows,
            )
        )
        for finding in summary.findings:
            print_message(tr("{name}: {finding}", name=summary.name, finding=finding))
    for remark in () if quiet else remarks_of(summary):
        print_message(tr("{name}: {remark}", name=summary.name, remark=remark))
