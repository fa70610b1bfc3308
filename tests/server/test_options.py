# SPDX-License-Identifier: Apache-2.0
"""Options by the names of the command line, and the address that a server may have."""

from __future__ import annotations

import argparse
from typing import Any
from urllib.parse import parse_qsl

import pytest

pytest.importorskip("starlette")

from starlette.routing import Route

from oido.batch.plan import make_plan
from oido.cli import classify, options
from oido.errors import ModelNotFoundError, OptionError
from oido.models.registry import DEFAULT_MODEL
from oido.options import QUERY_OPTIONS, read_header_options, read_query
from oido.server.openapi import documentation_routes, openapi
from oido.server.problems import problem_of
from oido.server.settings import Limits


def parsed(module: Any, *words: str) -> argparse.Namespace:
    parser = argparse.ArgumentParser()
    module.add_parser(parser.add_subparsers())
    return parser.parse_args(words)


@pytest.mark.parametrize(
    ("query", "words"),
    [
        ("", ""),
        ("level=windows", "--windows"),
        ("level=windows&threshold=0.1", "--windows --threshold 0.1"),
        ("level=clip&top=9&aggregation=max", "--clip --top 9 --aggregation max"),
        ("threshold=0.4&top=3", "--threshold 0.4 --top 3"),
        ("allow=Animal/&allow=Speech&locale=es", "--allow Animal/ --allow Speech --locale es"),
        ("deny=Music&rollup=true&head=scores", "--deny Music --rollup --head scores"),
        ("hop=0.1&channel=each", "--hop 0.1 --channel each"),
        ("channel=1", "--channel 1"),
        (
            "off_ratio=0.7&min_duration=0.5&merge_gap=2",
            "--off-ratio 0.7 --min-duration 0.5 --merge-gap 2",
        ),
    ],
)
def test_a_query_makes_the_plan_of_the_command_line(query: str, words: str) -> None:
    asked = make_plan(read_query(parse_qsl(query)), model=DEFAULT_MODEL)

    assert asked == options.plan_of(parsed(classify, "classify", "x.wav", *words.split()))


def test_json_and_query_agree() -> None:
    header = {"hop": 0.24, "top": 3, "allow": ["Speech"], "locale": "es", "threshold": None}

    assert read_header_options(header) == read_query(
        parse_qsl("level=windows&hop=0.24&top=3&allow=Speech&locale=es")
    )


@pytest.mark.parametrize("value", [True, "1e999", "", [], {}, 10**400])
def test_numbers_are_numbers(value: object) -> None:
    with pytest.raises(OptionError, match="hop must be a number"):
        read_header_options({"hop": value})


def test_the_document_has_every_route_and_option() -> None:
    document = openapi(Limits())
    names = {p["name"] for p in document["paths"]["/v1/classify"]["post"]["parameters"]}

    assert names == {*QUERY_OPTIONS, "name"}
    assert set(document["paths"]) == {"/v1/classify", "/v1/models", "/healthz", "/metrics"}
    routes = documentation_routes(Limits())
    assert [route.path for route in routes if isinstance(route, Route)] == [
        "/openapi.json",
        "/docs",
    ]


def test_an_unknown_model_is_not_found() -> None:
    assert problem_of(ModelNotFoundError("no")).status == 404
