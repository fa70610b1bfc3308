# SPDX-License-Identifier: Apache-2.0
"""Run by the environment of the `birdnet` package: what it finds in recordings, as JSON.

Arguments: the network (.tflite) and its labels, as oido fetched them; options as JSON (those of its
`predict`); then recordings at 48 kHz. The package would fetch its own copy of the same file, which
it knows by its size; here it finds oido's where it looks. Prints, by recording, lists of [start,
end, label, confidence], and what each took: seconds of the processor (of its worker processes, too)
and of the clock, without loading.
"""

from __future__ import annotations

import contextlib
import json
import os
import sys
import tempfile
import time
from pathlib import Path


def put(network: str, labels: str, folder: Path) -> None:
    """Links where the package looks for its files; it wants labels in all its languages."""
    from birdnet.acoustic.models.v2_4.tf import AcousticTFDownloaderV2_4 as Files

    model, languages = Files._get_paths("fp32")
    assert folder in model.parents
    languages.mkdir(parents=True)
    model.symlink_to(network)
    for language in Files.AVAILABLE_LANGUAGES:
        (languages / f"{language}.txt").symlink_to(labels)


def processor() -> float:
    """Seconds so far, of this process and of all its children."""
    import psutil

    here = psutil.Process()
    each = [process.cpu_times() for process in (here, *here.children(recursive=True))]
    ended = here.cpu_times()
    spent = sum(times.user + times.system for times in each)
    return float(spent + ended.children_user + ended.children_system)


def main() -> None:
    network, labels, options, *paths = sys.argv[1:]
    found, spent = [], []
    with contextlib.ExitStack() as stack:
        stack.enter_context(contextlib.redirect_stdout(sys.stderr))
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory())).resolve()
        os.environ["BIRDNET_APP_DATA"] = str(folder)  # read when the package is imported
        import birdnet

        put(network, labels, folder)
        model = birdnet.load("acoustic", "2.4", "tf", library="litert")
        session = stack.enter_context(model.predict_session(**json.loads(options)))
        for path in paths:
            began = processor(), time.perf_counter()
            result = session.run(path)
            spent.append([processor() - began[0], time.perf_counter() - began[1]])
            found.append(
                [
                    [float(row["start_time"]), float(row["end_time"]), str(row["species_name"]),
                     float(row["confidence"])]
                    for row in result.to_structured_array()
                ]
            )  # fmt: skip
    print(json.dumps({"found": found, "spent": spent}))


if __name__ == "__main__":
    main()
