# SPDX-License-Identifier: Apache-2.0
"""Loads damaged copies of a model, each in a process of its own, and tells how each ended.

    python damaged_child.py {load,hear} MODEL FIRST_SEED LAST_SEED
    python damaged_child.py {load,hear} FILE.tflite ...

Prints a JSON object a mutant: its seed (or file name), what was damaged, and the outcome: "sound",
"refused" (an OidoError), "untyped" (any other exception), "crashed" (a signal) or "stuck" (a time
limit).
"""

from __future__ import annotations

import json
import os
import random
import signal
import sys
import tempfile
import traceback
from pathlib import Path

import numpy as np

import oido
from oido.models.loading import load_model

STRUCTURE_STARTS = 3_832_388
"""From here to the end stand the tables; before, almost only weights (and the first 1,556)."""

TIME_LIMIT_SECONDS = 5
"""Of processor time: a busy machine is no fault of the model's."""

WAITING_LIMIT_SECONDS = 300
"""For one that only waits."""

_STUCK = {signal.SIGPROF, signal.SIGALRM}


def mutant(content: bytes, seed: int) -> tuple[bytes, str]:
    """One of five kinds of damage, by the seed."""
    dice = random.Random(seed)
    damaged = bytearray(content)
    places = [
        (0, 1_556),
        (STRUCTURE_STARTS, len(content)),
        (STRUCTURE_STARTS, len(content)),
        (len(content) - 6_370, len(content)),
        (0, len(content)),
    ]
    start, end = places[seed % len(places)]
    kind = dice.choice(["bits", "bytes", "run", "zeros", "number"])
    count = 1
    if kind == "bits":
        count = dice.choice([1, 1, 2, 8, 64])
        for _ in range(count):
            damaged[dice.randrange(start, end)] ^= 1 << dice.randrange(8)
    elif kind == "bytes":
        count = dice.choice([1, 4, 32])
        for _ in range(count):
            damaged[dice.randrange(start, end)] = dice.randrange(256)
    elif kind == "number":
        at = dice.randrange(start, end - 4) // 4 * 4
        value = dice.choice([0, 1, 2**31 - 1, 2**31, 2**32 - 1, dice.randrange(2**32)])
        damaged[at : at + 4] = value.to_bytes(4, "little")
    else:
        count = dice.choice([4, 16, 256])
        at = dice.randrange(start, end - count)
        damaged[at : at + count] = bytes(count) if kind == "zeros" else dice.randbytes(count)
    return bytes(damaged), f"{kind} x{count} in {start}..{end}"


def outcome(path: Path, hear: bool) -> dict[str, str]:
    """Load the file, and with ``hear`` classify a second of noise too."""
    try:
        model = load_model(path)
        if hear:
            noise = np.random.default_rng(0).uniform(-0.1, 0.1, 16_000).astype(np.float32)
            oido.AudioClassifier(model, jobs=1).classify(noise, 16_000)
    except oido.OidoError as error:
        return {"outcome": "refused", "detail": f"{type(error).__name__}: {error}"}
    except BaseException as error:
        frame = traceback.extract_tb(error.__traceback__)[-1]
        places = [f for f in traceback.extract_tb(error.__traceback__) if "oido" in f.filename]
        own = places[-1] if places else frame
        detail = f"{type(error).__name__}: {error} in {Path(own.filename).name}:{own.name}"
        return {"outcome": "untyped", "detail": detail}
    return {"outcome": "sound", "detail": ""}


def apart(path: Path, hear: bool) -> dict[str, str]:
    """The outcome in a forked process, so that a native crash ends only that."""
    reader, writer = os.pipe()
    pid = os.fork()
    if pid == 0:
        for number in _STUCK:
            signal.signal(number, signal.SIG_DFL)
        signal.setitimer(signal.ITIMER_PROF, TIME_LIMIT_SECONDS)
        signal.alarm(WAITING_LIMIT_SECONDS)
        os.dup2(os.open(os.devnull, os.O_WRONLY), 2)
        os.write(writer, json.dumps(outcome(path, hear)).encode()[:60_000])
        os._exit(0)
    os.close(writer)
    with os.fdopen(reader, "rb") as pipe:
        answer = pipe.read()
    _, status = os.waitpid(pid, 0)
    if os.WIFSIGNALED(status):
        number = os.WTERMSIG(status)
        ended = "stuck" if number in _STUCK else "crashed"
        return {"outcome": ended, "detail": signal.Signals(number).name}
    return json.loads(answer)


def tell(path: Path, hear: bool, **more: object) -> None:
    print(json.dumps({**more, **apart(path, hear)}), flush=True)


def main() -> None:
    hear, rest = sys.argv[1] == "hear", sys.argv[2:]
    if not rest[-1].isdecimal():
        for name in rest:
            tell(Path(name), hear, file=Path(name).stem)
        return
    content = Path(rest[0]).read_bytes()
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "damaged.tflite"
        for seed in range(int(rest[1]), int(rest[2])):
            damaged, what = mutant(content, seed)
            path.write_bytes(damaged)
            tell(path, hear, seed=seed, damage=what)


if __name__ == "__main__":
    main()
