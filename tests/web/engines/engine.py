# SPDX-License-Identifier: Apache-2.0
"""What the tests want of a browser that is not Chromium: little, so that each can do it."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any, Protocol


class Engine(Protocol):
    """A browser with one page. Its profile is empty at the start, and gone at the end."""

    def open(self, address: str) -> None:
        """Go there, and wait until the page is loaded; also over what is shown already."""

    def run(self, code: str, argument: Any = None) -> Any:
        """What an async function of the page gives. Raises AssertionError for what it throws."""

    def give(self, selector: str, *paths: Path) -> None:
        """Choose files in an input."""

    def click(self, selector: str) -> None:
        """A press of the pointer, as by a person: some things want one."""

    def close(self) -> None: ...


def wait_for(engine: Engine, condition: str, argument: Any = None, seconds: float = 120) -> None:
    """Until a function of the page gives what counts as true."""
    end = time.monotonic() + seconds
    while not engine.run(f"async (given) => Boolean(await ({condition})(given))", argument):
        if time.monotonic() > end:
            state = engine.run("async () => document.body.innerText.slice(0, 600)")
            raise AssertionError(f"never: {condition} of {argument}; the page says {state!r}")
        time.sleep(0.1)
