# SPDX-License-Identifier: Apache-2.0
"""The parser of a command line: what is wrong is one sentence, and help comes short or whole."""

from __future__ import annotations

import argparse
import difflib
import re
from collections.abc import Iterable, Sequence
from typing import Any, NoReturn

from oido.errors import OptionError


class Parser(argparse.ArgumentParser):
    """Of one command; raises OptionError where argparse would print its usage.

    An argument whose action has a true ``is_rare`` is shown by ``--help-all`` only.
    """

    def __init__(self, **more: Any) -> None:
        super().__init__(
            formatter_class=argparse.RawDescriptionHelpFormatter, add_help=False, **more
        )
        self.add_argument("-h", "--help", action=_Help, everything=False, help="show this")

    @property
    def rare(self) -> list[argparse.Action]:
        """The arguments that the short help leaves out."""
        return [action for action in self._actions if getattr(action, "is_rare", False)]

    def offer_all(self) -> None:
        """Add ``--help-all``, if there is anything that the short help leaves out."""
        if self.rare:
            text = f"show {len(self.rare)} rarer options, too"
            self.add_argument("--help-all", action=_Help, everything=True, help=text)

    def short_help(self) -> str:
        """The help without what is rare."""
        formatter = self._get_formatter()
        usage = f"{self.prog} {self._short_usage()}".strip()
        formatter.add_usage(usage, [], [])
        formatter.add_text(self.description)
        for group in self._action_groups:
            shown = [a for a in group._group_actions if not getattr(a, "is_rare", False)]
            formatter.start_section(group.title)
            formatter.add_text(group.description)
            formatter.add_arguments(shown)
            formatter.end_section()
        formatter.add_text(self.epilog)
        return formatter.format_help()

    def _short_usage(self) -> str:
        has_options = any(action.option_strings for action in self._actions)
        words = ["[options]"] if has_options else []
        for action in self._actions:
            if not action.option_strings:
                name = str(action.metavar or action.dest)
                many = {"+": f"{name} …", "*": f"[{name} …]", "?": f"[{name}]"}
                words.append(many.get(str(action.nargs), name))
            elif action.required:
                words.append(f"{action.option_strings[0]} {action.metavar}")
        return " ".join(words)

    def parse_known_args(  # type: ignore[override]
        self, args: Sequence[str] | None = None, namespace: Any = None
    ) -> tuple[argparse.Namespace, list[str]]:
        """As argparse; but what a command does not know ends here, where its name is known."""
        found, unknown = super().parse_known_args(args, namespace)
        if unknown:
            self.error(self._unknown(unknown))
        return found, unknown

    def _unknown(self, words: Sequence[str]) -> str:
        option = next((word for word in words if word.startswith("-") and word != "-"), None)
        if option is None:
            return f"what is {words[0]!r}? It is one word too many"
        option = option.partition("=")[0]
        return f"there is no option {option}{_nearest(option, self._option_string_actions)}"

    def error(self, message: str) -> NoReturn:
        """Raise OptionError with one sentence and a pointer."""
        missing = re.fullmatch(r"the following arguments are required: (.*)", message)
        choice = re.fullmatch(r"argument ([^:]*): invalid choice: '(.*?)' \(.*\)", message)
        if missing:
            message = f"{missing[1]} is missing"
        elif choice:
            message = self._no_choice(*choice.groups())
        else:
            message = re.sub(r"^argument ([^:]*): expected ", r"\1 needs ", message)
            message = re.sub(r"^argument ([^:]*): ", r"\1: ", message)
        raise OptionError(f"{message} ({self.prog} --help shows what there is)")

    def _no_choice(self, name: str, value: str) -> str:
        for action in self._actions:
            names = "/".join(action.option_strings) or action.metavar or action.dest
            if names == name and action.choices is not None:
                known = [choice for choice in action.choices if isinstance(choice, str)]
                near = _nearest(value, known)
                if isinstance(action, argparse._SubParsersAction):
                    kind = str(action.metavar).lower()
                    return f"there is no {kind} {value!r}{near or '; there are: ' + _list(known)}"
                return f"{name} must be one of {_list(known)}, not {value!r}"
        return f"{name} cannot be {value!r}"


class _Help(argparse.Action):
    """Prints help and ends."""

    def __init__(self, everything: bool, **more: Any) -> None:
        more |= {"dest": argparse.SUPPRESS, "default": argparse.SUPPRESS, "nargs": 0}
        super().__init__(**more)
        self._everything = everything

    def __call__(self, parser: Any, *_: object) -> None:
        print(parser.format_help() if self._everything else parser.short_help(), end="")
        parser.exit()


def _list(words: Iterable[str]) -> str:
    return ", ".join(words)


def _nearest(word: str, known: Iterable[str]) -> str:
    near = difflib.get_close_matches(word, list(known), n=1)
    return f"; did you mean {near[0]}?" if near else ""
