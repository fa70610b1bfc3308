# SPDX-License-Identifier: Apache-2.0
"""Families of sounds, by which the page colours what it shows: people, animals, music and so on.

Each is a branch of AudioSet's tree, or a few; a label belongs to the nearest of them above it.
"""

from __future__ import annotations

from oido.models.labels import audioset_labels
from oido.models.taxonomy import ancestors

FAMILIES = ("people", "animals", "music", "vehicles", "alarms", "home", "nature", "other")
"""In the page's order; web/ui/families.js has their signs, and style.css their colours."""

_BRANCHES = {
    "Human sounds": "people",
    "Animal": "animals",
    "Music": "music",
    "Vehicle": "vehicles",
    "Engine": "vehicles",
    "Alarm": "alarms",
    "Bell": "alarms",
    "Sounds of things": "home",
    "Natural sounds": "nature",
}


def family_of(label: str) -> str:
    """The family of a label; "other" for ambiguous ones, and for those that AudioSet lacks."""
    for name in (label, *ancestors(label)):
        if name in _BRANCHES:
            return _BRANCHES[name]
    return "other"


def families() -> dict[str, str]:
    """Of each of AudioSet's labels."""
    return {label: family_of(label) for label in audioset_labels()}
