# SPDX-License-Identifier: Apache-2.0
"""``oido serve``: what it refuses, how the page is opened, and its end with the terminal."""

from __future__ import annotations

import argparse
import os
import re
import signal
import subprocess
import webbrowser
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import httpx
import pytest

from oido.cli import serve
from oido.cli.browser import open_page
from oido.cli.main import run
from oido.errors import OptionError
from tests.cli.listening import OIDO, STREET

pytest.importorskip("starlette")


class _Browser:
    def __init__(self, works: bool) -> None:
        self.works, self.opened = works, list[str]()

    def open(self, url: str) -> bool:
        self.opened.append(url)
        return self.works


class _SameThread:
    def __init__(self, target: Any, daemon: bool) -> None:
        assert daemon
        self.start = target


@pytest.mark.parametrize(
    ("address", "opened"),
    [
        ("http://127.0.0.1:8000", "http://127.0.0.1:8000/"),
        ("http://0.0.0.0:9000", "http://127.0.0.1:9000/"),
        ("http://[::]:9000", "http://[::1]:9000/"),
    ],
)
@pytest.mark.parametrize("works", [True, False])
def test_demo_opens_the_page_or_says_where_it_is(
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    address: str,
    opened: str,
    works: bool,
) -> None:
    browser = _Browser(works)
    monkeypatch.setattr("oido.cli.browser.threading.Thread", _SameThread)
    monkeypatch.setattr(webbrowser, "get", lambda: browser)

    open_page(address)

    assert browser.opened == [opened]
    said = capsys.readouterr().err
    assert said == ("" if works else f"oido: no browser could be opened; the page is at {opened}\n")


def test_demo_without_any_browser_says_where_the_page_is(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def none() -> None:
        raise webbrowser.Error("no browser")

    monkeypatch.setattr("oido.cli.browser.threading.Thread", _SameThread)
    for get in (none, lambda: webbrowser.GenericBrowser("lynx")):  # none, and one of the terminal
        monkeypatch.setattr(webbrowser, "get", get)
        open_page("http://127.0.0.1:8000")
        assert "the page is at http://127.0.0.1:8000/" in capsys.readouterr().err


def test_an_empty_token_is_no_open_server(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["serve", "--token", ""]) == 2
    assert "--token is empty" in capsys.readouterr().err


def test_demo_needs_the_page(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["serve", "--demo", "--no-page"]) == 2
    assert "give one of them" in capsys.readouterr().err


def parsed(module: Any, *words: str) -> argparse.Namespace:
    parser = argparse.ArgumentParser()
    module.add_parser(parser.add_subparsers())
    return parser.parse_args(words)


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


@pytest.mark.skipif(not hasattr(signal, "SIGHUP"), reason="needs SIGHUP")
def test_a_closed_terminal_lets_an_upload_be_answered(tmp_path: Path) -> None:
    with subprocess.Popen(
        [*OIDO, "serve", "--port", "0", "--workers", "1"],
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
        env={**os.environ, "TMPDIR": str(tmp_path)},
    ) as process:
        assert process.stderr is not None
        address = re.findall(r"http://[0-9.:]+", process.stderr.readline())[0]
        with ThreadPoolExecutor(1) as pool:
            answer = pool.submit(
                httpx.post,
                f"{address}/v1/classify?hop=0.08",
                content=STREET.read_bytes(),
                timeout=60,
            )
            while not list(tmp_path.glob("oido-serve-*/*")):
                assert not answer.done()
            os.killpg(process.pid, signal.SIGHUP)
            assert answer.result().status_code == 200
        assert process.wait(30) == 0
    assert list(tmp_path.glob("oido-serve-*")) == []


def test_an_upload_has_the_seconds_that_are_asked_for(monkeypatch: pytest.MonkeyPatch) -> None:
    asked = []
    monkeypatch.setattr("oido.server.serve.serve", lambda app, settings, on: asked.append(settings))
    for words in ((), ("--max-upload", "900")):
        args = parsed(serve, "serve", "--port", "0", "--no-page", *words)
        args.run(args)
    assert [settings.limits.upload_seconds for settings in asked] == [120.0, 900.0]
    with pytest.raises(SystemExit):
        parsed(serve, "serve", "--max-upload", "0")
