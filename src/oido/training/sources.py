# SPDX-License-Identifier: Apache-2.0
"""Which recording a file was cut from, as far as its name tells."""

from __future__ import annotations

import os
import posixpath
import re

__all__ = ["source_of"]

_CUT_FROM = (
    # ESC-50: fold, number of the recording at freesound.org, take, class ("1-100032-A-0").
    re.compile(r"^(\d-\d{3,})-[A-Z](?:-\d+)?$"),
    # UrbanSound8K: number at freesound.org, class, occurrence, slice ("100032-3-0-0").
    re.compile(r"^(\d{3,})(?:-\d+){3}$"),
    # Cutters of segments: perhaps score and rank, then the name, start and end in seconds, which
    # show by their points or their "s" ("0.91_4_garden_12.0s_15.0s", "garden_12s_15s").
    re.compile(r"^(?:[01]\.\d+_\d+_)?(.+?)[_-]\d+(?:\.\d+s?|s)[_-]\d+(?:\.\d+s?|s)$"),
)


def source_of(name: str) -> str:
    """The source of a file by its path below the dataset: ``1-100032-A.ogg`` came of 1-100032.

    Names that tell of a source do so in any folder. Otherwise each file is a source of its own,
    apart from endings: ``dog/one.wav`` and ``dog/one.mp3`` are one source, ``cat/one.wav`` another.
    """
    stem = posixpath.normpath(os.path.splitext(name.replace("\\", "/"))[0])
    last = stem.rsplit("/", 1)[-1]
    for pattern in _CUT_FROM:
        if match := pattern.match(last):
            return match[1]
    return stem
