# SPDX-License-Identifier: Apache-2.0
"""Streams that change their format midway, as radio stations and joined files do (PyAV).

By itself because hardly any recording needs it, and files and streams without an end share it.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import av


class OneShape:
    """Frames in one format, layout and rate, however often those of a stream change.

    holds: whether some of the last ones may still be inside.
    """

    def __init__(self, sample_format: str, layout: str, rate_hz: int) -> None:
        self._shape = (sample_format, layout, rate_hz)
        self._converter: Any = None  # keeps to what it was given first
        self._converts: tuple[str, str, int] | None = None
        self.holds = False

    def convert(self, frame: Any) -> Iterator[Any]:
        """What is ready once this frame is there; its time is lost."""
        shape = (frame.format.name, frame.layout.name, frame.sample_rate)
        if shape != self._converts:
            yield from self.flush()
            self._converter, self._converts = av.AudioResampler(*self._shape), shape
        # Samples are the clock; a converter that saw gaps in time would refuse them.
        frame.pts, self.holds = None, True
        yield from self._converter.resample(frame)

    def flush(self) -> Iterator[Any]:
        """The rest."""
        if self.holds:
            self.holds, self._converts = False, None
            yield from self._converter.resample(None)
