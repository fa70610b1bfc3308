# SPDX-License-Identifier: Apache-2.0
"""Write docs/reference/cli.md from the commands' own help; ``--check`` compares instead."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Iterator
from pathlib import Path

TARGET = Path(__file__).parent / "reference" / "cli.md"


def parsers(parser: argparse.ArgumentParser) -> Iterator[argparse.ArgumentParser]:
    """A parser and all below it, in order."""
    yield parser
    for action in parser._actions:
        if isinstance(action, argparse._SubParsersAction):
            for child in action.choices.values():
                yield from parsers(child)


def reference() -> str:
    """The page as it should be, the same under every version of Python."""
    from oido.cli.main import build_parser

    lines = ["# Command line", "", "Made from the commands' own help by docs/make_reference.py."]
    for parser in parsers(build_parser()):
        lines += ["", f"## `{parser.prog}`", "", parser.description or ""]
        rows = [_row(parser, each) for each in parser._actions if each.help or each.metavar]
        if rows:
            lines += ["", "| argument | what it does |", "|---|---|", *rows]
        for action in parser._actions:
            if isinstance(action, argparse._SubParsersAction):
                lines += ["", "| command | what it does |", "|---|---|"]
                lines += [f"| `{c.dest}` | {c.help} |" for c in action._choices_actions]
        if parser.epilog:
            lines += ["", "```text", parser.epilog.strip(), "```"]
    return "\n".join(line.rstrip() for line in lines) + "\n"


def _row(parser: argparse.ArgumentParser, action: argparse.Action) -> str:
    if action.option_strings:
        value = f" {action.metavar}" if action.metavar else ""
        if action.choices:
            value = " " + "|".join(map(str, action.choices))
        name = ", ".join(f"`{option}{value}`" for option in action.option_strings)
    else:
        name = f"`{action.metavar or action.dest}`"
    text = parser._get_formatter()._expand_help(action) if action.help else ""  # %% is a %
    text = text.replace("[", r"\[")  # two in a row would be a link
    # A bar inside a cell would end it.
    cells = [cell.replace("|", r"\|") for cell in (name, text)]
    return f"| {cells[0]} | {cells[1]} |"


def main() -> int:
    """Write, or check."""
    if "--check" in sys.argv[1:]:
        same = TARGET.read_text(encoding="utf-8") == reference()
        print("docs/reference/cli.md is", "up to date" if same else "out of date: make docs")
        return 0 if same else 1
    TARGET.write_text(reference(), encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
