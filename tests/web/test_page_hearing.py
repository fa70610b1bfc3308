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
from oido.models.model import AudioModel
from tests.web.browsing import PHONE, STREET, Pages, hear_street, notice_of, rows_of, window_events

SIREN = {"Siren", "Civil defense siren", "Ambulance (siren)", "Police car (siren)", "Alarm"}


THRESHOLDS = (0.6, 0.2, 0.05)


@pytest.fixture(scope="module")
def street_events(
    classifier: oido.AudioClassifier, model: AudioModel
) -> dict[tuple[str, float], list[tuple[str, str]]]:
    """What the page's table must have, by place and threshold: on the device, what Python has."""
    result = classifier.classify(STREET)
    by_place = {
        "device": lambda threshold: result.events(threshold=threshold),
        "server": lambda threshold: window_events(model, threshold),
    }
    return {
        (place, threshold): [(_clocks(e), e.label) for e in find(threshold)]
        for place, find in by_place.items()
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


def test_a_dropped_recording_has_the_events_of_its_windows(
    pages: Pages, street_events: dict[tuple[str, float], list[tuple[str, str]]]
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

    assert rows_of(page) == street_events["server", 0.2]
    assert page.inner_text("#bars").startswith("Speech")
    assert "street.flac: 0:30.0" in page.inner_text("#status")


@pytest.mark.parametrize("where", ["server", "device"])
def test_the_threshold_acts_at_once_and_as_pythons(
    pages: Pages,
    where: str,
    street_events: dict[tuple[str, float], list[tuple[str, str]]],
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
        expected = street_events[where, threshold]
        assert len(expected) > 2
        assert rows_of(page) == expected
        assert page.inner_text("#found-count") == f"{len(expected)} events"
    assert len(pages.requests) == before

    _move(page, 0.95)
    assert rows_of(page) != []  # speech scores more
    assert page.get_attribute("#threshold", "aria-valuetext") == "0.95"


def test_a_recording_is_heard_on_the_device(
    pages: Pages, on_device: None, street_events: dict[tuple[str, float], list[tuple[str, str]]]
) -> None:
    page = pages.open("device")
    assert page.inner_text("#badge") == "Audio stays on this device"

    hear_street(page)

    heard = rows_of(page)
    assert {what for _, what in heard} & SIREN
    assert heard == street_events["device", 0.2]
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


def test_exports_are_those_of_the_command_line(
    pages: Pages, on_device: None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    page = pages.open("device")
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
    pages: Pages, tmp_path: Path
) -> None:
    samples, rate_hz = soundfile.read(STREET, dtype="int16")
    path = tmp_path / "siren.aiff"
    soundfile.write(path, samples[: 6 * rate_hz], rate_hz)
    page = pages.open("server")

    page.set_input_files("#file", path)
    page.wait_for_selector("body[data-state=done]")

    assert {what for _, what in rows_of(page)} & SIREN
    assert "siren.aiff" in notice_of(page)
    assert page.is_disabled("#play")
