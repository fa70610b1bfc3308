# SPDX-License-Identifier: Apache-2.0
"""Bars and heat maps of HTML alone: they take the page's colours and width, and need no script."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from oido.results.translations import Words
from oido.writers.html import Html, join, tag

__all__ = ["STYLE", "HeatRow", "bars", "details", "heat_map", "numbers_table"]

STYLE = """
:root { --bar: #3a6ea5; --heat: #c2410c; --warm-ink: var(--ink); --hot-ink: #fff; }
@media (prefers-color-scheme: dark) {
  :root { --bar: #7fb2e5; --heat: #fb923c; --warm-ink: #16161a; --hot-ink: #16161a; } }
.figures { grid-template-columns: repeat(auto-fit, minmax(9.5rem, 1fr)); }
.figures strong { font-size: 1.35rem; overflow-wrap: normal; }
.figures small { color: var(--soft); display: block; }
.bars { display: flex; align-items: flex-end; gap: 1px; height: 8rem; margin-top: .4rem;
  border-bottom: 1px solid var(--line); }
.bars.low { height: 3.5rem; }
.bars i { flex: 1 1 0; min-width: 0; background: var(--bar); border-radius: .15rem .15rem 0 0; }
.bars.low i { background: var(--soft); }
.axis { display: flex; overflow: hidden; font-size: .75rem; color: var(--soft); }
.axis span { flex: 1 1 0; min-width: 0; white-space: nowrap; }
.chart { margin: .8rem 0 1rem; }
.chart figcaption { display: flex; justify-content: space-between; gap: 1rem; font-size: .92rem; }
td { white-space: nowrap; } td:first-child, .left td { white-space: normal; }
td.bar { min-width: 6rem; }
td.bar::after { content: ""; display: block; height: .25rem; border-radius: .15rem;
  background: linear-gradient(to right, var(--bar) calc(var(--v) * 100%), var(--line) 0); }
.heat table { font-size: .78rem; border-collapse: separate; border-spacing: 1px; }
.heat th, .heat td { border: 0; padding: .2rem .25rem; min-width: 2.1rem; text-align: center; }
.heat th:first-child { position: sticky; left: 0; background: var(--paper); text-align: left;
  min-width: 6rem; max-width: 9rem; font-weight: normal; overflow-wrap: anywhere; }
.heat td { background: color-mix(in srgb, var(--heat) calc(var(--v, 0) * 100%), var(--card)); }
.heat td.warm { color: var(--warm-ink); } .heat td.hot { color: var(--hot-ink); }
.heat td.none { background: repeating-linear-gradient(45deg, var(--line) 0 2px,
  transparent 2px 6px); }
.left td, .left th { text-align: left; vertical-align: top; }
.left td { overflow-wrap: anywhere; min-width: 6rem; }
details { margin: .5rem 0; } summary { cursor: pointer; color: var(--soft); }
@media (max-width: 34rem) { th, td { padding: .25rem .35rem; } table { font-size: .85rem; }
  td.bar { min-width: 4rem; } .axis.long span:nth-child(even) { visibility: hidden; } }
"""

_WARM, _HOT = 0.6, 0.85
"""From these shades on, numbers take another ink, in the dark and in the light."""


class HeatRow(NamedTuple):
    """A row's name and its values; None where nothing was recorded."""

    name: str
    values: Sequence[float | None]


def bars(
    title: str,
    names: Sequence[str],
    values: Sequence[float | None],
    words: Words,
    low: bool = False,
) -> Html:
    """A bar for each value, the highest as high as the chart; its number stands in the title."""
    highest = max((value for value in values if value is not None), default=0.0)
    columns = (
        tag(
            "i",
            style=f"height:{_share(value, highest):.1%}",
            title=f"{name}: {_told(value, words)}",
        )
        for name, value in zip(names, values)
    )
    label = f"{title}: " + ", ".join(f"{n} {_told(v, words)}" for n, v in zip(names, values))
    most = f"max. {_told(highest, words)}"
    return tag(
        "figure",
        tag("figcaption", tag("span", title), tag("span", most)),
        tag("div", *columns, class_="bars low" if low else "bars", role="img", aria_label=label),
        _axis(names),
        class_="chart",
    )


def heat_map(
    head: str, columns: Sequence[str], rows: Sequence[HeatRow], words: Words, by_row: bool = True
) -> Html:
    """A table whose cells are the darker the nearer they are to the highest of their row, or of
    the table."""
    all_values = [value for row in rows for value in row.values if value is not None]
    highest = None if by_row else max(all_values, default=0.0)
    header = tag("tr", tag("th", head), *(tag("th", name, scope="col") for name in columns))
    lines = (
        tag("tr", tag("th", row.name, scope="row"), *_cells(row, words, highest)) for row in rows
    )
    table = tag("table", tag("thead", header), tag("tbody", *lines))
    return tag("div", table, class_="scroll heat", tabindex="0")


def numbers_table(
    heads: Sequence[str], rows: Sequence[Sequence[str | Html]], class_: str | None = None
) -> Html:
    """A plain table; cells that are `Html` are whole ``<td>``s."""
    header = tag("tr", *(tag("th", head, scope="col") for head in heads))
    lines = (
        tag("tr", *(cell if isinstance(cell, Html) else tag("td", cell) for cell in row))
        for row in rows
    )
    table = tag("table", tag("thead", header), tag("tbody", *lines))
    return tag("div", table, class_="scroll" if class_ is None else f"scroll {class_}")


def _cells(row: HeatRow, words: Words, highest: float | None) -> list[Html]:
    if highest is None:
        highest = max((value for value in row.values if value is not None), default=0.0)
    cells = []
    for value in row.values:
        if value is None:
            cells.append(tag("td", class_="none"))
            continue
        share = _share(value, highest)
        kind = "hot" if share >= _HOT else "warm" if share >= _WARM else None
        text = _short(value, words) if value else ""
        cells.append(tag("td", text, class_=kind, style=f"--v:{share:.2f}" if share else None))
    return cells


def _axis(names: Sequence[str]) -> Html:
    """At most eight names below the bars, each at the left of its own."""
    step = max(1, -(-len(names) // 8))
    marks = (
        tag("span", names[n], style=f"flex-grow:{min(step, len(names) - n)}")
        for n in range(0, len(names), step)
    )
    kind = "axis long" if any(len(name) > 3 for name in names) else "axis"
    return tag("div", *marks, class_=kind, aria_hidden="true")


def _share(value: float | None, highest: float) -> float:
    return value / highest if value and highest > 0 else 0.0


def _told(value: float | None, words: Words) -> str:
    return "–" if value is None else _short(value, words)


def _short(value: float, words: Words) -> str:
    """Two figures at least: 0.04, 0.4, 4.2, 42, 1,234."""
    if value == 0 or value >= 10:
        return words.number(value)
    return words.number(value, 1 if value >= 0.1 else 2)


def details(title: str, *content: Html) -> Html:
    """What opens on request."""
    return tag("details", tag("summary", title), join(*content))
