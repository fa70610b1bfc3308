# SPDX-License-Identifier: Apache-2.0
"""How numbers, moments and lines are written, whatever the format."""

from __future__ import annotations

import csv
import io
from datetime import date, datetime, timedelta, timezone

import pytest

from oido.writers.base import CsvLines, clock_text, score_of, seconds_of


@pytest.mark.parametrize(
    ("time", "text"),
    [
        (None, None),
        (date(2023, 10, 15), "2023-10-15"),
        (datetime(2023, 10, 15, 6, 30), "2023-10-15T06:30:00"),
        (datetime(2023, 10, 15, 6, 30, tzinfo=timezone.utc), "2023-10-15T06:30:00Z"),
        (
            datetime(2023, 10, 15, 0, 30, 0, 250_000, timezone(timedelta(hours=2))),
            "2023-10-14T22:30:00.250000Z",
        ),
    ],
)
def test_moments_are_iso_8601_in_utc_where_their_zone_is_known(
    time: date | None, text: str | None
) -> None:
    assert clock_text(time) == text


def test_seconds_to_the_microsecond_and_scores_of_256ths_exactly() -> None:
    assert seconds_of(0.1 + 0.2) == 0.3
    assert all(score_of(n / 256) == n / 256 for n in range(257))


def test_lines_end_in_a_line_feed_and_keep_those_inside_a_cell() -> None:
    stream = io.StringIO(newline="")
    rows = [["a\r\nb", "c\r"], ["d", ""]]
    csv.writer(CsvLines(stream)).writerows(rows)
    text = stream.getvalue()
    assert text.count("\n") == 3
    assert "d,\n" in text
    assert list(csv.reader(io.StringIO(text, newline=""))) == rows
