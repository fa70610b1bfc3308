# SPDX-License-Identifier: Apache-2.0
"""What the page does before anything is wanted of it, and what it leaves until then."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from oido.server.page_files import WEB_FOLDER, modules_of
from tests.web.browsing import Pages, hear_street

_COUNTING = """
window.asked = 0;
const list = navigator.mediaDevices.enumerateDevices.bind(navigator.mediaDevices);
navigator.mediaDevices.enumerateDevices = () => {
  window.asked += 1;
  return list();
};
"""


def test_what_is_made_when_it_is_wanted_is_there_by_then(pages: Pages, on_device: None) -> None:
    """No server is needed for it any more, but for what hears by the model on this device."""
    page = pages.open("server")
    page.wait_for_load_state("networkidle")
    pages.requests.clear()
    hear_street(page)
    page.click("#review-start")
    page.click("#review-end")
    page.click("#listen")
    page.wait_for_selector("body[data-listening]")
    page.click("#listen")
    page.wait_for_selector("body:not([data-listening])")
    assert [url for url in pages.requests if url.endswith(".js")] == []
    page.click("#teach-open")
    page.wait_for_selector("#teach-panel", state="visible")
    assert [url for url in pages.requests if "/ui/" in url] == []


def test_every_module_is_asked_for_once(pages: Pages) -> None:
    page = pages.open("server")
    page.wait_for_load_state("networkidle")
    asked = [url for url in pages.requests if url.endswith(".js")]
    assert len(asked) == len(set(asked))
    assert len(asked) > 60


def test_a_browser_tells_its_microphones_when_somebody_looks(pages: Pages) -> None:
    page = pages.open(before=_COUNTING + "localStorage.clear();")
    page.eval_on_selector("#settings-panel", "panel => { panel.open = false; }")
    page.wait_for_function("() => localStorage['oido.open-settings-panel'] === 'false'")
    page.reload()
    page.wait_for_selector("#badge:not([hidden])")
    page.wait_for_load_state("networkidle")
    first = page.evaluate("() => window.asked")
    page.click("#settings-panel summary")
    page.wait_for_function("before => window.asked > before", arg=first)
    assert first == 0


def test_labels_are_offered_where_a_name_is_typed(pages: Pages) -> None:
    page = pages.open("server")
    assert _offered(page) == []
    page.focus("#watch-name")
    english = _offered(page)
    assert len(english) == 521
    assert "Doorbell" in english
    page.click("#language")
    page.focus("#watch-name")
    assert "Habla" in _offered(page)
    page.click("#language")
    hear_street(page)
    page.click("#review-start")
    page.focus("#review-label")
    assert _offered(page) == english


def test_the_first_screen_begins_without_what_shows_a_session() -> None:
    """What app.js imports is evaluated in one task."""
    scripts = {p.relative_to(WEB_FOLDER).as_posix(): p for p in WEB_FOLDER.rglob("*.js")}
    modules = {Path(url).name for url in modules_of(scripts, "app.js")}
    assert {"choices.js", "notices.js"} < modules
    later = {"session_view.js", "session.js", "recording.js", "microphone.js", "teaching.js"}
    assert later & modules == set()


def _offered(page: Any) -> list[str]:
    values: list[str] = page.eval_on_selector_all(
        "#watch-labels option", "all => all.map(option => option.value)"
    )
    return values
