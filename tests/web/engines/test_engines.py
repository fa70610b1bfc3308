# SPDX-License-Identifier: Apache-2.0
"""The page in Firefox and in WebKit, Safari's engine: from `oido serve`, and exported."""

from __future__ import annotations

import base64
import contextlib
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import soundfile
from numpy.typing import NDArray

import oido
from oido.models.model import AudioModel
from oido.server.page_files import export_page
from oido.server.vendor import is_vendored
from tests.live.sound_server import VirtualMicrophone
from tests.web.browsing import STREET, Host, Served
from tests.web.core.site import floats
from tests.web.engines.engine import Engine, wait_for
from tests.web.engines.firefox import Firefox
from tests.web.engines.webkit import WebKit

pytestmark = pytest.mark.slow

SIREN = {"Siren", "Civil defense siren", "Ambulance (siren)", "Police car (siren)", "Alarm"}

_READY = "async () => !document.querySelector('#badge')?.hidden"
_DONE = "async () => document.body.dataset.state === 'done'"
_IS_OVER = "async () => document.querySelector('#status').innerText.startsWith('Microphone')"
_ROWS = """async () => [...document.querySelectorAll("#rows tr")].map((row) =>
  [...row.querySelectorAll("td")].slice(0, 2).map((cell) => cell.innerText.trim()))"""

_COMPLAINTS = """async () => {
  window.complaints = [];
  addEventListener("error", ({message}) => complaints.push(message));
  addEventListener("unhandledrejection", ({reason}) => complaints.push(String(reason)));
}"""

_DROP = """async ([name, content]) => {
  const bytes = Uint8Array.from(atob(content), (letter) => letter.charCodeAt(0));
  const transfer = new DataTransfer();
  transfer.items.add(new File([bytes], name, {type: "audio/wav"}));
  for (const kind of ["dragover", "drop"]) {
    const init = {dataTransfer: transfer, bubbles: true, cancelable: true};
    document.body.dispatchEvent(new DragEvent(kind, init));
  }
}"""

_HEAR = """async (samples) => {
  const { openDevice } = await import(new URL("core/device_engine.js", document.baseURI));
  const { models } = await (await fetch("web/models.json")).json();
  const bytes = Uint8Array.from(atob(samples), (letter) => letter.charCodeAt(0));
  const engine = await openDevice({ modelUrl: new URL(models[0].url, document.baseURI).href });
  const windows = await engine.hear(new Float32Array(bytes.buffer));
  const { build } = engine.info;
  engine.close();
  const scores = await new Blob(windows.map((window) => window.scores)).arrayBuffer();
  let text = "";
  for (const byte of new Uint8Array(scores)) text += String.fromCharCode(byte);
  return { build, scores: btoa(text) };
}"""


@pytest.fixture(params=[Firefox, WebKit], ids=["firefox", "webkit"])
def engine(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Engine]:
    if not is_vendored():
        pytest.skip("needs LiteRT.js: make web")
    folder = tmp_path / "browser"
    folder.mkdir()
    started: Engine = request.param(folder)
    yield started
    started.close()


@pytest.fixture(scope="module")
def expected(classifier: oido.AudioClassifier) -> list[list[str]]:
    """Python's rows of examples/street.flac."""
    return _rows_of(classifier.classify(STREET))


def _rows_of(result: oido.ClassificationResult) -> list[list[str]]:
    clock = lambda event: f"0:{event.start_time:04.1f} – 0:{event.end_time:04.1f}"  # noqa: E731
    return [[clock(event), event.label] for event in result.events()]


def _open(engine: Engine, address: str, where: str | None = None) -> None:
    engine.open(address)
    wait_for(engine, _READY)
    engine.run(_COMPLAINTS)
    if where is not None:
        engine.click("#settings-panel > summary")
        engine.click(f"label:has(input[value={where}])")
        wait_for(engine, "async (w) => document.querySelector(`input[value=${w}]`).checked", where)


def _status(engine: Engine) -> str:
    text: str = engine.run("async () => document.querySelector('#status').innerText")
    return text


def _assert_rows(engine: Engine, expected: list[list[str]]) -> None:
    """Python's, but for what an engine rounds otherwise: without relaxed SIMD a log-mel value may
    fall to the other side of one of the network's int8 steps."""
    found: list[list[str]] = engine.run(_ROWS)
    assert {what for _, what in found} & SIREN
    common = [row for row in expected if row in found]
    assert len(common) >= 0.7 * max(len(expected), len(found)), (found, expected)
    assert engine.run("async () => window.complaints") == []


def test_every_score_is_pythons(
    engine: Engine, served: Served, classifier: oido.AudioClassifier, street: NDArray[np.float32]
) -> None:
    _open(engine, served.address)
    clip = street[:160_000]
    told = engine.run(_HEAR, base64.b64encode(clip.tobytes()).decode())
    scores = floats(told["scores"], 521)
    python = classifier.classify(clip, sample_rate=16_000).scores
    if told["build"] == "litert_wasm_internal":
        assert np.array_equal(scores, python)
    else:
        differences = np.abs(scores - python).max(axis=1)
        assert np.mean(differences == 0) > 0.85
        assert differences.max() < 0.15


def test_the_server_hears_a_recording(
    engine: Engine, served: Served, expected: list[list[str]]
) -> None:
    _open(engine, served.address, "server")
    engine.give("#file", STREET)
    wait_for(engine, _DONE)
    assert engine.run(_ROWS) == expected
    assert engine.run("async () => window.complaints") == []


def test_this_device_hears_a_recording_and_keeps_it(
    engine: Engine, served: Served, expected: list[list[str]]
) -> None:
    _open(engine, served.address, "device")
    engine.give("#file", STREET)
    wait_for(engine, _DONE)
    _assert_rows(engine, expected)
    before = engine.run(_ROWS)

    stored = """async () => (await indexedDB.databases()).some(({name}) => name === "oido")"""
    wait_for(engine, stored)
    wait_for(engine, _IS_KEPT)
    engine.open(served.address)
    wait_for(engine, _DONE)
    assert engine.run(_ROWS) == before
    assert "street.flac" in _status(engine)


_IS_KEPT = """() => new Promise((resolve) => {
  const request = indexedDB.open("oido");
  request.onsuccess = () => {
    const db = request.result;
    const all = db.transaction("sessions").objectStore("sessions").count();
    all.onsuccess = () => { db.close(); resolve(all.result === 1); };
  };
})"""


@pytest.mark.parametrize("where", ["device", "server"])
def test_a_dropped_wav_is_heard(
    engine: Engine, served: Served, classifier: oido.AudioClassifier, where: str, tmp_path: Path
) -> None:
    samples, rate_hz = soundfile.read(STREET, dtype="int16")
    path = tmp_path / "siren.wav"
    soundfile.write(path, samples[: 12 * rate_hz], rate_hz)
    _open(engine, served.address, where)

    engine.run(_DROP, [path.name, base64.b64encode(path.read_bytes()).decode()])
    wait_for(engine, _DONE)

    _assert_rows(engine, _rows_of(classifier.classify(path)))
    assert "siren.wav: 0:12.0" in _status(engine)


def test_an_exported_page_hears_without_a_network(
    engine: Engine, model: AudioModel, expected: list[list[str]], tmp_path: Path
) -> None:
    export_page(tmp_path / "site", [model])
    host = Host(tmp_path / "site")
    try:
        _open(engine, host.address)
        if not engine.run("async () => 'serviceWorker' in navigator"):
            pytest.skip("this browser has no service workers here")
        wait_for(engine, "async () => (await navigator.serviceWorker.getRegistration())?.active")
    finally:
        host.stop()
    asked = -1
    while asked != len(host.asked):  # what was under way is noted, too
        asked = len(host.asked)
        time.sleep(0.5)

    _open(engine, host.address)
    engine.give("#file", STREET)
    wait_for(engine, _DONE)

    _assert_rows(engine, expected)
    assert len(host.asked) == asked


@pytest.mark.parametrize("where", ["device", "server"])
def test_firefox_hears_a_microphone(served: Served, where: str, tmp_path: Path) -> None:
    """A tone, which Firefox makes up."""
    if not is_vendored():
        pytest.skip("needs LiteRT.js: make web")
    with contextlib.ExitStack() as running:
        sockets = Path(running.enter_context(tempfile.TemporaryDirectory(prefix="oido")))
        sound = VirtualMicrophone(sockets)
        running.callback(sound.close)
        engine = Firefox(tmp_path, sound.environment)
        running.callback(engine.close)
        _open(engine, served.address, where)
        engine.click("#listen")
        wait_for(engine, "async () => document.querySelectorAll('#bars li').length > 0")
        assert engine.run("async () => document.body.dataset.state") == "live"
        engine.click("#listen")
        wait_for(engine, _DONE)
        wait_for(engine, _IS_OVER)
