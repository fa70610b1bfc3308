# SPDX-License-Identifier: Apache-2.0
"""A stream equals the one-shot, and a device that is too slow hears less, and says so."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

import oido
from tests.web.core.site import floats

_STREAM = """async ({ chunk }) => {
  const { openDevice } = await import("/core/device_engine.js");
  const { samplesOf, told } = await import("/tests/hearing.mjs");
  const engine = await openDevice({ modelUrl: "/model.tflite" });
  const samples = await samplesOf("/clip-0.f32");
  const [windows, states] = [[], []];
  const [onWindow, onState] = [(window) => windows.push(window), (state) => states.push(state)];
  const stream = engine.stream({ onWindow, onState });
  const buffer = new Float32Array(chunk);  // a microphone's, used again and again
  for (let at = 0; at < samples.length; at += chunk) {
    const block = samples.subarray(at, at + chunk);
    buffer.set(block);
    stream.push(buffer.subarray(0, block.length));
    buffer.fill(NaN);
  }
  const end = await stream.end();
  engine.close();
  return { ...told(windows), end, states };
}"""


@pytest.mark.parametrize(
    "chunk",
    [pytest.param(17, marks=pytest.mark.slow), 509, pytest.param(44_100, marks=pytest.mark.slow)],
)
def test_a_stream_gives_what_the_whole_recording_gives(
    core: Any,
    files: dict[str, bytes | Path],
    litert_js: Path,
    classifier: oido.AudioClassifier,
    street: NDArray[np.float32],
    chunk: int,
) -> None:
    clip = street[16_000:80_000]  # the four seconds that may wait
    files |= {"model.tflite": classifier.model.path, "clip-0.f32": clip.tobytes()}
    heard = core.evaluate(_STREAM, {"chunk": chunk})
    result = classifier.classify(clip, sample_rate=16_000)
    assert np.array_equal(floats(heard["scores"], 521), result.scores)
    assert np.array_equal(heard["times"], result.times)
    assert heard["end"] == {"nSamples": 64_000, "nWindows": len(result.times), "dropped": 0}
    assert {state["hopSamples"] for state in heard["states"]} == {7_680}


_SLOW = """async ({ seed, cost, seconds, parameters, pieces }) => {
  const { LiveStream } = await import("/core/live_stream.js");
  const { Windowing } = await import("/core/windowing.js");
  const windowing = new Windowing(parameters);
  const total = Math.round(seconds * windowing.sampleRateHz);
  // Every sample tells its own number, so that a window that was overwritten shows.
  const samples = Float32Array.from({ length: total }, (_, index) => index + 1);
  let state = seed;
  const random = () => (state = (state * 1103515245 + 12345) % 2147483648) / 2147483648;
  const [heard, wrong, states] = [[], [], []];
  let pushed = 0;
  let free = 0;      // the sample at which the device is ready again
  let release = null;
  const stream = new LiveStream({
    windowing,
    hear: (waveform) => new Promise((resolve) => {
      const rate = windowing.sampleRateHz;
      free = Math.max(free, pushed) + cost(pushed / rate) * rate;
      release = () => { release = null; resolve([waveform]); };
    }),
    onWindow: (index, [waveform]) => {
      heard.push(index);
      const start = index * windowing.hopSamples;
      const expected = (at) => (start + at < total ? start + at + 1 : 0);
      if (!waveform.every((value, at) => value === expected(at))) wrong.push(index);
    },
    onState: (each) => states.push({ ...each, at: pushed / windowing.sampleRateHz }),
  });
  const settle = async () => { for (let turn = 0; turn < 20; turn++) await null; };
  while (pushed < total) {
    const n = Math.min(total - pushed, 1 + Math.floor(random() * pieces));
    stream.push(samples.subarray(pushed, pushed + n));
    pushed += n;
    for (await settle(); release && free <= pushed; await settle()) release();
  }
  let end = null;
  stream.end().then((result) => (end = result));
  for (await settle(); release; await settle()) release();
  return { heard, wrong, states, end, count: windowing.count(total) };
}"""

YAMNET = {"sampleRateHz": 16_000, "windowSamples": 15_600, "hopSamples": 7_680}
LONG = {"sampleRateHz": 3_200, "windowSamples": 32_000, "hopSamples": 16_000}


def slow(core: Any, cost: str, **options: Any) -> dict[str, Any]:
    """A device that needs cost(t) seconds for a window at second t."""
    defaults = {"seed": 1, "seconds": 60.0, "parameters": YAMNET, "pieces": 4_096}
    given = defaults | options
    code = f"async (given) => ({_SLOW})({{ ...given, cost: {cost} }})"
    told: dict[str, Any] = core.evaluate(code, given)
    assert told["wrong"] == [], "windows that are not what was said"
    heard = told["heard"]
    assert heard == sorted(set(heard))
    assert heard[0] == 0
    assert heard[-1] == told["count"] - 1, "the last window is heard in any case"
    assert told["end"]["nWindows"] == len(heard)
    assert told["end"]["dropped"] == told["count"] - len(heard)
    hop = given["parameters"]["hopSamples"] / given["parameters"]["sampleRateHz"]
    assert all(state["behindSeconds"] <= max(4.0, hop) + 0.1 for state in told["states"])
    return told


def test_a_device_that_keeps_up_hears_all(core: Any) -> None:
    told = slow(core, "(t) => 0.3")
    assert told["heard"] == list(range(told["count"]))
    assert told["end"]["dropped"] == 0


@pytest.mark.parametrize("parameters", [YAMNET, LONG], ids=["0.48 s", "5 s"])
@pytest.mark.parametrize(
    "seed", [1, pytest.param(2, marks=pytest.mark.slow), pytest.param(3, marks=pytest.mark.slow)]
)
def test_a_device_half_as_quick_hears_every_second_window(
    core: Any, seed: int, parameters: dict[str, int]
) -> None:
    hop = parameters["hopSamples"] / parameters["sampleRateHz"]
    told = slow(
        core,
        f"(t) => {1.6 * hop}",
        seed=seed,
        seconds=150 * hop,
        parameters=parameters,
        pieces=parameters["hopSamples"],
    )
    # How long a window takes is known to the next push only, and the hop is doubled at once.
    hops = {state["hopSamples"] // parameters["hopSamples"] for state in told["states"]}
    assert 2 in hops
    assert hops <= {1, 2, 4}
    assert len(told["heard"]) > 0.4 * told["count"]


def test_a_device_far_too_slow_goes_on_in_bounded_memory(core: Any) -> None:
    told = slow(core, "(t) => 7", seconds=300.0)
    assert 300 / 7 * 0.6 < len(told["heard"]) <= 300 / 7 + 10
    assert max(state["hopSamples"] for state in told["states"]) >= 8 * 7_680


def test_it_hears_finely_again_when_it_keeps_up_again(core: Any) -> None:
    told = slow(core, "(t) => (t < 30 ? 2 : 0.05)", seconds=120.0)
    assert max(state["hopSamples"] for state in told["states"]) >= 2 * 7_680
    assert told["states"][-1]["hopSamples"] == 7_680
    assert told["heard"][-20:] == list(range(told["count"] - 20, told["count"]))


def test_one_push_longer_than_all_room_is_heard_as_far_as_there_is_room(core: Any) -> None:
    told = slow(core, "(t) => 0.01", seconds=60.0, pieces=16_000 * 200)
    assert told["end"]["dropped"] > 0


def test_a_stream_that_fails_says_why(core: Any) -> None:
    code = """async (parameters) => {
      const { LiveStream } = await import("/core/live_stream.js");
      const { Windowing } = await import("/core/windowing.js");
      const stream = new LiveStream({
        windowing: new Windowing(parameters),
        hear: async () => { throw new Error("out of memory"); },
        onWindow: () => {}, onState: () => {},
      });
      const messages = [];
      stream.push(new Float32Array(16000));
      await new Promise((resolve) => setTimeout(resolve));
      try { stream.push(new Float32Array(1)); } catch (error) { messages.push(error.message); }
      try { await stream.end(); } catch (error) { messages.push(error.message); }
      try { stream.push(new Float32Array(1)); } catch (error) { messages.push(error.message); }
      return messages;
    }"""
    assert core.evaluate(code, YAMNET) == ["out of memory"] * 3


def test_nothing_pushed_is_nothing_heard(core: Any) -> None:
    code = """async (parameters) => {
      const { LiveStream } = await import("/core/live_stream.js");
      const { Windowing } = await import("/core/windowing.js");
      const windowing = new Windowing(parameters);
      const nothing = { hear: async () => [], onWindow: () => {}, onState: () => {} };
      return await new LiveStream({ windowing, ...nothing }).end();
    }"""
    assert core.evaluate(code, YAMNET) == {"nSamples": 0, "nWindows": 0, "dropped": 0}
