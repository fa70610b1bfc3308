# SPDX-License-Identifier: Apache-2.0
"""How commands declare themselves and their options."""

from __future__ import annotations

import argparse

import pytest

from oido.cli.arguments import Arguments, above_zero, add_command
from oido.errors import OptionError
from oido.options import OPTIONS


def test_an_option_is_written_as_its_help_shows_it() -> None:
    parser = argparse.ArgumentParser()
    add = Arguments(parser)
    for usage in ("-o, --output FILE", "--check", "data DATA"):
        add(usage, "what it is for")
    args = parser.parse_args(["x", "-o", "y", "--check"])
    assert (args.output, args.check, args.data) == ("y", True, "x")
    assert parser.parse_args(["x"]).check is False
    assert "--output FILE" in parser.format_help()


def test_a_command_has_its_line_its_description_and_its_end() -> None:
    commands = argparse.ArgumentParser().add_subparsers()
    text = "One line.\n\nA description\nof two lines.\n\nexamples:\n  oido x\n\nand more"
    add_command(commands, "x", lambda _: None, text)
    parser = commands.choices["x"]
    (listed,) = commands._choices_actions
    assert listed.help == "one line"
    assert parser.description == "A description of two lines."
    assert parser.epilog == "examples:\n  oido x\n\nand more"
    assert parser.get_default("run")(argparse.Namespace()) == 0


@pytest.mark.parametrize("name", OPTIONS)
def test_every_option_of_the_table_can_be_one_of_a_command(name: str) -> None:
    parser = argparse.ArgumentParser()
    Arguments(parser).options(name)
    given = vars(parser.parse_args([]))
    assert given == {name: [] if name in ("allow", "deny") else OPTIONS[name].default}
    assert f"--{name.replace('_', '-')}" in parser.format_help()


def test_a_wrong_value_is_told_by_the_name_of_the_option() -> None:
    parser = argparse.ArgumentParser()
    Arguments(parser).reported()
    for words, told in (
        (["--threshold", "7"], "--threshold"),
        (["--merge-gap", "-1"], "--merge-gap"),
    ):
        with pytest.raises(OptionError, match=told):
            parser.parse_args(words)
    with pytest.raises(SystemExit):
        parser.parse_args(["--allow", "Dog", "--deny", "Cat"])


@pytest.mark.parametrize("text", ["0", "-1", "nan", "much"])
def test_a_number_above_zero_is_one(text: str) -> None:
    assert above_zero("0.5") == 0.5
    with pytest.raises(argparse.ArgumentTypeError, match="must be a"):
        above_zero(text)
