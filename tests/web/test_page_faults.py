# SPDX-License-Identifier: Apache-2.0
"""What the page says when something is wrong, and that it goes on where it can."""

from __future__ import annotations

import json
import re
from typing import Any

import pytest

from oido.server.page_files import WEB_FOLDER
from tests.web.browsing import PHONE, Pages, Served, hear_street, notice_of, rows_of, serving

_REFUSING = """
navigator.mediaDevices.getUserMedia = () => Promise.reject(new DOMException("no", "%s"));
"""


def _notice(page: Any) -> str:
    text = notice_of(page)
    assert page.inner_text("#alarm") == text  # and it is read aloud
    return text


@pytest.mark.parametrize(
    ("before", "said"),
    [
        (_REFUSING % "NotAllowedError", "The microphone is not allowed."),
        (_REFUSING % "NotFoundError", "No microphone was found."),
        (_REFUSING % "NotReadableError", "another program may be using it"),
        (
            "Object.defineProperty(window, 'isSecureContext', {get: () => false});"
            "Object.defineProperty(navigator, 'mediaDevices', {get: () => undefined});",
            "only to pages opened by https",
        ),
    ],
)
def test_without_a_microphone(pages: Pages, before: str, said: str) -> None:
    page = pages.open("server", before=before)

    page.click("#listen")

    assert said in _notice(page)
    assert page.get_attribute("body", "data-state") == "empty"


def test_without_webassembly(pages: Pages, on_device: None) -> None:
    page = pages.open("device", before="delete window.WebAssembly;")

    page.click("#listen")

    assert "WebAssembly" in _notice(page)


@pytest.mark.parametrize("where", ["server", "device"])
def test_a_file_that_is_no_recording(
    pages: Pages, where: str, request: pytest.FixtureRequest
) -> None:
    if where == "device":
        request.getfixturevalue("on_device")
    pages.expected.append("status of 422")
    page = pages.open(where)

    broken = {"name": "notes.mp3", "mimeType": "audio/mpeg", "buffer": b"no sound " * 100}
    page.set_input_files("#file", broken)

    assert _notice(page).startswith("notes.mp3 cannot be decoded")
    page.click("#notice-close")
    assert page.is_hidden("#notice")


@pytest.mark.parametrize("language", ["en-US", "es-ES"])
def test_a_model_that_does_not_load(pages: Pages, on_device: None, language: str) -> None:
    pages.expected.append("status of 404")
    page = pages.open("device", language=language)
    page.route("**/models/*", lambda route: route.fulfill(status=404, body="gone"))

    page.click("#listen")

    said = {
        "en-US": "yamnet/classification cannot be loaded:",
        "es-ES": "No se puede cargar yamnet/classification:",
    }
    assert _notice(page).startswith(said[language])


def test_a_model_of_ones_own_hears(pages: Pages, on_device: None, model: Any) -> None:
    page = pages.open("server")

    page.set_input_files("#own-model-file", model.path)
    assert page.is_checked("input[value=device]")
    hear_street(page)

    assert any("siren" in what.lower() for _, what in rows_of(page))
    assert page.input_value("#model") == model.path.name


def test_a_full_server_is_asked_again(pages: Pages) -> None:
    pages.expected.append("status of 503")
    page = pages.open("server")
    refused: list[str] = []

    def answer(route: Any) -> None:
        refused.append(route.request.url)
        if len(refused) > 1:
            route.continue_()
            return
        body = {"error": "BusyError", "message": "too much to do"}
        route.fulfill(status=503, content_type="application/json", body=json.dumps(body))

    page.route("**/v1/classify*", answer)
    page.set_input_files("#file", "examples/street.flac")

    assert _notice(page) == "The server has too much to do. Trying again in 1 s."
    page.wait_for_selector("body[data-state=done]")
    assert page.is_hidden("#notice")
    assert len(rows_of(page)) > 5


def test_a_server_that_goes_and_comes_back(pages: Pages) -> None:
    pages.expected += ["ERR_CONNECTION_REFUSED", "WebSocket connection to"]
    with serving() as first:
        page = pages.open("server", address=first.address)
        page.click("#listen")
        page.wait_for_function(
            "() => document.querySelectorAll('#rows tr').length > 0", timeout=40_000
        )
        first.stop()
        assert notice_of(page).startswith("The server does not answer. Trying again in")
    heard = page.evaluate("() => document.querySelector('#status').innerText")
    again = Served("--port", first.port)
    try:
        page.wait_for_selector("#notice", state="hidden")
        # Time went on while the server was away, and what is heard is where it belongs.
        page.wait_for_function(
            "before => document.querySelector('#status').innerText !== before", arg=heard
        )
        page.wait_for_function(
            """() => {
              const rows = [...document.querySelectorAll("#rows tr")];
              const starts = rows.map(row => {
                const [minutes, seconds] = row.innerText.split(" – ")[0].split(":").map(Number);
                return 60 * minutes + seconds;
              });
              return starts.length > 1 && Math.max(...starts) - Math.min(...starts) > 2;
            }""",
            timeout=40_000,
        )
        page.click("#listen")
        page.wait_for_selector("body[data-state=done]")
    finally:
        again.stop()


def test_a_token_is_asked_for(pages: Pages, on_device: None, guarded: Served) -> None:
    pages.expected.append("status of 401")
    page = pages.open(None, address=guarded.address)
    assert "wants its token" in _notice(page)
    page.fill("#token", "a-wrong-one")
    page.keyboard.press("Enter")
    page.wait_for_selector("#notice:has-text('not the token')")
    page.fill("#token", "eight-letters")
    page.keyboard.press("Enter")
    page.wait_for_selector("#token-form", state="hidden")
    assert page.is_hidden("#notice")
    for where in ("device", "server"):
        page.check(f"input[value={where}]")
        hear_street(page)
        assert any("siren" in what.lower() for _, what in rows_of(page))
    page.click("#listen")
    page.wait_for_selector("body[data-state=live]")
    page.wait_for_function("() => document.querySelectorAll('#bars li').length > 0")
    page.click("#listen")
    page.wait_for_selector("#status:has-text('Microphone')")


@pytest.mark.parametrize(
    ("language", "wanted", "wrong"),
    [
        ("en-US", "This server wants its token.", "That is not the token of this server."),
        pytest.param(
            *("es-ES", "Este servidor pide su clave.", "Esa no es la clave de este servidor."),
            marks=pytest.mark.slow,
        ),
    ],
)
def test_a_wrong_token_is_said_until_it_is_right(
    pages: Pages,
    on_device: None,
    model: Any,
    guarded: Served,
    language: str,
    wanted: str,
    wrong: str,
) -> None:
    pages.expected.append("status of 401")
    page = pages.open(None, address=guarded.address, language=language, size=PHONE)
    page.wait_for_selector("#token", state="visible")
    page.click("#listen")
    assert _notice(page).startswith(wanted)
    page.wait_for_selector("#token:focus")

    for _ in range(2):
        with page.expect_response("**/web/models.json"):
            page.fill("#token", "a-wrong-one")
            page.keyboard.press("Enter")
        page.wait_for_timeout(500)  # for whatever would take the message away
        assert _notice(page) == wrong
        assert page.is_visible("#token")

    # What has nothing to do with the token does not take its message away for good.
    page.set_input_files("#own-model-file", model.path)
    page.wait_for_selector("#badge", state="visible")
    assert notice_of(page) == wrong
    broken = {"name": "notes.mp3", "mimeType": "audio/mpeg", "buffer": b"no sound " * 100}
    page.set_input_files("#file", broken)
    page.wait_for_selector("#notice:has-text('notes.mp3')")
    page.click("#notice-close")
    assert notice_of(page) == wrong

    page.fill("#token", "eight-letters")
    page.keyboard.press("Enter")
    page.wait_for_selector("#notice", state="hidden")
    assert page.is_hidden("#token")


_SAYS = """async ([key, values]) => {
  const { clearNotice, notice } = await import("./ui/notices.js");
  clearNotice();
  // What only counts seconds does not move the page under somebody.
  const isCounting = ["serverGone", "serverFull", "behind"].includes(key);
  window.scrollTo(0, isCounting ? 0 : document.body.scrollHeight);
  notice(key, values, { key: "close", run: () => {} });
  const { t } = await import("./ui/language.js");
  return t(key, values);
}"""


@pytest.mark.parametrize("language", ["en-US", pytest.param("es-ES", marks=pytest.mark.slow)])
def test_every_message_is_seen(pages: Pages, language: str) -> None:
    """Each that a script can show, whole, on a phone, from the lowest place of the page."""
    sources = [WEB_FOLDER / "app.js", *WEB_FOLDER.glob("ui/*.js")]
    text = "\n".join(path.read_text("utf-8") for path in sources)
    keys = set(re.findall(r'\b(?:notice|lastingNotice)\((?:"\w+", )?"(\w+)"', text))
    keys |= set(re.findall(r'return \["(\w+)", \{', text))
    keys |= {
        "tokenWanted",
        "tokenWrong",
        "stoppedPlace",
        "stoppedModel",
        "serverFull",
        "serverGone",
    }
    page = pages.open("server", language=language, size=PHONE)
    keys &= set(page.evaluate("async () => Object.keys((await import('./ui/words.js')).WORDS.en)"))
    assert len(keys) > 25
    hear_street(page)
    long = "a-name_that_is_rather_long_and_has_no_space.flac"
    names = ("file", "name", "model", "server", "why", "details")
    values = {**dict.fromkeys(names, long), "seconds": 3, "n": 2, "all": 5, "time": "0:12.5"}
    for key in sorted(keys):
        expected = page.evaluate(_SAYS, [key, values])
        assert notice_of(page) == expected, key
        assert not re.search(r"undefined|\{\w+\}", expected), key
        assert page.inner_text("#alarm") == expected, key


def test_a_token_that_the_server_has_only_now(pages: Pages) -> None:
    pages.expected.append("status of 401")
    page = pages.open("server")
    body = json.dumps({"error": "AccessError", "message": "the token is missing"})
    refusal = {"status": 401, "content_type": "application/json", "body": body}
    page.route("**/v1/classify*", lambda route: route.fulfill(**refusal))

    page.set_input_files("#file", "examples/street.flac")

    assert "wants its token" in _notice(page)
    assert page.is_visible("#token")


def test_a_newer_version_is_offered_until_it_is_taken(pages: Pages) -> None:
    pages.expected.append("status of 422")
    page = pages.open("server")
    page.evaluate(
        """async () => {
          const { lastingNotice } = await import("./ui/notices.js");
          const run = () => { window.isTaken = true; };
          lastingNotice("update", "update", {}, { key: "reload", run });
        }"""
    )
    newer = "A newer version of this page is here."
    assert _notice(page) == newer

    broken = {"name": "notes.mp3", "mimeType": "audio/mpeg", "buffer": b"no sound " * 100}
    page.set_input_files("#file", broken)
    page.wait_for_selector("#notice:has-text('notes.mp3')")
    hear_street(page)
    assert notice_of(page) == newer

    page.click("#notice-action")
    assert page.evaluate("() => window.isTaken") is True
    assert page.is_hidden("#notice")
