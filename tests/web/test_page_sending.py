# SPDX-License-Identifier: Apache-2.0
"""Sound leaves the device by a press that says so, and by nothing else."""

from __future__ import annotations

import base64
import json
from pathlib import Path
from typing import Any

import pytest

from oido.cli.main import run
from tests.web.browsing import PHONE, STREET, Pages, hear_street, notice_of, rows_of, serving

_HERE = "Audio stays on this device"
_THERE = "Audio goes to 127.0.0.1:"
_STAYED = "This sound stays on this device; what you start next goes to 127.0.0.1:"
_WENT = "This sound went to 127.0.0.1:"
_SEND = "Send this recording to the server"
_SEND_AGAIN = "Send it to the server again"
_SEND_MICROPHONE = "Send the microphone to the server"

_ASKING = """
const open = navigator.mediaDevices.getUserMedia.bind(navigator.mediaDevices);
window.prompts = [];
navigator.mediaDevices.getUserMedia = async (wanted) => {
  await new Promise((allow) => window.prompts.push(allow));
  return await open(wanted);
};
"""
"""A browser that asks before it opens the microphone; each prompt waits for the test."""

_CHOSEN = """
localStorage.setItem("oido.where", "server");
localStorage.setItem("oido.model", "yamnet/classification");
"""
"""What another visit chose."""

_LISTENS = "() => document.querySelectorAll('#bars li').length > 0"


class Sent:
    """What a page began to send: requests that are more than a GET, and streams."""

    def __init__(self, page: Any) -> None:
        self.uploads: list[str] = []
        self.streams: list[Any] = []
        self.frames = 0
        page.on("request", self._on_request)
        page.on("websocket", self._on_stream)

    @property
    def counts(self) -> tuple[int, int]:
        """Uploads and streams."""
        return len(self.uploads), len(self.streams)

    def _on_request(self, request: Any) -> None:
        if request.method != "GET":
            self.uploads.append(request.url)

    def _on_stream(self, stream: Any) -> None:
        self.streams.append(stream)
        stream.on("framesent", self._on_frame)

    def _on_frame(self, _: Any) -> None:
        self.frames += 1


def _choose(page: Any, where: str, how: str = "click") -> None:
    if how == "click":
        page.click(f"label:has(input[value={where}])")
    else:
        page.focus("input[name=where]:checked")
        page.keyboard.press(how)
    assert page.is_checked(f"input[value={where}]")


def _hold(page: Any, pattern: str) -> list[Any]:
    """Requests that get no answer until the test continues them."""
    held: list[Any] = []

    def hold(route: Any) -> None:
        held.append(route)

    page.route(pattern, hold)
    return held


def _let_be(page: Any) -> None:
    """Time for whatever a choice might have begun."""
    page.wait_for_timeout(1500)
    page.wait_for_selector("body:not([data-state=busy])")


def _listen(page: Any) -> None:
    page.click("#listen")
    page.wait_for_selector("body[data-state=live]")
    page.wait_for_function(_LISTENS, timeout=40_000)


def _tab_to(page: Any, element: str) -> None:
    for _ in range(40):
        page.keyboard.press("Tab")
        if page.evaluate("() => document.activeElement.id") == element:
            return
    raise AssertionError(f"Tab never comes to {element}")


@pytest.fixture
def other_model(model: Any, tmp_path: Path) -> Path:
    """The same network in a file of its own, so under another name."""
    labels, path = tmp_path / "labels.txt", tmp_path / "other.tflite"
    labels.write_text("\n".join(model.labels) + "\n", encoding="utf-8")
    arguments = ["--labels", labels, "--sample-rate", 16_000, "--name", "other", "-o", path]
    assert run(["models", "annotate", *map(str, [model.path, *arguments])]) == 0
    return path


# --- A recording is open


@pytest.mark.parametrize("how", ["click", "ArrowRight", "ArrowDown", "ArrowLeft"])
def test_choosing_the_server_sends_no_recording(pages: Pages, on_device: None, how: str) -> None:
    page = pages.open("device")
    sent = Sent(page)
    hear_street(page)
    before = rows_of(page)
    status = page.inner_text("#status")

    _choose(page, "server", how)
    _let_be(page)

    assert sent.counts == (0, 0)
    assert rows_of(page) == before
    assert page.inner_text("#status") == status
    assert page.inner_text("#badge").startswith(_STAYED)
    assert page.get_by_role("button", name=_SEND).is_visible()
    assert "heard on this device" in page.inner_text("#offer-text")

    _tab_to(page, "offer-send")  # from the radio on
    page.keyboard.press("Enter")
    page.wait_for_selector("#offer", state="hidden")
    page.wait_for_selector("body[data-state=done]")
    _let_be(page)

    assert sent.counts == (1, 0)
    assert page.inner_text("#badge").startswith(_THERE)
    assert page.is_hidden("#offer")
    assert len(rows_of(page)) > 5
    assert page.evaluate("() => document.activeElement !== document.body")  # focus is not lost


def test_the_way_back_sends_nothing_either(pages: Pages, on_device: None) -> None:
    page = pages.open("device")
    sent = Sent(page)
    hear_street(page)
    page.evaluate("() => { document.querySelector('#rows tr').kept = true; }")

    for _ in range(3):
        _choose(page, "server", "ArrowRight")
        _choose(page, "device", "ArrowRight")
    _let_be(page)

    assert sent.counts == (0, 0)
    assert page.is_hidden("#offer")
    assert page.inner_text("#badge") == _HERE
    kept = page.evaluate("() => document.querySelector('#rows tr').kept === true")
    assert kept  # nor was it heard anew


def test_what_was_sent_is_not_said_to_stay(pages: Pages, on_device: None) -> None:
    page = pages.open("server")
    sent = Sent(page)
    hear_street(page)
    assert page.inner_text("#badge").startswith(_THERE)

    _choose(page, "device", "ArrowLeft")
    _let_be(page)
    assert sent.counts == (1, 0)
    assert page.inner_text("#badge").startswith(_WENT)

    _choose(page, "server", "ArrowLeft")
    _let_be(page)
    assert sent.counts == (1, 0)
    assert page.inner_text("#badge").startswith(_THERE)
    page.get_by_role("button", name=_SEND_AGAIN).click()
    page.wait_for_selector("#offer", state="hidden")
    page.wait_for_selector("body[data-state=done]")
    assert sent.counts == (2, 0)


def test_a_recording_that_the_device_still_hears_stays_there(pages: Pages, on_device: None) -> None:
    page = pages.open("device")
    sent = Sent(page)
    held = _hold(page, "**/models/*")
    page.set_input_files("#file", STREET)
    page.wait_for_selector("body[data-state=busy]")

    _choose(page, "server", "ArrowRight")
    assert page.get_by_role("button", name=_SEND).is_visible()
    assert page.inner_text("#badge").startswith(_STAYED)
    page.wait_for_timeout(300)
    for route in held:
        route.continue_()
    page.wait_for_selector("body[data-state=done]")
    _let_be(page)

    assert sent.counts == (0, 0)
    assert len(rows_of(page)) > 5
    assert page.get_by_role("button", name=_SEND).is_visible()


def test_another_model_of_the_server_gets_nothing_unasked(pages: Pages, other_model: Path) -> None:
    models = ("--model", "yamnet/classification", "--model", str(other_model))
    with serving(*models) as served:
        page = pages.open("server", address=served.address)
        sent = Sent(page)
        hear_street(page)
        before = rows_of(page)

        page.focus("#model")
        page.keyboard.press("ArrowDown")
        chosen = page.input_value("#model")
        assert chosen != "yamnet/classification"
        _let_be(page)
        assert sent.counts == (1, 0)
        assert rows_of(page) == before
        assert "heard on the server, by yamnet/classification" in page.inner_text("#offer-text")

        page.click("#offer-send")
        page.wait_for_selector("#offer", state="hidden")
        page.wait_for_selector("body[data-state=done]")
        assert sent.counts == (2, 0)
        assert f"model={chosen.replace('/', '%2F')}" in sent.uploads[1]


def test_a_model_that_only_the_server_has_takes_nothing_unasked(
    pages: Pages, on_device: None, other_model: Path
) -> None:
    """It turns the page to the server without a press there."""
    models = ("--model", "yamnet/classification", "--model", str(other_model))
    with serving(*models) as served:
        page = pages.open(None, address=served.address)

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
        _let_be(page)
        assert sent.counts == (0, 0)
        assert page.get_by_role("button", name=_SEND).is_visible()
        assert page.inner_text("#badge").startswith(_STAYED)

        page.select_option("#model", index=0)  # where this device hears again: nobody chose Server
        assert page.is_checked("input[value=device]")
        _let_be(page)
        assert sent.counts == (0, 0)
        assert page.inner_text("#badge") == _HERE


def test_settings_send_nothing(pages: Pages) -> None:
    page = pages.open("server")
    sent = Sent(page)
    hear_street(page)

    page.click("#language")
    page.click("#theme")
    page.focus("#threshold")
    page.keyboard.press("ArrowRight")
    page.click("#language")
    _let_be(page)
    assert sent.counts == (1, 0)

    page.reload()
    page.wait_for_selector("#badge:not([hidden])")
    assert page.is_checked("input[value=server]")
    _let_be(page)
    assert sent.counts == (1, 0)


def test_the_token_sends_nothing(pages: Pages, on_device: None, model: Any) -> None:
    """A recording that a model of one's own heard, before there was a token."""
    pages.expected.append("status of 401")
    with serving("--token", "eight-letters") as guarded:
        page = pages.open(None, address=guarded.address, before=_CHOSEN)
        sent = Sent(page)
        page.wait_for_selector("#token-form", state="visible")
        page.set_input_files("#own-model-file", model.path)
        hear_street(page)
        assert page.inner_text("#badge") == _HERE

        page.fill("#token", "eight-letters")
        page.keyboard.press("Enter")
        page.wait_for_selector("#token-form", state="hidden")
        _let_be(page)

        assert sent.counts == (0, 0)
        assert len(rows_of(page)) > 5
        assert page.inner_text("#badge") == _HERE


def test_an_upload_that_waits_is_given_up_for_the_device(pages: Pages, on_device: None) -> None:
    pages.expected.append("status of 503")
    page = pages.open("server")
    sent = Sent(page)
    body = json.dumps({"error": "BusyError", "message": "too much to do"})
    full = {"status": 503, "content_type": "application/json", "body": body}
    page.route("**/v1/classify*", lambda route: route.fulfill(**full))
    page.set_input_files("#file", STREET)
    page.wait_for_selector("#notice", state="visible")

    _choose(page, "device", "ArrowLeft")
    page.wait_for_selector("body[data-state=done]")
    page.wait_for_timeout(2500)

    assert sent.counts == (1, 0)
    assert page.is_hidden("#notice")
    assert len(rows_of(page)) > 5
    assert page.inner_text("#badge").startswith(_WENT)


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
    _let_be(page)
    assert sent.counts == (0, 0)
    assert notice_of(page).startswith("street.flac has not been sent to 127.0")

    page.get_by_role("button", name=_SEND).click()
    page.wait_for_selector("body[data-state=done]")
    assert sent.counts == (1, 0)


@pytest.mark.parametrize("pressed", ["#open", "#listen"])
def test_a_press_before_the_page_knew_where_to_sends_nothing(pages: Pages, pressed: str) -> None:
    page = pages.open("server")
    held = _hold(page, "**/page.json")
    page.reload(wait_until="commit")
    page.wait_for_selector("#listen-text:has-text('Listen')")
    while not held:
        page.wait_for_timeout(50)
    sent = Sent(page)
    assert page.inner_text("#listen-text") == "Listen"

    if pressed == "#open":
        with page.expect_file_chooser() as choosing:
            page.click("#open")
    else:
        page.click("#listen")
    held[0].continue_()
    page.wait_for_selector("#badge:not([hidden])")
    assert page.is_checked("input[value=server]")
    if pressed == "#open":
        choosing.value.set_files(STREET)
    _let_be(page)

    assert sent.counts == (0, 0)
    assert "127.0.0.1:" in notice_of(page)
    name = _SEND if pressed == "#open" else _SEND_MICROPHONE
    page.get_by_role("button", name=name).click()
    page.wait_for_selector("body:is([data-state=done], [data-state=live])")
    if pressed == "#listen":
        page.wait_for_function(_LISTENS, timeout=40_000)
    assert sum(sent.counts) == 1


def test_trying_again_says_that_it_sends(pages: Pages) -> None:
    pages.expected.append("ERR_CONNECTION_REFUSED")
    page = pages.open("server", before="window.setTimeout = (f) => queueMicrotask(f);")
    sent = Sent(page)
    page.route("**/v1/classify*", lambda route: route.abort("connectionrefused"))
    page.set_input_files("#file", STREET)
    button = page.get_by_role("button", name=_SEND_AGAIN)
    button.wait_for()
    assert notice_of(page).startswith("The server still does not answer.")
    attempts, _ = sent.counts

    page.unroute("**/v1/classify*")
    button.click()
    page.wait_for_selector("body[data-state=done]")
    assert sent.counts == (attempts + 1, 0)


# --- The microphone


@pytest.mark.parametrize("how", ["click", "ArrowRight"])
def test_choosing_the_server_sends_no_microphone(pages: Pages, on_device: None, how: str) -> None:
    page = pages.open("device", size=PHONE)
    sent = Sent(page)
    _listen(page)

    _choose(page, "server", how)
    _let_be(page)
    assert sent.counts == (0, 0)
    assert page.get_attribute("body", "data-state") == "live"  # still heard, on this device
    assert page.inner_text("#badge").startswith(_STAYED)
    assert page.get_by_role("button", name=_SEND_MICROPHONE).is_visible()

    _choose(page, "device", how)
    assert page.is_hidden("#offer")
    assert page.get_attribute("body", "data-state") == "live"
    assert page.inner_text("#badge") == _HERE

    _choose(page, "server", how)
    page.click("#offer-send")
    page.wait_for_selector("#offer", state="hidden")
    page.wait_for_selector("body[data-state=live]")
    page.wait_for_function(_LISTENS, timeout=40_000)
    assert sent.counts == (0, 1)
    assert page.inner_text("#badge").startswith(_THERE)

    page.click("#listen")
    page.wait_for_selector("body[data-state=done]")


def test_what_was_heard_of_the_microphone_is_not_sent_later(pages: Pages, on_device: None) -> None:
    page = pages.open("device")
    sent = Sent(page)
    _listen(page)
    page.click("#listen")
    page.wait_for_selector("#status:has-text('Microphone')")

    _choose(page, "server", "ArrowRight")
    _let_be(page)

    assert sent.counts == (0, 0)
    assert page.inner_text("#badge").startswith(_STAYED)
    assert page.inner_text("#listen-text") == "Listen and send to the server"


def test_choosing_the_device_ends_a_stream_at_once(pages: Pages, on_device: None) -> None:
    page = pages.open("server", size=PHONE)
    sent = Sent(page)
    _listen(page)

    _choose(page, "device", "ArrowLeft")  # far below the message that it brings
    page.wait_for_selector("body[data-state=done]")
    page.wait_for_selector("#status:has-text('Microphone')")
    frames = sent.frames
    assert frames > 1
    _let_be(page)

    assert sent.counts == (0, 1)
    assert sent.frames == frames
    assert notice_of(page).startswith("Listening stopped")
    assert page.inner_text("#badge").startswith(_WENT)
    assert page.inner_text("#listen-text") == "Listen"


def test_a_stream_that_waits_for_the_server_ends_too(pages: Pages, on_device: None) -> None:
    pages.expected += ["ERR_CONNECTION_REFUSED", "WebSocket connection to"]
    with serving() as served:
        page = pages.open("server", address=served.address)
        sent = Sent(page)
        _listen(page)
        served.stop()
        page.wait_for_selector("#notice:has-text('Trying again')")

        _choose(page, "device", "ArrowLeft")
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

    _choose(page, "device" if pressed == "server" else "server", "ArrowRight")
    page.wait_for_timeout(500)
    page.evaluate("() => window.prompts.forEach((allow) => allow())")
    if pressed == "server":
        page.wait_for_function("() => window.prompts.length === 2")  # it begins anew
        page.evaluate("() => window.prompts.forEach((allow) => allow())")
    page.wait_for_selector("body[data-state=live]")
    page.wait_for_function(_LISTENS, timeout=40_000)

    assert sent.counts == (0, 0)
    badge = page.inner_text("#badge")
    assert badge.startswith(_HERE if pressed == "server" else _STAYED)


def test_another_model_while_it_listens_opens_no_stream(pages: Pages, other_model: Path) -> None:
    models = ("--model", "yamnet/classification", "--model", str(other_model))
    with serving(*models) as served:
        page = pages.open("server", address=served.address)
        sent = Sent(page)
        _listen(page)

        page.select_option("#model", index=1)
        page.wait_for_selector("body[data-state=done]")
        _let_be(page)

        assert sent.counts == (0, 1)
        assert "another model was chosen" in notice_of(page)
