# SPDX-License-Identifier: Apache-2.0
"""Opening a page in the browser of who gave the command."""

from __future__ import annotations

import threading

from oido.cli.terminal import print_message
from oido.messages import tr


def open_page(address: str) -> None:
    """Open the page without waiting for the browser; without a browser, print its address."""
    import webbrowser  # here, because it is slow to load

    # An address that means all of them is none that a browser can open.
    page = address.replace("//0.0.0.0:", "//127.0.0.1:").replace("//[::]:", "//[::1]:") + "/"

    def open_it() -> None:
        try:
            browser = webbrowser.get()
            # One of the terminal would take the terminal that the server is in.
            is_window = type(browser) is not webbrowser.GenericBrowser
            opened = is_window and browser.open(page)
        except webbrowser.Error:
            opened = False
        if not opened:
            print_message(tr("no browser could be opened; the page is at {page}", page=page))

    threading.Thread(target=open_it, daemon=True).start()
