# SPDX-License-Identifier: Apache-2.0
"""The options of ``oido listen``."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from typing import Any

from oido.cli.options import add_label_options, add_model_options

__all__ = ["add_options"]


def add_options(parser: argparse.ArgumentParser) -> None:
    """Source, output, triggers, hearing. ``args.rules`` becomes [("on" | "do", text)] in order."""
    parser.add_argument(
        "source",
        metavar="SOURCE",
        nargs="?",
        default="mic",
        help="mic (the default), mic:DEVICE (a number or part of a name, see `oido devices`), - "
        "(standard input: any container, or raw samples with --rate), or an address: rtsp://, "
        "http://, https:// and more",
    )
    _add_source_options(parser.add_argument_group("the source"))
    _add_output_options(parser.add_argument_group("output"))
    _add_report_options(parser.add_argument_group("what is reported"))
    _add_trigger_options(parser.add_argument_group("triggers"))
    _add_hearing_options(parser.add_argument_group("how it is heard"))


def _add_source_options(group: argparse._ArgumentGroup) -> None:
    group.add_argument(
        "--rate", metavar="HZ", type=int, help="raw samples come on standard input, at this rate"
    )
    group.add_argument(
        "--encoding",
        choices=("s16le", "f32le"),
        help="of raw samples: 16-bit integers (default) or floats, little-endian",
    )
    group.add_argument(
        "--channels", metavar="N", type=int, help="of raw samples, interleaved (default 1)"
    )
    group.add_argument(
        "--timeout",
        metavar="SECONDS",
        type=_positive,
        default=10.0,
        help="an address from which nothing comes for so long is opened again (default 10)",
    )


def _add_output_options(group: argparse._ArgumentGroup) -> None:
    group.add_argument(
        "--jsonl", action="store_true", help="a JSON object per line, for other programs"
    )
    group.add_argument(
        "--windows", action="store_true", help="also a line per window, with its best labels"
    )
    group.add_argument(
        "--plain", action="store_true", help="lines to read, also where there is a terminal"
    )
    group.add_argument("-q", "--quiet", action="store_true", help="say nothing on standard error")
    group.add_argument("-v", "--verbose", action="store_true", help="where an internal error was")


def _add_report_options(group: argparse._ArgumentGroup) -> None:
    group.add_argument(
        "--top",
        metavar="N",
        type=int,
        help="bars of the view (default 8), or labels of a window (5)",
    )
    group.add_argument(
        "--threshold",
        metavar="SCORE",
        type=float,
        help="lowest score of an event, 0..1, or probability of a calibrated model (default: the "
        "model's own, or 0.3)",
    )
    group.add_argument(
        "--thresholds",
        metavar="FILE",
        help="thresholds per label: CSV lines label,threshold, or a JSON object",
    )
    add_label_options(group, of_allow="; triggers hear all")
    for name, default, text in (
        ("off-ratio", 0.5, "an event lasts while its score is at least R × threshold"),
        ("min-duration", 0.0, "drop shorter events"),
        ("merge-gap", 0.0, "join events of one label this close"),
    ):
        metavar = "R" if name == "off-ratio" else "SECONDS"
        help_text = f"{text} (default {default:g})"
        group.add_argument(
            f"--{name}", metavar=metavar, type=float, default=default, help=help_text
        )


def _add_trigger_options(group: argparse._ArgumentGroup) -> None:
    group.add_argument(
        "--on",
        dest="rules",
        metavar="CONDITION",
        action=_Rule,
        default=[],
        help='LABEL[|LABEL…][>SCORE][ for DURATION][ cool-down DURATION], such as "Dog|Bark>0.5 '
        'for 2s" (repeat)',
    )
    group.add_argument(
        "--do",
        dest="rules",
        metavar="ACTION",
        action=_Rule,
        help="of the --on before it (repeat): webhook:URL (JSON), exec:CMD, mqtt://HOST/TOPIC, "
        "save:FOLDER (the sound), upload:URL (the sound)",
    )
    for name, default, text in (
        ("cool-down", 30.0, "a trigger goes on again only after so long"),
        ("off-after", 2.0, "a sound is over when it was not heard for so long"),
        ("pre-roll", 3.0, "clips begin so long before the sound"),
        ("post-roll", 1.0, "clips end so long after the sound"),
        ("max-clip", 60.0, "clips end so long after the trigger at the latest"),
    ):
        help_text = f"{text} (default {default:g})"
        group.add_argument(
            f"--{name}", metavar="SECONDS", type=float, default=default, help=help_text
        )
    group.add_argument(
        "--off-events",
        action="store_true",
        help="webhooks and programs are told when a sound is over, too (a broker always is)",
    )
    group.add_argument(
        "--forget-speech",
        action="store_true",
        help="never store nor upload a clip in which speech is heard",
    )


def _add_hearing_options(group: argparse._ArgumentGroup) -> None:
    add_model_options(group)
    group.add_argument(
        "--channel",
        metavar="mix|N",
        type=_channel,
        default="mix",
        help="the mean of all channels (default), or channel N from 0",
    )
    group.add_argument(
        "--head", metavar="NAME", help="of a model with several: which one (default: the last)"
    )
    group.add_argument(
        "--calibration",
        metavar="FILE.json",
        help="what `oido calibrate` made for this model: probabilities and thresholds",
    )


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
    if text == "mix":
        return text
    if text.isdecimal():
        return int(text)
    raise argparse.ArgumentTypeError(f"must be mix or a number from 0, not {text!r}")


def _positive(text: str) -> float:
    try:
        value = float(text)
    except ValueError as error:
        raise argparse.ArgumentTypeError(f"must be a number of seconds, not {text!r}") from error
    if not 0.0 < value <= 3600.0:
        raise argparse.ArgumentTypeError(f"must be above 0 and at most 3600, not {text}")
    return value
