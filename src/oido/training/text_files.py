# SPDX-License-Identifier: Apache-2.0
"""Text that other programs wrote: encodings, and numbers with a decimal comma."""

from __future__ import annotations

import math
import os

from oido.errors import OptionError

__all__ = ["read_text", "seconds"]


def read_text(path: str | os.PathLike[str]) -> str:
    """A file's text: UTF-16 where its first bytes say so, else UTF-8, else Windows-1252.

    Line ends stay as they are. Raises OptionError if the file cannot be read.
    """
    try:
        with open(path, "rb") as file:
            data = file.read()
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or "it is not a file name"
        raise OptionError(f"{path} cannot be read: {reason}") from error
    encodings = ("utf-16",) if data[:2] in (b"\xff\xfe", b"\xfe\xff") else ("utf-8-sig", "cp1252")
    for encoding in encodings:
        try:
            return data.decode(encoding)
        except UnicodeDecodeError:
            continue
    return data.decode("latin-1")  # which gives every byte a meaning


def seconds(text: str) -> float:
    """A time in seconds, with a decimal point or comma. Raises ValueError."""
    value = float(text.strip().replace(",", "."))
    if not 0 <= value < math.inf:
        raise ValueError(f"{text} is not a time")
    return value
