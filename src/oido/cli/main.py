# SPDX-License-Identifier: Apache-2.0
"""The ``oido`` command: finds the subcommand, and turns errors into sentences and exit codes.

Exit codes: 0 all is well; 1 a fatal error; 2 wrong usage; 3 finished, but some recordings failed;
4 files of a results folder are missing or changed; 130 interrupted.
"""

from __future__ import annotations

import argparse
import errno
import os
import sys
import traceback
from collections.abc import Sequence
from importlib import import_module
from itertools import zip_longest

from oido._version import __version__
from oido.cli.parser import Parser
from oido.cli.terminal import (
    EXIT_FATAL,
    EXIT_INTERRUPTED,
    EXIT_OK,
    EXIT_USAGE,
    escaped_output,
    print_message,
)
from oido.errors import ModelFetchError, OidoError, OptionError
from oido.messages import in_language, joined, supported, system_language, text_of, tr

_NAMES = (
    "classify listen serve web batch query find clips labels review count adapt report convert "
    "embed train evaluate calibrate thresholds drift export models devices cache completion doctor"
)
"""Of the commands, in the order of the help; each is a module of this package."""

_EPILOG = """\
examples:
  oido classify street.m4a                   what is heard in it, and when
  oido classify recordings/ -o events.csv    a whole folder, as a table
  oido listen                                what the microphone hears, now
  oido serve --demo                          a page that hears, and HTTP for programs
  oido batch archive/ -o results/ --embeddings   thousands of hours; --resume goes on
  oido query results/ "label = 'Dog'"        ask what was heard
  oido find results/ --like owl.wav@3-5      where else is this sound?
  oido review results/ --label Owl           is it one? yes or no, by keys
  oido embed recordings/ -o e.parquet        vectors, for search and for training
  oido train birds/ -o birds.tflite          teach it sounds of your own
  oido evaluate birds.tflite held-out/       how good is it?
  oido drift calibrated-on/ this-month/      do new recordings still fit?
  oido calibrate yamnet/classification labelled/ -o calibration.json
  oido models list                           the models, and which are here
  oido export efficientat/mn04 -o mn04.tflite   a model as one file for phones
  oido doctor                                what works on this machine

oido COMMAND --help, or oido help COMMAND, tells more about each command.
"""


def build_parser(command: str = "") -> argparse.ArgumentParser:
    """The parser of this command and its options; of every command, if it is none of them."""
    names = _NAMES.split()
    parser = Parser(
        prog="oido",
        description="Hear what is in a recording: sounds of 521 kinds, from when to when.",
        epilog=_EPILOG,
    )
    parser.add_argument("--no-color", action="store_true", help="no colours (as NO_COLOR=1)")
    parser.add_argument("--version", action="version", version=f"oido {__version__}")
    commands = parser.add_subparsers(dest="command", metavar="COMMAND", required=True)
    for name in [command] if command in names else names:  # to load all of them takes a while
        import_module(f"oido.cli.{name}").add_parser(commands)
    for added in commands.choices.values():
        added.offer_all()
        added.share_examples()
    return parser


def run(argv: Sequence[str] | None = None) -> int:
    """Run a command line and return its exit code."""
    words = list(sys.argv[1:] if argv is None else argv)
    if "--no-color" in words[: words.index("--") if "--" in words else None]:
        words.remove("--no-color")
        os.environ["NO_COLOR"] = "1"  # for workers, too
    if words[:1] in ([], ["help"]):  # by itself, or before a command
        words = [*words[1:], "--help"]
    with escaped_output(), in_language(_wanted_language(words)):
        return _run(words)


def _wanted_language(words: Sequence[str]) -> str:
    """Of messages: what --locale says of labels, else that of the system."""
    for word, after in zip_longest(words, words[1:], fillvalue=""):
        if word == "--":
            break
        option, has_value, value = word.partition("=")
        wanted = value if has_value else after
        if option == "--locale" and (supported(wanted) != "en" or wanted[:2] == "en"):
            return wanted
    return system_language()


_FULL = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EIO)
"""A disk or a share of it, a limit of files; a terminal that is closed."""


def _drop_output() -> None:
    """What waits to be written is thrown away; else Python complains at its exit."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def _run(words: Sequence[str]) -> int:
    args = argparse.Namespace()
    try:
        build_parser(words[0]).parse_args(words, args)
        code: int = args.run(args)
        sys.stdout.flush()
        return code
    except OidoError as error:
        # Its message is a list of what was tried.
        print_message(text_of(error), kept="\n" if isinstance(error, ModelFetchError) else "")
        code = EXIT_USAGE if isinstance(error, OptionError) else EXIT_FATAL
        return getattr(error, "exit_code", code)
    except KeyboardInterrupt as error:
        # What a command has done, and how to go on, comes with it once there is something to tell.
        hints = [arg if isinstance(arg, str) else str(arg) for arg in error.args]
        if not hints and getattr(args, "command", None) != "listen":  # which only this ends
            hints = [tr("give the command again")]
        print_message(joined("; ", [tr("interrupted"), *hints]))
        return EXIT_INTERRUPTED
    except BrokenPipeError:
        # The reader of our output (`head`) has enough.
        _drop_output()
        return EXIT_OK
    except Exception as error:
        _report_defect(error, is_verbose=getattr(args, "verbose", False))
        return EXIT_FATAL


def _report_defect(error: Exception, *, is_verbose: bool) -> None:
    """Of an error that no part of the command has made a sentence of."""
    if isinstance(error, OSError) and error.errno in _FULL and error.filename is None:
        # Of standard output: what is written into files names them.
        _drop_output()
        print_message(tr("the output cannot be written ({reason})", reason=error.strerror))
    elif is_verbose:
        traceback.print_exc()
    else:
        kind = type(error).__name__
        print_message(
            tr("internal error, {kind}: {error} (-v shows where)", kind=kind, error=error)
        )
