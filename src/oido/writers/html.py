# SPDX-License-Identifier: Apache-2.0
"""HTML in which text stays text, and how pages look: light and dark, from a phone's width up.

Whatever is not HTML by type is escaped. Labels and file names come from strangers, so no caller has
to remember to escape them.
"""

from __future__ import annotations

import base64
from html import escape

__all__ = ["CONTENT_POLICY", "STYLE", "Html", "data_uri", "join", "sorting_rules", "tag"]

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


CONTENT_POLICY = (
    "default-src 'none'; style-src 'unsafe-inline'; img-src data:; media-src data:; "
    "base-uri 'none'; form-action 'none'"
)
"""The page may ask for nothing, and run nothing, whatever a label or a file name holds."""

STYLE = """
:root { color-scheme: light dark; --ink: #1c1c1e; --soft: #5c5c66; --paper: #fbfbfd;
  --card: #fff; --line: #d8d8e0; --good: #00704f; --fair: #8a5a00; --poor: #b3261e; }
@media (prefers-color-scheme: dark) {
  :root { --ink: #ececf1; --soft: #a9a9b6; --paper: #16161a; --card: #222228; --line: #3a3a44;
    --good: #4fd1a5; --fair: #f0b849; --poor: #ff8a80; } }
* { box-sizing: border-box; }
body { margin: 0 auto; padding: 1rem; max-width: 70rem; font: 1rem/1.5 system-ui, sans-serif;
  color: var(--ink); background: var(--paper); overflow-wrap: break-word; }
h1 { font-size: 1.6rem; line-height: 1.2; margin: .5rem 0; }
h2 { font-size: 1.2rem; margin: 2.2rem 0 .6rem; }
.soft, figcaption, dd { color: var(--soft); }
.verdict { list-style: none; padding: 0; }
.verdict li { border-left: .3rem solid; padding: .2rem .7rem; margin: .35rem 0;
  background: var(--card); }
.verdict .good { border-color: var(--good); } .good b { color: var(--good); }
.verdict .fair { border-color: var(--fair); } .fair b { color: var(--fair); }
.verdict .poor { border-color: var(--poor); } .poor b { color: var(--poor); }
.figures { display: grid; gap: .6rem; grid-template-columns: repeat(auto-fill, minmax(9rem, 1fr)); }
.figures div, .mistake { background: var(--card); border: 1px solid var(--line);
  border-radius: .5rem; padding: .6rem .8rem; }
.figures strong { display: block; font-size: 1.5rem; }
.pictures { display: flex; flex-wrap: wrap; gap: 1rem; align-items: flex-start; }
figure { margin: 0; max-width: 100%; }
img { max-width: 100%; height: auto; background: #fff; border-radius: .4rem; }
.scroll { overflow-x: auto; }
table { border-collapse: collapse; font-variant-numeric: tabular-nums; font-size: .92rem; }
th, td { padding: .25rem .6rem; text-align: right; border-bottom: 1px solid var(--line); }
th:first-child, td:first-child { text-align: left; }
td small { display: block; color: var(--soft); white-space: nowrap; }
.sorted table, .sorted thead { display: block; }
.sorted tbody { display: flex; flex-direction: column; }
.sorted tr { display: grid; grid-template-columns: minmax(8rem, 2fr) repeat(9, minmax(5rem, 1fr));
  min-width: 54rem; }
.sort { border: 0; padding: 0; margin: .4rem 0; }
.sort label { margin-right: .8rem; white-space: nowrap; }
.mistakes { display: grid; gap: .8rem;
  grid-template-columns: repeat(auto-fill, minmax(17rem, 1fr)); }
.mistake audio { width: 100%; }
pre { overflow-x: auto; background: var(--card); padding: .6rem; border: 1px solid var(--line); }
dl { display: grid; grid-template-columns: minmax(7rem, max-content) 1fr; gap: .2rem 1rem; }
dd { margin: 0; }
@media (max-width: 34rem) { dl { display: block; } dd { margin: 0 0 .5rem 1rem; } }
@media print { .sort, audio { display: none; } }
"""


def sorting_rules(columns: int) -> str:
    """The rows take the order that the chosen radio button stands for, without a script."""
    rules = [
        f".classes:has(#by{n}:checked) tbody tr {{ order: var(--by{n}); }}" for n in range(columns)
    ]
    return "\n".join(rules)
