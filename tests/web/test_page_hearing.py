# SPDX-License-Identifier: Apache-2.0
"""What the page hears, in both places, and what it makes of it."""

from __future__ import annotations

import base64
import os
from pathlib import Path
from typing import Any

import pytest
import soundfile

import oido
from oido.cli.main import run
from tests.web.browsing import PHONE, STREET, Pages, hear_street, notice_of, rows_of

SIREN = {"Siren", "Civil defense siren", "Ambulance (siren)", "Police car (siren)", "Alarm"}


THRESHOLDS = (0.6, 0.2, 0.05)


@pytest.fixture(scope="module")
def street_events(classifier: oido.AudioClassifier) -> dict[float, list[tuple[str, str]]]:
    """What the page's table must have in both places, by threshold: what Python has."""
    result = classifier.classify(STREET)
    return {
        threshold: [(_clocks(e), e.label) for e in result.events(threshold=threshold)]
        for threshold in THRESHOLDS
    }


def _clocks(event: Any) -> str:
    return " – ".join(f"0:{seconds:04.1f}" for seconds in (event.start_time, event.end_time))


def _move(page: Any, threshold: float) -> None:
    page.eval_on_selector(
        "#threshold",
        "(slider, value) => { slider.value = value; slider.dispatchEvent(new Event('input')); }",
        threshold,
    )


def test_a_dropped_recording_has_the_events_of_python(
    pages: Pages, street_events: dict[float, list[tuple[str, str]]]
) -> None:
    page = pages.open("server")

    page.evaluate(
        """content => {
          const bytes = Uint8Array.from(atob(content), c => c.charCodeAt(0));
          const transfer = new DataTransfer();
          transfer.items.add(new File([bytes], "street.flac", {type: "audio/flac"}));
          for (const kind of ["dragover", "drop"]) {
            const init = {dataTransfer: transfer, bubbles: true, cancelable: true};
            document.body.dispatchEvent(new DragEvent(kind, init));
          }
        }""",
        base64.b64encode(STREET.read_bytes()).decode(),
    )
    page.wait_for_selector("body[data-state=done]")

    assert rows_of(page) == street_events[0.2]
    assert page.inner_text("#bars").startswith("Speech")
    assert "street.flac: 0:30.0" in page.inner_text("#status")


@pytest.mark.parametrize("where", ["server", "device"])
def test_the_threshold_acts_at_once_and_as_pythons(
    pages: Pages,
    where: str,
    street_events: dict[float, list[tuple[str, str]]],
    request: pytest.FixtureRequest,
) -> None:
    if where == "device":
        request.getfixturevalue("on_device")
    page = pages.open(where)
    hear_street(page)
    before = len(pages.requests)

    for threshold in THRESHOLDS:
        _move(page, threshold)
        if page.is_visible("#show-all"):
            page.click("#show-all")
        expected = street_events[threshold]
        assert len(expected) > 2
        assert rows_of(page) == expected
        assert page.inner_text("#found-count") == f"{len(expected)} events"
    assert len(pages.requests) == before

    _move(page, 0.95)
    assert rows_of(page) != []  # speech scores more
    assert page.get_attribute("#threshold", "aria-valuetext") == "0.95"


def test_a_recording_is_heard_on_the_device(
    pages: Pages, on_device: None, street_events: dict[float, list[tuple[str, str]]]
) -> None:
    page = pages.open("device")
    assert page.inner_text("#badge") == "Audio stays on this device"

    hear_street(page)

    heard = rows_of(page)
    assert {what for _, what in heard} & SIREN
    assert heard == street_events[0.2]
    titles = page.eval_on_selector_all("#rows .what", "cells => cells.map(c => c.title)")
    assert any(title.startswith("also: ") for title in titles)
    sent = [url for url in pages.requests if "/v1/classify" in url or "/v1/stream" in url]
    assert sent == []


@pytest.mark.parametrize("where", ["server", "device"])
def test_the_microphone_is_heard(pages: Pages, where: str, request: pytest.FixtureRequest) -> None:
    if where == "device":
        request.getfixturevalue("on_device")
    page = pages.open(where, size=PHONE)

    page.click("#listen")
    page.wait_for_selector("body[data-state=live]")
    labels = "|".join(label.replace("(", r"\(").replace(")", r"\)") for label in SIREN)
    # The street comes again every 30 s, and its siren with it.
    page.wait_for_function(
        """pattern => {
          const sought = new RegExp(`^(${pattern})$`, "m");
          const cells = [...document.querySelectorAll("#rows .what")];
          const bars = document.querySelector("#bars").innerText;
          return sought.test(bars) && cells.some(cell => sought.test(cell.textContent));
        }""",
        arg=labels,
        timeout=45_000,
    )
    page.wait_for_function(
        "() => new RegExp('Siren|Alarm').test(document.querySelector('#say').textContent)"
    )
    assert "Listening." in page.inner_text("#status")
    page.click("#listen")
    page.wait_for_selector("body[data-state=done]")
    page.wait_for_selector("#status:has-text('Microphone')")

    page.click("#rows button >> nth=0")  # what was heard can be played
    page.wait_for_function("() => !document.querySelector('#audio').paused")
    page.wait_for_function("() => document.querySelector('#now-title').innerText.startsWith('At ')")


@pytest.mark.parametrize("where", ["server", "device"])
def test_exports_are_those_of_the_command_line(
    pages: Pages,
    where: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    request: pytest.FixtureRequest,
) -> None:
    if where == "device":
        request.getfixturevalue("on_device")
    page = pages.open(where)
    hear_street(page)
    monkeypatch.chdir(STREET.parent)
    for locale, name in (("en", "csv"), ("en", "srt"), ("en", "audacity"), ("es", "csv")):
        if page.get_attribute("html", "lang") != locale:
            page.click("#language")
        with page.expect_download() as downloading:
            page.click(f"[data-format={name}]")
        saved = tmp_path / downloading.value.suggested_filename
        downloading.value.save_as(saved)

        written = tmp_path / f"written-{locale}-{name}"
        arguments = ["--format", name, "--locale", locale, "-o", str(written)]
        assert run(["classify", "street.flac", *arguments]) == 0

        files = [Path(folder) / file for folder, _, inside in os.walk(written) for file in inside]
        content = (files[0] if files else written).read_text("utf-8")
        assert content.count("\n") > 5
        assert saved.name.startswith("street.")
        assert saved.read_text("utf-8") == content


def test_a_format_that_only_the_server_knows_is_heard_without_a_picture(
    pages: Pages, tmp_path: Path, classifier: oido.AudioClassifier
) -> None:
    samples, rate_hz = soundfile.read(STREET, dtype="int16")
    path = tmp_path / "siren.aiff"
    soundfile.write(path, samples[: 12 * rate_hz], rate_hz)
    page = pages.open("server")

    page.set_input_files("#file", path)
    page.wait_for_selector("body[data-state=done]")

    expected = classifier.classify(path).events()
    assert len(expected) > 1
    assert rows_of(page) == [(_clocks(e), e.label) for e in expected]
    assert "siren.aiff" in notice_of(page)
    assert page.is_disabled("#play")


_STREAM = """async content => {
  const [{openServer}, {openDevice}, {decodeFile}, {Session}] = await Promise.all([
    "./engines/server.js", "./core/device_engine.js", "./core/decode.js", "./ui/session.js",
  ].map(name => import(name)));
  const {models: [model]} = await (await fetch("web/models.json")).json();
  const bytes = Uint8Array.from(atob(content), c => c.charCodeAt(0));
  const {samples} = await decodeFile(new File([bytes], "street.flac"), model.sampleRateHz);
  const heard = async (engine) => {
    const session = new Session({name: "stream", engine, audio: null, isLive: true});
    let last = 0, nWindows = 0;
    const stream = engine.stream({
      onWindow: window => { session.add(window); session.advance(); nWindows += 1; },
      onState: ({dropped}) => { last = dropped; },
    });
    for (let at = 0; at < samples.length; at += 1600) {
      const piece = samples.slice(at, at + 1600);
      session.addSamples(piece);
      stream.push(piece);
      // As slowly as it is heard: of what comes too fast, windows are left out.
      const due = Math.floor((at - 2 * model.windowSamples) / model.hopSamples);
      for (let waits = 0; nWindows < due; waits++) {
        if (waits === 12_000) throw new Error(`window ${due} never came`);
        await new Promise(resolve => setTimeout(resolve, 5));
      }
    }
    await stream.end();
    session.finish(samples.length);
    engine.close();
    const rows = session.events.map(e => [e.label, e.startTime, e.endTime, e.also]);
    return {rows, dropped: last, nWindows};
  };
  const server = await openServer({model, base: new URL(".", location.href)});
  const {url: modelUrl, imageSamples, kinship} = model;
  return {
    server: await heard(server),
    device: await heard(await openDevice({modelUrl, imageSamples, kinship})),
  };
}"""


def test_what_comes_as_time_goes_has_the_same_events_in_both_places(
    pages: Pages, on_device: None, classifier: oido.AudioClassifier
) -> None:
    page = pages.open("server")

    found = page.evaluate(_STREAM, base64.b64encode(STREET.read_bytes()).decode())

    events = classifier.classify(STREET).events()
    expected = [[e.label, e.start_time, e.end_time, sorted(e.also)] for e in events]
    assert len(expected) > 5
    for where in ("server", "device"):
        assert (found[where]["dropped"], found[where]["nWindows"]) == (0, 62), where
        rows = [[*row[:3], sorted(row[3])] for row in found[where]["rows"]]
        assert rows == expected, where
