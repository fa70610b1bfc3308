# SPDX-License-Identifier: Apache-2.0
"""What somebody is asked: whether a label is right of a span of a recording."""

from __future__ import annotations

from typing import NamedTuple


class ReviewItem(NamedTuple):
    """A place of an archive, and the label and score with which it was found there.

    channel: of a recording whose channels were classified each by itself; None of a mix.
    """

    recording: str
    start_time: float
    end_time: float
    label: str
    score: float
    channel: int | None = None
