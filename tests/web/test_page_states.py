# SPDX-License-Identifier: Apache-2.0
"""The page's state machine: as its drawing says, and no step that is not drawn."""

from __future__ import annotations

import re
from typing import Any

import pytest

from tests.web.browsing import ROOT

DRAWING = ROOT / "docs" / "concepts" / "page-states.md"


@pytest.fixture
def page(parts: Any) -> Any:
    return parts


def _drawn() -> dict[str, dict[str, dict[str, str]]]:
    """By region and state: what may happen, and what follows."""
    regions: dict[str, dict[str, dict[str, str]]] = {}
    text = DRAWING.read_text("utf-8")
    for name, body in re.findall(r"^## The (\w+)\n.*?```mermaid\n(.*?)```", text, re.S | re.M):
        steps = re.findall(r"^ *(\w+) --> (\w+): (\w+)$", body, re.M)
        assert len(steps) == body.count("-->") - body.count("[*] -->")
        for state, following, event in steps:
            regions.setdefault(name, {}).setdefault(state, {})[event] = following
    return regions


def test_the_tables_are_as_drawn(page: Any) -> None:
    tables = page.evaluate("async () => (await import('./ui/states.js')).TABLES")
    assert set(tables) == {"recording", "microphone", "teaching"}
    assert _drawn() == tables


def test_every_state_can_be_reached_and_left(page: Any) -> None:
    tables = page.evaluate("async () => (await import('./ui/states.js')).TABLES")
    for region, table in tables.items():
        reached = {following for steps in table.values() for following in steps.values()}
        assert reached == set(table), region
        assert all(table.values()), region


def test_what_cannot_happen_is_refused(page: Any) -> None:
    said = page.evaluate(
        """async () => {
          const { Machine } = await import("./ui/states.js");
          let n = 0;
          const machine = new Machine(() => { n += 1; });
          const looks = [machine.look(false), machine.look(true)];
          machine.send("microphone", "listen");
          looks.push(machine.look(true));
          machine.send("microphone", "live");
          looks.push(machine.look(true));
          machine.send("recording", "open");
          looks.push(machine.look(true));
          machine.send("recording", "end");
          machine.send("microphone", "play");
          looks.push(machine.look(false));
          try { machine.send("microphone", "listen"); } catch (error) { looks.push(error.message); }
          return [looks, n];
        }"""
    )
    assert said == [
        ["empty", "done", "busy", "live", "busy", "live",
         "microphone is paused, where there is no listen"],
        5,
    ]  # fmt: skip
