# SPDX-License-Identifier: Apache-2.0
"""What goes out of the page and comes in: clips with pictures, links, files of others."""

from __future__ import annotations

import struct
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from oido.models.model import AudioModel
from oido.server.page_files import WEB_FOLDER, export_page
from tests.web.browsing import STREET, Host, Pages, hear_street, notice_of, rows_of

_SHARES = """
window.shared = [];
navigator.canShare = ({files}) => files.every(file => TYPES.includes(file.type));
navigator.share = async ({files, text}) => {
  window.shared.push([text, ...files.map(file => [file.name, file.type, file.size])]);
  window.picture = files[1] && await createImageBitmap(files[1]);
};
"""

_CLIPBOARD = """
Object.defineProperty(navigator, "clipboard", {
  value: {writeText: async text => { window.copied = text; }}, configurable: true,
});
"""

_NO_CLIPBOARD = "Object.defineProperty(navigator, 'clipboard', {value: undefined});"


def _place(page: Any) -> float:
    return float(page.get_attribute("#stage", "aria-valuenow"))


@pytest.mark.parametrize("types", [["audio/wav", "image/png"], ["audio/wav"]])
def test_a_clip_is_shared_with_its_picture_where_both_are_taken(
    pages: Pages, types: list[str]
) -> None:
    pages.expected.append("willReadFrequently")  # of the test's own reading
    page = pages.open("server", before=_SHARES.replace("TYPES", str(types)))
    hear_street(page)
    page.click("#rows .what button >> nth=0")
    page.click("#review-clip:has-text('Share clip')")
    page.wait_for_function("() => window.shared.length > 0")
    ((text, clip, *more),) = page.evaluate("() => window.shared")
    label = rows_of(page)[0][1]
    assert text.startswith(label)
    assert clip[1] == "audio/wav"
    assert [kind for _, kind, _ in more] == types[1:]
    if not more:
        return
    assert more[0][0] == clip[0].replace(".wav", ".png")
    page.wait_for_function("() => window.picture")
    seen = page.evaluate(
        """() => {
          const {width, height} = window.picture;
          const canvas = new OffscreenCanvas(width, height);
          const context = canvas.getContext("2d");
          context.drawImage(window.picture, 0, 0);
          const colours = (x, y, w, h) => {
            const {data} = context.getImageData(x, y, w, h);
            return new Set(new Uint32Array(data.buffer)).size;
          };
          return [width, height, colours(0, 0, width, 400), colours(56, 440, 600, 90),
                  colours(width - 200, 520, 150, 70), colours(0, 610, width, 20)];
        }"""
    )
    assert seen[:2] == [1200, 630]
    picture, name, mark, margin = seen[2:]
    assert picture > 100  # a spectrogram
    assert min(name, mark) > 10  # letters
    assert margin == 1


def test_a_picture_is_saved_where_nothing_can_be_shared(pages: Pages) -> None:
    page = pages.open("server")
    hear_street(page)
    page.click("#rows .what button >> nth=0")
    with page.expect_download() as downloading:
        page.click("#review-card")
    assert downloading.value.suggested_filename.endswith(".png")
    content = downloading.value.path().read_bytes()
    assert content.startswith(b"\x89PNG")
    assert struct.unpack(">II", content[16:24]) == (1200, 630)


def test_a_link_opens_what_was_heard_at_its_moment(pages: Pages, on_device: None) -> None:
    page = pages.open("device", before=_CLIPBOARD)
    page.set_input_files(
        "#file", {"name": "my street.flac", "mimeType": "", "buffer": STREET.read_bytes()}
    )
    page.wait_for_selector("body[data-state=done]")
    page.focus("#stage")
    page.keyboard.press("n")
    page.keyboard.press("n")
    at = _place(page)
    assert at > 1
    page.click("#link")
    assert notice_of(page).startswith("The link to 0:0")
    link = page.evaluate("() => window.copied")
    assert "#recording=my+street.flac&t=" in link
    assert "?" not in link.partition("#")[0]

    page.keyboard.press("Home")
    page.wait_for_function("async () => (await indexedDB.databases()).length > 0")
    again = page.context.new_page()  # the same browser: it was kept
    again.add_init_script("delete Navigator.prototype.serviceWorker;")
    again.goto(link)
    again.wait_for_selector(f"#stage[aria-valuenow='{at:.1f}']")

    other = pages.open("device", address=link, language="es-ES")  # another one
    assert "my street.flac" in notice_of(other)
    assert "abre la grabación" in notice_of(other)
    other.set_input_files(
        "#file", {"name": "my street.flac", "mimeType": "", "buffer": STREET.read_bytes()}
    )
    other.wait_for_selector("body[data-state=done]")
    assert _place(other) == pytest.approx(at, abs=0.2)
    sent = [url for url in pages.requests if "my+street" in url.partition("#")[0]]
    assert sent == []  # no server is told what the link is of


def test_a_link_to_an_example_opens_it(pages: Pages, on_device: None) -> None:
    page = pages.open("device", before=_NO_CLIPBOARD)
    page.evaluate("() => { location.hash = 'recording=street.flac&t=12.5'; }")
    page.wait_for_selector("body[data-state=done]")
    assert _place(page) == 12.5
    page.click("#link")
    assert notice_of(page) == "The link to 0:12.5 stands in the address bar."
    assert page.evaluate("() => location.hash").startswith("#recording=street.flac&t=12.5&session=")


@pytest.mark.parametrize("hash", ["", "#t=3", "#recording=&t=3", "#recording=x.wav&t=-1", "#x=%"])
def test_what_is_no_link_to_a_moment_is_let_be(pages: Pages, hash: str) -> None:
    page = pages.open("server")
    moment = page.evaluate(
        "async (hash) => (await import('./ui/permalink.js')).momentIn('http://127.0.0.1/' + hash)",
        hash,
    )
    assert moment is None


def test_files_that_the_system_opens_arrive(pages: Pages, on_device: None) -> None:
    before = """
    Object.defineProperty(window, "launchQueue", {
      value: {setConsumer(consume) { window.launch = consume; }}, configurable: true,
    });
    """
    page = pages.open("device", before=before)
    page.wait_for_function("() => window.launch")
    page.evaluate(
        """async () => {
          const blob = await (await fetch("examples/beep.flac")).blob();
          const file = new File([blob], "memo.flac", {type: "audio/flac"});
          await window.launch({files: [{getFile: async () => file}]});
        }"""
    )
    page.wait_for_selector("#status:has-text('memo.flac')")


@pytest.fixture
def installed(
    browser: Any, tmp_path: Path, model: AudioModel, on_device: None
) -> Iterator[tuple[Any, str]]:
    """A page of an export whose service worker runs, and its address."""
    export_page(tmp_path / "site", [model], web=WEB_FOLDER)
    host = Host(tmp_path / "site")
    context = browser.new_context()
    page = context.new_page()
    page.goto(host.address)
    page.evaluate(
        """async () => {
          const {registerOffline} = await import("./core/register.js");
          await registerOffline();
          await navigator.serviceWorker.ready;
          if (navigator.serviceWorker.controller) return;
          await new Promise(resolve => { navigator.serviceWorker.oncontrollerchange = resolve; });
        }"""
    )
    yield page, host.address
    context.close()
    host.stop()


def test_a_recording_that_another_program_shares_arrives_once(installed: tuple[Any, str]) -> None:
    page, address = installed
    assert page.inner_text("#promise") == "521 sounds · works offline · audio stays here"
    share = """async () => {
      const manifest = await (await fetch("manifest.webmanifest")).json();
      const {action, method, params: {files: [{name}]}} = manifest.share_target;
      const form = new FormData();
      const blob = await (await fetch("examples/beep.flac")).blob();
      form.append(name, new File([blob], "voz, Ana.flac", {type: "audio/flac"}));
      const answer = await fetch(action, {method, body: form, redirect: "manual"});
      return [answer.type, (await caches.keys()).includes("oido-shared")];
    }"""
    assert page.evaluate(share) == ["opaqueredirect", True]

    page.goto(f"{address}?shared")
    page.wait_for_selector("#status:has-text('voz, Ana.flac')")
    assert page.url == address
    assert "oido-shared" not in page.evaluate("() => caches.keys()")
    # An example that was opened is kept for use without a network, and only such a one.
    kept = "async () => !!(await caches.match(new URL('examples/NAME.flac', location.href).href))"
    assert page.evaluate(kept.replace("NAME", "beep")) is True
    assert page.evaluate(kept.replace("NAME", "alarm")) is False
