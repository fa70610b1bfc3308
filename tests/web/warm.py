# SPDX-License-Identifier: Apache-2.0
"""Pages that stay open from test to test.

A page in a new context costs three times what it costs to open it again where it was: a process,
and 80 modules to fetch and to compile. So pages are lent, and each begins empty: nothing that a
test before it stored, routed, emulated or added is there. What a first visit is like is tested in
contexts of its own (tests/web/core/test_offline.py).
"""

from __future__ import annotations

from collections import defaultdict
from contextlib import suppress
from typing import Any

try:
    from playwright.sync_api import Error
except ImportError:  # then no page is ever opened

    class Error(Exception):  # type: ignore[no-redef]
        """Stands for Playwright's."""


NO_SERVICE_WORKER = "delete Navigator.prototype.serviceWorker;"
"""It would fetch 20 MB for each page, for use without a network."""

_MOST_USES = 40
"""Then a new page is opened: a browser's process does not give all of its memory back."""


class WarmPages:
    """Pages of one browser, by language. home: the address of a server that stays up."""

    def __init__(self, browser: Any, home: str) -> None:
        self._browser, self._home = browser, home
        self._free: dict[str, list[Any]] = defaultdict(list)
        self._uses: dict[Any, int] = defaultdict(int)

    def lend(self, language: str, address: str) -> Any:
        """A page for this address, of which it has nothing stored."""
        if self._free[language]:
            page = self._free[language].pop()
        else:
            context = self._browser.new_context(locale=language, permissions=["microphone"])
            page = context.new_page()
            page.add_init_script(NO_SERVICE_WORKER)
        self._uses[page] += 1
        if page.url != _picture(address):
            page.goto(_picture(address))
        page.evaluate("sessionStorage.clear()")
        devtools = page.context.new_cdp_session(page)
        stored = {"origin": address.rstrip("/"), "storageTypes": "all"}
        devtools.send("Storage.clearDataForOrigin", stored)
        devtools.detach()
        return page

    def give_back(self, page: Any, language: str) -> None:
        """Ends what runs in a page, or closes one in which that cannot be done."""
        with suppress(Error):  # of whatever a test did to it: the next gets a new one
            if self._uses[page] < _MOST_USES:
                for other in page.context.pages:
                    if other is not page:
                        other.close()
                page.unroute_all(behavior="ignoreErrors")
                page.goto(_picture(self._home))
                page.emulate_media(media="null", color_scheme="null", reduced_motion="null")
                self._free[language].append(page)
                return
        page.context.close()

    def close(self) -> None:
        for page in [page for pages in self._free.values() for page in pages]:
            page.context.close()


def _picture(address: str) -> str:
    """The smallest thing of this origin."""
    return f"{address.rstrip('/')}/icons/icon.svg"
