# SPDX-License-Identifier: Apache-2.0
"""A hook of the generator: a page's language switch leads to the same page in the other one.

A file of its own, because the generator loads hooks by their file.
"""

from __future__ import annotations

from typing import Any

_NAMES = {"en": "English", "es": "Español"}


def on_page_context(context: Any, *, page: Any, config: Any, **_: Any) -> Any:
    """Called for each page before it is written; the languages are folders beside each other."""
    config.extra["alternate"] = [
        {"name": name, "lang": language, "link": f"../{language}/{page.url}"}
        for language, name in _NAMES.items()
    ]
    return context
