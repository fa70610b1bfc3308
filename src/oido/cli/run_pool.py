# SPDX-License-Identifier: Apache-2.0
"""The run itself: messages of the pool to the sink, to the progress, and to the user."""

from __future__ import annotations

import sys
from collections.abc import Sequence

from oido.batch.output_files import Sink, manifest
from oido.batch.plan import Failure, FileSummary, Plan, Task
from oido.batch.process_pool import LocalPool
from oido.batch.worker import Done, Rows
from oido.cli.progress import Progress
from oido.cli.terminal import interruptible
from oido.writers.atomic import write_json

__all__ = ["run_files"]


def run_files(
    pool: LocalPool,
    plan: Plan,
    tasks: Sequence[Task],
    sink: Sink,
    *,
    quiet: bool = False,
    verbose: bool = False,
) -> int:
    """Hear every task into the sink; return how many recordings failed.

    Interrupted, it saves what is done, and raises KeyboardInterrupt with what to say of it.
    """
    summaries: list[FileSummary] = []
    under_way: FileSummary | None = None
    with Progress(tasks, quiet) as progress, interruptible(pool):
        try:
            for task, message in pool.run(tasks):
                with progress.aside():
                    if isinstance(message, Done):
                        sink.end(task, message.summary)
                        summaries.append(message.summary)
                        under_way = None
                        _tell(message.summary, quiet, verbose)
                    else:
                        sink.write(task, message.rows)
                        under_way = _heard_so_far(task, message, under_way)
                progress.heard(task, message)
            sink.commit()
            _save_manifest(pool, plan, tasks, sink, summaries, interrupted=False)
        except KeyboardInterrupt:
            pool.close()
            done = len(summaries)
            if under_way is not None and under_way.rows:
                summaries.append(under_way)
            sink.save_partial()
            _save_manifest(pool, plan, tasks, sink, summaries, interrupted=True)
            kept = ", ".join(str(path) for path in sink.written)
            raise KeyboardInterrupt(
                f"{done} of {len(tasks)} recordings were done{'; kept in ' + kept if kept else ''}"
            ) from None
        progress.conclude(summaries)
    return sum(summary.failure is not None for summary in summaries)


def _heard_so_far(task: Task, message: Rows, before: FileSummary | None) -> FileSummary:
    """What the manifest says of a recording if the run is interrupted now."""
    rows = (before.rows if before else 0) + len(message.rows)
    reason = f"{task.name}: interrupted (heard up to {message.duration:.1f} s; those rows are kept)"
    failure = Failure("Interrupted", reason)
    return FileSummary(task.name, duration=message.duration, rows=rows, failure=failure)


def _tell(summary: FileSummary, quiet: bool, verbose: bool) -> None:
    """A failure is one line, always; other things are told on request."""
    if summary.failure is not None:
        print(f"oido: {summary.failure.reason}", file=sys.stderr)
    elif verbose:
        padded = f", last window {summary.padded_share:.0%} padding" if summary.padded_share else ""
        print(
            f"oido: {summary.name}: {summary.duration:.2f} s, {summary.channels} channel(s), "
            f"{summary.windows} windows{padded}, {summary.rows} rows",
            file=sys.stderr,
        )
    if summary.damaged_packets and not quiet:
        print(
            f"oido: {summary.name}: {summary.damaged_packets} damaged piece(s) were left out",
            file=sys.stderr,
        )


def _save_manifest(
    pool: LocalPool,
    plan: Plan,
    tasks: Sequence[Task],
    sink: Sink,
    summaries: Sequence[FileSummary],
    interrupted: bool,
) -> None:
    if sink.manifest_path is not None:
        inputs = [task.name for task in tasks]
        content = manifest(
            plan,
            model_name=pool.model_name,
            model_sha256=pool.model_sha256,
            inputs=inputs,
            summaries=summaries,
            outputs=sink.written,
            interrupted=interrupted,
        )
        write_json(sink.manifest_path, content)
