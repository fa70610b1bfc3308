# SPDX-License-Identifier: Apache-2.0
"""The engine without workers: all in this process, one unit after the other.

For tests of what stands above an engine, and for a debugger.
"""

from __future__ import annotations

from collections.abc import Iterator

from oido.batch.engine import Lost, NextUnit
from oido.batch.unit_worker import UnitWorker
from oido.batch.units import Flush, RunSpec, Unit, WorkerReport

__all__ = ["InlineEngine"]


class InlineEngine:
    """An `Engine`. A recording whose decoder crashes takes this process with it."""

    def __init__(self, order: RunSpec) -> None:
        self._archivist = UnitWorker(order)
        self._interrupted = False

    def start(self) -> tuple[str, str]:
        """As `Engine.start`."""
        return self._archivist.model_name, self._archivist.model_sha256

    def run(self, next_unit: NextUnit) -> Iterator[tuple[Unit | None, WorkerReport | Lost]]:
        """As `Engine.run`."""
        flushed = False
        while True:
            unit = next_unit()
            if unit is None and flushed:
                return
            flushed = unit is None
            for report in self._archivist.serve(Flush() if unit is None else unit):
                if self._interrupted:
                    raise KeyboardInterrupt
                yield unit, report

    def interrupt(self) -> None:
        """As `Engine.interrupt`."""
        self._interrupted = True

    def close(self) -> None:
        """Nothing to stop."""

    def __enter__(self) -> InlineEngine:
        return self

    def __exit__(self, *_: object) -> None: ...
