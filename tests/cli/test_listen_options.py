# SPDX-License-Identifier: Apache-2.0
"""The options of ``oido listen``: rules in their order, and what is no number of seconds."""

from __future__ import annotations

import argparse

import pytest

from oido.cli.listen_options import add_listen_options
from oido.errors import OptionError


def parsed(*words: str) -> argparse.Namespace:
    parser = argparse.ArgumentParser()
    add_listen_options(parser)
    return parser.parse_args(words)


def test_rules_stand_in_the_order_in_which_they_were_given() -> None:
    words = [
        "--on",
        "A>0.5",
        "--do",
        "exec:x",
        "--do",
        "save:y",
        "--on",
        "B",
        "--cool-down",
        "3",
        "--do",
        "webhook:http://z",
    ]
    args = parsed(*words)
    assert args.rules == [
        ("on", "A>0.5"),
        ("do", "exec:x"),
        ("do", "save:y"),
        ("on", "B"),
        ("do", "webhook:http://z"),
    ]
    assert args.cool_down == 3.0


def test_without_anything_it_hears_the_microphone() -> None:
    args, again = parsed(), parsed()
    assert (args.source, args.rules, args.rate, args.timeout) == ("mic", [], None, 10.0)
    defaults = (args.cool_down, args.off_after, args.pre_roll, args.post_roll, args.max_clip)
    assert defaults == (30.0, 2.0, 3.0, 1.0, 60.0)
    parsed("--on", "A")
    assert again.rules == [], "the list of one command line is not that of another"


def test_a_channel_is_the_mean_or_a_number() -> None:
    assert parsed("--channel", "mix").channel == "mix"
    assert parsed("--channel", "1").channel == 1
    for wrong, told in (("each", "must be mix or a number from 0, not 'each'"), ("left", "left")):
        with pytest.raises(OptionError, match=told):
            parsed("--channel", wrong)


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("soon", "must be a number of seconds, not 'soon'"),
        ("0", "must be above 0 and at most 3600, not 0"),
        ("-1", "must be above 0"),
        ("3601", "at most 3600"),
        ("nan", "must be above 0"),
        ("inf", "at most 3600"),
    ],
)
def test_a_timeout_that_is_none_is_told(
    text: str, told: str, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as ended:
        parsed(f"--timeout={text}")
    assert ended.value.code == 2
    assert told in capsys.readouterr().err
