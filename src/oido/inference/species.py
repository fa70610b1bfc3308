# SPDX-License-Identifier: Apache-2.0
"""Which species may be where and when: BirdNET's own model of places and weeks.

It takes latitude, longitude and one of 48 weeks, and gives for each of BirdNET's labels how often
it was seen there, 0..1.
"""

from __future__ import annotations

import calendar
import math
from datetime import date
from functools import lru_cache

import numpy as np

from oido.arrays import F32
from oido.errors import OptionError
from oido.messages import tr
from oido.models import fetch
from oido.models.registry import BIRDNET, card
from oido.params import PlaceOnEarth
from oido.runtime.litert import WholeRuntime

PLACE_THRESHOLD = 0.03
"""From how often seen a species counts; BirdNET's own default."""

ALL_YEAR = -1


def week_of(day: date) -> int:
    """The week of 48 to a year, 1..48, as BirdNET counts them."""
    days = 366 if calendar.isleap(day.year) else 365
    return math.ceil(day.timetuple().tm_yday / days * 48)


def species_at(latitude: float, longitude: float, week: int = ALL_YEAR) -> dict[str, float]:
    """BirdNET's labels with how often each is seen there, the most frequent first.

    week: as `week_of`. Raises OptionError for what is no place on earth, ModelFetchError if
    BirdNET is not here and cannot be fetched.
    """
    if not (-90 <= latitude <= 90 and -180 <= longitude <= 180):
        raise OptionError(
            tr(
                "a place is LATITUDE,LONGITUDE in degrees, not {latitude},{longitude}",
                latitude=latitude,
                longitude=longitude,
            )
        )
    known = card(BIRDNET)
    fetch.fetch(known)
    labels, places = (fetch.fetch(each) for each in known.companions)
    where: F32 = np.array([[latitude, longitude, week]], np.float32)
    scores = WholeRuntime(places.read_bytes()).run(where).scores[0]
    names = labels.read_text(encoding="utf-8").splitlines()
    return {names[k]: float(scores[k]) for k in np.argsort(-scores, kind="stable").tolist()}


@lru_cache(maxsize=64)
def species_in_week(place: PlaceOnEarth, week: int) -> frozenset[str]:
    """The labels of what may be there in a week, or (`ALL_YEAR`) at all. Raises as `species_at`."""
    found = species_at(place.latitude, place.longitude, week)
    return frozenset(label for label, value in found.items() if value >= place.threshold)
