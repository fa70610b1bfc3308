# SPDX-License-Identifier: Apache-2.0
"""One table of options: the command line, queries and Python refuse the same values."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import pytest

from oido.cli.main import run
from oido.errors import OptionError
from oido.options import (
    OPTIONS,
    QUERY_OPTIONS,
    STREAM_OPTIONS,
    check,
    read_header_options,
    read_query,
)
from oido.params import Detection, Selection


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("threshold", "2"),
        ("threshold", "nan"),
        ("off_ratio", "-1"),
        ("min_duration", "-0.5"),
        ("merge_gap", "long"),
        ("top", "0"),
        ("top", "1.5"),
        ("hop", "often"),
        ("channel", "left"),
    ],
)
def test_the_command_line_and_a_query_refuse_with_one_sentence(
    name: str, value: str, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(OptionError) as refusal:
        read_query([(name, value)])

    flag = f"--{name.replace('_', '-')}"
    assert run(["classify", "x.wav", f"{flag}={value}"]) == 2
    assert capsys.readouterr().err == f"oido: {refusal.value}\n".replace(name, flag, 1)


@pytest.mark.parametrize("name", ["threshold", "off_ratio", "min_duration", "merge_gap"])
def test_python_checks_by_the_same_bounds(name: str) -> None:
    with pytest.raises(OptionError) as refusal:
        OPTIONS[name].read("-1")
    with pytest.raises(OptionError) as same:
        replace(Detection(), **{name: -1.0})  # type: ignore[arg-type]
    assert str(same.value) == str(refusal.value)


@pytest.mark.parametrize("value", [0, -3, 1.5])
def test_a_count_is_a_whole_number_from_1(value: int) -> None:
    with pytest.raises(OptionError, match=f"max_results must be 1 or more, not {value}"):
        Selection(max_results=value)


def test_a_stream_has_fewer_options_than_a_query_and_the_command_line_has_all() -> None:
    assert set(STREAM_OPTIONS) < set(QUERY_OPTIONS) < set(OPTIONS)
    assert read_query([])["level"] == "events"
    assert read_header_options({})["level"] == "windows"
    with pytest.raises(OptionError, match="must be one of windows, events"):
        read_header_options({"level": "clip"})
    with pytest.raises(OptionError, match="there is no option 'rollup'"):
        read_header_options({"rollup": True})


def test_defaults_are_within_their_own_bounds() -> None:
    for option in OPTIONS.values():
        if option.default not in (None, ()):
            assert option.read(option.default) == option.default


def test_bounds_are_of_numbers_whatever_type_they_have() -> None:
    check("threshold", np.float32(0.5))
    check("top", np.int64(3))
    for name, value, text in (
        ("top", "3", "must be 1 or more, not '3'"),
        ("top", 2.5, "must be 1 or more, not 2.5"),
        ("threshold", "0.3", "must be from 0 to 1, not '0.3'"),
        ("threshold", [0.3], r"must be from 0 to 1, not \[0.3\]"),
        ("min_duration", math.nan, "must be 0 s or more, not nan"),
    ):
        with pytest.raises(OptionError, match=text):
            check(name, value)
