# SPDX-License-Identifier: Apache-2.0
"""The options of ``oido listen``."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from typing import Any

from oido.cli.options import Arguments
from oido.errors import OptionError
from oido.options import OPTIONS

__all__ = ["add_listen_options"]


def add_listen_options(add: Arguments) -> None:
    """All of them. ``args.rules`` becomes [("on" | "do", text)] in order."""
    add(
        "source SOURCE",
        "mic (the default), mic:DEVICE (a number or part of a name, see `oido devices`), - "
        "(standard input: any container, or raw samples with --rate), or an address: rtsp://, "
        "http://, https:// and more",
        nargs="?",
        default="mic",
    )
    _add_source_options(add.group("the source"))
    add_output = add.group("output")
    add_output("--jsonl", "a JSON object per line, for other programs")
    add_output("--windows", "also a line per window, with its best labels")
    add_output("--plain", "lines to read, also where there is a terminal")
    add_output.quiet("say nothing on standard error")
    add_output("-v, --verbose", "where an internal error was")
    reported = add.group("what is reported")
    reported.options("top", help="bars of the view (default 8), or labels of a window (5)")
    reported.options(
        "threshold",
        help="lowest score of an event, 0..1, or probability of a calibrated model (default: the "
        "model's own, or 0.3)",
    )
    reported.options(
        "thresholds",
        help="thresholds per label: CSV lines label,threshold, or a JSON object",
    )
    reported.labels(of_allow="; triggers hear all")
    reported.detection()
    _add_trigger_options(add.group("triggers"))
    prediction = add.group("how it is heard")
    prediction.options("model", "precision", "hop")
    prediction.options(
        "channel",
        metavar="mix|N",
        type=_channel,
        help="the mean of all channels (default), or channel N from 0",
    )
    prediction.options("head", "calibration")


def _add_source_options(add: Arguments) -> None:
    add("--rate HZ", "raw samples come on standard input, at this rate", type=int)
    add(
        "--encoding",
        "of raw samples: 16-bit integers (default) or floats, little-endian",
        choices=("s16le", "f32le"),
    )
    add("--channels N", "of raw samples, interleaved (default 1)", type=int)
    add(
        "--timeout SECONDS",
        "an address from which nothing comes for so long is opened again (default 10)",
        type=_positive,
        default=10.0,
    )


def _add_trigger_options(add: Arguments) -> None:
    add(
        "--on CONDITION",
        'LABEL[|LABEL…][>SCORE][ for DURATION][ cool-down DURATION], such as "Dog|Bark>0.5 '
        'for 2s" (repeat)',
        dest="rules",
        action=_Rule,
        default=[],
    )
    add(
        "--do ACTION",
        "of the --on before it (repeat): webhook:URL (JSON), exec:CMD, mqtt://HOST/TOPIC, "
        "save:FOLDER (the sound), upload:URL (the sound)",
        dest="rules",
        action=_Rule,
    )
    for name, default, text in (
        ("cool-down", 30.0, "a trigger goes on again only after so long"),
        ("off-after", 2.0, "a sound is over when it was not heard for so long"),
        ("pre-roll", 3.0, "clips begin so long before the sound"),
        ("post-roll", 1.0, "clips end so long after the sound"),
        ("max-clip", 60.0, "clips end so long after the trigger at the latest"),
    ):
        add(f"--{name} SECONDS", f"{text} (default {default:g})", type=float, default=default)
    add(
        "--off-events",
        "webhooks and programs are told when a sound is over, too (a broker always is)",
    )
    add("--forget-speech", "never store nor upload a clip in which speech is heard")


class _Rule(argparse.Action):
    """Keeps --on and --do in one list, because their order means something."""

    def __call__(
        self,
        parser: argparse.ArgumentParser,
        namespace: argparse.Namespace,
        values: str | Sequence[Any] | None,
        option_string: str | None = None,
    ) -> None:
        rules = list(getattr(namespace, self.dest) or [])
        rules.append(((option_string or "").strip("-")[:2], values))
        setattr(namespace, self.dest, rules)


def _channel(text: str) -> str | int:
    if text == "each":
        raise OptionError("--channel must be mix or a number from 0, not 'each'")
    channel: str | int = OPTIONS["channel"].read(text, "--channel")
    return channel


def _positive(text: str) -> float:
    try:
        value = float(text)
    except ValueError as error:
        raise argparse.ArgumentTypeError(f"must be a number of seconds, not {text!r}") from error
    if not 0.0 < value <= 3600.0:
        raise argparse.ArgumentTypeError(f"must be above 0 and at most 3600, not {text}")
    return value
