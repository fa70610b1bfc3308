# SPDX-License-Identifier: Apache-2.0
"""Families of sounds: every label has one, and the page knows them all."""

from __future__ import annotations

import json
import re

import pytest

from oido.models.labels import audioset_labels
from oido.server.families import FAMILIES, families, family_of
from oido.server.page_files import WEB_FOLDER, content_of, page_files


@pytest.mark.parametrize(
    ("label", "family"),
    [
        ("Speech", "people"),
        ("Baby cry, infant cry", "people"),
        ("Dog", "animals"),
        ("Crowing, cock-a-doodle-doo", "animals"),
        ("Guitar", "music"),
        ("Car", "vehicles"),
        ("Siren", "alarms"),
        ("Church bell", "alarms"),
        ("Water tap, faucet", "home"),
        ("Rain", "nature"),
        ("White noise", "other"),
        ("my own doorbell", "other"),
    ],
)
def test_a_label_is_of_the_nearest_branch(label: str, family: str) -> None:
    assert family_of(label) == family


def test_every_label_has_one_and_every_one_is_used() -> None:
    found = families()
    assert set(found) == set(audioset_labels())
    assert set(found.values()) == set(FAMILIES)
    assert sum(family == "other" for family in found.values()) < 65  # "Bang", "Hum", "Echo"


def test_the_page_has_a_sign_and_a_colour_for_each() -> None:
    script = (WEB_FOLDER / "ui" / "families.js").read_text("utf-8")
    day, night = ((WEB_FOLDER / f"{name}.css").read_text("utf-8") for name in ("style", "dark"))
    signs = re.search(r"SIGNS = \{(.*?)\}", script, re.S)
    assert signs is not None
    assert tuple(re.findall(r"(\w+): \"", signs[1])) == FAMILIES
    for family in FAMILIES:
        assert day.count(f"--family-{family}: #") == night.count(f"--family-{family}: #") == 1
    files = page_files({"mode": "server"})
    about = json.loads(content_of(files["page.json"]))
    assert json.loads(content_of(files[about["families"]])) == families()
