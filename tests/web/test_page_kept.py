# SPDX-License-Identifier: Apache-2.0
"""What was heard stays until somebody takes it away: whatever is begun, fails or is given up."""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import Any

import pytest
import soundfile

from tests.web.browsing import PHONE, STREET, Pages, hear_street, notice_of, rows_of

_REFUSES = """
const open = navigator.mediaDevices.getUserMedia.bind(navigator.mediaDevices);
navigator.mediaDevices.getUserMedia = async (wanted) => {
  if (window.isRefusing) throw new DOMException("no", "NotAllowedError");
  return await open(wanted);
};
"""

_BROKEN = {"name": "notes.mp3", "mimeType": "audio/mpeg", "buffer": b"no sound " * 100}


def _listen(page: Any) -> None:
    page.click("#listen")
    page.wait_for_selector("body[data-listening]")
    page.wait_for_function("() => document.querySelectorAll('#rows tr').length > 0", timeout=40_000)


def _tabs(page: Any) -> list[str]:
    texts: list[str] = page.eval_on_selector_all(
        "#tab-list .tab", "tabs => tabs.map(tab => tab.innerText)"
    )
    return texts


@pytest.fixture
def siren(tmp_path: Path) -> Path:
    samples, rate_hz = soundfile.read(STREET, dtype="int16")
    path = tmp_path / "siren.wav"
    soundfile.write(path, samples[: 6 * rate_hz], rate_hz)
    return path


def test_a_wrong_file_leaves_what_is_listened_to(pages: Pages, on_device: None) -> None:
    page = pages.open("device")
    _listen(page)
    before = page.inner_text("#status")

    page.set_input_files("#file", _BROKEN)

    assert notice_of(page).startswith("notes.mp3 cannot be decoded")
    assert page.get_attribute("body", "data-state") == "live"
    assert len(rows_of(page)) > 0
    page.wait_for_function(
        "before => document.querySelector('#status').innerText !== before", arg=before
    )
    assert page.inner_text("#status").startswith("Listening.")


def test_a_file_is_heard_while_it_listens(pages: Pages, on_device: None, siren: Path) -> None:
    page = pages.open("device")
    _listen(page)

    page.set_input_files("#file", siren)
    page.wait_for_selector("#status:has-text('siren.wav')")
    page.wait_for_selector("body[data-state=live]")

    assert len(_tabs(page)) == 2
    page.click("#tab-list .tab >> nth=0")
    page.wait_for_selector("#status:has-text('Listening.')")
    page.click("#listen")
    page.wait_for_selector("body[data-state=done]")
    page.wait_for_selector("#status:has-text('Microphone')")


@pytest.mark.parametrize("where", ["server", "device"])
def test_a_refused_microphone_leaves_the_recording(
    pages: Pages, where: str, request: pytest.FixtureRequest
) -> None:
    if where == "device":
        request.getfixturevalue("on_device")
    page = pages.open(where, before=_REFUSES)
    hear_street(page)
    before = rows_of(page)
    page.evaluate("() => { window.isRefusing = true; }")

    page.click("#listen")

    assert notice_of(page).startswith("The microphone is not allowed.")
    assert page.get_attribute("body", "data-state") == "done"
    assert rows_of(page) == before
    assert page.is_visible("#rows")


def test_what_is_given_up_leaves_what_was_heard_before(pages: Pages) -> None:
    page = pages.open("server")
    hear_street(page)
    before = rows_of(page)
    page.route("**/v1/classify*", lambda _: None)  # never answers

    page.set_input_files("#file", STREET)
    page.wait_for_selector("#busy-cancel", state="visible")
    assert rows_of(page) == before  # and it is seen meanwhile
    assert page.is_visible("#rows")
    page.click("#busy-cancel")

    assert page.get_attribute("body", "data-state") == "done"
    assert rows_of(page) == before
    page.wait_for_selector("#listen:focus")


def test_listening_again_begins_beside_it(pages: Pages, on_device: None) -> None:
    page = pages.open("device", size=PHONE)
    _listen(page)
    page.click("#listen")
    page.wait_for_selector("#status:has-text('Microphone')")
    first = rows_of(page)

    _listen(page)
    assert len(_tabs(page)) == 2
    page.click("#tab-list .tab >> nth=0")
    page.wait_for_selector("#status:has-text('Microphone')")
    assert rows_of(page) == first
    assert page.inner_text("#listen-text") == "Stop"  # the other one is still heard


def test_all_of_several_files_are_heard(pages: Pages, on_device: None, siren: Path) -> None:
    page = pages.open("device")

    page.set_input_files("#file", [STREET, siren])
    page.wait_for_function("() => document.querySelectorAll('#tab-list .tab').length === 2")
    page.wait_for_selector("body[data-state=done]")

    assert _tabs(page) == ["street.flac", "siren.wav"]
    assert "street.flac" in page.inner_text("#status")
    page.click("#tab-list .tab >> nth=1")
    page.wait_for_selector("#status:has-text('siren.wav: 0:06.0')")
    assert any("siren" in what.lower() for _, what in rows_of(page))


def test_several_files_that_are_pasted_wait_for_one_press(
    pages: Pages, on_device: None, siren: Path
) -> None:
    page = pages.open("server")
    page.evaluate(
        """names => {
          const transfer = new DataTransfer();
          for (const name of names) transfer.items.add(new File(["x"], name));
          const init = {clipboardData: transfer, bubbles: true};
          document.body.dispatchEvent(new ClipboardEvent("paste", init));
        }""",
        ["one.wav", "two.wav", "three.wav"],
    )
    assert notice_of(page).startswith("one.wav and 2 more has not been sent")


def test_it_is_taken_away_by_a_press_and_comes_back(pages: Pages) -> None:
    page = pages.open("server")
    hear_street(page)
    before = rows_of(page)

    page.click("#tab-list button[aria-label='Remove street.flac']")
    assert page.get_attribute("body", "data-state") == "empty"
    assert page.is_hidden("#rows")
    assert notice_of(page) == "street.flac was removed."
    page.click("#notice-action")

    assert page.get_attribute("body", "data-state") == "done"
    assert rows_of(page) == before


def test_a_reload_is_asked_about_where_it_would_lose_something(
    pages: Pages, on_device: None
) -> None:
    page = pages.open("device")
    asked = """() => {
      const event = new Event("beforeunload", {cancelable: true});
      dispatchEvent(event);
      return event.defaultPrevented;
    }"""
    hear_street(page)
    assert page.evaluate(asked) is False  # the recording is still in its file
    _listen(page)
    assert page.evaluate(asked) is True
    page.click("#listen")
    page.wait_for_selector("#status:has-text('Microphone')")
    assert page.evaluate(asked) is False  # it is kept
    page.uncheck("#keep")
    assert page.evaluate(asked) is True
    with page.expect_download():
        page.click("[data-format=csv]")
    assert page.evaluate(asked) is False


_STORED = """() => new Promise((resolve) => {
  const request = indexedDB.open("oido", 1);
  request.onupgradeneeded = () => request.result.createObjectStore("sessions", {keyPath: "id"});
  request.onsuccess = () => {
    const all = request.result.transaction("sessions").objectStore("sessions").getAll();
    all.onsuccess = () => {
      request.result.close();
      resolve(all.result.map(({name, nSamples, isLive}) => [name, nSamples, isLive]));
    };
  };
})"""


def _stored(page: Any, n: int) -> list[Any]:
    for _ in range(300):
        found: list[Any] = page.evaluate(_STORED)
        if len(found) == n:
            return found
        page.wait_for_timeout(100)
    raise AssertionError(found)


@pytest.mark.parametrize("where", ["server", "device"])
def test_a_reload_brings_back_what_was_heard(
    pages: Pages, where: str, request: pytest.FixtureRequest
) -> None:
    if where == "device":
        request.getfixturevalue("on_device")
    page = pages.open(where)
    hear_street(page)
    before, status = rows_of(page), page.inner_text("#status-by")
    assert _stored(page, 1) == [["street.flac", 480_000, False]]

    page.reload()
    page.wait_for_selector("body[data-state=done]")

    assert rows_of(page) == before
    assert page.inner_text("#status-by") == status
    assert _tabs(page) == ["street.flac"]
    page.eval_on_selector(
        "#threshold", "slider => { slider.value = 0.05; slider.dispatchEvent(new Event('input')); }"
    )
    assert len(rows_of(page)) > len(before)  # events are made anew, without hearing again
    page.click("#rows button >> nth=0")
    page.wait_for_function("() => !document.querySelector('#audio').paused")
    page.click("#tab-list button[aria-label='Remove street.flac']")
    assert _stored(page, 0) == []
    page.reload()
    page.wait_for_selector("#badge:not([hidden])")
    page.wait_for_timeout(500)
    assert page.get_attribute("body", "data-state") == "empty"


_KEEPS_NO_FILES = """
const {put} = IDBObjectStore.prototype;
window.nRefused = 0;
IDBObjectStore.prototype.put = function (value) {
  if (value.file instanceof Blob || value.audio?.samples instanceof Blob) {
    window.nRefused += 1;
    throw new DOMException("Error preparing Blob/File data", "UnknownError");
  }
  return put.call(this, value);
};
"""
"""As in a private window of Safari."""

_STORED_FILE = """async () => {
  const {storedRecords} = await import("./ui/session_store.js");
  const [{file}] = await storedRecords();
  const digest = new Uint8Array(await crypto.subtle.digest("SHA-256", await file.arrayBuffer()));
  return [file.name, [...digest].map((byte) => byte.toString(16).padStart(2, "0")).join("")];
}"""


@pytest.mark.parametrize("keeps_files", [True, False])
def test_a_recording_is_the_same_file_after_a_reload(pages: Pages, *, keeps_files: bool) -> None:
    page = pages.open("server", before=None if keeps_files else _KEEPS_NO_FILES)
    hear_street(page)
    before = rows_of(page)
    _stored(page, 1)
    assert page.evaluate("() => window.nRefused ?? 0") == (0 if keeps_files else 1)

    page.reload()
    page.wait_for_selector("body[data-state=done]")

    assert rows_of(page) == before
    page.click("#rows button >> nth=0")
    page.wait_for_function("() => !document.querySelector('#audio').paused")
    digest = hashlib.sha256(STREET.read_bytes()).hexdigest()
    assert page.evaluate(_STORED_FILE) == ["street.flac", digest]


_STORED_SOUND = """async () => {
  const {storedRecords} = await import("./ui/session_store.js");
  const [{audio}] = await storedRecords();
  const samples = new Int16Array(await audio.samples.arrayBuffer());
  return [audio.samples.constructor.name, audio.first, samples.length, samples.at(100_000)];
}"""

_AS_BEFORE = """async () => {
  const {storedRecords, storeRecord} = await import("./ui/session_store.js");
  const [{audio: {first, samples}, ...rest}] = await storedRecords();
  const plain = new Int16Array(await samples.arrayBuffer());
  await storeRecord({...rest, audio: {first, samples: plain}});
}"""
"""Earlier pages kept the samples themselves."""


@pytest.mark.parametrize("how", ["now", "earlier", "no files"])
def test_the_sound_that_is_kept_is_not_in_memory(
    pages: Pages, on_device: None, how: str, tmp_path: Path
) -> None:
    sound, rate_hz = soundfile.read(STREET, dtype="int16")
    path = tmp_path / "street.wav"
    soundfile.write(path, sound, rate_hz)
    page = pages.open("device", before=_KEEPS_NO_FILES if how == "no files" else None)
    page.set_input_files("#file", path)
    page.wait_for_selector("body[data-state=done]")
    _stored(page, 1)
    if how == "earlier":
        page.evaluate(_AS_BEFORE)

    page.reload()
    page.wait_for_selector("body[data-state=done]")

    assert page.evaluate(_STORED_SOUND) == ["Blob", 0, len(sound), int(sound[100_000])]


def test_a_tab_that_is_ended_loses_seconds_only(pages: Pages, on_device: None) -> None:
    page = pages.open("device")
    _listen(page)
    (before,) = _stored(page, 1)
    other = page.context.new_page()  # as after a crash: the first page said nothing more
    other.goto(page.url)
    other.wait_for_selector("body[data-state=done]")
    assert other.inner_text("#status").startswith("Microphone: 0:")
    assert before[2] is True
    other.close()


def test_nothing_is_kept_against_somebodys_will(pages: Pages) -> None:
    page = pages.open("server")
    hear_street(page)
    _stored(page, 1)
    page.uncheck("#keep")
    assert _stored(page, 0) == []
    hear_street(page)
    page.wait_for_timeout(500)
    assert _stored(page, 0) == []
    page.reload()
    page.wait_for_selector("#badge:not([hidden])")
    assert not page.is_checked("#keep")
    assert page.get_attribute("body", "data-state") == "empty"
