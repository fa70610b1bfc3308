# SPDX-License-Identifier: Apache-2.0
"""A real broker on loopback (mosquitto), which is also killed and started anew."""

from __future__ import annotations

import json
import re
import shutil
import signal
import socket
import subprocess
import threading
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from oido.errors import OptionError
from oido.live import mqtt
from oido.live.actions import Message, TriggerName
from oido.live.mqtt import Mqtt, machine_id
from oido.live.tls import Tls
from oido.live.triggers import TriggerState
from tests.live.certificates import Authority
from tests.live.servers import free_port

paho: Any = pytest.importorskip("paho.mqtt.client", reason="needs oido[live]")

ALARM = TriggerName("alarm", "Smoke detector, smoke alarm>0.6", ("Smoke detector, smoke alarm",))
ON = TriggerState(
    0,
    "alarm",
    ALARM.condition,
    "on",
    "Smoke detector, smoke alarm",
    0.9,
    None,
    1.0,
    2.0,
    "2026-05-01T12:03:05.120Z",
    "2026-05-01T12:03:06.120Z",
    "mic",
)
OFF = replace(ON, state="off")


class Broker:
    """mosquitto with one user, forgetting everything when it is killed.

    authority: whose certificate it has; wants_client: it wants one of each client, too.
    """

    def __init__(
        self, folder: Path, authority: Authority | None = None, *, wants_client: bool = False
    ) -> None:
        program = shutil.which("mosquitto") or shutil.which("mosquitto", path="/usr/sbin")
        if program is None:
            pytest.skip("needs a real MQTT broker: Debian's package mosquitto")
        self.port = free_port()
        users = folder / "users"
        users.write_text("ear:se/cret\n")
        users.chmod(0o600)
        subprocess.run(["mosquitto_passwd", "-U", str(users)], check=True, capture_output=True)
        conf = folder / "broker.conf"
        conf.write_text(
            f"listener {self.port} 127.0.0.1\nallow_anonymous false\npassword_file {users}\n"
            "persistence false\nuser root\n"
            + ("" if authority is None else _certificates(authority, wants_client))
        )
        self._command = [program, "-c", str(conf)]
        self.url = f"mqtt{'s' if authority else ''}://ear:se%2Fcret@127.0.0.1:{self.port}"
        self._process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        self._process = subprocess.Popen(self._command, stderr=subprocess.DEVNULL)
        limit = time.monotonic() + 20
        while True:
            try:
                socket.create_connection(("127.0.0.1", self.port), 1).close()
            except OSError:
                assert time.monotonic() < limit, "the broker did not start"
                time.sleep(0.02)
            else:
                return

    def pause(self) -> None:
        """Connections are taken, and nothing is answered."""
        assert self._process is not None
        self._process.send_signal(signal.SIGSTOP)

    def go_on(self) -> None:
        assert self._process is not None
        self._process.send_signal(signal.SIGCONT)

    def kill(self) -> None:
        if self._process is not None:
            self._process.send_signal(signal.SIGKILL)
            self._process.wait()
            self._process = None


def _certificates(authority: Authority, wants_client: bool) -> str:
    lines = [("cafile", "ca.pem"), ("certfile", "server.pem"), ("keyfile", "server.key")]
    text = "".join(f"{name} {authority.path(file)}\n" for name, file in lines)
    return f"{text}require_certificate {str(wants_client).lower()}\n"


class Home:
    """What a home automation would see: every message, and the last of each topic."""

    def __init__(self, broker: Broker) -> None:
        self.messages: list[tuple[str, str, bool]] = []
        self.last: dict[str, str] = {}
        self._came = threading.Condition()
        self._client = paho.Client(paho.CallbackAPIVersion.VERSION2)
        self._client.username_pw_set("ear", "se/cret")
        self._client.on_connect = lambda client, *_: client.subscribe("#", qos=1)
        self._client.on_message = self._on_message
        self._client.reconnect_delay_set(1, 1)
        self._client.connect("127.0.0.1", broker.port)
        self._client.loop_start()

    def _on_message(self, client: Any, data: Any, message: Any) -> None:
        with self._came:
            self.messages.append((message.topic, message.payload.decode(), message.retain))
            self.last[message.topic] = message.payload.decode()
            self._came.notify_all()

    def wait_for(self, topic: str, text: str, timeout: float = 20.0) -> str:
        with self._came:
            came = self._came.wait_for(lambda: text in self.last.get(topic, ""), timeout)
            assert came, f"{topic} never was {text}: {self.messages}"
            return self.last[topic]

    def close(self) -> None:
        self._client.disconnect()
        self._client.loop_stop()


@pytest.fixture
def broker(tmp_path: Path) -> Iterator[Broker]:
    broker = Broker(tmp_path)
    broker.start()
    yield broker
    broker.kill()


def status_of(action: Mqtt) -> str:
    """Where this listener says that it is there."""
    return action._status


def test_states_discovery_and_goodbye(broker: Broker) -> None:
    home, said = Home(broker), list[str]()
    action = Mqtt(f"{broker.url}/flat/kitchen")
    action.open([ALARM], said.append)
    home.wait_for(status_of(action), "online")
    home.wait_for("flat/kitchen/alarm", '"OFF"')
    device = f"oido_flat_kitchen_{machine_id()}"
    text = home.wait_for(f"homeassistant/binary_sensor/{device}/alarm/config", "{")
    config = json.loads(text)
    action.do(Message(ON))
    state = json.loads(home.wait_for(config["state_topic"], '"ON"'))
    action.do(Message(OFF))
    home.wait_for("flat/kitchen/alarm", '"OFF"')
    action.close()
    home.wait_for(status_of(action), "offline")
    home.close()

    # What Home Assistant's documentation asks of a binary sensor.
    assert config["payload_on"] == state["state"] == "ON"
    assert config["payload_off"] == "OFF"
    assert config["value_template"] == "{{ value_json.state }}"
    assert re.fullmatch("flat/kitchen/status/[0-9a-f]{8}", config["availability_topic"])
    assert config["availability_topic"] == status_of(action)
    assert config["json_attributes_topic"] == config["state_topic"]
    assert config["name"] == "Smoke detector, smoke alarm"
    assert config["unique_id"] == f"{device}_alarm"
    assert config["device"]["identifiers"] == [device]
    assert state["label"] == ON.label
    assert state["score"] == 0.9
    assert said == []

    # All are retained: who comes later gets the last of each.
    late = Home(broker)
    late.wait_for(status_of(action), "offline")
    late.wait_for("flat/kitchen/alarm", '"OFF"')
    assert all(retained for _, _, retained in late.messages)
    late.close()


def listener(broker: Broker, source: str, *slugs: str, url: str = "/home") -> Mqtt:
    """One that is connected; its triggers are called so."""
    action = Mqtt(broker.url + url)
    action.open([ALARM._replace(slug=slug, source=source) for slug in slugs], print)
    return action


def sensors_of(home: Home) -> dict[str, str]:
    """What Home Assistant knows: sensors, and each one's status."""
    found = {}
    for topic, text in dict(home.last).items():
        if topic.endswith("/config") and text:
            found[topic.split("/")[-2]] = home.last[json.loads(text)["availability_topic"]]
    return found


def test_a_listener_that_ends_leaves_the_sensors_of_another(broker: Broker) -> None:
    home = Home(broker)
    mic, camera = listener(broker, "mic", "dog"), listener(broker, "rtsp://camera", "cat")
    for action in (mic, camera):
        home.wait_for(status_of(action), "online")
    assert sensors_of(home) == {"dog": "online", "cat": "online"}
    mic.close()
    home.wait_for(status_of(mic), "offline")
    assert sensors_of(home) == {"dog": "offline", "cat": "online"}
    camera._client.socket().shutdown(socket.SHUT_RDWR)  # it vanishes
    camera._client.loop_stop()
    home.wait_for(status_of(camera), "offline")
    home.close()


def test_sensors_of_triggers_that_are_no_more_are_taken_back(broker: Broker) -> None:
    home = Home(broker)
    other = listener(broker, "rtsp://camera", "cat")
    before = listener(broker, "mic", "dog", "bell")
    home.wait_for(status_of(before), "online")
    before.close()
    home.wait_for(status_of(before), "offline")
    assert set(sensors_of(home)) == {"cat", "dog", "bell"}
    after = listener(broker, "mic", "glass", "bell")
    assert status_of(after) == status_of(before)
    where = after._config_topic("dog")
    with home._came:
        assert home._came.wait_for(lambda: home.last[where] == "", 20)
    home.wait_for(status_of(after), "online")
    assert sensors_of(home) == dict.fromkeys(("cat", "glass", "bell"), "online")
    # A second one of the same source does not take the first one's sensors away.
    twin = listener(broker, "mic", "siren")
    home.wait_for(twin._config_topic("siren"), "{")
    twin.close()
    home.wait_for(status_of(twin), "offline")
    assert set(sensors_of(home)) == {"cat", "glass", "bell", "siren"}
    for each in (other, after):
        each.close()
    home.close()


def test_a_broker_that_is_started_anew_learns_all_again(broker: Broker) -> None:
    said: list[str] = []
    action = Mqtt(f"{broker.url}/oido")
    action.open([ALARM], said.append)
    home = Home(broker)
    home.wait_for(status_of(action), "online")
    broker.kill()
    limit = time.monotonic() + 20
    while not said:
        assert time.monotonic() < limit
        time.sleep(0.02)
    action.do(Message(ON))  # nobody is there, and hearing does not wait
    broker.start()
    home.wait_for("oido/alarm", '"ON"')
    home.wait_for(status_of(action), "online")
    later = Home(broker)  # what a home automation that starts now gets
    later.wait_for(f"homeassistant/binary_sensor/oido_oido_{machine_id()}/alarm/config", "{")
    later.wait_for("oido/alarm", '"ON"')
    action.close()
    home.close()
    later.close()
    assert "oido keeps trying" in said[0]
    assert said[1:] == [f"mqtt://127.0.0.1:{broker.port}/oido: is back"]


def test_what_is_over_before_the_broker_answers_reaches_it(broker: Broker) -> None:
    """As a short recording, rehearsed with its actions done."""
    said: list[str] = []
    action = Mqtt(f"{broker.url}/short")
    broker.pause()
    action.open([ALARM], said.append)
    action.do(Message(ON))
    action.do(Message(OFF))
    threading.Timer(0.5, broker.go_on).start()
    action.close()
    home = Home(broker)
    assert json.loads(home.wait_for("short/alarm", '"trigger"'))["state"] == "OFF"
    home.wait_for(status_of(action), "offline")
    home.close()
    assert said == []


def test_what_never_reached_the_broker_is_counted(
    broker: Broker, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(mqtt, "_FIRST_ANSWER_SECONDS", 0.1)
    said: list[str] = []
    action = Mqtt(f"{broker.url}/lost")
    broker.pause()
    action.open([ALARM], said.append)
    action.close()
    assert said == []  # there was nothing to tell
    action = Mqtt(f"{broker.url}/lost")
    action.open([ALARM], said.append)
    action.do(Message(ON))
    action.do(Message(OFF))
    action.close()
    assert said == [f"{action.name}: the last 2 change(s) did not reach the broker"]


def test_if_oido_vanishes_the_broker_says_so(broker: Broker) -> None:
    action = Mqtt(f"{broker.url}/ear")
    action.open([ALARM], print)
    home = Home(broker)
    home.wait_for(status_of(action), "online")
    action._client.socket().shutdown(socket.SHUT_RDWR)
    action._client.loop_stop()
    home.wait_for(status_of(action), "offline")
    home.close()


def test_a_wrong_password_is_told_once(broker: Broker) -> None:
    said: list[str] = []
    action = Mqtt(broker.url.replace("se%2Fcret", "wrong"))
    action.open([ALARM], said.append)
    limit = time.monotonic() + 20
    while not said:
        assert time.monotonic() < limit
        time.sleep(0.02)
    time.sleep(1.5)  # it tries again meanwhile
    action.close()
    assert len(said) == 1
    assert "Not authorized" in said[0]
    assert "wrong" not in said[0]


def test_discovery_can_be_left_out_and_the_prefix_chosen(broker: Broker) -> None:
    home = Home(broker)
    plain, named = (
        Mqtt(f"{broker.url}/plain?discovery=no"),
        Mqtt(f"{broker.url}/named?discovery=ha&qos=0&machine=attic 2"),
    )
    plain.open([ALARM], print)
    named.open([ALARM], print)
    home.wait_for(status_of(plain), "online")
    home.wait_for(status_of(named), "online")
    home.wait_for("ha/binary_sensor/oido_named_attic_2/alarm/config", "named/alarm")
    plain.close()
    named.close()
    home.close()
    assert [t for t in home.last if t.endswith("/config")] == [
        "ha/binary_sensor/oido_named_attic_2/alarm/config"
    ]


def messages_of(url: str, tls: Tls | None = None) -> list[str]:
    """The first thing that is said of this broker."""
    said: list[str] = []
    action = Mqtt(url, tls=tls)
    action.open([ALARM], said.append)
    limit = time.monotonic() + 30
    while not said:
        assert time.monotonic() < limit
        time.sleep(0.02)
    action.close()
    assert "secret" not in said[0]
    return said


def test_certificate_password_and_dead_host_are_three_sentences(
    tmp_path: Path, authority: Authority
) -> None:
    broker = Broker(tmp_path, authority)
    broker.start()
    trusted = Tls(authority.path("ca.pem"))
    (refused,) = messages_of(broker.url)
    assert "its certificate is refused" in refused
    assert "--tls-ca FILE" in refused
    (wrong,) = messages_of(broker.url.replace("se%2Fcret", "secret"), trusted)
    assert "user or password is refused (Not authorized)" in wrong
    (nobody,) = messages_of(broker.url.replace("ear:se%2Fcret@", ""), trusted)
    assert "wants a user and a password: mqtts://USER:PASSWORD@HOST" in nobody
    (dead,) = messages_of(f"mqtts://127.0.0.1:{free_port()}", trusted)
    assert "cannot be reached (Connection refused)" in dead
    (nowhere,) = messages_of("mqtts://nowhere.invalid", trusted)
    assert "cannot be reached (no host of this name is known)" in nowhere
    said: list[str] = []
    for tls in (trusted, Tls(authority.path("server.pem")), Tls(is_insecure=True)):
        action = Mqtt(f"{broker.url}/safe", tls=tls)
        action.open([ALARM], said.append)
        limit = time.monotonic() + 20
        while not action._client.is_connected():
            assert time.monotonic() < limit
            time.sleep(0.02)
        action.close()
    assert said == []
    broker.kill()


def test_the_other_kind_of_port_is_named(tmp_path: Path, authority: Authority) -> None:
    for folder, its in (("plain", None), ("tls", authority)):
        (tmp_path / folder).mkdir()
        broker = Broker(tmp_path / folder, its)
        broker.start()
        own, other = ("mqtt", "mqtts") if its else ("mqtts", "mqtt")
        (said,) = messages_of(f"{own}://127.0.0.1:{broker.port}")
        assert f"this port is perhaps for {other}://, not for {own}://; oido keeps" in said
        broker.kill()
    with socket.create_server(("127.0.0.1", 0)) as server:  # one that answers, but no TLS

        def answer() -> None:
            with server.accept()[0] as client:
                client.recv(99)
                client.sendall(b"HTTP/1.0 400 Bad Request\r\n\r\n")

        threading.Thread(target=answer, daemon=True).start()
        (said,) = messages_of(f"mqtts://127.0.0.1:{server.getsockname()[1]}")
    assert "does not answer as a TLS server does" in said
    assert "perhaps for mqtt://, not for mqtts://" in said


def test_a_broker_that_wants_a_certificate_of_the_clients(
    tmp_path: Path, authority: Authority
) -> None:
    broker = Broker(tmp_path, authority, wants_client=True)
    broker.start()
    ca, pem, key = (authority.path(n) for n in ("ca.pem", "client.pem", "client.key"))
    (refused,) = messages_of(broker.url, Tls(ca))
    assert "wants one; --tls-cert FILE" in refused
    said: list[str] = []
    action = Mqtt(broker.url, tls=Tls(ca, pem, key))
    action.open([ALARM], said.append)
    limit = time.monotonic() + 20
    while not action._client.is_connected():
        assert time.monotonic() < limit
        time.sleep(0.02)
    action.close()
    assert said == []
    broker.kill()


def test_ids_differ_by_machine_and_by_process(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    here = machine_id()
    assert here == machine_id()
    monkeypatch.setattr(mqtt.platform, "node", lambda: "another-host")
    by_name = machine_id()
    number = tmp_path / "machine-id"
    number.write_text("0123456789abcdef\n")
    monkeypatch.setattr(mqtt, "_MACHINE_FILES", (str(number),))
    by_number = machine_id()
    number.write_text("")
    monkeypatch.setattr(mqtt.uuid, "getnode", lambda: 0x0200_5E00_5301)
    by_card = machine_id()
    monkeypatch.setattr(mqtt.uuid, "getnode", lambda: 0x0300_5E00_5301)  # drawn at random
    without = machine_id()
    monkeypatch.setattr(mqtt.uuid, "getnode", lambda: 0x0500_5E00_5301)
    assert without == machine_id()
    assert len({here, by_name, by_number, by_card, without}) == 5
    clients = {Mqtt("mqtt://localhost")._client._client_id.decode() for _ in range(20)}
    assert len(clients) == 20
    for client in clients:  # what every broker must take (MQTT 3.1.1, 3.1.3.1)
        assert client.isalnum()
        assert len(client) <= 23


@pytest.mark.parametrize("kept", [b"", b"\xff", b"[1]", b"{", b"[" * 100_000, b'{"name": "x"}'])
def test_what_another_program_keeps_there_is_none_of_ours(kept: bytes) -> None:
    assert mqtt._status_of(kept) is None
    assert mqtt._status_of(b'{"availability_topic": "oido/status/1"}') == "oido/status/1"


def test_topics_that_an_id_cannot_hold_are_different_devices() -> None:
    devices = {mqtt._as_id(topic) for topic in ("厨房", "客厅", "küche", "k_che", "kiche")}
    assert len(devices) == 5


@pytest.mark.parametrize(
    ("url", "told"),
    [
        ("mqtt:///topic", "needs a host"),
        ("mqtt://host/a/#", "may not hold"),
        ("mqtt://host/a/%23", "may not hold"),
        ("mqtt://host/a?discovery=home%2B", "may not hold"),
        ("mqtt://host/a?retain", "no option 'retain'; discovery, qos, machine"),
        ("mqtt://host/a?qos=3", "qos must be"),
        ("mqtt://host/a?retain=1", "no option 'retain'; discovery, qos, machine"),
        ("mqtt://host:port/a", "no address that can be read"),
    ],
)
def test_what_is_no_broker(url: str, told: str) -> None:
    with pytest.raises(OptionError, match=told):
        Mqtt(url)
