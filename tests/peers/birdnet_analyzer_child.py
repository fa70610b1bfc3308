# SPDX-License-Identifier: Apache-2.0
"""Run by the environment of BirdNET-Analyzer: one of its commands, with the files that oido has.

Arguments: the command (analyze, segments, species, embeddings, search, train), the folder of its
files, then the command's own arguments, as behind ``python -m birdnet_analyzer.COMMAND``. It would
fetch the same .tflite files from the web, and with them others (a SavedModel, TensorFlow.js), none
of which these commands read but for the end of ``train``.
"""

from __future__ import annotations

import runpy
import sys
from pathlib import Path


def main() -> None:
    from birdnet_analyzer import config, utils

    command, folder, *arguments = sys.argv[1:]
    utils.FROZEN = True  # its own word for: all files are here
    for name in ("BIRDNET_MODEL_PATH", "BIRDNET_LABELS_FILE", "MDATA_MODEL_PATH"):
        setattr(config, name, str(Path(folder).absolute() / Path(getattr(config, name)).name))
    config.ERROR_LOG_FILE = str(Path(folder, "errors.txt"))
    sys.argv = [f"birdnet-{command}", *arguments]
    runpy.run_module(f"birdnet_analyzer.{command}", run_name="__main__")


if __name__ == "__main__":
    main()
