# SPDX-License-Identifier: Apache-2.0
"""A Dockerfile as its instructions, in order."""

from __future__ import annotations

from pathlib import Path
from typing import NamedTuple


class Instruction(NamedTuple):
    """A line of it, with those that go on from it: RUN and what is run."""

    name: str
    text: str


def instructions(path: Path) -> list[Instruction]:
    """Those of a Dockerfile, without comments and parser directives."""
    found, before = [], ""
    for line in path.read_text(encoding="utf-8").splitlines():
        if line.lstrip().startswith("#") or not (line.strip() or before):
            continue
        if line.endswith("\\"):
            before += line[:-1].strip() + " "
            continue
        name, _, text = (before + line.strip()).partition(" ")
        found.append(Instruction(name.upper(), text.strip()))
        before = ""
    assert not before, "the last line goes on"
    return found
