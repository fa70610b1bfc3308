# SPDX-License-Identifier: Apache-2.0
"""Whether a recording can be heard, and how long it is."""

from __future__ import annotations

from typing import NamedTuple

from oido.errors import AudioError
from oido.signal.decode import open_audio
from oido.signal.mixing import mono_blocks

__all__ = ["Probe", "probe"]


_SHORT_SECONDS = 0.1


class Probe(NamedTuple):
    """A recording's length in seconds, or the reason why it cannot be heard."""

    duration: float
    problem: str | None = None


def probe(path: str, *, deep: bool = False) -> Probe:
    """Open a recording as every run does, and read its header.

    It is decoded to its end if ``deep``, and also where the header does not tell its length or
    tells of next to nothing. Only that finds NaN, damage behind the first sound, and files that end
    before their header says.
    """
    try:
        with open_audio(path) as reader:
            duration = reader.info.duration_seconds
            if deep or duration is None or duration < _SHORT_SECONDS:
                n_samples = sum(len(block) for block in mono_blocks(reader))
                duration = n_samples / reader.info.sample_rate_hz
            return Probe(duration)
    except AudioError as error:
        return Probe(0.0, str(error).removeprefix(f"{path}: "))
