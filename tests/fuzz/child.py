# SPDX-License-Identifier: Apache-2.0
"""Reads mutants one after another, and says each before and after: run as a program.

    python child.py CORPUS SEED START STOP [read]

Without ``read`` they are decoded; with it they are models, calibrations and thresholds, read by the
ending of the file that they were made of.

A line ``> index words`` before each mutant, so that the parent knows what killed or hung this
process; afterwards ``= index outcome``, or ``! index error`` where the outcome is not allowed.
"""

from __future__ import annotations

import io
import sys
import tempfile
import traceback
import warnings
from pathlib import Path

import numpy as np
from mutations import mutate

from oido.errors import AudioError, OidoError
from oido.events.thresholds import read_thresholds
from oido.models.calibration_file import Calibration
from oido.models.loading import load_model
from oido.models.networks.torch_file import read_state_dict
from oido.models.networks.yamnet_h5 import from_h5
from oido.signal.decode import open_audio
from oido.signal.mixing import mono_blocks

_MEMORY_BYTES = 4 << 30
_MOST_MORE_KB = 300_000
"""That the peak of memory may grow by reading small files."""


def make(corpus: list[Path], seed: int, index: int) -> tuple[bytes, str]:
    """Mutant ``index`` of this seed, and how it was made."""
    rng = np.random.default_rng([seed, index])
    chosen, other = (corpus[int(i)] for i in rng.integers(len(corpus), size=2))
    mutant, words = mutate(chosen.read_bytes(), other.read_bytes(), rng)
    return mutant, f"{chosen.name}: {words}"


def hear(source: object) -> str:
    """The outcome, in a word or two; raises what is not allowed."""
    n_samples = 0
    try:
        with open_audio(source) as reader:  # type: ignore[arg-type]
            for block in mono_blocks(reader):
                if block.dtype != np.float32 or block.ndim != 1 or not np.isfinite(block).all():
                    raise ValueError(f"a block of {block.dtype}{block.shape} that is not finite")
                n_samples += len(block)
    except AudioError as error:
        if not str(error):
            raise ValueError("an AudioError that says nothing") from error
        return type(error).__name__
    return "decoded"


def read(path: Path) -> str:
    """Likewise of a model, a calibration or thresholds."""
    before = peak_kb()
    try:
        if path.name.startswith("calibration"):
            Calibration.read(path)
        elif path.name.startswith("thresholds"):
            read_thresholds(path)
        elif path.suffix == ".pt":  # which is not mn04's, so that only its values can be read
            read_state_dict(path.read_bytes())
        elif path.suffix == ".h5":  # its graph would only be written from the values
            from_h5(path.read_bytes())
        else:
            load_model(path)
    except OidoError as error:
        if not str(error):
            raise ValueError("an OidoError that says nothing") from error
        return type(error).__name__
    finally:
        if peak_kb() > before + _MOST_MORE_KB:
            raise MemoryError(f"{(peak_kb() - before) // 1000} MB more")
    return "decoded"


def peak_kb() -> int:
    try:
        import resource
    except ImportError:  # Windows
        return 0
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss


def main(corpus: str, seed: int, start: int, stop: int, what: str = "decode") -> None:
    files = sorted(Path(corpus).iterdir())
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "mutant"
        for index in range(start, stop):
            mutant, words = make(files, seed, index)
            print(f"> {index} {words}", flush=True)
            try:
                if what == "read":
                    named = Path(folder) / words.partition(":")[0]
                    named.write_bytes(mutant)
                    outcome = read(named)
                else:
                    if index % 2:
                        path.write_bytes(mutant)
                    outcome = hear(path if index % 2 else io.BytesIO(mutant))
            except Exception as error:
                where = traceback.extract_tb(error.__traceback__)[-1]
                print(f"! {index} {error!r} in {where.name}", flush=True)
            else:
                print(f"= {index} {outcome}", flush=True)


if __name__ == "__main__":
    try:
        import resource

        resource.setrlimit(resource.RLIMIT_AS, (_MEMORY_BYTES, _MEMORY_BYTES))
    except (ImportError, ValueError, OSError):
        pass  # not on this system; the time limit still holds
    warnings.simplefilter("ignore")
    main(sys.argv[1], *map(int, sys.argv[2:5]), *sys.argv[5:])
