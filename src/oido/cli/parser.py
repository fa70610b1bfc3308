# SPDX-License-Identifier: Apache-2.0
"""The parser of a command line: what is wrong is one sentence, and help comes short or whole."""

from __future__ import annotations

import argparse
import difflib
import re
import textwrap
from collections.abc import Iterable, Sequence
from typing import Any, NoReturn

from oido.errors import OptionError
from oido.messages import MarkedText, joined, shown, tr, translated


class Parser(argparse.ArgumentParser):
    """Of one command; raises OptionError where argparse would print its usage.

    An argument whose action has a true ``is_rare`` is shown by ``--help-all`` only.
    """

    def __init__(self, **more: Any) -> None:
        super().__init__(formatter_class=_Formatter, add_help=False, **more)
        # No option begins with a digit, but values do: -33.9,151.2 or -03:30.
        self._negative_number_matcher = re.compile(r"-\.?\d")
        self.add_argument("-h", "--help", action=_Help, everything=False, help="show this")

    @property
    def rare(self) -> list[argparse.Action]:
        """The arguments that the short help leaves out."""
        return [action for action in self._actions if getattr(action, "is_rare", False)]

    def offer_all(self) -> None:
        """Add ``--help-all``, if there is anything that the short help leaves out."""
        if self.rare:
            text = tr("show a rarer option, too")
            if (number := len(self.rare)) > 1:
                text = tr("show {number} rarer options, too", number=number)
            self.add_argument("--help-all", action=_Help, everything=True, help=text)

    def share_examples(self) -> None:
        """Give each action of this command those of its examples that show it, where it has none of
        its own."""
        heading, *lines = (self.epilog or "").split("\n\n")[0].split("\n")
        for group in self._actions:
            if not isinstance(group, argparse._SubParsersAction):
                continue
            for parser in set(group.choices.values()):
                own = [line for line in lines if f"{line} ".lstrip().startswith(f"{parser.prog} ")]
                if own and not parser.epilog:
                    parser.epilog = "\n".join([heading, *own])

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
        words = [shown(tr("[options]"))] if has_options else []
        for action in self._actions:
            if not action.option_strings:
                name = translated(str(action.metavar or action.dest))
                many = {"+": f"{name} …", "*": f"[{name} …]", "?": f"[{name}]"}
                words.append(many.get(str(action.nargs), name))
            elif action.required:
                words.append(f"{action.option_strings[0]} {translated(str(action.metavar))}")
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
            return tr("what is {word!r}? It is one word too many", word=words[0])
        option = option.partition("=")[0]
        if any(option == f"--{action.dest}" for action in self._get_positional_actions()):
            return tr(
                "{option} is no option here, its value stands by itself: {prog} {usage}",
                option=option,
                prog=self.prog,
                usage=self._short_usage(),
            )
        near = _nearest(option, self._option_string_actions)
        return tr("there is no option {option}{near}", option=option, near=near)

    def error(self, message: str) -> NoReturn:
        """Raise OptionError with one sentence and a pointer."""
        missing = re.fullmatch(r"the following arguments are required: (.*)", message)
        choice = re.fullmatch(r"argument ([^:]*): invalid choice: '(.*?)' \(.*\)", message)
        expected = re.fullmatch(r"argument ([^:]*): expected (.*)", message)
        if missing:
            names = joined(", ", map(_argument_name, missing[1].split(", ")))
            message = tr("{names} is missing", names=names)
        elif choice:
            message = self._no_choice(*choice.groups())
        elif expected:
            message = tr("{name} needs {what}", name=expected[1], what=_of_argparse(expected[2]))
        elif named := re.fullmatch(r"argument ([^:]*): (.*)", message, re.DOTALL):
            message = tr("{name}: {what}", name=named[1], what=_of_argparse(named[2]))
        raise OptionError(
            tr("{message} ({prog} --help shows what there is)", message=message, prog=self.prog)
        )

    def _no_choice(self, name: str, value: str) -> str:
        for action in self._actions:
            names = "/".join(action.option_strings) or action.metavar or action.dest
            if names == name and action.choices is not None:
                known = [choice for choice in action.choices if isinstance(choice, str)]
                near = _nearest(value, known)
                if isinstance(action, argparse._SubParsersAction):
                    kind = str(action.metavar).lower()
                    near = near or tr("; there are: {known}", known=_list(known))
                    what = tr("command") if kind == "command" else tr("action")
                    return tr(
                        "there is no {what} {value!r}{near}", what=what, value=value, near=near
                    )
                return tr(
                    "{name} must be one of {known}, not {value!r}",
                    name=name,
                    known=_list(known),
                    value=value,
                )
        return tr("{name} cannot be {value!r}", name=name, value=value)


class _Formatter(argparse.RawDescriptionHelpFormatter):
    """Translates all that stands in the help but names."""

    def add_usage(self, usage: Any, actions: Any, groups: Any, prefix: str | None = None) -> None:
        own = translated("usage: ")
        if prefix is None and own != "usage: ":
            prefix = own
        super().add_usage(usage, actions, groups, prefix)

    def start_section(self, heading: str | None) -> None:
        super().start_section(heading and translated(heading))

    def add_argument(self, action: argparse.Action) -> None:
        super().add_argument(action)
        # Commands stand further in than argparse reckons with: the longest would have a line of
        # their own.
        inside = self._current_indent + self._indent_increment
        for command in getattr(action, "_get_subactions", list)():
            self._action_max_length = max(self._action_max_length, inside + len(command.dest))

    def add_text(self, text: str | None) -> None:
        if text and text is not argparse.SUPPRESS:
            text = "\n\n".join(map(_paragraph, text.split("\n\n")))
        super().add_text(text)

    def _metavar_formatter(self, action: argparse.Action, default_metavar: str) -> Any:
        own = super()._metavar_formatter(action, default_metavar)
        if isinstance(action, argparse._SubParsersAction._ChoicesPseudoAction):
            return own  # a command is typed as it is
        return lambda size: tuple(map(translated, own(size)))

    def _get_help_string(self, action: argparse.Action) -> str | None:
        text = action.help
        return shown(text) if isinstance(text, MarkedText) else text and translated(text)


def _paragraph(text: str) -> str:
    """One of a help, translated: of examples what is said beside them, of prose all of it."""
    lines = text.strip("\n").split("\n")
    if len(lines) > 1 and lines[1].startswith("  "):
        return "\n".join(map(_example, lines))
    return textwrap.fill(translated(" ".join(lines)), 100)


def _example(line: str) -> str:
    """A line of examples: a heading, or a command with what is said of it behind two spaces."""
    if not line.startswith(" "):
        return translated(line)
    command, gap, remark = re.fullmatch(r"(.*?\S)(?:(\s{2,})(\S.*))?", line).groups()  # type: ignore[union-attr]
    return line if remark is None else f"{command}{gap}{translated(remark)}"


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


def _argument_name(name: str) -> str:
    """What argparse calls an argument that is missing: its metavar, or the names of an option."""
    return name if name.startswith("-") else tr(name)


def _nearest(word: str, known: Iterable[str]) -> str:
    near = difflib.get_close_matches(word, list(known), n=1)
    return tr("; did you mean {near}?", near=near[0]) if near else ""


_OF_ARGPARSE = {
    "one argument": tr("one argument"),
    "at least one argument": tr("at least one argument"),
    "at most one argument": tr("at most one argument"),
}
_OF_ARGPARSE_WITH = (
    (r"not allowed with argument (.*)", tr("not allowed with argument {}")),
    (r"ignored explicit argument (.*)", tr("ignored explicit argument {}")),
    (r"invalid (.*?) value: (.*)", tr("invalid {} value: {}")),
    (r"must be a number of seconds, not (.*)", tr("must be a number of seconds, not {}")),
    (r"must be a number, not (.*)", tr("must be a number, not {}")),
    (r"must be above 0, not (.*)", tr("must be above 0, not {}")),
    (r"must be above 0 and at most 3600, not (.*)", tr("must be above 0 and at most 3600, not {}")),
)


def _of_argparse(text: str) -> str:
    """What argparse says, as a text to be translated."""
    for pattern, message in _OF_ARGPARSE_WITH:
        if found := re.fullmatch(pattern, text, re.DOTALL):
            return message.format(*found.groups())
    return _OF_ARGPARSE.get(text) or text
