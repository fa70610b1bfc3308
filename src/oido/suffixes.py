# SPDX-License-Identifier: Apache-2.0
"""How files of audio and video are called."""

from __future__ import annotations

__all__ = ["AUDIO_SUFFIXES"]

AUDIO_SUFFIXES = frozenset(
    f".{suffix}"
    for suffixes in (
        "3gp aac aif aifc aiff amr ape asf au avi caf dsf flac flv gsm m2ts m4a m4b m4v mka mkv",
        "mov mp2 mp3 mp4 mpeg mpg mts oga ogg ogv opus ra rf64 snd tta voc w64 wav wave webm",
        "wma wmv wv",
    )
    for suffix in suffixes.split()
)
"""Endings that are looked for inside folders; a file named outright is always tried."""
