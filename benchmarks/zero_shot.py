# SPDX-License-Identifier: Apache-2.0
"""How well each model names real clips that it was not trained on, through oido as users run it.

    python benchmarks/zero_shot.py [--audio ../shared/audio] [--models ../shared/models]

Per set, model, precision and aggregation: mAP over the set's classes, top-1 and top-5 among all of
the model's classes with the acceptable alternatives of clips.csv. A model that cannot be had here
is left out, and said so. Labels of the sets were written from file names.
"""

from __future__ import annotations

import argparse
import os
import sys
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from precision import Clip, quality, read_clips

import oido
from oido.options import AGGREGATIONS

SETS = ("esc10", "everyday", "three-events")
CASES = (
    ("yamnet/classification", None),
    ("yamnet/classification", "float32"),
    ("yamnet", None),
    ("efficientat/mn04", None),
    ("ensemble", None),
)


def main() -> int:
    """Hear every set with every model; print a table."""
    root = Path(__file__).resolve().parents[1].parent / "shared"
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--audio", type=Path, default=root / "audio")
    parser.add_argument("--models", type=Path, default=root / "models")
    parser.add_argument("--limit", type=int, help="about this many clips of each set")
    arguments = parser.parse_args()
    known = os.environ.get("OIDO_MODEL_PATH", "")
    os.environ["OIDO_MODEL_PATH"] = os.pathsep.join(filter(None, [known, str(arguments.models)]))
    print("| set | clips | model | precision | aggregation | mAP | top-1 | top-5 |")
    print("|---|---:|---|---|---|---:|---:|---:|")
    for model, precision in CASES:
        try:
            classifier = oido.AudioClassifier(model, precision=precision, jobs=1)
        except oido.OidoError as error:
            print(f"{model} is left out: {str(error).splitlines()[0]}", file=sys.stderr)
            continue
        for name in SETS:
            clips = read_clips(arguments.audio / name, arguments.limit)
            report(name, clips, classifier)
    return 0


def report(name: str, clips: list[Clip], classifier: oido.AudioClassifier) -> None:
    """Print a row for each aggregation."""
    rows: dict[str, list[NDArray[np.float32]]] = {a: [] for a in AGGREGATIONS}
    for clip in clips:
        result = classifier.classify(clip.path)
        for aggregation, scores in rows.items():
            scores.append(result.clip(aggregation))
    model = classifier.model
    for aggregation, scores in rows.items():
        q = quality(clips, scores, classifier.labels)
        figures = " | ".join(f"{value:.3f}" for value in q)
        print(
            f"| {name} | {len(clips)} | {model.name} | {model.precision} | {aggregation} | "
            f"{figures} |",
            flush=True,
        )


if __name__ == "__main__":
    sys.exit(main())
