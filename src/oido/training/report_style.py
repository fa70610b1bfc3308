# SPDX-License-Identifier: Apache-2.0
"""How the HTML report looks: light and dark, from a phone's width up."""

from __future__ import annotations

__all__ = ["CONTENT_POLICY", "STYLE", "sorting_rules"]

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
