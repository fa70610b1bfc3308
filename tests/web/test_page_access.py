# SPDX-License-Identifier: Apache-2.0
"""Who can use the page: by keyboard, with a screen reader, in two languages, in any light."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any

import pytest

from oido.server.page_files import WEB_FOLDER
from tests.web.browsing import DESKTOP, PHONE, Pages, hear_street, rows_of

_NO_AXE = "needs axe: pip install axe-playwright-python"


def _violations(page: Any, lights: Sequence[str] = ("light", "dark")) -> list[str]:
    """What axe finds serious or critical, in both lights and both sizes."""
    sync_axe = pytest.importorskip("axe_playwright_python.sync_playwright", reason=_NO_AXE)
    found = []
    for light in lights:
        page.emulate_media(color_scheme=light, reduced_motion="reduce")
        for size in (PHONE, DESKTOP):
            page.set_viewport_size(size)
            page.wait_for_timeout(100)
            for violation in sync_axe.Axe().run(page).response["violations"]:
                if violation["impact"] in ("serious", "critical"):
                    targets = [node["target"] for node in violation["nodes"]]
                    found.append(f"{light}, {size['width']}: {violation['id']} {targets}")
    return found


def test_axe_finds_nothing_serious(pages: Pages) -> None:
    page = pages.open("server")
    assert _violations(page) == []  # empty

    hear_street(page)
    assert _violations(page) == []  # finished

    page.click("#listen")
    page.wait_for_selector("body[data-state=live]")
    page.wait_for_selector("#bars li")
    assert _violations(page) == []  # hearing

    pages.expected.append("status of 422")
    broken = {"name": "notes.mp3", "mimeType": "audio/mpeg", "buffer": b"no sound " * 100}
    page.set_input_files("#file", broken)
    page.wait_for_selector("#notice:not([hidden])")
    page.click("#language")
    assert _violations(page) == []  # an error, in Spanish

    page.eval_on_selector("#open", "button => { button.textContent = ''; }")
    assert any("button-name" in found for found in _violations(page, ["dark"]))  # it does find


def test_axe_finds_nothing_serious_in_the_offer_to_send(pages: Pages, on_device: None) -> None:
    page = pages.open("device")
    hear_street(page)
    page.check("input[value=server]")
    page.wait_for_selector("#offer-send", state="visible")
    assert _violations(page) == []


def test_axe_finds_nothing_serious_in_teaching(pages: Pages, on_device: None) -> None:
    page = pages.open("device")
    page.click("#teach-open")
    page.wait_for_selector("#teach-arm:has-text('Open the microphone')")
    page.click("#teach-arm")
    page.wait_for_selector("#teach-problem", state="visible")
    page.fill("#teach-name", "Our siren")
    page.click("#teach-arm")
    page.wait_for_selector("#teach-hold", state="visible")
    assert _violations(page) == []


def test_axe_finds_nothing_serious_behind_the_lines_and_from_near(
    pages: Pages, on_device: None
) -> None:
    page = pages.open("device")
    page.eval_on_selector_all("details.panel", "all => all.forEach(p => { p.open = false; })")
    assert _violations(page) == []  # the first screen, as a visitor sees it

    page.evaluate("() => { location.hash = 'recording=mine.wav&t=3'; }")
    page.wait_for_selector("#notice:has-text('mine.wav')")
    page.click("#listen")
    page.wait_for_function("() => document.querySelectorAll('#rows tr').length > 1", timeout=40_000)
    page.click("#listen")
    page.wait_for_selector("#status:has-text('Microphone')")
    page.click("#days-panel > summary")
    page.click("#settings-panel > summary")
    page.wait_for_selector("#days-table td[data-family]")
    page.click("#rows .what button >> nth=0")
    assert page.is_visible("#closeup")
    assert _violations(page) == []


def test_everything_is_done_by_keyboard(pages: Pages) -> None:
    page = pages.open("server")
    hear_street(page)
    stage = page.locator("#stage")

    def place() -> float:
        return float(stage.get_attribute("aria-valuenow"))

    for _ in range(30):
        page.keyboard.press("Tab")
        if page.evaluate("() => document.activeElement.id") == "stage":
            break
    assert page.evaluate("() => document.activeElement.id") == "stage"
    page.keyboard.press("n")
    assert place() == pytest.approx(0.8, abs=0.05)
    assert "siren" in stage.get_attribute("aria-valuetext").lower()
    page.keyboard.press("ArrowRight")
    assert place() > 0.8
    page.keyboard.press("+")
    assert page.is_enabled("#zoom-all")
    page.keyboard.press("0")
    assert page.is_disabled("#zoom-all")
    page.keyboard.press("End")
    assert place() == 30.0
    page.keyboard.press("p")
    assert place() == pytest.approx(25.4, abs=0.05)
    assert "Speech" in stage.get_attribute("aria-valuetext")
    page.keyboard.press("Enter")
    page.wait_for_selector("#play:has-text('Pause')")
    page.keyboard.press("Enter")
    page.wait_for_selector("#play:has-text('Play')")
    for _ in range(12):
        page.keyboard.press("Tab")
        if page.evaluate("() => document.activeElement.id") == "threshold":
            break
    before = len(rows_of(page))
    for _ in range(40):
        page.keyboard.press("ArrowRight")
    assert page.input_value("#threshold") == "0.6"
    assert 0 < len(rows_of(page)) < before


def test_a_click_on_the_timeline_plays_from_there_and_a_drag_moves_it(pages: Pages) -> None:
    page = pages.open("server")
    hear_street(page)
    page.wait_for_timeout(100)
    box = page.locator("#stage").bounding_box()

    page.mouse.click(box["x"] + box["width"] / 3, box["y"] + 50)
    page.wait_for_selector("#play:has-text('Pause')")
    at = float(page.get_attribute("#stage", "aria-valuenow"))
    assert at == pytest.approx(10.0, abs=1.5)
    page.wait_for_function("at => document.querySelector('#audio').currentTime > at", arg=at + 0.3)
    page.wait_for_selector("#now-title:has-text('At 0:1')")
    page.click("#play")

    page.click("#zoom-in")
    page.click("#zoom-in")
    page.mouse.move(box["x"] + 600, box["y"] + 50)
    page.mouse.down()
    page.mouse.move(box["x"] + 200, box["y"] + 60, steps=4)
    page.mouse.up()
    assert page.inner_text("#play") == "Play"
    page.mouse.click(box["x"] + 1, box["y"] + 50)
    page.wait_for_selector("#play:has-text('Pause')")
    moved = float(page.get_attribute("#stage", "aria-valuenow"))
    assert moved > at - 7.5 / 3 + 2.5  # a third of what is in view


def test_both_languages_say_everything(pages: Pages) -> None:
    page = pages.open("server", language="es-MX")
    assert page.inner_text("#headline") == "¿Qué se oye?"
    words = page.evaluate("async () => (await import('./ui/words.js')).WORDS")
    english, spanish = words["en"], words["es"]
    gaps = re.compile(r"\{\w+\}")

    assert set(words) == {"en", "es"}
    assert set(english) == set(spanish)
    for key, text in english.items():
        assert text.strip()
        assert spanish[key].strip()
        assert sorted(gaps.findall(text)) == sorted(gaps.findall(spanish[key])), key
    sources = [WEB_FOLDER / "index.html", WEB_FOLDER / "app.js", *WEB_FOLDER.glob("ui/*.js")]
    texts = "\n".join(path.read_text("utf-8") for path in sources if path.name != "words.js")
    used = set(re.findall(r'data-t(?:-label)?="(\w+)"', texts))
    used |= set(re.findall(r'(?:\bt|notice|busyWith)\("(\w+)"', texts))
    assert used - set(english) == set()
    quoted = set(re.findall(r'"(\w+)"', texts))
    assert set(english) - quoted == set()  # none that nobody says


def test_the_language_and_the_light_are_remembered(pages: Pages) -> None:
    page = pages.open("server", color_scheme="light")
    hear_street(page)
    page.click("#language")
    page.click("#theme")

    assert page.get_attribute("html", "lang") == "es"
    assert any("sirena" in what.lower() for _, what in rows_of(page))
    page.reload()
    page.wait_for_selector("#badge:not([hidden])")
    assert page.inner_text("#listen-text") == "Escuchar y enviar al servidor"
    assert page.get_attribute("html", "data-theme") == "dark"
    assert page.is_checked("input[value=server]")
    paper = page.evaluate("() => getComputedStyle(document.body).backgroundColor")
    assert sum(int(part) for part in re.findall(r"\d+", paper)) < 150
