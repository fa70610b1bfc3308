# SPDX-License-Identifier: Apache-2.0
"""Print what completes commands and options in a shell.

examples:
  oido completion bash > ~/.local/share/bash-completion/completions/oido
  oido completion zsh > ~/.zfunc/_oido      with fpath+=~/.zfunc before compinit in ~/.zshrc
  oido completion fish > ~/.config/fish/completions/oido.fish
  source <(oido completion bash)            for this shell only

The words are those of this version: make it anew after an update.
"""

from __future__ import annotations

import argparse
import re
import shlex
from collections.abc import Iterator
from typing import Any, NamedTuple

from oido.cli.arguments import add_command
from oido.cli.terminal import data_output
from oido.messages import MarkedText, shown, translated
from oido.models.registry import CATALOG, ENSEMBLE

SHELLS = ("bash", "zsh", "fish")


def add_parser(commands: Any) -> None:
    """Add ``oido completion``."""
    add = add_command(commands, "completion", _run, __doc__)
    add("shell", "which shell", choices=SHELLS)


def _run(args: argparse.Namespace) -> None:
    from oido.cli.main import build_parser

    spell = {"bash": _bash, "zsh": _zsh, "fish": _fish}[args.shell]
    print(spell(list(_commands(build_parser()))), file=data_output())


class _Option(NamedTuple):
    """Its spellings; whether a value follows, and which there are, if they are few."""

    flags: tuple[str, ...]
    text: str
    has_value: bool
    values: tuple[str, ...]


class _Command(NamedTuple):
    """Its words ("" for oido itself, "models list"), what may follow: commands, values, options."""

    words: str
    commands: tuple[tuple[str, str], ...]
    values: tuple[str, ...]
    options: tuple[_Option, ...]


def _commands(parser: argparse.ArgumentParser, words: str = "") -> Iterator[_Command]:
    """A parser and those below it."""
    commands: dict[str, str] = {}
    below: dict[str, Any] = {}
    values: list[str] = []
    options = []
    for action in parser._actions:
        if isinstance(action, argparse._SubParsersAction):
            commands = {a.dest: _line(a.help) for a in action._choices_actions}
            below = dict(action.choices)
        elif not action.option_strings:
            values += _values(action)
        elif action.help != argparse.SUPPRESS:
            has_value = action.nargs != 0
            flags = tuple(action.option_strings)
            options.append(_Option(flags, _line(action.help), has_value, tuple(_values(action))))
    yield _Command(words, tuple(commands.items()), tuple(values), tuple(options))
    for name, each in below.items():
        yield from _commands(each, f"{words} {name}".strip())


def _values(action: argparse.Action) -> list[str]:
    if action.choices is not None:
        return [str(choice) for choice in action.choices if choice != []]
    if action.dest in ("model", "name"):
        return [*(card.name for card in CATALOG), ENSEMBLE]
    return []


def _line(text: str | None) -> str:
    """Of a help text, without what the parser would put in, or a shell would take for its own."""
    own = shown(text) if isinstance(text, MarkedText) else translated(text or "")
    plain = re.sub(r"\s+", " ", own.replace("%%", "%"))
    return re.sub(r"[\"'`$\\\[\]:;|&<>(){}]", "", plain)[:70].strip()


_WALK = {
    "bash": 'for ((i = 1; i < COMP_CWORD; i++)); do\n    case "$command ${COMP_WORDS[i]}" in\n',
    "zsh": 'for ((i = 2; i < CURRENT; i++)); do\n    case "$command ${words[i]}" in\n',
}


def _walk(commands: list[_Command], shell: str) -> str:
    """The command that the words before the cursor name, as ``$command``."""
    known = "|".join(f'"{parent} {name}"' for parent, name in _edges(commands))
    word = "${COMP_WORDS[i]}" if shell == "bash" else "${words[i]}"
    return (
        f"  {_WALK[shell]}"
        f'      {known}) command="${{command:+$command }}{word}" ;;\n'
        "    esac\n  done\n"
    )


def _edges(commands: list[_Command]) -> Iterator[tuple[str, str]]:
    for command in commands:
        for name, _ in command.commands:
            yield command.words, name


def _flags(command: _Command) -> list[str]:
    return [flag for option in command.options for flag in option.flags]


def _after(commands: list[_Command]) -> Iterator[tuple[str, tuple[str, ...]]]:
    """Where a value stands: "classify --format", and which there are."""
    for command in commands:
        for option in command.options:
            if option.has_value:
                yield (
                    "|".join(f'"{command.words} {flag}"' for flag in option.flags),
                    option.values,
                )


def _bash(commands: list[_Command]) -> str:
    lines = [
        "# completion of oido for bash",
        "_oido() {",
        '  local word="${COMP_WORDS[COMP_CWORD]}" command="" i',
        _walk(commands, "bash").rstrip("\n"),
        '  case "$command ${COMP_WORDS[COMP_CWORD-1]}" in',
    ]
    for pattern, values in _after(commands):
        found = f'COMPREPLY=($(compgen -W {shlex.quote(" ".join(values))} -- "$word")); '
        lines.append(f"    {pattern}) {found if values else ''}return ;;")
    lines += ["  esac", '  case "$command" in']
    for command in commands:
        words = [*(name for name, _ in command.commands), *command.values]
        lines += [
            f'    "{command.words}")',
            f'      if [[ "$word" == -* ]]; then set -- {shlex.join(_flags(command))}',
            f"      else set -- {shlex.join(words)}; fi ;;",
        ]
    lines += [
        "    *) set -- ;;",
        "  esac",
        '  COMPREPLY=($(compgen -W "$*" -- "$word"))',
        "}",
        "complete -o bashdefault -o default -F _oido oido",
    ]
    return "\n".join(lines)


def _zsh(commands: list[_Command]) -> str:
    lines = [
        "#compdef oido",
        "_oido() {",
        '  local command="" i',
        "  local -a found",
        _walk(commands, "zsh").rstrip("\n"),
        '  case "$command ${words[CURRENT-1]}" in',
    ]
    for pattern, values in _after(commands):
        lines.append(f"    {pattern}) {f'compadd -- {shlex.join(values)}' if values else '_files'}")
        lines.append("      return ;;")
    lines += ["  esac", '  case "$command" in']
    for command in commands:
        options = [f"{flag}:{option.text}" for option in command.options for flag in option.flags]
        words = [*(f"{name}:{text}" for name, text in command.commands), *command.values]
        files = "" if command.commands else "; _files"
        lines += [
            f'    "{command.words}")',
            f'      if [[ "$PREFIX" == -* ]]; then found=({shlex.join(options)})',
            f"        _describe option found; return; fi; found=({shlex.join(words)})",
            f"      _describe word found{files} ;;",
        ]
    lines += [
        "  esac",
        "}",
        'if [[ "${funcstack[1]}" == _oido ]]; then _oido "$@"; else compdef _oido oido; fi',
    ]
    return "\n".join(lines)


def _fish(commands: list[_Command]) -> str:
    lines = ["# completion of oido for fish"]
    for command in commands:
        words = command.words.split()
        here = [f"__fish_seen_subcommand_from {word}" for word in words]
        if command.commands:
            names = " ".join(name for name, _ in command.commands)
            here.append(f"not __fish_seen_subcommand_from {names}")
        where = f"complete -c oido -n {shlex.quote('; and '.join(here))}" if here else ""
        for name, text in command.commands:
            lines.append(f"{where} -f -a {name} -d {shlex.quote(text)}")
        if command.values:
            lines.append(f"{where} -a {shlex.quote(' '.join(command.values))}")
        for option in command.options:
            flags = [f"-l {f[2:]}" if f.startswith("--") else f"-s {f[1:]}" for f in option.flags]
            value = f" -x -a {shlex.quote(' '.join(option.values))}" if option.values else " -r"
            lines.append(
                f"{where} {' '.join(flags)} -d {shlex.quote(option.text)}"
                + (value if option.has_value else "")
            )
    return "\n".join(lines)
