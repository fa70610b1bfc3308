# SPDX-License-Identifier: Apache-2.0
"""What the page cannot keep, hear or show, it says; and nothing of it is out of reach."""

from __future__ import annotations

import re

import pytest

from tests.web.browsing import PHONE, STREET, Pages, hear_street, notice_of, rows_of

_MUTED = """
navigator.mediaDevices.getUserMedia = async () => {
  const context = new AudioContext();
  const gain = context.createGain();
  const tone = context.createOscillator();
  const target = context.createMediaStreamDestination();
  gain.gain.value = 0;
  tone.connect(gain).connect(target);
  tone.start();
  window.unmute = () => { gain.gain.value = 0.1; };
  return target.stream;
};
"""
"""A microphone that gives zeros until the test says otherwise."""

_SHORT_MEMORY = """async () => {
  const {RecentAudio} = await import("./ui/recent.js");
  const first = Object.getOwnPropertyDescriptor(RecentAudio.prototype, "first").get;
  // As if the sound of the last three seconds were all that is kept.
  Object.defineProperty(RecentAudio.prototype, "first", {
    get() { return Math.max(first.call(this), this.nSamples - 3 * this.sampleRateHz); },
  });
}"""


@pytest.mark.parametrize(
    ("language", "said"),
    [
        pytest.param("en-US", "The microphone gives no sound at all", marks=pytest.mark.slow),
        ("es-ES", "El micrófono no da ningún"),
    ],
)
def test_a_muted_microphone_is_said_until_it_is_heard(
    pages: Pages, on_device: None, language: str, said: str
) -> None:
    page = pages.open("device", before=_MUTED, language=language)
    page.click("#listen")
    page.wait_for_selector("body[data-listening]")
    page.wait_for_selector("#notice", state="visible")
    assert notice_of(page).startswith(said)

    page.evaluate("() => window.unmute()")
    page.wait_for_selector("#notice", state="hidden")
    page.click("#listen")
    page.wait_for_selector("body[data-state=done]")


def test_the_microphone_can_be_chosen(pages: Pages, on_device: None) -> None:
    asked = """
    const open = navigator.mediaDevices.getUserMedia.bind(navigator.mediaDevices);
    window.asked = [];
    navigator.mediaDevices.getUserMedia = async (wanted) => {
      window.asked.push(wanted.audio.deviceId?.exact ?? "");
      return await open(wanted);
    };
    const device = (deviceId, label) => ({kind: "audioinput", deviceId, label});
    let real = null;
    const list = navigator.mediaDevices.enumerateDevices.bind(navigator.mediaDevices);
    navigator.mediaDevices.enumerateDevices = async () => {
      const inputs = (await list()).filter(({kind}) => kind === "audioinput");
      const one = inputs.find(({deviceId}) => deviceId !== "default");
      return [device("default", "Default"), device(one.deviceId, "Desk"), device("gone", "Gone")];
    };
    """
    page = pages.open("device", before=asked, size=PHONE)
    page.click("#listen")
    page.wait_for_selector("body[data-listening]")
    page.wait_for_selector("#microphone", state="visible")
    names = page.eval_on_selector_all("#microphone option", "all => all.map(o => o.textContent)")
    assert names == ["The browser's choice", "Desk", "Gone"]
    assert page.evaluate("() => window.asked") == [""]

    page.select_option("#microphone", label="Desk")
    page.wait_for_function("() => window.asked.length === 2")
    assert page.evaluate("() => window.asked[1]") not in ("", "gone")
    before = page.inner_text("#status")
    page.wait_for_function(
        "before => document.querySelector('#status').innerText !== before", arg=before
    )
    assert page.get_attribute("body", "data-state") == "live"

    page.select_option("#microphone", label="Gone")  # it was unplugged
    page.wait_for_selector("body[data-state=done]")
    assert notice_of(page).startswith("No microphone was found.")
    assert page.is_visible("#picture")  # and what was heard stays


def test_only_sound_that_is_here_has_a_play_button(pages: Pages, on_device: None) -> None:
    page = pages.open("device")
    page.evaluate(_SHORT_MEMORY)
    page.click("#listen")
    page.wait_for_function(
        "() => document.querySelectorAll('#rows td:first-child button:disabled').length > 0",
        timeout=60_000,
    )
    page.click("#listen")
    page.wait_for_selector("#status:has-text('Microphone')")
    kept = page.evaluate(
        """() => {
          const seconds = text => text.split(":").reduce((sum, part) => 60 * sum + Number(part), 0);
          const end = seconds(document.querySelector("#status").innerText.split(": ")[1]);
          return [...document.querySelectorAll("#rows td:first-child button")].map(button =>
            [seconds(button.innerText.split(" – ")[0]) - (end - 3), button.disabled, button.title]);
        }"""
    )
    assert {disabled for _, disabled, _ in kept} >= {True}
    for after, disabled, title in kept:
        if abs(after) > 0.3:
            assert disabled is (after < 0)
        assert (title == "Its sound is not kept any more.") is disabled


def test_events_that_went_are_told(pages: Pages) -> None:
    page = pages.open("server")
    texts = page.evaluate(
        """async () => {
          const {Found} = await import("./ui/found.js");
          const {Session} = await import("./ui/session.js");
          const info = {labels: ["a"], sampleRateHz: 16000, windowSamples: 15600,
                        hopSamples: 7680, calibrated: false, thresholds: null};
          const session = new Session({name: "x", engine: {info}, audio: null, isLive: true});
          const found = new Found({onPlay: () => {}, onChange: () => {}});
          document.querySelector("#found").hidden = false;
          session.maker.events = [];
          found.show(session);
          const said = () => {
            const box = document.querySelector("#found-lost");
            return box.checkVisibility() ? box.innerText : "";
          };
          const texts = [said()];
          session.maker.nLost = 12;
          found.refresh();
          texts.push(said());
          return texts;
        }"""
    )
    assert texts == ["", "12 older events are not listed any more."]


def test_a_long_name_does_not_widen_the_page(pages: Pages) -> None:
    page = pages.open("server", size={"width": 320, "height": 640})
    name = "a_recording_of_the_street_" * 8 + ".flac"
    page.set_input_files(
        "#file", {"name": name, "mimeType": "audio/flac", "buffer": STREET.read_bytes()}
    )
    page.wait_for_selector("body[data-state=done]")
    assert name in page.inner_text("#status")

    def width() -> int:
        found: int = page.evaluate("() => document.documentElement.scrollWidth")
        return found

    assert width() == 320
    page.click("#tab-list button[aria-label^='Remove']")
    assert name in notice_of(page)
    assert width() == 320


@pytest.mark.parametrize("size", [PHONE, {"width": 1280, "height": 500}])
def test_stop_is_never_out_of_reach(pages: Pages, on_device: None, size: dict[str, int]) -> None:
    page = pages.open("device", size=size)
    hear_street(page)
    page.click("#listen")
    page.wait_for_selector("body[data-listening]")
    page.wait_for_function("() => document.querySelectorAll('#rows tr').length > 0", timeout=40_000)
    for place in ("0", "document.body.scrollHeight / 2", "document.body.scrollHeight"):
        page.evaluate(f"() => window.scrollTo(0, {place})")
        page.wait_for_timeout(100)
        box = page.locator("#listen").bounding_box()
        assert 0 <= box["y"] < box["y"] + box["height"] <= size["height"]
    page.click("#listen")
    page.wait_for_selector("body[data-state=done]")


@pytest.mark.parametrize("where", ["device", "server"])
def test_a_recording_that_is_cut_off_is_called_damaged(
    pages: Pages, on_device: None, where: str
) -> None:
    page = pages.open(where)
    content = STREET.read_bytes()
    cut = {"name": "cut.flac", "mimeType": "audio/flac", "buffer": content[: len(content) // 2]}
    page.set_input_files("#file", cut)
    page.wait_for_selector("body[data-state=done]")
    page.wait_for_selector("#notice:not([hidden])")
    assert notice_of(page) == "cut.flac is damaged: some of it could not be heard."
    hear_street(page)
    assert page.is_hidden("#notice")


_EXPLAINED = """async kind => {
  const {explain} = await import("./ui/notices.js");
  const {OidoError} = await import("./core/errors.js");
  const {t} = await import("./ui/language.js");
  return [new OidoError(kind, "the upload is larger than it may be"),
          new TypeError("Failed to fetch")].map(error => t(...explain(error, "x.wav")));
}"""


def test_no_english_stands_in_spanish(pages: Pages) -> None:
    page = pages.open("server", language="es-ES")
    for kind in ("ModelFetchError", "RuntimeError", "LimitError", "OtherError"):
        for sentence in page.evaluate(_EXPLAINED, kind):
            assert re.search(r"[áéíóúñ]|ha salido|no lo ha|No se puede", sentence), kind
            english = ("upload", "larger", "Failed", "undefined")
            assert not any(word in sentence for word in english), kind


def test_the_summary_names_each_sound_once(pages: Pages) -> None:
    page = pages.open("server")
    hear_street(page)
    rows = rows_of(page)
    names = {what for _, what in rows}
    texts = page.eval_on_selector_all("#summary button", "all => all.map(b => b.innerText)")

    assert {text.split(" · ")[0] for text in texts} == names
    assert len(texts) == len(names)
    for text in texts:
        name, count, _ = text.split(" · ")
        assert count == f"{sum(what == name for _, what in rows)}×"
    page.click("#summary button >> nth=0")
    page.wait_for_function("() => !document.querySelector('#audio').paused")


def test_events_are_found_by_name_and_by_family(pages: Pages) -> None:
    page = pages.open("server", language="es-ES")
    hear_street(page)
    before = rows_of(page)

    page.fill("#filter", "SIRÉNA")  # neither case nor accents count
    some = rows_of(page)
    assert 0 < len(some) < len(before)
    assert page.inner_text("#found-count") == f"{len(before)} eventos"
    page.fill("#filter", "xylophone of glass")
    assert page.is_visible("#found-none")
    assert page.is_hidden("#rows")
    page.fill("#filter", "")
    assert rows_of(page) == before

    page.click("#families [data-family=alarms]")
    alarms = rows_of(page)
    assert 0 < len(alarms) < len(before)
    page.click("#families [data-family=people]")
    assert len(alarms) < len(rows_of(page)) < len(before) + 1
    with page.expect_download() as downloading:  # all are saved, as the command line does
        page.click("[data-format=csv]")
    lines = downloading.value.path().read_text("utf-8").splitlines()
    assert len(lines) == len(before) + 1
