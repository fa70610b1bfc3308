# SPDX-License-Identifier: Apache-2.0
"""What is often found under the name of a recording, and is none."""

from __future__ import annotations

import os
from typing import IO

from oido.errors import AudioError, CorruptAudioError, UnknownFormatError
from oido.messages import tr
from oido.signal.decode.mp4_boxes import boxes

_LOOK_BYTES = 4096


def what_it_is(file: IO[bytes], name: str) -> AudioError | None:
    """An error that says it, of a file that no decoder takes; None: not known."""
    head = file.read(_LOOK_BYTES)
    start = head.lstrip(b"\xef\xbb\xbf \t\r\n").lower()
    if start.startswith((b"<!doctype", b"<html", b"<head", b"<?xml", b"<error")):
        return UnknownFormatError(
            tr(
                "{name}: is a web page (or a server's message), not a recording; download it again",
                name=name,
            )
        )
    if start.startswith(b"version https://git-lfs"):
        return UnknownFormatError(
            tr("{name}: is a pointer of Git LFS, not the recording; run: git lfs pull", name=name)
        )
    if not any(head) and _is_zero_to_the_end(file):
        return UnknownFormatError(
            tr(
                "{name}: holds nothing but zeros: no sound was ever written to "
                "it; copy it again from where it was recorded",
                name=name,
            )
        )
    if head[4:8] in (b"ftyp", b"mdat", b"wide", b"free") and not _has_index(file):
        return CorruptAudioError(
            tr(
                "{name}: its index (moov) is missing, as when a recorder stops "
                "before it has finished the file; a repair program (such as "
                "untrunc) can make one, with another recording of the same device",
                name=name,
            )
        )
    return None


def _is_zero_to_the_end(file: IO[bytes]) -> bool:
    while content := file.read(1 << 20):
        if any(content):
            return False
    return True


def _has_index(file: IO[bytes]) -> bool:
    """Whether an MP4 or QuickTime file has its moov among its outermost boxes."""
    size = file.seek(0, os.SEEK_END)
    return any(name in (b"moov", b"moof") for name, _, _ in boxes(file, 0, size))
