# SPDX-License-Identifier: Apache-2.0
"""An extension of griffe: docstrings of this house, "name: what it is" line by line, as lists.

A file of its own, because griffe loads extensions by their file.
"""

from __future__ import annotations

import re
from typing import Any

import griffe

_ENTRY = re.compile(r"(\*{0,2}[a-z_]\w*(?:, \*{0,2}[a-z_]\w*)*): (\S.*)")
_SECTION = re.compile(r"(Args|Returns|Raises|Yields|Attributes):$")


def as_markdown(text: str) -> str:
    """A docstring whose entries (``rate_hz: samples per second``) are items of a list."""
    lines: list[str] = []
    is_list = False
    indent = ""
    for line in text.splitlines():
        if section := _SECTION.fullmatch(line):
            lines += ["", f"**{section[1]}**", ""]
            is_list, indent = False, "    "
            continue
        bare = line.removeprefix(indent) if line.startswith(indent) else line
        indent = indent if line.startswith(indent) or not line else ""
        entry = _ENTRY.fullmatch(bare) or (_ENTRY_OF_ERRORS.fullmatch(bare) if indent else None)
        if entry:
            lines += [] if is_list else [""]
            lines.append(f"- `{entry[1]}`: {entry[2]}")
            is_list = True
        elif is_list and bare and not bare.startswith(" "):
            lines += ["", bare]
            is_list = False
        else:
            is_list = is_list and bool(bare)
            lines.append(bare)
    return "\n".join(lines)


_ENTRY_OF_ERRORS = re.compile(r"([A-Za-z]\w*): (\S.*)")


class HouseDocstrings(griffe.Extension):
    """Rewrites each docstring once, when everything is loaded."""

    def on_object(self, *, obj: griffe.Object, **_: Any) -> None:
        """Called for each object."""
        if obj.docstring is not None:
            obj.docstring.value = as_markdown(obj.docstring.value)
