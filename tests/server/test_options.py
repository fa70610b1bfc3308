# SPDX-License-Identifier: Apache-2.0
"""Options by the names of the command line, and the address that a server may have."""

from __future__ import annotations

import argparse
from typing import Any
from urllib.parse import parse_qsl

import pytest

pytest.importorskip("starlette")

from starlette.routing import Route

from oido.cli import classify, serve
from oido.errors import ModelNotFoundError, OptionError
from oido.models.registry import DEFAULT_MODEL
from oido.server.openapi import documentation_routes, openapi
from oido.server.options import OPTIONS, from_json, from_query, plan_of
from oido.server.problems import problem_of
from oido.server.settings import Limits, Settings, is_loopback


def parsed(module: Any, *words: str) -> argparse.Namespace:
    parser = argparse.ArgumentParser()
    module.add_parser(parser.add_subparsers())
    return parser.parse_args(words)


@pytest.mark.parametrize(
    ("query", "options"),
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
def test_a_query_makes_the_plan_of_the_command_line(query: str, options: str) -> None:
    asked = plan_of(from_query(parse_qsl(query)), DEFAULT_MODEL, None, calibrated=False)

    assert asked == classify.make_plan(parsed(classify, "classify", "x.wav", *options.split()))


def test_json_and_query_agree() -> None:
    header = {"hop": 0.24, "top": 3, "allow": ["Speech"], "locale": "es", "threshold": None}

    assert from_json(header) == from_query(
        parse_qsl("level=windows&hop=0.24&top=3&allow=Speech&locale=es")
    )


@pytest.mark.parametrize("value", [True, "1e999", "", [], {}, 10**400])
def test_numbers_are_numbers(value: object) -> None:
    with pytest.raises(OptionError, match="hop must be a number"):
        from_json({"hop": value})


@pytest.mark.parametrize(
    ("host", "loopback"),
    [
        ("127.0.0.1", True),
        ("127.9.9.9", True),
        ("::1", True),
        ("localhost", True),
        ("0.0.0.0", False),
        ("::", False),
        ("192.168.1.2", False),
        ("example.org", False),
        ("", False),
    ],
)
def test_an_address_that_others_reach_needs_a_token(host: str, loopback: bool) -> None:
    assert is_loopback(host) == loopback
    assert Settings(host=host, token="long enough".replace(" ", "-")).token == "long-enough"
    if not loopback:
        with pytest.raises(OptionError, match="can be reached by others: give --token"):
            Settings(host=host)


def test_the_command_refuses_a_public_address_before_anything_listens(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.delenv("OIDO_SERVE_TOKEN", raising=False)
    args = parsed(serve, "serve", "--host", "0.0.0.0", "--port", "0")

    with pytest.raises(OptionError, match="give --token"):
        args.run(args)
    monkeypatch.setenv("OIDO_SERVE_TOKEN", "short")
    with pytest.raises(OptionError, match="8 characters or more"):
        args.run(args)


@pytest.mark.parametrize("name", ["body_bytes", "streams", "timeout_seconds"])
def test_limits_are_above_zero(name: str) -> None:
    with pytest.raises(OptionError, match="must be above 0"):
        Limits(**{name: 0})


def test_a_token_is_not_shown() -> None:
    assert "very-secret" not in repr(Settings(token="very-secret"))


def test_a_port_that_is_taken_is_told() -> None:
    import socket

    from oido.server.serve import _listener

    with socket.create_server(("127.0.0.1", 0)) as other:
        port = other.getsockname()[1]
        with pytest.raises(OptionError, match="choose another --host or --port"):
            _listener("127.0.0.1", port).listen()


def test_the_document_has_every_route_and_option() -> None:
    document = openapi(Limits())
    names = {p["name"] for p in document["paths"]["/v1/classify"]["post"]["parameters"]}

    assert names == {*OPTIONS, "name"}
    assert set(document["paths"]) == {"/v1/classify", "/v1/models", "/healthz", "/metrics"}
    routes = documentation_routes(Limits())
    assert [route.path for route in routes if isinstance(route, Route)] == [
        "/openapi.json",
        "/docs",
    ]


def test_an_unknown_model_is_not_found() -> None:
    assert problem_of(ModelNotFoundError("no")).status == 404
