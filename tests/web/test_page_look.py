# SPDX-License-Identifier: Apache-2.0
"""What the page looks like: its first screen, the picture from edge to edge, day and night."""

from __future__ import annotations

import base64
import re
from typing import Any

import numpy as np
import pytest

from oido.server.page_files import WEB_FOLDER, content_of, page_files
from tests.web.browsing import DESKTOP, PHONE, Pages, hear_street, rows_of

_WIDTHS = (320, 390, 768, 1280, 2560)
_OVERFLOW = "() => document.documentElement.scrollWidth - document.documentElement.clientWidth"


def test_the_first_screen_has_three_recordings_to_try(pages: Pages, on_device: None) -> None:
    page = pages.open("device", size=PHONE, language="es-ES")
    names = page.eval_on_selector_all("#examples button", "all => all.map(b => b.textContent)")
    assert names == ["Una calle", "Una alarma", "Pitidos"]
    promised = page.inner_text("#promise").split(" · ")
    # Without a service worker, which these pages have not, it does not say that it works offline.
    assert promised == ["521 sonidos", "el audio se queda aquí"]

    page.click("#examples button >> nth=0")
    page.wait_for_selector("body[data-state=done]")
    assert "street.flac" in page.inner_text("#status")
    assert any("sirena" in what.lower() for _, what in rows_of(page))
    assert page.is_hidden("#examples")


def test_what_goes_to_a_server_is_not_promised_to_stay(pages: Pages) -> None:
    page = pages.open("server")
    assert page.inner_text("#promise") == "521 sounds"
    page.click("#examples button >> nth=2")
    page.wait_for_selector("body[data-state=done]")
    assert "beep.flac" in page.inner_text("#status")


def test_an_example_that_is_gone_is_said(pages: Pages) -> None:
    pages.expected += ["404", "Failed to load resource"]
    page = pages.open("server")
    page.route("**/examples/*", lambda route: route.fulfill(status=404))
    page.click("#examples button >> nth=0")
    page.wait_for_selector("#notice", state="visible")
    assert "went wrong" in page.inner_text("#notice-text")


def test_no_width_is_too_narrow_or_too_wide(pages: Pages, on_device: None) -> None:
    page = pages.open("device")

    def widths() -> None:
        for width in _WIDTHS:
            page.set_viewport_size({"width": width, "height": 800})
            page.wait_for_timeout(60)
            assert page.evaluate(_OVERFLOW) == 0, width

    for language in ("en", "es"):
        widths()
        hear_street(page)
        widths()
        for width in _WIDTHS:
            page.set_viewport_size({"width": width, "height": 800})
            box = page.locator("#stage").bounding_box()
            assert (box["x"], box["width"]) == (0, page.evaluate("() => innerWidth")), width
        if language == "en":
            page.click("#language")
            page.click("#tab-list button[aria-label^='Quitar']")


def _pixels(page: Any) -> np.ndarray[Any, np.dtype[np.uint8]]:
    """u8[h, w, 4]: the picture as it is drawn."""
    page.wait_for_timeout(150)
    width, height, values = page.eval_on_selector(
        "#canvas",
        """canvas => {
          const { width, height } = canvas;
          const { data } = canvas.getContext("2d").getImageData(0, 0, width, height);
          let text = "";
          for (let at = 0; at < data.length; at += 8192)
            text += String.fromCharCode(...data.subarray(at, at + 8192));
          return [width, height, btoa(text)];
        }""",
    )
    return np.frombuffer(base64.b64decode(values), np.uint8).reshape(height, width, 4)


def test_events_stand_over_the_picture_with_the_colour_of_their_family(
    pages: Pages, on_device: None
) -> None:
    pages.expected.append("willReadFrequently")  # of the test's own reading
    page = pages.open("device", color_scheme="light")
    hear_street(page)
    before = _pixels(page)
    hue = page.evaluate("async () => (await import('./ui/theme.js')).colour('--family-alarms')")
    wanted = [int(hue[at : at + 2], 16) for at in (1, 3, 5)]
    near = np.abs(before[..., :3].astype(int) - wanted).max(axis=-1) < 24
    assert near[:300].sum() > 200  # frames of sirens and bells, above the axis
    axis = before[:, :40]
    assert (axis[..., 3] > 0).any()  # frequencies

    page.eval_on_selector(
        "#threshold", "slider => { slider.value = 0.95; slider.dispatchEvent(new Event('input')); }"
    )
    assert (_pixels(page) != before[: len(_pixels(page))]).any()


def test_signs_are_the_pages_own_letters(pages: Pages) -> None:
    """So that they are seen without colour, on devices that have no such letters, too."""
    page = pages.open("server")
    page.evaluate("() => document.fonts.ready")
    widths = page.evaluate(
        """() => {
          const context = document.createElement("canvas").getContext("2d");
          const width = (font, sign) => {
            context.font = `20px ${font}`;
            return context.measureText(sign).width;
          };
          const own = "'Atkinson Hyperlegible Next', monospace";
          const signs = [..."☺❦♪➤▲⌂≈•✓✗✎▸"];
          return signs.map(sign => [sign, width(own, sign), width("monospace", sign)]);
        }"""
    )
    assert page.evaluate("() => document.fonts.check(\"16px 'Atkinson Hyperlegible Next'\")")
    own = {round(width, 2) for _, width, _ in widths}
    assert len(own) == 1  # each in the same square
    assert all(abs(width - other) > 0.5 for _, width, other in widths), widths


def test_the_font_is_small_and_has_its_licence() -> None:
    (font,) = (WEB_FOLDER / "fonts").glob("*.woff2")
    assert font.read_bytes()[:4] == b"wOF2"
    assert font.stat().st_size < 30_000
    assert "SIL OPEN FONT LICENSE" in (WEB_FOLDER / "fonts" / "LICENSE").read_text("utf-8")


def test_both_palettes_have_the_same_names() -> None:
    day, night = ((WEB_FOLDER / name).read_text("utf-8") for name in ("style.css", "dark.css"))
    names = [set(re.findall(r"^  (--[\w-]+): #", text, re.M)) for text in (day, night)]
    assert names[0] == names[1]
    assert len(names[0]) > 20
    look = (WEB_FOLDER / "look.css").read_text("utf-8")
    used = set(re.findall(r"var\((--[\w-]+)", day + look))
    assert used - names[0] <= {
        "--sans",
        "--gutter",
        "--level",
        "--place",
        "--row",
        "--value",
        "--share",
    }


@pytest.mark.parametrize("system", ["light", "dark"])
def test_the_light_that_was_chosen_counts_whatever_the_system_says(
    pages: Pages, system: Any
) -> None:
    page = pages.open("server", color_scheme=system)

    def light() -> float:
        text = page.evaluate("() => getComputedStyle(document.body).backgroundColor")
        return sum(map(float, re.findall(r"\d+", text)[:3]))

    assert (light() > 600) is (system == "light")
    page.click("#theme")
    assert (light() > 600) is (system == "dark")
    page.reload()
    page.wait_for_selector("#badge:not([hidden])")
    assert (light() > 600) is (system == "dark")


@pytest.mark.parametrize("motion", ["no-preference", "reduce"])
def test_the_button_moves_with_the_sound_and_not_for_who_wants_it_still(
    pages: Pages, on_device: None, motion: Any
) -> None:
    page = pages.open("device", size=PHONE, reduced_motion=motion)
    page.click("#listen")
    page.wait_for_selector("body[data-listening]")
    # A busy machine draws seldom: one that moves is watched for longer, not for less.
    shadows = page.evaluate(
        """async (enough) => {
          const button = document.querySelector("#listen");
          const seen = new Set();
          for (let n = 0; n < 40 || (n < 500 && seen.size < enough); n++) {
            await new Promise(resolve => setTimeout(resolve, 60));
            seen.add(getComputedStyle(button).boxShadow);
          }
          return seen.size;
        }""",
        6 if motion == "no-preference" else 1,
    )
    assert (shadows > 5) if motion == "no-preference" else (shadows == 1)


def test_what_is_pressed_before_the_page_can_answer_is_done_then(pages: Pages) -> None:
    page = pages.open("server")
    held: list[Any] = []

    def hold(route: Any) -> None:
        held.append(route)

    page.route("**/app.js", hold)
    page.reload(wait_until="commit")
    page.wait_for_selector("body[data-waits=models]")
    assert page.inner_text("#open") == "Open a recording"  # it has its words already
    assert not page.is_visible("#examples")
    page.click("#language")
    while not held:
        page.wait_for_timeout(20)
    assert page.get_attribute("html", "lang") == "en"
    held[0].continue_()
    page.wait_for_selector("html[lang=es]")
    page.wait_for_selector("body:not([data-waits])")
    assert page.inner_text("#open") == "Abrir y enviar al servidor"  # as was chosen before
    assert page.is_visible("#examples")


def test_the_first_screen_moves_without_work_for_the_page(pages: Pages) -> None:
    """What moves by a transform or by opacity alone is drawn beside the page's own thread."""
    page = pages.open("server", size=PHONE)
    moved = page.evaluate(
        """() => document.getAnimations().map((animation) => animation.effect.getKeyframes()
          .flatMap((frame) => Object.keys(frame))
          .filter((name) => !["offset", "easing", "composite", "computedOffset"].includes(name)))"""
    )
    assert moved
    assert {name for names in moved for name in names} <= {"transform", "opacity"}


def test_what_stands_behind_one_line_says_what_is_chosen(pages: Pages, on_device: None) -> None:
    page = pages.open("device", size=DESKTOP)
    page.eval_on_selector_all("details.panel", "all => all.forEach(p => { p.open = false; })")
    assert page.inner_text("#settings-line") == "yamnet/classification · This device"
    assert not page.is_visible("#model")
    page.reload()
    page.wait_for_selector("#badge:not([hidden])")
    assert not page.is_visible("#model")
    page.click("#settings-panel > summary")
    assert page.is_visible("#model")
    page.reload()
    page.wait_for_selector("#badge:not([hidden])")
    assert page.is_visible("#model")


def test_examples_come_with_the_page_and_are_not_part_of_a_first_visit() -> None:
    files = page_files({"mode": "server"})
    examples = {url for url in files if url.startswith("examples/")}
    assert examples == {"examples/street.flac", "examples/alarm.flac", "examples/beep.flac"}
    listed = content_of(files["precache.js"]).decode()
    assert listed.count('"onDemand": true') == 3
    assert "fonts/LICENSE" not in listed
    assert "fonts/atkinson-hyperlegible-next.woff2" in listed


def test_what_is_heard_first_is_seen_by_whoever_was_at_the_settings(
    pages: Pages, on_device: None
) -> None:
    page = pages.open("device", size=PHONE)
    page.evaluate("() => scrollTo(0, document.body.scrollHeight)")
    assert page.evaluate("() => scrollY") > 100
    hear_street(page)
    box = page.locator("#stage").bounding_box()
    assert 0 < box["y"] < box["y"] + box["height"] < PHONE["height"]


def test_buttons_of_a_message_stand_apart(pages: Pages) -> None:
    page = pages.open("server", size=PHONE)
    hear_street(page)
    page.click("#tab-list button[aria-label^='Remove']")
    page.wait_for_selector("#notice-action:not([hidden])")
    first, second = (page.locator(f"#notice-{each}").bounding_box() for each in ("action", "close"))
    assert first["x"] + first["width"] <= second["x"]
