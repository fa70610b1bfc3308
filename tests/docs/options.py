# SPDX-License-Identifier: Apache-2.0
"""The options that oido's commands have."""

from __future__ import annotations

import argparse


def options_of(parser: argparse.ArgumentParser) -> set[str]:
    """Of a parser and all below it: --allow, --deny…"""
    found: set[str] = set()
    for action in parser._actions:
        found |= {option for option in action.option_strings if option.startswith("--")}
        if isinstance(action, argparse._SubParsersAction):
            for child in action.choices.values():
                found |= options_of(child)
    return found
