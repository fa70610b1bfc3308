# SPDX-License-Identifier: Apache-2.0
"""Sounds that the page watches for: told once each, loudly enough, and not at night."""

from __future__ import annotations

import io
from typing import Any

import pytest
import soundfile

from tests.web.browsing import PHONE, Pages

_RULES = """async (values) => {
  const {WatchRules} = await import("./ui/watch_rules.js");
  const rules = new WatchRules();
  const watches = [{label: "b", threshold: 0.4}];
  return values.map((value) => {
    const window = {scores: Float32Array.of(0.9, value), probabilities: null};
    return rules.begun(window, ["a", "b"], watches).length;
  });
}"""


@pytest.mark.parametrize(
    ("values", "told"),
    [
        ([0.1, 0.5, 0.9, 0.5, 0.1], [0, 1, 0, 0, 0]),
        ([0.5, 0.1, 0.1, 0.5], [1, 0, 0, 0]),  # a pause between two barks
        ([0.5, 0.1, 0.1, 0.1, 0.1, 0.5], [1, 0, 0, 0, 0, 1]),
        ([0.5, 0.1, 0.1, 0.1, 0.3, 0.1, 0.1, 0.5], [1, 0, 0, 0, 0, 0, 0, 0]),
        ([0.39, 0.3, 0.39], [0, 0, 0]),
    ],
)
def test_a_sound_is_told_once_until_it_is_over(
    parts: Any, values: list[float], told: list[int]
) -> None:
    assert parts.evaluate(_RULES, values) == told


@pytest.mark.parametrize(
    ("start", "end", "hour", "quiet"),
    [
        ("22:00", "07:30", 23, True),
        ("22:00", "07:30", 7, True),
        ("22:00", "07:30", 8, False),
        ("13:00", "14:00", 13, True),
        ("13:00", "14:00", 14, False),
        ("13:00", "13:00", 13, False),
        ("", "07:30", 3, False),
    ],
)
def test_quiet_hours_go_over_midnight(
    parts: Any, start: str, end: str, hour: int, quiet: bool
) -> None:
    found = parts.evaluate(
        """async ([start, end, hour]) => {
          const {isQuiet, minuteOf} = await import("./ui/watch_rules.js");
          const [from, to] = [minuteOf(start), minuteOf(end)];
          const hours = from === null || to === null ? null : {from, to};
          return isQuiet(hours, new Date(2026, 4, 12, hour, 0));
        }""",
        [start, end, hour],
    )
    assert found is quiet


def _watch(page: Any, name: str) -> None:
    page.fill("#watch-name", name)
    page.click("#watch-form button")
    page.wait_for_selector(f"#watches li:has-text('{name}')")


@pytest.mark.parametrize("language", ["es-ES", "en-US"])
def test_a_name_is_found_without_its_accents(pages: Pages, on_device: None, language: str) -> None:
    page = pages.open("device", language=language)
    page.evaluate(
        """() => import("/ui/language.js").then((names) => {
          names.setTranslations({es: {Speech: "Niña que habla", Dog: "Árbol"},
                                 en: {Speech: "Niña que habla", Dog: "Árbol"}});
          names.setLanguage(names.currentLanguage());
        })"""
    )
    page.focus("#watch-name")
    for typed, name in (("nina", "Niña que habla"), ("ARBOL", "Árbol"), ("que hab", "")):
        page.fill("#watch-name", typed)
        offered = page.eval_on_selector_all(
            "#watch-labels option", "all => all.map(o => [o.label, o.value]).filter(([l]) => l)"
        )
        assert [value for label, value in offered if typed.lower() in label] == (
            [name] if name else []
        )
    page.fill("#watch-name", "nina QUE habla")
    page.click("#watch-form button")
    page.wait_for_selector("#watches li:has-text('Niña que habla')")


def test_a_sound_that_is_watched_for_is_told(pages: Pages, on_device: None) -> None:
    page = pages.open("device", size=PHONE, language="es-ES")
    _watch(page, "Sirena")
    page.eval_on_selector(
        "#watches input",
        "slider => { slider.value = 0.2; slider.dispatchEvent(new Event('input')); }",
    )
    page.click("#listen")

    page.wait_for_selector("#flash:has-text('Sirena')", state="visible", timeout=60_000)
    page.wait_for_selector("#flash", state="hidden")
    page.wait_for_selector("#watch-log li:has-text('Sirena')", state="visible")
    page.wait_for_selector("#watch-log button", timeout=30_000)
    with page.expect_download() as downloading:
        page.click("#watch-log button >> nth=0")
    content = downloading.value.path().read_bytes()
    samples, rate_hz = soundfile.read(io.BytesIO(content))
    assert rate_hz == 16_000
    assert 3 * rate_hz <= len(samples) <= 6 * rate_hz
    assert abs(samples).max() > 0.01


def test_in_quiet_hours_it_is_noted_and_nobody_is_called(pages: Pages, on_device: None) -> None:
    page = pages.open("device")
    _watch(page, "Siren")
    now = page.evaluate("() => new Date().getHours()")
    page.fill("#quiet-from", f"{now:02}:00")
    page.fill("#quiet-to", f"{(now + 2) % 24:02}:00")
    page.evaluate(
        """() => {
          window.flashes = 0;
          new MutationObserver(() => { window.flashes += 1; })
            .observe(document.querySelector("#flash"), {attributes: true});
        }"""
    )
    page.click("#listen")
    page.wait_for_selector("#watch-log li:has-text('Siren')", timeout=60_000)
    assert page.evaluate("() => window.flashes") == 0


def test_what_is_watched_for_stays_and_goes_by_a_press(pages: Pages, on_device: None) -> None:
    page = pages.open("device")
    _watch(page, "Dog")
    page.fill("#watch-name", "a sound of nowhere")
    page.click("#watch-form button")
    assert "knows no sound of the name a sound of nowhere" in page.inner_text("#watch-unknown")

    page.reload()
    page.wait_for_selector("#watches li:has-text('Dog')")
    page.click("#language")
    page.wait_for_selector("#watches li:has-text('Perro')")
    page.click("#watches button")
    assert page.is_hidden("#watches")
    page.reload()
    page.wait_for_selector("#badge:not([hidden])")
    assert page.is_hidden("#watches")
