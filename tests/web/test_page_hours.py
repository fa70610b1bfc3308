# SPDX-License-Identifier: Apache-2.0
"""Long recordings: decoded by slices, heard as they come, and listed without making every row."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile
from numpy.typing import NDArray

import oido
from tests.web.browsing import STREET, Pages, rows_of

MINUTES = 6


@pytest.fixture(scope="module")
def long_street(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Six minutes of examples/street.flac."""
    samples, rate_hz = soundfile.read(STREET, dtype="int16")
    path = tmp_path_factory.mktemp("long") / "long.wav"
    soundfile.write(path, np.tile(samples, 2 * MINUTES), rate_hz)
    return path


@pytest.fixture(scope="module")
def events(classifier: oido.AudioClassifier, long_street: Path) -> list[str]:
    return [event.label for event in classifier.classify(long_street).events()]


def _labels(page: Any) -> list[str]:
    if page.is_visible("#show-all"):
        page.click("#show-all")
    return [what for _, what in rows_of(page)]


_SLOWLY = """async () => {
  const {NetworkClient} = await import("./core/network_client.js");
  const hear = NetworkClient.prototype.hear;
  window.nCalls = 0;
  NetworkClient.prototype.hear = async function (waveform) {
    window.nCalls += 1;
    while (window.nCalls > 4 && !window.goesOn) await new Promise((go) => setTimeout(go, 20));
    return await hear.call(this, waveform);
  };
}"""


def test_windows_are_shown_as_they_come(
    pages: Pages, on_device: None, long_street: Path, events: list[str]
) -> None:
    page = pages.open("device")
    page.evaluate(_SLOWLY)

    page.set_input_files("#file", long_street)
    page.wait_for_function("() => document.querySelectorAll('#rows tr').length > 2", timeout=60_000)
    assert page.get_attribute("body", "data-state") == "busy"
    assert page.is_visible("#rows")
    page.evaluate("() => { window.goesOn = true; }")
    page.wait_for_selector("body[data-state=done]", timeout=120_000)

    assert f"long.wav: {MINUTES}:00.0" in page.inner_text("#status")
    assert _labels(page) == events


def test_what_was_heard_stays_when_the_rest_is_given_up(
    pages: Pages, on_device: None, long_street: Path
) -> None:
    page = pages.open("device")
    page.evaluate(_SLOWLY)
    page.set_input_files("#file", long_street)
    page.wait_for_function("() => document.querySelectorAll('#rows tr').length > 2", timeout=60_000)

    page.click("#busy-cancel")

    page.evaluate("() => { window.goesOn = true; }")
    page.wait_for_selector("#status:has-text('the first')")
    assert page.get_attribute("body", "data-state") == "done"
    assert len(rows_of(page)) >= 2  # of those that were going on, some are no events


def test_a_server_gets_it_in_pieces_of_the_models_rate(
    pages: Pages, long_street: Path, events: list[str], tmp_path: Path
) -> None:
    samples, rate_hz = soundfile.read(long_street, dtype="int16")
    stereo = tmp_path / "stereo.wav"
    soundfile.write(stereo, np.repeat(samples[:, None], 2, axis=1), rate_hz)
    page = pages.open("server")
    sizes: list[int] = []

    def passed(route: Any) -> None:
        sizes.append(len(route.request.post_data_buffer or b""))
        route.continue_()

    page.route("**/v1/classify*", passed)
    page.set_input_files("#file", stereo)
    page.wait_for_selector("body[data-state=done]", timeout=180_000)

    assert len(sizes) == 2
    assert max(sizes) < 10_000_000  # five minutes at 16 kHz, 16 bits
    assert f"stereo.wav: {MINUTES}:00.0" in page.inner_text("#status")
    assert _labels(page) == events


_SLICED = """async ({content, name, rate}) => {
  const {openSliced, decodeFile} = await import("./core/decode.js");
  const bytes = await (await fetch(content)).arrayBuffer();
  const file = new File([bytes], name);
  const sliced = await openSliced(file, rate);
  if (sliced === null) return null;
  const pieces = [];
  let longest = 0;
  for await (const piece of sliced.slices()) {
    pieces.push(piece);
    longest = Math.max(longest, piece.length);
  }
  const all = new Float32Array(await new Blob(pieces).arrayBuffer());
  const {samples: whole} = await decodeFile(file, rate);
  let [product, one, other, largest] = [0, 0, 0, 0];
  for (let index = 0; index < Math.min(all.length, whole.length); index++) {
    product += all[index] * whole[index];
    one += all[index] ** 2;
    other += whole[index] ** 2;
    largest = Math.max(largest, Math.abs(all[index] - whole[index]));
  }
  return {about: sliced.nSamples, length: all.length, whole: whole.length, longest, largest,
          likeness: product / Math.sqrt(one * other)};
}"""


def _write(path: Path, samples: NDArray[np.int16], rate_hz: int, **options: Any) -> Path:
    soundfile.write(path, samples, rate_hz, **options)
    return path


@pytest.mark.parametrize(
    ("name", "rate_hz", "channels"),
    [
        ("a.wav", 16_000, 1),
        pytest.param("a.wav", 44_100, 2, marks=pytest.mark.slow),
        ("a.flac", 48_000, 2),
        ("a.mp3", 44_100, 2),
    ],
)
def test_slices_are_the_whole(
    pages: Pages, tmp_path: Path, name: str, rate_hz: int, channels: int
) -> None:
    rng = np.random.default_rng(7)
    n = 310 * rate_hz
    # A slow melody with noise: nothing of it repeats, so a shift would be seen.
    phase = 2 * np.pi * np.cumsum(300 + 200 * np.sin(np.arange(n) / rate_hz)) / rate_hz
    mono = (8000 * np.sin(phase) + 200 * rng.standard_normal(n)).astype(np.int16)
    samples = np.repeat(mono[:, None], channels, axis=1) if channels > 1 else mono
    path = _write(tmp_path / name, samples, rate_hz)
    page = pages.open("server")
    page.route("**/long-file", lambda route: route.fulfill(path=path))

    found = page.evaluate(_SLICED, {"content": "long-file", "name": name, "rate": 16_000})

    assert found is not None
    assert found["length"] == pytest.approx(310 * 16_000, abs=0 if name != "a.mp3" else 1200)
    assert found["longest"] <= 11 * 16_000
    assert found["about"] == pytest.approx(found["length"], rel=0.01)
    if rate_hz == 16_000:
        assert (found["largest"], found["whole"]) == (0, found["length"])
    assert found["likeness"] > 0.99


def test_a_short_one_is_decoded_whole(pages: Pages) -> None:
    page = pages.open("server")
    page.route("**/long-file", lambda route: route.fulfill(path=STREET))
    assert (
        page.evaluate(_SLICED, {"content": "long-file", "name": "a.flac", "rate": 16_000}) is None
    )


_SEGMENTS = """async ({sizes, n, most, pieces}) => {
  const {Segments} = await import("./core/segments.js");
  const {Windowing} = await import("./core/windowing.js");
  const windowing = new Windowing(sizes);
  const samples = Float32Array.from({length: n}, (_, at) => at + 1);
  const all = async (source) => {
    const windows = [];
    for await (const {waveform, first, n: count} of new Segments(windowing, most).of(source)) {
      for (let window = 0; window < count; window++) {
        const start = window * sizes.hopSamples;
        const samples = waveform.slice(start, start + sizes.windowSamples);
        windows.push([first + window, ...samples].join());
      }
    }
    return windows;
  };
  const whole = await all(samples);
  const found = [];
  for (const piece of pieces) {
    const source = (async function* () {
      for (let at = 0; at < n; at += piece) yield samples.slice(at, at + piece);
    })();
    found.push((await all(source)).join("|") === whole.join("|"));
  }
  return {found, count: whole.length, expected: windowing.count(n)};
}"""


@pytest.mark.parametrize("repeat", [None, 3])
@pytest.mark.parametrize("n", [1, 9, 10, 11, 14, 15, 40, 45, 46, 100, 101])
def test_windows_do_not_depend_on_the_pieces(parts: Any, n: int, repeat: int | None) -> None:
    sizes = {
        "sampleRateHz": 100, "windowSamples": 10, "hopSamples": 5, "repeatPauseSamples": repeat
    }  # fmt: skip
    for most in (1, 4):
        given = {"sizes": sizes, "n": n, "most": most, "pieces": [1, 3, 7, 17, 1000]}
        found = parts.evaluate(_SEGMENTS, given)
        assert found["found"] == [True] * 5
        assert found["count"] == found["expected"]


_MANY = """async n => {
  const {EventList} = await import("./ui/eventlist.js");
  document.querySelector("#found").hidden = false;
  const list = new EventList(() => {});
  const events = Array.from({length: n}, (_, number) => ({
    label: `sound ${number}`, displayName: "", labelIndex: number % 7, startTime: number,
    endTime: number + 0.5, score: 0.5, probability: null, also: [],
  }));
  document.querySelector("#show-all").addEventListener("more", show);
  function show() { list.show(events, {isLive: false, canPlay: () => true}); }
  show();
  document.querySelector("#show-all").click();
  document.querySelector("#found").addEventListener("more", show);
  document.querySelector("#show-all").click();
  show();
  window.most = 0;
  new MutationObserver(() => {
    window.most = Math.max(window.most, document.querySelectorAll("#rows tr").length);
  }).observe(document.querySelector("#rows"), {childList: true});
}"""


def test_ten_thousand_events_are_a_few_rows(pages: Pages) -> None:
    page = pages.open("server")
    page.evaluate(_MANY, 10_000)
    assert page.get_attribute("#table", "aria-rowcount") == "10001"
    for share in (0, 0.5, 1):
        page.evaluate(
            """share => {
              const box = document.querySelector("#table-scroll");
              box.scrollTop = share * (box.scrollHeight - box.clientHeight);
            }""",
            share,
        )
        wanted = {0: "sound 0", 0.5: "sound 50", 1: "sound 9999"}[share]
        page.wait_for_function(
            """wanted => {
              const box = document.querySelector("#table-scroll").getBoundingClientRect();
              return [...document.querySelectorAll("#rows .what")].some(cell => {
                const {top, bottom} = cell.getBoundingClientRect();
                const isSeen = top >= box.top - 50 && bottom <= box.bottom + 50;
                return isSeen && cell.textContent.startsWith(wanted);
              });
            }""",
            arg=wanted,
        )
        assert page.locator("#rows tr").count() < 60
    assert page.evaluate("() => window.most") < 120


def test_the_resampler_gives_all_of_a_recording(parts: Any) -> None:
    lengths: Callable[[int, int, int], Any] = lambda rate, n, piece: parts.evaluate(  # noqa: E731
        """async ({rate, n, piece}) => {
          const {Resampler} = await import("./core/resampler.js");
          const resampler = new Resampler(rate, 16000);
          let length = 0;
          for (let at = 0; at < n; at += piece) {
            length += resampler.push(new Float32Array(Math.min(piece, n - at)).fill(0.5)).length;
          }
          return length + resampler.flush().length;
        }""",
        {"rate": rate, "n": n, "piece": piece},
    )
    for rate in (8_000, 16_000, 22_050, 44_100, 48_000):
        for piece in (100, 44_100):
            assert lengths(rate, 2 * rate + 7, piece) == -(-(2 * rate + 7) * 16_000 // rate)
