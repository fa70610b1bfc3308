# SPDX-License-Identifier: Apache-2.0
"""``mqtt://HOST/TOPIC``: states for a broker, and discovery for Home Assistant (paho-mqtt).

Topics: TOPIC/ID is the state of one trigger, a JSON object whose "state" is "ON" or "OFF",
retained; TOPIC/status/LISTENER is "online" or "offline", retained, and set by the broker itself if
oido vanishes. For each trigger, PREFIX/binary_sensor/DEVICE/ID/config announces it to Home
Assistant; what this listener announced at another time, and serves no more, is taken back.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import platform
import re
import secrets
import ssl
import sys
import threading
import uuid
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, unquote

from oido._version import __version__
from oido.errors import MissingExtraError, OptionError
from oido.live.actions import Action, ActionError, Message, TriggerName
from oido.live.addresses import parts_of
from oido.live.source import OnMessage, ignore
from oido.live.tls import Tls, why_hung_up, why_refused, why_unreachable
from oido.messages import joined, tr

_PORTS = {"mqtt": 1883, "mqtts": 8883}
_DEFAULT_TOPIC, _DEFAULT_PREFIX = "oido", "homeassistant"
_WAITING_MESSAGES = 256
_MOST_RECONNECT_SECONDS = 60
_GOODBYE_SECONDS, _FIRST_ANSWER_SECONDS = 1.0, 3.0
_MACHINE_FILES = ("/etc/machine-id", "/var/lib/dbus/machine-id")
_MQTT_HELLO = b"\x10\x0c\x00\x04MQTT\x04\x02\x00\x0a\x00\x00"
"""The shortest CONNECT there is: its answer shows whether the broker wants a certificate."""


class Mqtt(Action):
    """Publishes to one broker; mqtts:// is with TLS.

    url: ``mqtt://[USER:PASSWORD@]HOST[:PORT][/TOPIC][?discovery=PREFIX|no][&qos=0|1|2]
    [&machine=NAME]``. While the broker is away, up to 256 changes wait for it (with qos 1, the
    default, or 2). machine: stands in every id instead of this machine's own. tls: the certificates
    of mqtts://. Raises OptionError or MissingExtraError.
    """

    wants_off = True

    def __init__(self, url: str, *, tls: Tls | None = None) -> None:
        parts = parts_of(url)
        host, port = parts.hostname, parts.port
        query = parse_qs(parts.query, keep_blank_values=True)
        if not host:
            raise OptionError(tr("mqtt:// needs a host: mqtt://localhost/oido"))
        self._host, self._port = host, port or _PORTS[parts.scheme]
        self._topic = unquote(parts.path).strip("/") or _DEFAULT_TOPIC
        self.name = f"{parts.scheme}://{host}:{self._port}/{self._topic}"
        if unknown := set(query) - {"discovery", "qos", "machine"}:
            raise OptionError(
                tr(
                    "{name}: there is no option {unknown!r}; discovery, qos, machine",
                    name=self.name,
                    unknown=min(unknown),
                )
            )
        prefix = query.get("discovery", [_DEFAULT_PREFIX])[-1].strip("/") or _DEFAULT_PREFIX
        if "#" in url or re.search(r"[+#\x00]", self._topic + prefix):
            raise OptionError(tr("{name}: a topic may not hold + or #", name=self.name))
        self._prefix = None if prefix == "no" else prefix
        qos = query.get("qos", ["1"])[-1]
        if qos not in ("0", "1", "2"):
            raise OptionError(
                tr("{name}: qos must be 0, 1 or 2, not {qos!r}", name=self.name, qos=qos)
            )
        self._qos = int(qos)
        self._machine = _as_id(query.get("machine", [""])[-1]) or machine_id()
        self._tls = (tls or Tls()) if parts.scheme == "mqtts" else None
        self._options = parts.query
        self._has_user, self._scheme = parts.username is not None, parts.scheme
        self._client = self._make_client(parts.username, parts.password)
        self._on_message: OnMessage = ignore
        self._is_away = self._is_connected = False
        self._answered = threading.Event()
        self._lock = threading.Lock()
        self._retained: dict[str, str] = {}
        self._device = self._status = ""
        self._has_twin = False
        self._n_untold = 0  # changes since the broker had all of it

    def open(self, triggers: Sequence[TriggerName], on_message: OnMessage) -> None:
        self._on_message = on_message
        # Without the machine, a second one with the same topic would take the first one's place.
        self._device = f"oido_{_as_id(self._topic)}_{self._machine}"
        self._status = self._status_topic(triggers)
        self._client.will_set(self._status, "offline", qos=1, retain=True)
        for trigger in triggers:
            self._retained[f"{self._topic}/{trigger.slug}"] = json.dumps({"state": "OFF"})
            if self._prefix is not None:
                self._retained[self._config_topic(trigger.slug)] = json.dumps(
                    discovery(self._topic, self._device, self._status, trigger), ensure_ascii=False
                )
        self._client.connect_async(self._host, self._port, keepalive=30)
        self._client.loop_start()

    def _status_topic(self, triggers: Sequence[TriggerName]) -> str:
        """Of this listener: one with the same topic that ends must not take this one's sensors
        away. The same at each start, whatever its triggers are then."""
        source = triggers[0].source if triggers else ""
        text = "\n".join((self._machine, source, self.name, self._options))
        return f"{self._topic}/status/{hashlib.sha256(text.encode()).hexdigest()[:8]}"

    def _config_topic(self, slug: str) -> str:
        return f"{self._prefix}/binary_sensor/{self._device}/{slug}/config"

    def do(self, message: Message) -> None:
        state = message.state
        payload = json.dumps({**state.record(), "state": state.state.upper()}, ensure_ascii=False)
        topic = f"{self._topic}/{state.slug}"
        with self._lock:
            self._retained[topic] = payload
            self._n_untold += not self._is_connected
        # While the broker is away, paho keeps it, and sends it when the broker is back.
        sent = self._client.publish(topic, payload, qos=self._qos, retain=True)
        if sent.rc == self._paho.MQTT_ERR_QUEUE_SIZE:
            raise ActionError(tr("too much waits for the broker"), retry=False)

    def close(self) -> None:
        """Say goodbye, if the broker is there; else say what it was not told."""
        if self._n_untold and not self._is_away:  # what lasts a moment is over before it answers
            self._answered.wait(_FIRST_ANSWER_SECONDS)
        if self._client.is_connected():
            last = self._client.publish(self._status, "offline", qos=1, retain=True)
            # If it goes away just now, the broker sets "offline" by itself.
            with contextlib.suppress(RuntimeError, ValueError):
                last.wait_for_publish(_GOODBYE_SECONDS)
        self._client.disconnect()
        self._client.loop_stop()
        if self._n_untold:
            self._on_message(
                tr(
                    "{name}: the last {n_untold} change(s) did not reach the broker",
                    name=self.name,
                    n_untold=self._n_untold,
                )
            )
            self._n_untold = 0

    def _make_client(self, user: str | None, password: str | None) -> Any:
        try:
            from paho.mqtt import client as paho
            from paho.mqtt.enums import CallbackAPIVersion
        except ImportError as error:
            raise MissingExtraError(
                tr("mqtt:// needs paho-mqtt: pip install 'oido[live]'")
            ) from error
        self._paho: Any = paho
        # One of two clients with the same id is thrown out: so it is another one for each process,
        # of 23 letters and digits at most, which every broker takes.
        client_id = f"oido{hashlib.sha256(self._machine.encode()).hexdigest()[:8]}"
        client_id += secrets.token_hex(5)
        client = paho.Client(CallbackAPIVersion.VERSION2, client_id)
        if user is not None:
            client.username_pw_set(unquote(user), unquote(password or ""))
        if self._tls is not None:
            client.tls_set_context(self._tls.context)
            client.tls_insecure_set(self._tls.is_insecure)
        client.max_queued_messages_set(_WAITING_MESSAGES)
        client.reconnect_delay_set(1, _MOST_RECONNECT_SECONDS)
        client.on_connect = self._on_connect
        client.on_connect_fail = self._on_connect_fail
        client.on_disconnect = self._on_disconnect
        client.on_message = self._on_kept
        return client

    # What follows runs in paho's thread.

    def _on_connect(self, client: Any, data: Any, flags: Any, reason: Any, properties: Any) -> None:
        if reason.is_failure:
            self._report_away(self._why_refused(str(reason)))
            return
        # All of it each time: a broker that was started anew has forgotten it.
        with self._lock:
            self._is_connected, self._n_untold = True, 0
            retained = dict(self._retained)
        self._has_twin = False
        if self._prefix is not None:  # before anything is said: see _on_kept
            client.subscribe(self._status, qos=1)
            client.subscribe(self._config_topic("+"), qos=1)
        for topic, payload in retained.items():
            client.publish(topic, payload, qos=1, retain=True)
        client.publish(self._status, "online", qos=1, retain=True)
        self._answered.set()
        if self._is_away:
            self._is_away = False
            self._on_message(tr("{name}: is back", name=self.name))

    def _on_disconnect(
        self, client: Any, data: Any, flags: Any, reason: Any, properties: Any
    ) -> None:
        was_connected, self._is_connected = self._is_connected, False
        if reason.is_failure and not self._is_away:
            self._report_away(
                tr("the connection broke off") if was_connected else self._why_no_answer()
            )

    def _on_kept(self, client: Any, data: Any, message: Any) -> None:
        """What the broker kept of before: sensors of triggers that are no more are taken back,
        unless another listener with the same status, which may serve them, is there."""
        if not message.retain or message.topic in self._retained:
            return
        if message.topic == self._status:
            self._has_twin = message.payload == b"online"
        elif not self._has_twin and _status_of(message.payload) == self._status:
            client.publish(message.topic, b"", qos=1, retain=True)

    def _on_connect_fail(self, client: Any, data: Any) -> None:
        error = sys.exc_info()[1]  # paho calls it while it handles the error, which it keeps
        reason = why_unreachable(error) if error else tr("cannot be reached")
        if _ended_handshake(error):
            reason = joined("; ", (reason, self._other_port()))
        self._report_away(reason)

    def _why_refused(self, reason: str) -> str:
        if reason not in ("Not authorized", "Bad user name or password"):
            return tr("the broker refuses: {reason}", reason=reason)
        if self._has_user:
            return tr("user or password is refused ({reason})", reason=reason)
        return tr(
            "it wants a user and a password: {scheme}://USER:PASSWORD@HOST/… ({reason})",
            scheme=self._scheme,
            reason=reason,
        )

    def _why_no_answer(self) -> str:
        """Of a connection that ended before the broker had answered at all."""
        if self._tls is not None:
            where = self._host, self._port
            if refused := why_hung_up(*where, self._tls, _GOODBYE_SECONDS, _MQTT_HELLO):
                return refused
        return joined("; ", (tr("the broker hung up at once"), self._other_port()))

    def _other_port(self) -> str:
        own, other = ("mqtts://", "mqtt://") if self._tls else ("mqtt://", "mqtts://")
        return tr("this port is perhaps for {other}, not for {own}", other=other, own=own)

    def _report_away(self, reason: str) -> None:
        self._answered.set()
        if not self._is_away:
            self._is_away = True
            self._on_message(
                tr("{name}: {reason}; oido keeps trying", name=self.name, reason=reason)
            )


def _ended_handshake(error: BaseException | None) -> bool:
    """Whether somebody answered who speaks no TLS, or hung up on it."""
    is_broken = isinstance(error, ssl.SSLError | ConnectionResetError | ConnectionAbortedError)
    return is_broken and why_refused(error) is None


def machine_id() -> str:
    """Eight hexadecimal digits, the same at each start and others on each machine.

    Of the host's name and the system's own number: containers share the one, copied memory cards
    the other. The address of the network's card is asked only where there is no such number.
    """
    number = ""
    for file in _MACHINE_FILES:
        with contextlib.suppress(OSError, UnicodeDecodeError):
            number = number or Path(file).read_text(encoding="ascii").strip()
    if not number and not (node := uuid.getnode()) >> 40 & 1:  # else it is drawn at random
        number = f"{node:x}"
    return hashlib.sha256(f"oido {platform.node()} {number}".encode()).hexdigest()[:8]


def _as_id(text: str) -> str:
    name = re.sub(r"[^a-zA-Z0-9_-]+", "_", text).strip("_")
    if not text.isascii():  # what an id may not hold must still make a difference
        name += "_" + hashlib.sha256(text.encode()).hexdigest()[:6]
    return name


def discovery(topic: str, device: str, status: str, trigger: TriggerName) -> Mapping[str, Any]:
    """The payload of Home Assistant's MQTT discovery for one trigger, a binary sensor
    (www.home-assistant.io/integrations/binary_sensor.mqtt). status: the listener's topic."""
    state = f"{topic}/{trigger.slug}"
    return {
        "name": " | ".join(trigger.names),
        "unique_id": f"{device}_{trigger.slug}",
        "device_class": "sound",
        "state_topic": state,
        "value_template": "{{ value_json.state }}",
        "payload_on": "ON",
        "payload_off": "OFF",
        "json_attributes_topic": state,
        "availability_topic": status,
        "payload_available": "online",
        "payload_not_available": "offline",
        "device": {
            "identifiers": [device],
            "name": f"oido {topic}" if topic != _DEFAULT_TOPIC else "oido",
            "manufacturer": "oido",
            "sw_version": __version__,
        },
        "origin": {"name": "oido", "sw_version": __version__},
    }


def _status_of(payload: bytes) -> Any:
    """The status topic in what `discovery` made; None in anything else."""
    try:
        return json.loads(payload).get("availability_topic")
    except (ValueError, AttributeError, RecursionError):
        return None
