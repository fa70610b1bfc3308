# SPDX-License-Identifier: Apache-2.0
"""An engine without workers: units are done in this process, where a test can look at them."""

from __future__ import annotations

from oido.batch.engine import Engine, Messages, NextUnit
from oido.batch.unit_worker import UnitWorker
from oido.batch.units import Flush, RunSpec

__all__ = ["InlineEngine"]


class InlineEngine(Engine):
    """All in this process, one unit after the other; for tests, and for a debugger.

    A recording whose decoder crashes takes this process with it.
    """

    def __init__(self, spec: RunSpec) -> None:
        self._worker = UnitWorker(spec)
        self._interrupted = False

    def start(self) -> tuple[str, str]:
        return self._worker.model_name, self._worker.model_sha256

    def run(self, next_unit: NextUnit) -> Messages:
        flushed = False
        while True:
            unit = next_unit()
            if unit is None and flushed:
                return
            flushed = unit is None
            for report in self._worker.serve(Flush() if unit is None else unit):
                if self._interrupted:
                    raise KeyboardInterrupt
                yield unit, report

    def interrupt(self) -> None:
        self._interrupted = True

    def close(self) -> None:
        """Nothing to stop."""
