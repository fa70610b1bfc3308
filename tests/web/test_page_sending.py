# SPDX-License-Identifier: Apache-2.0
"""A recording leaves the device by a press that says so, and by nothing else."""

from __future__ import annotations

import base64
import json
from typing import Any

import pytest

from tests.web.browsing import STREET, Pages, Served, hear_street, notice_of, rows_of
from tests.web.sending import (
    HERE,
    LISTENS,
    SEND,
    SEND_AGAIN,
    SEND_MICROPHONE,
    STAYED,
    THERE,
    WENT,
    Held,
    Sent,
    choose,
    let_be,
    tab_to,
)

_CHOSEN = """
localStorage.setItem("oido.where", "server");
localStorage.setItem("oido.model", "yamnet/classification");
"""
"""What another visit chose."""


# --- A recording is open


@pytest.mark.parametrize(
    "how",
    [
        "click",
        "ArrowRight",
        pytest.param("ArrowDown", marks=pytest.mark.slow),
        pytest.param("ArrowLeft", marks=pytest.mark.slow),
    ],
)
def test_choosing_the_server_sends_no_recording(pages: Pages, on_device: None, how: str) -> None:
    page = pages.open("device")
    sent = Sent(page)
    hear_street(page)
    before = rows_of(page)
    status = page.inner_text("#status")

    choose(page, "server", how)
    let_be(page)

    assert sent.counts == (0, 0)
    assert rows_of(page) == before
    assert page.inner_text("#status") == status
    assert page.inner_text("#badge").startswith(STAYED)
    assert page.get_by_role("button", name=SEND).is_visible()
    assert "heard on this device" in page.inner_text("#offer-text")

    tab_to(page, "offer-send")  # from the radio on
    page.keyboard.press("Enter")
    page.wait_for_selector("#offer", state="hidden")
    page.wait_for_selector("body[data-state=done]")
    let_be(page)

    assert sent.counts == (1, 0)
    assert page.inner_text("#badge").startswith(THERE)
    assert page.is_hidden("#offer")
    assert len(rows_of(page)) > 5
    assert page.evaluate("() => document.activeElement !== document.body")  # focus is not lost


def test_the_way_back_sends_nothing_either(pages: Pages, on_device: None) -> None:
    page = pages.open("device")
    sent = Sent(page)
    hear_street(page)
    page.evaluate("() => { document.querySelector('#rows tr').kept = true; }")

    for _ in range(3):
        choose(page, "server", "ArrowRight")
        choose(page, "device", "ArrowRight")
    let_be(page)

    assert sent.counts == (0, 0)
    assert page.is_hidden("#offer")
    assert page.inner_text("#badge") == HERE
    kept = page.evaluate("() => document.querySelector('#rows tr').kept === true")
    assert kept  # nor was it heard anew


def test_what_was_sent_is_not_said_to_stay(pages: Pages, on_device: None) -> None:
    page = pages.open("server")
    sent = Sent(page)
    hear_street(page)
    assert page.inner_text("#badge").startswith(THERE)

    choose(page, "device", "ArrowLeft")
    let_be(page)
    assert sent.counts == (1, 0)
    assert page.inner_text("#badge").startswith(WENT)

    choose(page, "server", "ArrowLeft")
    let_be(page)
    assert sent.counts == (1, 0)
    assert page.inner_text("#badge").startswith(THERE)
    page.get_by_role("button", name=SEND_AGAIN).click()
    page.wait_for_selector("#offer", state="hidden")
    page.wait_for_selector("body[data-state=done]")
    assert sent.counts == (2, 0)


def test_a_recording_that_the_device_still_hears_stays_there(pages: Pages, on_device: None) -> None:
    page = pages.open("device")
    sent = Sent(page)
    held = Held(page, "**/models/*")
    page.set_input_files("#file", STREET)
    page.wait_for_selector("body[data-state=busy]")

    choose(page, "server", "ArrowRight")
    assert page.get_by_role("button", name=SEND).is_visible()
    assert page.inner_text("#badge").startswith(STAYED)
    page.wait_for_timeout(300)
    held.release()
    page.wait_for_selector("body[data-state=done]")
    let_be(page)

    assert sent.counts == (0, 0)
    assert len(rows_of(page)) > 5
    assert page.get_by_role("button", name=SEND).is_visible()


def test_another_model_of_the_server_gets_nothing_unasked(pages: Pages, two_served: Served) -> None:
    page = pages.open("server", address=two_served.address)
    sent = Sent(page)
    hear_street(page)
    before = rows_of(page)

    page.focus("#model")
    page.keyboard.press("ArrowDown")
    chosen = page.input_value("#model")
    assert chosen != "yamnet/classification"
    let_be(page)
    assert sent.counts == (1, 0)
    assert rows_of(page) == before
    assert "heard on the server, by yamnet/classification" in page.inner_text("#offer-text")

    page.click("#offer-send")
    page.wait_for_selector("#offer", state="hidden")
    page.wait_for_selector("body[data-state=done]")
    assert sent.counts == (2, 0)
    assert f"model={chosen.replace('/', '%2F')}" in sent.uploads[1]


def test_a_model_that_only_the_server_has_takes_nothing_unasked(
    pages: Pages, on_device: None, two_served: Served
) -> None:
    """It turns the page to the server without a press there."""
    page = pages.open(None, address=two_served.address)
    page.wait_for_selector("#badge:not([hidden])")

    def without_file(route: Any) -> None:
        listing = route.fetch().json()
        listing["models"][1]["url"] = None
        route.fulfill(json=listing)

    page.route("**/web/models.json", without_file)
    page.reload()
    page.wait_for_selector("#badge:not([hidden])")
    sent = Sent(page)
    hear_street(page)

    page.select_option("#model", index=1)
    assert page.is_checked("input[value=server]")
    let_be(page)
    assert sent.counts == (0, 0)
    assert page.get_by_role("button", name=SEND).is_visible()
    assert page.inner_text("#badge").startswith(STAYED)

    page.select_option("#model", index=0)  # where this device hears again: nobody chose Server
    assert page.is_checked("input[value=device]")
    let_be(page)
    assert sent.counts == (0, 0)
    assert page.inner_text("#badge") == HERE


def test_settings_send_nothing(pages: Pages) -> None:
    page = pages.open("server")
    sent = Sent(page)
    hear_street(page)

    page.click("#language")
    page.click("#theme")
    page.focus("#threshold")
    page.keyboard.press("ArrowRight")
    page.click("#language")
    let_be(page)
    assert sent.counts == (1, 0)

    page.reload()
    page.wait_for_selector("#badge:not([hidden])")
    assert page.is_checked("input[value=server]")
    let_be(page)
    assert sent.counts == (1, 0)


def test_the_token_sends_nothing(
    pages: Pages, on_device: None, model: Any, guarded: Served
) -> None:
    """A recording that a model of one's own heard, before there was a token."""
    pages.expected.append("status of 401")
    page = pages.open(None, address=guarded.address, before=_CHOSEN)
    sent = Sent(page)
    page.wait_for_selector("#token-form", state="visible")
    page.set_input_files("#own-model-file", model.path)
    hear_street(page)
    assert page.inner_text("#badge") == HERE

    page.fill("#token", "eight-letters")
    page.keyboard.press("Enter")
    page.wait_for_selector("#token-form", state="hidden")
    let_be(page)

    assert sent.counts == (0, 0)
    assert len(rows_of(page)) > 5
    assert page.inner_text("#badge") == HERE


def test_an_upload_that_waits_is_given_up_for_the_device(pages: Pages, on_device: None) -> None:
    pages.expected.append("status of 503")
    page = pages.open("server")
    sent = Sent(page)
    body = json.dumps({"error": "BusyError", "message": "too much to do"})
    full = {"status": 503, "content_type": "application/json", "body": body}
    page.route("**/v1/classify*", lambda route: route.fulfill(**full))
    page.set_input_files("#file", STREET)
    page.wait_for_selector("#notice", state="visible")

    choose(page, "device", "ArrowLeft")
    page.wait_for_selector("body[data-state=done]")
    page.wait_for_timeout(2500)

    assert sent.counts == (1, 0)
    assert page.is_hidden("#notice")
    assert len(rows_of(page)) > 5
    assert page.inner_text("#badge").startswith(WENT)


# --- A recording is given


@pytest.mark.parametrize(
    ("language", "labels"),
    [
        (
            "en-US",
            {
                "#listen-text": ("Listen", "Listen and send to the server"),
                "#open": ("Open a recording", "Open and send to the server"),
                "#hint": ("or drop one anywhere on this page", "it is sent to 127.0.0.1:"),
                "#drop": ("Drop it here", "Drop a recording here to send it to 127.0.0.1:"),
            },
        ),
        (
            "es-ES",
            {
                "#listen-text": ("Escuchar", "Escuchar y enviar al servidor"),
                "#open": ("Abrir grabación", "Abrir y enviar al servidor"),
                "#hint": ("o suéltala en cualquier parte de esta página", "se envía a 127.0.0.1:"),
                "#drop": ("Suéltala aquí", "para enviarla a 127.0.0.1:"),
            },
        ),
    ],
)
def test_what_is_pressed_says_that_it_sends(
    pages: Pages, on_device: None, language: str, labels: dict[str, tuple[str, str]]
) -> None:
    page = pages.open("device", language=language)
    page.evaluate(
        """() => {
          const transfer = new DataTransfer();
          transfer.items.add(new File(["x"], "x.wav"));
          const init = {dataTransfer: transfer, bubbles: true, cancelable: true};
          document.body.dispatchEvent(new DragEvent("dragover", init));
        }"""
    )
    for place in (0, 1):
        for selector, texts in labels.items():
            assert page.is_visible(selector), selector
            text = page.inner_text(selector)
            assert texts[place] in text, selector
            assert (text == texts[0]) == (place == 0)
        page.check("input[value=server]")


def test_a_paste_is_not_a_press(pages: Pages) -> None:
    page = pages.open("server")
    sent = Sent(page)

    page.evaluate(
        """content => {
          const bytes = Uint8Array.from(atob(content), c => c.charCodeAt(0));
          const transfer = new DataTransfer();
          transfer.items.add(new File([bytes], "street.flac", {type: "audio/flac"}));
          const init = {clipboardData: transfer, bubbles: true};
          document.body.dispatchEvent(new ClipboardEvent("paste", init));
        }""",
        base64.b64encode(STREET.read_bytes()).decode(),
    )
    let_be(page)
    assert sent.counts == (0, 0)
    assert notice_of(page).startswith("street.flac has not been sent to 127.0")

    page.get_by_role("button", name=SEND).click()
    page.wait_for_selector("body[data-state=done]")
    assert sent.counts == (1, 0)


@pytest.mark.parametrize("pressed", ["#open", "#listen"])
def test_a_press_before_the_page_knew_where_to_sends_nothing(pages: Pages, pressed: str) -> None:
    page = pages.open("server")
    held = Held(page, "**/page.json")
    page.reload(wait_until="commit")
    page.wait_for_selector("#listen-text:has-text('Listen')")
    held.wait()
    sent = Sent(page)
    assert page.inner_text("#listen-text") == "Listen"

    if pressed == "#open":
        with page.expect_file_chooser() as choosing:
            page.click("#open")
    else:
        page.click("#listen")
    held.release()
    page.wait_for_selector("#badge:not([hidden])")
    assert page.is_checked("input[value=server]")
    if pressed == "#open":
        choosing.value.set_files(STREET)
    let_be(page)

    assert sent.counts == (0, 0)
    assert "127.0.0.1:" in notice_of(page)
    name = SEND if pressed == "#open" else SEND_MICROPHONE
    page.get_by_role("button", name=name).click()
    page.wait_for_selector("body:is([data-state=done], [data-state=live])")
    if pressed == "#listen":
        page.wait_for_function(LISTENS, timeout=40_000)
    assert sum(sent.counts) == 1


def test_trying_again_says_that_it_sends(pages: Pages) -> None:
    pages.expected.append("ERR_CONNECTION_REFUSED")
    page = pages.open("server", before="window.setTimeout = (f) => queueMicrotask(f);")
    sent = Sent(page)
    page.route("**/v1/classify*", lambda route: route.abort("connectionrefused"))
    page.set_input_files("#file", STREET)
    button = page.get_by_role("button", name=SEND_AGAIN)
    button.wait_for()
    assert notice_of(page).startswith("The server still does not answer.")
    attempts, _ = sent.counts

    page.unroute("**/v1/classify*")
    button.click()
    page.wait_for_selector("body[data-state=done]")
    assert sent.counts == (attempts + 1, 0)
