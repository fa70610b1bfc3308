# SPDX-License-Identifier: Apache-2.0
"""How far a run over an archive is, on standard error."""

from __future__ import annotations

import sys
import time
from collections.abc import Sequence

from oido.batch.archive import Progressed
from oido.batch.units import Source
from oido.cli.progress import Progress

__all__ = ["ArchiveProgress"]

_SHOW_AFTER_SECONDS = 0.7
_LINE_EVERY_SECONDS = 10.0


class ArchiveProgress(Progress):
    """As `Progress`, for units that end in any order."""

    def __init__(self, sources: Sequence[Source], quiet: bool) -> None:
        super().__init__((), quiet)
        self._tasks = len(sources)
        self._total_bytes = sum(source.size for source in sources)
        self._under_way: dict[str, float] = {}
        self.failed = 0

    def __enter__(self) -> ArchiveProgress:
        return self

    def moved(self, step: Progressed) -> None:
        """Something happened."""
        if step.unit is not None and step.duration:
            self._under_way[step.unit.key] = step.duration
        for outcome in step.outcomes:
            self._done_bytes += outcome.unit.source.size
            self._done_files += 1
            self._done_seconds += outcome.duration
            self.failed += outcome.failure is not None
            key = outcome.unit.source.key
            for other in [k for k in self._under_way if k.partition(":")[0] == key]:
                del self._under_way[other]
        self._now_seconds = sum(self._under_way.values())
        self._show()

    @property
    def done(self) -> int:
        """Recordings that are committed."""
        return self._done_files

    def concluded(self) -> None:
        """The last line: what was done."""
        self._close_bar()
        if not self._quiet:
            print(f"oido: {self._text()}; {self.failed} failed", file=sys.stderr)

    def _show(self) -> None:
        if self._quiet or self._elapsed < _SHOW_AFTER_SECONDS:
            return
        if sys.stderr.isatty():
            self._draw()
        elif time.monotonic() - self._last_line >= _LINE_EVERY_SECONDS:
            self._last_line = time.monotonic()
            print(f"oido: {self._text()}", file=sys.stderr)
