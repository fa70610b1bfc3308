# SPDX-License-Identifier: Apache-2.0
"""The microphone leaves the device by a press that says so, and by nothing else."""

from __future__ import annotations

import pytest

from tests.web.browsing import PHONE, Pages, Served, notice_of, serving
from tests.web.sending import (
    HERE,
    LISTENS,
    SEND_MICROPHONE,
    STAYED,
    THERE,
    WENT,
    Sent,
    choose,
    let_be,
    listen,
)

_ASKING = """
const open = navigator.mediaDevices.getUserMedia.bind(navigator.mediaDevices);
window.prompts = [];
navigator.mediaDevices.getUserMedia = async (wanted) => {
  await new Promise((allow) => window.prompts.push(allow));
  return await open(wanted);
};
"""
"""A browser that asks before it opens the microphone; each prompt waits for the test."""


@pytest.mark.parametrize("how", [pytest.param("click", marks=pytest.mark.slow), "ArrowRight"])
def test_choosing_the_server_sends_no_microphone(pages: Pages, on_device: None, how: str) -> None:
    page = pages.open("device", size=PHONE)
    sent = Sent(page)
    listen(page)

    choose(page, "server", how)
    let_be(page)
    assert sent.counts == (0, 0)
    assert page.get_attribute("body", "data-state") == "live"  # still heard, on this device
    assert page.inner_text("#badge").startswith(STAYED)
    assert page.get_by_role("button", name=SEND_MICROPHONE).is_visible()

    choose(page, "device", how)
    assert page.is_hidden("#offer")
    assert page.get_attribute("body", "data-state") == "live"
    assert page.inner_text("#badge") == HERE

    choose(page, "server", how)
    page.click("#offer-send")
    page.wait_for_selector("#offer", state="hidden")
    page.wait_for_selector("body[data-state=live]")
    page.wait_for_function(LISTENS, timeout=40_000)
    assert sent.counts == (0, 1)
    assert page.inner_text("#badge").startswith(THERE)

    page.click("#listen")
    page.wait_for_selector("body[data-state=done]")


def test_what_was_heard_of_the_microphone_is_not_sent_later(pages: Pages, on_device: None) -> None:
    page = pages.open("device")
    sent = Sent(page)
    listen(page)
    page.click("#listen")
    page.wait_for_selector("#status:has-text('Microphone')")

    choose(page, "server", "ArrowRight")
    let_be(page)

    assert sent.counts == (0, 0)
    assert page.inner_text("#badge").startswith(STAYED)
    assert page.inner_text("#listen-text") == "Listen and send to the server"


def test_choosing_the_device_ends_a_stream_at_once(pages: Pages, on_device: None) -> None:
    page = pages.open("server", size=PHONE)
    sent = Sent(page)
    listen(page)

    choose(page, "device", "ArrowLeft")  # far below the message that it brings
    page.wait_for_selector("body[data-state=done]")
    page.wait_for_selector("#status:has-text('Microphone')")
    frames = sent.frames
    assert frames > 1
    let_be(page)

    assert sent.counts == (0, 1)
    assert sent.frames == frames
    assert notice_of(page).startswith("Listening stopped")
    assert page.inner_text("#badge").startswith(WENT)
    assert page.inner_text("#listen-text") == "Listen"


def test_a_stream_that_waits_for_the_server_ends_too(pages: Pages, on_device: None) -> None:
    pages.expected += ["ERR_CONNECTION_REFUSED", "WebSocket connection to"]
    with serving() as served:
        page = pages.open("server", address=served.address)
        sent = Sent(page)
        listen(page)
        served.stop()
        page.wait_for_selector("#notice:has-text('Trying again')")

        choose(page, "device", "ArrowLeft")
        page.wait_for_selector("body[data-state=done]")
        _, attempts = sent.counts
        page.wait_for_timeout(5000)  # its pauses are of 1, 2, 4 s

        assert sent.counts == (0, attempts)
        assert notice_of(page).startswith("Listening stopped")


@pytest.mark.parametrize("pressed", ["server", "device"])
def test_a_choice_while_the_browser_asks_for_the_microphone(
    pages: Pages, on_device: None, pressed: str
) -> None:
    page = pages.open(pressed, before=_ASKING)
    sent = Sent(page)
    page.click("#listen")
    page.wait_for_function("() => window.prompts.length === 1")

    choose(page, "device" if pressed == "server" else "server", "ArrowRight")
    page.wait_for_timeout(500)
    page.evaluate("() => window.prompts.forEach((allow) => allow())")
    if pressed == "server":
        page.wait_for_function("() => window.prompts.length === 2")  # it begins anew
        page.evaluate("() => window.prompts.forEach((allow) => allow())")
    page.wait_for_selector("body[data-state=live]")
    page.wait_for_function(LISTENS, timeout=40_000)

    assert sent.counts == (0, 0)
    badge = page.inner_text("#badge")
    assert badge.startswith(HERE if pressed == "server" else STAYED)


def test_another_model_while_it_listens_opens_no_stream(pages: Pages, two_served: Served) -> None:
    page = pages.open("server", address=two_served.address)
    sent = Sent(page)
    listen(page)

    page.select_option("#model", index=1)
    page.wait_for_selector("body[data-state=done]")
    let_be(page)

    assert sent.counts == (0, 1)
    assert "another model was chosen" in notice_of(page)
