# SPDX-License-Identifier: Apache-2.0
"""Decodes mutants one after another, and says each before and after: run as a program.

    python child.py CORPUS SEED START STOP

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

from oido.errors import AudioError
from oido.signal.decode import open_audio
from oido.signal.mixing import mono_blocks

_MEMORY_BYTES = 4 << 30


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


def main(corpus: str, seed: int, start: int, stop: int) -> None:
    files = sorted(Path(corpus).iterdir())
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "mutant"
        for index in range(start, stop):
            mutant, words = make(files, seed, index)
            print(f"> {index} {words}", flush=True)
            try:
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
    main(sys.argv[1], *map(int, sys.argv[2:5]))
