# SPDX-License-Identifier: Apache-2.0
"""The time of day of a moment of the stream."""

from __future__ import annotations

from datetime import datetime, timezone

from oido.live.source import UtcClock, utc_text

NOON = datetime(2026, 5, 1, 12, tzinfo=timezone.utc).timestamp()


def test_the_samples_that_came_soonest_tell() -> None:
    clock = UtcClock()
    for stream, late in ((0.05, 0.3), (0.10, 0.02), (0.15, 1.5)):
        clock.update(stream, NOON + stream + late)
    assert utc_text(clock.at(0.0)) == "2026-05-01T12:00:00.020Z"
    assert utc_text(clock.at(61.5)) == "2026-05-01T12:01:01.520Z"


def test_a_sound_card_that_is_slow_is_followed() -> None:
    clock = UtcClock()
    for second in range(36_000):  # it counts 100 ppm too few
        clock.update(second * 0.9999, NOON + second)
    assert abs(clock.at(36_000 * 0.9999).timestamp() - NOON - 36_000) < 0.01


def test_a_clock_that_is_set_is_followed_within_a_minute() -> None:
    for step in (3_600.0, -3_600.0):
        clock = UtcClock()
        for second in range(200):
            clock.update(second, NOON + second + (step if second >= 100 else 0.0))
        assert clock.at(200).timestamp() == NOON + 200 + step
