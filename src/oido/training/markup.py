# SPDX-License-Identifier: Apache-2.0
"""HTML in which text stays text: whatever is not HTML by type is escaped.

Labels and file names come from strangers, so no caller has to remember to escape them.
"""

from __future__ import annotations

import base64
from html import escape

__all__ = ["Html", "data_uri", "join", "tag"]

_VOID = frozenset({"br", "col", "img", "input", "meta"})


class Html(str):
    """A piece of HTML that is safe to put into a page as it is; made by `tag` and `join`."""

    __slots__ = ()


def tag(name: str, /, *children: str | None, **attributes: str | int | bool | None) -> Html:
    """An element. Children that are no `Html` are escaped, and so are values of attributes.

    ``class_``, ``for_`` are the attributes class and for, ``aria_label`` is aria-label; True is an
    attribute without a value; False and None leave it out.
    """
    words = [name]
    for key, value in attributes.items():
        attribute = key.rstrip("_").replace("_", "-")
        if value is True:
            words.append(attribute)
        elif value is not None and value is not False:
            words.append(f'{attribute}="{escape(str(value), quote=True)}"')
    opening = f"<{' '.join(words)}>"
    if name in _VOID:
        return Html(opening)
    return Html(f"{opening}{join(*children)}</{name}>")


def join(*pieces: str | None) -> Html:
    """The pieces one after another, escaped unless they are `Html`; None is nothing."""
    return Html(
        "".join(
            piece if isinstance(piece, Html) else escape(piece)
            for piece in pieces
            if piece is not None
        )
    )


def data_uri(content: bytes, media_type: str) -> str:
    """The content itself, as an address."""
    return f"data:{media_type};base64,{base64.b64encode(content).decode('ascii')}"
