# SPDX-License-Identifier: Apache-2.0
"""Which files of src a recording, a microphone's block, an archive's unit and a clip pass through.

``python tests/docs/walks.py`` prints them. A file counts if one of its functions runs while the
sound is on its way; what happens once, before (loading models, parsing options), does not, nor do
texts that are made ready for people (`oido.messages`).
"""

from __future__ import annotations

import gc
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np

import oido

ROOT = Path(__file__).parents[2]
STREET = ROOT / "examples" / "street.flac"
SOURCE = Path(oido.__file__).parent


@contextmanager
def files_entered() -> Iterator[set[str]]:
    """The files of src in which a function is called within the block, by any thread."""
    found: set[str] = set()

    def look(frame: Any, event: str, _: Any) -> None:
        if event == "call":
            path = Path(frame.f_code.co_filename)
            if path.is_relative_to(SOURCE) and path != SOURCE / "messages.py":
                found.add(path.relative_to(SOURCE).as_posix())

    gc.collect()  # what others left lying is closed now, and not on this way
    threading.setprofile(look)
    sys.setprofile(look)
    try:
        yield found
    finally:
        sys.setprofile(None)
        threading.setprofile(None)  # type: ignore[arg-type]


def recording() -> set[str]:
    """``AudioClassifier.classify`` and ``events``."""
    classifier = oido.AudioClassifier(jobs=1)
    classifier.classify(STREET).events()
    with files_entered() as found:
        classifier.classify(STREET).events()
    return found


def live_block() -> set[str]:
    """Blocks of a source that never ends, as `oido listen` runs them."""
    from oido.live.monitor import LiveMonitor
    from oido.live.pipe import PcmReader
    from oido.params import Detection

    classifier = oido.AudioClassifier(jobs=1)
    classifier.classify(np.zeros(16_000, np.float32), 16_000)
    samples = np.random.default_rng(0).integers(-9_000, 9_000, 48_000, dtype=np.int16)
    with TemporaryDirectory() as folder:
        path = Path(folder) / "pcm"
        path.write_bytes(samples.tobytes())
        with path.open("rb") as file:
            monitor = LiveMonitor(classifier, PcmReader(file, 16_000), Detection())
            with files_entered() as found:
                for _ in monitor:
                    pass
                monitor.finish()
    return found


def archive_unit() -> set[str]:
    """A recording of an archive, in its worker, to Parquet; and its commit."""
    _archive_unit()  # what is imported on its way is so once
    return _archive_unit()


def _archive_unit() -> set[str]:
    from oido.batch.engine import InlineEngine
    from oido.batch.run import ArchiveRun
    from oido.batch.sources import find_sources
    from oido.batch.units import RunSpec

    with TemporaryDirectory() as folder:
        spec = RunSpec(folder=f"{folder}/results")
        run = ArchiveRun(spec, find_sources([str(STREET)]))
        with InlineEngine(spec) as engine:
            run.prepare(engine.start())
            with files_entered() as found:
                for _ in run.steps(engine):
                    pass
    return found


def training_clip() -> set[str]:
    """A labelled clip to its embeddings, as ``oido.train`` makes them."""
    from oido.training.embed import embed

    model = oido.load_model("yamnet/classification")
    data = oido.Dataset((oido.Clip(str(STREET), ("Siren",)),), ("Siren",), False)
    embed(data, model, cache=False, jobs=1)
    with files_entered() as found:
        embed(data, model, cache=False, jobs=1)
    return found


WALKS: dict[str, Callable[[], set[str]]] = {
    "recording": recording,
    "live block": live_block,
    "archive unit": archive_unit,
    "training clip": training_clip,
}


if __name__ == "__main__":
    for name, walk in WALKS.items():
        found = sorted(walk())
        print(f"{name}: {len(found)} files", *found, sep="\n  ")
