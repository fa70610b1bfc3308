# SPDX-License-Identifier: Apache-2.0
"""Say what works on this machine: model, codecs, cores, microphone.

examples:
  oido doctor

Every line is the outcome of a real try. Exit code 0 if the default model can hear a recording here,
1 if it cannot.
"""

from __future__ import annotations

import argparse
import importlib
import importlib.util
import os
import platform
import tempfile
from collections.abc import Callable
from importlib import metadata
from pathlib import Path
from typing import Any

from oido._version import __version__
from oido.cli.options import add_command, fetch_model
from oido.errors import OidoError
from oido.params import available_cores

_PACKAGES = ("ai-edge-litert", "numpy", "soundfile", "av", "soxr", "pyarrow")


def add_parser(commands: Any) -> None:
    """Add ``oido doctor``."""
    add_command(commands, "doctor", _run, __doc__)


def _run(args: argparse.Namespace) -> int:
    _line("ok", "oido", f"{__version__}, Python {platform.python_version()}, {platform.platform()}")
    for package in _PACKAGES:
        try:
            _line("ok", package, metadata.version(package))
        except metadata.PackageNotFoundError:
            extra = "pip install 'oido[parquet]'" if package == "pyarrow" else "reinstall oido"
            _line("-", package, f"not installed: {extra}")
    _line("ok", "cores", f"{available_cores()} usable of {os.cpu_count()}")
    _try("codecs", _codecs)
    _try("microphone", _microphone, optional=True)
    return 0 if _try("model", _model) else 1


def _line(mark: str, name: str, text: str) -> None:
    print(f"{mark:<5} {name:<15} {text}")


def _try(name: str, check: Callable[[], str], optional: bool = False) -> bool:
    try:
        _line("ok", name, check())
    except Exception as error:  # whatever a broken installation raises is the finding itself
        reason = str(error) if isinstance(error, OidoError) else f"{type(error).__name__}: {error}"
        _line("-" if optional else "FAIL", name, reason)
        return False
    return True


def _codecs() -> str:
    """Encode a second of sound in each format, and decode it again."""
    from oido.signal.decode.selftest import working_formats

    working, broken = working_formats()
    if broken:
        raise OidoError(f"{', '.join(working)} work; {', '.join(broken)} do not")
    return ", ".join(working)


def _microphone() -> str:
    if importlib.util.find_spec("sounddevice") is None:
        raise OidoError("live listening is not part of this version")
    sounddevice = importlib.import_module("sounddevice")
    return str(sounddevice.query_devices(kind="input")["name"])


def _model() -> str:
    """Hear a beep with the default model, as `oido classify` does: from a file, by a worker."""
    import numpy as np

    from oido.batch.plan import Plan, Task
    from oido.batch.process_pool import LocalPool
    from oido.batch.worker import Done
    from oido.live.clips import AudioClip
    from oido.models.registry import DEFAULT_MODEL
    from oido.types import Row

    fetch_model(DEFAULT_MODEL)
    with tempfile.TemporaryDirectory(prefix="oido-") as folder:
        path = Path(folder) / "beep.wav"
        times = np.arange(160_000) / 16_000
        beep = np.round(9_000 * np.sin(2 * np.pi * 1_000 * times)).astype(np.int16)
        path.write_bytes(AudioClip(0.0, 16_000, beep).wav())
        plan = Plan(model=DEFAULT_MODEL, level="clip", top=1)
        with LocalPool(plan, workers=1) as pool:
            labels: list[str] = []
            for _, message in pool.run([Task(0, str(path), str(path), "beep")]):
                if isinstance(message, Done):
                    summary = message.summary
                else:
                    labels += [row.label for row in message.rows if isinstance(row, Row)]
    if summary.failure is not None:
        raise OidoError(summary.failure.reason)
    return f"{DEFAULT_MODEL} hears a 1 kHz tone as {labels[0]!r}"
