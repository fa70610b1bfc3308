# SPDX-License-Identifier: Apache-2.0
"""Run by the environment of the `birdnet` package: what a recording takes, as JSON.

Arguments: the network (.tflite), its labels, how many workers, then recordings. The package fetches
its own copy of the weights from the web; here it is given the file that oido fetched, the same
network in float32. Prints, by recording, seconds of the processor (of its worker processes, too)
and of the clock; a call starts its workers anew, and that is part of it.
"""

from __future__ import annotations

import contextlib
import json
import resource
import sys
import time


def processor() -> float:
    """Seconds so far, of this process and of those that ended."""
    each = (resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN))
    return sum(usage.ru_utime + usage.ru_stime for usage in each)


def main() -> None:
    import birdnet

    network, labels, workers, *paths = sys.argv[1:]
    spent, found = [], []
    with contextlib.redirect_stdout(sys.stderr):
        model = birdnet.load_custom("acoustic", "2.4", "tf", network, labels, library="litert")
        for path in paths:
            began = processor(), time.perf_counter()
            result = model.predict(
                path, n_workers=int(workers), top_k=None, default_confidence_threshold=0.1
            )
            spent.append([processor() - began[0], time.perf_counter() - began[1]])
            found.append(len(result.to_structured_array()))
    print(json.dumps({"found": found, "spent": spent}))


if __name__ == "__main__":
    main()
