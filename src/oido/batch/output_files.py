# SPDX-License-Identifier: Apache-2.0
"""Where the rows of a run go, and the manifest beside them.

One file for all recordings, or one beside each other per recording; the manifest says what was
asked, with which model, and what came of it.
"""

from __future__ import annotations

import contextlib
import errno
import os
from collections import Counter
from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from dataclasses import asdict, replace
from datetime import datetime, timezone
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

from oido._version import __version__
from oido.batch.plan import Failure, FileSummary, Plan, Task, marks
from oido.batch.units import escaped_name, utf8
from oido.errors import OptionError, OutputError
from oido.messages import text_of, tr
from oido.paths import is_special
from oido.types import AnyRow
from oido.urls import local_name
from oido.writers.atomic import free_path
from oido.writers.formats import FORMATS, Format, TableFile, format_of_path
from oido.writers.written import WrittenFiles

if TYPE_CHECKING:
    from typing_extensions import Self


class Sink:
    """Where a run's rows go: files, or the screen. Leaving the ``with`` block discards the rest."""

    manifest_path: Path | None = None

    def __init__(self) -> None:
        self.written: list[Path] = []
        """The files that are complete under their final names."""

    def write(self, task: Task, rows: Sequence[AnyRow]) -> None:
        """Rows of a recording; recordings come one after the other."""
        raise NotImplementedError

    def end(self, task: Task, summary: FileSummary) -> FileSummary | None:
        """The recording is over; what came of it, if that is not the summary."""

    def commit(self) -> None:
        """The run is over."""

    def save_partial(self) -> None:
        """The run was interrupted: keep what is done, under names that say so."""
        self.commit()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *error: object) -> None: ...


class ResultFiles(Sink):
    """The output files of one run.

    output: a folder (it exists as one, or its name ends in a slash) or a file. In a folder combined
    formats take ``table_name`` (``events.csv``) and other formats after the recording; as
    a file, several formats share the name up to its ending.

    Combined files appear under their names at ``commit`` and not before; files of single recordings
    as soon as the recording is done. In a folder nothing is overwritten that oido did not write, or
    that has been changed since; a file that is named is replaced.
    """

    def __init__(
        self,
        output: str,
        formats: Sequence[Format],
        table_name: str,
        tasks: Collection[Task],
        *,
        known: Sequence[Format] = FORMATS,
    ) -> None:
        super().__init__()
        output = local_name(output)
        path = Path(output)
        self._folder = output.endswith(("/", os.sep)) or os.path.isdir(path)
        if not formats:
            guessed = format_of_path(path, known)
            if guessed is None and not self._folder:
                raise OptionError(
                    tr(
                        "{output}: the name does not tell the format; add --format, "
                        "or end the name with / for a folder",
                        output=output,
                    )
                )
            formats = [guessed] if guessed and not self._folder else [known[0]]
        self._paths = {f: self._path(path, f, formats, table_name) for f in formats if f.combined}
        self._own = [f for f in formats if not f.combined]
        if self._own and len(tasks) > 1 and not self._folder:
            raise OptionError(
                tr(
                    "{name} is one file per recording: give a folder, such as -o results/",
                    name=self._own[0].name,
                )
            )
        self._names = _names_of(tasks) if self._folder and self._own else {}
        self._single = {f: self._path(path, f, formats, table_name) for f in self._own}
        self._output = path
        self._refuse_inputs(tasks)
        self._record = WrittenFiles(path) if self._folder else None
        if self._record is not None and path.is_dir():
            own = (self._own_path(task, f) for f in self._own for task in tasks)
            self._record.refuse_others([*self._paths.values(), *own], tr("overwritten"))
        self._combined = [TableFile(p, f, self._record) for f, p in self._paths.items()]
        self._current: list[TableFile] = []
        self._begun, self._trouble = False, ""
        manifest_name = "oido-manifest.json" if self._folder else f"{path.name}.manifest.json"
        if self._folder or not is_special(path):  # nothing is put beside a device
            self.manifest_path = (path if self._folder else path.parent) / manifest_name

    def write(self, task: Task, rows: Sequence[AnyRow]) -> None:
        if not self._begun:
            self._begun = True
            for entry in self._own:
                with self._costing(task):
                    self._current.append(
                        TableFile(self._own_path(task, entry), entry, self._record)
                    )
        for table in self._combined:
            table.write(rows)
        for own in list(self._current):
            with self._costing(task, own):
                own.write(rows)

    def end(self, task: Task, summary: FileSummary) -> FileSummary:
        """The recording is over; one without any window leaves no file of its own.

        A file of its own that cannot be written is its failure, and costs no other recording.
        """
        if summary.failure is None:
            self.write(task, [])
        for table in list(self._current):
            if summary.failure is None or summary.windows:
                with self._costing(task, table):
                    self.written.append(table.commit())
            else:
                table.discard()
        if self._trouble and summary.failure is None:
            summary = replace(summary, failure=Failure("OutputError", self._trouble))
        self._current, self._begun, self._trouble = [], False, ""
        return summary

    @contextlib.contextmanager
    def _costing(self, task: Task, table: TableFile | None = None) -> Iterator[None]:
        """What goes wrong with one recording's own file; a disk that is full ends the run."""
        try:
            yield
        except Exception as error:
            cause = error.__cause__ if isinstance(error, OutputError) else error
            number = cause.errno if isinstance(cause, OSError) else None
            denied = number in (errno.EACCES, errno.EPERM)
            is_of_all = isinstance(cause, OSError) and number not in _OF_ONE_NAME
            if not self._folder or is_of_all or (denied and not os.access(self._output, os.W_OK)):
                raise
            kind = "" if isinstance(error, OutputError) else f"{type(error).__name__}: "
            reason = kind + text_of(error)
            reason = reason if utf8(reason) == reason else utf8(reason)
            self._trouble = self._trouble or tr("{name}: {reason}", name=task.name, reason=reason)
            if table is not None:
                table.discard()
                self._current.remove(table)

    def commit(self) -> None:
        """The run is over: the combined files get their names."""
        self.written += [table.commit() for table in self._combined]
        self._combined = []

    def save_partial(self) -> None:
        for table in self._combined:
            self.written.append(table.commit(free_path(table.partial_name)))
        self._combined = []

    def __exit__(self, *error: object) -> None:
        for table in [*self._combined, *self._current]:
            table.discard()

    def _path(self, path: Path, entry: Format, formats: Sequence[Format], table_name: str) -> Path:
        if self._folder:
            return path / (table_name + entry.suffix)
        if len(formats) == 1:
            return path
        ending = format_of_path(path)
        stem = path.name[: -len(ending.suffix)] if ending else path.name
        return path.with_name(stem + entry.suffix)

    def _own_path(self, task: Task, entry: Format) -> Path:
        if not self._folder:
            return self._single[entry]
        return self._output / (self._names[task.number] + entry.suffix)

    def _refuse_inputs(self, tasks: Iterable[Task]) -> None:
        outputs = [*self._paths.values(), *([] if self._folder else self._single.values())]
        real = {os.path.realpath(path): path for path in outputs}
        real_folder = lru_cache(maxsize=1024)(os.path.realpath)
        for task in tasks:
            folder, name = os.path.split(task.path)
            # There may be a million, and hardly as many folders.
            is_plain = name not in ("", ".", "..") and not os.path.islink(task.path)
            path = os.path.join(real_folder(folder), name) if is_plain else task.path
            found = real.get(path if is_plain else os.path.realpath(path))
            if found is not None:
                raise OptionError(
                    tr("{found} is one of the recordings; choose another output", found=found)
                )


def _names_of(tasks: Collection[Task]) -> dict[int, str]:
    """For each recording a name of its own inside the output folder, without an ending.

    Its path below the folder that was named; where two would be the same (a video and its sound, or
    recordings of two folders) they keep their ending, or their whole path.
    """
    names: dict[int, str] = {}
    candidates: tuple[Callable[[Task], str], ...] = (
        lambda task: os.path.splitext(task.relative)[0],
        lambda task: task.relative,
        lambda task: os.path.splitdrive(os.path.abspath(task.name))[1].lstrip("/\\"),
    )
    left = list(tasks)
    for candidate in candidates:
        counts = Counter(candidate(task) for task in tasks)
        names.update({t.number: candidate(t) for t in left if counts[candidate(t)] == 1})
        left = [task for task in left if task.number not in names]
    return names


_OF_ONE_NAME = {
    errno.ENAMETOOLONG,
    errno.EACCES,
    errno.EPERM,
    errno.EISDIR,
    errno.ENOTDIR,
    errno.EEXIST,
    errno.ELOOP,
    errno.EINVAL,
    errno.EILSEQ,
}
"""What systems say of a name or a folder, and not of a disk."""

_VERSION = 1


def manifest(
    plan: Plan,
    *,
    model_name: str,
    model_sha256: str,
    inputs: Sequence[str],
    summaries: Sequence[FileSummary],
    outputs: Sequence[Path],
    interrupted: bool,
) -> dict[str, Any]:
    """The manifest as plain values."""
    more, scores = marks(plan.model, plan.head)
    failures = [s for s in summaries if s.failure is not None]
    return {
        "manifest_version": _VERSION,
        "oido_version": __version__,
        "created": datetime.now(timezone.utc).isoformat(timespec="seconds"),
        "model": {"name": model_name, "sha256": model_sha256, **more},
        "scores": scores,
        "parameters": plan.parameters(),
        "inputs": list(inputs),
        "outputs": [escaped_name(path.name) for path in outputs],
        "interrupted": interrupted,
        "counts": {
            "recordings": len(inputs),
            "heard": len(summaries) - len(failures),
            "failed": len(failures),
            "not_reached": len(inputs) - len(summaries),
            "windows": sum(s.windows for s in summaries),
            "rows": sum(s.rows for s in summaries),
            "audio_seconds": round(sum(s.duration for s in summaries), 3),
        },
        "recordings": [
            {key: value for key, value in asdict(s).items() if value is not None} for s in summaries
        ],
    }
