# SPDX-License-Identifier: Apache-2.0
"""The add-on: its files by a schema, its options as flags of `oido listen`, and its ingress."""

from __future__ import annotations

import importlib.util
import json
import re
import shutil
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

import oido
from oido.cli.main import build_parser, run
from tests.docs.options import options_of

yaml = pytest.importorskip("yaml", reason="needs PyYAML")
jsonschema = pytest.importorskip("jsonschema")

ROOT = Path(__file__).parents[2]
ADDON = ROOT / "deploy" / "home-assistant" / "oido"
SCHEMA = json.loads(Path(__file__).with_name("addon.schema.json").read_text(encoding="utf-8"))


@pytest.fixture(scope="module")
def config() -> dict[str, Any]:
    return yaml.safe_load((ADDON / "config.yaml").read_text(encoding="utf-8"))


@pytest.fixture(scope="module")
def program() -> ModuleType:
    spec = importlib.util.spec_from_file_location("oido_addon_run", ADDON / "run.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_the_configuration_is_one(config: dict[str, Any]) -> None:
    jsonschema.validate(config, SCHEMA)
    assert config["version"] == oido.__version__
    assert sorted(config["arch"]) == ["aarch64", "amd64"]


@pytest.mark.parametrize(
    "change",
    [
        {"arch": ["x86"]},
        {"schema": {"source": "text"}},
        {"services": ["mqtt:maybe"]},
        {"ingres": True},
        {"watchdog": "http://localhost"},
    ],
)
def test_the_schema_refuses_what_is_wrong(config: dict[str, Any], change: dict[str, Any]) -> None:
    with pytest.raises(jsonschema.ValidationError):
        jsonschema.validate({**config, **change}, SCHEMA)


def test_the_repository_has_a_name() -> None:
    text = (ADDON.parent / "repository.yaml").read_text(encoding="utf-8")
    assert set(yaml.safe_load(text)) <= {"name", "url", "maintainer"}


@pytest.mark.parametrize("language", ["en", "es"])
def test_every_option_is_explained_in_both_languages(language: str, config: dict[str, Any]) -> None:
    text = (ADDON / "translations" / f"{language}.yaml").read_text(encoding="utf-8")
    entries = yaml.safe_load(text)["configuration"]
    assert set(entries) == set(config["schema"])
    assert all(set(entry) == {"name", "description"} for entry in entries.values())
    assert all(entry["name"] and entry["description"] for entry in entries.values())


def test_every_option_is_a_flag_of_listen(config: dict[str, Any]) -> None:
    flags = options_of(build_parser())
    for name in set(config["schema"]) - {"source", "triggers"}:
        assert "--" + name.replace("_", "-") in flags
    assert set(config["options"]) <= set(config["schema"])


def parsed(program: ModuleType, options: dict[str, Any], broker: str | None = None) -> Any:
    words = program.listen_arguments(options, broker)
    return build_parser().parse_args(["listen", *words])


def test_the_default_options_listen(program: ModuleType, config: dict[str, Any]) -> None:
    args = parsed(program, config["options"], "mqtt://user:p%40ss@core-mosquitto:1883/oido")
    assert args.source == "mic"
    assert args.jsonl
    assert args.forget_speech
    assert args.rules == [
        ("on", "Smoke detector, smoke alarm>0.6 for 2s"),
        ("do", "mqtt://user:p%40ss@core-mosquitto:1883/oido"),
        ("on", "Glass>0.5"),
        ("do", "mqtt://user:p%40ss@core-mosquitto:1883/oido"),
        ("do", "save:/media/oido"),
    ]


def test_options_become_flags(program: ModuleType, config: dict[str, Any]) -> None:
    examples = {"bool": True, "float": 0.5, "list": "es", "str": "mix"}
    options: dict[str, Any] = {"source": "-5", "triggers": []}
    for name, kind in config["schema"].items():
        if isinstance(kind, str) and name != "source":
            options[name] = examples[re.split(r"[(?]", kind)[0]]
    options |= {"labels": "all", "allow": ["Dog", "--odd"], "off_events": False}
    args = parsed(program, options)
    assert (args.source, args.allow, args.locale) == ("-5", ["Dog", "--odd"], "es")
    assert (args.threshold, args.labels, args.off_events) == (0.5, "all", False)
    assert (args.cool_down, args.timeout, args.tls_insecure) == (0.5, 0.5, True)


def test_zero_is_a_value_and_no_is_none(program: ModuleType) -> None:
    zeros = dict.fromkeys(("cool_down", "off_after", "pre_roll", "post_roll", "threshold"), 0.0)
    args = parsed(program, {**zeros, "max_clip": 0, "tls_insecure": False, "allow": []})
    assert (args.cool_down, args.off_after, args.threshold) == (0, 0, 0)
    assert (args.pre_roll, args.post_roll, args.max_clip) == (0, 0, 0)
    assert (args.tls_insecure, args.allow) == (False, parsed(program, {}).allow)


def test_what_is_rehearsed_is_what_the_options_say(
    program: ModuleType, config: dict[str, Any], tmp_path: Path, capfd: Any
) -> None:
    street = ROOT / "examples" / "street.flac"
    triggers = [{"condition": "Siren>0.6", "actions": ["mqtt", f"save:{tmp_path}"]}]
    options = {**config["options"], "source": str(street), "triggers": triggers}
    words = program.listen_arguments(options, "mqtt://core-mosquitto:1883/oido?machine=x")
    assert run(["listen", "--replay", *words]) == 0
    out, errors = capfd.readouterr()
    assert '"state": "on"' in out
    assert "mqtt://core-mosquitto:1883/oido: would get on for 'Siren>0.6'" in errors


def test_the_broker_of_the_supervisor(program: ModuleType) -> None:
    service = {"host": "core-mosquitto", "port": 1883, "ssl": False, "username": "addons"}
    address = program.broker_address({**service, "password": "a:b@c/d"})
    assert address == (
        "mqtt://addons:a%3Ab%40c%2Fd@core-mosquitto:1883/oido?machine=home-assistant"
    )
    assert program.broker_address({"host": "h", "port": 8883, "ssl": True}).startswith("mqtts://h:")
    with pytest.raises(SystemExit, match="Mosquitto"):
        program.listen_arguments({"triggers": [{"condition": "Dog", "actions": ["mqtt"]}]}, None)


class Ingress:
    """The add-on's nginx before `oido serve`, on free ports."""

    def __init__(self, folder: Path, *, allows_tests: bool) -> None:
        nginx = shutil.which("nginx") or shutil.which("nginx", path="/usr/sbin")
        if nginx is None:
            pytest.skip("needs Debian's nginx-light")
        self.port, server_port = _free_port(), _free_port()
        text = (ADDON / "nginx.conf").read_text(encoding="utf-8")
        text = text.replace("user oido;\n", "").replace("/tmp/", f"{folder}/")
        text = text.replace("127.0.0.1:8000", f"127.0.0.1:{server_port}")
        text = text.replace("listen 8099;", f"listen 127.0.0.1:{self.port};")
        if not allows_tests:
            text = text.replace("allow 127.0.0.1;", "")
        path = folder / "nginx.conf"
        path.write_text(text, encoding="utf-8")
        serve = [sys.executable, "-m", "oido", "serve", "--port", str(server_port)]
        self.processes = [
            subprocess.Popen(serve, stderr=subprocess.DEVNULL),
            subprocess.Popen([nginx, "-c", str(path)], stderr=subprocess.DEVNULL),
        ]

    def close(self) -> None:
        for process in self.processes:
            process.terminate()
        for process in self.processes:
            process.wait(60)

    def ask(self, path: str, body: bytes | None = None) -> tuple[int, bytes]:
        """As Home Assistant's ingress asks: by another name, from a page of another origin."""
        headers = {"Host": "homeassistant.local:8123", "Origin": "https://homeassistant.local:8123"}
        url = f"http://127.0.0.1:{self.port}{path}"
        try:
            with urllib.request.urlopen(urllib.request.Request(url, body, headers)) as answer:
                return answer.status, answer.read()
        except urllib.error.HTTPError as error:
            return error.code, b""


def _free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as free:
        port: int = free.getsockname()[1]
        return port


@pytest.fixture(params=[True, False], ids=["Home Assistant", "a stranger"])
def ingress(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[tuple[bool, Ingress]]:
    it = Ingress(tmp_path, allows_tests=request.param)
    try:
        limit = time.monotonic() + 120
        while True:
            assert all(process.poll() is None for process in it.processes)
            try:
                if it.ask("/healthz")[0] in (200, 403):
                    break
            except OSError:
                pass
            assert time.monotonic() < limit
            time.sleep(0.2)
        yield bool(request.param), it
    finally:
        it.close()


@pytest.mark.slow
def test_the_ingress_is_for_home_assistant_alone(ingress: tuple[bool, Ingress]) -> None:
    pytest.importorskip("starlette", reason="needs oido[server]")
    is_allowed, it = ingress
    street = (ROOT / "examples" / "street.flac").read_bytes()
    status, page = it.ask("/")
    assert status == (200 if is_allowed else 403)
    if not is_allowed:
        assert it.ask("/v1/classify?level=clip&top=3", street)[0] == 403
        return
    # Behind the ingress the page lies in a folder: nothing of it may be asked for from the root.
    assert not re.search(rb"(?:href|src)=\"/", page)
    status, answer = it.ask("/v1/classify?level=clip&top=50", street)
    assert status == 200
    assert b"Siren" in answer
    from websockets.sync.client import connect

    with connect(f"ws://127.0.0.1:{it.port}/v1/stream", origin="https://ha.local") as stream:  # type: ignore[arg-type]
        stream.send(json.dumps({"version": 1, "sample_rate": 16_000}))
        assert json.loads(stream.recv())["type"] == "ready"
