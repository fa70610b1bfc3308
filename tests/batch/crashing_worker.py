# SPDX-License-Identifier: Apache-2.0
"""A worker like the real one, but for what happens to recordings of certain names."""

import ctypes
import sys
import time

from oido.batch import recording, worker

_rows = recording.RecordingRun.rows


def rows(self):  # type: ignore[no-untyped-def]
    if "segfault" in self._task.name:
        print("decoder: about to read address 0", file=sys.stderr, flush=True)
        ctypes.string_at(0)
    if "hang" in self._task.name:
        time.sleep(600)
    if "defect" in self._task.name:
        raise ZeroDivisionError("a defect of ours")
    print("decoders may print, too")
    yield from _rows(self)


recording.RecordingRun.rows = rows  # type: ignore[method-assign]

if __name__ == "__main__":
    sys.exit(worker.main())
