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
from tests.web.browsing import STREET, Pages, notice_of, rows_of

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
  // A page that has other work gets the decoder's frames in bursts.
  globalThis.AudioDecoder = class extends AudioDecoder {
    constructor({output, error}) {
      const held = [];
      const give = () => held.splice(0).forEach(output);
      super({output: (data) => held.push(data) >= 90 && give(), error});
      this.flushed = give;
    }
    async flush() {
      await super.flush();
      this.flushed();
    }
  };
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
    assert found["longest"] <= 10.1 * 16_000
    assert found["about"] == pytest.approx(found["length"], rel=0.01)
    if rate_hz == 16_000:
        assert (found["largest"], found["whole"]) == (0, found["length"])
    assert found["likeness"] > 0.99


_DAMAGED = """async ({whole, damaged, name}) => {
  const {openSliced} = await import("./core/decode.js");
  const heard = async (url) => {
    const file = new File([await (await fetch(url)).arrayBuffer()], name);
    const sliced = await openSliced(file, 16000);
    const pieces = [];
    for await (const piece of sliced.slices()) pieces.push(piece);
    return [new Float32Array(await new Blob(pieces).arrayBuffer()), sliced.isDamaged()];
  };
  const [all, isWholeDamaged] = await heard(whole);
  const [found, isDamaged] = await heard(damaged);
  const end = found.subarray(-100 * 16000);
  const isEndThere = all.subarray(-100 * 16000).every((sample, at) => sample === end[at]);
  return {isWholeDamaged, isDamaged, seconds: found.length / 16000, isEndThere};
}"""


@pytest.mark.parametrize(
    ("name", "damage"),
    [
        ("a.flac", "cut"),
        ("a.flac", "changed"),
        pytest.param("a.flac", "missing", marks=pytest.mark.slow),
        ("a.mp3", "cut"),
        pytest.param("a.mp3", "changed", marks=pytest.mark.slow),
    ],
)
def test_damage_in_a_long_one_is_told_and_costs_no_more(
    pages: Pages, tmp_path: Path, name: str, damage: str
) -> None:
    """Two bytes that were wrong in a FLAC lost all that came after them, without a word."""
    rng = np.random.default_rng(7)
    samples = (3000 * rng.standard_normal(310 * 16_000)).astype(np.int16)
    options = {"bitrate_mode": "CONSTANT", "compression_level": 0.0} if name == "a.mp3" else {}
    content = _write(tmp_path / name, np.repeat(samples, 2), 32_000, **options).read_bytes()
    middle = 2 * len(content) // 3
    damaged = {
        "cut": content[:middle],
        "changed": content[:middle] + bytes(30_000) + content[middle + 30_000 :],
        "missing": content[:middle] + content[middle + 30_000 :],
    }[damage]
    page = pages.open("server")
    page.route("**/whole", lambda route: route.fulfill(body=content))
    page.route("**/damaged", lambda route: route.fulfill(body=damaged))

    found = page.evaluate(_DAMAGED, {"whole": "whole", "damaged": "damaged", "name": name})

    assert not found["isWholeDamaged"]
    assert found["isDamaged"]
    if damage == "cut":
        assert found["seconds"] == pytest.approx(310 * 2 / 3, rel=0.02)
    else:
        assert found["seconds"] == pytest.approx(310, abs=2 if name == "a.mp3" else 0)
        assert found["isEndThere"] or name == "a.mp3"


_AGAIN = """async ({content, rate, places}) => {
  const {openSliced} = await import("./core/decode.js");
  const file = new File([await (await fetch(content)).arrayBuffer()], "long.wav");
  const {slices, read} = await openSliced(file, rate);
  const pieces = [];
  for await (const piece of slices()) pieces.push(piece);
  const all = new Float32Array(await new Blob(pieces).arrayBuffer());
  const wrong = [];
  for (const [start, n] of places) {
    const samples = await read(start, n);
    const isWrong = samples.some((sample, index) => sample !== all[start + index]);
    if (samples.length !== n || isWrong) wrong.push([start, n]);
  }
  return {length: all.length, wrong};
}"""


@pytest.mark.parametrize(("rate_hz", "channels"), [(8_000, 1), (16_000, 1), (44_100, 2)])
def test_any_place_of_a_long_wav_is_read_again(
    pages: Pages, tmp_path: Path, rate_hz: int, channels: int
) -> None:
    rng = np.random.default_rng(3)
    shape = (301 * rate_hz + 7, channels)
    samples = rng.integers(-9000, 9000, shape, dtype=np.int16)
    path = _write(tmp_path / "a.wav", samples, rate_hz)
    page = pages.open("server")
    page.route("**/long-file", lambda route: route.fulfill(path=path))
    end = -(-(301 * rate_hz + 7) * 16_000 // rate_hz)
    starts = [0, 1, 511, 159_999, *rng.integers(0, end - 512, 40).tolist()]
    places = [*([start, 512] for start in starts), [end - 1000, 1000], [7, 1], [30_000, 40_000]]

    found = page.evaluate(_AGAIN, {"content": "long-file", "rate": 16_000, "places": places})

    assert found == {"length": end, "wrong": []}


_HEAR = """async (minutes) => {
  const {hearFile} = await import("./ui/recording.js");
  const {wavFile} = await import("./core/wav.js");
  const rate = 16000;
  const second = (n) =>
    Int16Array.from({length: rate}, (_, i) => ((n * 7919 + i * (n % 50)) % 20000) - 10000);
  const parts = [];
  for (let n = 0; n < 60 * minutes; n++) parts.push(new Blob([second(n)]));
  const header = wavFile([], rate, "").slice(0, 44);
  const sizes = new DataView(await header.arrayBuffer());
  sizes.setUint32(40, 0xffffffff, true);
  const file = new File([sizes, ...parts], "long.wav");
  const info = {name: "m", labels: ["a"], sampleRateHz: rate, windowSamples: 15600,
                hopSamples: 7680, calibrated: false, thresholds: null, columns: 0,
                imageSamples: 15600, kinship: null, leastSimilarity: null};
  const hear = async (samples, {onWindow}) => {
    let n = 0;
    for await (const piece of samples) n += piece.length;
    for (let index = 0; index * 7680 < n; index++) {
      onWindow({index, scores: new Float32Array(1), probabilities: null});
    }
    return [];
  };
  const nothing = () => {};
  const on = {begun: nothing, changed: nothing, stage: nothing, progress: nothing, wait: nothing};
  const engine = {info, calibrator: null, hear};
  const {signal} = new AbortController();
  window.session = (await hearFile(file, {engine, signal, on})).session;
  const {audio} = window.session;
  let wrong = 0;
  for (const n of [0, 33, 60 * minutes - 2]) {
    const samples = await audio.read(n * rate, rate);
    const expected = second(n);
    for (let i = 0; i < rate; i++) if (samples[i] !== expected[i] / 32768) wrong++;
  }
  return {kind: audio.constructor.name, nSamples: audio.nSamples, wrong,
          beyond: await audio.read(audio.nSamples - 10, 11)};
}"""

_DRAWN = """async () => {
  const {Spectrogram} = await import("./ui/spectrogram.js");
  const {WholeAudio} = await import("./ui/recent.js");
  const {audio} = window.session;
  const whole = new WholeAudio(16000);
  for await (const piece of audio.pieces()) {
    whole.push(Float32Array.from(piece, (sample) => sample / 32768));
  }
  const picture = async (sound, start, seconds) => {
    const canvas = Object.assign(document.createElement("canvas"), {width: 300, height: 96});
    const view = {x: 0, y: 0, width: 300, height: 96, start, seconds, audio: sound};
    const spectrogram = new Spectrogram(16000);
    while (!(await spectrogram.prepare(view, 5))) ;
    const context = canvas.getContext("2d");
    spectrogram.draw(context, view);
    return [...context.getImageData(0, 0, 300, 96).data].join();
  };
  const views = [[0, audio.nSamples / 16000], [700, 30], [audio.nSamples / 16000 - 3, 3]];
  const same = [];
  const kinds = new Set();
  for (const view of views) {
    const one = await picture(audio, ...view);
    same.push(one === (await picture(whole, ...view)));
    kinds.add(one);
  }
  return {same, nSamples: whole.nSamples, nPictures: kinds.size};
}"""


def test_of_more_than_half_an_hour_no_sound_is_kept(pages: Pages) -> None:
    page = pages.open("server")
    devtools = page.context.new_cdp_session(page)

    def kept_bytes() -> float:
        devtools.send("HeapProfiler.collectGarbage")
        return float(devtools.send("Runtime.getHeapUsage")["backingStorageSize"])

    before = kept_bytes()
    heard = page.evaluate(_HEAR, 31)
    assert heard == {
        "kind": "FileAudio", "nSamples": 31 * 60 * 16_000, "wrong": 0, "beyond": None
    }  # fmt: skip
    assert kept_bytes() - before < 6e6  # 60 MB of samples, were they kept
    assert page.evaluate(_DRAWN) == {
        "same": [True] * 3, "nSamples": 31 * 60 * 16_000, "nPictures": 3
    }  # fmt: skip

    heard = page.evaluate(_HEAR, 10)
    assert (heard["kind"], heard["wrong"]) == ("WholeAudio", 0)
    assert kept_bytes() - before < 6e6  # the browser has it, and not the page
    page.evaluate("() => { window.held = new Int16Array(600 * 16_000).fill(1); }")
    assert kept_bytes() - before > 600 * 32_000  # this measure sees what is kept


_QUICKLY = """async () => {
  const {NetworkClient} = await import("./core/network_client.js");
  const hear = NetworkClient.prototype.hear;
  let first = null;
  NetworkClient.prototype.hear = async function (waveform) {
    first ??= await hear.call(this, waveform);
    return first.map((output) => output.slice());
  };
}"""


_IS_DRAWN = """() => {
  const [before, now] = [window.picture, document.querySelector("#canvas").toDataURL()];
  window.picture = now;
  return now === before;
}"""
"""Of a picture that comes bit by bit, and then of a view: whether all of it has come."""


def test_a_file_that_cannot_be_read_any_more_is_one_sentence(
    pages: Pages, on_device: None, tmp_path: Path
) -> None:
    samples, rate_hz = soundfile.read(STREET, dtype="int16")
    path = _write(tmp_path / "half.wav", np.tile(samples, 62), rate_hz, subtype="PCM_U8")
    page = pages.open("device")
    page.evaluate(_QUICKLY)
    page.set_input_files("#file", path)
    page.wait_for_selector("body[data-state=done]", timeout=120_000)
    assert not page.is_visible("#notice")

    page.click("#review-start")
    with page.expect_download() as downloading:
        page.click("#review-clip")
    clip, clip_hz = soundfile.read(downloading.value.path(), dtype="float64")
    start = round(float(downloading.value.suggested_filename.split("-")[-1][:-5]) * rate_hz)
    original = soundfile.read(path, dtype="float64", start=start, frames=len(clip))[0]
    assert clip_hz == rate_hz
    assert np.abs(clip - original).max() < 1 / 32768

    page.wait_for_function(_IS_DRAWN, polling=1000, timeout=60_000)
    path.write_bytes(path.read_bytes()[:-1000])
    for button in ("#review-clip", "#review-card", "#save-zip", "#zoom-in"):
        page.click(button)
        assert notice_of(page) == (
            "half.wav cannot be read any more: it was moved, changed or deleted. Open it again."
        )
        page.click("#notice-close")
    page.click("#language")
    page.click("#review-clip")
    assert notice_of(page).startswith("Ya no se puede leer half.wav")


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
