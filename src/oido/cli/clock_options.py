# SPDX-License-Identifier: Apache-2.0
"""How the time of a recording is found: options that all readers of results have in common."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Mapping
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from oido.archive import Clock

__all__ = ["add_clock_options", "add_results", "clock_of", "tell_doubts"]

_DOUBTS = {
    "ambiguous": "came twice on the recorder's clock, which was set back; the first is taken",
    "impossible": "never came on a clock of that zone, which was set forward; left unknown",
    "not set": "come from a clock that was not set; left unknown",
}


def add_results(parser: argparse.ArgumentParser) -> None:
    """The results folder."""
    parser.add_argument(
        "results", metavar="RESULTS", help="a results folder of `oido batch`, path or URL"
    )


def add_clock_options(parser: argparse.ArgumentParser) -> None:
    """When a recording began."""
    group = parser.add_argument_group("when recordings began")
    group.add_argument(
        "--time-pattern",
        metavar="PATTERN",
        help="where the time stands in a name, such as %%Y%%m%%d_%%H%%M%%S, or in a path, with a "
        "slash (default: what recorders write)",
    )
    group.add_argument(
        "--time-zone",
        metavar="ZONE",
        default="UTC",
        help="of times that do not tell it, such as Europe/Madrid or +02:00 (default UTC)",
    )
    group.add_argument(
        "--time-from",
        metavar="SOURCE",
        default="auto",
        help="name, tags, auto (name, then tags; the default), or modified: when the file was last "
        "written, less its duration",
    )


def clock_of(args: argparse.Namespace) -> Clock:
    """What these options say. Raises OptionError."""
    from oido.archive import Clock

    return Clock(args.time_pattern, args.time_zone, args.time_from)


def tell_doubts(doubts: Mapping[str, int]) -> None:
    """A line for each kind of doubt about times, on standard error."""
    for doubt, count in doubts.items():
        times = "the time of 1 recording" if count == 1 else f"the times of {count} recordings"
        print(f"oido: {times} {_DOUBTS[doubt]}", file=sys.stderr)
