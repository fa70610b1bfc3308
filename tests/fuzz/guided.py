# SPDX-License-Identifier: Apache-2.0
"""Coverage-guided fuzzing by atheris, from the committed corpus on.

    python -m tests.fuzz.guided [TARGET …] [--seconds N]

So long for each target. Exit code 1 if one raised what is not oido's own; the input is kept in
``.fuzz/``, and belongs into the corpus once it is mended. A native crash of a decoder is told, and
is no failure: it costs one recording, whose process is another. Without atheris, which comes for
Linux, the same targets get mutants without guidance.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
import time
from importlib.util import find_spec
from pathlib import Path

import numpy as np

from tests.fuzz.mutations import mutate

ROOT = Path(__file__).parents[2]
CORPUS = Path(__file__).with_name("corpus")
FOUND = ROOT / ".fuzz"
NAMES = ("metadata", "ledger", "protocol", "decode", "clock", "pipe", "texts")
_MOST_MB, _MOST_SECONDS, _MOST_BYTES = 2_000, 30, 1 << 16
_RAISED = "Uncaught Python exception"


def guided(target: str, seconds: int) -> str:
    """Fuzz in a process of its own, which libFuzzer ends; what went wrong, or ""."""
    kept = FOUND / target
    kept.mkdir(parents=True, exist_ok=True)
    command = [sys.executable, "-m", "tests.fuzz.guided", "--inside", target]
    command += [str(kept), str(CORPUS / target), f"-artifact_prefix={FOUND}/{target}-"]
    command += [f"-max_total_time={seconds}", f"-rss_limit_mb={_MOST_MB}", "-print_final_stats=1"]
    command += [f"-timeout={_MOST_SECONDS}", f"-max_len={_MOST_BYTES}", "-verbosity=0"]
    pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.STDOUT}
    done = subprocess.run(command, check=False, cwd=ROOT, text=True, errors="replace", **pipes)
    lines = [line for line in done.stdout.splitlines() if not line.startswith(("INFO", "WARNING"))]
    last = "\n".join(lines[-60:])
    runs = [line.split()[-1] for line in lines if "number_of_executed" in line]
    print(f"{target}: {runs[-1] if runs else 'no'} inputs, exit code {done.returncode}", flush=True)
    if done.returncode == 0:
        return ""
    if target == "decode" and _RAISED not in done.stdout and "deadly signal" in done.stdout:
        print(f"  a native crash of a decoder:\n{last}", flush=True)
        return ""
    return last


def inside(target: str, flags: list[str]) -> None:
    """Within that process."""
    import atheris

    with atheris.instrument_imports(include=["oido"]):
        from tests.fuzz.targets import TARGETS
    atheris.Setup([sys.argv[0], *flags], TARGETS[target])
    atheris.Fuzz()


def unguided(target: str, seconds: int) -> str:
    """Mutants of the corpus, one after the other."""
    from tests.fuzz.targets import TARGETS

    files = [path.read_bytes() for path in sorted((CORPUS / target).iterdir())]
    rng = np.random.default_rng()
    end, runs = time.monotonic() + seconds, 0
    while time.monotonic() < end:
        chosen, other = (files[int(i)] for i in rng.integers(len(files), size=2))
        mutant, words = mutate(chosen, other, rng)
        runs += 1
        try:
            TARGETS[target](mutant)
        except Exception as error:
            FOUND.mkdir(exist_ok=True)
            (FOUND / f"{target}-raised").write_bytes(mutant)
            return f"{error!r} by {words}"
    print(f"{target}: {runs} mutants without guidance", flush=True)
    return ""


def main() -> int:
    if sys.argv[1:2] == ["--inside"]:
        inside(sys.argv[2], sys.argv[3:])
        return 0
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("targets", nargs="*", choices=[*NAMES, []], metavar="|".join(NAMES))
    parser.add_argument("--seconds", type=int, default=600)
    args = parser.parse_args()
    is_guided = find_spec("atheris") is not None
    if not is_guided:
        print("atheris is not here (pip install atheris, on Linux): mutants without guidance")
    failed = False
    for target in args.targets or NAMES:
        wrong = (guided if is_guided else unguided)(target, args.seconds)
        if wrong:
            failed = True
            print(f"{target}: {wrong}\nthe input is in {FOUND}", flush=True)
    return int(failed)


if __name__ == "__main__":
    sys.exit(main())
