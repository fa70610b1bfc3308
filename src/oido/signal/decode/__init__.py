# SPDX-License-Identifier: Apache-2.0
"""Any source of audio, as blocks of float32 samples.

``open_audio`` takes a path, bytes, a file object, an array or "-" (standard input), finds a decoder
that can read it, and gives an ``AudioReader``. Memory stays flat: a block at a time is decoded.
"""

from __future__ import annotations

from oido.signal.decode.opening import open_audio
from oido.signal.decode.readers import AudioInfo, AudioReader, AudioSource, source_name

__all__ = ["AudioInfo", "AudioReader", "AudioSource", "open_audio", "source_name"]
