# SPDX-License-Identifier: Apache-2.0
"""The sound of what was heard: read from any place, also while more comes; files read in turn."""

from __future__ import annotations

from typing import Any

import pytest

from .browsing import Pages

_SETUP = """
const rate = 100;  // a piece of 30 s is 3000 samples
const whole = Int16Array.from({length: 9876}, (_, i) => ((i * 7919) % 65536) - 32768);
const floats = (start, n) => Float32Array.from(whole.subarray(start, start + n), (v) => v / 32768);
const isSame = (found, start, n) =>
  found.length === n && found.every((v, i) => v === whole[start + i] / 32768);
const pushed = (audio, sizes) => {
  for (let at = 0, turn = 0; at < whole.length; turn++) {
    const n = Math.min(sizes[turn % sizes.length], whole.length - at);
    audio.push(floats(at, n));
    at += n;
  }
  return audio;
};
"""

_READ = (
    "async ({sizes, places}) => {"
    + _SETUP
    + """
  const {WholeAudio, StoredAudio, allPieces} = await import("./ui/recent.js");
  const audio = pushed(new WholeAudio(rate), sizes);
  const stored = new StoredAudio(rate, 500, new Blob([whole.slice(500)]));
  const wrong = [];
  for (const [start, n] of places) {
    if (!isSame(await audio.read(start, n), start, n)) wrong.push(["whole", start, n]);
    const kept = await stored.read(start, n);
    if (start < 500 ? kept !== null : !isSame(kept, start, n)) wrong.push(["stored", start, n]);
  }
  const lengthOf = (pieces) => pieces.reduce((sum, {length}) => sum + length, 0);
  const joined = await new Blob(await allPieces(audio)).arrayBuffer();
  return {
    wrong,
    beyond: [await audio.read(9875, 2), await audio.read(-1, 2), await stored.read(9875, 2)],
    pieces: [lengthOf(await allPieces(audio)), lengthOf(await allPieces(stored))],
    isWhole: new Int16Array(joined).every((v, i) => v === whole[i]),
  };
}"""
)

_WHILE_MORE_COMES = (
    "async () => {"
    + _SETUP
    + """
  const {WholeAudio} = await import("./ui/recent.js");
  const audio = new WholeAudio(rate);
  audio.push(floats(0, 5900));  // one piece, and most of another in memory
  const reading = [[2500, 3400], [0, 5900], [5000, 900]].map(([start, n]) => audio.read(start, n));
  audio.push(floats(5900, 3976));  // the one in memory is full, and written over
  const found = await Promise.all(reading);
  return [isSame(found[0], 2500, 3400), isSame(found[1], 0, 5900), isSame(found[2], 5000, 900)];
}"""
)

_IN_TURN = """async ({n, withoutOwnMemory}) => {
  const {bytesInTurn} = await import("./core/byte_window.js");
  let nOwn = 0;
  const getReader = ReadableStream.prototype.getReader;
  ReadableStream.prototype.getReader = function (options) {
    if (options?.mode === "byob" && withoutOwnMemory) throw new TypeError("not here");
    nOwn += options?.mode === "byob";
    return getReader.call(this, options);
  };
  const bytes = Uint8Array.from({length: 300_000}, (_, i) => (i * 31) % 251);
  const file = new File([bytes], "some.wav");
  const sizes = [];
  let wrong = 0;
  let at = 44;
  for await (const view of bytesInTurn(file, 44, 299_000, n)) {
    for (let i = 0; i < view.byteLength; i++) wrong += view.getUint8(i) !== bytes[at + i];
    at += view.byteLength;
    sizes.push(view.byteLength);
  }
  for await (const view of bytesInTurn(file, 0, 300_000, n)) break;  // nobody wants more
  return {wrong, at, sizes, nOwn};
}"""

_GONE = """async (isShort) => {
  const {bytesInTurn} = await import("./core/byte_window.js");
  const pull = (controller) => {
    if (isShort) {
      controller.close();
      controller.byobRequest?.respond(0);
    } else throw new Error("moved away");
  };
  const part = {stream: () => new ReadableStream({type: "bytes", pull})};
  const file = {name: "gone.wav", slice: () => part};
  try {
    for await (const view of bytesInTurn(file, 0, 1000, 100)) return "bytes";
  } catch (error) {
    return [error.kind, error.message];
  }
}"""


@pytest.fixture
def page(pages: Pages) -> Any:
    return pages.open("device")


@pytest.mark.parametrize("sizes", [[9876], [1, 2999, 3000, 3001], [700]])
def test_it_is_read_from_any_place(page: Any, sizes: list[int]) -> None:
    places = [[0, 1], [2999, 2], [3000, 3000], [0, 9876], [499, 10], [500, 9376], [8999, 877]]

    found = page.evaluate(_READ, {"sizes": sizes, "places": places})

    assert found["wrong"] == []
    assert found["beyond"] == [None, None, None]
    assert found["pieces"] == [9876, 9376]
    assert found["isWhole"]


def test_more_may_come_while_it_is_read(page: Any) -> None:
    assert page.evaluate(_WHILE_MORE_COMES) == [True, True, True]


@pytest.mark.parametrize("without_own_memory", [False, True])
@pytest.mark.parametrize("n", [1000, 70_001, 1_000_000])
def test_a_file_is_read_in_turn(page: Any, n: int, *, without_own_memory: bool) -> None:
    found = page.evaluate(_IN_TURN, {"n": n, "withoutOwnMemory": without_own_memory})

    whole = 299_000 - 44
    expected = [n] * (whole // n) + [whole % n] * (whole % n > 0)
    assert found == {
        "wrong": 0,
        "at": 299_000,
        "sizes": expected,
        "nOwn": 0 if without_own_memory else 2,
    }


@pytest.mark.parametrize(("is_short", "why"), [(False, "moved away"), (True, "it became shorter")])
def test_a_file_that_cannot_be_read_any_more_says_so(page: Any, is_short: bool, why: str) -> None:
    kind, message = page.evaluate(_GONE, is_short)

    assert kind == "AudioNotFoundError"
    assert message.startswith("gone.wav: cannot be read (")
    assert why in message
