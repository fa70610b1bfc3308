# SPDX-License-Identifier: Apache-2.0
"""Say what works on this machine: model, codecs, cores, microphone, cache, and each extra.

examples:
  oido doctor

Codecs, microphone and model are tried. Of packages, the installed version is told, and of each
extra that is not complete what is missing, with the command that installs it. Exit code 0 if the
default model can hear a recording here, 1 if it cannot.
"""

from __future__ import annotations

import argparse
import os
import platform
import re
import sys
import tempfile
from collections.abc import Callable
from functools import partial
from importlib import metadata
from pathlib import Path
from typing import Any

from oido._version import __version__
from oido.cli.arguments import add_command
from oido.cli.options import fetch_model
from oido.cli.terminal import print_styled
from oido.errors import OidoError
from oido.messages import joined, shown, text_of, tr
from oido.models.fetch import find, require_reader
from oido.models.registry import CATALOG, ModelCard
from oido.params import available_cores

_PACKAGES = ("ai-edge-litert", "numpy", "soundfile", "av", "soxr", "pyarrow")
_REINSTALL = tr("reinstall oido: pip install --force-reinstall oido")
_EXTRAS_OF_OTHERS = {"parquet", "dev", "heavy-tests", "site"}
"""Told by the line of its one package, or for those who work on oido itself."""


def add_parser(commands: Any) -> None:
    """Add ``oido doctor``."""
    add_command(commands, "doctor", _run, __doc__)


def _run(args: argparse.Namespace) -> int:
    _line("ok", "oido", f"{__version__}, Python {platform.python_version()}, {platform.platform()}")
    for package in _PACKAGES:
        try:
            _line("ok", package, metadata.version(package))
        except metadata.PackageNotFoundError:
            extra = tr("pip install 'oido[parquet]'") if package == "pyarrow" else _REINSTALL
            _line("-", package, tr("not installed: {extra}", extra=extra))
    _print_extras()
    _line(
        "ok",
        tr("cores"),
        tr(
            "{available_cores} usable of {cpu_count}",
            available_cores=available_cores(),
            cpu_count=os.cpu_count(),
        ),
    )
    _try(tr("codecs"), _codecs)
    _try("PortAudio", _portaudio, optional=True)
    _try(tr("microphone"), _microphone, optional=True)
    _try("LiteRT.js", _litert_js, optional=True)
    _try(tr("cache"), _cache, optional=True)
    for entry in (e for e in CATALOG if e.sha256 or find(e)):
        _try(entry.name, partial(_file_of, entry), optional=True)
    return 0 if _try(tr("model"), _model) else 1


def _line(mark: str, name: str, text: str) -> None:
    style = {"ok": "green", "-": "yellow"}.get(mark, "red")
    print_styled((f"{mark:<5}", style), (f" {shown(name):<15} {shown(text)}", ""))


def _try(name: str, check: Callable[[], str], optional: bool = False) -> bool:
    try:
        _line("ok", name, check())
    except Exception as error:  # whatever a broken installation raises is the finding itself
        is_ours = isinstance(error, OidoError)
        reason = text_of(error) if is_ours else f"{type(error).__name__}: {error}"
        _line("-" if optional else "FAIL", name, reason)
        return False
    return True


def _codecs() -> str:
    """Encode a second of sound in each format, and decode it again."""
    from oido.signal.decode.selftest import working_formats

    working, broken = working_formats()
    if broken:
        raise OidoError(
            tr(
                "{working} work; {broken} do not",
                working=", ".join(working),
                broken=", ".join(broken),
            )
        )
    return ", ".join(working)


def _print_extras() -> None:
    """A line per extra that a user may want, by what the package itself says of them."""
    try:
        requirements = metadata.requires("oido") or []
    except metadata.PackageNotFoundError:
        _line("-", tr("extras"), tr("unknown: oido runs without being installed; pip install oido"))
        return
    extras: dict[str, list[str]] = {}
    for requirement in requirements:
        package, _, marker = requirement.partition(";")
        systems = re.findall(r"sys_platform == ['\"](\w+)['\"]", marker)
        for extra in re.findall(r"extra == ['\"]([\w-]+)['\"]", marker):
            if extra not in _EXTRAS_OF_OTHERS and (not systems or sys.platform in systems):
                extras.setdefault(extra, []).append(package.strip())
    for extra, packages in sorted(extras.items()):
        states = [_state_of(package) for package in packages]
        if missing := [text for is_usable, text in states if not is_usable]:
            _line(
                "-",
                f"oido[{extra}]",
                tr(
                    "{missing}: pip install 'oido[{extra}]'",
                    missing=joined(", ", missing),
                    extra=extra,
                ),
            )
        else:
            _line("ok", f"oido[{extra}]", ", ".join(text for _, text in states))


def _state_of(requirement: str) -> tuple[bool, str]:
    """Whether a package such as ``ray>=2.60`` is here, in a version that will do; and in words."""
    name = re.split(r"[^\w.-]", requirement, maxsplit=1)[0]
    try:
        version = metadata.version(name)
    except metadata.PackageNotFoundError:
        return False, tr("{name} is not installed", name=name)
    for sign, limit in re.findall(r"(>=|<)\s*([\d.]+)", requirement):
        if (_numbers(version) >= _numbers(limit)) != (sign == ">="):
            return False, tr(
                "{name} {version} is not {sign}{limit}",
                name=name,
                version=version,
                sign=sign,
                limit=limit,
            )
    if _is_emptied(name):
        return False, tr(
            "{name} {version} lacks its files (first: pip uninstall {name})",
            name=name,
            version=version,
        )
    return True, f"{name} {version}"


def _is_emptied(name: str) -> bool:
    """Whether a package is noted as installed, and its modules are gone."""
    try:
        files = metadata.distribution(name).files or []
    except metadata.PackageNotFoundError:
        return False
    modules = [
        f for f in files if f.name == "__init__.py" or (len(f.parts) == 1 and f.suffix == ".py")
    ]
    first = min(modules, key=lambda f: len(f.parts), default=None)
    return first is not None and not Path(str(first.locate())).exists()


def _numbers(version: str) -> list[int]:
    """The release of a version, without zeros at its end, which say nothing: 2.0+cpu is [2]."""
    release = re.match(r"\d+(\.\d+)*", version)
    numbers = [int(number) for number in release.group().split(".")] if release else []
    while numbers and numbers[-1] == 0:
        numbers.pop()
    return numbers


def _portaudio() -> str:
    from oido.cli.terminal import silence_stderr
    from oido.live.microphone import load_sounddevice

    with silence_stderr():
        return str(load_sounddevice().get_portaudio_version()[1]).partition(",")[0]


def _litert_js() -> str:
    """What lets the page of `oido serve` hear by itself."""
    from oido.server.vendor import PACKAGES, is_vendored

    if not is_vendored():
        raise OidoError(
            tr(
                "not part of this installation, so the page hears by the server "
                "only: python -m oido.server.vendor fetches it (needs npm, of "
                "Node.js), or make web"
            )
        )
    return tr("{version}, so the page can hear on the device", version=PACKAGES[0].version)


def _cache() -> str:
    """Its place, if a file can be written there, and its limit."""
    from oido.models.cache import cache_folder, limit_bytes

    folder = cache_folder()
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=folder):
            pass
    except OSError as error:
        raise OidoError(
            tr(
                "{folder} cannot be written ({reason}): set OIDO_CACHE to a folder that can",
                folder=folder,
                reason=error.strerror,
            )
        ) from error
    return tr(
        "{folder}, at most {limit_bytes:,g} MB beside the models",
        folder=folder,
        limit_bytes=limit_bytes() / 1e6,
    )


def _file_of(card: ModelCard) -> str:
    """Where a model's file is; sound, as its SHA-256 says, and there is what reads it."""
    path = find(card)
    if path is None:
        raise OidoError(
            tr("not here yet: oido models fetch {name} ({size})", name=card.name, size=card.size)
        )
    require_reader(card)
    return str(path)


def _microphone() -> str:
    from oido.cli.terminal import silence_stderr
    from oido.live.microphone import input_devices

    with silence_stderr():  # ALSA tells of every device that it does not find
        devices = input_devices()
    if not devices:
        raise OidoError(tr("there is none, nor another input; plug one in, and try again"))
    default = [device.name for device in devices if device.is_default]
    return (
        default[0]
        if default
        else tr("{n_devices} input(s), none of them the default", n_devices=len(devices))
    )


def _model() -> str:
    """Hear a beep with the default model, as `oido classify` does: from a file, by a worker."""
    import numpy as np

    from oido.batch.plan import Plan, Task
    from oido.batch.process_pool import LocalPool
    from oido.batch.worker import Done
    from oido.live.clips import AudioClip
    from oido.models.labels import label_text
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
    return tr(
        "{default_model} hears a 1 kHz tone as {labels!r}",
        default_model=DEFAULT_MODEL,
        labels=label_text(labels[0]),
    )
